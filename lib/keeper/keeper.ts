/**
 * Keeps one sign-in alive: hands out its token, and has it renewed in time.
 *
 * A fresh token is handed out from memory. From 3/4 of its life on it is still
 * handed out at once, and renewed behind the callers' backs. Once it is expired
 * all callers share one renewal. No timers: what has to happen happens when
 * somebody calls.
 *
 * @module
 */

import type { ClientSettings } from "../setup.ts";
import { AuthError } from "../errors.ts";
import type { UnnamedEvent } from "../events.ts";
import { abandonable, type Clock, unrefTimer } from "../runtime.ts";
import type { Lease } from "../storage/objects.ts";
import type { TokenSet } from "../token.ts";
import type { Renewal, TokenServer } from "./renewal.ts";
import {
  BACKGROUND_MS,
  fingerprint,
  type Found,
  SCHEME,
  type StoredSession,
  typed,
} from "./stored_session.ts";

/** Pauses after failures, in milliseconds. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

const PAUSING: readonly string[] = [
  "client_rejected",
  "issuer_mismatch",
  "malformed_response",
  "server_error",
  "throttled",
];

/**
 * Whether callers who wait are paused too: the server was reached, and cannot or will not. A dead
 * refresh token is remembered in the store.
 */
function isPausing({ code, oauthError }: AuthError): boolean {
  return PAUSING.includes(code) || (oauthError !== undefined && code !== "session_expired");
}

/** How long a session is in use before it is renewed behind its callers' backs, in milliseconds. */
const IN_USE_MS = 30_000;

/** How long a replacement that an API refused at once is not replaced in turn, in milliseconds. */
const HOPELESS_MS = 60_000;

/** What a keeper stands on. */
export interface KeeperOptions<Server extends TokenServer> {
  /** Opens the client of the authorization server; asked at each use, so it remembers. */
  readonly server: () => Promise<Server>;
  /** Is handed every renewal, which others may wait for when its first caller has gone. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
  /** Whether what a caller began ends when it has its answer, as on the edge; default false. */
  readonly endsWithCaller?: boolean;
}

/**
 * How a session's tokens stand. `none`: there are no tokens of this client. `valid`,
 * `refresh_due` (past 3/4 of its life), `expired`: the access token. `dead`: expired, and the
 * refresh token was refused. `corrupt`: what is stored cannot be read.
 *
 * @category Events and reports
 */
export type TokenState = "none" | "valid" | "refresh_due" | "expired" | "dead" | "corrupt";

/** What is known of a session without asking the authorization server. */
export interface KnownState {
  /** How the tokens stand. */
  readonly state: TokenState;
  /** The tokens, if there are any. */
  readonly tokens?: TokenSet;
  /** Until when no token is asked for, in epoch milliseconds. */
  readonly retryAt?: number;
  /** What else there is to say: whose session is stored, why this one is not kept. */
  readonly notes: readonly string[];
}

/** A failure, and until when it holds. */
interface Pause {
  readonly error: AuthError;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Keeps one sign-in alive. */
export class Keeper<Server extends TokenServer = TokenServer> {
  readonly #session: StoredSession;
  readonly #options: KeeperOptions<Server>;
  #flight: Promise<void> | undefined;
  /** The same, while nobody waits for it. */
  #behind: Promise<void> | undefined;
  #renewal: Promise<Renewal> | undefined;
  #pause: Pause | undefined;
  #pauseMs = 0;
  /** A header that replaced a refused one and was refused at once, and when. */
  #hopeless: string | undefined;
  #hopelessAtMs = 0;

  /** Keeps `session`; nothing is read or sent yet. */
  constructor(session: StoredSession, options: KeeperOptions<Server>) {
    this.#session = session;
    this.#options = options;
  }

