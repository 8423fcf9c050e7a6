/**
 * The Basemaps API: mosaics, their series, and the quads that a mosaic is made of.
 *
 * Links of the API are followed as they come; those to the bytes may be credentials themselves.
 *
 * @module
 */

import type {
  DownloadedFile,
  DownloadOptions,
  DownloadSource,
  OpenDownloadOptions,
  OpenedDownload,
} from "../download/download.ts";
import { ClientError, DownloadError, type JsonObject, MissingResource } from "../errors.ts";
import { asJson, type CallOptions, type ListOptions, type SessionLike } from "../http/requester.ts";
import {
  allOf,
  type ClientOptions,
  Endpoint,
  isUuid,
  type ListCallOptions,
  member,
  ofCall,
  segment,
  wholeNumber,
} from "./calls.ts";
import { asGeometry, type GeometryLike } from "./data_filter.ts";

/**
 * Left, bottom, right and top of an area, in degrees.
 *
 * @category Basemaps API
 */
export type BoundingBox = readonly [west: number, south: number, east: number, north: number];

/**
 * A mosaic (a basemap), as the API describes it.
 *
 * @category Basemaps API
 */
export interface Mosaic extends JsonObject {
  /** Identifier, a UUID. */
  id: string;
  /** Name, such as `global_monthly_2026_01_mosaic`. */
  name: string;
  /** Its links. */
  _links: JsonObject;
  /** Its area. */
  bbox: number[];
  /** Start of the time that its images are from (RFC 3339). */
  first_acquired?: string;
  /** End of the time that its images are from (RFC 3339). */
  last_acquired?: string;
}

/**
 * A series: mosaics of the same kind, one after the other.
 *
 * @category Basemaps API
 */
export interface Series extends JsonObject {
  /** Identifier, a UUID. */
  id: string;
  /** Name. */
  name: string;
}

/**
 * A quad: a square part of a mosaic, and a file.
 *
 * @category Basemaps API
 */
export interface Quad extends JsonObject {
  /** Identifier, such as `1234-5678`, unique within its mosaic. */
  id: string;
  /** Its links; that to the bytes may be a credential itself. */
  _links: JsonObject;
  /** Its area. */
  bbox?: number[];
}

/**
 * How many quads there are.
 *
 * @category Basemaps API
 */
export interface QuadSummary extends JsonObject {
  /** Their number. */
  total_quads: number;
}

/**
 * Options of every list of {@linkcode MosaicsAPI}.
 *
 * @category Basemaps API
 */
export interface MosaicPageOptions extends ListCallOptions {
  /** Most objects; default 0, which means all. */
  limit?: number | undefined;
  /** Objects in each page; default: as the API likes. */
  pageSize?: number | undefined;
}

/**
 * Options of {@linkcode MosaicsAPI.listMosaics} and {@linkcode MosaicsAPI.listSeries}. Times are RFC 3339.
 *
 * @category Basemaps API
 */
export interface ListMosaicsOptions extends MosaicPageOptions {
  /** With this in their name. */
  nameContains?: string | undefined;
  /** Of this interval, such as `1 mon`. */
  interval?: string | undefined;
  /** Of images taken after then. */
  acquiredGt?: string | undefined;
  /** Of images taken before then. */
  acquiredLt?: string | undefined;
}

/**
 * Options of {@linkcode MosaicsAPI.listSeriesMosaics}.
 *
 * @category Basemaps API
 */
export interface ListSeriesMosaicsOptions
  extends Omit<ListMosaicsOptions, "nameContains" | "interval"> {
  /** Whether the latest one is meant; default false. */
  latest?: boolean | undefined;
}

/**
 * An area of a mosaic.
 *
 * @category Basemaps API
 */
export interface QuadArea {
  /** An area; takes precedence over `bbox`. */
  geometry?: GeometryLike | undefined;
  /** An area by its bounds. */
  bbox?: BoundingBox | undefined;
}

/**
 * Options of {@linkcode MosaicsAPI.summarizeQuads}; without an area all quads count.
 *
 * @category Basemaps API
 */
export interface SummarizeQuadsOptions extends CallOptions, QuadArea {}

/**
 * Options of {@linkcode MosaicsAPI.listQuads}: one of `geometry`, `bbox` and `fullExtent` is said.
 *
 * @category Basemaps API
 */
