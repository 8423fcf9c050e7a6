/**
 * The Data API: searches, items, assets and their bytes.
 *
 * Parameters, defaults and checks are those of the Planet SDK for Python; each check happens
 * before anything is sent. Lists are fetched page by page, as they are consumed.
 *
 * @module
 */

import type {
  DownloadedFile,
  DownloadSource,
  OpenDownloadOptions,
  OpenedDownload,
} from "../download/download.ts";
import { ClientError, type JsonObject } from "../errors.ts";
import {
  asJson,
  type CallOptions,
  Limiter,
  type RequestOptions,
  type SessionLike,
} from "../http/requester.ts";
import {
  allOf,
  checkWord,
  choose,
  type ClientOptions,
  type DownloadAssetOptions,
  Endpoint,
  type ListCallOptions,
  member as memberOf,
  ofCall,
  segment,
  type UnknownState,
  uuid,
  waitFor,
  type WaitOptions,
  wholeNumber,
} from "./calls.ts";
import {
  asGeometry,
  checkGeometry,
  type Geometry,
  type GeometryLike,
  type SearchFilter,
} from "./data_filter.ts";

/**
 * A saved or quick search, as the API describes it.
 *
 * @category Data API
 */
export interface Search extends JsonObject {
  /** Identifier: 32 hexadecimal digits. */
  id: string;
  /** Name; that of a quick search is its identifier unless one was given. */
  name: string;
  /** What items must fulfil. */
  filter: SearchFilter;
  /** Item types that are searched in. */
  item_types: string[];
}

/**
 * What `properties` of an {@linkcode Item} tell; more depends on its type.
 *
 * @category Data API
 */
export interface ItemProperties extends JsonObject {
  /** Item type, such as `PSScene`. */
  item_type: string;
  /** When it was taken (RFC 3339). */
  acquired: string;
  /** When it was first published (RFC 3339). */
  published: string;
  /** When it last changed (RFC 3339). */
  updated?: string;
  /** Share of its area under clouds, from 0 to 1. */
  cloud_cover?: number;
}

/**
 * An item (a scene), a GeoJSON Feature as the API describes it.
 *
 * @category Data API
 */
export interface Item extends JsonObject {
  /** Identifier, unique within its item type. */
  id: string;
  /** What it is to GeoJSON. */
  type: "Feature";
  /** Its footprint. */
  geometry: Geometry;
  /** What is known of it. */
  properties: ItemProperties;
}

/**
 * Whether an asset can be downloaded: not yet, soon, now.
 *
 * @category Data API
 */
export type AssetStatus = "inactive" | "activating" | "active";

/**
 * Links of an asset.
 *
 * @category Data API
 */
export interface AssetLinks extends JsonObject {
  /** Where it is described. */
  _self: string;
  /** What activates it. */
  activate: string;
}

/**
 * An asset of an item: one of its files, as the API describes it.
 *
 * @category Data API
 */
export interface Asset extends JsonObject {
  /** Its links. */
  _links: AssetLinks;
  /** What the account may do with it, such as `download`. */
  _permissions: string[];
  /** Whether it can be downloaded. */
  status: AssetStatus;
  /** Asset type, such as `ortho_analytic_4b`. */
  type: string;
  /** MD5 of the file in hexadecimal digits, once it is active. */
  md5_digest?: string | null;
  /** Link to the file, once it is active; it is a credential itself. */
  location?: string;
  /** When the link runs out (RFC 3339). */
  expires_at?: string;
}

/**
 * What {@linkcode DataAPI.getStats} answers: how many items a search would find, in each interval.
 *
 * @category Data API
 */
export interface Stats extends JsonObject {
  /** The intervals that have items. */
  buckets: { count: number; start_time: string }[];
}

/**
 * What {@linkcode DataAPI.getItemCoverage} answers: how much of an area is clear in an item.
 *
 * @category Data API
 */
export interface ItemCoverage extends JsonObject {
  /** Share of the area that is clear, from 0 to 100. */
  clear_percent?: number;
  /** How far the estimate is. */
  status?: string;
}

/**
 * Option `sort` of {@linkcode DataAPI.listSearches}: order of a list of searches.
 *
 * @category Data API
 */
