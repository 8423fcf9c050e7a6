/**
 * The Quota API: how much of the quota is used, and areas that it is reserved for.
 *
 * @module
 */

import { ClientError, type JsonObject } from "../errors.ts";
import type { CallOptions, Parameter, SessionLike } from "../http/requester.ts";
import {
  type ClientOptions,
  Endpoint,
  type ListCallOptions,
  segment,
  texts,
  wholeNumber,
} from "./calls.ts";
import { asGeometry } from "./data_filter.ts";

/**
 * A reservation, as the API describes it.
 *
 * @category Quota API
 */
export interface Reservation extends JsonObject {
  /** Number. */
  id: number;
}

/**
 * What a reservation costs.
 *
 * @category Quota API
 */
export interface QuotaState extends JsonObject {
  /** The whole quota. */
  quota_total: number;
  /** What is left of it. */
  quota_remaining: number;
}

/**
 * Reservations that were created.
 *
 * @category Quota API
 */
export interface CreatedReservation extends QuotaState {
  /** What is used of the quota. */
  quota_used: number;
}

/**
 * What reservations would cost. `quota_remaining` is what is left without them.
 *
 * @category Quota API
 */
export interface ReservationEstimate extends QuotaState {
  /** What they would cost. */
  total_cost: number;
}

/**
 * A job that creates reservations.
 *
 * @category Quota API
 */
export interface ReservationJobStarted extends JsonObject {
  /** Identifier. */
  job_id: string;
  /** How far it is. */
  status: string;
}

/**
 * How far a job is.
 *
 * @category Quota API
 */
export interface ReservationJob extends JsonObject {
  /** How far it is, in a word. */
  status: string;
  /** How many areas it has done. */
  processed_items: number;
  /** How many there are. */
  total_items: number;
  /** The same as a share, from 0 to 100. */
  percentage: number;
}

/**
 * A product that quota is for.
 *
 * @category Quota API
 */
export interface QuotaProduct extends JsonObject {
  /** Number, for `productId`. */
  id: number;
}

/**
 * Options of every list of {@linkcode QuotaAPI}.
 *
 * @category Quota API
 */
export interface QuotaPageOptions extends ListCallOptions {
  /** Objects in each page; default 500. */
  pageSize?: number | undefined;
}

/**
 * Options of {@linkcode QuotaAPI.listReservations} and {@linkcode QuotaAPI.listJobs}.
 *
 * @category Quota API
 */
export interface ListQuotaOptions extends QuotaPageOptions {
  /** Members to tell of each; default: all. */
  fields?: string | readonly string[] | undefined;
  /** Order: the name of a member, after `-` descending. */
  sort?: string | undefined;
  /**
   * What they must fulfil: the value of a member, or `member__op` with one of `eq`, `lt`, `lte`, `gt`,
   * `gte`, `ne`, `like`, `ilike`, `icontains`, `isnull`, `in`, `notin`.
   */
  filters?: Readonly<Record<string, Parameter | readonly Parameter[]>> | undefined;
}

/**
 * Options of {@linkcode QuotaAPI.listProducts}.
 *
 * @category Quota API
 */
export interface ListProductsOptions extends QuotaPageOptions {
  /** Whether they are those that can be reserved, or the others; default: all. */
  supportsReservation?: boolean | undefined;
}

/**
 * What {@linkcode QuotaAPI.createReservation} takes: what quota is reserved for.
 *
 * @category Quota API
 */
export interface ReservationRequest {
  /** References of areas, `pl:features/…`; that of a collection stands for all in it. */
  aoiRefs: readonly string[];
  /** Number of the product; {@linkcode QuotaAPI.listProducts} has it. */
  productId: number;
  /** Collection that the reservations are in. */
  collectionId?: string | undefined;
}

function reservationBody(request: ReservationRequest): JsonObject {
  const { aoiRefs, collectionId, productId } = request ?? {};
  const refs = texts("aoiRefs", aoiRefs ?? null)!;
  if (refs.length === 0) throw new ClientError("Give aoiRefs at least one reference: it has none.");
  refs.forEach(asGeometry);
  if (typeof productId !== "number") throw new TypeError("productId must be a number.");
  return {
    aoi_refs: [...refs],
    product_id: wholeNumber("productId", productId, 0, 0),
    ...(collectionId === undefined ? {} : { collection_id: collectionId }),
  };
}

