/**
 * Changes a stored session: renews it, stores a sign-in, ends it.
 *
 * All of it happens under the store's lock, after reading the store again: a
 * sibling may have been faster. A new token is stored before anyone sees it; a
 * refresh token that the server refused is never sent again. Loaded when it is
 * first needed, which a warm start does not.
 *
 * @module
 */

import { profileKey } from "../setup.ts";
import { AuthError } from "../errors.ts";
import type { Lease, LockOptions, ObjectStorageProvider } from "../storage/objects.ts";
import type { TokenSet } from "../token.ts";
import { abandonable, isPermissionError, unrefTimer } from "../runtime.ts";
import {
  BACKGROUND_MS,
  fingerprint,
  type Found,
  lifeOf,
  type StoredSession,
  type Trouble,
  typed,
} from "./stored_session.ts";

/** Longest wait for the store's lock, in milliseconds; more than a renewal can take. */
const LOCK_TIMEOUT_MS = 120_000;

/** Longest wait for another program's sign-in, in milliseconds; the caller's signal ends it sooner. */
const LONGEST_LOGIN_MS = 0x7fffffff;

/** How often a renewal starts over because somebody else changed the store meanwhile. */
const MOST_ROUNDS = 4;

/** Waits for what a sibling is about to store, in milliseconds; 1.5 s in all. */
const SIBLING_WAITS_MS = [50, 100, 200, 400, 750];

/** Pauses before tokens that a store did not take are saved again, in milliseconds. */
const FIRST_SAVE_AGAIN_MS = 250;
const LONGEST_SAVE_AGAIN_MS = 15_000;

/** How the authorization server is asked. */
export interface AskOptions {
  /** Ends the request. */
  signal?: AbortSignal;
  /** Whether nobody waits, so that no timer of the request may keep the program alive. */
  background?: boolean;
  /** The lock under which one-time tokens are spent: it is looked at directly before they are sent. */
  lease?: AbortSignal;
}

/** What renewing asks of the authorization server. */
export interface TokenServer {
  /** Spends the refresh token of `current` (RFC 6749 §6). */
  refresh(current: TokenSet, options?: AskOptions): Promise<TokenSet>;
  /** Signs in as the client itself (RFC 6749 §4.4). */
  clientCredentials(options?: AskOptions): Promise<TokenSet>;
  /** Whether tokens can be revoked (RFC 7009). */
  canRevoke(signal?: AbortSignal): Promise<boolean>;
  /** Revokes a token (RFC 7009 §2.1). */
  revoke(
    token: string,
    hint: "access_token" | "refresh_token",
    signal?: AbortSignal,
  ): Promise<void>;
}

/** What a caller needs. */
export interface Need {
  /** Tells whether a stored token will do. */
  enough(tokens: TokenSet): boolean;
  /** Set if nobody waits: the lock is taken only if it is free, and this ends the work. */
  readonly background?: AbortSignal;
}

/** Tokens that the server handed out and the store does not have yet. */
interface Unsaved {
  readonly tokens: TokenSet;
  /** What lay in the store when they were asked for. */
  readonly base: TokenSet | undefined;
  /** Whether they come from signing in rather than from a refresh. */
  readonly signedIn: boolean;
  /** Whether the application was told of them. */
  isTold?: boolean;
}

/** What a service account's refresh may fail with and a sign-in would too: nothing was refused. */
const NOT_REFUSED: readonly string[] = ["network", "timeout", "throttled"];

/** Last holder in line for each key of each store that has no lock of its own. */
const queues: WeakMap<ObjectStorageProvider, Map<string, Promise<void>>> = new WeakMap();

/**
 * Runs `body` while nobody else is in it for `key`: whoever shares the store if
 * it has a lock, in this process if it has none.
 *
 * @throws {AuthError} `lock_timeout`; what `body` throws; after an abort, the reason of the signal.
 */
