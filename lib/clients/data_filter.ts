/**
 * What a search asks for: filters and geometries, and `collect()` for what it finds.
 *
 * There from the start, since a filter is made before anything is sent. Geometries are checked for
 * their shape (RFC 7946 §3.1) and for Planet's limit of vertices; whether an area makes sense is for
 * the API to say.
 *
 * @module
 */

import { ClientError, FeatureError, GeoJSONError, type JsonObject } from "../errors.ts";

/**
 * A GeoJSON geometry (RFC 7946 §3.1).
 *
 * @category Data API
 */
export type Geometry =
  | { type: "Point"; coordinates: number[] }
  | { type: "MultiPoint" | "LineString"; coordinates: number[][] }
  | { type: "MultiLineString" | "Polygon"; coordinates: number[][][] }
  | { type: "MultiPolygon"; coordinates: number[][][][] };

/**
 * A geometry, a Feature, a FeatureCollection of one Feature, or a reference to
 * a feature: `pl:features/…`, as text or as `{ type: "ref", content }`.
 *
 * @category Data API
 */
export type GeometryLike = string | JsonObject | {
  /** Type, as GeoJSON has it, or `ref`. */
  readonly type: string;
  /** Coordinates of a geometry. */
  readonly coordinates?: unknown;
  /** Geometry of a Feature. */
  readonly geometry?: unknown;
  /** Features of a FeatureCollection. */
  readonly features?: unknown;
  /** What a reference refers to. */
  readonly content?: unknown;
  /** Properties of a Feature; they do not matter here. */
  readonly properties?: unknown;
  /** Identifier of a Feature; it does not matter here. */
  readonly id?: unknown;
  /** Bounding box; it does not matter here. */
  readonly bbox?: unknown;
};

/**
 * At least one bound; several hold together.
 *
 * @category Data API
 */
export type Bounds<Value> =
  | { gt: Value; gte?: Value; lt?: Value; lte?: Value }
  | { gt?: Value; gte: Value; lt?: Value; lte?: Value }
  | { gt?: Value; gte?: Value; lt: Value; lte?: Value }
  | { gt?: Value; gte?: Value; lt?: Value; lte: Value };

/**
 * Option `relation` of `dataFilter.geometry()`: how an item's footprint relates to an area.
 *
 * @category Data API
 */
export type GeometryRelation = "intersects" | "contains" | "disjoint" | "within";

/**
 * What items must fulfil, as the Data API takes it; {@linkcode dataFilter} makes them.
 *
 * @category Data API
 */
export type SearchFilter =
  | { type: "AndFilter" | "OrFilter"; config: SearchFilter[] }
  | { type: "NotFilter"; config: SearchFilter }
  | { type: "DateRangeFilter" | "UpdateFilter"; field_name: string; config: Bounds<string> }
  | { type: "RangeFilter"; field_name: string; config: Bounds<number> }
  | {
    type: "GeometryFilter";
    field_name: "geometry";
    config: Geometry;
    relation?: GeometryRelation;
  }
  | { type: "NumberInFilter"; field_name: string; config: number[] }
  | { type: "StringInFilter"; field_name: string; config: string[] }
  | { type: "AssetFilter" | "PermissionFilter"; config: string[] };

/**
 * Bounds of a filter that is made; at least one is given.
 *
 * @category Data API
 */
export interface FilterBounds<Value> {
  /** Greater, or later, than this. */
  gt?: Value | undefined;
  /** Greater, or later, than this, or equal to it. */
  gte?: Value | undefined;
  /** Less, or earlier, than this. */
  lt?: Value | undefined;
  /** Less, or earlier, than this, or equal to it. */
  lte?: Value | undefined;
}

/**
 * A time: a `Date`, or text as in RFC 3339; without a zone it is UTC.
 *
 * @category Data API
 */
export type FilterTime = Date | string;

/** How deep the coordinates of each type are nested (RFC 7946 §3.1). */
const DEPTH: Readonly<Record<string, number>> = {
  Point: 0,
  LineString: 1,
  MultiPoint: 1,
  MultiLineString: 2,
  Polygon: 2,
  MultiPolygon: 3,
};

/** Most vertices of a geometry that Planet takes. */
const MOST_VERTICES = 1_500;

const RELATIONS: readonly unknown[] = ["intersects", "contains", "disjoint", "within"];

