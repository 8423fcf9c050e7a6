/**
 * The Destinations API: places in the cloud that orders and subscriptions can be delivered to.
 *
 * What a destination holds are credentials: they get into no error, no event, and nothing that is printed.
 *
 * @module
 */

import type { JsonObject } from "../errors.ts";
import type { CallOptions, SessionLike } from "../http/requester.ts";
import { type ClientOptions, Endpoint, segment, veiled } from "./calls.ts";
import type {
  AmazonS3,
  AzureBlobStorage,
  GoogleCloudStorage,
  OracleCloudStorage,
  PathPrefix,
  S3Compatible,
} from "./requests.ts";

/**
 * The parameters of each kind of destination.
 *
 * @category Destinations API
 */
export interface DestinationKinds {
  /** Amazon S3. */
  amazon_s3: Omit<AmazonS3, keyof PathPrefix> & {
    /** Whether the headers of server-side encryption are sent; default false. */
    explicit_sse?: boolean;
  };
  /** Azure Blob Storage. */
  azure_blob_storage: Omit<AzureBlobStorage, keyof PathPrefix>;
  /** Google Cloud Storage; the credentials are the key of a service account, in base64. */
  google_cloud_storage: Omit<GoogleCloudStorage, keyof PathPrefix>;
  /** Oracle Cloud Storage. */
  oracle_cloud_storage: Omit<OracleCloudStorage, keyof PathPrefix>;
  /** Another storage that speaks S3. */
  s3_compatible: Omit<S3Compatible, keyof PathPrefix>;
}

/**
 * What {@linkcode DestinationsAPI.createDestination} takes.
 *
 * @category Destinations API
 */
export type DestinationRequest = {
  [Type in keyof DestinationKinds]: {
    /** Name, of 3 to 63 characters. */
    name?: string;
    /** Kind. */
    type: Type;
    /** Where it is, and the credentials. */
    parameters: DestinationKinds[Type];
  };
}[keyof DestinationKinds];

/**
 * What {@linkcode DestinationsAPI.patchDestination} takes.
 *
 * @category Destinations API
 */
export interface DestinationPatch {
  /** Name, of 3 to 63 characters. */
  name?: string;
  /** Whether it is archived. */
  archive?: boolean;
  /** New credentials; where they lead to cannot be changed. */
  parameters?: { [Type in keyof DestinationKinds]: Partial<DestinationKinds[Type]> }[
    keyof DestinationKinds
  ];
}

/**
 * A destination, as the API describes it.
 *
 * @category Destinations API
 */
export interface Destination extends JsonObject {
  /** Identifier. */
  id: string;
  /** Name. */
  name: string;
  /** Kind. */
  type: keyof DestinationKinds;
  /** Where it is. */
  parameters: JsonObject;
  /** Reference, for a delivery. */
  "pl:ref": string;
  /** Since when it is archived (RFC 3339). */
  archived?: string | null;
  /** Whether it is the default one of the organization. */
  default?: boolean | null;
}

/**
 * Destinations, as the API lists them: all at once.
 *
 * @category Destinations API
 */
export interface DestinationList extends JsonObject {
  /** The destinations. */
  destinations: Destination[];
}

/**
 * Options of {@linkcode DestinationsAPI.listDestinations}: which ones are listed; default: those of the organization that are not archived.
 *
 * @category Destinations API
 */
export interface ListDestinationsOptions extends CallOptions {
  /** Whether those that are archived are there, too. */
  archived?: boolean | undefined;
  /** Whether one's own are meant. */
  isOwner?: boolean | undefined;
  /** Whether those are meant that one may change. */
  canWrite?: boolean | undefined;
  /** Whether the default one is meant. */
  isDefault?: boolean | undefined;
}

/** A copy of a request, so that nothing but its members is sent. */
function checked(request: DestinationRequest | DestinationPatch): JsonObject {
  if (typeof request !== "object" || request === null) {
    throw new TypeError("request must be an object.");
  }
  return { ...request } as object as JsonObject;
}

function pathOf(destinationId: string): string {
  return `/${segment("destinationId", destinationId)}`;
}

/**
 * Calls the Destinations API.
 *
 * @category Destinations API
 *
 * @example A bucket, as the default of the organization
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const { destinations } = new Planet(Auth.fromEnv());
 * const { id } = await destinations.createDestination({
 *   name: "images",
 *   type: "google_cloud_storage",
 *   parameters: { bucket: "my-images", credentials: "base64 of the key" },
 * });
 * await destinations.setDefaultDestination(id);
 * ```
 */
export class DestinationsAPI {
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/destinations/v1", options);
  }

  /**
   * The destinations of the organization, in one answer.
   *
   * @throws {ApiError} If the API refuses.
   */
  async listDestinations(options: ListDestinationsOptions = {}): Promise<DestinationList> {
    const { archived, canWrite, isDefault, isOwner } = options;
    const params = { archived, is_owner: isOwner, can_write: canWrite, is_default: isDefault };
    const list = await this.#api.json<DestinationList>("GET", "", options, { params });
    if (Array.isArray(list.destinations)) list.destinations.forEach(veiled);
    return list;
  }

  /**
   * One destination.
   *
   * @throws {MissingResource} If there is no such destination.
   */
  async getDestination(destinationId: string, options: CallOptions = {}): Promise<Destination> {
    return veiled(await this.#api.json<Destination>("GET", pathOf(destinationId), options));
  }

  /**
   * Changes what the request names.
   *
   * @throws {MissingResource} If there is no such destination; `BadQuery` if the API refuses it.
   */
  async patchDestination(
    destinationId: string,
    request: DestinationPatch,
    options: CallOptions = {},
  ): Promise<Destination> {
    const [path, json] = [pathOf(destinationId), checked(request)];
    return veiled(await this.#api.json<Destination>("PATCH", path, options, { json }));
  }

  /**
   * Creates a destination. It is sent once: an error after which it may have been done says how to look.
   *
   * @throws {BadQuery} If the API refuses it.
   */
  async createDestination(
    request: DestinationRequest,
    options: CallOptions = {},
  ): Promise<Destination> {
    const json = checked(request);
    return veiled(await this.#api.json<Destination>("POST", "", options, { json }));
  }

  /**
   * Makes a destination the default one of the organization, for its administrators and its owner.
   *
   * @throws {MissingResource} If there is no such destination; `NoPermission` if the account may not.
   */
  async setDefaultDestination(
    destinationId: string,
    options: CallOptions = {},
  ): Promise<Destination> {
    segment("destinationId", destinationId);
    const json = { destination_id: destinationId };
    return veiled(await this.#api.json<Destination>("PUT", "/default", options, { json }));
  }

  /**
   * Leaves the organization without a default destination.
   *
   * @throws {NoPermission} If the account may not.
   */
  async unsetDefaultDestination(options: CallOptions = {}): Promise<void> {
    await this.#api.send("DELETE", "/default", options);
  }

  /**
   * The default destination of the organization.
   *
   * @throws {MissingResource} If there is none.
   */
  async getDefaultDestination(options: CallOptions = {}): Promise<Destination> {
    return veiled(await this.#api.json<Destination>("GET", "/default", options));
  }
}