export async function withStorageLock<T>(
  storage: ObjectStorageProvider,
  key: string,
  body: (lease: Lease) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  if (storage.withLock !== undefined) return await storage.withLock(key, body, options);
  let queue = queues.get(storage);
  if (queue === undefined) queues.set(storage, queue = new Map());
  const before = queue.get(key);
  if (before !== undefined && options.timeoutMs === 0) {
    throw new AuthError("lock_timeout", `Try again: this program is at work on "${key}".`);
  }
  const { promise: mine, resolve: done } = Promise.withResolvers<void>();
  const tail = before === undefined ? mine : before.then(() => mine);
  queue.set(key, tail);
  // Whoever gives up waiting stays in line until those before are done.
  tail.then(() => queue.get(key) === tail && queue.delete(key));
  try {
    if (before !== undefined) await abandonable(before, options.signal);
    return await body({ signal: new AbortController().signal });
  } finally {
    done();
  }
}

/** Changes one stored session. */
export class Renewal {
  readonly #session: StoredSession;
  readonly #server: () => Promise<TokenServer>;
  #unsaved: Unsaved | undefined;
  #savingAgain: Promise<void> | undefined;
  #saveAgainMs = FIRST_SAVE_AGAIN_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Makes a renewal of `session`; nothing is read or sent yet. */
  constructor(session: StoredSession, server: () => Promise<TokenServer>) {
    this.#session = session;
    this.#server = server;
  }

  /** Gets tokens that are enough: a sibling's, or new ones, stored. */
  async obtain(need: Need): Promise<void> {
    // A store that cannot even be opened is a mistake to mend, and told.
    await this.#session.store();
    try {
      for (let round = 1; round <= MOST_ROUNDS; round++) {
        const work = (lease: AbortSignal) => this.#obtainLocked(need, lease);
        if (await this.#locked(work, lockOf(need.background))) return;
      }
    } catch (error) {
      if (!this.#session.isService || need.background?.aborted) throw error;
      // A store that fails stops nobody who can sign in again.
      const failure = typed(error);
      // That the program may not use the store it chose is a mistake to mend, and told.
      const isStore = failure instanceof AuthError && failure.code.startsWith("storage_") &&
        !isPermissionError(failure.cause);
      if (!isStore) throw error;
      return await this.#signInUnstored(failure, need);
    } finally {
      // A person's new tokens that no store has got are saved again soon, whatever kept them from it.
      if (this.#unsaved !== undefined && !this.#session.isService) this.#saveAgainSoon();
    }
    throw new AuthError(
      "lock_timeout",
      `Try again: other programs kept changing "${this.#session.tokenKey}" meanwhile.`,
    );
  }

  /** One round under the lock; `false` if somebody else changed the store meanwhile. */
  async #obtainLocked(need: Need, lease: AbortSignal): Promise<boolean> {
    const session = this.#session;
    const found = await session.read();
    let stored = found.kind === "own" ? found.tokens : undefined;
    const unsaved = this.#unsaved;
    if (unsaved !== undefined && (unsaved.base?.sameAs(stored) ?? stored === undefined)) {
      if (!await this.#keep(unsaved, lease, need)) return false;
      if (need.enough(unsaved.tokens)) return true;
      // The store took so long to come back that they are old.
      stored = unsaved.tokens;
    }
    this.#saved();
    if (stored !== undefined && need.enough(stored)) {
      session.adopt(stored);
      return true;
    }
    if (stored === undefined && !session.isService) {
      session.use(undefined);
      throw session.needsPerson(found as Exclude<Found, { kind: "own" }>);
    }
    const renewed = await this.#renew(stored, need.background, lease);
    if (renewed === undefined) return false;
    this.#unsaved = renewed;
    return await this.#keep(renewed, lease, need);
  }

  /** Saves new tokens, then lets them be used; `false` if the lock was lost before. */
  async #keep(unsaved: Unsaved, lease: AbortSignal, need: Need): Promise<boolean> {
    const session = this.#session;
    const { base, signedIn, tokens } = unsaved;
    if (lease.aborted) return false;
    try {
      await session.save(tokens, base, signedIn);
    } catch (error) {
      if (lease.aborted) return false;
      // What a person's one-time token brought is used once it is stored.
      if (!session.isService) throw error;
      this.#saveAgainSoon();
      this.#useUnstored(unsaved, typed(error));
      return true;
    }
    this.#saved();
    session.use(tokens);
    this.#tell(unsaved, need.background !== undefined);
    return true;
  }

  /** Tells the application of new tokens, once. */
  #tell(unsaved: Unsaved, background: boolean): void {
    if (unsaved.isTold) return;
    unsaved.isTold = true;
    const { base, signedIn, tokens } = unsaved;
    const life = lifeOf(tokens);
    this.#session.tell(
      signedIn && (base === undefined || !this.#session.isService)
        ? { type: "login_succeeded", ...life }
        : { type: "token_refreshed", ...life, background },
    );
  }

  /** A service account's sign-in without its store. */
  async #signInUnstored(failure: AuthError, need: Need): Promise<void> {
    const session = this.#session;
    const tokens = this.#unsaved?.tokens;
    if (tokens === undefined || !need.enough(tokens)) {
      session.tell({ type: "login_started" });
      const renewed = await (await this.#server()).clientCredentials(askOf(need.background));
      this.#unsaved = { tokens: renewed, base: undefined, signedIn: true };
    }
    this.#useUnstored(this.#unsaved!, failure);
  }

  #useUnstored(unsaved: Unsaved, failure: unknown): void {
    const session = this.#session;
    const error = failure instanceof AuthError
      ? failure
      : new AuthError("storage_failed", "Check the store of the session.", { cause: failure });
    if (session.notKept === undefined) session.tell({ type: "session_not_kept", code: error.code });
    session.use(unsaved.tokens);
    session.notKept = error;
    this.#tell(unsaved, false);
  }