type Position = number[];

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPosition(value: unknown): value is Position {
  return Array.isArray(value) && (value.length === 2 || value.length === 3) &&
    value.every((number) => typeof number === "number" && Number.isFinite(number));
}

function isNested(value: unknown, depth: number): boolean {
  if (depth === 0) return isPosition(value);
  return Array.isArray(value) && value.every((part) => isNested(part, depth - 1));
}

/** Compares positions to six decimals, as Python does. */
function isSame(one: Position, other: Position): boolean {
  return String(one.map((n) => Math.round(n * 1e6))) ===
    String(other.map((n) => Math.round(n * 1e6)));
}

/** A ring is closed and has at least four positions (RFC 7946 §3.1.6). */
function isRing(ring: Position[]): boolean {
  return ring.length >= 4 && isSame(ring[0]!, ring.at(-1)!);
}

/**
 * Checks a geometry.
 *
 * @throws {GeoJSONError} If it is malformed, or has more vertices than Planet takes.
 */
export function checkGeometry(geometry: JsonObject): Geometry {
  const { coordinates, type } = geometry;
  const depth = typeof type === "string" && Object.hasOwn(DEPTH, type) ? DEPTH[type] : undefined;
  if (depth === undefined) {
    throw new GeoJSONError(`Give a geometry of type ${Object.keys(DEPTH).join(", ")}.`);
  }
  if (!isNested(coordinates, depth)) {
    throw new GeoJSONError(`Check the coordinates: they are not those of a ${type}.`);
  }
  const checked = geometry as Geometry;
  const lines = checked.type === "LineString"
    ? [checked.coordinates]
    : checked.type === "MultiLineString"
    ? checked.coordinates
    : [];
  if (lines.some((line) => line.length < 2)) {
    throw new GeoJSONError("Give each line at least two positions.");
  }
  const polygons = checked.type === "Polygon"
    ? [checked.coordinates]
    : checked.type === "MultiPolygon"
    ? checked.coordinates
    : [];
  if (polygons.some((rings) => rings.length === 0 || !rings.every(isRing))) {
    throw new GeoJSONError(
      "Close each ring of the polygon: it has at least four positions, the last equal to the first.",
    );
  }
  // The last position of a ring is the first vertex again.
  const vertices = depth === 0
    ? 1
    : (checked.coordinates as unknown[]).flat(depth - 1).length - polygons.flat().length;
  if (vertices > MOST_VERTICES) {
    throw new GeoJSONError(
      `Simplify the geometry: it has ${vertices} vertices, and Planet takes at most ${MOST_VERTICES}.`,
    );
  }
  return checked;
}

function reference(text: unknown): JsonObject {
  if (typeof text === "string" && /^pl:features\/[^/]+\/[^/]+/.test(text)) {
    return { type: "ref", content: text };
  }
  throw new FeatureError("Give a reference of the form pl:features/DATASET/COLLECTION-FEATURE.");
}

/**
 * Reads a geometry.
 *
 * @returns A GeoJSON geometry, or `{ type: "ref", content }`.
 * @throws {GeoJSONError} If there is not exactly one geometry, or it is malformed or too large.
 * @throws {FeatureError} If a reference is malformed.
 */
export function asGeometry(given: GeometryLike): JsonObject {
  if (typeof given === "string") return reference(given);
  if (!isObject(given)) throw new TypeError("geometry must be an object or a string.");
  if (String(given.type).toLowerCase() === "ref") return reference(given.content);
  // A feature of a collection stands for itself, as in Python.
  if (Object.getOwnPropertyDescriptor(given, "ref")?.get) return reference(given.ref);
  if (isObject(given.geometry)) return asGeometry(given.geometry);
  if (Array.isArray(given.features)) {
    const [feature, ...others] = given.features;
    if (!isObject(feature) || others.length > 0) {
      throw new GeoJSONError("Give a FeatureCollection of exactly one Feature.");
    }
    return asGeometry(feature);
  }
  return checkGeometry(given);
}

function checkField(name: unknown): string {
  if (typeof name !== "string") throw new TypeError("fieldName must be a string.");
  if (name === "") throw new ClientError('Give fieldName a property, such as "cloud_cover".');
  return name;
}

function checkList<Kind>(name: string, values: unknown, kind: "string" | "number"): Kind[] {
  if (!Array.isArray(values) || values.some((value) => typeof value !== kind)) {
    throw new TypeError(`${name} must be an array of ${kind}s.`);
  }
  return [...values];
}

