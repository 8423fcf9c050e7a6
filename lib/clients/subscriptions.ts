/**
 * The Subscriptions API: images and analyses that are delivered as they come, and what became of each.
 *
 * Parameters and defaults are those of the Planet SDK for Python. Nothing is done to "all" subscriptions
 * unless the call says so. What a delivery holds are credentials: they get into no error and no event.
 *
 * @module
 */

import { ClientError, type JsonObject, type JsonValue } from "../errors.ts";
import type { CallOptions, SessionLike } from "../http/requester.ts";
import {
  type ClientOptions,
  Endpoint,
  type ListCallOptions,
  segment,
  texts,
  veiled,
  wholeNumber,
} from "./calls.ts";
import { asGeometry, type GeometryLike, type SearchFilter } from "./data_filter.ts";
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
  OracleCloudStorage,
  Reproject,
  S3Compatible,
  Toar,
} from "./requests.ts";

/**
 * State of a subscription.
 *
 * @category Subscriptions API
 */
export type SubscriptionStatus =
  | "preparing"
  | "pending"
  | "running"
  | "completed"
  | "suspended"
  | "cancelled"
  | "failed"
  | "invalid";

/**
 * State of one result of a subscription.
 *
 * @category Subscriptions API
 */
export type SubscriptionResultStatus = "created" | "queued" | "processing" | "failed" | "success";

/**
 * A subscription, as the API describes it.
 *
 * @category Subscriptions API
 */
export interface Subscription extends JsonObject {
  /** Identifier, a UUID. */
  id: string;
  /** Name. */
  name: string;
  /** State. */
  status: SubscriptionStatus;
  /** What is subscribed to. */
  source: JsonObject;
  /** When it was created (RFC 3339). */
  created: string;
  /** When it last changed (RFC 3339). */
  updated: string;
}

/**
 * One result of a subscription: an item that matched, and what became of it.
 *
 * @category Subscriptions API
 */
export interface SubscriptionResult extends JsonObject {
  /** Identifier, a UUID. */
  id: string;
  /** State. */
  status: SubscriptionResultStatus;
  /** When it was created (RFC 3339). */
  created: string;
  /** When it last changed (RFC 3339). */
  updated: string;
}

/**
 * How many subscriptions there are, by their status.
 *
 * @category Subscriptions API
 */
export interface SubscriptionsSummary extends JsonObject {
  /** Numbers, by status. */
  subscriptions: Record<string, number>;
}

/**
 * How many results a subscription has, by their status.
 *
 * @category Subscriptions API
 */
export interface SubscriptionSummary extends JsonObject {
  /** Numbers, by status. */
  results: Record<string, number>;
}

/**
 * Where the API lists what was created in bulk.
 *
 * @category Subscriptions API
 */
export interface BulkSubscriptions extends JsonObject {
  /** Its links. */
  _links: JsonObject;
}

/**
 * Images of a catalog. Times are RFC 3339.
 *
 * @category Subscriptions API
 */
export interface CatalogSource {
  /** Kind of the source; need not be said. */
  type?: "catalog";
  /** What is subscribed to. */
  parameters: {
    /** The item type, exactly one. */
    item_types: readonly string[];
    /** Assets that are delivered; an item matches once it has them all. */
    asset_types: readonly string[];
    /** The area. */
    geometry: GeometryLike;
    /** Since when. */
    start_time: string;
    /** Until when; default: for ever. */
    end_time?: string;
    /** What items must fulfil. */
    filter?: SearchFilter;
    /** Recurrence, such as `FREQ=MONTHLY;BYMONTH=3,4` (RFC 5545). */
    rrule?: string;
    /** Which stages of publication are delivered. */
    publishing_stages?: readonly ("preview" | "standard" | "finalized")[];
    /** Which of an item's times counts; default `acquired`. */
    time_range_type?: "acquired" | "published";
    /** How footprint and area relate; default `intersects`. */
    geometry_relation?: "intersects" | "contains" | "within";
  };
}

/**
 * A planetary variable, or analysis-ready images. Times are RFC 3339.
 *
 * @category Subscriptions API
 */
