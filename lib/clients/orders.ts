/**
 * The Orders API: images, processed and packed as asked for, and their files.
 *
 * Parameters, defaults and checks are those of the Planet SDK for Python; each check happens before
 * anything is sent. An order is sent once: what was ordered twice is paid twice.
 *
 * @module
 */

import type {
  DownloadedFile,
  DownloadOptions,
  DownloadSource,
  ExpectedDigest,
  OpenDownloadOptions,
  OpenedDownload,
} from "../download/download.ts";
import { ClientError, type JsonObject } from "../errors.ts";
import type { CallOptions, SessionLike } from "../http/requester.ts";
import {
  allOf,
  checkWord,
  type ClientOptions,
  type DownloadAssetOptions,
  Endpoint,
  type ListCallOptions,
  member,
  uuid,
  veiled,
  waitFor,
  type WaitOptions,
  wholeNumber,
} from "./calls.ts";
import { asGeometry, type GeometryLike } from "./data_filter.ts";
import type {
  AmazonS3,
  AzureBlobStorage,
  BandMath,
  Clip,
  DestinationReference,
  FileFormat,
  GoogleCloudStorage,
  GoogleEarthEngine,
  Harmonize,
  OneOf,
  OracleCloudStorage,
  Reproject,
  S3Compatible,
  Toar,
} from "./requests.ts";

/**
 * State in which an order stays.
 *
 * @category Orders API
 */
export type FinalOrderState = "success" | "partial" | "failed" | "cancelled";

/**
 * State of an order.
 *
 * @category Orders API
 */
export type OrderState = "queued" | "running" | FinalOrderState;

/**
 * One of the files of an order.
 *
 * @category Orders API
 */
export interface OrderResult extends JsonObject {
  /** Path of the file, which begins with the identifier of the order. */
  name: string;
  /** Link to the file; it is a credential itself. */
  location: string;
  /** What became of the delivery. */
  delivery?: string;
  /** When the link runs out (RFC 3339). */
  expires_at?: string;
}

/**
 * Links of an order.
 *
 * @category Orders API
 */
export interface OrderLinks extends JsonObject {
  /** Where it is described. */
  _self: string;
  /** Its files, once there are some. */
  results?: OrderResult[] | null;
}

/**
 * An order, as the API describes it.
 *
 * @category Orders API
 */
export interface Order extends JsonObject {
  /** Identifier, a UUID. */
  id: string;
  /** Name. */
  name: string;
  /** State. */
  state: OrderState;
  /** Its links. */
  _links: OrderLinks;
  /** When it was created (RFC 3339). */
  created_on: string;
  /** When it last changed (RFC 3339). */
  last_modified: string;
  /** What was ordered. */
  products: JsonObject[];
  /** What it last did, in words. */
  last_message?: string;
  /** Why it failed, in words. */
  error_hints?: string[];
}

/**
 * Scenes that are ordered.
 *
 * @category Orders API
 */
export interface SceneProduct {
  /** Identifiers of the items, at most 500 in an order. */
  item_ids: readonly string[];
  /** Their type, such as `PSScene`. */
  item_type: string;
  /** Which of their assets, such as `analytic_udm2`; further bundles after commas if it cannot be had. */
  product_bundle: string;
}

/**
 * Parts of a basemap that are ordered, with `source_type: "basemaps"`.
 *
 * @category Orders API
 */
export interface BasemapProduct {
  /** Name of the basemap. */
  mosaic_name: string;
  /** Quads of it. */
  quad_ids?: readonly string[];
  /** Area of it. */
  geometry?: GeometryLike;
}

/**
 * Makes one image of several.
 *
 * @category Orders API
 */
export interface Composite {
  /** What becomes one; default `order`: all of them. */
  group_by?: "order" | "strip_id";
}

/**
 * Aligns images with one of them.
 *
 * @category Orders API
 */
export interface Coregister {
  /** Identifier of that one. */
  anchor_item: string;
}

/**
 * Cuts an image into tiles.
 *
 * @category Orders API
 */
export interface Tile {
  /** Width and height of a tile, in pixels. */
  tile_size: number;
  /** Where the tiles begin, in projected coordinates; default 0. */
  origin_x?: number;
  /** Where the tiles begin, in projected coordinates; default 0. */
  origin_y?: number;
  /** Size of a pixel, in projected coordinates; default: that of the image. */
  pixel_size?: number;
  /** Names of the tiles; default `{tilex}_{tiley}.tif`. */
  name_template?: string;
  /** Whether the width of pixels follows the latitude. */
  conformal_x_scaling?: boolean;
}

