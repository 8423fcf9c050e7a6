/**
 * The Features API: areas that are kept at Planet, so that searches, orders and subscriptions can refer to
 * them.
 *
 * @module
 */

import { ApiError, ClientError, FeatureError, GeoJSONError, type JsonObject } from "../errors.ts";
import type { CallOptions, SessionLike } from "../http/requester.ts";
import {
  type ClientOptions,
  Endpoint,
  type ListCallOptions,
  segment,
  wholeNumber,
} from "./calls.ts";
import { checkGeometry, type Geometry } from "./data_filter.ts";

/**
 * A collection of features, as the API describes it.
 *
 * @category Features API
 */
export interface Collection extends JsonObject {
  /** Identifier. */
  id: string;
  /** Title. */
  title: string;
  /** What it is about. */
  description?: string;
}

/**
 * A feature of a collection: GeoJSON that has a reference.
 *
 * @category Features API
 */
export interface CollectionFeature extends JsonObject {
  /** Identifier, unique within its collection. */
  id: string;
  /** What it is to GeoJSON. */
  type: "Feature";
  /** The area. */
  geometry: Geometry;
  /** What is known of it. */
  properties: JsonObject;
  /**
   * Its reference, `pl:features/…`. Where an area is asked for, a feature stands for its reference.
   *
   * @throws {FeatureError} If the API gave it none.
   */
  readonly ref: string;
}

/**
 * A feature to add.
 *
 * @category Features API
 */
export interface NewFeature {
  /** What it is. */
  type: "Feature";
  /** The area: a Polygon or a MultiPolygon. */
  geometry: Geometry;
  /** `id`, `title` and `description` are those of the feature. */
  properties?: unknown;
  /** Identifier; it does not matter here. */
  id?: unknown;
}

/**
 * What can be added: a Feature, several of them, or a geometry.
 *
 * @category Features API
 */
export type NewFeatures =
  | NewFeature
  | {
    /** What it is. */
    type: "FeatureCollection";
    /** The features. */
    features: readonly NewFeature[];
  }
  | Extract<Geometry, { type: "Polygon" | "MultiPolygon" }>
  | JsonObject;

/**
 * Options of {@linkcode FeaturesAPI.listItems} and {@linkcode FeaturesAPI.listCollections}.
 *
 * @category Features API
 */
export interface ListFeaturesOptions extends ListCallOptions {
  /** Most objects; default 0, which means all. */
  limit?: number | undefined;
  /** Objects in each page, at most 10,000; default: as the API likes, which is 10. */
  pageSize?: number | undefined;
}

/**
 * Options of {@linkcode FeaturesAPI.createCollection}.
 *
 * @category Features API
 */
export interface CreateCollectionOptions extends CallOptions {
  /** What it is about. */
  description?: string | undefined;
}

/**
 * Options of {@linkcode FeaturesAPI.addItems}.
 *
 * @category Features API
 */
export interface AddItemsOptions extends CallOptions {
  /** Name of the property whose value becomes a feature's identifier. */
  propertyId?: string | undefined;
}

function collectionPath(collectionId: string, leaf = ""): string {
  return `/collections/${segment("collectionId", collectionId)}${leaf}`;
}