export interface ProductSource {
  /** Kind of the source; need not be said. */
  type?: string;
  /** What is subscribed to. */
  parameters: {
    /** Identifier of the product, such as `SWC-AMSR2-C_V1.0_100`. */
    id: string;
    /** The area. */
    geometry: GeometryLike;
    /** Since when. */
    start_time: string;
    /** Until when; default: for ever. */
    end_time?: string;
  };
}

/**
 * What is subscribed to.
 *
 * @category Subscriptions API
 */
export type SubscriptionSource = CatalogSource | ProductSource;

/**
 * Bounds of a share of an image, in percent.
 *
 * @category Subscriptions API
 */
export interface PercentBounds {
  /** At least. */
  gte?: number;
  /** At most. */
  lte?: number;
}

/**
 * Leaves images out, by what their clipped area shows.
 *
 * @category Subscriptions API
 */
export interface CloudFilter {
  /** Clear. */
  clear_percent?: PercentBounds;
  /** Under clouds. */
  cloud_percent?: PercentBounds;
  /** In their shadow. */
  shadow_percent?: PercentBounds;
  /** Under heavy haze. */
  heavy_haze_percent?: PercentBounds;
  /** Under light haze. */
  light_haze_percent?: PercentBounds;
  /** Under snow or ice. */
  snow_ice_percent?: PercentBounds;
}

/**
 * The parameters of each tool.
 *
 * @category Subscriptions API
 */
export interface SubscriptionTools {
  /** Makes values comparable to those of another sensor; comes first. */
  harmonize: Harmonize;
  /** Makes top-of-atmosphere reflectances; comes second. */
  toar: Toar;
  /** Cuts an area out; without `aoi` that of the source. Comes third, as the next two. */
  clip: Clip;
  /** Changes the projection. */
  reproject: Reproject;
  /** Computes bands. */
  bandmath: BandMath;
  /** Leaves images out; comes last, as the next one. */
  cloud_filter: CloudFilter;
  /** Changes the format of files. */
  file_format: FileFormat;
}

/**
 * An object of a `type` with its `parameters`.
 *
 * @category Subscriptions API
 */
export type Typed<Kinds> = {
  [Type in keyof Kinds]: {
    /** Kind. */
    type: Type;
    /** Parameters of this kind. */
    parameters: Kinds[Type];
  };
}[keyof Kinds];

/**
 * A tool.
 *
 * @category Subscriptions API
 */
export type SubscriptionTool = Typed<SubscriptionTools>;

/**
 * The parameters of each kind of delivery.
 *
 * @category Subscriptions API
 */
export interface SubscriptionClouds {
  /** Amazon S3. */
  amazon_s3: AmazonS3;
  /** Azure Blob Storage. */
  azure_blob_storage: AzureBlobStorage;
  /** A destination of the Destinations API. */
  destination: DestinationReference;
  /** Google Cloud Storage. */
  google_cloud_storage: GoogleCloudStorage;
  /** Google Earth Engine. */
  google_earth_engine: GoogleEarthEngine & {
    /** Key of a service account. */
    credentials: string;
  };
  /** Oracle Cloud Storage. */
  oracle_cloud_storage: OracleCloudStorage;
  /** Another storage that speaks S3. */
  s3_compatible: S3Compatible;
}

/**
 * Where results are delivered to.
 *
 * @category Subscriptions API
 */
export type SubscriptionDelivery = Typed<SubscriptionClouds>;

/**
 * What a webhook can be told.
 *
 * @category Subscriptions API
 */
export type SubscriptionTopic =
  | "delivery.success"
  | "delivery.match"
  | "delivery.failed"
  | "status.backfill.completed"
  | "status.completed"
  | "status.cancelled"
  | "status.pending"
  | "status.all"
  | "status.suspended"
  | "status.failed";

/**
 * Who is told what.
 *
 * @category Subscriptions API
 */
export interface SubscriptionNotifications {
  /** What is called. */
  webhook: {
    /** Where. */
    url: string;
    /** When. */
    topics: readonly SubscriptionTopic[];
  };
}

/**
 * Where results are hosted.
 *
 * @category Subscriptions API
 */
