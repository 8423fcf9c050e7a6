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
import { netRefusal, runtime, singleUse, unrefTimer } from "../runtime.ts";
import type { JsonObject } from "../storage/objects.ts";
import { abandonable, type Clock } from "../waiting.ts";

/** Longest time for one request and its answer, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** Largest answer that is read, in bytes; real ones have a few kilobytes. */
const LARGEST_BODY = 1_048_576;

/** Longest text of the server's own that is shown, in characters. */
const LONGEST_TEXT = 200;

/** Shortest part of a secret that is taken out of a text, in characters. */
const SHORTEST_PART = 8;

/** Most requests that one call may make of one endpoint. */
const MOST_TRIES = 3;

/** Longest wait inside a call that a server may ask for, in milliseconds. */
const LONGEST_PAUSE_MS = 5_000;

/** How long what was found out about a server is used, in milliseconds: a day. */
const METADATA_LIFE_MS = 86_400_000;

/** Clocks that differ by less agree, in milliseconds: an answer takes a while, and dates are whole seconds. */
const SAME_TIME_MS = 30_000;

/** Clocks that differ by more are wrong rather than off, and may be set right any time. */
const OFF_MS = 1_800_000;

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
}

/** Options that every request function of oauth4webapi takes. */
export interface RequestOptions {
  /** Whether plain HTTP is allowed: on loopback only. */
  [oauth.allowInsecureRequests]: boolean;
  /** Sends the request. */
  [oauth.customFetch]: (url: string, init: RequestInit) => Promise<Response>;
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
  readonly secrets?: readonly (string | undefined)[];
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

/** Codes of RFC 6749 §5.2, RFC 6750 §3.1, RFC 8628 §3.5, RFC 8707 §2 and their meaning for a session. */
const BY_OAUTH_ERROR: ReadonlyMap<string, AuthErrorCode> = new Map(Object.entries({
  access_denied: "access_denied",
  account_selection_required: "login_required",
  consent_required: "login_required",
  expired_token: "device_code_expired",
  insufficient_scope: "client_rejected",
  interaction_required: "login_required",
  invalid_client: "client_rejected",
  invalid_grant: "session_expired",
  invalid_request: "client_rejected",
  invalid_scope: "client_rejected",
  invalid_target: "client_rejected",
  invalid_token: "session_expired",
  login_required: "login_required",
  server_error: "server_error",
  slow_down: "throttled",
  temporarily_unavailable: "server_error",
  unauthorized_client: "client_rejected",
  unsupported_grant_type: "client_rejected",
  unsupported_response_type: "client_rejected",
}));

const ADVICE: Readonly<Partial<Record<string, string>>> = {
  access_denied: "Sign in again and choose Allow",
  client_rejected: "Check the client ID, client secret, scopes and callback URL",
  device_code_expired: "Start signing in again: the code was not confirmed in time",
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
  const advice = ADVICE[shown ?? ""] ?? ADVICE[code] ?? "Check the request";
  return new AuthError(
    code,
    `${advice}: ${what} said "${shown ?? "(unreadable)"}"${inBrackets(description)}.`,
    {
      ...(shown === undefined ? {} : { oauthError: shown }),
      ...(retryAt === undefined ? {} : { retryAt }),
    },
  );
}

function inBrackets(description = ""): string {
  return description === "" ? "" : ` (${description.replace(/[.\s]+$/, "")})`;
}

/** Turns what oauth4webapi says about an answer into our error; its own cause quotes the answer. */
export function malformed(what: string, error: unknown): AuthError {
  if (error instanceof AuthError) return error;
  const detail = error instanceof Error ? error.message : "unknown reason";
  return new AuthError(
    "malformed_response",
    `Report this to the operator of the authorization server: ${what} is not as the standard has it (${detail}).`,
  );
}

/** Two issuers that should be one; `found` is `undefined` if the server gives none. */
export function issuerMismatch(
  advice: string,
  found: string | undefined,
  expected: string,
): AuthError {
  const name = found === undefined ? "does not name itself" : `calls itself "${shownText(found)}"`;
  return new AuthError(
    "issuer_mismatch",
    `${advice} ${name}, but "${shownText(expected)}" was expected.`,
  );
}

/**
 * Whether no endpoint is where the answer came from (RFC 9110 §15.5.5, §15.5.6, §15.5.11), so
 * that nothing has been done with what was sent. One that gives a registered `error` exists.
 */
function nobodyThere({ error, status }: Answer): boolean {
  return [404, 405, 410].includes(status) && !BY_OAUTH_ERROR.has(shownCode(error) ?? "");
}

/** Throws for an answer that is not a success, by its OAuth error if it has one, else by its status. */
function throwForAnswer(answer: Answer, what: string): void {
  const { description, error, retryAt, status } = answer;
  if (status >= 200 && status < 300) return;
  const at = retryAt === undefined ? {} : { retryAt };
  const found = `${what} answered ${status}`;
  if (status === 429) {
    throw new AuthError("throttled", `Wait before trying again: ${what} is throttling.`, at);
  }
  if (status >= 500) {
    const said = inBrackets(description);
    throw new AuthError("server_error", `Try again later: ${found}${said}.`, at);
  }
  const isAbsent = nobodyThere(answer);
  if (status >= 400 && error !== undefined && !isAbsent) throw oauthError(answer, what);
  throw new AuthError(
    "malformed_response",
    `Check the address of the authorization server: ${found}${
      isAbsent ? ", so nothing is there" : " without an OAuth error"
    }.`,
  );
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
  /ECONNREFUSED|ConnectionRefused|Unable to connect|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|tcp connect error|dns error|client error \(Connect\)|TLS handshake failed|before secure TLS|CERT_HAS_|CERT_NOT_|SELF_SIGNED_CERT|ERR_TLS_CERT|UNABLE_TO_(?:GET|VERIFY)|ERR_SSL_(?:WRONG_VERSION|UNSUPPORTED_PROTOCOL|\w*PROTOCOL_VERSION|\w*HANDSHAKE_FAILURE)/;

/** An established connection fails by the same codes. */
const WHILE_CONNECTED = /\b(?:read|write) E[A-Z]/;

/** Failures of TLS, as the runtimes word them. */
const NO_TLS =
  /certificate|CERT_|_CERT|ERR_TLS|ERR_SSL|EPROTO|UNABLE_TO_|secure TLS|handshake eof|received (?:corrupt message|fatal alert)/;

/**
 * A failure of `fetch` without what else it carries: a socket, an answer, or what an application's own
 * `fetch` puts there of the request.
 */
function plainCause(
  error: unknown,
  secrets: readonly (string | undefined)[],
  depth = 0,
): (Error & { code?: string }) | undefined {
  if (!(error instanceof Error) && depth === 0) return undefined;
  const { cause, code, message, name } = Object(error) as Record<string, unknown>;
  const plain: Error & { code?: string } = new Error(shownText(String(message ?? ""), secrets));
  if (typeof name === "string") plain.name = name;
  if (typeof code === "string") plain.code = code;
  if (typeof cause === "object" && cause !== null && depth < 4) {
    plain.cause = plainCause(cause, secrets, depth + 1);
  }
  return plain;
}

/** Turns a failure of `fetch` into our error. */
function networkError(cause: unknown, url: string, secrets: readonly string[]): AuthError {
  const denied = netRefusal(cause, url);
  if (denied !== undefined) return denied;
  const { origin } = new URL(url);
  const plain = plainCause(cause, secrets);
  let text = "";
  let reason = "";
  for (let error: unknown = plain; error instanceof Error; error = error.cause) {
    const { code } = error as { code?: string };
    text += ` ${code ?? ""} ${error.message}`;
    reason = code ?? error.message.replace(/^.*\(Connect\): /, "");
  }
  const variable = runtime === "deno" ? "DENO_CERT" : "NODE_EXTRA_CA_CERTS";
  const isUnsent = NO_CONNECTION.test(text) && !WHILE_CONNECTED.test(text);
  const failure = new AuthError(
    "network",
    NO_TLS.test(text)
      ? `Check the address; if the server or your network has a certificate authority of its own, set ${variable} to ` +
        `the file with its certificate: no secure connection (TLS) to ${origin} (${reason}).`
      : isUnsent
      ? `Check the network, or try again later: no connection to ${origin}.`
      : `Try again: the connection to ${origin} broke off before the answer was complete.`,
    plain === undefined ? {} : { cause: plain },
  );
  if (isUnsent) unsent.add(failure);
  return failure;
}

/** Members of a form that are secrets (RFC 6749, RFC 7009, RFC 7523, RFC 7636, RFC 8628). */
const SECRET_MEMBERS = [
  "client_assertion",
  "client_secret",
  "code",
  "code_verifier",
  "device_code",
  "refresh_token",
  "token",
];

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
  init: RequestInit,
  options: ServerOptions & CallOptions & Pick<Call, "secrets">,
): Promise<Answer> {
  const { origin, password, username } = new URL(url);
  if (username !== "" || password !== "") {
    throw new AuthError(
      "malformed_response",
      `Report this to the operator of the authorization server: an address at ${origin} holds a user name or password.`,
    );
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
  const controller = new AbortController();
  const late = new AuthError(
    "timeout",
    `Try again, or check the network: ${origin} did not answer within ${TIMEOUT_MS / 1000} s.`,
  );
  const timer = setTimeout(() => controller.abort(late), TIMEOUT_MS);
  if (options.background) unrefTimer(timer);
  const caller = options.signal;
  const onAbort = () => controller.abort(caller?.reason);
  if (caller?.aborted) onAbort();
  caller?.addEventListener("abort", onAbort, { once: true });
  try {
    const { signal } = controller;
    const sent: RequestInit & { client?: unknown } = {
      method: init.method ?? "GET",
      headers: Object.fromEntries(headers),
      ...(body === undefined ? {} : { body }),
      redirect: "manual",
      signal,
    };
    if (own !== undefined) sent.client = own;
    if (runtime === "bun") sent.keepalive = false;
    const response = await answered(fetch(url, sent), signal);
    const { bytes, isWhole } = await readBody(response, LARGEST_BODY, signal);
    const json = isWhole ? parseObject(bytes) : undefined;
    const now = options.clock.now();
    const wait = retryAfterMs(response.headers, now);
    const aheadMs = Date.parse(response.headers.get("date") ?? "") - now;
    const { error, error_description: said } = json?.error === undefined
      ? challengeOf(response.headers)
      : json;
    const description = typeof said === "string"
      ? shownText(said, [...secrets, ...options.secrets ?? []])
      : "";
    return {
      status: response.status,
      ...(json === undefined ? {} : { json }),
      ...(error === undefined ? {} : { error }),
      ...(description === "" ? {} : { description }),
      ...(wait === undefined ? {} : { retryAt: now + wait }),
      ...(Math.abs(aheadMs) > SAME_TIME_MS && Math.abs(aheadMs) <= OFF_MS ? { aheadMs } : {}),
    };
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw networkError(error, url, secrets);
  } finally {
    clearTimeout(timer);
    own?.close();
    caller?.removeEventListener("abort", onAbort);
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

/** Work that several callers wait for. It is ended when the last of them has given up. */
export class SharedWork<T> {
  readonly #controller = new AbortController();
  readonly #work: Promise<T>;
  #isOver = false;
  #waiting = 0;

  /** Starts the work; its signal tells when nobody waits for it any more. */
  constructor(start: (signal: AbortSignal) => Promise<T>) {
    this.#work = start(this.#controller.signal).finally(() => this.#isOver = true);
    this.#work.catch(() => {});
  }

  /** Whether it was ended before it was done. */
  get isGivenUp(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Waits for the result; gives up when `signal` aborts, and rejects with its reason. */
  async wait(signal?: AbortSignal): Promise<T> {
    this.#waiting++;
    try {
      return await abandonable(this.#work, signal);
    } finally {
      if (--this.#waiting === 0 && !this.#isOver) this.#controller.abort(signal?.reason);
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
  /** Whether this process has asked the server itself. */
  readonly isFetched: boolean;
}

const DOCUMENT = "the discovery document";

/**
 * One authorization server. What is given counts first, then what this or another process has found
 * out and kept, then the server's own document.
 */
export class AuthorizationServer {
  readonly #options: ServerOptions;
  readonly #insecure: boolean;
  #known: SharedWork<Known> | undefined;
  #completing: SharedWork<Known> | undefined;
  #rereading: SharedWork<Known> | undefined;
  /** What was known last; will do if there is nothing newer to be had. */
  #last: Known | undefined;
  /** When what is known was found, in epoch milliseconds. */
  #foundAtMs = 0;
  /** Whether what is kept may be used; not after it failed. */
  #trustsKept = true;
  /** What the server said for the very call that uses it. */
  readonly #justRead: WeakSet<Metadata> = new WeakSet();
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
    const wasKnown = this.#known !== undefined;
    let known = await this.#discover(options);
    if (!known.isComplete && lacks({ ...known.document, ...endpoints })) {
      known = await this.#complete(known, options);
    }
    const server = { ...known.document, ...endpoints } as Metadata;
    if (!wasKnown && known.isFetched) this.#justRead.add(server);
    return server;
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
          [oauth.customFetch]: async (url: string, init: RequestInit) => {
            const { background, secrets, signal } = call;
            answer = await exchange(url, init, { ...this.#options, background, secrets, signal });
            return new Response();
          },
        }, server);
        this.#aheadMs = answer!.aheadMs ?? 0;
        if (!call.mayBeAbsent || !nobodyThere(answer!)) throwForAnswer(answer!, call.what);
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
    this.#known = this.#last = undefined;
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
    const { endpoints = {} } = this.#options;
    if (endpoints[name] !== undefined || this.#justRead.has(server)) return undefined;
    if (this.#rereading === undefined || this.#rereading.isGivenUp) {
      // A caller waits, and has an error already.
      const work = this.#rereading = new SharedWork((signal) =>
        this.#fetch({ background, signal, tries: 1 })
          .then((known) => this.#knows(known))
          .finally(() => work === this.#rereading && (this.#rereading = undefined))
      );
    }
    const now = await this.#rereading.wait(signal).catch(() => signal?.throwIfAborted());
    const address = now?.document[name];
    if (address === undefined || address === server[name]) return undefined;
    return { ...now!.document, ...endpoints } as Metadata;
  }

  #knows(known: Known): Known {
    this.#known = new SharedWork(() => Promise.resolve(known));
    return this.#last = known;
  }

  /**
   * Finds the endpoints once a day. A failed look-up is not kept; a caller that gives up does not
   * end it for the others.
   */
  #discover({ background, signal }: CallOptions): Promise<Known> {
    const before = this.#known;
    if (before === undefined || before.isGivenUp || !this.#isFresh(this.#foundAtMs)) {
      this.#foundAtMs = this.#options.clock.now();
      const work = this.#known = new SharedWork(async (signal) => {
        try {
          return this.#last = await this.#kept() ?? await this.#fetch({ background, signal });
        } catch (error) {
          if (this.#last !== undefined) return this.#last;
          if (this.#known === work) this.#known = undefined;
          throw error;
        }
      });
    }
    return this.#known!.wait(signal);
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
    this.#foundAtMs = readAtMs;
    return { document, readAtMs, isComplete: is_complete === true, isFetched: false };
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
    const isComplete = nobodyThere(first);
    const answer = isComplete ? await this.#ask("oauth2", options) : first;
    if (nobodyThere(answer)) throwForAnswer(first, DOCUMENT);
    const document = await this.#checked(answer);
    const readAtMs = this.#foundAtMs = this.#options.clock.now();
    const known = { document, readAtMs, isComplete, isFetched: true };
    await this.#keep(known);
    return known;
  }

  /** Adds what only the RFC 8414 document says; one look a day, whatever comes of it. */
  #complete(known: Known, { background, signal }: CallOptions): Promise<Known> {
    if (this.#completing === undefined || this.#completing.isGivenUp) {
      const work = this.#completing = new SharedWork(async (signal) => {
        const complete = { ...known, isComplete: true };
        try {
          const answer = await this.#ask("oauth2", { background, signal, tries: 1 });
          if (!nobodyThere(answer)) {
            complete.document = { ...await this.#checked(answer), ...known.document };
          }
          await this.#keep(complete);
        } catch {
          signal.throwIfAborted();
        }
        if (work === this.#completing) this.#completing = undefined;
        return this.#knows(complete);
      });
    }
    return this.#completing.wait(signal);
  }

  async #ask(
    algorithm: "oauth2" | "oidc",
    options: CallOptions & { tries?: number },
  ): Promise<Answer> {
    const issuer = new URL(this.#options.issuer);
    return await this.send({
      what: DOCUMENT,
      request: (more) => oauth.discoveryRequest(issuer, { ...more, algorithm }),
      idempotent: true,
      mayBeAbsent: true,
      ...options,
    });
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
        `Check the address of the authorization server: what is at ${origin}`,
        json.issuer,
        this.#options.expectedIssuer ?? this.#options.issuer,
      );
    }
  }
}
