/**
 * What the calls of all clients share: how an API is asked, checks of words and identifiers, waiting for a
 * state, and what became of many things at once.
 *
 * Loaded with the first client that is used.
 *
 * @module
 */

import type { DownloadOptions } from "../download/download.ts";
import { AuthError, ClientError, IncompleteError, type JsonObject } from "../errors.ts";
import {
  asJson,
  type CallOptions,
  type ListOptions,
  type RequestOptions,
  type SessionLike,
} from "../http/requester.ts";
import { withoutSecrets } from "../http/failures.ts";
import { type Clock, linkedAbort } from "../runtime.ts";

/**
 * Options of a client of an API, such as a {@linkcode DataAPI}.
 *
 * @category Call APIs
 */
export interface ClientOptions {
  /** Where the API is; default: that of the session's environment. */
  baseUrl?: string | undefined;
}

/**
 * Options of {@linkcode DataAPI.downloadAsset} and {@linkcode OrdersAPI.downloadAsset}: how an asset becomes a file.
 *
 * @category Data API
 */
export type DownloadAssetOptions = Omit<DownloadOptions, "subPath">;

/** What every call may carry. */
export function ofCall({ maxRetries, signal }: CallOptions): CallOptions {
  return { maxRetries, signal };
}

/**
 * Options of every call that gives a list: how much of it is asked for.
 *
 * @category Call APIs
 */
export interface ListCallOptions extends CallOptions {
  /** Most objects; default 100, 0 means all. */
  limit?: number | undefined;
}

/** An API at its place: paths count from there, and a call's own options go along with each request. */
export class Endpoint {
  /** What sends the requests. */
  readonly session: SessionLike;
  readonly #base: string;

  /** Uses `session`; `base` is where the API is if `options` do not say. */
  constructor(session: SessionLike, base: string, options: ClientOptions = {}) {
    this.session = session;
    this.#base = (options.baseUrl ?? base).replace(/\/+$/, "");
  }

  /** The URL of a path. */
  url(path: string): string {
    return this.#base + path;
  }

  /** Sends a request and waits for the answer. */
  async send(
    method: string,
    path: string,
    options: CallOptions,
    more: RequestOptions = {},
  ): Promise<Response> {
    return await this.session.request(method, this.#base + path, { ...more, ...ofCall(options) });
  }

  /** Sends a request; the answer is a JSON object. */
  async json<Kind extends JsonObject = JsonObject>(
    method: string,
    path: string,
    options: CallOptions,
    more: RequestOptions = {},
  ): Promise<Kind> {
    return await asJson(await this.send(method, path, options, more)) as Kind;
  }

  /** Lists what is in `member` of each page. */
  list<Kind extends JsonObject>(
    method: string,
    path: string,
    options: ListCallOptions,
    more: Pick<ListOptions, "json" | "member" | "params">,
  ): AsyncIterable<Kind> {
    const all = { ...more, ...ofCall(options), limit: options.limit };
    return this.session.list(method, this.#base + path, all) as AsyncIterable<Kind>;
  }
}

/** Checks one of several words, in any case. */
export function checkWord(name: string, value: unknown, words: readonly string[]): string {
  if (typeof value !== "string") throw new TypeError(`${name} must be a string.`);
  const word = value.toLowerCase();
  if (words.includes(word)) return word;
  throw new ClientError(`Give ${name} one of "${words.join('", "')}".`);
}

/** Checks one of several words, the first of which is the default, which is not sent. */
export function choose(name: string, value: unknown, words: readonly string[]): string | undefined {
  if (value === undefined || value === null) return undefined;
  const word = checkWord(name, value, words);
  return word === words[0] ? undefined : word;
}

/** Checks an identifier that becomes a segment of a path. */
export function segment(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`${name} must be a string.`);
  if (value === "" || value === "." || value === "..") {
    throw new ClientError(`Give ${name} an identifier: ${JSON.stringify(value)} is none.`);
  }
  return encodeURIComponent(value);
}

/** Checks an array of texts; absent: `undefined`. */
export function texts(name: string, values: unknown): string[] | undefined {
  if (values === undefined) return undefined;
  if (Array.isArray(values) && values.every((value) => typeof value === "string")) return values;
  throw new TypeError(`${name} must be an array of strings.`);
}

/**
 * Keeps the credentials in what an API described out of `console.log` and of its JSON; its members have
 * them, as does a copy.
 */
export function veiled<Kind extends JsonObject>(thing: Kind): Kind {
  const value = () => withoutSecrets(thing);
  const veil = { toJSON: { value }, [Symbol.for("nodejs.util.inspect.custom")]: { value } };
  return Object.defineProperties(thing, veil);
}

/** Tells whether a text is a UUID, in any of its forms. */
export function isUuid(value: string): boolean {
  return /^[0-9a-f]{32}$/i.test(value.replace(/^urn:uuid:|[{}-]/g, ""));
}

/** Checks an identifier that must be a UUID, in any of its forms. */
export function uuid(name: string, value: unknown): string {
  const id = segment(name, value);
  if (isUuid(String(value))) return id;
  throw new ClientError(`Give ${name} a UUID, as the API has it: this is none.`);
}

/** A text in what the API described, which must be there. */
export function member(of: JsonObject, path: string, name: string, advice?: string): string {
  let value: unknown = of;
  if (typeof of !== "object" || of === null) throw new TypeError(`${name} must be an object.`);
  for (const part of path.split(".")) value = Object(value)[part];
  if (typeof value === "string" && value !== "") return value;
  const what = advice ?? `Give the ${name} as the API describes it`;
  throw new ClientError(`${what}: the ${name} has no "${path}".`);
}

/**
 * What became of many things, if all of it is well.
 *
 * @throws {IncompleteError} If some failed: it names them, and has the results of the others. After an
 *   abort, its reason.
 */
export function allOf<Result>(
  settled: readonly PromiseSettledResult<Result>[],
  names: readonly string[],
  signal?: AbortSignal,
): Result[] {
  signal?.throwIfAborted();
  const results = settled.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  const failures = settled.flatMap((one, index) =>
    one.status === "rejected" ? [{ name: names[index]!, error: one.reason }] : []
  );
  if (failures.length > 0) throw new IncompleteError(failures, results);
  return results;
}

/** Checks a whole number from `least` on; absent: `otherwise`. */
export function wholeNumber(
  name: string,
  value: unknown,
  least: number,
  otherwise: number,
): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value !== "number") throw new TypeError(`${name} must be a number.`);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ClientError(`Give ${name} a whole number from ${least} on: ${value} is none.`);
}