export interface SubscriptionHosting {
  /** Sentinel Hub. */
  type: "sentinel_hub";
  /** How. */
  parameters: {
    /** Collection that results are added to; default: a new one. */
    collection_id?: string;
    /** Whether a configuration for a new collection is made. */
    create_configuration?: boolean;
  };
}

/**
 * What {@linkcode SubscriptionsAPI.createSubscription} takes: what is subscribed to, and what becomes of it, as the API takes it.
 *
 * @category Subscriptions API
 */
export interface SubscriptionRequest {
  /** Name. */
  name: string;
  /** What is subscribed to. */
  source: SubscriptionSource;
  /** What is made of the images, in the order of {@linkcode SubscriptionTools}. */
  tools?: readonly SubscriptionTool[];
  /** Where results are delivered to; default: nowhere, so that only their metadata comes. */
  delivery?: SubscriptionDelivery;
  /** Who is told. */
  notifications?: SubscriptionNotifications;
  /** Where results are hosted. */
  hosting?: SubscriptionHosting;
}

/**
 * Options of {@linkcode SubscriptionsAPI.listSubscriptions}: which ones are listed. Times are RFC 3339, or intervals: `2026-01-01T00:00:00Z/..`.
 *
 * @category Subscriptions API
 */
export interface ListSubscriptionsOptions extends ListCallOptions {
  /** In one of these states. */
  status?: readonly SubscriptionStatus[] | undefined;
  /** Created then. */
  created?: string | undefined;
  /** That end then. */
  endTime?: string | undefined;
  /** That start then. */
  startTime?: string | undefined;
  /** Last changed then. */
  updated?: string | undefined;
  /** Whether results are hosted. */
  hosting?: boolean | undefined;
  /** With this name. */
  name?: string | undefined;
  /** With this in its name. */
  nameContains?: string | undefined;
  /** To this kind of source. */
  sourceType?: string | undefined;
  /** Delivered to this destination. */
  destinationRef?: string | undefined;
  /** Of this area: a reference to a feature. */
  geomRef?: string | undefined;
  /** Of this user, or of `all` of the organization; for administrators. */
  userId?: string | number | undefined;
  /** Order: `name`, `created`, `updated`, `start_time`, `end_time`, with ` DESC`; several by commas. */
  sortBy?: string | undefined;
  /** Subscriptions in each page, at most 10,000; default 500. */
  pageSize?: number | undefined;
}

/**
 * Which results are meant. Times are RFC 3339, or intervals: `2026-01-01T00:00:00Z/..`.
 *
 * @category Subscriptions API
 */
export interface ResultsFilter {
  /** In one of these states. */
  status?: readonly SubscriptionResultStatus[] | undefined;
  /** Created then. */
  created?: string | undefined;
  /** Last changed then. */
  updated?: string | undefined;
  /** Completed then. */
  completed?: string | undefined;
  /** Whose item was taken then. */
  itemDatetime?: string | undefined;
}

/**
 * Options of {@linkcode SubscriptionsAPI.getResults}.
 *
 * @category Subscriptions API
 */
export interface GetResultsOptions extends ListCallOptions, ResultsFilter {
  /** Results in each page; default: as the API likes. */
  pageSize?: number | undefined;
}

/**
 * Options of {@linkcode SubscriptionsAPI.getResultsCsv}.
 *
 * @category Subscriptions API
 */
export interface GetResultsCsvOptions extends CallOptions, ResultsFilter {}

/**
 * Options of {@linkcode SubscriptionsAPI.suspendSubscription}, and of that in bulk.
 *
 * @category Subscriptions API
 */
export interface SuspendOptions extends CallOptions {
  /** Why, in words. */
  details?: string | undefined;
}

/**
 * Which subscriptions are meant: these, all of one's own, or all of the organization.
 *
 * @category Subscriptions API
 */
export type WhichSubscriptions =
  | {
    /** These. */
    subscriptionIds: readonly string[];
    /** Not all. */
    all?: false | undefined;
    /** Not all. */
    allSubscriptions?: false | undefined;
  }
  | {
    /** All of one's own. */
    all: true;
    /** None by name. */
    subscriptionIds?: undefined;
    /** Not those of others. */
    allSubscriptions?: false | undefined;
  }
  | {
    /** All of the organization; for administrators. */
    allSubscriptions: true;
    /** None by name. */
    subscriptionIds?: undefined;
    /** Those of others, too. */
    all?: false | undefined;
  };

