/**
 * Reads a geometry from what GeoJSON or Planet's Features API offer, and checks it.
 *
 * Checks the shape only (RFC 7946 §3.1); whether an area makes sense is for the API to say.
 *
 * @module
 */

import { FeatureError, GeoJSONError } from "../errors.ts";
import type { JsonObject, JsonValue } from "../storage/objects.ts";

/**
 * A geometry, a Feature, a FeatureCollection of one Feature, or a reference to
 * a feature: `pl:features/…`, as text or as `{ type: "ref", content }`.
 */
export type GeometryLike = string | JsonObject;

/** How deep the coordinates of each type are nested (RFC 7946 §3.1). */
const DEPTH: Readonly<Record<string, number>> = {
  Point: 0,
  LineString: 1,
  MultiPoint: 1,
  MultiLineString: 2,
  Polygon: 2,
  MultiPolygon: 3,
};

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPosition(value: unknown): boolean {
  return Array.isArray(value) && value.length >= 2 && value.length <= 4 &&
    value.every((number) => typeof number === "number" && Number.isFinite(number));
}

function isNested(value: unknown, depth: number): boolean {
  if (depth === 0) return isPosition(value);
  return Array.isArray(value) && value.every((part) => isNested(part, depth - 1));
}

/** A ring is closed and has at least four positions (RFC 7946 §3.1.6). */
function isRing(ring: JsonValue[]): boolean {
  return ring.length >= 4 && JSON.stringify(ring[0]) === JSON.stringify(ring.at(-1));
}

function checkGeometry(geometry: JsonObject): JsonObject {
  const { coordinates, type } = geometry;
  const depth = typeof type === "string" ? DEPTH[type] : undefined;
  if (depth === undefined) {
    throw new GeoJSONError(`Give a geometry of type ${Object.keys(DEPTH).join(", ")}.`);
  }
  if (!isNested(coordinates, depth)) {
    throw new GeoJSONError(`Check the coordinates: they are not those of a ${type}.`);
  }
  const polygons =
    (type === "Polygon"
      ? [coordinates]
      : type === "MultiPolygon"
      ? coordinates
      : []) as JsonValue[][][];
  if (polygons.some((rings) => rings.length === 0 || !rings.every(isRing))) {
    throw new GeoJSONError(
      "Close each ring of the polygon: it has at least four positions, the last equal to the first.",
    );
  }
  return geometry;
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
 * @throws {GeoJSONError} Where there is not exactly one geometry, or it is malformed.
 * @throws {FeatureError} Where a reference is malformed.
 */
export function asGeometry(given: GeometryLike): JsonObject {
  if (typeof given === "string") return reference(given);
  if (!isObject(given)) throw new TypeError("geometry must be an object or a string.");
  if (String(given.type).toLowerCase() === "ref") return reference(given.content);
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
