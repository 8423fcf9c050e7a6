/**
 * Requests that outlive bad moments: limits, pauses, repetitions, time limits, typed errors, lists;
 * and bodies that show how far they got, so that the time limit counts silence, not an upload that moves.
 *
 * Stands on an authenticated `fetch`; knows nothing of sign-ins and APIs. Loaded at the first
 * request of a session.
 *
 * @module
 */

import { ApiError, ClientError, type JsonObject, type JsonValue, PagingError } from "../errors.ts";
import type { SessionEvent } from "../events.ts";
import { answered, type FetchLike, readBody, retryAfterMs } from "../exchange.ts";
import {
  apiError,
  type Failure,
  failureOf,
  occasionOf,
  tell,
  type Told,
  tooLate,
} from "./failures.ts";
import { authenticatedFetch, resolved } from "./fetch.ts";
import {
  type Authorizer,
  mayRepeat,
  noted,
  type Plan,
  planOf,
  type Sending,
  sendPlanned,
  sentFor,
  takeApart,
} from "./plan.ts";
import { abandonable, type Clock, linkedAbort, runtime } from "../runtime.ts";
import { type PlanetEnvironment, PRODUCTION, serverOrigin } from "../setup.ts";

/** Is told that a part of a body went on its way; at its end, how long the parts under way may take. */
export type Moved = (tailMs?: number) => void;

/** Bytes that are handed over at once. */
const PART = 65_536;

/** How much of a stream is kept until it is clear that the connection was opened, in bytes. */
const KEPT = 1 << 20;

/** From this size on a body is handed over in parts; smaller ones are gone in a moment. */
const LARGE = 1 << 20;

/** How much the systems at both ends may hold that is still under way, in bytes. */
const UNDER_WAY = 8 << 20;

/** A stream over `next`, which is asked for each part as it is needed; `undefined` ends it. */
function inParts(
  next: (index: number) => Promise<Uint8Array | undefined>,
  moved: Moved,
  cancelled: () => void = () => {},
): ReadableStream<Uint8Array> {
  const since = performance.now();
  let [index, sent] = [0, 0];
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      moved();
      const part = await next(index++);
      if (part !== undefined) {
        sent += part.byteLength;
        return controller.enqueue(part);
      }
      // What is under way takes as long as the same amount took before.
      moved((performance.now() - since) * Math.min(1, UNDER_WAY / Math.max(sent, 1)));
      controller.close();
    },
    cancel: cancelled,
  }, { highWaterMark: 0 });
}

/**
 * A body that can be read once: a stream. Its beginning is kept, so that it can be sent again as long
 * as no connection was opened: Deno and Node read before they connect.
 */
export class OneTimeBody {
  /** The body as the caller gave it. */
  readonly given: RequestInit["body"];
  /** What reading it failed with: that is the program's. */
  failure: { readonly error: unknown } | undefined;

  readonly #reader: ReadableStreamDefaultReader<unknown>;
  readonly #kept: Uint8Array[] = [];
  #dropped = 0;
  #size = 0;
  #isDone = false;
  #reading: Promise<void> | undefined;
  #state: "open" | "cancelled" | "final" = "open";

  /** Takes a stream over; a `TypeError` if somebody reads it already. */
  constructor(given: RequestInit["body"]) {
    this.given = given;
    // It checks what a body may be, in the words of the runtime, and takes async iterables as well.
    this.#reader = new Response(given as BodyInit).body!.getReader();
  }

  /** Whether nothing is lost that was read. */
  get isUntouched(): boolean {
    return this.#dropped === 0 && this.failure === undefined;
  }

