/**
 * The calls of the Data API that Python and we make.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject, Planet } from "../../mod.ts";
import type { Call, CallTable } from "./_calls.ts";

/** An item that there is. */
export const ITEM = "20260101_100000_psscene";
const POINT = { type: "Point", coordinates: [13.4, 52.5] };
/** A geometry. */
export const POLYGON = { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };
/** A Feature of it. */
export const FEATURE = { type: "Feature", properties: { a: 1 }, geometry: POLYGON };
/** A reference to a feature. */
export const REF = "pl:features/my/fields-abc/1";
/** A filter. */
export const FILTER = { type: "RangeFilter", field_name: "cloud_cover", config: { lt: 0.5 } };
/** Identifier of a search. */
export const ID = (number: number) => number.toString(16).padStart(32, "0");
/** Item types. */
export const TYPES = ["PSScene"];

/** The calls, in order: searches that are made get the numbers from 13 on. */
function calls(directory: string): Call[] {
  const request = { item_types: TYPES, search_filter: FILTER, name: "Fields" };
  const area = (geometry: unknown) => ({ ...request, geometry }) as JsonObject;
  const asset = (type: string, item = ITEM) => ["PSScene", item, type];
  const file = (filename: string) => ({ directory, filename });
  return [
    ["list_searches", [], {}],
    ["list_searches", [], { limit: 0 }],
    ["list_searches", [], { limit: 7 }],
    ["list_searches", [], { sort: "created asc" }],
    ["list_searches", [], { sort: "Created Desc", search_type: "saved" }],
    ["list_searches", [], { search_type: "quick", limit: 3 }],
    ["list_searches", [], { search_type: "ANY" }],
    ["list_searches", [], { sort: "name asc" }],
    ["list_searches", [], { search_type: "other" }],
    ["create_search", [], request],
    ["create_search", [], { ...request, enable_email: true }],
    ["create_search", [], area(POINT)],
    ["create_search", [], area(FEATURE)],
    ["create_search", [], area({ type: "FeatureCollection", features: [FEATURE] })],
    ["create_search", [], area(REF)],
    ["create_search", [], area({ type: "ref", content: REF })],
    ["create_search", [], area({ type: "Circle", coordinates: [0, 0] })],
    ["create_search", [], area({ type: "Polygon", coordinates: [[[0, 0], [1, 1]]] })],
    ["create_search", [], area("fields/1")],
    ["get_search", [ID(13)], {}],
    ["get_search", [ID(999)], {}],
    ["update_search", [ID(13)], { ...request, name: "Woods" }],
    ["update_search", [ID(13)], { ...request, enable_email: true, geometry: POINT }],
    ["update_search", [ID(999)], request],
    ["run_search", [ID(13)], {}],
    ["run_search", [ID(13)], { limit: 3, sort: "acquired asc" }],
    ["run_search", [ID(13)], { sort: "published desc", limit: 0 }],
    ["run_search", [ID(13)], { sort: "acquired DESC" }],
    ["run_search", ["mine"], {}],
    ["run_search", [ID(13)], { sort: "name" }],
    ["delete_search", [ID(13)], {}],
    ["delete_search", [ID(13)], {}],
    ["search", [], { item_types: TYPES }],
    ["search", [], { item_types: ["PSScene", "SkySatScene"], limit: 0 }],
    ["search", [], { item_types: TYPES, search_filter: FILTER, limit: 2, name: "Quick" }],
    ["search", [], { item_types: TYPES, sort: "acquired asc", limit: 6 }],
    ["search", [], { item_types: TYPES, geometry: FEATURE, limit: 1 }],
    ["search", [], { item_types: TYPES, geometry: REF, limit: 1 }],
    ["search", [], { item_types: TYPES, sort: "size" }],
    ...["hour", "day", "week", "month", "year", "Month", "second"].map((interval): Call => [
      "get_stats",
      [],
      { item_types: TYPES, search_filter: FILTER, interval },
    ]),
    ["get_item", ["PSScene", ITEM], {}],
    ["get_item", ["PSScene", "none"], {}],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: POLYGON }],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: FEATURE, mode: "UDM2" }],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: REF, mode: "estimate", band: "haze" }],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: "x" }],
    ["list_item_assets", ["PSScene", ITEM], {}],
    ["list_item_assets", ["PSScene", "none"], {}],
    ["get_asset", ["PSScene", ITEM, "ortho_analytic_4b"], {}],
    ["get_asset", ["PSScene", ITEM, "visual"], {}],
    ["activate_asset", [], { asset: asset("ortho_analytic_4b") }],
    ["activate_asset", [], { asset: asset("ortho_analytic_4b") }],
    ["activate_asset", [{}], {}],
    ["activate_asset", [{ status: "inactive" }], {}],
    ["wait_asset", [], { asset: asset("ortho_analytic_4b") }],
    ["wait_asset", [{}], {}],
    ["download_asset", [], { ready: asset("ortho_analytic_4b"), ...file("one.tif") }],
    ["download_asset", [], { ready: asset("ortho_udm2"), directory }],
    ["download_asset", [], { ready: asset("metadata_json"), directory }],
    ["download_asset", [{}], { directory }],
    ["validate_checksum", [join(directory, "one.tif")], { ready: asset("ortho_analytic_4b") }],
    ["validate_checksum", [join(directory, "one.tif")], { ready: asset("ortho_udm2") }],
    ["validate_checksum", [join(directory, "none")], { ready: asset("ortho_udm2") }],
    ["validate_checksum", [{}, join(directory, "one.tif")], {}],
  ];
}

/** The calls of `pl.data`. */
export const DATA_CALLS: CallTable = {
  client: "data",
  base: "/data/v1",
  calls,
  async prepare({ data }: Planet, [, args, options]) {
    const { asset, ready, ...rest } = options;
    const given: unknown[] = [...args];
    if (asset !== undefined) {
      given.unshift(await data.getAsset(...asset as [string, string, string]));
    }
    if (ready !== undefined) {
      const found = await data.getAsset(...ready as [string, string, string]);
      await data.activateAsset(found);
      given.unshift(await data.waitAsset(found, { delayMs: 0 }));
    }
    return [given, rest as JsonObject];
  },
  result: (method, value) =>
    method === "download_asset"
      ? (value as { path: string }).path
      : method === "activate_asset"
      ? null
      : value,
  async check(here, there) {
    assertEquals(await readFile(join(here, "one.tif")), await readFile(join(there, "one.tif")));
  },
  least: 55,
};