/**
 * Options of calls that wait, such as {@linkcode DataAPI.waitAsset}: how a state is waited for.
 *
 * @category Call APIs
 */
export interface WaitOptions<State extends string = string> extends CallOptions {
  /** Pause between two looks in milliseconds, always the same; default: 5 s, growing by half to 30 s. */
  delayMs?: number | undefined;
  /** Most times to ask the API; default 0, which means no limit. */
  maxAttempts?: number | undefined;
  /**
   * Longest wait in milliseconds; default: none. The API is asked once more at its end, for at most ten
   * seconds.
   */
  timeoutMs?: number | undefined;
  /** Is told the state at each look, one that this library does not know, too. */
  onState?: ((state: State | UnknownState) => void) | undefined;
}

/**
 * A state that is none of those documented.
 *
 * @category Call APIs
 */
export type UnknownState = string & Record<never, never>;

/** What a look at something shows. */
export interface Seen {
  /** Its state. */
  readonly state: string;
  /** Whether that is a final one. */
  readonly isOver: boolean;
  /** Why waiting is in vain. */
  readonly refusal?: Error | undefined;
}

/** What is waited for. */
export interface Waited<Thing> {
  /** What it is, in words. */
  readonly name: string;
  /** Time. */
  readonly clock: Clock;
  /** What is known already; it is looked at before anything is asked. */
  readonly first?: Thing | undefined;
  /** Asks for it. */
  ask(options: CallOptions): Promise<Thing>;
  /** Its state, and whether the wait is over; with an error if waiting is in vain. */
  look(thing: Thing): Seen;
}

const FIRST_DELAY_MS = 5_000;
const LONGEST_DELAY_MS = 30_000;

/** How long the last answer may take if the time is over. */
const LAST_ANSWER_MS = 10_000;

/** Longest time that a timer can wait, in milliseconds. */
const LONGEST_TIMER_MS = 0x7fffffff;

/**
 * Waits until something is in a final state: the one place that does.
 *
 * The last answer counts, and nothing is slept after it. An unknown state is waited on, and told.
 *
 * @throws {ClientError} After `maxAttempts`, or for a wrong option; `AuthError` `timeout` after
 *   `timeoutMs`; an abort, its reason.
 */
export async function waitFor<Thing, State extends string>(
  { ask, clock, first, look, name }: Waited<Thing>,
  options: WaitOptions<State>,
): Promise<Thing> {
  const { delayMs, onState, signal, timeoutMs } = options;
  if (onState !== undefined && typeof onState !== "function") {
    throw new TypeError("onState must be a function.");
  }
  const most = wholeNumber("maxAttempts", options.maxAttempts, 0, 0);
  const end = clock.now() + wholeNumber("timeoutMs", timeoutMs, 0, Number.POSITIVE_INFINITY);
  let delay = wholeNumber("delayMs", delayMs, 0, FIRST_DELAY_MS);
  let since = clock.now();
  const late = (state: string) =>
    new AuthError(
      "timeout",
      `Wait longer, or come back later: ${name} was "${state}" after ${timeoutMs} ms.`,
    );
  let [thing, state] = [first, "not answered"];
  for (let attempts = 0;; attempts++) {
    signal?.throwIfAborted();
    if (thing !== undefined) {
      const seen = look(thing);
      state = seen.state;
      onState?.(state as UnknownState);
      if (seen.refusal !== undefined) throw seen.refusal;
      if (seen.isOver) return thing;
      if (most > 0 && attempts >= most) {
        throw new ClientError(
          `Wait longer, or come back later: ${name} was "${state}" at the last of ${most} attempts.`,
        );
      }
      const now = clock.now();
      if (now >= end) throw late(state);
      await clock.sleep(Math.max(Math.min(since + delay, end) - now, 0), signal);
      if (delayMs === undefined) delay = Math.min(delay * 1.5, LONGEST_DELAY_MS);
    }
    since = clock.now();
    const limit = linkedAbort(signal);
    const timer = end === Number.POSITIVE_INFINITY ? undefined : setTimeout(
      () => limit.abort(late(state)),
      Math.min(Math.max(end - since, LAST_ANSWER_MS), LONGEST_TIMER_MS),
    );
    try {
      thing = await ask({ ...ofCall(options), signal: limit.signal });
    } finally {
      clearTimeout(timer);
      limit.release();
    }
  }
}