/**
 * The tools, by their names.
 *
 * @category Orders API
 */
export interface OrderTools {
  /** Computes bands. */
  bandmath: BandMath;
  /** Cuts an area out. */
  clip: Clip;
  /** Makes one image of several. */
  composite: Composite;
  /** Aligns images. */
  coregister: Coregister;
  /** Changes the format of files. */
  file_format: FileFormat;
  /** Makes values comparable to those of another sensor. */
  harmonize: Harmonize;
  /** Joins the quads of a basemap. */
  merge: Record<string, never>;
  /** Changes the projection. */
  reproject: Reproject;
  /** Cuts images into tiles. */
  tile: Tile;
  /** Makes top-of-atmosphere reflectances. */
  toar: Toar;
}

/**
 * A tool: an object with one member, its name.
 *
 * @category Orders API
 */
export type OrderTool = OneOf<OrderTools>;

/**
 * Where files may be delivered to, by its name.
 *
 * @category Orders API
 */
export interface OrderClouds {
  /** Amazon S3. */
  amazon_s3: AmazonS3;
  /** Azure Blob Storage. */
  azure_blob_storage: AzureBlobStorage;
  /** A destination of the Destinations API. */
  destination: DestinationReference;
  /** Google Cloud Storage. */
  google_cloud_storage: GoogleCloudStorage;
  /** Google Earth Engine. */
  google_earth_engine: GoogleEarthEngine;
  /** Oracle Cloud Storage. */
  oracle_cloud_storage: OracleCloudStorage;
  /** Another storage that speaks S3. */
  s3_compatible: S3Compatible;
}

/**
 * How files are packed.
 *
 * @category Orders API
 */
export interface OrderArchive {
  /** Format of archives. */
  archive_type?: "zip";
  /** Name of an archive; `{{name}}` and `{{order_id}}` stand for those of the order. */
  archive_filename?: string;
  /** Whether all files get into one. */
  single_archive?: boolean;
}

/**
 * How files are delivered: packed or not, to one cloud or to be downloaded.
 *
 * @category Orders API
 */
export type OrderDelivery =
  & OrderArchive
  & (OneOf<OrderClouds> | { [Name in keyof OrderClouds]?: never });

/**
 * Who is told that an order is done.
 *
 * @category Orders API
 */
export interface OrderNotifications {
  /** Whether an e-mail is sent. */
  email?: boolean;
  /** What is called. */
  webhook?: {
    /** Where, which may be a secret. */
    url: string;
    /** Whether it is called once, and not for each file. */
    per_order?: boolean;
  };
}

/**
 * Where results are hosted.
 *
 * @category Orders API
 */
export interface OrderHosting {
  /** Sentinel Hub. */
  sentinel_hub: {
    /** Collection that results are added to; default: a new one. */
    collection_id?: string;
    /** Whether a configuration for the collection is made. */
    create_configuration?: boolean;
  };
}

/**
 * What {@linkcode OrdersAPI.createOrder} orders, as the API takes it.
 *
 * @category Orders API
 */
export interface OrderRequest {
  /** Name of the order. */
  name: string;
  /** What is ordered. */
  products: readonly SceneProduct[] | readonly BasemapProduct[];
  /** Whether the products are scenes (default) or parts of basemaps. */
  source_type?: "scenes" | "basemaps";
  /** Whether an order of which something cannot be delivered fails (`full`, the default). */
  order_type?: "full" | "partial";
  /** Quota subscription that pays. */
  subscription_id?: number;
  /** What is made of the images, in this order. */
  tools?: readonly OrderTool[];
  /** How files are delivered; default: to be downloaded, one by one. */
  delivery?: OrderDelivery;
  /** Who is told. */
  notifications?: OrderNotifications;
  /** Where results are hosted. */
  hosting?: OrderHosting;
  /** STAC metadata, and how it looks. */
  metadata?: JsonObject;
}

/**
 * Options of {@linkcode OrdersAPI.listOrders}: which orders are listed. Times are RFC 3339, or intervals:
 * `2026-01-01T00:00:00Z/..`.
 *
 * @category Orders API
 */
