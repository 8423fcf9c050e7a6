/**
 * Every error class and code of this library; imports nothing.
 *
 * Callers branch on `code` (or `status`), never on `message`. A message says
 * what to do, then what was found; it never holds a token, code, verifier or
 * secret.
 *
 * @module
 */

/**
 * Why signing in, refreshing or storing failed. A value changes its meaning
 * only in a major release.
 *
 * What each means. Below it, what a person can meet while signing in, word for word, and the next
 * step; `…` stands for a name, an address or a number.
 *
 * - `access_denied`: the person said no.
 *   "Sign in again and choose Allow: sign-in was denied in the browser, by you or by a rule of
 *   your organisation." Next: sign in again; ask your administrator if Allow is not offered.
 * - `client_rejected`: the server does not accept the client ID, secret, scopes or callback URL.
 *   "Check the client ID, client secret, scopes and callback URL: … said "…"." Next: compare
 *   with what is registered; the server's word says which.
 * - `device_code_expired`: the code was not confirmed in time.
 *   "Start signing in again and confirm the new code sooner: this one was not confirmed in
 *   time." Next: run again.
 * - `invalid_argument`: an option is wrong, and the message names it; a wrong type is a
 *   `TypeError`.
 *   "Set callbackUrl to http://localhost:PORT/PATH (or 127.0.0.1, [::1]), https://… or
 *   com.example.app:/PATH, as it is registered: …." Next: mend the option that the message names;
 *   nothing was opened or sent.
 * - `invalid_token`: a token does not hold what was asked of it (`validateAccessToken()`).
 * - `issuer_mismatch`: the answer belongs to another server.
 *   "Sign in again, and report this if it stays: the answer in the browser came from another
 *   authorization server than the one that was asked, or did not name it." Next: do not go on in
 *   that browser tab; sign in again.
 * - `lock_timeout`: another program holds the session's lock for too long.
 * - `login_cancelled`: the person cancelled the login.
 *   "Start signing in again when you are ready: Ctrl-C cancelled it." Next: run again when
 *   ready.
 * - `login_required`: a person must sign in: there is no session.
 *   "Sign in first, with userLogin() or ensureInitialized(): profile "…" has no session." Next:
 *   let the program sign in.
 * - `login_timeout`: nobody finished the login in time, or what was begun is too old to complete.
 *   "Start signing in again: nobody finished it within … s." Next: run again; `timeoutMs` gives
 *   more time.
 * - `malformed_response`: the server's answer is not as the standard has it.
 *   "Report this to the operator of the authorization server: … is not as the standard has it
 *   (…)." Next: check `environment`; a proxy may answer in the server's place.
 * - `network`: there is no connection; try again.
 *   "Check the network, or try again later: no connection to …." Next: check network, proxy and
 *   VPN.
 * - `port_in_use`: another program listens on the callback's port.
 *   "Stop the program that listens on port … of this computer (perhaps another sign-in that
 *   still waits), or register and set a callbackUrl with another port: port … is in use." Next:
 *   end the other program, or use port 0 or another one.
 * - `server_error`: the server failed; try again, at `retryAt` if it is given.
 *   "Try again later: … answered …." Next: wait; device logins wait by themselves.
 * - `session_expired`: a person must sign in: the server has ended the session.
 *   "Sign in again, with userLogin() or ensureInitialized(): the authorization server has ended
 *   the session of profile "…"." Next: sign in again.
 * - `state_mismatch`: the answer belongs to another login, or was redeemed already.
 *   "Start signing in again: the answer does not belong to this sign-in (state differs)." Next:
 *   sign in again, from the newest tab.
 * - `storage_corrupt`: what is stored cannot be read.
 * - `storage_denied`: the store may not be used.
 * - `storage_failed`: the store cannot be used.
 * - `storage_not_found`: what should be stored is not there.
 * - `throttled`: the server asks for a pause; try again at `retryAt`, or after a minute.
 *   "Wait before trying again: … is throttling." Next: wait until `retryAt`, or a minute.
 * - `timeout`: there was no answer in time; try again.
 *   "Try again, or check the network: … did not answer within 30 s." Next: check network, proxy
 *   and VPN.
 * - `unsupported_runtime`: this cannot be done here, or not without the flag that is named; nobody
 *   can be asked to sign in, without a terminal and a browser.
 *   "Register and set a callbackUrl with another port, or sign in with a device code: this
 *   computer does not let the program listen on …, port …." Next: another port, or
 *   `Auth.fromOAuthUserDeviceCode()`.
 * - `untrusted_origin`: the URL must not get the token.
 *
 * A wrong `state` in the browser ends nothing: that tab says that it has expired, and the sign-in
 * goes on.
 *
 * @category Errors
 */