  /**
   * One renewal at the authorization server; the caller holds the lock.
   * `undefined` if the store has got other tokens meanwhile, or the lock was lost before the request.
   */
  async #renew(
    stored: TokenSet | undefined,
    background: AbortSignal | undefined,
    lease: AbortSignal,
  ): Promise<Unsaved | undefined> {
    const session = this.#session;
    const trouble = await session.readTrouble();
    if (trouble.retryAt !== undefined) {
      const until = new Date(trouble.retryAt).toISOString();
      throw new AuthError(
        "throttled",
        `Wait until ${until}: the authorization server asked for a pause.`,
        { retryAt: trouble.retryAt },
      );
    }
    const { signedIn } = trouble;
    const options = { ...askOf(background), lease };
    const unsaved = await this.#ask(stored, trouble, options).catch(async (error) => {
      if (lease.aborted && error === lease.reason) return "changed" as const;
      if (error instanceof AuthError && error.retryAt !== undefined) {
        await session.writeTrouble({ ...trouble, retryAt: error.retryAt });
      }
      throw error;
    });
    if (unsaved !== undefined) {
      if (trouble.isStored === true) await session.writeTrouble({ signedIn });
      return unsaved === "changed" ? undefined : unsaved;
    }
    if (stored?.refreshToken === undefined) {
      throw session.needsPerson(
        "holds an expired token and no refresh token (ask for the scope offline_access to get one)",
      );
    }
    throw new AuthError(
      "session_expired",
      `Sign in again, with userLogin() or ensureInitialized(): the authorization server has ended the session of profile "${session.profileName}".`,
      { oauthError: "invalid_grant" },
    );
  }

  /** Spends the refresh token if it lives; a service account signs in whatever becomes of that. */
  async #ask(
    stored: TokenSet | undefined,
    trouble: Trouble,
    options: AskOptions,
  ): Promise<Unsaved | "changed" | undefined> {
    const session = this.#session;
    if (stored?.refreshToken !== undefined) {
      const mark = await fingerprint(stored.refreshToken);
      if (mark !== trouble.dead) {
        await this.#probe(trouble);
        try {
          const tokens = await (await this.#server()).refresh(stored, options);
          return { tokens, base: stored, signedIn: false };
        } catch (error) {
          const { lease, signal } = options;
          if (signal?.aborted || lease?.aborted && error === lease.reason) throw error;
          if (!(error instanceof AuthError)) throw error;
          const isDead = error.code === "session_expired";
          if (isDead && await this.#wasSpentBySibling(stored)) return "changed";
          if (!session.isService) {
            if (!isDead) throw error;
            await session.writeTrouble({ ...trouble, dead: mark });
          } else if (NOT_REFUSED.includes(error.code) || error.retryAt !== undefined) throw error;
        }
      }
    }
    if (!session.isService) return undefined;
    session.tell({ type: "login_started" });
    const tokens = await (await this.#server()).clientCredentials(options);
    return { tokens, base: stored, signedIn: true };
  }

  /** Makes sure that the store can be written, before a person's one-time token is spent. */
  async #probe(trouble: Trouble): Promise<void> {
    if (this.#session.isService) return;
    await this.#session.writeTrouble(trouble, true);
    trouble.isStored = true;
  }

  /**
   * Tells whether a sibling that takes no lock, such as the Planet SDK for Python, has spent the
   * refresh token of `spent`: what that brought is in the store, or will be in a moment.
   */
  async #wasSpentBySibling(spent: TokenSet): Promise<boolean> {
    for (const wait of [0, ...SIBLING_WAITS_MS]) {
      // A service account signs in again, and need not wait for anybody.
      if (wait > 0 && this.#session.isService) break;
      if (wait > 0) await this.#session.clock.sleep(wait);
      const found = await this.#session.read();
      if (found.kind !== "own" || !spent.sameAs(found.tokens)) return true;
    }
    return false;
  }

  /** Stores tokens that a person's sign-in brought. */
  async signIn(tokens: TokenSet): Promise<void> {
    const session = this.#session;
    const keep = (found: Found | undefined) => {
      const base = found?.kind === "own" ? found.tokens : undefined;
      // Kept for the next call should the store fail: a person need not sign in twice.
      return this.#unsaved = { tokens, base, signedIn: true };
    };
    let isKept = false;
    try {
      // Nothing is looked at before the lock is held: a renewal that gets it first goes first.
      const stored = await this.#locked(async () => {
        const unsaved = keep(await session.read());
        isKept = true;
        await session.save(tokens, unsaved.base, true);
        await session.writeTrouble({ signedIn: crypto.randomUUID() });
        this.#saved();
        session.use(tokens);
        return unsaved;
      });
      this.#tell(stored, false);
    } catch (error) {
      if (!isKept) keep(await session.read().catch(() => undefined));
      this.#saveAgainSoon();
      throw error;
    }
  }

  /** Runs `body` while nobody else signs this profile in; see `Keeper.alone()`. */
  async signingInAlone<T>(
    body: (lease: Lease) => Promise<T>,
    signal: AbortSignal,
    onWaiting: (() => void) | undefined,
  ): Promise<T> {
    const storage = await this.#session.store();
    const key = profileKey(this.#session.profileName, "login");
    let began = false;
    const begin = async (lease: Lease) => {
      began = true;
      return await body(lease);
    };
    try {
      return await withStorageLock(storage, key, begin, { signal, timeoutMs: 0 });
    } catch (error) {
      const isBusy = error instanceof AuthError && error.code === "lock_timeout";
      if (began || !isBusy) throw error;
    }
    onWaiting?.();
    return await withStorageLock(storage, key, body, { signal, timeoutMs: LONGEST_LOGIN_MS });
  }

  /**
   * Forgets the session and revokes it, each whatever becomes of the other. What is
   * somebody else's is left alone; what cannot be read is set aside.
   *
   * @throws {AuthError} once both were tried, if one failed.
   */
  async end(signal: AbortSignal | undefined): Promise<void> {
    const session = this.#session;
    const unsaved = this.#unsaved?.tokens;
    const before = unsaved ?? session.tokens;
    let tokens = before;
    let isOthers = false;
    let storeFailed: AuthError | undefined;
    /** Forgets what was found; what cannot be looked at may be anybody's, and is not removed. */
    const forget = async (found: Found | undefined): Promise<void> => {
      isOthers = found?.kind === "other";
      if (found?.kind === "own" || found?.kind === "narrow") {
        tokens = unsaved ?? found.tokens;
      }
      this.#saved();
      if (isOthers) return session.use(undefined);
      session.forget(tokens);
      if (found?.kind === "unreadable") await session.setAside();
      else if (found !== undefined) await session.remove();
    };
    const forgetting = this.#locked(async () => await forget(await session.read()));
    try {
      await abandonable(forgetting, signal);
    } catch (error) {
      if (signal?.aborted) throw error;
      storeFailed = typed(error) as AuthError;
      await forget(await session.read().catch(() => undefined)).catch(() => {});
    }
    if (isOthers && before === undefined) return;
    const revoked = await this.#revoke(tokens, signal).catch((error) => error as AuthError);
    session.tell({ type: "logged_out", revoked: revoked === true });
    if (storeFailed !== undefined) {
      const also = revoked === true
        ? "the session was revoked at the server"
        : typeof revoked === "boolean"
        ? "this program has forgotten the session"
        : `this program has forgotten the session (the server could not be told: ${revoked.code})`;
      throw new AuthError(
        storeFailed.code,
        `Look whether the session is still stored, and remove it: ${also}, but the store failed. ${storeFailed.message}`,
        { cause: storeFailed },
      );
    }
    if (typeof revoked !== "boolean") throw revoked;
  }

  /** Revokes a session's tokens (RFC 7009); `false` if the server does not offer that. */
  async #revoke(tokens: TokenSet | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    const token = tokens?.refreshToken ?? tokens?.accessToken;
    if (token === undefined) return false;
    try {
      const server = await this.#server();
      if (!await server.canRevoke(signal)) return false;
      const hint = token === tokens?.refreshToken ? "refresh_token" : "access_token";
      await server.revoke(token, hint, signal);
      return true;
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      // A server need not offer it for access tokens (RFC 7009 §2, §2.2.1).
      const isOffered = error.oauthError !== "unsupported_token_type";
      if (!isOffered && tokens?.refreshToken === undefined) return false;
      throw new AuthError(
        error.code,
        `Signed out on this machine, but the server could not be told; the session ends there by itself. ${error.message}`,
        { ...(error.oauthError === undefined ? {} : { oauthError: error.oauthError }) },
      );
    }
  }

  /** Nothing is left that the store does not have. */
  #saved(): void {
    this.#unsaved = undefined;
    this.#saveAgainMs = FIRST_SAVE_AGAIN_MS;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Saves what the store did not take again, soon and often, for as long as the program lives. */
  #saveAgainSoon(): void {
    if (this.#timer !== undefined || this.#savingAgain !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#savingAgain = this.#saveAgain(0).finally(() => this.#savingAgain = undefined);
    }, this.#saveAgainMs);
    unrefTimer(this.#timer);
    this.#saveAgainMs = Math.min(this.#saveAgainMs * 2, LONGEST_SAVE_AGAIN_MS);
  }

  async #saveAgain(timeoutMs: number): Promise<void> {
    const session = this.#session;
    try {
      await this.#locked(async (lease) => {
        const unsaved = this.#unsaved;
        if (unsaved === undefined) return;
        const found = await session.read();
        const stored = found.kind === "own" ? found.tokens : undefined;
        // Somebody else's newer tokens are what the next renewal finds.
        if (!(unsaved.base?.sameAs(stored) ?? stored === undefined)) return;
        if (lease.aborted) return;
        await session.save(unsaved.tokens, unsaved.base, unsaved.signedIn);
        this.#saved();
        session.use(unsaved.tokens);
        this.#tell(unsaved, true);
      }, { timeoutMs });
    } catch {
      // Not yet.
    }
    if (this.#unsaved !== undefined) queueMicrotask(() => this.#saveAgainSoon());
  }

  /** Waits for a save that is under way, and tries one that is due at once. */
  async settled(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#savingAgain;
    if (this.#unsaved === undefined) return;
    await this.#saveAgain(BACKGROUND_MS);
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #locked<T>(
    body: (lease: AbortSignal) => Promise<T>,
    options: LockOptions = { timeoutMs: LOCK_TIMEOUT_MS },
  ): Promise<T> {
    const { tokenKey } = this.#session;
    const storage = await this.#session.store();
    return await withStorageLock(storage, tokenKey, ({ signal }) => body(signal), options);
  }
}

function askOf(background: AbortSignal | undefined): AskOptions {
  return background === undefined ? {} : { signal: background, background: true };
}

/** What is done behind the callers' backs takes the lock only if it is free. */
function lockOf(background: AbortSignal | undefined): LockOptions {
  return background === undefined
    ? { timeoutMs: LOCK_TIMEOUT_MS }
    : { timeoutMs: 0, signal: background };
}
