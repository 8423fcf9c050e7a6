/**
 * The Data API: saved searches, quick searches, items.
 *
 * Parameters, defaults and checks are those of the Planet SDK for Python; each check happens
 * before anything is sent. Lists are fetched page by page, as they are consumed.
 *
 * @module
 */

import { ApiError, ClientError } from "../errors.ts";
import { throughPages } from "../http/paging.ts";
import type { SessionLike } from "../http/requester.ts";
import type { JsonObject } from "../storage/objects.ts";
import { asGeometry, type GeometryLike } from "./geometry.ts";

/** A saved or quick search, as the API describes it. */
export interface Search extends JsonObject {
  /** Identifier: 32 hexadecimal digits. */
  id: string;
  /** Name; that of a quick search is its identifier unless one was given. */
  name: string;
}

/** An item (a scene), a GeoJSON Feature as the API describes it. */
export interface Item extends JsonObject {
  /** Identifier, unique within its item type. */
  id: string;
}

/** Order of a list of searches. */
export type SearchListSort = "created desc" | "created asc";
/** Order of a list of items. */
export type ItemSort = "published desc" | "published asc" | "acquired desc" | "acquired asc";
/** Kind of searches to list. */
export type SearchType = "any" | "saved" | "quick";

/** Ends a call; its promise rejects with the signal's reason. */
export interface CallOptions {
  /** Ends the call. */
  signal?: AbortSignal;
}

/** How searches are listed. */
export interface ListSearchesOptions extends CallOptions {
  /** Order; default `created desc`. */
  sort?: SearchListSort;
  /** Which ones; default `any`. */
  searchType?: SearchType;
  /** Most searches; default 100, 0 means all. */
  limit?: number;
}

/** How the items of a search are listed. */
export interface RunSearchOptions extends CallOptions {
  /** Order; default `published desc`. */
  sort?: ItemSort;
  /** Most items; default 100, 0 means all. */
  limit?: number;
}

/** A saved search to create, or what to make of one. */
export interface SearchRequest {
  /** Item types to search in, such as `PSScene`. */
  itemTypes: readonly string[];
  /** What items must fulfil; `{ type: "AndFilter", config: [] }` leaves none out. */
  searchFilter: JsonObject;
  /** Name of the search. */
  name: string;
  /** Whether new results are sent by e-mail every day; default false. */
  enableEmail?: boolean;
  /** Area that items must meet. */
  geometry?: GeometryLike;
}

/** A quick search. */
export interface QuickSearchRequest extends RunSearchOptions {
  /** Item types to search in, such as `PSScene`. */
  itemTypes: readonly string[];
  /** What items must fulfil; default: everything. */
  searchFilter?: JsonObject;
  /** Name of the search; default: its identifier. */
  name?: string;
  /** Area that items must meet. */
  geometry?: GeometryLike;
}

/** Options of a client. */
export interface ClientOptions {
  /** Where the API is; default: that of the session's environment. */
  baseUrl?: string;
}

const LIST_SORTS: readonly string[] = ["created desc", "created asc"];
const ITEM_SORTS: readonly string[] = [
  "published desc",
  "published asc",
  "acquired desc",
  "acquired asc",
];
const SEARCH_TYPES: readonly string[] = ["any", "saved", "quick"];
const DEFAULT_LIMIT = 100;

/** Checks one of several words, in any case; the first is the default, which is not sent. */
function choose(name: string, value: unknown, words: readonly string[]): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new TypeError(`${name} must be a string.`);
  const word = value.toLowerCase();
  if (!words.includes(word)) {
    throw new ClientError(`Give ${name} one of "${words.join('", "')}".`);
  }
  return word === words[0] ? undefined : word;
}

function checkLimit(limit: unknown = DEFAULT_LIMIT): number {
  if (typeof limit !== "number") throw new TypeError("limit must be a number.");
  if (!Number.isInteger(limit) || limit < 0) {
    throw new ClientError("Give limit a whole number, or 0 for all.");
  }
  return limit;
}

/** Checks an identifier that becomes a segment of a path. */
function segment(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`${name} must be a string.`);
  if (value === "" || value === "." || value === "..") {
    throw new ClientError(`Give ${name} an identifier: ${JSON.stringify(value)} is none.`);
  }
  return encodeURIComponent(value);
}

function checkItemTypes(itemTypes: unknown): string[] {
  if (!Array.isArray(itemTypes) || itemTypes.some((type) => typeof type !== "string")) {
    throw new TypeError("itemTypes must be an array of strings.");
  }
  if (itemTypes.length === 0 || itemTypes.some((type) => type.trim() === "")) {
    throw new ClientError('Give itemTypes at least one item type, such as "PSScene".');
  }
  return [...itemTypes];
}

function checkFilter(filter: unknown): JsonObject {
  if (typeof filter !== "object" || filter === null || Array.isArray(filter)) {
    throw new TypeError("searchFilter must be an object.");
  }
  return filter as JsonObject;
}

function searchBody(request: SearchRequest): JsonObject {
  const { enableEmail = false, geometry, itemTypes, name, searchFilter } = request ?? {};
  if (typeof name !== "string") throw new TypeError("name must be a string.");
  if (typeof enableEmail !== "boolean") throw new TypeError("enableEmail must be a boolean.");
  return {
    name,
    filter: checkFilter(searchFilter),
    item_types: checkItemTypes(itemTypes),
    __daily_email_enabled: enableEmail,
    ...(geometry === undefined ? {} : { geometry: asGeometry(geometry) }),
  };
}

