/**
 * Keeps one sign-in alive: reads it, renews it once for everybody, writes it back.
 *
 * A fresh token is handed out from memory. From 3/4 of its life on it is still
 * handed out at once, and renewed behind the callers' backs. Once it is expired
 * all callers share one renewal, under the store's lock, after reading the store
 * again: a sibling may have been faster. A new token is stored before anyone
 * sees it; a refresh token that the server refused is never sent again. No
 * timers: what has to happen happens when somebody calls.
 *
 * @module
 */

import { abandonable } from "../abort.ts";
import { AuthError } from "../errors.ts";
import type { AuthEvent } from "../events.ts";
import type { ObjectStorageProvider } from "../storage/types.ts";
import { TokenSet } from "../token.ts";
import { fingerprint, readFailures, writeFailures } from "./failures.ts";
import { withStorageLock } from "./lock.ts";
import type { KeeperOptions, KnownState } from "./types.ts";

/** Longest wait for the store's lock, in milliseconds; more than a renewal can take. */
const LOCK_TIMEOUT_MS = 120_000;

/** Pauses between renewals that failed in the background, in milliseconds. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 300_000;

/** How often a renewal starts over because another holder of the lock interfered. */
const MOST_ROUNDS = 4;

/** Member that marks an emptied token object in a store that cannot delete. */
const LOGGED_OUT = "_logged_out";

/** Tokens that the server handed out and the store does not have yet. */
interface Unsaved {
  readonly tokens: TokenSet;
  /** What lay in the store when they were asked for. */
  readonly base: TokenSet | undefined;
  /** Whether they come from signing in rather than from a refresh. */
  readonly signedIn: boolean;
}

function withoutPerson(options: KeeperOptions, found: string): AuthError {
  return new AuthError(
    "login_required",
    `Sign in first, with userLogin() or ensureInitialized(): profile "${options.profileName}" ${found}.`,
  );
}

/** Keeps one sign-in alive. */
export class Keeper {
  readonly #options: KeeperOptions;
  #tokens: TokenSet | undefined;
  #header = "";
  #refreshAtMs = 0;
  #expiresAtMs = 0;
  #flight: Promise<TokenSet> | undefined;
  #unsaved: Unsaved | undefined;
  #ownerChecked = false;
  /** Earliest next attempt in the background, and the last pause. */
  #quietUntilMs = 0;
  #pauseMs = 0;

