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

import { abandonable } from "../waiting.ts";
import { AuthError, PlanetError } from "../errors.ts";
import type { AuthEvent } from "../events.ts";
import type { ObjectStorageProvider } from "../storage/objects.ts";
import { TokenSet } from "../token.ts";
import type { KeeperEvent, Renewer } from "./renewer.ts";
import type { KeeperOptions, KnownState } from "./types.ts";

/** Pauses between renewals that failed in the background, in milliseconds. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 300_000;

/** How long a replacement that an API refused at once is not replaced in turn, in milliseconds. */
const HOPELESS_MS = 60_000;

/** What precedes the token in the header (RFC 6750 §2.1). */
const SCHEME = "Bearer ";

/** Member that marks an emptied token object in a store that cannot delete. */
export const LOGGED_OUT = "_logged_out";

/** The error of a store of the application's own, which may be any. */
function typed(error: unknown): PlanetError {
  return error instanceof PlanetError ? error : new AuthError(
    "storage_failed",
    "Check the store of the session: it failed, with an error of its own.",
    { cause: error },
  );
}

function fail(error: unknown): never {
  throw typed(error);
}

/** Keeps one sign-in alive. */
export class Keeper {
  readonly #options: KeeperOptions;
  #tokens: TokenSet | undefined;
  #header = "";
  #refreshAtMs = 0;
  #expiresAtMs = 0;
  /** How often the tokens were replaced: what was read before that, without a lock, is old. */
  #changes = 0;
  /** How far the server's clock is ahead, as its last answer showed. */
  #aheadMs = 0;
  /** A header that replaced a refused one and was refused at once, and when. */
  #hopeless: string | undefined;
  #hopelessAtMs = 0;
  #flight: Promise<void> | undefined;
  #renewer: Promise<Renewer> | undefined;
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
      const begun = this.#renewBehind(now);
      if (begun === undefined || this.#options.endsWithCaller !== true) return this.#header;
      return abandonable(begun, signal).then(() => this.#header || this.authorization(signal));
    }
    // Signed out meanwhile: asking again says so.
    return this.#renew(undefined, signal).then(() => this.#header || this.authorization(signal));
  }

  /** The access token itself; see {@linkcode Keeper.authorization}. */
  accessToken(signal?: AbortSignal): string | Promise<string> {
    const header = this.authorization(signal);
    if (typeof header === "string") return header.slice(SCHEME.length);
    return header.then((value) => value.slice(SCHEME.length));
  }

