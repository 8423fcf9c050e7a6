import { assertEquals, assertThrows } from "@std/assert";
import { asGeometry } from "../../lib/clients/data_filter.ts";
import { FeatureError, GeoJSONError } from "../../lib/errors.ts";
import { test } from "../_support/harness.ts";

const POINT = { type: "Point", coordinates: [13.4, 52.5] };
const RING = [[0, 0], [1, 0], [1, 1], [0, 0]];
const REF = "pl:features/my/fields-abc/feature-1";

const GOOD: [string, unknown, unknown][] = [
  ["a point", POINT, POINT],
  ["a point with a height", { ...POINT, coordinates: [1, 2, 3] }, {
    ...POINT,
    coordinates: [1, 2, 3],
  }],
  ["a polygon", { type: "Polygon", coordinates: [RING] }, { type: "Polygon", coordinates: [RING] }],
  ["a Feature", { type: "Feature", properties: {}, geometry: POINT }, POINT],
  [
    "a FeatureCollection of one",
    { type: "FeatureCollection", features: [{ geometry: POINT }] },
    POINT,
  ],
  ["a reference as text", REF, { type: "ref", content: REF }],
  ["a reference as an object", { type: "ref", content: REF }, { type: "ref", content: REF }],
];
for (const [what, given, expected] of GOOD) {
  test(`asGeometry() takes ${what}`, () =>
    assertEquals(asGeometry(given as never), expected as never));
}

const BAD: [string, unknown][] = [
  ["an unknown type", { type: "Circle", coordinates: [0, 0] }],
  ["a geometry collection", { type: "GeometryCollection", geometries: [POINT] }],
  ["no type", { coordinates: [0, 0] }],
  ["no coordinates", { type: "Point" }],
  ["text as a coordinate", { type: "Point", coordinates: ["0", 0] }],
  ["NaN", { type: "Point", coordinates: [NaN, 0] }],
  ["one coordinate", { type: "Point", coordinates: [0] }],
  ["coordinates of another depth", { type: "LineString", coordinates: [0, 0] }],
  ["an open ring", { type: "Polygon", coordinates: [RING.slice(0, 3).concat([[5, 5]])] }],
  ["a ring of three", { type: "Polygon", coordinates: [[[0, 0], [1, 1], [0, 0]]] }],
  ["a position of four numbers", { type: "Point", coordinates: [0, 0, 0, 0] }],
  ["a line of one position", { type: "LineString", coordinates: [[0, 0]] }],
  ["lines of which one is none", {
    type: "MultiLineString",
    coordinates: [[[0, 0], [1, 1]], [[0, 0]]],
  }],
  ["a type of every object", { type: "toString", coordinates: [0, 0] }],
  ["a polygon without rings", { type: "MultiPolygon", coordinates: [[]] }],
  ["two features", {
    type: "FeatureCollection",
    features: [{ geometry: POINT }, { geometry: POINT }],
  }],
  ["no feature", { type: "FeatureCollection", features: [] }],
];
for (const [what, given] of BAD) {
  test(`asGeometry() refuses ${what}`, () => {
    assertThrows(() => asGeometry(given as never), GeoJSONError);
  });
}

for (const given of ["", "fields/1", "pl:features/", "pl:features/my", { type: "ref" }]) {
  test(`asGeometry() refuses ${JSON.stringify(given)} as a reference`, () => {
    assertThrows(() => asGeometry(given), FeatureError);
  });
}

test("asGeometry() refuses what is neither text nor an object", () => {
  for (const given of [1, null, [], true]) {
    assertThrows(() => asGeometry(given as never), TypeError);
  }
});

/** A polygon of so many vertices; its last position is the first again. */
function polygon(vertices: number) {
  const ring = Array.from({ length: vertices }, (_, index) => {
    const angle = index / vertices * 2 * Math.PI;
    return [Math.cos(angle), Math.sin(angle)];
  });
  return { type: "Polygon", coordinates: [[...ring, ring[0]!]] };
}

test("asGeometry() takes 1,500 vertices and no more (Planet's limit)", () => {
  assertEquals(asGeometry(polygon(1_500)), polygon(1_500));
  const error = assertThrows(() => asGeometry(polygon(1_501)), GeoJSONError);
  assertEquals(/1501 .*1500/.test(error.message), true, error.message);
  const half = polygon(800).coordinates;
  assertThrows(
    () => asGeometry({ type: "MultiPolygon", coordinates: [half, half] } as never),
    GeoJSONError,
  );
  const many = { type: "MultiPoint", coordinates: Array(1_501).fill([0, 0]) };
  assertThrows(() => asGeometry({ type: "Feature", geometry: many }), GeoJSONError);
});

test("asGeometry() takes a ring that closes to six decimals, as Python does", () => {
  const ring = [[0, 0], [1, 0], [1, 1], [1e-9, 0]];
  assertEquals(asGeometry({ type: "Polygon", coordinates: [ring] }).type, "Polygon");
});