function checkFilter(filter: unknown): SearchFilter {
  if (isObject(filter) && typeof filter.type === "string") return filter as SearchFilter;
  throw new TypeError("A filter must be an object with a type.");
}

function checkFilters(filters: unknown): SearchFilter[] {
  if (!Array.isArray(filters)) throw new TypeError("filters must be an array.");
  return filters.map(checkFilter);
}

function number(value: unknown): number {
  if (typeof value !== "number") throw new TypeError("A bound must be a number.");
  if (Number.isFinite(value)) return value;
  throw new ClientError(`Give a bound that is a number: ${value} is none.`);
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$/;

/** Writes a time as Python does: no fraction or one of six digits. */
function time(value: unknown): string {
  if (!(value instanceof Date) && typeof value !== "string") {
    throw new TypeError("A bound must be a Date or a string.");
  }
  if (value instanceof Date && !Number.isNaN(value.getTime())) {
    return value.toISOString().replace(/\.(\d{3})Z$/, (_, ms) => ms === "000" ? "Z" : `.${ms}000Z`);
  }
  const text = String(value);
  const [, , zone] = RFC3339.exec(text) ?? [];
  if (!RFC3339.test(text) || Number.isNaN(Date.parse(zone ? text : `${text}Z`))) {
    throw new ClientError('Give a bound that is a time, such as "2026-01-31T00:00:00Z".');
  }
  return zone ? text : `${text}Z`;
}

function ranged(
  type: "DateRangeFilter" | "RangeFilter" | "UpdateFilter",
  fieldName: string,
  bounds: FilterBounds<unknown>,
  write: (value: unknown) => string | number,
): SearchFilter {
  if (!isObject(bounds)) throw new TypeError("bounds must be an object.");
  const config: JsonObject = {};
  for (const name of ["gt", "lt", "gte", "lte"] as const) {
    const value = bounds[name];
    if (value !== undefined && value !== null) config[name] = write(value);
  }
  if (Object.keys(config).length === 0) {
    throw new ClientError("Give at least one of gt, gte, lt, lte.");
  }
  return { type, field_name: checkField(fieldName), config } as JsonObject as SearchFilter;
}

/**
 * Makes the filters of the Data API; see {@linkcode dataFilter}.
 *
 * @category Data API
 */
export interface DataFilter {
  /** Items that fulfil all of `filters`. */
  and(filters: readonly SearchFilter[]): SearchFilter;
  /** Items that fulfil at least one of `filters`. */
  or(filters: readonly SearchFilter[]): SearchFilter;
  /** Items that do not fulfil `filter`. */
  not(filter: SearchFilter): SearchFilter;
  /** Items whose time `fieldName`, such as `acquired`, is within bounds. */
  dateRange(fieldName: string, bounds: FilterBounds<FilterTime>): SearchFilter;
  /** Items whose number `fieldName`, such as `cloud_cover`, is within bounds. */
  range(fieldName: string, bounds: FilterBounds<number>): SearchFilter;
  /** Items whose `fieldName`, such as `ground_control`, changed within bounds by a new publication. */
  update(fieldName: string, bounds: FilterBounds<FilterTime>): SearchFilter;
  /**
   * Items whose footprint relates to an area: a geometry, a Feature or a FeatureCollection of one.
   * `relation` is `intersects` if nothing is said.
   */
  geometry(
    geometry: GeometryLike,
    options?: {
      /** How footprint and area relate. */
      relation?: GeometryRelation | undefined;
    },
  ): SearchFilter;
  /** Items whose number `fieldName`, such as `gsd`, is one of `values`. */
  numberIn(fieldName: string, values: readonly number[]): SearchFilter;
  /** Items whose `fieldName`, such as `instrument`, is one of `values`. */
  stringIn(fieldName: string, values: readonly string[]): SearchFilter;
  /** Items that have at least one of `assetTypes`. */
  asset(assetTypes: readonly string[]): SearchFilter;
  /** Items whose assets the account may download. */
  permission(): SearchFilter;
  /** Items of standard quality. */
  stdQuality(): SearchFilter;
  /** All items. */
  empty(): SearchFilter;
}

/**
 * Makes the filters of the Data API, as Python's `data_filter` does. Unlike there, `update()` keeps
 * `lt` and `lte`, and what is no number, time, list or filter is refused.
 *
 * @category Data API
 *
 * @example Clear sky over a field, this year
 * ```ts
 * import { Auth, dataFilter, Planet } from "@planet-community/planet";
 *
 * const field = { type: "Point", coordinates: [13.4, 52.5] };
 * const searchFilter = dataFilter.and([
 *   dataFilter.geometry(field),
 *   dataFilter.dateRange("acquired", { gte: "2026-01-01T00:00:00Z" }),
 *   dataFilter.range("cloud_cover", { lt: 0.1 }),
 *   dataFilter.permission(),
 * ]);
 * const { data } = new Planet(Auth.fromEnv());
 * for await (const item of data.search({ itemTypes: ["PSScene"], searchFilter, limit: 3 })) {
 *   console.log(item.id, item.properties.acquired);
 * }
 * ```
 */
export const dataFilter: DataFilter = {
  and: (filters) => ({ type: "AndFilter", config: checkFilters(filters) }),
  or: (filters) => ({ type: "OrFilter", config: checkFilters(filters) }),
  not: (filter) => ({ type: "NotFilter", config: checkFilter(filter) }),
  dateRange: (fieldName, bounds) => ranged("DateRangeFilter", fieldName, bounds, time),
  range: (fieldName, bounds) => ranged("RangeFilter", fieldName, bounds, number),
  update: (fieldName, bounds) => ranged("UpdateFilter", fieldName, bounds, time),
  geometry(geometry, options = {}) {
    if (!isObject(options)) throw new TypeError("options must be an object.");
    const { relation } = options;
    const config = asGeometry(geometry);
    if (config.type === "ref") {
      throw new GeoJSONError("Give a geometry: a filter takes no reference; search() does.");
    }
    if (relation !== undefined && !RELATIONS.includes(relation)) {
      throw new ClientError(`Give relation one of "${RELATIONS.join('", "')}".`);
    }
    return {
      type: "GeometryFilter",
      field_name: "geometry",
      config: config as Geometry,
      ...(relation === undefined ? {} : { relation }),
    };
  },
  numberIn: (fieldName, values) => ({
    type: "NumberInFilter",
    field_name: checkField(fieldName),
    config: checkList<number>("values", values, "number").map(number),
  }),
  stringIn: (fieldName, values) => ({
    type: "StringInFilter",
    field_name: checkField(fieldName),
    config: checkList("values", values, "string"),
  }),
  asset: (assetTypes) => ({
    type: "AssetFilter",
    config: checkList("assetTypes", assetTypes, "string"),
  }),
  permission: () => ({ type: "PermissionFilter", config: ["assets:download"] }),
  stdQuality: () => dataFilter.stringIn("quality_category", ["standard"]),
  empty: () => ({ type: "AndFilter", config: [] }),
};

/**
 * A GeoJSON Feature (RFC 7946 §3.2).
 *
 * @category Data API
 */
export interface FeatureLike {
  /** What it is. */
  type: "Feature";
  /** Where it is. */
  geometry: unknown;
  /** What is known of it. */
  properties: unknown;
}

/**
 * Features in one GeoJSON object (RFC 7946 §3.3).
 *
 * @category Data API
 */
export interface FeatureCollection<Kind> {
  /** What it is. */
  type: "FeatureCollection";
  /** The features. */
  features: Kind[];
}

function isFeature(value: unknown): boolean {
  return isObject(value) && value.type === "Feature" && "geometry" in value &&
    "properties" in value;
}

/**
 * Gathers a list: a FeatureCollection if all of it are Features, as the items of a search are, else an
 * array. An empty list is a FeatureCollection, as in Python.
 *
 * @category Call APIs
 */
export function collect<Kind extends FeatureLike>(
  list: AsyncIterable<Kind> | Iterable<Kind>,
): Promise<FeatureCollection<Kind>>;
/** Gathers a list that may hold more than Features. */
export function collect<Kind>(
  list: AsyncIterable<Kind> | Iterable<Kind>,
): Promise<Kind[] | FeatureCollection<Kind>>;
/** Gathers a list; the signatures above tell what of. */
export async function collect<Kind>(
  list: AsyncIterable<Kind> | Iterable<Kind>,
): Promise<Kind[] | FeatureCollection<Kind>> {
  const all: Kind[] = [];
  for await (const one of list) all.push(one);
  return all.every(isFeature) ? { type: "FeatureCollection", features: all } : all;
}