export type AuthErrorCode =
  | "access_denied"
  | "client_rejected"
  | "device_code_expired"
  | "invalid_argument"
  | "invalid_token"
  | "issuer_mismatch"
  | "lock_timeout"
  | "login_cancelled"
  | "login_required"
  | "login_timeout"
  | "malformed_response"
  | "network"
  | "port_in_use"
  | "server_error"
  | "session_expired"
  | "state_mismatch"
  | "storage_corrupt"
  | "storage_denied"
  | "storage_failed"
  | "storage_not_found"
  | "throttled"
  | "timeout"
  | "unsupported_runtime"
  | "untrusted_origin";

/** Marks the classes of this file, so that two copies of the package in one program understand each other. */
const KIND: unique symbol = Symbol.for("@planet-community/planet.error") as never;

/** The kind of a class of this file, told by its prototype alone, not by those that it extends. */
function kindOf(prototype: object): unknown {
  return Object.hasOwn(prototype, KIND) ? (prototype as Record<symbol, unknown>)[KIND] : undefined;
}

/**
 * Base of every error that this library defines: catch it to tell them from others.
 *
 * @category Errors
 */
export class PlanetError extends Error {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "PlanetError";

  /** Whether `value` is an error of this class, or of the same class of another copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    const kind = kindOf(this.prototype);
    if (kind === undefined || typeof value !== "object") return false;
    for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
      if (kindOf(at) === kind) return true;
    }
    return false;
  }
}

/**
 * Options of an {@linkcode AuthError}: what it may carry besides its message.
 *
 * @category Errors
 */
export interface AuthErrorOptions extends ErrorOptions {
  /** `error` of the authorization server's answer (RFC 6749 §5.2), where there was one. */
  oauthError?: string | undefined;
  /** Earliest time at which asking again makes sense, in epoch milliseconds. */
  retryAt?: number | undefined;
}

/**
 * Signing in, refreshing or storing a session failed; `code` says why.
 *
 * @category Errors
 *
 * @example Tell the person what to do
 * ```ts
 * import { Auth, AuthError } from "@planet-community/planet";
 *
 * const auth = Auth.fromOAuthUserDeviceCode({ clientId: "my-client-id", profileName: "new" });
 * try {
 *   await auth.accessToken();
 * } catch (error) {
 *   if (!(error instanceof AuthError)) throw error;
 *   console.error(error.code, error.message); // login_required Sign in first, …
 * }
 * ```
 */
export class AuthError extends PlanetError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "AuthError";
  /** Machine-readable reason. */
  readonly code: AuthErrorCode;
  /** `error` of the authorization server's answer (RFC 6749 §5.2), where there was one. */
  declare readonly oauthError?: string;
  /** Earliest time at which asking again makes sense, in epoch milliseconds. */
  declare readonly retryAt?: number;

  /** Creates an error; `message` says what to do and holds no secret. */
  constructor(code: AuthErrorCode, message: string, options: AuthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    if (options.oauthError !== undefined) this.oauthError = options.oauthError;
    if (options.retryAt !== undefined) this.retryAt = options.retryAt;
  }
}

/**
 * A value that JSON can hold.
 *
 * @category Storage
 */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/**
 * A JSON object, as stored under one key.
 *
 * @category Storage
 */
export interface JsonObject {
  /** A member; absent members read as `undefined`. */
  [member: string]: JsonValue | undefined;
}

/**
 * Options of an {@linkcode ApiError}: what it may carry besides its message, status and body.
 *
 * @category Errors
 */
export interface ApiErrorOptions extends ErrorOptions {
  /** Headers of the answer. */
  headers?: Headers | undefined;
  /** URL that was asked for, without its query. */
  url?: string | undefined;
  /** Earliest time at which asking again makes sense, in epoch milliseconds. */
  retryAt?: number | undefined;
}

/**
 * A Planet API refused a request; `status` and `body` are what it answered.
 *
 * @category Errors
 *
 * @example Look at the status
 * ```ts
 * import { ApiError, Auth, Session } from "@planet-community/planet";
 *
 * const session = new Session(Auth.fromEnv());
 * try {
 *   await session.request("GET", "/data/v1/searches/no-such-search");
 * } catch (error) {
 *   if (!(error instanceof ApiError)) throw error;
 *   console.error(error.message); // Check the identifier: GET https://… was answered 404: "…"
 *   console.error(error.status, error.detail); // 404 { … }
 * }
 * ```
 */