/** Where reservations are. */
const PLACE = "/quota-reservations";

/**
 * Calls the Quota API.
 *
 * @category Quota API
 *
 * @example What a reservation would cost
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const { quota } = new Planet(Auth.fromEnv());
 * for await (const { id } of quota.listProducts({ supportsReservation: true, limit: 1 })) {
 *   const request = { aoiRefs: ["pl:features/my/fields-abc/field-1"], productId: id };
 *   const { quota_remaining, total_cost } = await quota.estimateReservation(request);
 *   if (total_cost <= quota_remaining) await quota.createReservation(request);
 * }
 * ```
 */
export class QuotaAPI {
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/account/v1", options);
  }

  /**
   * The reservations of the account.
   *
   * @throws {ClientError} For a wrong option; `BadQuery` if the API refuses a filter.
   */
  async *listReservations(options: ListQuotaOptions = {}): AsyncIterable<Reservation> {
    yield* this.#list<Reservation>(`${PLACE}/`, options);
  }

  /**
   * One reservation.
   *
   * @throws {MissingResource} If there is no such reservation.
   */
  async getReservation(reservationId: number, options: CallOptions = {}): Promise<Reservation> {
    if (typeof reservationId !== "number") throw new TypeError("reservationId must be a number.");
    const path = `${PLACE}/${wholeNumber("reservationId", reservationId, 0, 0)}`;
    return await this.#api.json<Reservation>("GET", path, options);
  }

  /**
   * Reserves quota. It is sent once: an error after which it may have been done says how to look.
   *
   * @throws {ClientError} For a wrong value; `FeatureError` for a reference that is none; `ApiError` if the
   *   API refuses, as it does if the quota is used up.
   */
  async createReservation(
    request: ReservationRequest,
    options: CallOptions = {},
  ): Promise<CreatedReservation> {
    const json = reservationBody(request);
    return await this.#api.json<CreatedReservation>("POST", `${PLACE}/`, options, { json });
  }

  /**
   * Begins to reserve quota for many areas; `getJob()` tells how far it is. It is sent once.
   *
   * @throws {ClientError} As `createReservation()`.
   */
  async bulkCreateReservations(
    request: ReservationRequest,
    options: CallOptions = {},
  ): Promise<ReservationJobStarted> {
    const path = `${PLACE}/bulk-reserve`;
    const json = reservationBody(request);
    return await this.#api.json<ReservationJobStarted>("POST", path, options, { json });
  }

  /**
   * What reservations would cost; nothing is reserved.
   *
   * @throws {ClientError} As `createReservation()`.
   */
  async estimateReservation(
    request: ReservationRequest,
    options: CallOptions = {},
  ): Promise<ReservationEstimate> {
    const more = { json: reservationBody(request), idempotent: true };
    return await this.#api.json<ReservationEstimate>("POST", `${PLACE}/estimate`, options, more);
  }

  /**
   * The jobs that create reservations.
   *
   * @throws {ClientError} For a wrong option; `BadQuery` if the API refuses a filter.
   */
  async *listJobs(options: ListQuotaOptions = {}): AsyncIterable<ReservationJob> {
    yield* this.#list<ReservationJob>(`${PLACE}/jobs`, options);
  }

  /**
   * One job, and how far it is.
   *
   * @throws {MissingResource} If there is no such job.
   */
  async getJob(jobId: string, options: CallOptions = {}): Promise<ReservationJob> {
    const path = `${PLACE}/jobs/${segment("jobId", jobId)}`;
    return await this.#api.json<ReservationJob>("GET", path, options);
  }

  /**
   * The products of the account's organization.
   *
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listProducts(options: ListProductsOptions = {}): AsyncIterable<QuotaProduct> {
    const filters = options.supportsReservation === undefined
      ? undefined
      : { supports_reservation: options.supportsReservation };
    yield* this.#list<QuotaProduct>("/my/products", { ...options, filters });
  }

  #list<Kind extends JsonObject>(path: string, options: ListQuotaOptions): AsyncIterable<Kind> {
    const { fields, filters, pageSize, sort } = options;
    const params = {
      fields: fields === undefined ? undefined : String(fields),
      sort,
      ...filters,
      limit: wholeNumber("pageSize", pageSize, 1, 500),
    };
    return this.#api.list<Kind>("GET", path, options, { member: "results", params });
  }
}
