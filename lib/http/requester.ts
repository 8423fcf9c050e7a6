/**
 * Requests that outlive bad moments: limits, retries, time limits, typed errors.
 *
 * Stands on an authenticated `fetch`; knows nothing of sign-ins and APIs. Loaded at the first
 * request of a session.
 *
 * @module
 */

import { abandonable, type Clock, linkedAbort } from "../waiting.ts";
import { answered, readBody, retryAfterMs } from "../exchange.ts";
import {
  ApiError,
  AuthError,
  BadGateway,
  BadQuery,
  ClientError,
  Conflict,
  InvalidAPIKey,
  MissingResource,
  NoPermission,
  PlanetError,
  ServerError,
  TooManyRequests,
} from "../errors.ts";
import { netRefusal, singleUse } from "../runtime.ts";
import type { JsonValue } from "../storage/objects.ts";
import { isDirect } from "./fetch.ts";
import { canReplay, RedirectError, takeApart, withoutCredentials } from "./follow_up.ts";

/** What a request carries besides its method and URL. */
export interface RequestOptions {
  /** Body as JSON. */
  json?: JsonValue;
  /** Body as it is; a stream is sent once, whatever happens. */
  body?: BodyInit;
  /** Parameters that are added to the URL's query; `undefined` leaves one out. */
  params?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Headers; `X-Planet-App` and `User-Agent` replace the library's. */
  headers?: HeadersInit;
  /** Ends the request; the promise rejects with its reason. */
  signal?: AbortSignal;
  /** Most repetitions of this request; 0 for one that must not happen twice. */
  maxRetries?: number;
}

/** What a client of an API needs of a session. */
export interface SessionLike {
  /** Sends a request and waits for the whole answer; see {@linkcode Session.request}. */
  request(method: string, url: string, options?: RequestOptions): Promise<Response>;
}

/** Limits of a {@linkcode Limiter}; 0 means none. */
export interface Limits {
  /** Starts in a second, evenly spaced, since the API minds two close together. */
  readonly requestsPerSecond: number;
  /** Requests at once. */
  readonly maxConcurrent: number;
}

/** How a {@linkcode Requester} behaves. */
export interface RequesterOptions extends Limits {
  /** Where paths begin. */
  readonly baseUrl: string;
  /** Sends a request. */
  readonly fetch: typeof globalThis.fetch;
  /** Time. */
  readonly clock: Clock;
  /** Most repetitions of a request; 0 means none. */
  readonly maxRetries: number;
  /** Longest time for an answer to begin, and between two parts of it, in milliseconds. */
  readonly timeoutMs: number;
  /** Headers of every request that does not set them itself. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Longest pause before a repetition, in milliseconds, as in Python. */
const LONGEST_PAUSE_MS = 64_000;

/** Longest answer that is read whole, in bytes. */
const LONGEST_BODY = 64 << 20;

/** How much of an error's body is kept, in bytes. */
const LONGEST_ERROR_BODY = 65_536;

const BY_STATUS: Readonly<Record<number, typeof ApiError>> = {
  400: BadQuery,
  401: InvalidAPIKey,
  403: NoPermission,
  404: MissingResource,
  409: Conflict,
  429: TooManyRequests,
  500: ServerError,
  502: BadGateway,
};

/** Statuses after which a request is repeated. */
const PASSING: readonly number[] = [429, 502];

/** Methods that do the same when they are sent twice (RFC 9110 §9.2.2). */
const REPEATABLE: readonly string[] = ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"];

/** Statuses that have no body (Fetch Standard §2.2.3). */
const BODILESS: readonly number[] = [204, 205, 304];

/** A request whose answer may be asked for more than once. */
interface Attempt {
  readonly url: string;
  readonly init: RequestInit;
  /** Most repetitions of this one. */
  readonly maxRetries: number;
  /** Whether the body is read as part of the attempt. */
  readonly whole: boolean;
}

/** Sends requests, again where that helps. */
export class Requester {
  readonly #options: RequesterOptions;
  readonly #limiter: Limiter;