export interface ListQuadsOptions extends MosaicPageOptions, QuadArea {
  /** Whether all quads of the mosaic are meant. */
  fullExtent?: boolean | undefined;
  /** Whether less is told of each; default false. */
  minimal?: boolean | undefined;
}

/**
 * Options of {@linkcode MosaicsAPI.downloadQuad}; the name of the file is its identifier, with `.tif`.
 *
 * @category Basemaps API
 */
export type DownloadQuadOptions = Omit<DownloadOptions, "filename" | "subPath">;

/**
 * Options of {@linkcode MosaicsAPI.downloadQuads}.
 *
 * @category Basemaps API
 */
export interface DownloadQuadsOptions extends Omit<DownloadQuadOptions, "directory">, QuadArea {
  /** Folder of the files; default: one with the name of the mosaic in the current one. */
  directory?: string | undefined;
  /** Downloads at once; default 4. */
  concurrency?: number | undefined;
}

/** Where a mosaic's bounds are cut, in degrees. */
const WORLD: BoundingBox = [-180, -85, 180, 85];

function checkBox(bbox: unknown): BoundingBox {
  const isBox = Array.isArray(bbox) && bbox.length === 4 && bbox.every(Number.isFinite);
  if (isBox) return bbox as never;
  throw new ClientError("Give bbox four numbers: left, bottom, right, top.");
}

/** What a list is filtered by; an empty text counts as none. */
function filterParams(options: ListMosaicsOptions) {
  return {
    name__contains: options.nameContains || undefined,
    interval: options.interval || undefined,
    acquired__gt: options.acquiredGt || undefined,
    acquired__lt: options.acquiredLt || undefined,
  };
}

/**
 * Calls the Basemaps API.
 *
 * @category Basemaps API
 *
 * @example The quads of an area as files
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const { mosaics } = new Planet(Auth.fromEnv());
 * const options = { bbox: [13.3, 52.4, 13.5, 52.6] as const, directory: "quads" };
 * for (const { path } of await mosaics.downloadQuads("global_monthly_2026_01_mosaic", options)) {
 *   console.log(path);
 * }
 * ```
 */
