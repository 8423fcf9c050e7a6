/**
 * `dataFilter` and `collect()`: what they make and what they refuse, by value and by type.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import {
  type Asset,
  ClientError,
  collect,
  type DataAPI,
  dataFilter,
  GeoJSONError,
  type Item,
  type Search,
  type SearchFilter,
} from "../../mod.ts";
import { test } from "../_support/harness.ts";

const POINT = { type: "Point", coordinates: [13.4, 52.5] };

const MADE: [SearchFilter, unknown][] = [
  [dataFilter.empty(), { type: "AndFilter", config: [] }],
  [dataFilter.and([dataFilter.permission()]), {
    type: "AndFilter",
    config: [{ type: "PermissionFilter", config: ["assets:download"] }],
  }],
  [dataFilter.or([]), { type: "OrFilter", config: [] }],
  [dataFilter.not(dataFilter.stdQuality()), {
    type: "NotFilter",
    config: { type: "StringInFilter", field_name: "quality_category", config: ["standard"] },
  }],
  [dataFilter.range("cloud_cover", { gte: 0, lt: 0 }), {
    type: "RangeFilter",
    field_name: "cloud_cover",
    config: { gte: 0, lt: 0 },
  }],
  [dataFilter.dateRange("acquired", { gt: new Date(0), lte: "2026-01-31T00:00:00" }), {
    type: "DateRangeFilter",
    field_name: "acquired",
    config: { gt: "1970-01-01T00:00:00Z", lte: "2026-01-31T00:00:00Z" },
  }],
  [dataFilter.update("ground_control", { lt: new Date(5), gt: undefined }), {
    type: "UpdateFilter",
    field_name: "ground_control",
    config: { lt: "1970-01-01T00:00:00.005000Z" },
  }],
  [dataFilter.geometry({ type: "Feature", properties: {}, geometry: POINT }), {
    type: "GeometryFilter",
    field_name: "geometry",
    config: POINT,
  }],
  [dataFilter.geometry(POINT, { relation: "within" }), {
    type: "GeometryFilter",
    field_name: "geometry",
    config: POINT,
    relation: "within",
  }],
  [dataFilter.numberIn("gsd", [3, 0]), {
    type: "NumberInFilter",
    field_name: "gsd",
    config: [3, 0],
  }],
  [dataFilter.asset(["ortho_analytic_4b"]), {
    type: "AssetFilter",
    config: ["ortho_analytic_4b"],
  }],
];
for (const [filter, expected] of MADE) {
  test(`dataFilter makes ${JSON.stringify(expected)}`, () => {
    assertEquals(JSON.parse(JSON.stringify(filter)), expected);
  });
}

/** What does not compile; the values are refused where that matters. */
const WRONG: [string, () => unknown, new (...args: never[]) => Error][] = [
  ["no bounds", () => dataFilter.range("a", {}), ClientError],
  ["bounds of nothing", () => dataFilter.dateRange("a", { gt: undefined }), ClientError],
  // @ts-expect-error: a number is no time.
  ["a number as a time", () => dataFilter.dateRange("a", { gt: 5 }), TypeError],
  // @ts-expect-error: a time is no number.
  ["a time as a number", () => dataFilter.range("a", { gt: new Date() }), TypeError],
  ["NaN", () => dataFilter.range("a", { gt: NaN }), ClientError],
  ["a time that is none", () => dataFilter.update("a", { gt: new Date(NaN) }), ClientError],
  ["a day", () => dataFilter.update("a", { gt: "2026-01-31" }), ClientError],
  [
    "a month that is none",
    () => dataFilter.update("a", { gt: "2026-13-01T00:00:00Z" }),
    ClientError,
  ],
  ["no name", () => dataFilter.range("", { gt: 1 }), ClientError],
  // @ts-expect-error: one filter is no list.
  ["a filter as a list", () => dataFilter.and(dataFilter.empty()), TypeError],
  // @ts-expect-error: text is no filter.
  ["text as a filter", () => dataFilter.not("AndFilter"), TypeError],
  // @ts-expect-error: there is no such relation.
  ["a relation", () => dataFilter.geometry(POINT, { relation: "touches" }), ClientError],
  // @ts-expect-error: options are an object.
  ["a relation by place", () => dataFilter.geometry(POINT, "within"), TypeError],
  ["a reference", () => dataFilter.geometry("pl:features/a/b"), GeoJSONError],
  // @ts-expect-error: texts are no numbers.
  ["texts as numbers", () => dataFilter.numberIn("a", ["1"]), TypeError],
  ["an endless number", () => dataFilter.numberIn("a", [Infinity]), ClientError],
  // @ts-expect-error: one text is no list.
  ["text as a list", () => dataFilter.asset("visual"), TypeError],
];
for (const [what, call, Class] of WRONG) {
  test(`dataFilter refuses ${what}`, () => {
    assertThrows(call, Class as ErrorConstructor);
  });
}

