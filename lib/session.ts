/**
 * `Session`: calls Planet's APIs with the credentials of an `Auth`, through bad moments.
 *
 * A facade: the requests are those of `http/`, the clients those of `clients/`,
 * both loaded when they are first used.
 *
 * @module
 */

import type { Auth } from "./auth.ts";
import type { ClientOptions, DataAPI } from "./clients/data.ts";
import { DataClient } from "./clients/lazy.ts";
import { VERSION } from "./environment.ts";
import { ClientError } from "./errors.ts";
import type { Requester, RequestOptions } from "./http/requester.ts";
import { type Clock, systemClock } from "./waiting.ts";

/** How a {@linkcode Session} treats Planet's APIs. */
export interface SessionHttpOptions {
  /** Most repetitions of a request after 429, 502 or a lost connection; default 5. */
  maxRetries?: number;
  /** Requests that start in a second, evenly spaced; default 10, 0 means no limit. */
  requestsPerSecond?: number;
  /** Requests at once; default 50, 0 means no limit. */
  maxConcurrent?: number;
  /** Longest time for an answer to come, in milliseconds; default 125,000. */
  timeoutMs?: number;
  /** Replaces the system's clock, for tests. */
  clock?: Clock;
}

const DEFAULTS = {
  maxRetries: 5,
  requestsPerSecond: 10,
  maxConcurrent: 50,
  timeoutMs: 125_000,
} as const;

/** Longest time that a timer can wait, in milliseconds. */
const LONGEST_TIMEOUT_MS = 0x7fffffff;

function checkOptions(options: SessionHttpOptions): Required<SessionHttpOptions> {
  const checked = { clock: systemClock, ...DEFAULTS, ...defined(options) };
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    const value: unknown = checked[name];
    if (typeof value !== "number") throw new TypeError(`${name} must be a number.`);
    const isWhole = Number.isInteger(value) || name === "requestsPerSecond";
    if (!(value >= (name === "timeoutMs" ? 1 : 0)) || value > LONGEST_TIMEOUT_MS || !isWhole) {
      throw new ClientError(`Give ${name} a whole number from 0 on: ${value} is none.`);
    }
  }
  return checked;
}

function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

/**
 * Calls Planet's APIs: credentials, limits, retries, time limits, typed errors.
 *
 * @example An API without a client of its own
 * ```ts
 * import { Auth, Session } from "@planet-community/planet";
 *
 * const session = new Session(Auth.fromEnv());
 * const response = await session.request("GET", "/data/v1/searches", {
 *   params: { _page_size: 2 },
 * });
 * const { searches } = await response.json();
 * console.log(searches.length);
 * ```
 */
export class Session {
  /**
   * `fetch` with the session's credentials, limits and retries. Bound, so it
   * can be handed on. An answer is an answer, whatever its status.
   *
   * @throws {AuthError} `network`, `timeout` after all retries; `untrusted_origin`, and those of
   *   a renewal.
   */
  readonly fetch: typeof globalThis.fetch;

  readonly #auth: Auth | undefined;
  readonly #options: Required<SessionHttpOptions>;
  #opened: Promise<Requester> | undefined;

  /**
   * Uses `auth`, or else the session of `Auth.fromUserDefaultSession()`, which is
   * looked up at the first call. Nothing is read or sent yet.
   *
   * @throws {ClientError} For an option out of its range; a `TypeError` for one of the wrong type.
   */
  constructor(auth?: Auth, options: SessionHttpOptions = {}) {
    if (auth !== undefined && typeof auth?.fetch !== "function") {
      throw new TypeError("Pass an Auth to Session, or nothing for the user's default session.");
    }
    this.#auth = auth;
    this.#options = checkOptions(options);
    this.fetch = async (input, init) => await (await this.#open()).fetch(input, init);
  }

  /**
   * Sends a request and waits for the whole answer.
   *
   * Repeats it after 429, 502 and lost connections, at most 5 times, after a
   * growing pause or the one that `Retry-After` names.
   *
   * @param method HTTP method.
   * @param url Absolute URL, or a path from the API's origin, such as `/data/v1/searches`.
   * @param options Body, query, headers, signal.
   * @returns The answer; its status is below 400.
   * @throws {ApiError} For every other status, in the subclass of the status.
   * @throws {AuthError} `network`, `timeout` after all retries; `untrusted_origin`, and those of
   *   a renewal.
   */
  async request(method: string, url: string, options: RequestOptions = {}): Promise<Response> {
    return await (await this.#open()).request(method, url, options);
  }

  /**
   * A client of one of Planet's APIs; it is loaded at its first call.
   *
   * @throws {ClientError} If there is no such client.
   */
  client(name: "data", options?: ClientOptions): DataAPI {
    if (name === "data") return new DataClient(this, options);
    throw new ClientError('Ask for the client "data": there is no other one yet.');
  }

  #open(): Promise<Requester> {
    return this.#opened ??= this.#load().catch((error) => {
      this.#opened = undefined;
      throw error;
    });
  }

  async #load(): Promise<Requester> {
    const { Requester } = await import("./http/requester.ts");
    const auth = this.#auth ?? await (await import("./auth.ts")).Auth.fromUserDefaultSession();
    return new Requester({
      ...this.#options,
      baseUrl: auth.environment.apiBaseUrl,
      fetch: auth.fetch,
      headers: { "user-agent": `planet-typescript/${VERSION}`, "x-planet-app": "typescript-sdk" },
    });
  }
}