export interface ListOrdersOptions extends ListCallOptions {
  /** In this state. */
  state?: OrderState | undefined;
  /** From this kind of source; default `all`. */
  sourceType?: string | undefined;
  /** With this name. */
  name?: string | undefined;
  /** With this in its name. */
  nameContains?: string | undefined;
  /** Created then. */
  createdOn?: string | undefined;
  /** Last changed then. */
  lastModified?: string | undefined;
  /** Whether results are hosted. */
  hosting?: boolean | undefined;
  /** Delivered to this destination. */
  destinationRef?: string | undefined;
  /** Order: `name`, `created_on`, `state`, `last_modified`, with ` DESC` or ` ASC`; several by commas. */
  sortBy?: string | undefined;
  /** Of this user, or of `all` of the organization; for administrators. */
  userId?: string | number | undefined;
}

/**
 * Options of {@linkcode OrdersAPI.wait}: how an order is waited for.
 *
 * @category Orders API
 */
export interface WaitOrderOptions extends WaitOptions<OrderState> {
  /** An earlier state that is enough, too. */
  state?: OrderState | undefined;
}

/**
 * Which digest of a file is compared with the manifest of its order.
 *
 * @category Orders API
 */
export type OrderChecksum = "MD5" | "SHA256";

/**
 * Options of {@linkcode OrdersAPI.downloadOrder}: where its files go, and how they are checked.
 *
 * @category Orders API
 */
export interface DownloadOrderOptions extends Omit<DownloadOptions, "filename" | "subPath"> {
  /** Downloads at once; default 4. */
  concurrency?: number | undefined;
  /**
   * The digest that is compared with the order's manifest; if it is given, an order without such a manifest
   * is an error. Default: MD5, for the files that the manifest describes.
   */
  checksum?: OrderChecksum | undefined;
}

/**
 * What became of orders that were to be cancelled.
 *
 * @category Orders API
 */
export interface CancelledOrders extends JsonObject {
  /** How many were cancelled, and which were not. */
  result: {
    succeeded: { count: number };
    failed: { count: number; failures: { order_id: string; message: string }[] };
  };
}

/**
 * How many orders are under way.
 *
 * @category Orders API
 */
export interface OrderCounts extends JsonObject {
  /** Orders that wait. */
  queued_orders: number;
  /** Orders that are worked on. */
  running_orders: number;
}

/**
 * How many orders are under way, of the organization and of the user.
 *
 * @category Orders API
 */
export interface OrderStats extends JsonObject {
  /** Those of the organization. */
  organization: OrderCounts;
  /** Those of the user. */
  user: OrderCounts;
}

/** The states, in the order in which they follow each other. */
const STATES: readonly string[] = [
  "queued",
  "running",
  "failed",
  "success",
  "partial",
  "cancelled",
];

/** Tells whether an order in a state stays there; unknown states do not. */
function isFinal(state: string): boolean {
  return STATES.indexOf(state) > STATES.indexOf("running");
}

/** Digests, as manifests name them. */
const CHECKSUMS: readonly string[] = ["md5", "sha256"];

const MANIFEST = "manifest.json";

/** Areas that can be cut out. */
const CLIPS: readonly unknown[] = ["Polygon", "MultiPolygon", "ref"];

/** A request with its geometries checked, and reduced to what the API takes. */
function orderBody(request: OrderRequest): JsonObject {
  if (typeof request !== "object" || request === null) {
    throw new TypeError("request must be an object.");
  }
  const { name, products, tools } = request;
  if (typeof name !== "string") throw new TypeError("name must be a string.");
  if (!Array.isArray(products)) throw new TypeError("products must be an array.");
  if (products.length === 0) throw new ClientError("Give products at least one: there is none.");
  if (tools !== undefined && !Array.isArray(tools)) throw new TypeError("tools must be an array.");
  const body = {
    ...request,
    products: products.map((product) =>
      product?.geometry === undefined
        ? product
        : { ...product, geometry: asGeometry(product.geometry) }
    ),
    ...(tools === undefined ? {} : { tools: tools.map(checkTool) }),
  };
  return body as unknown as JsonObject;
}