test("filters that are wrong do not compile", () => {
  const filters: SearchFilter[] = [
    { type: "RangeFilter", field_name: "cloud_cover", config: { lt: 0.1 } },
    // @ts-expect-error: no such filter.
    { type: "RangeFilters", field_name: "cloud_cover", config: { lt: 0.1 } },
    // @ts-expect-error: no bound.
    { type: "RangeFilter", field_name: "cloud_cover", config: {} },
    // @ts-expect-error: no such bound.
    { type: "RangeFilter", field_name: "cloud_cover", config: { less: 0.1 } },
    // @ts-expect-error: a number is no time.
    { type: "DateRangeFilter", field_name: "acquired", config: { lt: 0.1 } },
    // @ts-expect-error: no name.
    { type: "StringInFilter", config: ["a"] },
    // @ts-expect-error: a list, where one filter belongs.
    { type: "NotFilter", config: [] },
  ];
  assertEquals(filters.length, 7);
});

test("items, assets and searches have types", () => {
  const uses = {
    item: ({ geometry, id, properties: { acquired, cloud_cover } }: Item) => {
      const texts: string[] = [id, acquired];
      const cover: number | undefined = cloud_cover;
      return [texts, cover, geometry.type === "Point" ? geometry.coordinates[0]! + 1 : 0];
    },
    asset: ({ _links: { _self }, location, md5_digest, status }: Asset) => {
      const state: "inactive" | "activating" | "active" = status;
      const texts: (string | null | undefined)[] = [_self, location, md5_digest];
      return [state, texts];
    },
    search: ({ filter, item_types, name }: Search) =>
      [filter, item_types, name] satisfies [SearchFilter, string[], string],
    collected: async (data: DataAPI) => {
      const { features } = await collect(data.search({ itemTypes: ["PSScene"] }));
      return features.map(({ properties: { acquired } }) => acquired.length);
    },
    // @ts-expect-error: there is no such interval.
    stats: { interval: "second" } satisfies Pick<Parameters<DataAPI["getStats"]>[0], "interval">,
  };
  assertEquals(Object.keys(uses).length, 5);
});

async function* listed<T>(...values: T[]): AsyncGenerator<T> {
  yield* values;
}

test("collect() gathers Features into a FeatureCollection, and anything else into an array", async () => {
  const feature = { type: "Feature" as const, geometry: POINT, properties: {} };
  assertEquals(await collect(listed(feature, feature)), {
    type: "FeatureCollection",
    features: [feature, feature],
  });
  assertEquals(await collect([feature]), { type: "FeatureCollection", features: [feature] });
  assertEquals(await collect(listed<unknown>(feature, { id: "1" })), [feature, { id: "1" }]);
  assertEquals(await collect(listed({ name: "a" })), [{ name: "a" }]);
  assertEquals(await collect(listed()), { type: "FeatureCollection", features: [] });
});