  /** The body for one attempt, from its beginning. */
  open(moved: Moved): ReadableStream<Uint8Array> {
    return inParts(
      async (index) => {
        while (index - this.#dropped >= this.#kept.length && !this.#isDone) {
          await (this.#reading ??= this.#read().finally(() => this.#reading = undefined));
        }
        const part = this.#kept[index - this.#dropped];
        if (this.#size > KEPT) {
          this.#kept.splice(0, index + 1 - this.#dropped);
          this.#dropped = index + 1;
        }
        return part;
      },
      moved,
      () => {
        if (this.#state === "final" || !this.isUntouched) return this.#close();
        this.#state = "cancelled";
      },
    );
  }

  /** There is no further attempt: what nobody reads any more is let go. */
  end(isAnswered: boolean): void {
    if (!isAnswered || this.#state === "cancelled") this.#close();
    this.#state = "final";
  }

  #close(): void {
    this.#reader.cancel().catch(() => {});
  }

  async #read(): Promise<void> {
    try {
      const { done, value } = await this.#reader.read();
      this.#isDone = done;
      if (done) return;
      if (!(value instanceof Uint8Array)) {
        throw new TypeError("A body's stream must consist of Uint8Array.");
      }
      this.#size += value.byteLength;
      for (let at = 0; at < value.byteLength; at += PART) {
        this.#kept.push(value.subarray(at, at + PART));
      }
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }
}

/** A large body in parts, with the headers that it would have had else; `undefined` for another one. */
export async function largeBody(
  init: RequestInit,
  moved: Moved,
): Promise<RequestInit | undefined> {
  const { body } = init;
  let whole: Blob | Uint8Array;
  let type = "";
  if (typeof body === "string") {
    if (body.length < LARGE) return undefined;
    [whole, type] = [new TextEncoder().encode(body), "text/plain;charset=UTF-8"];
  } else if (body instanceof FormData || body instanceof URLSearchParams) {
    const values = [...(body as FormData).values()];
    const size = values.reduce(
      (sum: number, value) => sum + (typeof value === "string" ? value.length : value.size),
      0,
    );
    if (size < LARGE) return undefined;
    whole = await new Response(body).blob();
    type = whole.type;
  } else if (body instanceof Blob) [whole, type] = [body, body.type];
  else if (body instanceof ArrayBuffer) whole = new Uint8Array(body);
  else if (ArrayBuffer.isView(body)) {
    whole = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  } else return undefined;
  const size = whole instanceof Blob ? whole.size : whole.byteLength;
  if (size < LARGE) return undefined;
  const headers = new Headers(init.headers);
  if (type !== "" && !headers.has("content-type")) headers.set("content-type", type);
  // Deno leaves it out and sends chunks (2.9.6).
  headers.set("content-length", String(size));
  return {
    ...init,
    headers,
    body: inParts(async (index) => {
      const at = index * PART;
      if (at >= size) return undefined;
      return whole instanceof Blob
        ? new Uint8Array(await whole.slice(at, at + PART).arrayBuffer())
        : whole.subarray(at, at + PART);
    }, moved),
  };
}

/**
 * A value of a parameter of the query.
 *
 * @category Call APIs
 */
export type Parameter = string | number | boolean;

/**
 * Options that every call of an API takes, besides what it is about.
 *
 * @category Call APIs
 */
export interface CallOptions {
  /** Ends the call; its promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Most repetitions of a request of this call; 0 for one that must not happen twice. */
  maxRetries?: number | undefined;
}

/**
 * Options of {@linkcode Session.request}: what a request carries besides its method and URL.
 *
 * @category Call APIs
 */
export interface RequestOptions extends CallOptions {
  /** Body as JSON. */
  json?: JsonValue | undefined;
  /** Body as it is; a stream is sent once, whatever happens. */
  body?: RequestInit["body"] | undefined;
  /** Parameters of the URL's query: an array repeats one, `undefined` leaves it out. */
  params?:
    | Readonly<Record<string, Parameter | readonly Parameter[] | undefined>>
    | undefined;
  /** Headers; `X-Planet-App` and `User-Agent` replace the library's. */
  headers?: RequestInit["headers"] | undefined;
  /**
   * Whether the request does the same when it is done twice, so that it may be sent again although it may
   * have been done; default: as its method says (RFC 9110 §9.2.2). Searches by POST do.
   */
  idempotent?: boolean | undefined;
  /** Whether the answer is there before its body, which comes as a stream then; refusals come whole. */
  stream?: boolean | undefined;
}

/**
 * Options of {@linkcode Session.list}: how the pages of a list are asked for.
 *
 * @category Call APIs
 */
export interface ListOptions extends RequestOptions {
  /** Name of the array in each page. */
  member: string;
  /** Most objects; default 100, 0 means all. */
  limit?: number | undefined;
}

/**
 * Options of {@linkcode Session.open}: how a link is asked for.
 *
 * @category Call APIs
 */
export interface OpenOptions extends CallOptions {
  /** Headers, such as `range`. */
  headers?: RequestInit["headers"] | undefined;
}

/**
 * What a client of an API needs of a session.
 *
 * @category Call APIs
 */
export interface SessionLike {
  /** Time. */
  readonly clock: Clock;
  /** Sends a request and waits for the whole answer. */
  request(method: string, url: string, options?: RequestOptions): Promise<Response>;
  /** Lists what an API has, page by page. */
  list(method: string, url: string, options: ListOptions): AsyncIterable<JsonObject>;
  /** Asks for a link that an API gave. */
  open(link: string, options?: OpenOptions): Promise<Response>;
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
  /** Sends a request, with the session's credentials. */
  readonly fetch: (
    input: string | URL | Request,
    init?: RequestInit,
    sending?: Sending,
  ) => Promise<Response>;
  /** Time. */
  readonly clock: Clock;
  /** Most repetitions of a request; 0 means none. */
  readonly maxRetries: number;
  /** Longest silence before an answer, between two parts of it and of a large body, in milliseconds. */
  readonly timeoutMs: number;
  /** Headers of every request that does not set them itself. */
  readonly headers: Readonly<Record<string, string>>;
  /** Is told what happens to a request. */
  readonly onEvent?: ((event: SessionEvent) => void) | undefined;
}

/** What a session over an `Authorizer` has of its own. */
interface AuthorizerOptions {
  readonly allowedOrigins?: readonly string[] | undefined;
  readonly environment?: PlanetEnvironment | undefined;
  readonly fetch?: FetchLike | undefined;
}

/** Longest pause before a repetition, in milliseconds, as in Python. */
const LONGEST_PAUSE_MS = 64_000;

/** Longest answer that is read whole, in bytes. */
const LONGEST_BODY = 64 << 20;

/** How much of an error's body is kept, in bytes. */
const LONGEST_ERROR_BODY = 65_536;

/** Longest time that a timer can wait, in milliseconds. */
const LONGEST_TIMER_MS = 0x7fffffff;

/** Statuses that have no body (Fetch Standard §2.2.3). */
const BODILESS: readonly number[] = [204, 205, 304];

/** What all runtimes decode; a body in another coding comes as it is. */
const DECODED = /^(x-)?gzip$|^deflate$|^br$/i;

/** Most objects of a list if nothing is said, as in Python. */
const DEFAULT_LIMIT = 100;

/** A request that may be sent more than once. */
interface Call {
  readonly id: number;
  readonly url: string;
  readonly init: RequestInit;
  readonly told: Told;
  /** A body that can be read once. */
  readonly stream: OneTimeBody | undefined;
  /** Most repetitions of this one. */
  readonly maxRetries: number;
  /** Whether the body is read as part of the attempt, or that of a refusal only. */
  readonly isWhole: boolean | "refusals";
  readonly isLink: boolean;
}

/** What became of one attempt. */
type Outcome = { readonly response: Response } | Failure;

/** Sends requests, again if that helps. */
export class Requester {
  readonly #options: RequesterOptions;
  readonly #limiter: Limiter;
  #count = 0;

  /** Makes a requester; nothing is sent yet. */
  constructor(options: RequesterOptions) {
    this.#options = options;
    this.#limiter = new Limiter(options, options.clock);
  }

  /**
   * Makes one over an `Auth`, or over anything else that has `authorization()`.
   *
   * @throws {ClientError} For options that are none of an `Auth`, or that cannot be.
   */
  static over(
    auth: Authorizer | Pick<RequesterOptions, "fetch"> & { environment: PlanetEnvironment },
    options: Omit<RequesterOptions, "baseUrl" | "fetch" | "headers"> & AuthorizerOptions,
    headers: Readonly<Record<string, string>>,
  ): Requester {
    const { allowedOrigins, environment = PRODUCTION, fetch, ...rest } = options;
    if ("fetch" in auth) {
      if (allowedOrigins ?? fetch ?? options.environment) {
        throw new ClientError(
          "Give allowedOrigins, environment and fetch to Auth, not to Session.",
        );
      }
      const baseUrl = auth.environment.apiBaseUrl;
      return new Requester({ ...rest, baseUrl, fetch: auth.fetch, headers });
    }
    const baseUrl = environment.apiBaseUrl;
    const origins = (allowedOrigins ?? environment.allowedOrigins ?? [baseUrl]).map((text) => {
      const origin = serverOrigin(text);
      if (origin !== undefined) return origin;
      throw new ClientError("Give allowedOrigins https URLs, or http URLs on loopback.");
    });
    const made = authenticatedFetch(auth, { allowedOrigins: origins, baseUrl, fetch });
    return new Requester({ ...rest, baseUrl, fetch: made, headers });
  }

  /**
   * Sends a request and reads the answer whole, unless it is to be a stream.
   *
   * @param url Absolute URL, or a path from the base URL.
   * @throws {ApiError} For every status from 400 on, in the subclass of the status.
   * @throws {AuthError} `network`, `timeout` after all repetitions, and those of the session.
   * @throws {ClientError} For a request that cannot be sent.
   */
  async request(method: string, url: string, options: RequestOptions = {}): Promise<Response> {
    const { body, headers, idempotent, json, maxRetries, params = {}, signal, stream } = options;
    if (json !== undefined && body !== undefined) {
      throw new ClientError("Give json or body, not both.");
    }
    const target = this.#absolute(url);
    for (const [name, value] of Object.entries(params)) {
      if (value === undefined) continue;
      target.searchParams.delete(name);
      for (const one of Array.isArray(value) ? value : [value]) {
        target.searchParams.append(name, String(one));
      }
    }
    const sent = new Headers(headers);
    const init: RequestInit & { method: string } = { method: checkMethod(method), headers: sent };
    if (json !== undefined) {
      if (!sent.has("content-type")) sent.set("content-type", "application/json");
      init.body = JSON.stringify(json);
    } else if (body !== undefined) init.body = body;
    if ((init.body ?? undefined) !== undefined && /^(GET|HEAD)$/.test(init.method)) {
      throw new ClientError(`Send no body with ${init.method}.`);
    }
    if (signal !== undefined) init.signal = signal;
    const isWhole = stream ? "refusals" : true;
    return await this.#send(target.href, init, { idempotent, isWhole, json, maxRetries });
  }

  /** `fetch` with the same limits and repetitions; an answer is an answer, whatever its status. */
  async fetch(input: string | URL | Request, more?: RequestInit): Promise<Response> {
    const [url, init] = typeof input === "string" || input instanceof URL
      ? [resolved(String(input), this.#options.baseUrl).href, more ?? {}]
      : await takeApart(input, more);
    return await this.#send(url, init, {});
  }

  /** Asks for a link; an answer is an answer, whatever its status. */
  async open(link: string, options: OpenOptions = {}): Promise<Response> {
    const { headers, maxRetries, signal } = options;
    const init: RequestInit = { ...(headers ? { headers } : {}), ...(signal ? { signal } : {}) };
    return await this.#send(this.#absolute(link).href, init, { isLink: true, maxRetries });
  }

  /** Yields the objects of all pages, at most `limit` of them. An empty page does not end the list. */
  async *list(
    method: string,
    url: string,
    options: ListOptions,
  ): AsyncGenerator<JsonObject, void, undefined> {
    const { headers, limit = DEFAULT_LIMIT, maxRetries, member, signal } = options;
    if (typeof limit !== "number") throw new TypeError("limit must be a number.");
    if (!Number.isInteger(limit) || limit < 0) {
      throw new ClientError("Give limit a whole number, or 0 for all.");
    }
    const seen = new Set<string>();
    let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
    for (let response = await this.request(method, url, { idempotent: true, ...options });;) {
      seen.add(response.url);
      const { items, next } = readPage(await asJson(response), response.url, member);
      for (const [index, item] of items.entries()) {
        yield item;
        if (--left > 0) continue;
        if (index + 1 < items.length || next !== undefined) {
          const { pathname, origin } = new URL(response.url);
          this.#note({ type: "limit", method, url: origin + pathname, limit });
        }
        return;
      }
      if (next === undefined) return;
      if (seen.has(next)) {
        throw new PagingError("Report this to Planet: the pages of the list lead in a circle.");
      }
      seen.add(next);
      response = await this.request("GET", next, { headers, maxRetries, signal });
    }
  }

  /** A whole URL, or a path from the base URL. */
  #absolute(url: string): URL {
    if (typeof url !== "string") throw new TypeError("url must be a string.");
    try {
      return resolved(url, this.#options.baseUrl);
    } catch {
      throw new ClientError("Give an absolute URL, or a path that begins with one slash.");
    }
  }

  /** Makes the plan of a request and carries it out. */
  async #send(
    url: string,
    given: RequestInit,
    { idempotent, isLink = false, isWhole = false, json, maxRetries }: {
      idempotent?: boolean | undefined;
      isLink?: boolean;
      isWhole?: Call["isWhole"];
      json?: JsonValue | undefined;
      maxRetries?: number | undefined;
    },
  ): Promise<Response> {
    const headers = new Headers(given.headers);
    for (const [name, value] of Object.entries(this.#options.headers)) {
      if (!headers.has(name)) headers.set(name, value);
    }
    const init: RequestInit = { ...given, headers };
    const simple = planOf(init, idempotent);
    const stream = simple.isReplayable ? undefined : new OneTimeBody(init.body);
    const plan: Plan = stream === undefined ? simple : {
      ...simple,
      get isUntouched() {
        return stream.isUntouched;
      },
    };
    const told = tell((init.method ?? "GET").toUpperCase(), url, plan, isLink);
    const most = maxRetries ?? this.#options.maxRetries;
    const id = ++this.#count;
    const call: Call = { id, url, init, told, stream, maxRetries: most, isWhole, isLink };
    let response: Response | undefined;
    try {
      response = await this.#repeat(call);
    } finally {
      stream?.end(response !== undefined);
    }
    if (!isWhole || response.status < 400) return response;
    const { clock } = this.#options;
    const wait = retryAfterMs(response.headers, clock.now());
    const retryAt = wait === undefined ? undefined : clock.now() + wait;
    const text = new TextDecoder().decode(await response.arrayBuffer());
    throw apiError(told, response, text, retryAt, json);
  }

  async #repeat(call: Call): Promise<Response> {
    const { clock } = this.#options;
    const { maxRetries, told } = call;
    const signal = call.init.signal ?? undefined;
    for (let attempt = 1;; attempt++) {
      const since = clock.now();
      const outcome = await this.#limiter.run(
        () => this.#once(call, attempt),
        signal,
        (ms) => this.#tell(call, attempt, { type: "throttling", ms }),
      );
      const [occasion, asked, why] = "response" in outcome
        ? [
          occasionOf(outcome.response),
          retryAfterMs(outcome.response.headers, clock.now()) ?? 0,
          { status: outcome.response.status },
        ] as const
        : [outcome.occasion, 0, codeOf(outcome.error)] as const;
      // Asking earlier than the server said would make things worse, and later nobody waits for.
      if (attempt > maxRetries || asked > LONGEST_PAUSE_MS || !mayRepeat(told.plan, occasion)) {
        if ("response" in outcome) return outcome.response;
        throw outcome.error;
      }
      if ("response" in outcome) outcome.response.body?.cancel().catch(() => {});
      const backOff = Math.round(2 ** attempt * 1000 * (0.5 + Math.random() / 2));
      const ms = Math.min(Math.max(asked, backOff), LONGEST_PAUSE_MS);
      this.#tell(call, attempt, { type: "pause", ms, retryAt: clock.now() + ms, ...why });
      await clock.sleep(ms, signal);
      this.#tell(call, attempt + 1, { type: "repetition", ms: clock.now() - since, ...why });
    }
  }

  /** One attempt, bounded in its silence. */
  async #once(call: Call, attempt: number): Promise<Outcome> {
    const { clock, fetch, timeoutMs } = this.#options;
    const { init, isLink, isWhole, stream, told, url } = call;
    let since = clock.now();
    const limit = linkedAbort(init.signal ?? undefined);
    const { signal } = limit;
    let late: Failure | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch: Watch = {
      waiting(moreMs = 0) {
        clearTimeout(timer);
        timer = setTimeout(() => {
          late = tooLate(told, timeoutMs);
          limit.abort(late.error);
        }, Math.min(timeoutMs + moreMs, LONGEST_TIMER_MS));
      },
      moved: () => clearTimeout(timer),
      ended: () => limit.release(),
    };
    const explain = (error: unknown): Failure => {
      if (late !== undefined) return late;
      if (signal.aborted) return { error: signal.reason, occasion: "final" };
      if (stream?.failure !== undefined) return { ...stream.failure, occasion: "final" };
      return failureOf(error, url, init, told);
    };
    let isSent = false;
    let isAnswered = false;
    let isOpen = false;
    const moved: Moved = (tailMs) => {
      if (!isAnswered) watch.waiting(tailMs);
    };
    const sending: Sending = {
      plan: told.plan,
      isLink,
      send: async (transport, to, init) => {
        if (!isSent) {
          isSent = true;
          since = clock.now();
          this.#tell(call, attempt, { type: "request", ms: 0 });
        }
        const parts = stream !== undefined && init.body === stream.given
          ? { ...init, body: stream.open(moved) }
          : init.body && await largeBody(init, moved);
        const sent = sendPlanned(transport, to, parts || init, told.plan);
        // A program's first timer takes Deno milliseconds: they pass while the request is on its way.
        moved();
        return await sent;
      },
    };
    try {
      const sent = fetch(url, { ...init, signal }, sending);
      if (timer === undefined) moved();
      const response = await answered(sent, signal);
      isAnswered = true;
      const { status } = response;
      this.#tell(call, attempt, { type: "answer", status, ms: clock.now() - since });
      if (response.body === null || BODILESS.includes(status)) return { response };
      if (isWhole !== true && !(isWhole && status >= 400)) {
        isOpen = true;
        const body = watched(response.body, isLink, watch, signal, (error) => explain(error).error);
        // Whoever names codings gets the headers as they came, since Deno then decodes nothing.
        const isOwn = new Headers(init.headers).has("accept-encoding");
        return { response: withBody(response, body, response.url, isOwn) };
      }
      watch.waiting();
      const most = status < 400 ? LONGEST_BODY : LONGEST_ERROR_BODY;
      const { bytes, isWhole: isAll } = await readBody(response, most, signal, watch.waiting);
      if (!isAll && status < 400) throw tooLong(told, status);
      return { response: withBody(response, bytes, response.url || url) };
    } catch (error) {
      const failure = explain(error);
      const ms = clock.now() - since;
      this.#tell(call, attempt, { type: "failure", ms, ...codeOf(failure.error) });
      return failure;
    } finally {
      isAnswered = true;
      watch.moved();
      if (!isOpen) watch.ended();
    }
  }

  /** Tells what happens to a request. */
  #tell({ id, told }: Call, attempt: number, more: EventOf<SessionEvent>): void {
    const { method, url } = told;
    this.#note({ id, method, url, attempt, ...more } as SessionEvent);
  }