  /** Makes a requester; nothing is sent yet. */
  constructor(options: RequesterOptions) {
    this.#options = options;
    this.#limiter = new Limiter(options, options.clock);
  }

  /**
   * Sends a request and reads the answer whole.
   *
   * @param url Absolute URL, or a path from the base URL.
   * @throws {ApiError} For every status from 400 on, in the subclass of the status.
   * @throws {AuthError} `network`, `timeout` after all repetitions, and those of the session.
   * @throws {ClientError} For a request that cannot be sent.
   */
  async request(method: string, url: string, options: RequestOptions = {}): Promise<Response> {
    const { body, headers, json, params = {}, signal } = options;
    const { maxRetries = this.#options.maxRetries } = options;
    if (json !== undefined && body !== undefined) {
      throw new ClientError("Give json or body, not both.");
    }
    const target = absolute(url, this.#options.baseUrl);
    for (const [name, value] of Object.entries(params)) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    const sent = new Headers(headers);
    const init: RequestInit & { method: string } = { method: checkMethod(method), headers: sent };
    if (json !== undefined) {
      if (!sent.has("content-type")) sent.set("content-type", "application/json");
      init.body = JSON.stringify(json);
    } else if (body !== undefined) init.body = body;
    if (init.body !== undefined && (init.method === "GET" || init.method === "HEAD")) {
      throw new ClientError(`Send no body with ${init.method}.`);
    }
    if (signal !== undefined) init.signal = signal;
    const response = await this.#repeat({ url: target.href, init, maxRetries, whole: true });
    if (response.status >= 400) throw await apiError(init.method, target.href, response);
    return response;
  }

  /** `fetch` with the same limits and repetitions; an answer is an answer, whatever its status. */
  async fetch(input: RequestInfo | URL, more?: RequestInit): Promise<Response> {
    const [url, init] = typeof input === "string" || input instanceof URL
      ? [new URL(input).href, more ?? {}]
      : await takeApart(input, more);
    const maxRetries = canReplay(init.body) ? this.#options.maxRetries : 0;
    return await this.#repeat({ url, init, maxRetries, whole: false });
  }

  async #repeat(attempt: Attempt): Promise<Response> {
    const { clock } = this.#options;
    const signal = attempt.init.signal ?? undefined;
    const headers = new Headers(attempt.init.headers);
    for (const [name, value] of Object.entries(this.#options.headers)) {
      if (!headers.has(name)) headers.set(name, value);
    }
    const init = { ...attempt.init, headers };
    for (let repetition = 1;; repetition++) {
      let failure: unknown;
      let response: Response | undefined;
      try {
        response = await this.#limiter.run(
          () => this.#once(attempt, init),
          signal,
        );
      } catch (error) {
        failure = error;
      }
      if (response !== undefined && !PASSING.includes(response.status)) return response;
      const wait = response === undefined
        ? isPassing(failure) ? 0 : undefined
        : retryAfterMs(response.headers, clock.now()) ?? 0;
      // Asking earlier than the server said would make things worse, and later nobody waits for.
      const over = repetition > attempt.maxRetries || wait === undefined ||
        wait > LONGEST_PAUSE_MS;
      if (over) {
        if (response === undefined) throw failure;
        return response;
      }
      response?.body?.cancel().catch(() => {});
      const backOff = 2 ** repetition * 1000 * (0.5 + Math.random() / 2);
      await clock.sleep(Math.min(Math.max(wait, backOff), LONGEST_PAUSE_MS), signal);
    }
  }

  /** One request, bounded in time. */
  async #once(attempt: Attempt, init: RequestInit): Promise<Response> {
    const { fetch, timeoutMs } = this.#options;
    const { url, whole } = attempt;
    const isOnce = attempt.maxRetries === 0 && !REPEATABLE.includes(init.method ?? "GET");
    // Deno would send it twice where a kept connection ends without an answer. A client of the
    // application's own, perhaps for a proxy, must not be replaced.
    const own = isOnce && isDirect(fetch) && !("client" in init) ? singleUse() : undefined;
    const limit = linkedAbort(init.signal ?? undefined);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch: Watch = {
      waiting: () => timer = setTimeout(() => limit.abort(tooLate(url, timeoutMs)), timeoutMs),
      moved: () => clearTimeout(timer),
      ended: () => limit.release(),
    };
    const explain = (error: unknown) =>
      limit.signal.aborted ? limit.signal.reason : asTypedError(error, url);
    let isOpen = false;
    try {
      const { signal } = limit;
      const sending: RequestInit & { client?: unknown } = { ...init, signal };
      if (own !== undefined) sending.client = own;
      const sent = fetch(url, sending);
      // A program's first timer takes Deno milliseconds: they pass while the request is on its way.
      watch.waiting();
      const response = await answered(sent, signal);
      if (response.body === null || BODILESS.includes(response.status)) return response;
      if (whole) return withBody(response, await wholeBody(url, response, signal));
      isOpen = true;
      return withBody(response, watched(response.body, watch, signal, explain));
    } catch (error) {
      throw explain(error);
    } finally {
      watch.moved();
      if (!isOpen) watch.ended();
      // A body that is still to be read has what it needs.
      own?.close();
    }
  }
}

/** Is told how reading a body goes on. */
interface Watch {
  /** Somebody waits for the next part. */
  waiting(): void;
  /** The next part is here, or the wait is over. */
  moved(): void;
  /** There is nothing left to read. */
  ended(): void;
}

/** The same answer with another body. */
function withBody(
  response: Response,
  body: string | Uint8Array | ReadableStream<Uint8Array>,
): Response {
  const { headers, redirected, status, statusText, url } = response;
  // The body is decoded already, and may have another length than was announced.
  const copied = new Headers(headers);
  copied.delete("content-encoding");
  copied.delete("content-length");
  const copy = new Response(body as BodyInit, { headers: copied, status, statusText });
  Object.defineProperties(copy, { redirected: { value: redirected }, url: { value: url } });
  return copy;
}

/** Reads a body as far as it is of use: that of a refusal may be of any length. */
async function wholeBody(url: string, response: Response, signal: AbortSignal) {
  const isRefusal = response.status >= 400;
  const most = isRefusal ? LONGEST_ERROR_BODY : LONGEST_BODY;
  const { bytes, isWhole } = await readBody(response, most, signal);
  if (isRefusal) return withoutCredentials(new TextDecoder().decode(bytes), response);
  if (isWhole) return bytes;
  throw new ApiError(
    `Use fetch() of the session and read the answer in parts: that of ${
      new URL(url).origin
    } is longer than ${LONGEST_BODY >> 20} MiB.`,
    response.status,
    "",
  );
}

/** Passes a body through, part by part as it is asked for. */
function watched(
  body: ReadableStream<Uint8Array>,
  watch: Watch,
  signal: AbortSignal,
  explain: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      watch.waiting();
      try {
        const { done, value } = await abandonable(reader.read(), signal);
        if (!done) return controller.enqueue(value);
        watch.ended();
        controller.close();
      } catch (error) {
        watch.ended();
        reader.cancel().catch(() => {});
        throw explain(error);
      } finally {
        watch.moved();
      }
    },
    cancel(reason) {
      watch.ended();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** Failures of the API request itself, after which the same one may succeed a moment later. */
const passing: WeakSet<object> = new WeakSet();

/**
 * Tells whether a request may be repeated. Not after a failure of the session: that would send
 * the same refresh token once more, which may be spent already.
 */
function isPassing(failure: unknown): boolean {
  return typeof failure === "object" && failure !== null && passing.has(failure);
}

function tooLate(url: string, timeoutMs: number): AuthError {
  const { origin } = new URL(url);
  const late = new AuthError(
    "timeout",
    `Try again, or raise timeoutMs: ${origin} did not answer within ${timeoutMs / 1000} s.`,
  );
  passing.add(late);
  return late;
}

/** What `fetch` rejects with is a lost connection, unless it is a typed error already. */
function asTypedError(cause: unknown, url: string): unknown {
  if (cause instanceof PlanetError) return cause;
  const denied = netRefusal(cause, url);
  if (denied !== undefined) return denied;
  if (cause instanceof RedirectError) {
    return new AuthError(
      "malformed_response",
      `Report this to the operator of ${new URL(url).origin}: its redirect cannot be followed.`,
      { cause },
    );
  }
  const failure = new AuthError(
    "network",
    `Check the network, or try again later: the connection to ${new URL(url).origin} failed.`,
    { cause },
  );
  passing.add(failure);
  return failure;
}

async function apiError(method: string, url: string, response: Response): Promise<ApiError> {
  const { status } = response;
  const body = new TextDecoder().decode(await response.arrayBuffer());
  const Class = BY_STATUS[status] ?? ApiError;
  return new Class(
    `${ADVICE[status] ?? "Check the request"}: ${describe(method, url)} was answered ${status}.`,
    status,
    body,
  );
}

/** What can be done about a status. */
const ADVICE: Readonly<Record<number, string>> = {
  400: "Correct the request; body says what is wrong with it",
  401: "Sign in again, or check the API key",
  403: "Ask for the permission that the account lacks",
  404: "Check the identifier",
  409: "Look at the resource again, it has changed",
  429: "Ask less often",
  500: "Try again later",
  502: "Try again later",
};

/** The request without its query, which may hold what does not belong in a message. */
function describe(method: string, url: string): string {
  const { origin, pathname } = new URL(url);
  return `${method} ${origin}${pathname}`;
}

/** Checks a method that `fetch` can send (Fetch Standard §2.2.1); in capitals. */
function checkMethod(method: string): string {
  if (typeof method !== "string") throw new TypeError("method must be a string.");
  const name = method.toUpperCase();
  if (/^[A-Z]{1,32}$/.test(name) && !["CONNECT", "TRACE", "TRACK"].includes(name)) return name;
  throw new ClientError('Give an HTTP method such as "GET" or "POST".');
}

function absolute(url: string, baseUrl: string): URL {
  if (typeof url !== "string") throw new TypeError("url must be a string.");
  const whole = url.startsWith("/") && !url.startsWith("//")
    ? baseUrl.replace(/\/+$/, "") + url
    : url;
  if (URL.canParse(whole)) return new URL(whole);
  throw new ClientError("Give an absolute URL, or a path that begins with one slash.");
}

/** Lets callers in, one by one. */
export class Limiter {
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #nextStartMs = 0;

  /** Makes a limiter; `clock` is asked for the time and waited with. */
  constructor(limits: Limits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Runs `work` when it may start.
   *
   * @throws After an abort during the wait, the reason of `signal`.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    await this.#takePlace(signal);
    try {
      await this.#takeStart(signal);
      signal?.throwIfAborted();
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #takePlace(signal?: AbortSignal): Promise<void> {
    const { maxConcurrent } = this.#limits;
    if (maxConcurrent === 0 || this.#running < maxConcurrent) {
      this.#running++;
      return;
    }
    // Whoever leaves hands the place on, so it is counted already.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await abandonable(promise, signal);
    } catch (error) {
      const at = this.#waiting.indexOf(resolve);
      if (at >= 0) this.#waiting.splice(at, 1);
      else this.#leave();
      throw error;
    }
  }

  async #takeStart(signal?: AbortSignal): Promise<void> {
    const { requestsPerSecond } = this.#limits;
    if (requestsPerSecond === 0) return;
    const now = this.#clock.now();
    const space = 1000 / requestsPerSecond;
    // A clock that was set back must not hold the next start up for hours.
    const start = Math.max(now, Math.min(this.#nextStartMs, now + space * (this.#running + 1)));
    this.#nextStartMs = start + space;
    if (start > now) await this.#clock.sleep(start - now, signal);
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