  /** The header value to send: at once while the token lives, else after a renewal. */
  authorization(signal?: AbortSignal): string | Promise<string> {
    const session = this.#session;
    const now = session.clock.now();
    if (now < session.refreshAtMs) return session.header;
    if (now < session.expiresAtMs) {
      const begun = this.#renewBehind(now);
      if (begun === undefined || this.#options.endsWithCaller !== true) return session.header;
      return abandonable(begun, signal).then(() => session.header || this.authorization(signal));
    }
    // Signed out meanwhile: asking again says so.
    return this.#renew(undefined, signal).then(() => session.header || this.authorization(signal));
  }

  /** The access token itself; see {@linkcode Keeper.authorization}. */
  accessToken(signal?: AbortSignal): string | Promise<string> {
    const header = this.authorization(signal);
    if (typeof header === "string") return header.slice(SCHEME.length);
    return header.then((value) => value.slice(SCHEME.length));
  }

  /**
   * A header value in place of `rejected`, which an API refused; `undefined`
   * if there is none to be had for now.
   *
   * @throws {AuthError} `session_expired`, `login_required`, `client_rejected`: the session is over.
   */
  async replace(rejected: string, signal?: AbortSignal): Promise<string | undefined> {
    const session = this.#session;
    const sinceMs = session.clock.now() - this.#hopelessAtMs;
    // A clock that was set back says nothing.
    if (rejected === this.#hopeless && sinceMs >= 0 && sinceMs < HOPELESS_MS) return undefined;
    try {
      await this.#renewOther(rejected, signal);
    } catch (error) {
      const over = ["client_rejected", "login_required", "session_expired"];
      if (!(error instanceof AuthError) || over.includes(error.code)) throw error;
      return undefined;
    }
    return session.header === rejected || session.header === "" ? undefined : session.header;
  }

  /** Notes that an API refused a replacement at its first use: renewing it for every call would not help. */
  refusedAtOnce(replacement: string): void {
    this.#hopeless = replacement;
    this.#hopelessAtMs = this.#session.clock.now();
  }

  /** Gets another token than the one last handed out, whatever is left of its life. */
  async forceRefresh(signal?: AbortSignal): Promise<void> {
    if (this.#session.tokens === undefined) await abandonable(this.known(), signal);
    await this.#renewOther(this.#session.header, signal);
  }

  /** Makes sure that there is a session which can be used, at the price of one renewal at most. */
  async ensure(signal?: AbortSignal): Promise<void> {
    const { state, tokens } = await abandonable(this.known(), signal);
    // With nothing but a refresh token stored, the first request renews.
    const resting = tokens !== undefined && tokens.accessToken === undefined &&
      tokens.refreshToken !== undefined && state !== "dead";
    if (state === "valid" || state === "refresh_due" || resting) return;
    if (!this.#session.isService) await this.#renew(undefined, signal);
  }

  /**
   * What is known of the session without asking the authorization server. A store that fails is
   * an error for a person's session alone.
   */
  async known(): Promise<KnownState> {
    const session = this.#session;
    const notes: string[] = [];
    const found = await this.#peek().catch((error): Found => {
      if (!session.isService) throw error;
      notes.push(`the store cannot be read: ${typed(error).message}`);
      return { kind: "none" };
    });
    if (session.notKept !== undefined) {
      notes.push(`the session is not kept: ${session.notKept.message}`);
    }
    const now = session.clock.now();
    const paused = this.#pausedUntil(now);
    const retryAt = paused === undefined ? {} : { retryAt: paused.untilMs };
    if (found.kind === "unreadable") return { state: "corrupt", notes };
    if (found.kind !== "own") {
      if (found.kind !== "none") notes.push(`the stored session ${found.words}`);
      return { state: "none", notes, ...retryAt };
    }
    const { tokens } = found;
    if (now < tokens.refreshAtMs) return { state: "valid", tokens, notes };
    const trouble = await session.readTrouble();
    if (trouble.retryAt !== undefined) {
      retryAt.retryAt = Math.max(trouble.retryAt, retryAt.retryAt ?? 0);
    }
    if (now < tokens.expiresAtMs) return { state: "refresh_due", tokens, notes, ...retryAt };
    const { refreshToken } = tokens;
    const isDead = refreshToken !== undefined && trouble.dead === await fingerprint(refreshToken);
    return { state: isDead ? "dead" : "expired", tokens, notes, ...retryAt };
  }

  /** Waits until what goes on behind the callers' backs is over, well or not. */
  async settled(): Promise<void> {
    await this.#flight?.catch(() => {});
    await (await this.#renewal)?.settled();
  }

  /** Forgets the session and revokes it; see {@linkcode Renewal.end}. */
  async logout(signal?: AbortSignal): Promise<void> {
    await (await this.#loadRenewal()).end(signal);
  }

  /** Name of the profile. */
  get profileName(): string {
    return this.#session.profileName;
  }

  /** The client that signs in. */
  get client(): ClientSettings {
    return this.#session.client;
  }

  /** Time. */
  get clock(): Clock {
    return this.#session.clock;
  }

  /** The client of the authorization server. */
  oauth(): Promise<Server> {
    return this.#options.server();
  }

  /** Tells the application what happened. */
  tell(event: UnnamedEvent): void {
    this.#session.tell(event);
  }

  /**
   * Runs `body` while nobody else who shares the store signs this profile in; `onWaiting` is
   * called once if somebody does.
   */
  async alone<T>(
    body: (lease: Lease) => Promise<T>,
    { onWaiting, signal }: { signal: AbortSignal; onWaiting?: () => void },
  ): Promise<T> {
    return await (await this.#loadRenewal()).signingInAlone(body, signal, onWaiting);
  }

  /** A mark of the last sign-in that was stored; a renewal does not change it. */
  async signInMark(): Promise<string | undefined> {
    return (await this.#session.readTrouble()).signedIn;
  }

  /** Takes over a living session that another program signed in to since `mark`, if there is one. */
  async adoptSignIn(mark: string | undefined): Promise<boolean> {
    const session = this.#session;
    const { signedIn } = await session.readTrouble();
    if (signedIn === undefined || signedIn === mark) return false;
    const found = await session.read();
    if (found.kind !== "own" || session.clock.now() >= found.tokens.expiresAtMs) return false;
    session.adopt(found.tokens);
    return true;
  }

  /** Stores tokens that a person's sign-in brought, and uses them from now on. */
  async signIn(tokens: TokenSet): Promise<void> {
    await (await this.#loadRenewal()).signIn(tokens).catch((error) => {
      throw typed(error);
    });
    this.#pause = undefined;
    this.#pauseMs = 0;
  }

  /** Where the session is kept, in words for a person. */
  async keptWhere(): Promise<{ durable: boolean; words: string }> {
    const { advice, durable, kind, location, reason } = await this.#session.place();
    if (!durable) return { durable, words: advice ? `to keep it, ${advice}` : reason };
    const folder = kind === "file" ? `/.planet/${this.profileName}` : "";
    const words = location === undefined
      ? "in the application's own store"
      : `in ${location}${folder}`;
    return { durable, words };
  }

  /** Living tokens of memory, or else what is stored; read only, and without a lock. */
  async #peek(): Promise<Found> {
    const session = this.#session;
    const { tokens } = session;
    if (tokens !== undefined && session.clock.now() < session.expiresAtMs) {
      return { kind: "own", tokens };
    }
    const seen = session.changes;
    const found = await session.read();
    if (seen !== session.changes) return await this.#peek();
    if (found.kind === "own") session.adopt(found.tokens);
    return found;
  }

  /** Joins the renewal that is under way, or starts one. */
  async #renew(rejected: string | undefined, signal?: AbortSignal): Promise<void> {
    const behind = this.#behind;
    if (behind !== undefined) {
      // It gives up sooner than somebody who waits: that it failed is not yet an answer.
      const isDone = await abandonable(behind.then(() => true, () => false), signal);
      if (isDone) return;
    }
    return await abandonable(this.#flight ?? this.#start(rejected), signal);
  }

  /** Gets another token than that of `rejected`, once for all who were refused with it. */
  async #renewOther(rejected: string, signal?: AbortSignal): Promise<void> {
    if (this.#flight !== undefined) {
      // What is under way may be what the caller needs; its failure is not the caller's.
      await abandonable(this.#flight.catch(() => {}), signal);
    }
    const session = this.#session;
    if (session.header !== rejected && session.clock.now() < session.expiresAtMs) return;
    await this.#renew(rejected.slice(SCHEME.length), signal);
  }

  /**
   * Starts a renewal that nobody waits for: the rule *Ends*. Not for a program that has just
   * started, and not while one runs or failed just now.
   */
  #renewBehind(now: number): Promise<void> | undefined {
    if (this.#flight !== undefined || this.#pausedUntil(now) !== undefined) return;
    const inUseMs = now - this.#session.inUseSinceMs(now);
    if (this.#options.waitUntil === undefined && inUseMs < IN_USE_MS) return;
    const limit = new AbortController();
    const timer = setTimeout(() => {
      limit.abort(
        new AuthError("timeout", `Renewing took longer than ${BACKGROUND_MS / 1000} s.`),
      );
    }, BACKGROUND_MS);
    unrefTimer(timer);
    this.#behind = this.#start(undefined, limit.signal).finally(() => {
      clearTimeout(timer);
      this.#behind = undefined;
    });
    return this.#behind.catch(() => {});
  }

  /** Starts a renewal, and has the runtime see it through whoever goes meanwhile. */
  #start(rejected: string | undefined, background?: AbortSignal): Promise<void> {
    const flight = this.#flight = this.#fly(rejected, background);
    try {
      this.#options.waitUntil?.(flight.catch(() => {}));
    } catch {
      // A runtime that takes no more work renews at the next call.
    }
    return flight;
  }

  async #fly(rejected: string | undefined, background?: AbortSignal): Promise<void> {
    try {
      await this.#obtain(rejected, background);
      this.#pause = undefined;
      this.#pauseMs = 0;
    } catch (error) {
      const failure = typed(error);
      const isBusy = failure instanceof AuthError && failure.code === "lock_timeout";
      // Another program renews: what it stores is found at the next call.
      if (background !== undefined && isBusy) throw failure;
      throw this.#rest(failure, background !== undefined);
    } finally {
      this.#flight = undefined;
    }
  }

  async #obtain(rejected: string | undefined, background?: AbortSignal): Promise<void> {
    const session = this.#session;
    const { clock } = session;
    const enough = (tokens: TokenSet): boolean =>
      tokens.accessToken !== undefined && tokens.accessToken !== rejected &&
      clock.now() < (background === undefined ? tokens.expiresAtMs : tokens.refreshAtMs);
    const paused = this.#pausedUntil(clock.now());
    const mustRead = this.#renewal === undefined || paused !== undefined;
    // A store without a lock is read once, when a renewal would begin.
    if (mustRead || (await session.store()).withLock !== undefined) {
      const seen = session.changes;
      const found = await session.read().catch((error) => {
        // It signs in by itself, whatever becomes of its store.
        if (!session.isService) throw error;
      });
      const isOld = seen !== session.changes;
      if (found?.kind === "own" && enough(found.tokens) && !isOld) {
        return session.adopt(found.tokens);
      }
    }
    if (paused !== undefined && background === undefined && isPausing(paused.error)) {
      throw paused.error;
    }
    const renewal = await this.#loadRenewal();
    const need = background === undefined ? { enough } : { enough, background };
    await abandonable(renewal.obtain(need), background);
  }

