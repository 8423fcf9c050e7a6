/**
 * Changes the stored session: renews it, stores a sign-in, ends it.
 *
 * All of it happens under the store's lock, after reading the store again: a
 * sibling may have been faster. A new token is stored before anyone sees it; a
 * refresh token that the server refused is never sent again. Loaded when it is
 * first needed, which a warm start does not.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { AuthEvent } from "../events.ts";
import type { ObjectStorageProvider } from "../storage/objects.ts";
import type { TokenSet } from "../token.ts";
import { fingerprint, readFailures, writeFailures } from "./failures.ts";
import { LOGGED_OUT } from "./keeper.ts";
import { withStorageLock } from "./lock.ts";
import type { KeeperOptions } from "./types.ts";

/** Longest wait for the store's lock, in milliseconds; more than a renewal can take. */
const LOCK_TIMEOUT_MS = 120_000;

/** How often a renewal starts over because somebody else changed the store meanwhile. */
const MOST_ROUNDS = 4;

/** Waits for what a sibling is about to store, in milliseconds; 1.5 s in all. */
const SIBLING_WAITS_MS = [50, 100, 200, 400, 750];

/** Tokens that the server handed out and the store does not have yet. */
interface Unsaved {
  readonly tokens: TokenSet;
  /** What lay in the store when they were asked for. */
  readonly base: TokenSet | undefined;
  /** Whether they come from signing in rather than from a refresh. */
  readonly signedIn: boolean;
}

/** `Omit` over each member of a union. */
type DistributedOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** An event before the keeper names the profile. */
export type KeeperEvent = DistributedOmit<AuthEvent, "profileName">;

/** What a renewer tells the keeper, while it still holds the lock. */
export interface RenewerHooks {
  /** Reads the stored tokens. */
  read(storage: ObjectStorageProvider): Promise<TokenSet | undefined>;
  /** The session's tokens are now these, or none. */
  use(tokens: TokenSet | undefined): void;
  /** A sibling's tokens were found. */
  adopted(tokens: TokenSet): void;
  /** Something happened. */
  tell(event: KeeperEvent): void;
}

/** What a caller needs. */
export interface Need {
  /** Tells whether a stored token will do. */
  enough(tokens: TokenSet | undefined): tokens is TokenSet;
  /** Whether nobody waits. */
  readonly background: boolean;
}

/** The part of an event that tells a token's life. */
export function lifeOf(tokens: TokenSet): { expiresAt?: number } {
  return tokens.expiresAt === undefined ? {} : { expiresAt: tokens.expiresAt };
}

/** Changes the stored session. */
export class Renewer {
  readonly #options: KeeperOptions;
  readonly #hooks: RenewerHooks;
  #unsaved: Unsaved | undefined;
  #ownerChecked = false;