function checkTool(tool: OrderTool): OrderTool {
  if (typeof tool !== "object" || tool === null) throw new TypeError("A tool must be an object.");
  const [name, ...others] = Object.keys(tool);
  if (name === undefined || others.length > 0) {
    throw new ClientError('Give each tool one name, as in { "toar": {} }: an object has one tool.');
  }
  const aoi = tool.clip?.aoi;
  if (aoi === undefined) return tool;
  const geometry = asGeometry(aoi);
  if (CLIPS.includes(geometry.type)) return { clip: { ...tool.clip, aoi: geometry } } as OrderTool;
  throw new ClientError("Give clip a Polygon, a MultiPolygon, or a reference to a feature.");
}

/**
 * Calls the Orders API.
 *
 * @category Orders API
 *
 * @example Order an image, wait for it, and look how it ended
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const { orders } = new Planet(Auth.fromEnv());
 * const order = await orders.createOrder({
 *   name: "Fields",
 *   products: [{
 *     item_ids: ["20260101_100000_psscene"],
 *     item_type: "PSScene",
 *     product_bundle: "analytic_udm2",
 *   }],
 *   tools: [{ toar: { scale_factor: 10_000 } }],
 * });
 * const state = await orders.wait(order.id, { onState: (state) => console.error(state) });
 * console.log(state);
 * ```
 */