  /** The failure that still holds: the rule *Pauses*. A clock that was set back ends it. */
  #pausedUntil(now: number): Pause | undefined {
    const pause = this.#pause;
    return pause !== undefined && now < pause.untilMs && now >= pause.fromMs ? pause : undefined;
  }

  /** Remembers a failure for a while: calls meanwhile get the error that is returned. */
  #rest(failure: Error, background: boolean): AuthError {
    const session = this.#session;
    const now = session.clock.now();
    const error = failure instanceof AuthError
      ? failure
      : new AuthError("storage_failed", "Check the store of the session.", { cause: failure });
    // One that was handed out again begins no longer pause.
    if (error === this.#pausedUntil(now)?.error) return error;
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    // A dead refresh token does not come back to life; a new sign-in ends the quiet.
    const untilMs = error.code === "session_expired"
      ? Number.POSITIVE_INFINITY
      : error.retryAt ?? now + this.#pauseMs;
    const until = Number.isFinite(untilMs) ? { retryAt: untilMs } : {};
    const { cause, code, message, oauthError } = error;
    const again = error.retryAt !== undefined || !isPausing(error) ? error : new AuthError(
      code,
      message,
      { cause, ...until, ...(oauthError === undefined ? {} : { oauthError }) },
    );
    this.#pause = { error: again, fromMs: now, untilMs };
    session.tell({ type: "refresh_failed", code, background, ...until });
    return again;
  }

  #loadRenewal(): Promise<Renewal> {
    return this.#renewal ??= import("./renewal.ts")
      .then(({ Renewal }) => new Renewal(this.#session, this.#options.server));
  }
}