/** When each tool is at work: none may come before one of a smaller number. */
const WEIGHTS: Readonly<Record<string, number>> = {
  harmonize: 1,
  toar: 2,
  clip: 3,
  reproject: 3,
  bandmath: 3,
  cloud_filter: 4,
  file_format: 4,
};

/** A request with its geometries and tools checked, and reduced to what the API takes. */
function subscriptionBody(request: Partial<SubscriptionRequest>, isWhole = true): JsonObject {
  if (typeof request !== "object" || request === null) {
    throw new TypeError("request must be an object.");
  }
  const body = { ...request } as JsonObject;
  const { name, source, tools } = request;
  if (isWhole && typeof name !== "string") throw new TypeError("name must be a string.");
  if (isWhole && (typeof source !== "object" || source === null)) {
    throw new TypeError("source must be an object.");
  }
  if (source?.parameters?.geometry !== undefined) {
    const geometry = asGeometry(source.parameters.geometry);
    body.source = { ...source, parameters: { ...source.parameters, geometry } as JsonObject };
  }
  if (tools !== undefined) body.tools = checkTools(tools);
  return body;
}

function checkTools(tools: readonly SubscriptionTool[]): JsonValue[] {
  if (!Array.isArray(tools)) throw new TypeError("tools must be an array.");
  let before = { type: "", weight: 0 };
  return tools.map((tool) => {
    const { parameters, type } = tool ?? {};
    if (typeof type !== "string") throw new ClientError("Give each tool a type.");
    const weight = WEIGHTS[type] ?? before.weight;
    if (weight < before.weight) {
      throw new ClientError(`Put the tool ${type} before ${before.type}: it is at work earlier.`);
    }
    before = { type, weight };
    const aoi = type === "clip" ? parameters?.aoi : undefined;
    return aoi === undefined ? tool : { type, parameters: { ...parameters, aoi: asGeometry(aoi) } };
  });
}

/** What says which subscriptions are meant. */
function whichBody(which: WhichSubscriptions | readonly string[], details?: string) {
  const given: object = Array.isArray(which) ? { subscriptionIds: which } : which ?? {};
  const { all = false, allSubscriptions = false, subscriptionIds } = given as {
    readonly [Name in keyof WhichSubscriptions]?: unknown;
  };
  const ids = texts("subscriptionIds", subscriptionIds);
  for (const [name, value] of Object.entries({ all, allSubscriptions })) {
    if (typeof value !== "boolean") throw new TypeError(`${name} must be a boolean.`);
  }
  if ([ids !== undefined && ids.length > 0, all, allSubscriptions].filter(Boolean).length !== 1) {
    throw new ClientError(
      "Give subscriptionIds at least one identifier, or say { all: true } for all of your own, or " +
        "{ allSubscriptions: true } for all of the organization; one of these.",
    );
  }
  const json: JsonObject = {};
  if (ids?.length) json.subscription_ids = ids;
  if (details !== undefined) json.details = details;
  return {
    json: Object.keys(json).length > 0 ? json : undefined,
    params: { user_id: allSubscriptions ? "all" : undefined },
  };
}

function resultsParams(options: ResultsFilter) {
  return {
    status: texts("status", options.status),
    created: options.created,
    updated: options.updated,
    completed: options.completed,
    item_datetime: options.itemDatetime,
  };
}

function pathOf(subscriptionId: string, leaf = ""): string {
  return `/${segment("subscriptionId", subscriptionId)}${leaf}`;
}

