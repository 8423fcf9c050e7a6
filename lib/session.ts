/**
 * `Session` calls Planet's APIs with the credentials of an `Auth`, through bad moments; `Planet` has the APIs, each as a property.
 *
 * A facade: the requests are those of `http/`, the clients those of `clients/`, both loaded when they
 * are first used. Until then small classes stand in for the clients.
 *
 * @module
 */

import type { Auth } from "./auth.ts";
import type { ClientOptions } from "./clients/calls.ts";
import type { DataAPI } from "./clients/data.ts";
import type { DestinationsAPI } from "./clients/destinations.ts";
import type { FeaturesAPI } from "./clients/features.ts";
import type { MosaicsAPI } from "./clients/mosaics.ts";
import type { OrdersAPI } from "./clients/orders.ts";
import type { QuotaAPI } from "./clients/quota.ts";
import type { SubscriptionsAPI } from "./clients/subscriptions.ts";
import type { DownloadProgress } from "./download/transfer.ts";
import { ClientError, type JsonObject } from "./errors.ts";
import type { SessionEvent } from "./events.ts";
import type { FetchLike } from "./exchange.ts";
import { asFetch } from "./http/fetch.ts";
import type { Authorizer } from "./http/plan.ts";
import type {
  ListOptions,
  OpenOptions,
  Requester,
  RequestOptions,
  SessionLike,
} from "./http/requester.ts";
import { type Clock, systemClock } from "./runtime.ts";
import { type PlanetEnvironment, VERSION } from "./setup.ts";

/**
 * Options of a {@linkcode Session}: how it treats Planet's APIs.
 *
 * @category Call APIs
 */
export interface SessionHttpOptions {
  /** Most repetitions of a request, after failures that permit one; default 5. */
  maxRetries?: number | undefined;
  /** Requests that start in a second, evenly spaced; default 10, 0 means no limit. */
  requestsPerSecond?: number | undefined;
  /** Requests at once; default 50, 0 means no limit. */
  maxConcurrent?: number | undefined;
  /**
   * Longest silence, in milliseconds: before the answer, and between two parts of it or of a body that is
   * sent; default 125,000.
   */
  timeoutMs?: number | undefined;
  /** Is told what happens to every request, for logs and traces; no query and no secret is in it. */
  onEvent?: ((event: SessionEvent) => void) | undefined;
  /** Replaces the system's clock, for tests. */
  clock?: Clock | undefined;
  /** The servers, for an `Authorizer`; default: `PRODUCTION`. An `Auth` has its own. */
  environment?: PlanetEnvironment | undefined;
  /** Origins that may receive the header of an `Authorizer`; default: those of the environment. */
  allowedOrigins?: readonly string[] | undefined;
  /** Sends the requests for an `Authorizer`; default: the runtime's. An `Auth` has its own. */
  fetch?: FetchLike | undefined;
}

const DEFAULTS = {
  maxRetries: 5,
  requestsPerSecond: 10,
  maxConcurrent: 50,
  timeoutMs: 125_000,
};

/** Longest time that a timer can wait, in milliseconds. */
const LONGEST_TIMEOUT_MS = 0x7fffffff;

