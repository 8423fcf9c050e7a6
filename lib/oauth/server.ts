/**
 * One authorization server: what is known of it, and every exchange with it.
 *
 * Finds its endpoints (RFC 8414, OpenID Connect Discovery), bounds each request in time and size,
 * follows no redirect, and repeats a request only if nothing can be spent twice by that. Turns every
 * refusal into an `AuthError` that holds no body, no header, no URL query, and nothing of the
 * secrets that were sent.
 *
 * @module
 */

import * as oauth from "oauth4webapi";
import { AuthError, type AuthErrorCode } from "../errors.ts";
import { answered, readBody, retryAfterMs } from "../exchange.ts";
import {
  abandonable,
  type Clock,
  linkedAbort,
  netRefusal,
  runtime,
  singleUse,
  unrefTimer,
} from "../runtime.ts";
import type { JsonObject } from "../storage/objects.ts";

const TIMEOUT_MS = 30_000; // One request and its answer.
const LARGEST_BODY = 1_048_576; // Real answers have a few kilobytes.
const LONGEST_TEXT = 200; // Characters of the server's own that are shown.
const SHORTEST_PART = 8; // Characters of a secret that are taken out of a text.
const MOST_TRIES = 3; // Requests of one endpoint by one call.
const LONGEST_PAUSE_MS = 5_000; // What a server may ask for inside a call.
const METADATA_LIFE_MS = 86_400_000; // What was found out about a server is used for a day.
const NEWS_MS = 5_000; // What the server has just said need not be asked again.
const SAME_TIME_MS = 30_000; // Clocks that differ by less agree: an answer takes a while.
const OFF_MS = 1_800_000; // Clocks that differ by more are wrong, and may be set right any time.

/** What a server says of itself (RFC 8414 §2). */
export type Metadata = oauth.AuthorizationServer;

/** Endpoints by their names in a server's metadata (RFC 8414 §2). */
export type Endpoints = {
  readonly [
    name in
      | "authorization_endpoint"
      | "device_authorization_endpoint"
      | "introspection_endpoint"
      | "jwks_uri"
      | "revocation_endpoint"
      | "token_endpoint"
      | "userinfo_endpoint"
  ]?: string;
};

/** Keeps one object; what fails counts as nothing kept. */
export interface MetadataStore {
  /** Reads the object; `undefined` if there is none. */
  load(): Promise<JsonObject | undefined>;
  /** Replaces the object. */
  save(value: JsonObject): Promise<void>;
}

/** Which server it is, what is known of it already, and how it is reached. */
export interface ServerOptions {
  /** Issuer of the authorization server (RFC 8414 §2), at which its metadata is found. */
  readonly issuer: string;
  /** What the server calls itself, if that differs from `issuer`. */
  readonly expectedIssuer?: string;
  /** Endpoints that are known and need not be found. */
  readonly endpoints?: Endpoints;
  /** Keeps what was found out about the server, so that other processes need not ask. */
  readonly metadata?: MetadataStore;
  /** Time. */
  readonly clock: Clock;
  /** Replaces the global `fetch`, for proxies and tests. */
  readonly fetch?: typeof globalThis.fetch;
}

/** How a caller bounds a call. */
export interface CallOptions {
  /** Ends the call at once; it rejects with the reason. */
  readonly signal?: AbortSignal | undefined;
  /** Whether nobody waits: the time limit of the request then keeps no program alive. */
  readonly background?: boolean | undefined;
  /** Once this has aborted, no request is sent any more; one that is under way goes on. */
  readonly lease?: AbortSignal | undefined;
}

/** What oauth4webapi hands to `fetch`. */
type Init = Omit<RequestInit, "body"> & { body?: RequestInit["body"] | undefined };

/** Options that every request function of oauth4webapi takes. */
export interface RequestOptions {
  /** Whether plain HTTP is allowed: on loopback only. */
  [oauth.allowInsecureRequests]: boolean;
  /** Sends the request. */
  [oauth.customFetch]: (url: string, init: Init) => Promise<Response>;
}