export class ApiError extends PlanetError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "ApiError";
  /** HTTP status of the answer. */
  readonly status: number;
  /** Body of the answer, as text, at most 64 KiB of it. */
  readonly body: string;
  /** The body, if it is JSON. */
  declare readonly detail?: JsonValue;
  /** Headers of the answer, but for cookies and links. */
  readonly headers: Headers;
  /** URL that was asked for, without its query. */
  readonly url: string;
  /** Earliest time at which asking again makes sense, in epoch milliseconds, if the API says so. */
  declare readonly retryAt?: number;

  /** Creates an error for an answer with `status` and `body`. */
  constructor(message: string, status: number, body: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.body = body;
    this.headers = options.headers ?? new Headers();
    this.url = options.url ?? "";
    if (options.retryAt !== undefined) this.retryAt = options.retryAt;
    try {
      this.detail = JSON.parse(body);
    } catch {
      // It is no JSON, and the parser's own message would quote it.
    }
  }
}

/**
 * 400: the request was malformed.
 *
 * @category Errors
 */
export class BadQuery extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "BadQuery";
}

/**
 * 401: the API did not accept the token or key.
 *
 * @category Errors
 */
export class InvalidAPIKey extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "InvalidAPIKey";
}

/**
 * 403: signed in, but not allowed.
 *
 * @category Errors
 */
export class NoPermission extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "NoPermission";
}

/**
 * 404: no such resource.
 *
 * @category Errors
 */
export class MissingResource extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "MissingResource";
}

/**
 * 409: the resource is in a state that forbids this.
 *
 * @category Errors
 */
export class Conflict extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "Conflict";
}

/**
 * 429: too many requests, after all retries.
 *
 * @category Errors
 */
export class TooManyRequests extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "TooManyRequests";
}

/**
 * 500: the API failed.
 *
 * @category Errors
 */
export class ServerError extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "ServerError";
}

/**
 * 502: a gateway before the API failed, after all retries.
 *
 * @category Errors
 */
export class BadGateway extends ApiError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "BadGateway";
}

/**
 * A call to an API client was wrong; nothing was sent.
 *
 * @category Errors
 */
export class ClientError extends PlanetError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "ClientError";
}

/**
 * Why a download failed. A value changes its meaning only in a major release.
 *
 * @category Errors
 */
export type DownloadErrorCode =
  | "changed"
  | "file_denied"
  | "file_exists"
  | "file_failed"
  | "incomplete"
  | "malformed_response"
  | "unsafe_name"
  | "wrong_digest"
  | "wrong_size";

/**
 * A download failed although the server answered, or its file could not be kept; `code` says why.
 *
 * @category Errors
 */
export class DownloadError extends PlanetError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "DownloadError";
  /** Machine-readable reason. */
  readonly code: DownloadErrorCode;

  /** Creates an error; `message` says what to do, and names the file. */
  constructor(code: DownloadErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * A paged answer leads back to a page already seen, or is no page at all.
 *
 * @category Errors
 */
export class PagingError extends ClientError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "PagingError";
}

/**
 * A geometry is no GeoJSON geometry, or not exactly one (RFC 7946 §3.1).
 *
 * @category Errors
 */
export class GeoJSONError extends ClientError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "GeoJSONError";
}

/**
 * A reference to a feature is not of the form `pl:features/…`.
 *
 * @category Errors
 */
export class FeatureError extends ClientError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "FeatureError";
}

/**
 * What failed of several things that were asked for at once.
 *
 * @category Errors
 */
export interface PartFailure {
  /** What it is: an item, a file. */
  readonly name: string;
  /** Why. */
  readonly error: unknown;
}

/**
 * Some of several things failed; the others are done.
 *
 * @category Errors
 */
export class IncompleteError extends PlanetError {
  /** Class name, a literal so that minifying cannot change it. */
  override readonly name: string = "IncompleteError";
  /** What failed, and why. */
  readonly failures: readonly PartFailure[];
  /** What became of the others. */
  readonly results: readonly unknown[];

  /** Creates an error that names what failed, at most three of it in its message. */
  constructor(failures: readonly PartFailure[], results: readonly unknown[]) {
    const named = failures.slice(0, 3).map(({ error, name }) =>
      `${name} (${error instanceof Error ? error.message : String(error)})`
    );
    const more = failures.length > 3 ? `, and ${failures.length - 3} more` : "";
    super(
      `Run it again for what is missing: ${failures.length} of ${
        failures.length + results.length
      } ` +
        `failed, ${named.join(", ")}${more}.`,
      { cause: failures[0]?.error },
    );
    this.failures = failures;
    this.results = results;
  }
}

const CLASSES = {
  PlanetError,
  AuthError,
  ApiError,
  BadQuery,
  InvalidAPIKey,
  NoPermission,
  MissingResource,
  Conflict,
  TooManyRequests,
  ServerError,
  BadGateway,
  ClientError,
  DownloadError,
  PagingError,
  GeoJSONError,
  FeatureError,
  IncompleteError,
};
for (const [kind, { prototype }] of Object.entries(CLASSES)) {
  Object.defineProperty(prototype, KIND, { value: kind });
}