  /** Makes a keeper; nothing is read or sent yet. */
  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** The header value to send: at once while the token lives, else after a renewal. */
  authorization(signal?: AbortSignal): string | Promise<string> {
    const now = this.#options.clock.now();
    if (now < this.#refreshAtMs) return this.#header;
    if (now < this.#expiresAtMs) {
      this.#renewBehind(now);
      return this.#header;
    }
    return this.#current(signal).then(() => this.#header);
  }

  /** The access token itself; see {@linkcode Keeper.authorization}. */
  accessToken(signal?: AbortSignal): string | Promise<string> {
    const header = this.authorization(signal);
    return typeof header === "string" ? header.slice(7) : header.then((value) => value.slice(7));
  }

  /**
   * A header value in place of `rejected`, which an API refused; `undefined`
   * where there is none to be had for now.
   *
   * @throws {AuthError} `session_expired`, `login_required`, `client_rejected`: the session is over.
   */
  async replace(rejected: string, signal?: AbortSignal): Promise<string | undefined> {
    try {
      await this.#renewed(rejected, signal);
    } catch (error) {
      const over = ["client_rejected", "login_required", "session_expired"];
      if (!(error instanceof AuthError) || over.includes(error.code)) throw error;
      return undefined;
    }
    return this.#header === rejected ? undefined : this.#header;
  }

  /** Renews the token now, whatever is left of its life. */
  async forceRefresh(signal?: AbortSignal): Promise<void> {
    if (this.#tokens === undefined) await abandonable(this.#peek(), signal);
    await this.#renewed(this.#header, signal);
  }

  /** Makes sure that there is a session which can be used, at the price of one renewal at most. */
  async ensure(signal?: AbortSignal): Promise<void> {
    const { state, tokens } = await abandonable(this.known(), signal);
    // With nothing but a refresh token stored, the first request renews.
    const resting = tokens !== undefined && tokens.accessToken === undefined &&
      tokens.refreshToken !== undefined && state !== "dead";
    if (state === "valid" || state === "refresh_due" || resting) return;
    if (this.#options.renewal.login !== undefined) return;
    await this.#current(signal);
  }

  /** What is known of the session without asking the authorization server. */
  async known(): Promise<KnownState> {
    const { clock } = this.#options;
    let tokens: TokenSet | undefined;
    try {
      tokens = await this.#peek();
    } catch (error) {
      if (error instanceof AuthError && error.code === "storage_corrupt") {
        return { state: "corrupt" };
      }
      throw error;
    }
    if (tokens === undefined) return { state: "none" };
    const now = clock.now();
    if (now < tokens.refreshAtMs) return { state: "valid", tokens };
    const { dead, retryAt } =
      await readFailures(await this.#options.storage(), this.#options.tokenKey, now) ?? {};
    const shown = retryAt === undefined ? { tokens } : { tokens, retryAt };
    if (now < tokens.expiresAtMs) return { state: "refresh_due", ...shown };
    const { refreshToken } = tokens;
    const isDead = refreshToken !== undefined && dead === await fingerprint(refreshToken);
    return { state: isDead ? "dead" : "expired", ...shown };
  }

  /** Stores tokens that a person's sign-in brought, and uses them from now on. */
  async adopt(tokens: TokenSet): Promise<void> {
    const { tokenKey, prepareStorage } = this.#options;
    const storage = await this.#options.storage();
    await this.#locked(storage, async () => {
      const base = await this.#read(storage).catch(() => undefined);
      // Kept for the next call should the store fail: a person need not sign in twice.
      this.#unsaved = { tokens, base, signedIn: true };
      await prepareStorage(storage);
      await storage.save(tokenKey, tokens.toStored());
      await writeFailures(storage, tokenKey, {});
      this.#unsaved = undefined;
      this.#ownerChecked = true;
      this.#use(tokens);
    });
    this.#tell({ type: "login_succeeded", ...this.#lifeOf(tokens) });
  }

  /** Puts a token object that cannot be read out of the way, under another name. */
  async setAside(): Promise<void> {
    const { tokenKey } = this.#options;
    const storage = await this.#options.storage();
    await this.#locked(storage, async () => {
      try {
        await storage.load(tokenKey);
      } catch (error) {
        if (!(error instanceof AuthError) || error.code !== "storage_corrupt") throw error;
        await storage.rename(tokenKey, `${tokenKey}.corrupt`);
      }
    });
  }