  /**
   * A header value in place of `rejected`, which an API refused; `undefined`
   * where there is none to be had for now.
   *
   * @throws {AuthError} `session_expired`, `login_required`, `client_rejected`: the session is over.
   */
  async replace(rejected: string, signal?: AbortSignal): Promise<string | undefined> {
    const sinceMs = this.#options.clock.now() - this.#hopelessAtMs;
    // A clock that was set back says nothing.
    if (rejected === this.#hopeless && sinceMs >= 0 && sinceMs < HOPELESS_MS) return undefined;
    try {
      await this.#renewOther(rejected, signal);
    } catch (error) {
      const over = ["client_rejected", "login_required", "session_expired"];
      if (!(error instanceof AuthError) || over.includes(error.code)) throw error;
      return undefined;
    }
    return this.#header === rejected || this.#header === "" ? undefined : this.#header;
  }

  /** Notes that an API refused a replacement at its first use: renewing it for every call would not help. */
  refusedAtOnce(replacement: string): void {
    this.#hopeless = replacement;
    this.#hopelessAtMs = this.#options.clock.now();
  }

  /** Gets another token than the one last handed out, whatever is left of its life. */
  async forceRefresh(signal?: AbortSignal): Promise<void> {
    if (this.#tokens === undefined) await abandonable(this.#peek(), signal);
    await this.#renewOther(this.#header, signal);
  }

  /** Makes sure that there is a session which can be used, at the price of one renewal at most. */
  async ensure(signal?: AbortSignal): Promise<void> {
    const { state, tokens } = await abandonable(this.known(), signal);
    // With nothing but a refresh token stored, the first request renews.
    const resting = tokens !== undefined && tokens.accessToken === undefined &&
      tokens.refreshToken !== undefined && state !== "dead";
    if (state === "valid" || state === "refresh_due" || resting) return;
    if (this.#options.renewal.login === undefined) await this.#renew(undefined, signal);
  }

  /** What is known of the session without asking the authorization server. */
  async known(): Promise<KnownState> {
    let tokens: TokenSet | undefined;
    try {
      tokens = await this.#peek();
    } catch (error) {
      if (!(error instanceof AuthError) || error.code !== "storage_corrupt") throw error;
      return { state: "corrupt" };
    }
    if (tokens === undefined) return { state: "none" };
    const { clock, tokenKey } = this.#options;
    const now = clock.now();
    if (now < tokens.refreshAtMs) return { state: "valid", tokens };
    const { fingerprint, readFailures } = await import("./failures.ts");
    const { dead, retryAt } = await readFailures(await this.#options.storage(), tokenKey, now) ??
      {};
    const shown = retryAt === undefined ? { tokens } : { tokens, retryAt };
    if (now < tokens.expiresAtMs) return { state: "refresh_due", ...shown };
    const { refreshToken } = tokens;
    const isDead = refreshToken !== undefined && dead === await fingerprint(refreshToken);
    return { state: isDead ? "dead" : "expired", ...shown };
  }

  /** What the store holds, whatever this process has in memory; unreadable tokens are none. */
  async stored(): Promise<TokenSet | undefined> {
    try {
      return await this.#read(await this.#options.storage());
    } catch (error) {
      if (error instanceof AuthError && error.code === "storage_corrupt") return undefined;
      throw error;
    }
  }

  /** Takes over a living session that a sibling stored in place of `before`, if there is one. */
  async adoptSibling(before: TokenSet | undefined): Promise<boolean> {
    const { clock } = this.#options;
    const seen = this.#changes;
    const stored = await this.stored();
    if (seen !== this.#changes) return await this.adoptSibling(before);
    if (stored === undefined || stored.sameAs(before)) return false;
    if (clock.now() >= stored.expiresAtMs) return false;
    this.#adopted(stored);
    return true;
  }

  /** Stores tokens that a person's sign-in brought, and uses them from now on. */
  async signIn(tokens: TokenSet): Promise<void> {
    await (await this.#loadRenewer()).signIn(await this.#options.storage(), tokens).catch(fail);
  }

  /** Puts a token object that cannot be read out of the way, under another name. */
  async setAside(): Promise<void> {
    await (await this.#loadRenewer()).setAside(await this.#options.storage()).catch(fail);
  }

  /** Forgets the session here and in the store; returns what it was, so that it can be revoked. */
  async forget(): Promise<TokenSet | undefined> {
    return await (await this.#loadRenewer()).forget(await this.#options.storage()).catch(fail);
  }

  /** Living tokens of memory, or else those stored; read only, and without a lock. */
  async #peek(): Promise<TokenSet | undefined> {
    const { clock, storage } = this.#options;
    if (this.#tokens !== undefined && clock.now() < this.#expiresAtMs) return this.#tokens;
    const seen = this.#changes;
    const stored = await this.#read(await storage());
    if (seen !== this.#changes) return await this.#peek();
    if (stored !== undefined) this.#adopted(stored);
    return stored;
  }

  /**
   * Reads what is stored; its times are those of the server's clock.
   *
   * @throws {AuthError} `storage_corrupt` where what lies there is no token object.
   */
  async #read(storage: ObjectStorageProvider): Promise<TokenSet | undefined> {
    const { clock, tokenKey } = this.#options;
    try {
      const stored = await storage.load(tokenKey);
      // A store of the application's own may say null for what is not there.
      if (stored === undefined || stored === null || stored[LOGGED_OUT] === true) return undefined;
      const tokens = TokenSet.fromStored(stored, clock.now(), tokenKey);
      return this.#aheadMs === 0 ? tokens : tokens.byClockAhead(this.#aheadMs);
    } catch (error) {
      fail(error);
    }
  }

  /** Joins the renewal that is under way, or starts one. */
  #renew(rejected: string | undefined, signal?: AbortSignal): Promise<void> {
    return abandonable(this.#flight ?? this.#start(rejected, false), signal);
  }

  /** Gets another token than that of `rejected`, once for all who were refused with it. */
  async #renewOther(rejected: string, signal?: AbortSignal): Promise<void> {
    if (this.#flight !== undefined) {
      // What is under way may be what the caller needs; its failure is not the caller's.
      await abandonable(this.#flight.catch(() => {}), signal);
    }
    if (this.#header !== rejected && this.#options.clock.now() < this.#expiresAtMs) return;
    await this.#renew(rejected.slice(SCHEME.length), signal);
  }

  /** Starts a renewal that nobody waits for, unless one runs or failed just now. */
  #renewBehind(now: number): Promise<void> | undefined {
    if (this.#flight !== undefined || now < this.#quietUntilMs) return;
    return this.#start(undefined, true).catch(() => {});
  }

  /** Starts a renewal, and has the runtime see it through whoever goes meanwhile. */
  #start(rejected: string | undefined, background: boolean): Promise<void> {
    const flight = this.#flight = this.#fly(rejected, background);
    try {
      this.#options.waitUntil?.(flight.catch(() => {}));
    } catch {
      // A runtime that takes no more work renews at the next call.
    }
    return flight;
  }

  async #fly(rejected: string | undefined, background: boolean): Promise<void> {
    try {
      await this.#obtain(rejected, background);
      this.#pauseMs = 0;
    } catch (error) {
      const failure = typed(error);
      this.#rest(failure, background);
      throw failure;
    } finally {
      this.#flight = undefined;
    }
  }

  async #obtain(rejected: string | undefined, background: boolean): Promise<void> {
    const { clock, storage: open } = this.#options;
    const storage = await open();
    const enough = (tokens: TokenSet | undefined): tokens is TokenSet =>
      tokens?.accessToken !== undefined && tokens.accessToken !== rejected &&
      clock.now() < (background ? tokens.refreshAtMs : tokens.expiresAtMs);
    // A store without a lock is read once, where a renewal would begin.
    if (this.#renewer === undefined || storage.withLock !== undefined) {
      const seen = this.#changes;
      const stored = await this.#read(storage).catch((error) => {
        if (this.#options.renewal.login === undefined) throw error;
      });
      const isOld = seen !== this.#changes;
      if (stored !== undefined && enough(stored) && !isOld) return this.#adopted(stored);
    }
    await (await this.#loadRenewer()).obtain(storage, { enough, background });
  }

  /** Keeps the background quiet for a while after a failure. */
  #rest(error: unknown, background: boolean): void {
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    const { code, retryAt } = error instanceof AuthError
      ? error
      : { code: "storage_failed" as const, retryAt: undefined };
    // A dead refresh token does not come back to life; a new sign-in ends the quiet.
    const until = code === "session_expired"
      ? Number.POSITIVE_INFINITY
      : retryAt ?? this.#options.clock.now() + this.#pauseMs;
    this.#quietUntilMs = until;
    this.#tell({
      type: "refresh_failed",
      code,
      background,
      ...(Number.isFinite(until) ? { retryAt: until } : {}),
    });
  }

  #loadRenewer(): Promise<Renewer> {
    return this.#renewer ??= import("./renewer.ts").then(({ Renewer }) =>
      new Renewer(this.#options, {
        read: (storage) => this.#read(storage),
        use: (tokens) => this.#use(tokens),
        adopted: (tokens) => this.#adopted(tokens),
        tell: (event) => this.#tell(event),
      })
    );
  }

  #adopted(tokens: TokenSet): void {
    const before = this.#tokens;
    this.#use(tokens);
    if (before === undefined || tokens.sameAs(before)) return;
    this.#tell({
      type: "token_adopted",
      ...(tokens.expiresAt === undefined ? {} : { expiresAt: tokens.expiresAt }),
    });
  }

  #use(tokens: TokenSet | undefined): void {
    this.#changes++;
    if (tokens !== undefined) this.#aheadMs = tokens.aheadMs;
    if (tokens === undefined || !tokens.sameAs(this.#tokens)) this.#quietUntilMs = 0;
    this.#tokens = tokens;
    this.#header = tokens?.accessToken === undefined ? "" : SCHEME + tokens.accessToken;
    this.#refreshAtMs = tokens?.refreshAtMs ?? 0;
    this.#expiresAtMs = tokens?.expiresAtMs ?? 0;
  }

  #tell(event: KeeperEvent): void {
    try {
      this.#options.onEvent?.({ ...event, profileName: this.#options.profileName } as AuthEvent);
    } catch {
      // An observer's failure must not cost the session.
    }
  }
}