export class MosaicsAPI {
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/basemaps/v1", options);
  }

  /**
   * One mosaic, by its name or identifier.
   *
   * @throws {MissingResource} If there is no such mosaic.
   */
  async getMosaic(nameOrId: string, options: CallOptions = {}): Promise<Mosaic> {
    return await this.#get<Mosaic>("mosaics", nameOrId, options);
  }

  /**
   * One series, by its name or identifier.
   *
   * @throws {MissingResource} If there is no such series.
   */
  async getSeries(nameOrId: string, options: CallOptions = {}): Promise<Series> {
    return await this.#get<Series>("series", nameOrId, options);
  }

  /**
   * The series that the account may see.
   *
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listSeries(options: ListMosaicsOptions = {}): AsyncIterable<Series> {
    yield* this.#list<Series>("/series", "series", options, filterParams(options));
  }

  /**
   * The mosaics that the account may see.
   *
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listMosaics(options: ListMosaicsOptions = {}): AsyncIterable<Mosaic> {
    yield* this.#list<Mosaic>("/mosaics", "mosaics", options, filterParams(options));
  }

  /**
   * The mosaics of a series, which is given as it is, or by its name or identifier.
   *
   * @throws {MissingResource} If there is no such series.
   */
  async *listSeriesMosaics(
    series: Series | string,
    options: ListSeriesMosaicsOptions = {},
  ): AsyncIterable<Mosaic> {
    const found = typeof series === "string" && !isUuid(series)
      ? await this.getSeries(series, ofCall(options))
      : series;
    const id = typeof found === "string" ? found : member(found, "id", "series");
    const params = { ...filterParams(options), latest: options.latest ? "yes" : undefined };
    yield* this.#list<Mosaic>(
      `/series/${segment("series", id)}/mosaics`,
      "mosaics",
      options,
      params,
    );
  }

  /**
   * How many quads a mosaic has, in an area or in all.
   *
   * @throws {ClientError} For a wrong area; `MissingResource` if there is no such mosaic.
   */
  async summarizeQuads(
    mosaic: Mosaic | string,
    options: SummarizeQuadsOptions = {},
  ): Promise<QuadSummary> {
    const { method, url, ...more } = await this.#quads(mosaic, options, true, true);
    const all = { ...more, ...ofCall(options), idempotent: true };
    return (await asJson(await this.#api.session.request(method, url, all))).summary as QuadSummary;
  }

  /**
   * The quads of a mosaic, which is given as it is, or by its name or identifier.
   *
   * @throws {ClientError} If none of `geometry`, `bbox` and `fullExtent` is said; `MissingResource` if
   *   there is no such mosaic.
   */
  async *listQuads(mosaic: Mosaic | string, options: ListQuadsOptions = {}): AsyncIterable<Quad> {
    const { bbox, fullExtent, geometry, limit = 0, minimal = false, pageSize } = options;
    if (geometry === undefined && bbox === undefined && fullExtent !== true) {
      throw new ClientError("Give geometry or bbox, or say fullExtent: true for all quads.");
    }
    const { method, params, url, ...more } = await this.#quads(mosaic, options, minimal, false);
    yield* this.#api.session.list(method, url, {
      ...more,
      ...ofCall(options),
      limit,
      member: "items",
      params: { ...params, ...sized(pageSize) },
    }) as AsyncIterable<JsonObject> as AsyncIterable<Quad>;
  }

  /**
   * One quad of a mosaic.
   *
   * @throws {MissingResource} If there is no such mosaic or quad.
   */
  async getQuad(
    mosaic: Mosaic | string,
    quadId: string,
    options: CallOptions = {},
  ): Promise<Quad> {
    const quad = segment("quadId", quadId);
    const { id } = await this.#resolved(mosaic, options);
    return await this.#api.json<Quad>(
      "GET",
      `/mosaics/${segment("id", id)}/quads/${quad}`,
      options,
    );
  }

  /**
   * The items that a quad was made of, as links to them.
   *
   * @throws {ClientError} If the description lacks a link; `ApiError` if the API refuses.
   */
  async getQuadContributions(quad: Quad, options: CallOptions = {}): Promise<JsonObject[]> {
    const link = member(quad, "_links.items", "quad");
    const answer = await this.#api.session.request("GET", link, ofCall(options));
    return (await asJson(answer)).items as JsonObject[];
  }

  /**
   * Downloads a quad into the file `<id>.tif`, which is whole when it has its name. If it is there
   * already, nothing is sent: each download counts.
   *
   * @throws {ClientError} If the description lacks a link; see `downloadFile()` for the others.
   */
  async downloadQuad(quad: Quad, options: DownloadQuadOptions = {}): Promise<DownloadedFile> {
    const source = this.#source(quad);
    const { downloadFile } = await import("../download/download.ts");
    const subPath = `${member(quad, "id", "quad")}.tif`;
    return await downloadFile(this.#api.session, source, { ...options, subPath });
  }

  /**
   * Opens a quad as a stream, on every runtime; it goes on after a break, and ends at its full length.
   *
   * @throws {ClientError} If the description lacks a link; see `openDownload()` for the others.
   */
  async openQuad(quad: Quad, options: OpenDownloadOptions = {}): Promise<OpenedDownload> {
    const source = this.#source(quad);
    const { openDownload } = await import("../download/download.ts");
    return await openDownload(this.#api.session, source, options);
  }

  /**
   * Downloads the quads of an area, `concurrency` at once. The failure of one does not end the others. A
   * second run fetches what is missing.
   *
   * @returns The files, in the order of the API's list.
   * @throws {IncompleteError} If some failed: it names them, and has the results of the others.
   * @throws {ClientError} If neither `geometry` nor `bbox` is said.
   */
  async downloadQuads(
    mosaic: Mosaic | string,
    options: DownloadQuadsOptions = {},
  ): Promise<DownloadedFile[]> {
    const { bbox, concurrency, geometry, signal, ...rest } = options;
    if (geometry === undefined && bbox === undefined) {
      throw new ClientError(
        "Give geometry or bbox: only an area of a mosaic is downloaded at once.",
      );
    }
    const most = wholeNumber("concurrency", concurrency, 1, 4);
    const found = await this.#resolved(mosaic, { signal });
    const { downloadMany, safeName } = await import("../download/download.ts");
    const directory = options.directory ?? member(found, "name", "mosaic");
    if (options.directory === undefined && safeName(directory) !== directory) {
      const message = `Give directory: the name of the mosaic is not safe as that of a folder.`;
      throw new DownloadError("unsafe_name", message);
    }
    const names: string[] = [];
    const quads = this.listQuads(found, { bbox, geometry, minimal: true, signal });
    const settled = await downloadMany(quads, most, async (quad, index) => {
      names[index] = `${quad.id}`;
      signal?.throwIfAborted();
      return await this.downloadQuad(quad, { ...rest, directory, signal });
    });
    signal?.throwIfAborted();
    return allOf(settled, names);
  }

  async #get<Kind extends JsonObject>(
    kind: "mosaics" | "series",
    nameOrId: string,
    options: CallOptions,
  ): Promise<Kind> {
    const id = segment("nameOrId", nameOrId);
    if (isUuid(nameOrId)) return await this.#api.json<Kind>("GET", `/${kind}/${id}`, options);
    const more = { member: kind, params: { name__is: nameOrId } };
    const found = this.#api.list<Kind>("GET", `/${kind}`, { ...options, limit: 1 }, more);
    for await (const first of found) return first;
    const message = `Check the name, or list the ${kind}: ${
      JSON.stringify(nameOrId)
    } is not there.`;
    throw new MissingResource(message, 404, "");
  }

  async #resolved(mosaic: Mosaic | string, options: CallOptions): Promise<Mosaic> {
    if (typeof mosaic === "string") return await this.getMosaic(mosaic, ofCall(options));
    member(mosaic, "id", "mosaic");
    return mosaic;
  }

  /** How the quads of an area are asked for. */
  async #quads(
    mosaic: Mosaic | string,
    { bbox, geometry, ...options }: SummarizeQuadsOptions,
    isMinimal: boolean,
    isSummary: boolean,
  ): Promise<{ method: string; url: string } & Pick<ListOptions, "json" | "params">> {
    const json = geometry === undefined ? undefined : asGeometry(geometry);
    const box = bbox === undefined ? undefined : checkBox(bbox);
    const found = await this.#resolved(mosaic, options);
    const flags = {
      minimal: isMinimal ? "true" : undefined,
      summary: isSummary ? "true" : undefined,
    };
    if (json !== undefined) {
      // A summary needs no list, and the API takes no page of none.
      const params = { ...flags, _page_size: isSummary ? 1 : undefined };
      const url = this.#api.url(`/mosaics/${segment("id", found.id)}/quads/search`);
      return { method: "POST", url, json, params };
    }
    const bounds = box ?? cut(checkBox(found.bbox));
    const link = member(found, "_links.quads", "mosaic");
    return {
      method: "GET",
      url: link.replace("{lx},{ly},{ux},{uy}", bounds.join()),
      params: flags,
    };
  }

  #source(quad: Quad): DownloadSource {
    member(quad, "_links.download", "quad");
    let current = quad;
    return {
      link: async (renew, signal) => {
        const self = current._links._self;
        if (renew && typeof self === "string") {
          const answer = await this.#api.session.request("GET", self, ofCall({ signal }));
          current = await asJson(answer) as Quad;
        }
        return member(current, "_links.download", "quad");
      },
    };
  }

  #list<Kind extends JsonObject>(
    path: string,
    member: string,
    options: MosaicPageOptions,
    params: ListOptions["params"],
  ): AsyncIterable<Kind> {
    const { limit = 0, pageSize } = options;
    const more = { member, params: { ...params, ...sized(pageSize) } };
    return this.#api.list<Kind>("GET", path, { ...options, limit }, more);
  }
}

function sized(pageSize: number | undefined): { _page_size?: number } {
  return pageSize === undefined ? {} : { _page_size: wholeNumber("pageSize", pageSize, 1, 1) };
}

/** An area as far as a mosaic can reach. */
function cut([west, south, east, north]: BoundingBox): number[] {
  return [
    Math.max(WORLD[0], west),
    Math.max(WORLD[1], south),
    Math.min(WORLD[2], east),
    Math.min(WORLD[3], north),
  ];
}