  #note(event: SessionEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch {
      // An observer's failure must not cost the request.
    }
  }
}

/** What is told of an event besides the request. */
type EventOf<Event> = Event extends unknown ? Omit<Event, "id" | "method" | "url" | "attempt">
  : never;

/** What may be told of an error: its code, or its class. */
function codeOf(error: unknown): { readonly code: string } {
  const { code, name } = Object(error) as { code?: unknown; name?: unknown };
  return { code: typeof code === "string" ? code : String(name ?? "Error") };
}

/** Is told how reading a body goes on. */
interface Watch {
  /** Somebody waits for the next part, for as long as the time limit allows and `moreMs`. */
  waiting(moreMs?: number): void;
  /** The next part is here, or the wait is over. */
  moved(): void;
  /** There is nothing left to read. */
  ended(): void;
}

/** The same answer with another body; headers stay as they came, unless the body was decoded unasked. */
function withBody(
  response: Response,
  body: Uint8Array | ReadableStream<Uint8Array>,
  url: string,
  isOwn: boolean = false,
): Response {
  const { headers, redirected, status, statusText, type } = response;
  let kept = headers;
  if (!isOwn && DECODED.test(headers.get("content-encoding") ?? "")) {
    kept = new Headers(headers);
    kept.delete("content-encoding");
    kept.delete("content-length");
  }
  const copy = new Response(body as BodyInit, { headers: kept, status, statusText });
  const dress = (copy: Response): Response =>
    Object.defineProperties(copy, {
      clone: { value: () => dress(Response.prototype.clone.call(copy)) },
      redirected: { value: redirected },
      type: { value: type },
      url: { value: url },
    });
  return noted(dress(copy), sentFor(response) ?? "");
}