/** The lines of a text, as they come. */
async function* linesOf({ body }: Response): AsyncGenerator<string, void, undefined> {
  if (body === null) return;
  const [decoder, reader] = [new TextDecoder(), body.getReader()];
  let rest = "";
  try {
    for (let isOver = false; !isOver;) {
      const { done, value } = await reader.read();
      isOver = done;
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      // A carriage return at the end may be half of what ends the line.
      const lines = rest.split(done ? /\r\n?|\n/ : /\r\n|\r(?!$)|\n/);
      rest = lines.pop()!;
      yield* lines;
    }
    if (rest !== "") yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Calls the Subscriptions API.
 *
 * @category Subscriptions API
 *
 * @example Subscribe to a field, and read what came
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const { subscriptions } = new Planet(Auth.fromEnv());
 * const { id } = await subscriptions.createSubscription({
 *   name: "Field",
 *   source: {
 *     parameters: {
 *       item_types: ["PSScene"],
 *       asset_types: ["ortho_analytic_4b"],
 *       geometry: "pl:features/my/fields-abc/field-1",
 *       start_time: "2026-01-01T00:00:00Z",
 *     },
 *   },
 *   tools: [{ type: "clip", parameters: {} }],
 *   delivery: { type: "destination", parameters: { ref: "pl:destinations/default" } },
 * });
 * for await (const line of subscriptions.getResultsCsv(id)) console.log(line);
 * ```
 */
export class SubscriptionsAPI {
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/subscriptions/v1", options);
  }

  /**
   * The subscriptions of the account.
   *
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listSubscriptions(options: ListSubscriptionsOptions = {}): AsyncIterable<Subscription> {
    const params = {
      created: options.created,
      end_time: options.endTime,
      hosting: options.hosting,
      name__contains: options.nameContains,
      name: options.name,
      source_type: options.sourceType,
      start_time: options.startTime,
      status: texts("status", options.status),
      sort_by: options.sortBy,
      updated: options.updated,
      destination_ref: options.destinationRef,
      user_id: options.userId,
      geom_ref: options.geomRef,
      page_size: wholeNumber("pageSize", options.pageSize, 0, 500),
    };
    const list = this.#api.list<Subscription>("GET", "", options, {
      member: "subscriptions",
      params,
    });
    for await (const one of list) yield veiled(one);
  }

  /**
   * Subscribes. It is sent once: an error after which it may have been done says how to look.
   *
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async createSubscription(
    request: SubscriptionRequest,
    options: CallOptions = {},
  ): Promise<Subscription> {
    const json = subscriptionBody(request);
    return veiled(await this.#api.json<Subscription>("POST", "", options, { json }));
  }

  /**
   * Subscribes in bulk; for now the API takes one request at a time. It is sent once.
   *
   * @returns The link under which the API lists what it created.
   * @throws {ClientError} For a wrong value; `BadQuery` if the API refuses it.
   */
  async bulkCreateSubscriptions(
    requests: readonly SubscriptionRequest[],
    options: CallOptions = {},
  ): Promise<BulkSubscriptions> {
    if (!Array.isArray(requests)) throw new TypeError("requests must be an array.");
    if (requests.length === 0) throw new ClientError("Give at least one request: there is none.");
    const json = { subscriptions: requests.map((request) => subscriptionBody(request)) };
    return await this.#api.json<BulkSubscriptions>("POST", "/bulk", options, { json });
  }

  /**
   * One subscription.
   *
   * @throws {MissingResource} If there is no such subscription.
   */
  async getSubscription(subscriptionId: string, options: CallOptions = {}): Promise<Subscription> {
    return veiled(await this.#api.json<Subscription>("GET", pathOf(subscriptionId), options));
  }

  /**
   * Replaces a subscription; the request is whole.
   *
   * @throws {ClientError} For a wrong value; `MissingResource` if there is no such subscription.
   */
  async updateSubscription(
    subscriptionId: string,
    request: SubscriptionRequest,
    options: CallOptions = {},
  ): Promise<Subscription> {
    const more = { json: subscriptionBody(request) };
    return veiled(await this.#api.json<Subscription>("PUT", pathOf(subscriptionId), options, more));
  }

  /**
   * Changes what the request names.
   *
   * @throws {ClientError} For a wrong value; `MissingResource` if there is no such subscription.
   */
  async patchSubscription(
    subscriptionId: string,
    request: Partial<SubscriptionRequest>,
    options: CallOptions = {},
  ): Promise<Subscription> {
    const more = { json: subscriptionBody(request, false) };
    const path = pathOf(subscriptionId);
    return veiled(await this.#api.json<Subscription>("PATCH", path, options, more));
  }

  /**
   * Ends a subscription for good.
   *
   * @throws {MissingResource} If there is no such subscription.
   */
  async cancelSubscription(subscriptionId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.send("POST", pathOf(subscriptionId, "/cancel"), options);
  }

  /**
   * Suspends a subscription.
   *
   * @throws {MissingResource} If there is no such subscription.
   */
  async suspendSubscription(
    subscriptionId: string,
    options: SuspendOptions = {},
  ): Promise<Subscription> {
    const { details } = options;
    const more = details === undefined ? {} : { json: { details } };
    const path = pathOf(subscriptionId, "/suspend");
    return veiled(await this.#api.json<Subscription>("POST", path, options, more));
  }

  /**
   * Lets a suspended subscription run again.
   *
   * @throws {MissingResource} If there is no such subscription.
   */
  async reactivateSubscription(subscriptionId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.send("POST", pathOf(subscriptionId, "/reactivate"), options);
  }

  /**
   * Suspends subscriptions: these, or all, which has to be said.
   *
   * @param which Identifiers, or `{ all: true }`, or `{ allSubscriptions: true }` for the organization.
   * @throws {ClientError} If it is not said which ones, or an array is empty: nothing is sent.
   */
  async bulkSuspendSubscriptions(
    which: (WhichSubscriptions & SuspendOptions) | readonly string[],
    options: SuspendOptions = {},
  ): Promise<void> {
    const all: SuspendOptions = Array.isArray(which) ? options : { ...which, ...options };
    await this.#api.send("POST", "/suspend", all, whichBody(which, all.details));
  }

  /**
   * Lets suspended subscriptions run again: these, or all, which has to be said.
   *
   * @param which Identifiers, or `{ all: true }`, or `{ allSubscriptions: true }` for the organization.
   * @throws {ClientError} If it is not said which ones, or an array is empty: nothing is sent.
   */
  async bulkReactivateSubscriptions(
    which: (WhichSubscriptions & CallOptions) | readonly string[],
    options: CallOptions = {},
  ): Promise<void> {
    const all: CallOptions = Array.isArray(which) ? options : { ...which, ...options };
    await this.#api.send("POST", "/reactivate", all, whichBody(which));
  }

  /**
   * The results of a subscription.
   *
   * @throws {ClientError} For a wrong option; `MissingResource` if there is no such subscription.
   */
  async *getResults(
    subscriptionId: string,
    options: GetResultsOptions = {},
  ): AsyncIterable<SubscriptionResult> {
    const { pageSize } = options;
    const params = {
      ...resultsParams(options),
      page_size: pageSize === undefined ? undefined : wholeNumber("pageSize", pageSize, 0, 0),
    };
    const more = { member: "results", params };
    yield* this.#api.list("GET", pathOf(subscriptionId, "/results"), options, more);
  }

  /**
   * The results of a subscription as CSV: its lines, as they come, without their ends; the first has the
   * names of the columns. There is no limit, and what is not read is not fetched. A break in the middle is
   * an error: the API cannot go on there.
   *
   * @throws {MissingResource} If there is no such subscription; `AuthError` `network`, `timeout` after a
   *   break.
   */
  async *getResultsCsv(
    subscriptionId: string,
    options: GetResultsCsvOptions = {},
  ): AsyncIterable<string> {
    const params = { format: "csv", ...resultsParams(options) };
    const path = pathOf(subscriptionId, "/results");
    yield* linesOf(await this.#api.send("GET", path, options, { params, stream: true }));
  }

  /**
   * How many subscriptions there are, by their status.
   *
   * @throws {ApiError} If the API refuses.
   */
  async getSummary(options: CallOptions = {}): Promise<SubscriptionsSummary> {
    return await this.#api.json<SubscriptionsSummary>("GET", "/summary", options);
  }

  /**
   * How many results a subscription has, by their status.
   *
   * @throws {MissingResource} If there is no such subscription.
   */
  async getSubscriptionSummary(
    subscriptionId: string,
    options: CallOptions = {},
  ): Promise<SubscriptionSummary> {
    const path = pathOf(subscriptionId, "/summary");
    return await this.#api.json<SubscriptionSummary>("GET", path, options);
  }
}