/** One call of an endpoint. */
export interface Call extends CallOptions {
  /** What a message calls the endpoint. */
  readonly what: string;
  /** The server as it is known, and the endpoint's name; neither while the server is being found. */
  readonly target?: { readonly server: Metadata; readonly name: keyof Endpoints };
  /** Makes the request by oauth4webapi. */
  readonly request: (options: RequestOptions, server: Metadata) => Promise<Response>;
  /** Most requests; default 3. */
  readonly tries?: number;
  /** Whether the request may arrive twice. */
  readonly idempotent?: boolean;
  /** Whether it is an answer, too, that the endpoint does not exist. */
  readonly mayBeAbsent?: boolean;
  /** What the answer must not be quoted with, besides the secrets of the request itself. */
  readonly secrets?: readonly (string | undefined)[] | undefined;
  /** Is told of a refusal; `true` sends the request again, proved another way. */
  readonly refused?: (failure: unknown) => boolean;
}

/** An answer of the authorization server, read whole. */
export interface Answer {
  /** HTTP status. */
  readonly status: number;
  /** The body as a JSON object; `undefined` if it is none. */
  readonly json?: JsonObject;
  /** The error code, of the body (RFC 6749 §5.2) or else of `WWW-Authenticate` (RFC 6750 §3). */
  readonly error?: unknown;
  /** What the server says about the error, fit to be shown. */
  readonly description?: string;
  /** When the server lets us ask again (RFC 9110 §10.2.3), in epoch milliseconds. */
  readonly retryAt?: number;
  /** How far the server's clock is ahead of this one, by its `Date` (RFC 9110 §6.6.1), in milliseconds. */
  readonly aheadMs?: number;
}

/** What the codes of RFC 6749 §5.2, RFC 6750 §3.1, RFC 8628 §3.5, RFC 8707 §2 mean for a session. */
const MEANING: Readonly<Record<string, string>> = {
  access_denied: "access_denied",
  client_rejected: "insufficient_scope invalid_client invalid_request invalid_scope " +
    "invalid_target unauthorized_client unsupported_grant_type unsupported_response_type",
  device_code_expired: "expired_token",
  login_required: "account_selection_required consent_required interaction_required login_required",
  server_error: "server_error temporarily_unavailable",
  session_expired: "invalid_grant invalid_token",
  throttled: "slow_down",
};

const BY_OAUTH_ERROR: ReadonlyMap<string, AuthErrorCode> = new Map(
  Object.entries(MEANING).flatMap(([code, words]) =>
    words.split(" ").map((word) => [word, code as AuthErrorCode] as const)
  ),
);

/** What to do about a code of ours, or about one of the server's. */
const ADVICE: Readonly<Record<string, string>> = {
  access_denied: "Sign in again and choose Allow",
  client_rejected: "Check the client ID, client secret, scopes and callback URL",
  device_code_expired: "Start signing in again: the code was not confirmed in time",
  invalid_client: "Check the client ID and the client secret",
  invalid_scope: "Check requestedScopes",
  insufficient_scope: "Ask for the scopes that this needs and sign in again",
  login_required: "Sign in again",
  server_error: "Try again later",
  session_expired: "Sign in again",
  throttled: "Wait before trying again",
};

/**
 * What can be an `error` code (RFC 6749 §5.2) as the registered ones look; anything else is not
 * shown: a server may put there what was sent to it, a token say.
 */
function shownCode(value: unknown): string | undefined {
  return typeof value === "string" && /^[a-z][a-z_]{0,63}$/.test(value) ? value : undefined;
}

/**
 * A text of the server's, fit to be shown: one line without control characters, at most 200
 * characters, and without any part of `secrets` or any JWT.
 */
export function shownText(text: string, secrets: readonly (string | undefined)[] = []): string {
  let shown = text.slice(0, 10 * LONGEST_TEXT).replace(/[\p{C}\p{Z}]+/gu, " ").trim()
    .replace(/\beyJ[\w.-]{10,}/g, "(secret)");
  for (const secret of secrets) {
    if (secret === undefined || secret === "") continue;
    const forms = [secret, encodeURIComponent(secret), `${new URLSearchParams({ "": secret })}`];
    for (const form of forms) shown = without(shown, form);
  }
  return shown.length > LONGEST_TEXT ? `${shown.slice(0, LONGEST_TEXT).trimEnd()}…` : shown;
}