export type SearchListSort = "created desc" | "created asc";
/**
 * Option `sort` of {@linkcode DataAPI.search} and {@linkcode DataAPI.runSearch}: order of the items.
 *
 * @category Data API
 */
export type ItemSort = "published desc" | "published asc" | "acquired desc" | "acquired asc";
/**
 * Option `searchType` of {@linkcode DataAPI.listSearches}: kind of searches to list.
 *
 * @category Data API
 */
export type SearchType = "any" | "saved" | "quick";

/**
 * Options of every call of the Data API that gives a list of pages: how much of it is asked for.
 *
 * @category Call APIs
 */
export interface PageOptions extends ListCallOptions {
  /** Objects in each page, at most 250; default: as the API likes. */
  pageSize?: number | undefined;
}

/**
 * Options of {@linkcode DataAPI.listSearches}: which searches are listed, and in which order.
 *
 * @category Data API
 */
export interface ListSearchesOptions extends PageOptions {
  /** Order; default `created desc`. */
  sort?: SearchListSort | undefined;
  /** Which ones; default `any`. */
  searchType?: SearchType | undefined;
}

/**
 * Options of {@linkcode DataAPI.runSearch}: how the items of a saved search are listed.
 *
 * @category Data API
 */
export interface RunSearchOptions extends PageOptions {
  /** Order; default `published desc`. */
  sort?: ItemSort | undefined;
}

/**
 * What {@linkcode DataAPI.createSearch} saves, or {@linkcode DataAPI.updateSearch} makes of a
 * search.
 *
 * @category Data API
 */
export interface SearchRequest {
  /** Item types to search in, such as `PSScene`. */
  itemTypes: readonly string[];
  /** What items must fulfil; `dataFilter.empty()` leaves none out. */
  searchFilter: SearchFilter;
  /** Name of the search. */
  name: string;
  /** Whether new results are sent by e-mail every day; default false. */
  enableEmail?: boolean | undefined;
  /** Area that items must meet. */
  geometry?: GeometryLike | undefined;
}

/**
 * What {@linkcode DataAPI.search} is asked: a search that is not saved.
 *
 * @category Data API
 */
export interface QuickSearchRequest extends RunSearchOptions {
  /** Item types to search in, such as `PSScene`. */
  itemTypes: readonly string[];
  /** What items must fulfil; default: everything. */
  searchFilter?: SearchFilter | undefined;
  /** Name of the search; default: its identifier. */
  name?: string | undefined;
  /** Area that items must meet. */
  geometry?: GeometryLike | undefined;
}

/**
 * Length of an interval of {@linkcode Stats}.
 *
 * @category Data API
 */
export type StatsInterval = "hour" | "day" | "week" | "month" | "year";

/**
 * What {@linkcode DataAPI.getStats} is asked: what is counted.
 *
 * @category Data API
 */
export interface StatsRequest extends CallOptions {
  /** Item types to search in, such as `PSScene`. */
  itemTypes: readonly string[];
  /** What items must fulfil; `dataFilter.empty()` leaves none out. */
  searchFilter: SearchFilter;
  /** Length of the intervals. */
  interval: StatsInterval;
}

/**
 * What {@linkcode DataAPI.getItemCoverage} is asked: where an item should be clear.
 *
 * @category Data API
 */
export interface CoverageRequest extends CallOptions {
  /** The area. */
  geometry: GeometryLike;
  /** How it is estimated. */
  mode?: string | undefined;
  /** Band of the UDM2 that counts. */
  band?: string | undefined;
}

/**
 * Options of {@linkcode DataAPI.fetchAssets}: how the assets of many items are fetched.
 *
 * @category Data API
 */
export interface FetchAssetsOptions
  extends Omit<DownloadAssetOptions, "filename">, Omit<WaitOptions, "onState"> {
  /** Downloads at once; default 4. Up to a hundred assets are activated and waited for at once. */
  concurrency?: number | undefined;
  /** Is told the state of an item's asset at each look. */
  onState?: ((state: AssetStatus | UnknownState, item: Item) => void) | undefined;
}

/**
 * What {@linkcode DataAPI.fetchAssets} tells of each asset.
 *
 * @category Data API
 */
export interface FetchedAsset extends DownloadedFile {
  /** Identifier of its item. */
  itemId: string;
  /** Type of its item. */
  itemType: string;
  /** Its own type. */
  assetType: string;
}

