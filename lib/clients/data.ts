/**
 * The Data API: saved searches, quick searches, items.
 *
 * Parameters, defaults and checks are those of the Planet SDK for Python; each check happens
 * before anything is sent. Lists are fetched page by page, as they are consumed.
 *
 * @module
 */

import { ClientError, type JsonObject } from "../errors.ts";
import {
  asJson,
  type CallOptions,
  type RequestOptions,
  type SessionLike,
} from "../http/requester.ts";
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

/** How a list is asked for. */
export interface PageOptions extends CallOptions {
  /** Most objects; default 100, 0 means all. */
  limit?: number | undefined;
  /** Objects in each page, at most 250; default: as the API likes. */
  pageSize?: number | undefined;
}

/** How searches are listed. */
export interface ListSearchesOptions extends PageOptions {
  /** Order; default `created desc`. */
  sort?: SearchListSort | undefined;
  /** Which ones; default `any`. */
  searchType?: SearchType | undefined;
}

/** How the items of a search are listed. */
export interface RunSearchOptions extends PageOptions {
  /** Order; default `published desc`. */
  sort?: ItemSort | undefined;
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
  enableEmail?: boolean | undefined;
  /** Area that items must meet. */
  geometry?: GeometryLike | undefined;
}

/** A quick search. */
export interface QuickSearchRequest extends RunSearchOptions {
  /** Item types to search in, such as `PSScene`. */
  itemTypes: readonly string[];
  /** What items must fulfil; default: everything. */
  searchFilter?: JsonObject | undefined;
  /** Name of the search; default: its identifier. */
  name?: string | undefined;
  /** Area that items must meet. */
  geometry?: GeometryLike | undefined;
}

/** Options of a client. */
export interface ClientOptions {
  /** Where the API is; default: that of the session's environment. */
  baseUrl?: string | undefined;
}

const LIST_SORTS: readonly string[] = ["created desc", "created asc"];
const ITEM_SORTS: readonly string[] = [
  "published desc",
  "published asc",
  "acquired desc",
  "acquired asc",
];
const SEARCH_TYPES: readonly string[] = ["any", "saved", "quick"];
const LARGEST_PAGE = 250;

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

function checkPageSize(size: unknown): number | undefined {
  if (size === undefined) return undefined;
  if (typeof size !== "number") throw new TypeError("pageSize must be a number.");
  if (Number.isInteger(size) && size >= 1 && size <= LARGEST_PAGE) return size;
  throw new ClientError(`Give pageSize a whole number from 1 to ${LARGEST_PAGE}.`);
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
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listSearches(options: ListSearchesOptions = {}): AsyncIterable<Search> {
    const params = {
      _sort: choose("sort", options.sort, LIST_SORTS),
      search_type: choose("searchType", options.searchType, SEARCH_TYPES),
    };
    yield* this.#list<Search>("GET", "/searches", "searches", options, { params });
  }

  /**
   * One search.
   *
   * @throws {MissingResource} If there is no such search.
   */
  async getSearch(searchId: string, options: CallOptions = {}): Promise<Search> {
    const path = `/searches/${segment("searchId", searchId)}`;
    return await this.#json("GET", path, options) as Search;
  }

  /**
   * Creates a saved search.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async createSearch(request: SearchRequest, options: CallOptions = {}): Promise<Search> {
    return await this.#json("POST", "/searches", options, { json: searchBody(request) }) as Search;
  }

  /**
   * Replaces a saved search.
   *
   * @throws {MissingResource} If there is no such search.
   */
  async updateSearch(
    searchId: string,
    request: SearchRequest,
    options: CallOptions = {},
  ): Promise<Search> {
    const path = `/searches/${segment("searchId", searchId)}`;
    return await this.#json("PUT", path, options, { json: searchBody(request) }) as Search;
  }

  /**
   * Deletes a saved search.
   *
   * @throws {MissingResource} If there is no such search.
   */
  async deleteSearch(searchId: string, options: CallOptions = {}): Promise<void> {
    const path = `/searches/${segment("searchId", searchId)}`;
    await this.#session.request("DELETE", this.#base + path, ofCall(options));
  }

  /**
   * The items that a saved search finds.
   *
   * @throws {ClientError} If `searchId` is no UUID, or an option is wrong.
   */
  async *runSearch(searchId: string, options: RunSearchOptions = {}): AsyncIterable<Item> {
    if (!/^[0-9a-f]{32}$/i.test(String(searchId).replace(/^urn:uuid:|[{}-]/g, ""))) {
      throw new ClientError("Give searchId the identifier of a search, which is a UUID.");
    }
    const params = { _sort: choose("sort", options.sort, ITEM_SORTS) };
    const path = `/searches/${segment("searchId", searchId)}/results`;
    yield* this.#list<Item>("GET", path, "features", options, { params });
  }

  /**
   * The items that a quick search finds. The API keeps a quick search for about a month.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async *search(request: QuickSearchRequest): AsyncIterable<Item> {
    const { geometry, itemTypes, name, searchFilter, sort } = request ?? {};
    const params = { _sort: choose("sort", sort, ITEM_SORTS) };
    const json: JsonObject = {
      filter: checkFilter(searchFilter ?? { type: "AndFilter", config: [] }),
      item_types: checkItemTypes(itemTypes),
    };
    if (geometry !== undefined) json.geometry = asGeometry(geometry);
    if (name) json.name = name;
    yield* this.#list<Item>("POST", "/quick-search", "features", request, { json, params });
  }

  /**
   * One item.
   *
   * @throws {MissingResource} If there is no such item.
   */
  async getItem(itemTypeId: string, itemId: string, options: CallOptions = {}): Promise<Item> {
    const type = segment("itemTypeId", itemTypeId);
    const path = `/item-types/${type}/items/${segment("itemId", itemId)}`;
    return await this.#json("GET", path, options) as Item;
  }

  async #json(
    method: string,
    path: string,
    options: CallOptions,
    more: RequestOptions = {},
  ): Promise<JsonObject> {
    const all = { ...more, ...ofCall(options) };
    return await asJson(await this.#session.request(method, this.#base + path, all));
  }

  #list<Kind extends JsonObject>(
    method: string,
    path: string,
    member: string,
    options: PageOptions,
    { json, params }: RequestOptions,
  ): AsyncIterable<Kind> {
    const { limit, pageSize } = options;
    return this.#session.list(method, this.#base + path, {
      ...ofCall(options),
      json,
      limit,
      member,
      params: { ...params, _page_size: checkPageSize(pageSize) },
    }) as AsyncIterable<JsonObject> as AsyncIterable<Kind>;
  }
}

/** What every call may carry. */
function ofCall({ maxRetries, signal }: CallOptions): CallOptions {
  return { maxRetries, signal };
}