/**
 * Calls the Data API.
 *
 * @example Create a search and run it
 * ```ts
 * import { Auth, Planet, Session } from "@planet-community/planet";
 *
 * const { data } = new Planet(new Session(Auth.fromEnv()));
 * const search = await data.createSearch({
 *   name: "Clear sky",
 *   itemTypes: ["PSScene"],
 *   searchFilter: { type: "RangeFilter", field_name: "cloud_cover", config: { lt: 0.1 } },
 * });
 * for await (const item of data.runSearch(search.id, { limit: 10 })) console.log(item.id);
 * ```
 */
export class DataAPI {
  readonly #session: SessionLike;
  readonly #base: string;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options: ClientOptions = {}) {
    this.#session = session;
    this.#base = (options.baseUrl ?? "/data/v1").replace(/\/+$/, "");
  }

  /**
   * The searches of the account.
   *
   * @throws {ClientError} For a wrong option; `ApiError` where the API refuses.
   */
  async *listSearches(options: ListSearchesOptions = {}): AsyncIterable<Search> {
    const params = {
      _sort: choose("sort", options.sort, LIST_SORTS),
      search_type: choose("searchType", options.searchType, SEARCH_TYPES),
    };
    const limit = checkLimit(options.limit);
    const first = await this.#json("GET", "/searches", { params, ...signalOf(options) });
    yield* this.#pages<Search>(first, "searches", limit, options);
  }

  /**
   * One search.
   *
   * @throws {MissingResource} Where there is no such search.
   */
  async getSearch(searchId: string, options: CallOptions = {}): Promise<Search> {
    const path = `/searches/${segment("searchId", searchId)}`;
    return await this.#json("GET", path, signalOf(options)) as Search;
  }

  /**
   * Creates a saved search.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` where the API refuses it.
   */
  async createSearch(request: SearchRequest, options: CallOptions = {}): Promise<Search> {
    const json = searchBody(request);
    return await this.#json("POST", "/searches", { json, ...signalOf(options) }) as Search;
  }

  /**
   * Replaces a saved search.
   *
   * @throws {MissingResource} Where there is no such search.
   */
  async updateSearch(
    searchId: string,
    request: SearchRequest,
    options: CallOptions = {},
  ): Promise<Search> {
    const path = `/searches/${segment("searchId", searchId)}`;
    const json = searchBody(request);
    return await this.#json("PUT", path, { json, ...signalOf(options) }) as Search;
  }

  /**
   * Deletes a saved search.
   *
   * @throws {MissingResource} Where there is no such search.
   */
  async deleteSearch(searchId: string, options: CallOptions = {}): Promise<void> {
    const path = `/searches/${segment("searchId", searchId)}`;
    await this.#session.request("DELETE", this.#base + path, signalOf(options));
  }

  /**
   * The items that a saved search finds.
   *
   * @throws {ClientError} Where `searchId` is no UUID, or an option is wrong.
   */
  async *runSearch(searchId: string, options: RunSearchOptions = {}): AsyncIterable<Item> {
    if (!/^[0-9a-f]{32}$/i.test(String(searchId).replace(/^urn:uuid:|[{}-]/g, ""))) {
      throw new ClientError("Give searchId the identifier of a search, which is a UUID.");
    }
    const params = { _sort: choose("sort", options.sort, ITEM_SORTS) };
    const limit = checkLimit(options.limit);
    const path = `/searches/${segment("searchId", searchId)}/results`;
    const first = await this.#json("GET", path, { params, ...signalOf(options) });
    yield* this.#pages<Item>(first, "features", limit, options);
  }

  /**
   * The items that a quick search finds. The API keeps a quick search for about a month.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` where the API refuses it.
   */
  async *search(request: QuickSearchRequest): AsyncIterable<Item> {
    const { geometry, itemTypes, name, searchFilter, sort } = request ?? {};
    const params = { _sort: choose("sort", sort, ITEM_SORTS) };
    const limit = checkLimit(request?.limit);
    const json: JsonObject = {
      filter: checkFilter(searchFilter ?? { type: "AndFilter", config: [] }),
      item_types: checkItemTypes(itemTypes),
    };
    if (geometry !== undefined) json.geometry = asGeometry(geometry);
    if (name) json.name = name;
    const first = await this.#json("POST", "/quick-search", {
      json,
      params,
      ...signalOf(request),
    });
    yield* this.#pages<Item>(first, "features", limit, request);
  }

  /**
   * One item.
   *
   * @throws {MissingResource} Where there is no such item.
   */
  async getItem(itemTypeId: string, itemId: string, options: CallOptions = {}): Promise<Item> {
    const path = `/item-types/${segment("itemTypeId", itemTypeId)}/items/${
      segment("itemId", itemId)
    }`;
    return await this.#json("GET", path, signalOf(options)) as Item;
  }

  async #json(
    method: string,
    path: string,
    options: Parameters<SessionLike["request"]>[2],
  ): Promise<JsonObject> {
    return await asJson(await this.#session.request(method, this.#base + path, options));
  }

  #pages<T extends JsonObject>(
    first: JsonObject,
    member: string,
    limit: number,
    options: CallOptions,
  ): AsyncIterable<T> {
    const getPage = async (url: string) =>
      await asJson(await this.#session.request("GET", url, signalOf(options)));
    return throughPages(first, member, limit, getPage) as AsyncIterable<unknown> as AsyncIterable<
      T
    >;
  }
}

function signalOf({ signal }: CallOptions): CallOptions {
  return signal === undefined ? {} : { signal };
}

/** Reads an answer as a JSON object; the parser's own message would quote the body. */
async function asJson(response: Response): Promise<JsonObject> {
  const value: unknown = await response.json().catch(() => undefined);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as JsonObject;
  }
  throw new ApiError(
    "Try again, or report this to Planet: an answer is no JSON object.",
    response.status,
    "",
  );
}