/** Checks a number of the options, of a session or of one call. */
function checkNumber(name: keyof typeof DEFAULTS, value: unknown = DEFAULTS[name]): number {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number.`);
  const isWhole = Number.isInteger(value) || name === "requestsPerSecond";
  const least = name === "timeoutMs" ? 1 : 0;
  if (!(value >= least) || value > LONGEST_TIMEOUT_MS || !isWhole) {
    throw new ClientError(`Give ${name} a whole number from ${least} on: ${value} is none.`);
  }
  return value;
}

/**
 * The type of {@linkcode DataClient}: a class of clients, which is loaded at its first call.
 *
 * @category Call APIs
 */
export type ClientClass<Client> = new (session: SessionLike, options?: ClientOptions) => Client;

/** Names of methods; all others, such as `then` and `toJSON`, a client has not. */
const METHODS = /^(?!to)[a-z]+[A-Z]|^(search|wait)$/;

/** Those that return a list, page by page; the tests compare them with the classes. */
const LISTS = /^(list(?!ItemAssets|Destinations)|search|runSearch|getResults)/;

/** Makes a class that stands in for one which is loaded when the first of its methods is called. */
function lazily<Client extends object>(
  load: () => Promise<ClientClass<Client>>,
): ClientClass<Client> {
  type Methods = Record<string, (...args: unknown[]) => unknown>;
  class Lazy {
    readonly #open: () => Promise<Methods>;
    constructor(session: SessionLike, options?: ClientOptions) {
      let opened: Promise<Methods> | undefined;
      this.#open = () => opened ??= load().then((Class) => new Class(session, options) as Methods);
    }
    static async call(self: Lazy, name: string, args: unknown[]): Promise<unknown> {
      return await (await self.#open())[name]!(...args);
    }
  }
  // Asked for what is not there yet: a method comes to be when its name is first used.
  const get = (known: Methods, name: string) =>
    known[name] ??
      (METHODS.test(String(name))
        ? known[name] = LISTS.test(name)
          ? async function* (this: Lazy, ...args) {
            yield* await Lazy.call(this, name, args) as AsyncIterable<unknown>;
          }
          : function (this: Lazy, ...args) {
            return Lazy.call(this, name, args);
          }
        : undefined);
  const has = (known: Methods, name: string) => get(known, name) !== undefined;
  Object.setPrototypeOf(Lazy.prototype, new Proxy<Methods>({}, { get, has }));
  return Lazy as unknown as ClientClass<Client>;
}

/**
 * A client of the Data API; see {@linkcode DataAPI}.
 *
 * @category Data API
 */
export type DataClient = DataAPI;

/**
 * Makes a client of the Data API over a {@linkcode Session}; it is loaded at its first call.
 *
 * @category Data API
 */
export const DataClient: ClientClass<DataAPI> = lazily(
  async () => (await import("./clients/data.ts")).DataAPI,
);

/**
 * The clients, by the names that a {@linkcode Session} and a {@linkcode Planet} have for them.
 *
 * @category Call APIs
 */
export interface Clients {
  /** The Data API: saved searches, quick searches, items, assets. */
  readonly data: DataAPI;
  /** The Orders API: images, processed and packed as asked for, and their files. */
  readonly orders: OrdersAPI;
  /** The Destinations API: places in the cloud that results are delivered to. */
  readonly destinations: DestinationsAPI;
  /** The Features API: areas that are kept at Planet, in collections. */
  readonly features: FeaturesAPI;
  /** The Basemaps API: mosaics, their series and their quads. */
  readonly mosaics: MosaicsAPI;
  /** The Quota API: reservations, products, jobs. */
  readonly quota: QuotaAPI;
  /** The Subscriptions API: what is delivered as it comes, and its results. */
  readonly subscriptions: SubscriptionsAPI;
}

const CLIENTS: { readonly [Name in keyof Clients]: ClientClass<Clients[Name]> } = {
  data: DataClient,
  orders: lazily(async () => (await import("./clients/orders.ts")).OrdersAPI),
  destinations: lazily(async () => (await import("./clients/destinations.ts")).DestinationsAPI),
  features: lazily(async () => (await import("./clients/features.ts")).FeaturesAPI),
  mosaics: lazily(async () => (await import("./clients/mosaics.ts")).MosaicsAPI),
  quota: lazily(async () => (await import("./clients/quota.ts")).QuotaAPI),
  subscriptions: lazily(async () => (await import("./clients/subscriptions.ts")).SubscriptionsAPI),
};

/**
 * Calls Planet's APIs: credentials, limits, retries, time limits, typed errors.
 *
 * @category Call APIs
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
  readonly fetch: typeof globalThis.fetch & FetchLike;

  /** Time, as the option has it. */
  readonly clock: Clock;

  readonly #auth: Auth | Authorizer | undefined;
  readonly #options: SessionHttpOptions & typeof DEFAULTS & { clock: Clock };
  #opened: Promise<Requester> | undefined;

  /**
   * Uses `auth`, or anything else that has `authorization()`; without it the session of
   * `Auth.fromUserDefaultSession()`, which is looked up at the first call. Nothing is read or sent yet.
   *
   * @throws {ClientError} For an option out of its range; a `TypeError` for one of the wrong type.
   */
  constructor(auth?: Auth | Authorizer, options: SessionHttpOptions = {}) {
    const { authorization, fetch } = Object(auth);
    if (auth !== undefined && typeof (authorization ?? fetch) !== "function") {
      throw new TypeError("Pass an Auth to Session, or nothing for the user's default session.");
    }
    const { clock = systemClock, onEvent } = options;
    if (onEvent !== undefined && typeof onEvent !== "function") {
      throw new TypeError("onEvent must be a function.");
    }
    this.#auth = auth;
    this.clock = clock;
    this.#options = {
      ...options,
      clock,
      maxConcurrent: checkNumber("maxConcurrent", options.maxConcurrent),
      maxRetries: checkNumber("maxRetries", options.maxRetries),
      requestsPerSecond: checkNumber("requestsPerSecond", options.requestsPerSecond),
      timeoutMs: checkNumber("timeoutMs", options.timeoutMs),
    };
    this.fetch = asFetch(async (input, init) => await (await this.#open()).fetch(input, init));
  }

  /**
   * Sends a request and waits for the whole answer.
   *
   * Repeats it at most 5 times, after a growing pause or the one that `Retry-After` names: after 429 and
   * if no connection was opened, whatever it does; after 500, 502, 503, 504, a lost answer and the time
   * limit only if doing it twice does no harm (GET, HEAD, PUT, DELETE, OPTIONS, `idempotent`). A POST
   * or PATCH that may have been done is not sent again: the error says so.
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
    return await (await this.#open(options)).request(method, url, options);
  }

  /**
   * Lists what an API has, page by page, each asked for when the list gets there: `_links._next`,
   * `_links.next`, `links[]` and `meta.next` lead to the next one.
   *
   * @example A list, without a client
   * ```ts
   * import { Auth, Session } from "@planet-community/planet";
   *
   * const session = new Session(Auth.fromEnv());
   * const list = session.list("GET", "/data/v1/searches", {
   *   member: "searches",
   *   limit: 0,
   * });
   * for await (const { id, name } of list) console.log(id, name);
   * ```
   *
   * @throws {PagingError} If the pages lead in a circle, or one is none; else as `request()`.
   */
  async *list(method: string, url: string, options: ListOptions): AsyncIterable<JsonObject> {
    yield* (await this.#open(options)).list(method, url, options);
  }

  /**
   * Asks for a link that an API gave, such as the `location` of an asset: with the session's credentials
   * if its origin may have them, else without, by https only. The body comes as a stream, under the
   * time limit; an answer is an answer, whatever its status. The link gets into no error or event.
   *
   * @throws {AuthError} As `fetch`; `untrusted_origin` for a link elsewhere that is not https.
   */
  async open(link: string, options: OpenOptions = {}): Promise<Response> {
    return await (await this.#open(options)).open(link, options);
  }

  /**
   * A client of one of Planet's APIs; it is loaded at its first call.
   *
   * @throws {ClientError} If there is no such client.
   */
  client<Name extends keyof Clients>(name: Name, options?: ClientOptions): Clients[Name] {
    if (Object.hasOwn(CLIENTS, name)) return new CLIENTS[name](this, options);
    throw new ClientError(`Ask for one of "${Object.keys(CLIENTS).join('", "')}".`);
  }

  #open(call: { maxRetries?: number | undefined } = {}): Promise<Requester> {
    checkNumber("maxRetries", call.maxRetries);
    return this.#opened ??= this.#load().catch((error) => {
      this.#opened = undefined;
      throw error;
    });
  }

  async #load(): Promise<Requester> {
    const { Requester } = await import("./http/requester.ts");
    const auth = this.#auth ?? await (await import("./auth.ts")).Auth.fromUserDefaultSession();
    return Requester.over(auth, this.#options, {
      "user-agent": `planet-typescript/${VERSION}`,
      "x-planet-app": "typescript-sdk",
    });
  }
}

/**
 * Planet's APIs over one session: begin here to call them.
 *
 * @category Call APIs
 *
 * @example Saved searches
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const pl = new Planet(Auth.fromEnv());
 * for await (const { id, name } of pl.data.listSearches()) console.log(id, name);
 * ```
 */
export class Planet implements Clients {
  /** The Data API: saved searches, quick searches, items, assets. */
  readonly data: DataAPI;
  /** The Orders API: images, processed and packed as asked for, and their files. */
  readonly orders: OrdersAPI;
  /** The Destinations API: places in the cloud that results are delivered to. */
  readonly destinations: DestinationsAPI;
  /** The Features API: areas that are kept at Planet, in collections. */
  readonly features: FeaturesAPI;
  /** The Basemaps API: mosaics, their series and their quads. */
  readonly mosaics: MosaicsAPI;
  /** The Quota API: reservations, products, jobs. */
  readonly quota: QuotaAPI;
  /** The Subscriptions API: what is delivered as it comes, and its results. */
  readonly subscriptions: SubscriptionsAPI;

  /**
   * Uses `session`, or one over an `Auth`, or else one of the user's default; nothing is read or sent
   * yet.
   */
  constructor(session?: Session | Auth | Authorizer) {
    const isSession = session !== undefined && "client" in Object(session);
    const own = isSession ? session as Session : new Session(session as Auth);
    this.data = own.client("data");
    this.orders = own.client("orders");
    this.destinations = own.client("destinations");
    this.features = own.client("features");
    this.mosaics = own.client("mosaics");
    this.quota = own.client("quota");
    this.subscriptions = own.client("subscriptions");
  }
}

/**
 * Makes an `onProgress` for downloads that shows on stderr how far they are: a bar, speed and time left for
 * each file under way, in colour unless `NO_COLOR` is set; plain lines if stderr is no terminal. One serves
 * several files at once. Given a text, it writes that as a line above the bars, which other output would
 * run into.
 *
 * @category Downloads
 *
 * @example
 * ```ts
 * import { terminalProgress } from "@planet-community/planet";
 *
 * const onProgress = terminalProgress();
 * onProgress({ name: "scene.tif", received: 500, total: 1000, resumed: false });
 * ```
 */
export function terminalProgress(): (progress: DownloadProgress | string) => void {
  // What comes until the screen is loaded; of each file the last is enough.
  let waiting: Map<unknown, DownloadProgress | string> | undefined = new Map();
  let show = (progress: DownloadProgress | string): void =>
    void (typeof progress === "string"
      ? waiting?.set({}, progress)
      : waiting?.set(progress.name, { ...progress }));
  import("./terminal/progress.ts").then(({ openProgress }) => openProgress()).then((opened) => {
    show = opened;
    waiting?.forEach(opened);
    waiting = undefined;
  }).catch(() => waiting = undefined);
  return (progress) => show(progress);
}