/** Takes every part of `secret` out of `text`, be it as short as `SHORTEST_PART`. */
function without(text: string, secret: string): string {
  const least = Math.min(SHORTEST_PART, secret.length);
  for (let at = 0; at + least <= secret.length; at++) {
    let end = at + least;
    if (!text.includes(secret.slice(at, end))) continue;
    while (end < secret.length && text.includes(secret.slice(at, end + 1))) end++;
    text = text.replaceAll(secret.slice(at, end), "(secret)");
  }
  return text;
}

/** Makes the error for an OAuth `error` code, as `what` (the refusing party) gave it. */
export function oauthError(
  { description, error, retryAt }: Pick<Answer, "description" | "error" | "retryAt">,
  what: string,
): AuthError {
  const shown = shownCode(error);
  const code = BY_OAUTH_ERROR.get(shown ?? "") ?? "client_rejected";
  const advice = ADVICE[shown ?? ""] ?? ADVICE[code];
  const said = `${what} said "${shown ?? "(unreadable)"}"${inBrackets(description)}`;
  return new AuthError(code, `${advice}: ${said}.`, { oauthError: shown, retryAt });
}

function inBrackets(description = ""): string {
  return description === "" ? "" : ` (${description.replace(/[.\s]+$/, "")})`;
}

const CHECK_ADDRESS = "Check the address of the authorization server";
const REPORT = "Report this to the operator of the authorization server";

/** Turns what oauth4webapi says about an answer into our error; its own cause quotes the answer. */
export function malformed(what: string, error: unknown): AuthError {
  if (error instanceof AuthError) return error;
  const detail = error instanceof Error ? error.message : "unknown reason";
  const found = `${what} is not as the standard has it (${detail})`;
  return new AuthError("malformed_response", `${REPORT}: ${found}.`);
}

/** Two issuers that should be one; `found` is `undefined` if the server gives none. */
export function issuerMismatch(
  advice: string,
  found: string | undefined,
  expected: string,
): AuthError {
  const name = found === undefined ? "does not name itself" : `calls itself "${shownText(found)}"`;
  const state = `${name}, but "${shownText(expected)}" was expected`;
  return new AuthError("issuer_mismatch", `${advice} ${state}.`);
}

/**
 * Whether no endpoint is where the answer came from (RFC 9110 §15.5.5, §15.5.6, §15.5.11), so
 * that nothing has been done with what was sent. One that gives a registered `error` exists.
 */
function nobodyThere({ error, status }: Pick<Answer, "error" | "status">): boolean {
  return [404, 405, 410].includes(status) && !BY_OAUTH_ERROR.has(shownCode(error) ?? "");
}

/**
 * Throws for an answer that is not a success, by its OAuth error if it has one, else by its status:
 * a 401 of a resource refuses the token that it was shown, in whatever words (RFC 6750 §3).
 */
function throwForAnswer(answer: Answer, what: string, isResource: boolean): void {
  const { description, error, retryAt, status } = answer;
  if (status >= 200 && status < 300) return;
  if (status === 429) {
    const advice = `Wait before trying again: ${what} is throttling.`;
    throw new AuthError("throttled", advice, { retryAt });
  }
  const found = `${what} answered ${status}`;
  if (status >= 500) {
    const advice = `Try again later: ${found}${inBrackets(description)}.`;
    throw new AuthError("server_error", advice, { retryAt });
  }
  const shown = shownCode(error);
  if (isResource && status === 401 && !BY_OAUTH_ERROR.has(shown ?? "")) {
    const advice = `${ADVICE.session_expired}: ${found}${inBrackets(description)}.`;
    throw new AuthError("session_expired", advice, { oauthError: shown });
  }
  const isAbsent = nobodyThere(answer);
  if (status >= 400 && error !== undefined && !isAbsent) throw oauthError(answer, what);
  const more = isAbsent ? ", so nothing is there" : " without an OAuth error";
  throw new AuthError("malformed_response", `${CHECK_ADDRESS}: ${found}${more}.`);
}