  /** Makes a renewer; nothing is read or sent yet. */
  constructor(options: KeeperOptions, hooks: RenewerHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** Gets tokens that are enough: a sibling's, or new ones, stored. */
  async obtain(storage: ObjectStorageProvider, need: Need): Promise<TokenSet> {
    for (let round = 1;; round++) {
      const tokens = await this.#locked(storage, async (lease) => {
        let stored = await this.#readOrSetAside(storage);
        const unsaved = this.#unsaved;
        if (unsaved !== undefined && (unsaved.base?.sameAs(stored) ?? stored === undefined)) {
          const kept = await this.#keep(storage, unsaved, lease, need.background);
          if (kept === undefined || need.enough(kept)) return kept;
          // The store took so long to come back that they are old.
          stored = kept;
        }
        this.#unsaved = undefined;
        if (need.enough(stored)) {
          this.#hooks.adopted(stored);
          return stored;
        }
        const renewed = await this.#renew(storage, stored);
        if (renewed === undefined) return undefined;
        this.#unsaved = renewed;
        return await this.#keep(storage, renewed, lease, need.background);
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

  /** Stores tokens that a person's sign-in brought. */
  async signIn(storage: ObjectStorageProvider, tokens: TokenSet): Promise<void> {
    const { tokenKey, prepareStorage } = this.#options;
    await this.#locked(storage, async () => {
      const base = await this.#read(storage).catch(() => undefined);
      // Kept for the next call should the store fail: a person need not sign in twice.
      this.#unsaved = { tokens, base, signedIn: true };
      await prepareStorage(storage);
      await storage.save(tokenKey, tokens.toStored(base));
      await writeFailures(storage, tokenKey, {});
      this.#unsaved = undefined;
      this.#ownerChecked = true;
      this.#hooks.use(tokens);
    });
    this.#hooks.tell({ type: "login_succeeded", ...lifeOf(tokens) });
  }

  /** Puts a token object that cannot be read out of the way, under another name. */
  async setAside(storage: ObjectStorageProvider): Promise<void> {
    await this.#locked(storage, async () => {
      await this.#read(storage).catch((error) => this.#renameCorrupt(storage, error));
    });
  }

  /** Forgets the session; returns what was stored, so that it can be revoked. */
  async forget(storage: ObjectStorageProvider): Promise<TokenSet | undefined> {
    const { tokenKey } = this.#options;
    return await this.#locked(storage, async () => {
      const tokens = this.#unsaved?.tokens ?? await this.#read(storage).catch(() => undefined);
      if (await storage.exists(tokenKey)) {
        await (storage.delete === undefined
          ? storage.save(tokenKey, { [LOGGED_OUT]: true })
          : storage.delete(tokenKey));
      }
      await writeFailures(storage, tokenKey, {});
      this.#unsaved = undefined;
      this.#hooks.use(undefined);
      return tokens;
    });
  }

  /** Saves new tokens, then lets them be used; `undefined` where the lock was lost before. */
  async #keep(
    storage: ObjectStorageProvider,
    { base, signedIn, tokens }: Unsaved,
    lease: AbortSignal,
    background: boolean,
  ): Promise<TokenSet | undefined> {
    if (lease.aborted) return undefined;
    try {
      if (signedIn) await this.#options.prepareStorage(storage);
      await storage.save(this.#options.tokenKey, tokens.toStored(base));
    } catch (error) {
      if (lease.aborted) return undefined;
      throw error;
    }
    this.#unsaved = undefined;
    this.#hooks.use(tokens);
    this.#hooks.tell(
      signedIn
        ? { type: "login_succeeded", ...lifeOf(tokens) }
        : { type: "token_refreshed", ...lifeOf(tokens), background },
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
      this.#hooks.use(undefined);
      throw this.#needsPerson("has no session");
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
          else if (await this.#wasSpentBySibling(storage, stored)) return undefined;
          else if (renewal.login === undefined) {
            await writeFailures(storage, tokenKey, { dead: mark });
          }
        }
      }
      if (unsaved === undefined && renewal.login !== undefined) {
        this.#hooks.tell({ type: "login_started" });
        const tokens = await renewal.login();
        unsaved = { tokens, base: stored, signedIn: stored === undefined };
      }
    } catch (error) {
      if (error instanceof AuthError && error.retryAt !== undefined) {
        const { retryAt } = error;
        await writeFailures(storage, tokenKey, { ...failures, retryAt, notedAt: clock.now() });
      }
      throw error;
    }
    if (unsaved !== undefined) {
      if (failures !== undefined) await writeFailures(storage, tokenKey, {});
      return unsaved;
    }
    if (stored?.refreshToken === undefined) {
      throw this.#needsPerson(
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
  async #refresh(storage: ObjectStorageProvider, current: TokenSet): Promise<TokenSet | undefined> {
    if (!this.#ownerChecked) await this.#options.checkOwner(storage);
    this.#ownerChecked = true;
    try {
      return await this.#options.renewal.refresh(current);
    } catch (error) {
      if (error instanceof AuthError && error.oauthError === "invalid_grant") return undefined;
      throw error;
    }
  }

  /**
   * Tells whether a sibling that takes no lock, such as the Planet SDK for Python, has spent the
   * refresh token of `spent`: what that brought is in the store, or will be in a moment.
   */
  async #wasSpentBySibling(storage: ObjectStorageProvider, spent: TokenSet): Promise<boolean> {
    for (const wait of [0, ...SIBLING_WAITS_MS]) {
      // A service account signs in again, and need not wait for anybody.
      if (wait > 0 && this.#options.renewal.login !== undefined) break;
      if (wait > 0) await this.#options.clock.sleep(wait);
      if (!spent.sameAs(await this.#read(storage))) return true;
    }
    return false;
  }

  #read(storage: ObjectStorageProvider): Promise<TokenSet | undefined> {
    return this.#hooks.read(storage);
  }

  /** Reads; where nobody needs to be asked for new tokens, what cannot be read is put aside. */
  #readOrSetAside(storage: ObjectStorageProvider): Promise<TokenSet | undefined> {
    const tokens = this.#read(storage);
    if (this.#options.renewal.login === undefined) return tokens;
    return tokens.catch((error) => this.#renameCorrupt(storage, error));
  }

  async #renameCorrupt(storage: ObjectStorageProvider, error: unknown): Promise<undefined> {
    const { tokenKey } = this.#options;
    if (!(error instanceof AuthError) || error.code !== "storage_corrupt") throw error;
    await storage.rename(tokenKey, `${tokenKey}.corrupt`);
  }

  #needsPerson(found: string): AuthError {
    return new AuthError(
      "login_required",
      `Sign in first, with userLogin() or ensureInitialized(): profile "${this.#options.profileName}" ${found}.`,
    );
  }

  #locked<T>(
    storage: ObjectStorageProvider,
    body: (lease: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const options = { timeoutMs: LOCK_TIMEOUT_MS };
    return withStorageLock(storage, this.#options.tokenKey, ({ signal }) => body(signal), options);
  }
}