  /** Forgets the session here and in the store; returns what it was, so that it can be revoked. */
  async forget(): Promise<TokenSet | undefined> {
    const { tokenKey } = this.#options;
    const storage = await this.#options.storage();
    return await this.#locked(storage, async () => {
      const tokens = await this.#read(storage).catch(() => undefined) ?? this.#tokens;
      if (await storage.exists(tokenKey)) {
        await (storage.delete === undefined
          ? storage.save(tokenKey, { [LOGGED_OUT]: true })
          : storage.delete(tokenKey));
      }
      await writeFailures(storage, tokenKey, {});
      this.#unsaved = undefined;
      this.#use(undefined);
      return tokens;
    });
  }

  /** Tokens of memory, or else those stored; read only, and without a lock. */
  async #peek(): Promise<TokenSet | undefined> {
    if (this.#tokens !== undefined && this.#options.clock.now() < this.#expiresAtMs) {
      return this.#tokens;
    }
    const stored = await this.#read(await this.#options.storage());
    if (stored !== undefined) this.#use(stored);
    return stored;
  }

  /** A living token, shared by all who wait for one. */
  #current(signal?: AbortSignal): Promise<TokenSet> {
    return abandonable(this.#flight ??= this.#fly(undefined, false), signal);
  }

  /** A token other than the one in `rejected`, shared by all who were refused with it. */
  async #renewed(rejected: string, signal?: AbortSignal): Promise<void> {
    if (this.#flight !== undefined) {
      // What is under way may be what the caller needs; its failure is not the caller's.
      await abandonable(this.#flight.catch(() => undefined), signal);
    }
    if (this.#header !== rejected && this.#options.clock.now() < this.#expiresAtMs) return;
    await abandonable(this.#flight ??= this.#fly(rejected.slice(7), false), signal);
  }

  /** Starts a renewal that nobody waits for, unless one runs or failed just now. */
  #renewBehind(now: number): void {
    if (this.#flight !== undefined || now < this.#quietUntilMs) return;
    this.#flight = this.#fly(undefined, true);
    this.#flight.catch(() => {});
  }

  async #fly(rejected: string | undefined, background: boolean): Promise<TokenSet> {
    try {
      const tokens = await this.#obtain(rejected, background);
      this.#pauseMs = 0;
      return tokens;
    } catch (error) {
      const now = this.#options.clock.now();
      this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
      const { code, retryAt } = error instanceof AuthError
        ? error
        : { code: "storage_failed" as const, retryAt: undefined };
      this.#quietUntilMs = code === "session_expired"
        ? Number.POSITIVE_INFINITY
        : retryAt ?? now + this.#pauseMs;
      this.#tell({
        type: "refresh_failed",
        code,
        background,
        ...(Number.isFinite(this.#quietUntilMs) ? { retryAt: this.#quietUntilMs } : {}),
      });
      throw error;
    } finally {
      this.#flight = undefined;
    }
  }

  async #obtain(rejected: string | undefined, background: boolean): Promise<TokenSet> {
    const storage = await this.#options.storage();
    const enough = (tokens: TokenSet | undefined): tokens is TokenSet => {
      if (tokens?.accessToken === undefined || tokens.accessToken === rejected) return false;
      return this.#options.clock.now() < (background ? tokens.refreshAtMs : tokens.expiresAtMs);
    };
    if (storage.withLock !== undefined && this.#unsaved === undefined) {
      const stored = await this.#readOrSetAside(storage);
      if (enough(stored)) return this.#adopted(stored);
    }
    for (let round = 1;; round++) {
      const tokens = await this.#locked(storage, async (lease) => {
        const stored = await this.#readOrSetAside(storage);
        const unsaved = this.#unsaved;
        if (unsaved !== undefined && (unsaved.base?.sameAs(stored) ?? stored === undefined)) {
          return await this.#keep(storage, unsaved, lease, background);
        }
        this.#unsaved = undefined;
        if (enough(stored)) return this.#adopted(stored);
        const renewed = await this.#renew(storage, stored);
        if (renewed === undefined) return undefined;
        this.#unsaved = renewed;
        return await this.#keep(storage, renewed, lease, background);
      });
      if (tokens !== undefined) return tokens;
      if (round === MOST_ROUNDS) {
        throw new AuthError(
          "lock_timeout",
          `Try again: other programs kept changing "${this.#options.tokenKey}" meanwhile.`,
        );
      }
    }
  }

  /** Saves new tokens, then uses them; `undefined` where the lock was lost before. */
  async #keep(
    storage: ObjectStorageProvider,
    { tokens, signedIn }: Unsaved,
    lease: AbortSignal,
    background: boolean,
  ): Promise<TokenSet | undefined> {
    if (lease.aborted) return undefined;
    try {
      if (signedIn) await this.#options.prepareStorage(storage);
      await storage.save(this.#options.tokenKey, tokens.toStored());
    } catch (error) {
      if (lease.aborted) return undefined;
      throw error;
    }
    this.#unsaved = undefined;
    this.#use(tokens);
    this.#tell(
      signedIn
        ? { type: "login_succeeded", ...this.#lifeOf(tokens) }
        : { type: "token_refreshed", ...this.#lifeOf(tokens), background },
    );
    return tokens;
  }

  /**
   * One renewal at the authorization server; the caller holds the lock.
   * `undefined` where the store has got other tokens meanwhile.
   */
  async #renew(
    storage: ObjectStorageProvider,
    stored: TokenSet | undefined,
  ): Promise<Unsaved | undefined> {
    const { clock, renewal, tokenKey } = this.#options;
    if (stored === undefined && renewal.login === undefined) {
      this.#use(undefined);
      throw withoutPerson(this.#options, "has no session");
    }
    const failures = await readFailures(storage, tokenKey, clock.now());
    if (failures?.retryAt !== undefined) {
      throw new AuthError(
        "throttled",
        `Wait until ${
          new Date(failures.retryAt).toISOString()
        }: the authorization server asked for a pause.`,
        { retryAt: failures.retryAt },
      );
    }
    let unsaved: Unsaved | undefined;
    try {
      if (stored?.refreshToken !== undefined) {
        const mark = await fingerprint(stored.refreshToken);
        if (mark !== failures?.dead) {
          const tokens = await this.#refresh(storage, stored);
          if (tokens !== undefined) unsaved = { tokens, base: stored, signedIn: false };
          else if (!stored.sameAs(await this.#read(storage))) return undefined;
          else if (renewal.login === undefined) {
            await writeFailures(storage, tokenKey, { dead: mark });
          }
        }
      }
      if (unsaved === undefined && renewal.login !== undefined) {
        this.#tell({ type: "login_started" });
        const tokens = await renewal.login();
        unsaved = { tokens, base: stored, signedIn: stored === undefined };
      }
    } catch (error) {
      if (error instanceof AuthError && error.retryAt !== undefined) {
        await writeFailures(storage, tokenKey, { ...failures, retryAt: error.retryAt });
      }
      throw error;
    }
    if (unsaved !== undefined) {
      if (failures !== undefined) await writeFailures(storage, tokenKey, {});
      return unsaved;
    }
    if (stored?.refreshToken === undefined) {
      throw withoutPerson(
        this.#options,
        "holds an expired token and no refresh token (ask for the scope offline_access to get one)",
      );
    }
    throw new AuthError(
      "session_expired",
      `Sign in again, with userLogin() or ensureInitialized(): the authorization server has ended the session of profile "${this.#options.profileName}".`,
      { oauthError: "invalid_grant" },
    );
  }

  /** Spends a refresh token; `undefined` where the server calls it invalid. */
  async #refresh(
    storage: ObjectStorageProvider,
    current: TokenSet,
  ): Promise<TokenSet | undefined> {
    if (!this.#ownerChecked) await this.#options.checkOwner(storage);
    this.#ownerChecked = true;
    try {
      return await this.#options.renewal.refresh(current);
    } catch (error) {
      if (error instanceof AuthError && error.oauthError === "invalid_grant") return undefined;
      throw error;
    }
  }

  async #read(storage: ObjectStorageProvider): Promise<TokenSet | undefined> {
    const { clock, tokenKey } = this.#options;
    const stored = await storage.load(tokenKey);
    if (stored === undefined || stored[LOGGED_OUT] === true) return undefined;
    return TokenSet.fromStored(stored, clock.now(), tokenKey);
  }

  /** Reads; where nobody needs to be asked for new tokens, what cannot be read is put aside. */
  async #readOrSetAside(storage: ObjectStorageProvider): Promise<TokenSet | undefined> {
    const { renewal, tokenKey } = this.#options;
    try {
      return await this.#read(storage);
    } catch (error) {
      const corrupt = error instanceof AuthError && error.code === "storage_corrupt";
      if (!corrupt || renewal.login === undefined) throw error;
      await storage.rename(tokenKey, `${tokenKey}.corrupt`);
      return undefined;
    }
  }

  #locked<T>(
    storage: ObjectStorageProvider,
    body: (lease: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const options = { timeoutMs: LOCK_TIMEOUT_MS };
    return withStorageLock(storage, this.#options.tokenKey, ({ signal }) => body(signal), options);
  }

  #adopted(tokens: TokenSet): TokenSet {
    const before = this.#tokens;
    this.#use(tokens);
    if (before !== undefined && !tokens.sameAs(before)) {
      this.#tell({ type: "token_adopted", ...this.#lifeOf(tokens) });
    }
    return tokens;
  }

  #use(tokens: TokenSet | undefined): void {
    if (tokens === undefined || !tokens.sameAs(this.#tokens)) this.#quietUntilMs = 0;
    this.#tokens = tokens;
    this.#header = tokens?.accessToken === undefined ? "" : `Bearer ${tokens.accessToken}`;
    this.#refreshAtMs = tokens?.refreshAtMs ?? 0;
    this.#expiresAtMs = tokens?.expiresAtMs ?? 0;
  }

  #lifeOf(tokens: TokenSet): { expiresAt?: number } {
    return tokens.expiresAt === undefined ? {} : { expiresAt: tokens.expiresAt };
  }

  #tell(event: DistributedOmit<AuthEvent, "profileName">): void {
    try {
      this.#options.onEvent?.({ ...event, profileName: this.#options.profileName } as AuthEvent);
    } catch {
      // An observer's failure must not cost the session.
    }
  }
}

/** `Omit` over each member of a union. */
type DistributedOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