function tooLong({ origin, url }: Told, status: number): ApiError {
  const message = `Use fetch() of the session and read the answer in parts: that of ${origin} is ` +
    `longer than ${LONGEST_BODY >> 20} MiB.`;
  return new ApiError(message, status, "", { url });
}

/** What a read gives; the standard's own type has no name in Bun's and Node's types. */
export type Part =
  | { readonly done: false; readonly value: Uint8Array }
  | { readonly done: true; readonly value?: Uint8Array | undefined };

/** Reads a body part by part: into memory that is handed over, if it is and the body can. */
export interface Parts {
  /** Whether memory that is handed over is used. */
  readonly isByob?: boolean;
  /** Reads the next part; `into` is gone afterwards. */
  read(into?: Uint8Array): Promise<Part>;
  /** Lets the body go. */
  cancel(reason?: unknown): Promise<void>;
}

/**
 * Reads a body in parts of its own size, or `inBytes` in ones of 64 KiB or the size of what is handed over:
 * workerd's own parts are of 4 KiB, and those of Deno fill memory until its garbage is collected.
 */
export function partsOf(body: ReadableStream<Uint8Array>, inBytes: boolean): Parts {
  if (inBytes && (runtime === "deno" || runtime === "other")) {
    try {
      const reader = body.getReader({ mode: "byob" });
      return {
        isByob: true,
        // What was handed over before a failure has no memory any more.
        read: (into) =>
          reader.read(into?.byteLength ? into : new Uint8Array(PART)) as ReturnType<Parts["read"]>,
        cancel: (reason) => reader.cancel(reason),
      };
    } catch {
      // It is no stream of bytes.
    }
  }
  const reader = body.getReader();
  return { read: () => reader.read(), cancel: (reason) => reader.cancel(reason) };
}