export class OrdersAPI {
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/compute/ops", options);
  }

  /**
   * Orders. It is sent once: an error after which it may have been done says how to look.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async createOrder(request: OrderRequest, options: CallOptions = {}): Promise<Order> {
    const json = orderBody(request);
    return veiled(await this.#api.json<Order>("POST", "/orders/v2", options, { json }));
  }

  /**
   * One order. Its links to files are new ones.
   *
   * @throws {ClientError} If `orderId` is no UUID; `MissingResource` if there is no such order.
   */
  async getOrder(orderId: string, options: CallOptions = {}): Promise<Order> {
    return veiled(await this.#api.json<Order>("GET", orderPath(orderId), options));
  }

  /**
   * The orders, the latest first.
   *
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listOrders(options: ListOrdersOptions = {}): AsyncIterable<Order> {
    const { state } = options;
    const params = {
      source_type: options.sourceType ?? "all",
      name: options.name,
      name__contains: options.nameContains,
      created_on: options.createdOn,
      last_modified: options.lastModified,
      hosting: options.hosting,
      sort_by: options.sortBy,
      destination_ref: options.destinationRef,
      user_id: options.userId,
      state: state === undefined ? undefined : checkWord("state", state, STATES),
    };
    const list = this.#api.list<Order>("GET", "/orders/v2", options, { member: "orders", params });
    for await (const one of list) yield veiled(one);
  }

  /**
   * Waits until an order is in a state in which it stays. A failed or cancelled one is no error: look at
   * the state.
   *
   * @throws {ClientError} After `maxAttempts`, or for a wrong option; `AuthError` `timeout` after
   *   `timeoutMs`; `ApiError` if the API refuses.
   */
  wait(orderId: string, options?: WaitOptions<OrderState>): Promise<FinalOrderState>;
  /** Waits until an order is in `state`, or in one that follows it. */
  wait(orderId: string, options: WaitOrderOptions): Promise<OrderState>;
  async wait(orderId: string, options: WaitOrderOptions = {}): Promise<OrderState> {
    uuid("orderId", orderId);
    const enough = options.state === undefined
      ? STATES.length
      : STATES.indexOf(checkWord("state", options.state, STATES));
    const order = await waitFor({
      name: "the order",
      clock: this.#api.session.clock,
      ask: (call) => this.getOrder(orderId, call),
      look(seen) {
        const state = member(seen, "state", "order");
        return { state, isOver: isFinal(state) || STATES.indexOf(state) >= enough };
      },
    }, options);
    return order.state;
  }

  /**
   * Cancels an order that is not worked on yet.
   *
   * @throws {Conflict} If it is; `ClientError` if `orderId` is no UUID.
   */
  async cancelOrder(orderId: string, options: CallOptions = {}): Promise<Order> {
    return veiled(await this.#api.json<Order>("PUT", orderPath(orderId), options));
  }

  /**
   * Cancels orders that are not worked on yet: those that are named, or `{ all: true }` of them.
   *
   * @throws {ClientError} If nothing is named, or something that is no UUID. Nothing was cancelled then.
   */
  async cancelOrders(
    orders: readonly string[] | { all: true },
    options: CallOptions = {},
  ): Promise<CancelledOrders> {
    const isAll = !Array.isArray(orders) && Object(orders).all === true;
    if (!isAll && !(Array.isArray(orders) && orders.length > 0)) {
      throw new ClientError(
        "Give the identifiers of orders, or { all: true } to cancel all that are not worked on yet.",
      );
    }
    const ids = isAll ? undefined : [...orders as readonly string[]];
    ids?.forEach((id) => uuid("orders", id));
    const json = ids === undefined ? {} : { order_ids: ids };
    return await this.#api.json<CancelledOrders>("POST", "/bulk/orders/v2/cancel", options, {
      json,
    });
  }

  /**
   * How many orders are under way, of the organization and of the user.
   *
   * @throws {ApiError} If the API refuses.
   */
  async aggregatedOrderStats(options: CallOptions = {}): Promise<OrderStats> {
    return await this.#api.json<OrderStats>("GET", "/stats/orders/v2", options);
  }

  /**
   * Downloads one file of an order by its link, which is not asked for anew if it has run out.
   *
   * @param location The `location` of one of the order's results.
   * @throws {ApiError} If the link is refused; see {@linkcode OrdersAPI.downloadOrder} for the others.
   */
  async downloadAsset(
    location: string | URL,
    options: DownloadAssetOptions = {},
  ): Promise<DownloadedFile> {
    const source = fixedSource(location);
    const { downloadFile } = await import("../download/download.ts");
    return await downloadFile(this.#api.session, source, options);
  }

  /**
   * Opens one file of an order as a stream, on every runtime; it goes on after a break, and ends at its
   * full length.
   *
   * @param location The `location` of one of the order's results.
   * @throws {ApiError} If the link is refused.
   */
  async openAsset(
    location: string | URL,
    options: OpenDownloadOptions = {},
  ): Promise<OpenedDownload> {
    const source = fixedSource(location);
    const { openDownload } = await import("../download/download.ts");
    return await openDownload(this.#api.session, source, options);
  }

  /**
   * Downloads all files of an order, several at once, into a folder that is named for the order. Each is
   * whole when it has its name, and checked by the order's manifest.
   *
   * The failure of one does not end the others. A second run fetches what is missing, and goes on with
   * what broke off. Links that run out meanwhile are asked for anew.
   *
   * @returns The files, in the order of the results; none if it has none, as after a delivery to a cloud.
   * @throws {ClientError} If the order is not in a final state; `IncompleteError` if some failed: it
   *   names them, and has the results of the others.
   *
   * @example The files of an order
   * ```ts ignore
   * const files = await pl.orders.downloadOrder(order.id, { directory: "out", concurrency: 4 });
   * for (const { path, bytes } of files) console.log(path, bytes);
   * ```
   */
  async downloadOrder(
    orderId: string,
    options: DownloadOrderOptions = {},
  ): Promise<DownloadedFile[]> {
    const { checksum, concurrency, ...rest } = options;
    const { signal } = options;
    const algorithm = checkWord("checksum", checksum ?? "MD5", CHECKSUMS);
    const most = wholeNumber("concurrency", concurrency, 1, 4);
    const order = await this.getOrder(orderId, { signal });
    const state = member(order, "state", "order");
    if (!isFinal(state)) throw new ClientError(`Call wait() first: the order is "${state}".`);
    const results = resultsOf(order);
    const linkOf = this.#links(orderId, order);
    const { downloadFile, downloadMany, fileText } = await import("../download/download.ts");
    const fetchOne = (name: string, more: Partial<Described> & DownloadOptions = {}) => {
      const { digest, size, ...others } = more;
      const source = { link: linkOf(name), digest, size };
      return downloadFile(this.#api.session, source, { ...rest, subPath: name, ...others });
    };

    const manifest = results.find(({ name }) => belowOrder(name) === MANIFEST);
    let described = new Map<string, Described>();
    let first: DownloadedFile | undefined;
    let failure: unknown;
    try {
      if (manifest !== undefined) {
        first = await fetchOne(manifest.name);
        const read = async (path: string) => readManifest(await fileText(path), algorithm);
        let found = await read(first.path);
        if (found === undefined && first.kept) {
          first = await fetchOne(manifest.name, { ifExists: "replace" });
          found = await read(first.path);
        }
        described = found ?? described;
      }
    } catch (error) {
      failure = error;
    }
    signal?.throwIfAborted();
    if (checksum !== undefined && results.length > 0 && described.size === 0) {
      if (failure !== undefined) throw failure;
      const what = `no manifest that has the ${checksum} of its files`;
      throw new ClientError(`Leave checksum out: the order has ${what}.`);
    }
    const settled = await downloadMany(results, most, async (result) => {
      if (result !== manifest) {
        return await fetchOne(result.name, described.get(belowOrder(result.name)));
      }
      if (first === undefined) throw failure;
      return first;
    });
    return allOf(settled, results.map(({ name }) => name), signal);
  }

  /**
   * Checks the files of an order against its manifest. {@linkcode OrdersAPI.downloadOrder} has done so
   * already.
   *
   * @param directory The order's own folder, which has the manifest.
   * @throws {ClientError} If the manifest is not there or is none, or a file is not there or another one.
   */
  async validateChecksum(
    directory: string,
    checksum: OrderChecksum,
    options: {
      /** Ends the check. */
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<void> {
    if (typeof directory !== "string") throw new TypeError("directory must be a string.");
    const algorithm = checkWord("checksum", checksum, CHECKSUMS);
    const { fileDigest, fileText, pathBelow } = await import("../download/download.ts");
    const path = await pathBelow(directory, MANIFEST);
    const described = readManifest(await fileText(path), algorithm);
    if (described === undefined) {
      throw new ClientError(`Download ${path} again: it is no manifest of an order.`);
    }
    for (const [name, { digest }] of described) {
      const file = await pathBelow(directory, name);
      if (digest === undefined) {
        throw new ClientError(`Ask for another checksum: ${path} has no ${checksum} of ${name}.`);
      }
      const found = await fileDigest(file, digest.algorithm, options.signal);
      if (found === digest.value.toLowerCase()) continue;
      throw new ClientError(`Download ${file} again: its ${checksum} is not that of the manifest.`);
    }
  }

  /** The links of an order's files. When one has run out, the order is asked for new ones, once for all. */
  #links(orderId: string, order: Order) {
    let current = order;
    let asking: Promise<Order> | undefined;
    return (name: string) => {
      let used: Order | undefined;
      return async (renew: boolean, signal?: AbortSignal): Promise<string> => {
        if (renew && used === current) {
          asking ??= this.getOrder(orderId, { signal }).finally(() => asking = undefined);
          current = await asking;
        }
        used = current;
        const result = resultsOf(current).find((one) => one.name === name);
        return member(result ?? {}, "location", "result");
      };
    };
  }
}

function orderPath(orderId: string): string {
  return `/orders/v2/${uuid("orderId", orderId)}`;
}

/** The bytes behind a link that is all there is. */
function fixedSource(location: string | URL): DownloadSource {
  if (typeof location === "string" || location instanceof URL) {
    return { link: () => Promise.resolve(location), isFixed: true };
  }
  throw new TypeError("location must be a string or a URL.");
}

/** The files of an order that have a name; there may be none. */
function resultsOf({ _links }: Order): OrderResult[] {
  const results: unknown = Object(_links).results;
  if (!Array.isArray(results)) return [];
  return results.filter((result) => typeof Object(result).name === "string");
}

/** The path of a file below the folder of its order, as the manifest has it. */
function belowOrder(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

/** What a manifest says of a file. */
interface Described {
  readonly digest: ExpectedDigest | undefined;
  readonly size: number | undefined;
}

/** The files of a manifest by their paths; `undefined` if it is none. */
function readManifest(text: string, algorithm: string): Map<string, Described> | undefined {
  let files: unknown;
  try {
    files = Object(JSON.parse(text)).files;
  } catch {
    return undefined;
  }
  if (!Array.isArray(files)) return undefined;
  const described = new Map<string, Described>();
  for (const { digests, path, size } of files.map(Object)) {
    if (typeof path !== "string") continue;
    const value = Object(digests)[algorithm];
    described.set(path, {
      digest: typeof value === "string"
        ? { algorithm: algorithm === "md5" ? "MD5" : "SHA256", value }
        : undefined,
      size: Number.isSafeInteger(size) ? size : undefined,
    });
  }
  return described;
}
