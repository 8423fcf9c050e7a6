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