/** Passes a body through, part by part as it is asked for; a link's into the reader's own memory. */
function watched(
  body: ReadableStream<Uint8Array>,
  isLink: boolean,
  watch: Watch,
  signal: AbortSignal,
  explain: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  const reader = partsOf(body, isLink || runtime === "other");
  // One listener for all parts: one for each costs more than the part.
  let abandon: (reason: unknown) => void = () => {};
  signal.addEventListener("abort", () => abandon(signal.reason), { once: true });
  const pull = async (
    controller: ReadableStreamDefaultController<Uint8Array> | ReadableByteStreamController,
  ): Promise<void> => {
    watch.waiting();
    try {
      const request = "byobRequest" in controller ? controller.byobRequest : null;
      const { done, value } = await new Promise<Part>(
        (resolve, reject) => {
          abandon = reject;
          if (signal.aborted) reject(signal.reason);
          reader.read(request?.view as Uint8Array | undefined).then(resolve, reject);
        },
      );
      if (done) {
        watch.ended();
        controller.close();
      }
      if (request !== null && value !== undefined) {
        request.respondWithNewView(value as Uint8Array<ArrayBuffer>);
      } else if (!done) controller.enqueue(value as Uint8Array<ArrayBuffer>);
    } catch (error) {
      watch.ended();
      reader.cancel().catch(() => {});
      throw explain(error);
    } finally {
      watch.moved();
    }
  };
  const cancel = (reason: unknown): Promise<void> => {
    watch.ended();
    return reader.cancel(reason);
  };
  if (reader.isByob && runtime === "deno") {
    return new ReadableStream({ type: "bytes", pull, cancel });
  }
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}