function itemPath(collectionId: string, featureId: string): string {
  return collectionPath(collectionId, `/items/${segment("featureId", featureId)}`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Checks a geometry that the API takes: nothing but polygons. */
function checkArea(geometry: unknown): void {
  if (!isObject(geometry)) throw new GeoJSONError("Give each feature a geometry: one has none.");
  if (["Polygon", "MultiPolygon"].includes(checkGeometry(geometry).type)) return;
  throw new GeoJSONError(`Give a Polygon or a MultiPolygon: this is a ${geometry.type}.`);
}

/** Checks what is to be added; a bare geometry becomes a Feature. */
function checkFeatures(feature: NewFeatures): JsonObject {
  if (!isObject(feature)) throw new TypeError("feature must be an object.");
  const type = String(feature.type).toLowerCase();
  if (type !== "feature" && type !== "featurecollection") {
    checkArea(feature);
    return { type: "Feature", geometry: feature };
  }
  const all = type === "feature" ? [feature] : (feature as JsonObject).features;
  if (!Array.isArray(all) || all.length === 0) {
    throw new GeoJSONError("Give the FeatureCollection at least one feature: it has none.");
  }
  for (const one of all) checkArea(Object(one).geometry);
  return feature;
}

/** Gives a feature its `ref`. */
function withRef(feature: JsonObject): CollectionFeature {
  return Object.defineProperty(feature, "ref", {
    get() {
      const ref = Object(this.properties)["pl:ref"];
      if (typeof ref === "string") return ref;
      throw new FeatureError("Take a feature of a collection: this one has no reference.");
    },
  }) as CollectionFeature;
}

/**
 * Calls the Features API.
 *
 * @category Features API
 *
 * @example A field that searches can refer to
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const pl = new Planet(Auth.fromEnv());
 * const collection = await pl.features.createCollection("Fields");
 * const [field] = await pl.features.addItems(collection, {
 *   type: "Polygon",
 *   coordinates: [[[13.4, 52.5], [13.5, 52.5], [13.5, 52.6], [13.4, 52.5]]],
 * });
 * for await (const { id } of pl.data.search({ itemTypes: ["PSScene"], geometry: field, limit: 3 })) {
 *   console.log(id);
 * }
 * ```
 */
export class FeaturesAPI {
  readonly #api: Endpoint;

  /** Uses `session`; nothing is sent yet. */
  constructor(session: SessionLike, options?: ClientOptions) {
    this.#api = new Endpoint(session, "/features/v1/ogc/my", options);
  }

  /**
   * The collections of the account.
   *
   * @throws {ClientError} For a wrong option; `ApiError` if the API refuses.
   */
  async *listCollections(options: ListFeaturesOptions = {}): AsyncIterable<Collection> {
    yield* this.#list<Collection>("/collections", "collections", options);
  }

  /**
   * One collection.
   *
   * @throws {MissingResource} If there is no such collection.
   */
  async getCollection(collectionId: string, options: CallOptions = {}): Promise<Collection> {
    return await this.#api.json<Collection>("GET", collectionPath(collectionId), options);
  }

  /**
   * Creates a collection. It is sent once: an error after which it may have been done says how to look.
   *
   * @returns Its identifier.
   * @throws {BadQuery} If the API refuses it.
   */
  async createCollection(title: string, options: CreateCollectionOptions = {}): Promise<string> {
    if (typeof title !== "string") throw new TypeError("title must be a string.");
    const { description } = options;
    const json = description ? { title, description } : { title };
    const { id } = await this.#api.json("POST", "/collections", options, { json });
    if (typeof id === "string") return id;
    throw new ApiError("Report this to Planet: a new collection has no identifier.", 200, "");
  }

  /**
   * Deletes a collection and the features in it.
   *
   * @throws {MissingResource} If there is no such collection.
   */
  async deleteCollection(collectionId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.send("DELETE", collectionPath(collectionId), options);
  }

  /**
   * The features of a collection.
   *
   * @throws {ClientError} For a wrong option; `MissingResource` if there is no such collection.
   */
  async *listItems(
    collectionId: string,
    options: ListFeaturesOptions = {},
  ): AsyncIterable<CollectionFeature> {
    const list = this.#list(collectionPath(collectionId, "/items"), "features", options);
    for await (const feature of list) yield withRef(feature);
  }

  /**
   * One feature.
   *
   * @throws {MissingResource} If there is no such feature.
   */
  async getItem(
    collectionId: string,
    featureId: string,
    options: CallOptions = {},
  ): Promise<CollectionFeature> {
    return withRef(await this.#api.json("GET", itemPath(collectionId, featureId), options));
  }

  /**
   * Deletes a feature.
   *
   * @throws {MissingResource} If there is no such feature.
   */
  async deleteItem(
    collectionId: string,
    featureId: string,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#api.send("DELETE", itemPath(collectionId, featureId), options);
  }

  /**
   * Adds features to a collection. It is sent once: an error after which it may have been done says how to
   * look.
   *
   * @param feature A Feature, a FeatureCollection, or a geometry; of polygons, with at most 1,500 vertices.
   * @returns The references of the new features.
   * @throws {GeoJSONError} If a geometry is malformed, too large or no polygon; `BadQuery` if the API
   *   refuses it.
   */
  async addItems(
    collectionId: string,
    feature: NewFeatures,
    options: AddItemsOptions = {},
  ): Promise<string[]> {
    const path = collectionPath(collectionId, "/items");
    const params = { property_id: options.propertyId || undefined };
    const more = { json: checkFeatures(feature), params };
    const response = await this.#api.send("POST", path, options, more);
    const refs: unknown = await response.json().catch(() => undefined);
    if (Array.isArray(refs) && refs.every((ref) => typeof ref === "string")) return refs;
    throw new ApiError(
      "Look with listItems() before you add them again: the answer has no references.",
      response.status,
      "",
    );
  }

  #list<Kind extends JsonObject>(
    path: string,
    member: string,
    options: ListFeaturesOptions,
  ): AsyncIterable<Kind> {
    const { limit = 0, pageSize } = options;
    if (pageSize !== undefined && wholeNumber("pageSize", pageSize, 1, 1) > 10_000) {
      throw new ClientError("Give pageSize a whole number from 1 to 10000.");
    }
    const params = { limit: pageSize };
    return this.#api.list<Kind>("GET", path, { ...options, limit }, { member, params });
  }
}