/** An answer as a `Response`, which is what oauth4webapi checks. */
export function asResponse(json: JsonObject | undefined): Response {
  return new Response(JSON.stringify(json ?? null), {
    headers: { "content-type": "application/json" },
  });
}

const unsent: WeakSet<object> = new WeakSet();

/** Tells whether the request behind `error` surely did not arrive, so that repeating it is safe. */
function surelyUnsent(error: unknown): boolean {
  return typeof error === "object" && error !== null && unsent.has(error);
}

/**
 * Failures of the name look-up, of the connection or of the TLS handshake, as the runtimes word
 * them. A connection that is reset may be any time, so it is not among them.
 */
const NO_CONNECTION =
  /ECONNREFUSED|Unable to connect|ENOTFOUND|EAI_AGAIN|E(?:HOST|NET)UNREACH|CONNECT_TIMEOUT|tcp connect error|dns error|client error \(Connect\)|TLS handshake failed|before secure TLS|CERT_(?:HAS|NOT)|_CERT(?!IF)|UNABLE_TO|ERR_SSL_(?:WRONG_VERSION|UNSUPPORTED|\w+(?:PROTOCOL_VERSION|HANDSHAKE_FAILURE))/;

/** An established connection fails by the same codes. */
const WHILE_CONNECTED = /\b(?:read|write) E[A-Z]/;

/** Failures of TLS, as the runtimes word them. */
const NO_TLS =
  /certificate|CERT_|_CERT|ERR_SSL|EPROTO|UNABLE_TO|secure TLS|handshake eof|received (?:corrupt|fatal)/;

/**
 * Turns a failure of `fetch` into our error. Its cause has the words and codes of all causes, without
 * what else they carry: a socket, an answer, or what an application's own `fetch` puts there.
 */
function networkError(cause: unknown, url: string, secrets: readonly string[]): AuthError {
  const denied = netRefusal(cause, url);
  if (denied !== undefined) return denied;
  const { origin } = new URL(url);
  const words: string[] = [];
  let last: string | undefined;
  for (let at = cause, depth = 0; typeof at === "object" && at !== null && depth < 5; depth++) {
    const { cause, code, message } = at as Record<string, unknown>;
    const said = [message, code].filter((word) => typeof word === "string" && word !== "");
    words.push(...said.map((word) => last = shownText(String(word), secrets)));
    at = cause;
  }
  const text = words.join(": ");
  const isUnsent = NO_CONNECTION.test(text) && !WHILE_CONNECTED.test(text);
  const failure = new AuthError(
    "network",
    NO_TLS.test(text)
      ? `${adviceOnTls()}: no secure connection (TLS) to ${origin} (${
        last?.replace(/^.*\(Connect\): /, "")
      }).`
      : isUnsent
      ? `Check the network, or try again later: no connection to ${origin}.`
      : `Try again: the connection to ${origin} broke off before the answer was complete.`,
    { cause: text === "" ? undefined : new Error(text) },
  );
  if (isUnsent) unsent.add(failure);
  return failure;
}

function adviceOnTls(): string {
  if (runtime === "other") return "Check the address and the certificate of the server";
  const variable = runtime === "deno" ? "DENO_CERT" : "NODE_EXTRA_CA_CERTS";
  return "Check the address; if the server or your network has a certificate authority of its own, " +
    `set ${variable} to the file with its certificate`;
}

/** Members of a form that are secrets (RFC 6749, RFC 7009, RFC 7523, RFC 7636, RFC 8628). */
const SECRET_MEMBERS =
  "client_assertion client_secret code code_verifier device_code refresh_token token".split(" ");

/** The secrets of a request: of its form, and its credentials as sent and in clear. */
function secretsOf(headers: Headers, form: URLSearchParams): string[] {
  const [scheme, credentials = ""] = (headers.get("authorization") ?? "").split(" ");
  const secrets = SECRET_MEMBERS.flatMap((name) => form.getAll(name));
  if (scheme === "Basic") {
    const bytes = Uint8Array.from(atob(credentials), (character) => character.charCodeAt(0));
    secrets.push(new TextDecoder().decode(bytes).replace(/^[^:]*:/, ""));
  }
  return [...secrets, credentials];
}

function parseObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as JsonObject
      : undefined;
  } catch {
    return undefined; // The parser's own message would quote the body.
  }
}

/** The parameters of a `WWW-Authenticate` header (RFC 9110 §11.6.1), those of all its challenges. */
function challengeOf(headers: Headers): Record<string, string> {
  const parameters: Record<string, string> = {};
  const header = headers.get("www-authenticate") ?? "";
  for (
    const [, name, quoted, bare] of header.matchAll(
      /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g,
    )
  ) {
    parameters[name!.toLowerCase()] ??= quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "";
  }
  return parameters;
}

/**
 * Sends one request and reads its answer whole, whatever its status.
 *
 * @throws {AuthError} `network`, `timeout`; after an abort, the reason of the signal.
 */
async function exchange(
  url: string,
  init: Init,
  options: ServerOptions & CallOptions & Pick<Call, "secrets">,
): Promise<Answer> {
  const { origin, password, username } = new URL(url);
  if (username !== "" || password !== "") {
    const found = `an address at ${origin} holds a user name or password`;
    throw new AuthError("malformed_response", `${REPORT}: ${found}.`);
  }
  const isPost = init.method === "POST";
  const headers = new Headers(init.headers);
  const body = isPost ? String(init.body) : undefined;
  const secrets = secretsOf(headers, new URLSearchParams(body));
  // The registered form of the type: some servers refuse one that names a charset.
  if (isPost) headers.set("content-type", "application/x-www-form-urlencoded");
  const fetch = options.fetch ?? globalThis.fetch;
  // A connection that is kept may be closing as a one-time token goes out on it: Deno would send the
  // token twice, Bun would lose it. Who brings a `fetch` of their own chooses the connection under Deno.
  const own = isPost && options.fetch === undefined ? singleUse() : undefined;
  const { abort, release, signal } = linkedAbort(options.signal);
  const late = `${origin} did not answer within ${TIMEOUT_MS / 1000} s`;
  const timer = setTimeout(() => {
    abort(new AuthError("timeout", `Try again, or check the network: ${late}.`));
  }, TIMEOUT_MS);
  if (options.background) unrefTimer(timer);
  try {
    const sent: Init & { client?: unknown } = {
      ...init,
      headers: Object.fromEntries(headers),
      ...(body === undefined ? {} : { body }),
      redirect: "manual",
      signal,
    };
    if (own !== undefined) sent.client = own;
    if (runtime === "bun") sent.keepalive = false;
    const response = await answered(fetch(url, sent as RequestInit), signal);
    const { bytes, isWhole } = await readBody(response, LARGEST_BODY, signal);
    const json = isWhole ? parseObject(bytes) : undefined;
    const now = options.clock.now();
    const wait = retryAfterMs(response.headers, now);
    const aheadMs = Date.parse(response.headers.get("date") ?? "") - now;
    const { error, error_description: said } = json?.error === undefined
      ? challengeOf(response.headers)
      : json;
    const all = [...secrets, ...options.secrets ?? []];
    const description = typeof said === "string" ? shownText(said, all) : "";
    return {
      status: response.status,
      ...(json === undefined ? {} : { json }),
      ...(error === undefined ? {} : { error }),
      ...(description === "" ? {} : { description }),
      ...(wait === undefined ? {} : { retryAt: now + wait }),
      ...(Math.abs(aheadMs) > SAME_TIME_MS && Math.abs(aheadMs) <= OFF_MS ? { aheadMs } : {}),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw networkError(error, url, secrets);
  } finally {
    clearTimeout(timer);
    own?.close();
    release();
  }
}

/** How long to wait before repeating what failed, in milliseconds; `undefined`: do not repeat. */
function pauseBefore(failure: unknown, round: number, call: Call, nowMs: number) {
  if (!(failure instanceof AuthError)) return undefined;
  if (failure.retryAt !== undefined) {
    const wait = Math.max(failure.retryAt - nowMs, 0);
    return wait <= LONGEST_PAUSE_MS ? wait : undefined;
  }
  const mayRepeat = call.idempotent && ["network", "server_error"].includes(failure.code);
  return mayRepeat || surelyUnsent(failure) ? 100 * 4 ** round : undefined;
}

/** Keeps our own errors and abort reasons; anything else comes from a request that could not be built. */
function asAuthError(error: unknown, what: string): unknown {
  const isForeign = error instanceof Error && !(error instanceof AuthError) &&
    String((error as { code?: unknown }).code).startsWith("OAUTH_");
  return isForeign ? malformed(`the address of ${what}`, error) : error;
}

/** Work that several callers wait for, one at a time. It is ended when the last of them has given up. */
export class SharedWork<T> {
  #going: { controller: AbortController; work: Promise<T>; waiting: number } | undefined;

  /** Joins the work that goes on, or starts one; rejects with the reason of `signal` when that aborts. */
  async run(start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#going === undefined) {
      const controller = new AbortController();
      this.#going = { controller, work: start(controller.signal), waiting: 0 };
    }
    const going = this.#going;
    going.waiting++;
    try {
      return await abandonable(going.work, signal);
    } finally {
      if (--going.waiting === 0) {
        if (this.#going === going) this.#going = undefined;
        going.controller.abort(signal?.reason);
      }
    }
  }
}

/** What is known of a server. */
interface Known {
  /** Its own words; the members that oauth4webapi reads are checked by it. */
  readonly document: JsonObject;
  /** When it said so, in epoch milliseconds. */
  readonly readAtMs: number;
  /** Whether both places for metadata were looked at. */
  readonly isComplete: boolean;
}

const DOCUMENT = "the discovery document";

/**
 * One authorization server. What is given counts first, then what this or another process has found
 * out and kept, then the server's own document.
 */
export class AuthorizationServer {
  readonly #options: ServerOptions;
  readonly #insecure: boolean;
  readonly #finding = new SharedWork<Known>();
  readonly #completing = new SharedWork<Known>();
  readonly #rereading = new SharedWork<Known>();
  #known: Known | undefined;
  /** Since when what is known is good for a day, in epoch milliseconds. */
  #knownSinceMs = 0;
  /** When the server itself was asked last, in epoch milliseconds. */
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether what is kept may be used; not after it failed. */
  #trustsKept = true;
  #aheadMs = 0;

  /** Knows what `options` say; nothing is sent yet. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { hostname, protocol } = new URL(options.issuer);
    this.#insecure = protocol === "http:" && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
  }

  /** The server's time by its last answer, in epoch milliseconds. */
  now(): number {
    return this.#options.clock.now() + this.#aheadMs;
  }

  /** Checks the address of a page that is opened or read as it is; plain HTTP only at a server on loopback. */
  page(address: string, what: string): string {
    // It is shown on a terminal too, where control characters are commands.
    const url = /^[\x21-\x7e]+$/.test(address) && URL.canParse(address)
      ? new URL(address)
      : undefined;
    if (url?.protocol !== "https:" && !(this.#insecure && url?.protocol === "http:")) {
      throw malformed(`the address of ${what}`, new Error("no https URL"));
    }
    return url.href;
  }

  /**
   * The server, as far as `needs` go; without any, its own name for itself. It is asked only for what
   * is not known already. If its OpenID document lacks an endpoint, its RFC 8414 document is read too.
   */
  async about(needs: readonly (keyof Endpoints)[], options: CallOptions = {}): Promise<Metadata> {
    const { endpoints = {}, expectedIssuer, issuer } = this.#options;
    const lacks = (server: Endpoints) => needs.some((name) => server[name] === undefined);
    if (needs.length > 0 && !lacks(endpoints)) {
      return { issuer: expectedIssuer ?? issuer, ...endpoints };
    }
    let known = await this.#discover(options);
    if (!known.isComplete && lacks({ ...known.document, ...endpoints })) {
      known = await this.#complete(known, options);
    }
    return { ...known.document, ...endpoints } as Metadata;
  }

  /**
   * Sends a request, and once more only if it surely did not arrive (`idempotent`: or may have), if
   * the server said when (429, 503), or if the client can prove itself another way. If nothing takes
   * it at an address that was found before, and the server has another by now, it goes there at once.
   */
  async send(call: Call): Promise<Answer> {
    const { clock } = this.#options;
    let server = call.target?.server ?? { issuer: this.#options.issuer };
    let mayHaveMoved = call.target !== undefined;
    for (let round = 1;; round++) {
      let answer: Answer | undefined;
      let failure: unknown;
      try {
        await call.request({
          [oauth.allowInsecureRequests]: this.#insecure,
          [oauth.customFetch]: async (url: string, init: Init) => {
            const { background, secrets, signal } = call;
            call.lease?.throwIfAborted();
            answer = await exchange(url, init, { ...this.#options, background, secrets, signal });
            return new Response();
          },
        }, server);
        this.#aheadMs = answer!.aheadMs ?? 0;
        const { status } = answer!;
        if (!call.mayBeAbsent || !nobodyThere({ status })) {
          throwForAnswer(answer!, call.what, call.target?.name === "userinfo_endpoint");
        }
        return answer!;
      } catch (error) {
        failure = answer === undefined ? asAuthError(error, call.what) : error;
      }
      if (call.refused?.(failure)) continue;
      if (mayHaveMoved && (answer === undefined ? surelyUnsent(failure) : nobodyThere(answer))) {
        mayHaveMoved = false;
        const moved = await this.#moved(server, call.target!.name, call);
        if (moved !== undefined) {
          server = moved;
          continue;
        }
      }
      const wait = pauseBefore(failure, round, call, clock.now());
      if (round >= (call.tries ?? MOST_TRIES) || wait === undefined) {
        if (call.target !== undefined) this.#distrust(failure);
        throw failure;
      }
      await clock.sleep(wait, call.signal);
    }
  }

  /** Makes the next look-up ask the server, because what was kept may be out of date. */
  #distrust(failure: unknown): void {
    // A server that answers as the standard has it is the one that was found.
    if (!(failure instanceof AuthError) || failure.oauthError !== undefined) return;
    if (failure.retryAt !== undefined || this.#options.metadata === undefined) return;
    this.#trustsKept = false;
    this.#known = undefined;
  }

  /**
   * The server by its own word of now, if that has another address for `name` than `server`, at
   * which nothing answered; `undefined` if it has not, or cannot be asked.
   */
  async #moved(
    server: Metadata,
    name: keyof Endpoints,
    { background, signal }: CallOptions,
  ): Promise<Metadata | undefined> {
    const { clock, endpoints = {} } = this.#options;
    if (endpoints[name] !== undefined) return undefined;
    let known = this.#known;
    if (clock.now() - this.#askedAtMs > NEWS_MS) {
      // A caller waits, and has an error already.
      const reread = (signal: AbortSignal) => this.#fetch({ background, signal, tries: 1 });
      known = await this.#rereading.run(reread, signal).catch(() => undefined);
      signal?.throwIfAborted();
    }
    const address = known?.document[name];
    if (address === undefined || address === server[name]) return undefined;
    return { ...known!.document, ...endpoints } as Metadata;
  }

  /**
   * Finds the endpoints once a day. A failed look-up is not kept; a caller that gives up does not
   * end it for the others.
   */
  async #discover({ background, signal }: CallOptions): Promise<Known> {
    const old = this.#known;
    if (old !== undefined && this.#isFresh(this.#knownSinceMs)) return old;
    return await this.#finding.run(async (signal) => {
      try {
        return await this.#kept() ?? await this.#fetch({ background, signal });
      } catch (error) {
        if (old === undefined || signal.aborted) throw error;
        // What is old will do if there is nothing newer to be had.
        return this.#knows(old);
      }
    }, signal);
  }

  #knows(known: Known, sinceMs = this.#options.clock.now()): Known {
    this.#knownSinceMs = sinceMs;
    return this.#known = known;
  }

  #isFresh(sinceMs: number): boolean {
    const age = this.#options.clock.now() - sinceMs;
    return age >= 0 && age < METADATA_LIFE_MS;
  }

  /** What was found out before, by this process or another, if it is fresh and of this issuer. */
  async #kept(): Promise<Known | undefined> {
    const { issuer, metadata } = this.#options;
    if (metadata === undefined || !this.#trustsKept) return undefined;
    const kept = await metadata.load().catch(() => undefined);
    const { document, is_complete, read_at, read_from } = kept ?? {};
    const readAtMs = Number(read_at) * 1000;
    if (read_from !== issuer || !this.#isFresh(readAtMs)) return undefined;
    if (typeof document !== "object" || document === null || Array.isArray(document)) {
      return undefined;
    }
    try {
      // The same check as of a document that has just come.
      await oauth.processDiscoveryResponse(this.#expectedIssuer(), asResponse(document));
    } catch {
      return undefined;
    }
    return this.#knows({ document, readAtMs, isComplete: is_complete === true }, readAtMs);
  }

  /** Keeping what was found is a courtesy to others; who cannot goes on without. */
  async #keep({ document, isComplete, readAtMs }: Known): Promise<void> {
    const { issuer: read_from, metadata } = this.#options;
    const kept: JsonObject = { read_at: Math.floor(readAtMs / 1000), read_from, document };
    if (isComplete) kept.is_complete = true;
    await metadata?.save(kept).catch(() => {});
  }

  #expectedIssuer(): URL {
    return new URL(this.#options.expectedIssuer ?? this.#options.issuer);
  }

  /** Reads the metadata at the place of OpenID Connect Discovery §4, or if nothing is there, of RFC 8414 §3. */
  async #fetch(options: CallOptions & { tries?: number }): Promise<Known> {
    const first = await this.#ask("oidc", options);
    const answer = first ?? await this.#ask("oauth2", options);
    if (answer === undefined) {
      const found = `there is no metadata at ${this.#options.issuer} (404)`;
      throw new AuthError("malformed_response", `${CHECK_ADDRESS}: ${found}.`);
    }
    const isComplete = first === undefined;
    const readAtMs = this.#askedAtMs = this.#options.clock.now();
    const known = this.#knows({ document: await this.#checked(answer), readAtMs, isComplete });
    await this.#keep(known);
    return known;
  }

  /** Adds what only the RFC 8414 document says; one look a day, whatever comes of it. */
  #complete(known: Known, { background, signal }: CallOptions): Promise<Known> {
    return this.#completing.run(async (signal) => {
      let { document } = known;
      try {
        const answer = await this.#ask("oauth2", { background, signal, tries: 1 });
        if (answer !== undefined) document = { ...await this.#checked(answer), ...document };
        await this.#keep({ ...known, document, isComplete: true });
      } catch {
        signal.throwIfAborted();
      }
      return this.#knows({ ...known, document, isComplete: true }, this.#knownSinceMs);
    }, signal);
  }

  /** One of the two documents; `undefined` if it does not exist. */
  async #ask(
    algorithm: "oauth2" | "oidc",
    options: CallOptions & { tries?: number },
  ): Promise<Answer | undefined> {
    const issuer = new URL(this.#options.issuer);
    const { status, ...answer } = await this.send({
      what: DOCUMENT,
      request: (more) => oauth.discoveryRequest(issuer, { ...more, algorithm }),
      idempotent: true,
      mayBeAbsent: true,
      ...options,
    });
    return nobodyThere({ status }) ? undefined : { status, ...answer };
  }

  async #checked({ json }: Answer): Promise<JsonObject> {
    if (json === undefined) throw malformed(DOCUMENT, new Error("no JSON object"));
    const expected = this.#expectedIssuer().href;
    try {
      await oauth.processDiscoveryResponse(new URL(expected), asResponse(json));
      return json;
    } catch (error) {
      if (typeof json.issuer !== "string" || json.issuer === expected) {
        throw malformed(DOCUMENT, error);
      }
      const { origin } = new URL(this.#options.issuer);
      throw issuerMismatch(
        `${CHECK_ADDRESS}: what is at ${origin}`,
        json.issuer,
        this.#options.expectedIssuer ?? this.#options.issuer,
      );
    }
  }
}
