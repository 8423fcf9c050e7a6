/**
 * The Orders API: images, processed and packed as asked for, and their files.
 *
 * Parameters, defaults and checks are those of the Planet SDK for Python; each check happens before
 * anything is sent. An order is sent once: what was ordered twice is paid twice.
 *
 * @module
 */

import { ClientError, type JsonObject } from "../errors.ts";
import type { CallOptions, SessionLike } from "../http/requester.ts";
import {
  checkWord,
  type ClientOptions,
  Endpoint,
  type ListCallOptions,
  member,
  uuid,
  waitFor,
  type WaitOptions,
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
    return await this.#api.json<Order>("POST", "/orders/v2", options, { json });
  }

  /**
   * One order. Its links to files are new ones.
   *
   * @throws {ClientError} If `orderId` is no UUID; `MissingResource` if there is no such order.
   */
  async getOrder(orderId: string, options: CallOptions = {}): Promise<Order> {
    return await this.#api.json<Order>("GET", orderPath(orderId), options);
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
    yield* this.#api.list<Order>("GET", "/orders/v2", options, { member: "orders", params });
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
}

function orderPath(orderId: string): string {
  return `/orders/v2/${uuid("orderId", orderId)}`;
}