const LIST_SORTS: readonly string[] = ["created desc", "created asc"];
const ITEM_SORTS: readonly string[] = [
  "published desc",
  "published asc",
  "acquired desc",
  "acquired asc",
];
const SEARCH_TYPES: readonly string[] = ["any", "saved", "quick"];
const INTERVALS: readonly string[] = ["hour", "day", "week", "month", "year"];
const LARGEST_PAGE = 250;

/** Most assets that are activated and waited for at once. */
const MOST_AHEAD = 100;

/** Inactive assets that were activated: what the API said of them is no longer true. */
const activated = new WeakSet<object>();

function checkPageSize(size: unknown): number | undefined {
  if (size === undefined) return undefined;
  if (typeof size !== "number") throw new TypeError("pageSize must be a number.");
  if (Number.isInteger(size) && size >= 1 && size <= LARGEST_PAGE) return size;
  throw new ClientError(`Give pageSize a whole number from 1 to ${LARGEST_PAGE}.`);
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

/** Checks a filter, and the geometries in it. */
function checkFilter(filter: unknown): JsonObject {
  if (typeof filter !== "object" || filter === null || Array.isArray(filter)) {
    throw new TypeError("searchFilter must be an object.");
  }
  const { config, type } = filter as JsonObject;
  if (type === "GeometryFilter" && typeof config === "object") checkGeometry(config as JsonObject);
  else if (type === "NotFilter") checkFilter(config);
  else if (/^(And|Or)Filter$/.test(String(type)) && Array.isArray(config)) {
    config.forEach(checkFilter);
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
 * @category Data API
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
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/data/v1", options);
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
    return await this.#api.json<Search>("GET", path, options);
  }

  /**
   * Creates a saved search.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async createSearch(request: SearchRequest, options: CallOptions = {}): Promise<Search> {
    return await this.#api.json<Search>("POST", "/searches", options, {
      json: searchBody(request),
    });
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
    return await this.#api.json<Search>("PUT", path, options, { json: searchBody(request) });
  }

  /**
   * Deletes a saved search.
   *
   * @throws {MissingResource} If there is no such search.
   */
  async deleteSearch(searchId: string, options: CallOptions = {}): Promise<void> {
    const path = `/searches/${segment("searchId", searchId)}`;
    await this.#api.send("DELETE", path, options);
  }

  /**
   * The items that a saved search finds.
   *
   * @throws {ClientError} If `searchId` is no UUID, or an option is wrong.
   */
  async *runSearch(searchId: string, options: RunSearchOptions = {}): AsyncIterable<Item> {
    const path = `/searches/${uuid("searchId", searchId)}/results`;
    const params = { _sort: choose("sort", options.sort, ITEM_SORTS) };
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
    return await this.#api.json<Item>("GET", itemPath(itemTypeId, itemId), options);
  }

  /**
   * How many items a search would find, in each hour, day, week, month or year.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async getStats(request: StatsRequest): Promise<Stats> {
    const { interval, itemTypes, searchFilter } = request ?? {};
    const json = {
      interval: checkWord("interval", interval, INTERVALS),
      filter: checkFilter(searchFilter),
      item_types: checkItemTypes(itemTypes),
    };
    return await this.#api.json<Stats>("POST", "/stats", request, { json, idempotent: true });
  }

  /**
   * How much of an area is clear in an item, as far as the API can tell.
   *
   * @throws {ClientError} For a wrong value; `MissingResource` if there is no such item.
   */
  async getItemCoverage(
    itemTypeId: string,
    itemId: string,
    request: CoverageRequest,
  ): Promise<ItemCoverage> {
    const { band, geometry, mode } = request ?? {};
    const path = `${itemPath(itemTypeId, itemId)}/coverage`;
    const json = { geometry: asGeometry(geometry as GeometryLike) };
    const more = { json, params: { mode, band }, idempotent: true };
    return await this.#api.json<ItemCoverage>("POST", path, request, more);
  }

  /**
   * The assets of an item, by their type.
   *
   * @throws {MissingResource} If there is no such item.
   */
  async listItemAssets(
    itemTypeId: string,
    itemId: string,
    options: CallOptions = {},
  ): Promise<Record<string, Asset>> {
    const path = `${itemPath(itemTypeId, itemId)}/assets`;
    return await this.#api.json<Record<string, Asset>>("GET", path, options);
  }

  /**
   * One asset of an item.
   *
   * @throws {ClientError} If the item has no such asset; the error names those that it has.
   */
  async getAsset(
    itemTypeId: string,
    itemId: string,
    assetTypeId: string,
    options: CallOptions = {},
  ): Promise<Asset> {
    if (typeof assetTypeId !== "string") throw new TypeError("assetTypeId must be a string.");
    const assets = await this.listItemAssets(itemTypeId, itemId, options);
    const asset = Object.hasOwn(assets, assetTypeId) ? assets[assetTypeId] : undefined;
    if (asset !== undefined) return asset;
    const known = Object.keys(assets).join('", "');
    throw new ClientError(
      known === ""
        ? `Choose another item: ${itemId} has no assets that this account may see.`
        : `Give assetTypeId one of "${known}": ${itemId} has no other assets.`,
    );
  }

  /**
   * Has an asset made available, unless it is or will be already; that may take minutes.
   *
   * @returns Whether something was sent.
   * @throws {ClientError} If the description lacks a member; `NoPermission` if the account may not.
   */
  async activateAsset(asset: Asset, options: CallOptions = {}): Promise<boolean> {
    const status = member(asset, "status");
    const link = member(asset, "_links.activate");
    if (status !== "inactive") return false;
    await this.#api.session.request("GET", link, ofCall(options));
    activated.add(asset);
    return true;
  }

  /**
   * Waits until an asset can be downloaded.
   *
   * Looks at `asset` first. An asset that is active is the answer at once, unless its link has run out:
   * then the API is asked for another one. One that `activateAsset()` was called with counts as
   * activating, whatever it says.
   *
   * @returns The asset as it is now, with its `location`.
   * @throws {ClientError} If the asset is inactive, after `maxAttempts`, or if the description lacks a
   *   member; `AuthError` `timeout` after `timeoutMs`.
   */
  async waitAsset(asset: Asset, options: WaitOptions<AssetStatus> = {}): Promise<Asset> {
    const { clock } = this.#api.session;
    let current = asset;
    return await waitFor({
      name: "the asset",
      clock,
      first: isExpired(asset, clock.now())
        ? undefined
        : activated.has(asset)
        ? { ...asset, status: "activating" }
        : asset,
      ask: async (call) => current = await this.#refreshed(current, call),
      look(seen) {
        const state = member(seen, "status");
        const refusal = state === "inactive"
          ? new ClientError("Call activateAsset() first: the asset is inactive.")
          : undefined;
        return { state, isOver: state === "active", refusal };
      },
    }, options);
  }

  /**
   * Downloads an asset into a file, which is whole when it has its name.
   *
   * @returns Where the file is, its size and digest.
   * @throws {ClientError} If the asset is not active; see `downloadFile()` for the others.
   *
   * @example The bytes of an image
   * ```ts ignore
   * const asset = await pl.data.getAsset("PSScene", id, "ortho_analytic_4b");
   * await pl.data.activateAsset(asset);
   * const ready = await pl.data.waitAsset(asset, { onState: (state) => console.error(state) });
   * const { bytes, path } = await pl.data.downloadAsset(ready, { directory: "out" });
   * console.log(path, bytes);
   * ```
   */
  async downloadAsset(asset: Asset, options: DownloadAssetOptions = {}): Promise<DownloadedFile> {
    const source = this.#source(asset);
    const { downloadFile } = await import("../download/download.ts");
    return await downloadFile(this.#api.session, source, options);
  }

  /**
   * Opens an asset as a stream, on every runtime; it goes on after a break, and ends at its full length.
   *
   * @throws {ClientError} If the asset is not active; see `openDownload()` for the others.
   */
  async openAsset(asset: Asset, options: OpenDownloadOptions = {}): Promise<OpenedDownload> {
    const source = this.#source(asset);
    const { openDownload } = await import("../download/download.ts");
    return await openDownload(this.#api.session, source, options);
  }

  /**
   * Checks a file against what the API says of its asset. `downloadAsset()` has done so already.
   *
   * @param filename Path of the file.
   * @throws {ClientError} If the file is not there or another one, or the asset is not active.
   */
  async validateChecksum(
    asset: Asset,
    filename: string,
    options: {
      /** Ends the check. */
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<void> {
    const expected = member(asset, "md5_digest");
    if (typeof filename !== "string") throw new TypeError("filename must be a string.");
    const { fileDigest } = await import("../download/download.ts");
    if (await fileDigest(filename, "MD5", options.signal) === expected.toLowerCase()) return;
    throw new ClientError(`Download ${filename} again: its MD5 is not that of the asset.`);
  }

  /**
   * Activates, waits for and downloads one asset of each of many items.
   *
   * The failure of one does not end the others. A second run fetches what is missing.
   *
   * @param items Items of a search, or the search itself.
   * @param assetType Which of their assets, such as `ortho_analytic_4b`.
   * @returns The files, in the order of the items.
   * @throws {IncompleteError} If some failed: it names them, and has the results of the others.
   */
  async fetchAssets(
    items: Iterable<Item> | AsyncIterable<Item>,
    assetType: string,
    options: FetchAssetsOptions = {},
  ): Promise<FetchedAsset[]> {
    if (typeof assetType !== "string") throw new TypeError("assetType must be a string.");
    const { onState, signal, ...rest } = options;
    const maxConcurrent = wholeNumber("concurrency", options.concurrency, 1, 4);
    const downloads = new Limiter({ maxConcurrent, requestsPerSecond: 0 }, this.#api.session.clock);
    const { downloadMany } = await import("../download/download.ts");
    const names: string[] = [];
    const ahead = Math.max(MOST_AHEAD, maxConcurrent);
    const settled = await downloadMany(until(items, signal), ahead, async (item, index) => {
      names[index] = `${Object(item).id}`;
      const itemId = member(item, "id", "item");
      const itemType = member(item, "properties.item_type", "item");
      const call = { ...ofCall(options) };
      const asset = await this.getAsset(itemType, itemId, assetType, call);
      await this.activateAsset(asset, call);
      const ready = await this.waitAsset(asset, {
        ...rest,
        ...call,
        onState: onState && ((state) => onState(state, item)),
      });
      const file = await downloads.run(
        () => this.downloadAsset(ready, { ...rest, signal }),
        signal,
      );
      return { ...file, itemId, itemType, assetType };
    });
    return allOf(settled, names, signal);
  }

  /** The asset as the API describes it now. */
  async #refreshed(asset: Asset, options: CallOptions): Promise<Asset> {
    const link = member(asset, "_links._self");
    return await asJson(await this.#api.session.request("GET", link, ofCall(options))) as Asset;
  }

  #source(asset: Asset): DownloadSource {
    member(asset, "location");
    let current = asset;
    const { md5_digest: value } = asset;
    return {
      link: async (renew, signal) => {
        if (renew) current = await this.#refreshed(current, { signal });
        return member(current, "location");
      },
      digest: typeof value === "string" ? { algorithm: "MD5", value } : undefined,
    };
  }

  #list<Kind extends JsonObject>(
    method: string,
    path: string,
    member: string,
    options: PageOptions,
    { json, params }: RequestOptions,
  ): AsyncIterable<Kind> {
    const all = { ...params, _page_size: checkPageSize(options.pageSize) };
    return this.#api.list<Kind>(method, path, options, { json, member, params: all });
  }
}

function itemPath(itemTypeId: string, itemId: string): string {
  const type = segment("itemTypeId", itemTypeId);
  return `/item-types/${type}/items/${segment("itemId", itemId)}`;
}

/** What has to be done if a description lacks a member. */
const ADVICE: Readonly<Record<string, string>> = {
  location: "Call activateAsset() and waitAsset() first",
  md5_digest: "Call activateAsset() and waitAsset() first",
};

/** A text in what the API described, which must be there. */
function member(of: JsonObject, path: string, name = "asset"): string {
  return memberOf(of, path, name, ADVICE[path]);
}

/** Tells whether an active asset's link has run out. */
function isExpired(asset: Asset, nowMs: number): boolean {
  return asset?.status === "active" && Date.parse(asset.expires_at ?? "") <= nowMs;
}

/** Passes a list on until `signal` aborts. */
async function* until<Kind>(
  list: Iterable<Kind> | AsyncIterable<Kind>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Kind, void, undefined> {
  for await (const one of list) {
    if (signal?.aborted) return;
    yield one;
  }
}