/**
 * Reads an answer as a JSON object; the parser's own message would quote the body.
 *
 * @throws {ApiError} If it is none.
 */
export async function asJson(response: Response): Promise<JsonObject> {
  const value: unknown = await response.json().catch(() => undefined);
  if (isObject(value)) return value;
  throw new ApiError(
    "Try again, or report this to Planet: an answer is no JSON object.",
    response.status,
    "",
  );
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Where Planet's APIs have the link to the next page: `_links._next`, `_links.next`, `meta.next`, `links[]`. */
function nextOf({ _links, links, meta }: JsonObject): unknown {
  const named = isObject(_links) ? _links._next || _links.next : undefined;
  const listed = Array.isArray(links)
    ? links.find((link) => isObject(link) && link.rel === "next") as JsonObject | undefined
    : undefined;
  return named || listed?.href || (isObject(meta) ? meta.next : undefined);
}

/**
 * Reads a page.
 *
 * @param page The page, as JSON.
 * @param url Its URL, from which a relative link counts.
 * @param member Name of the array in it.
 * @throws {PagingError} If it is no page; the message quotes nothing of it.
 */
export function readPage(
  page: unknown,
  url: string,
  member: string,
): { items: JsonObject[]; next?: string } {
  const items = isObject(page) ? page[member] : undefined;
  if (!Array.isArray(items) || !items.every(isObject)) {
    throw new PagingError(`Report this to Planet: a page has no list of objects "${member}".`);
  }
  const next = nextOf(page as JsonObject);
  if (next === undefined || next === null || next === "") return { items };
  if (typeof next !== "string" || !URL.canParse(next, url)) {
    throw new PagingError("Report this to Planet: the link to the next page is none.");
  }
  return { items, next: new URL(next, url).href };
}

/** Checks a method that `fetch` can send (Fetch Standard §2.2.1); in capitals. */
function checkMethod(method: string): string {
  if (typeof method !== "string") throw new TypeError("method must be a string.");
  const name = method.toUpperCase();
  if (/^[A-Z]{1,32}$/.test(name) && !["CONNECT", "TRACE", "TRACK"].includes(name)) return name;
  throw new ClientError('Give an HTTP method such as "GET" or "POST".');
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
   * Runs `work` when it may start; `waited` is told how long that took, if it did.
   *
   * @throws After an abort during the wait, the reason of `signal`.
   */
  async run<T>(
    work: () => Promise<T>,
    signal?: AbortSignal,
    waited?: (ms: number) => void,
  ): Promise<T> {
    signal?.throwIfAborted();
    const since = this.#clock.now();
    let held = await this.#takePlace(signal);
    try {
      if (await this.#takeStart(signal)) held = true;
      signal?.throwIfAborted();
      if (held) waited?.(Math.max(0, this.#clock.now() - since));
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Answers whether it had to wait, as `#takeStart()` does. */
  async #takePlace(signal?: AbortSignal): Promise<boolean> {
    const { maxConcurrent } = this.#limits;
    if (maxConcurrent === 0 || this.#running < maxConcurrent) {
      this.#running++;
      return false;
    }
    // Whoever leaves hands the place on, so it is counted already.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await abandonable(promise, signal);
      return true;
    } catch (error) {
      const at = this.#waiting.indexOf(resolve);
      if (at >= 0) this.#waiting.splice(at, 1);
      else this.#leave();
      throw error;
    }
  }

  async #takeStart(signal?: AbortSignal): Promise<boolean> {
    const { requestsPerSecond } = this.#limits;
    if (requestsPerSecond === 0) return false;
    const now = this.#clock.now();
    const space = 1000 / requestsPerSecond;
    // A clock that was set back must not hold the next start up for hours.
    const start = Math.max(now, Math.min(this.#nextStartMs, now + space * (this.#running + 1)));
    this.#nextStartMs = start + space;
    if (start > now) await this.#clock.sleep(start - now, signal);
    return start > now;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
