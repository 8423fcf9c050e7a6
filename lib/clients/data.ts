/**
 * The Data API: saved searches, quick searches, items.
 *
 * The work is that of `data_calls.ts`, which is loaded when it is first needed.
 *
 * @module
 */

import type { Session } from "../session.ts";
import type { JsonObject } from "../storage/objects.ts";
import type { DataCalls } from "./data_calls.ts";
import type { GeometryLike } from "./geometry.ts";

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
export class DataClient {
  readonly #session: Session;
  readonly #base: string;
  #opened: Promise<DataCalls> | undefined;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: Session, options: ClientOptions = {}) {
    this.#session = session;
    this.#base = (options.baseUrl ?? "/data/v1").replace(/\/+$/, "");
  }

  /**
   * The searches of the account.
   *
   * @throws {ClientError} For a wrong option; `ApiError` where the API refuses.
   */
  async *listSearches(options: ListSearchesOptions = {}): AsyncIterable<Search> {
    yield* (await this.#calls()).listSearches(options);
  }

  /**
   * One search.
   *
   * @throws {MissingResource} Where there is no such search.
   */
  async getSearch(searchId: string, options: CallOptions = {}): Promise<Search> {
    return await (await this.#calls()).getSearch(searchId, options);
  }

  /**
   * Creates a saved search.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` where the API refuses it.
   */
  async createSearch(request: SearchRequest, options: CallOptions = {}): Promise<Search> {
    return await (await this.#calls()).createSearch(request, options);
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
    return await (await this.#calls()).updateSearch(searchId, request, options);
  }

  /**
   * Deletes a saved search.
   *
   * @throws {MissingResource} Where there is no such search.
   */
  async deleteSearch(searchId: string, options: CallOptions = {}): Promise<void> {
    await (await this.#calls()).deleteSearch(searchId, options);
  }

  /**
   * The items that a saved search finds.
   *
   * @throws {ClientError} Where `searchId` is no UUID, or an option is wrong.
   */
  async *runSearch(searchId: string, options: RunSearchOptions = {}): AsyncIterable<Item> {
    yield* (await this.#calls()).runSearch(searchId, options);
  }

  /**
   * The items that a quick search finds. The API keeps a quick search for about a month.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` where the API refuses it.
   */
  async *search(request: QuickSearchRequest): AsyncIterable<Item> {
    yield* (await this.#calls()).search(request);
  }

  /**
   * One item.
   *
   * @throws {MissingResource} Where there is no such item.
   */
  async getItem(itemTypeId: string, itemId: string, options: CallOptions = {}): Promise<Item> {
    return await (await this.#calls()).getItem(itemTypeId, itemId, options);
  }

  #calls(): Promise<DataCalls> {
    return this.#opened ??= import("./data_calls.ts")
      .then(({ DataCalls }) => new DataCalls(this.#session, this.#base));
  }
}
