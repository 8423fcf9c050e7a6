/**
 * Requests that outlive bad moments: limits, retries, time limits, typed errors.
 *
 * Stands on an authenticated `fetch`; knows nothing of sessions and APIs.
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
  Conflict,
  InvalidAPIKey,
  MissingResource,
  NoPermission,
  PlanetError,
  ServerError,
  TooManyRequests,
} from "../errors.ts";
import { isDirect } from "./authenticated_fetch.ts";
import { RedirectError, withoutCredentials } from "./follow_up.ts";
import { Limiter, type Limits } from "./limiter.ts";
import { netRefusal, singleUse } from "../runtime.ts";
import { canReplay } from "./request_parts.ts";

/** How a {@linkcode Requester} behaves. */
export interface RequesterOptions extends Limits {
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
   * @throws {ApiError} For every status from 400 on, in the subclass of the status.
   * @throws {AuthError} `network`, `timeout` after all repetitions, and those of the session.
   */
  async request(
    url: string,
    init: RequestInit,
    maxRetries: number = this.#options.maxRetries,
  ): Promise<Response> {
    const response = await this.#repeat({ url, init, maxRetries, whole: true });
    if (response.status >= 400) throw await apiError(init.method ?? "GET", url, response);
    return response;
  }

  /** `fetch` with the same limits and repetitions; an answer is an answer, whatever its status. */
  async fetch(url: string, init: RequestInit): Promise<Response> {
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
