/**
 * The calls of the smaller APIs that Python and we make: subscriptions, features, destinations, basemaps,
 * quota.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject, Planet } from "../../mod.ts";
import type { Call, CallTable } from "./_calls.ts";
import { FEATURE, FILTER, POLYGON } from "./_data_calls.ts";

const ID = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
const REF = "pl:features/my/fields-abc/field-1";
const SINCE = "2026-01-01T00:00:00Z/..";

/** What a builder of Python's makes. */
const by = (name: string, args: unknown[], options: JsonObject = {}) =>
  ({ $: `subscription_request.${name}`, args, options }) as JsonObject;

const SOURCE = {
  parameters: {
    item_types: ["PSScene"],
    asset_types: ["ortho_analytic_4b"],
    geometry: POLYGON,
    start_time: "2026-01-01T00:00:00Z",
    filter: FILTER,
    publishing_stages: ["standard"],
  },
};
const REQUEST = { name: "Fields", source: SOURCE } as unknown as JsonObject;

/** A subscription as we write it, and as Python's builders make it. */
const subscription = (ours: JsonObject, theirs: JsonObject): Call => [
  "create_subscription",
  [{ ...REQUEST, ...ours }],
  {},
  { args: [by("build_request", ["Fields", SOURCE], theirs)] },
];

/** A delivery in both. */
const delivery = (type: string, parameters: JsonObject): Call =>
  subscription({ delivery: { type, parameters } }, { delivery: by(type, [], parameters) });

const S3 = { aws_access_key_id: "k", aws_secret_access_key: "s", bucket: "b", aws_region: "r" };
const GOOGLE = { bucket: "b", credentials: "key" };
const AZURE = { account: "a", container: "c", sas_token: "t" };
const ORACLE = {
  customer_access_key_id: "k",
  customer_secret_key: "s",
  bucket: "b",
  region: "r",
  namespace: "n",
};
const OTHER = { bucket: "b", region: "r", access_key_id: "k", secret_access_key: "s" };
const S3_LIKE = { endpoint: "https://s3.example", ...OTHER, use_path_style: true };

const SUBSCRIPTIONS: CallTable = {
  client: "subscriptions",
  base: "/subscriptions/v1",
  least: 45,
  calls: () => [
    ["list_subscriptions", [], {}],
    ["list_subscriptions", [], { limit: 0, page_size: 2 }],
    ["list_subscriptions", [], { limit: 3, page_size: 2 }],
    ["list_subscriptions", [], { status: ["running", "preparing"] }],
    ["list_subscriptions", [], { name: "Field 1", hosting: false }],
    ["list_subscriptions", [], { name__contains: "Field", sort_by: "name DESC", hosting: true }],
    ["list_subscriptions", [], { created: SINCE, updated: SINCE, start_time: SINCE }],
    ["list_subscriptions", [], { end_time: SINCE, source_type: "catalog", user_id: "all" }],
    ["list_subscriptions", [], { destination_ref: "pl:destinations/a", geom_ref: REF }],
    ["create_subscription", [REQUEST], {}],
    [
      "create_subscription",
      [{ ...REQUEST, source: { parameters: { id: "SWC", geometry: REF } } }],
      {},
      {
        args: [{
          ...REQUEST,
          source: { parameters: { id: "SWC", geometry: { type: "ref", content: REF } } },
        }],
      },
    ],
    delivery("amazon_s3", { ...S3, path_prefix: "p" }),
    delivery("azure_blob_storage", { ...AZURE, storage_endpoint_suffix: "x" }),
    delivery("google_cloud_storage", GOOGLE),
    delivery("google_earth_engine", { project: "p", collection: "c", credentials: "key" }),
    delivery("oracle_cloud_storage", ORACLE),
    delivery("s3_compatible", S3_LIKE),
    subscription({ delivery: { type: "destination", parameters: { ref: "pl:destinations/a" } } }, {
      delivery: by("destination", ["pl:destinations/a"]),
    }),
    subscription(
      { delivery: { type: "destination", parameters: { ref: "pl:destinations/default" } } },
      { delivery: by("default_destination", []) },
    ),
    subscription({
      tools: [
        { type: "harmonize", parameters: { target_sensor: "Sentinel-2" } },
        { type: "toar", parameters: { scale_factor: 10_000 } },
        { type: "clip", parameters: {} },
        { type: "reproject", parameters: { projection: "EPSG:4326", kernel: "near" } },
        { type: "bandmath", parameters: { b1: "b1 + 1", pixel_type: "16U" } },
        { type: "cloud_filter", parameters: { clear_percent: { gte: 90 } } },
        { type: "file_format", parameters: { format: "COG" } },
      ],
    }, {
      clip_to_source: true,
      tools: [
        by("harmonize_tool", ["Sentinel-2"]),
        by("toar_tool", []),
        by("reproject_tool", ["EPSG:4326"]),
        by("band_math_tool", ["b1 + 1"], { pixel_type: "16U" }),
        by("cloud_filter_tool", [by("FilterValue", [90])]),
        by("file_format_tool", ["COG"]),
      ],
    }),
    subscription({
      notifications: { webhook: { url: "https://x.example", topics: ["delivery.success"] } },
      hosting: { type: "sentinel_hub", parameters: { collection_id: ID(7) } },
    }, {
      notifications: by("notifications", ["https://x.example", ["delivery.success"]]),
      hosting: by("sentinel_hub", [ID(7)]),
    }),
    ["create_subscription", [{ name: "n", source: {} }], {}],
    ["bulk_create_subscriptions", [[REQUEST]], {}],
    ["get_subscription", [ID(1)], {}],
    ["get_subscription", [ID(999)], {}],
    ["update_subscription", [ID(2), { ...REQUEST, name: "New" }], {}],
    ["update_subscription", [ID(999), REQUEST], {}],
    ["patch_subscription", [ID(2), { name: "Newer" }], {}],
    ["suspend_subscription", [ID(2)], {}],
    ["suspend_subscription", [ID(3)], { details: "why" }],
    ["reactivate_subscription", [ID(2)], {}],
    ["cancel_subscription", [ID(2)], {}],
    ["cancel_subscription", [ID(999)], {}],
    ["bulk_suspend_subscriptions", [], { subscription_ids: [ID(1), ID(3)] }],
    ["bulk_suspend_subscriptions", [], { subscription_ids: [ID(1)], details: "why" }],
    ["bulk_suspend_subscriptions", [], { all_subscriptions: true, details: "why" }],
    ["bulk_suspend_subscriptions", [], { subscription_ids: [ID(1)], all_subscriptions: true }],
    // Python's words for all of one's own are none; ours must be said.
    ["bulk_suspend_subscriptions", [], { all: true }, { options: {} }],
    ["bulk_reactivate_subscriptions", [], { subscription_ids: [ID(1)] }],
    ["bulk_reactivate_subscriptions", [], { all_subscriptions: true }],
    ["bulk_reactivate_subscriptions", [], { all: true }, { options: {} }],
    ["get_results", [ID(1)], {}],
    ["get_results", [ID(1)], { limit: 7 }],
    ["get_results", [ID(1)], { limit: 0, status: ["failed", "success"] }],
    ["get_results", [ID(1)], { created: SINCE, updated: SINCE }],
    ["get_results", [ID(1)], { completed: SINCE, item_datetime: SINCE }],
    ["get_results", [ID(999)], {}],
    ["get_results_csv", [ID(1)], {}],
    ["get_results_csv", [ID(1)], { status: ["failed", "success"], created: SINCE }],
    ["get_results_csv", [ID(1)], { completed: SINCE, updated: SINCE, item_datetime: SINCE }],
    ["get_summary", [], {}],
    ["get_subscription_summary", [ID(1)], {}],
    ["get_subscription_summary", [ID(999)], {}],
  ],
};

const FEATURES: CallTable = {
  client: "features",
  base: "/features/v1/ogc/my",
  least: 19,
  calls: () => [
    ["list_collections", [], {}],
    ["create_collection", ["Woods"], { description: "of 2026" }],
    ["create_collection", ["Lakes"], {}],
    ["list_collections", [], { limit: 2 }],
    ["get_collection", ["fields-abc"], {}],
    ["get_collection", ["none"], {}],
    ["add_items", ["fields-abc", POLYGON], {}],
    ["add_items", ["fields-abc", FEATURE], {}],
    ["add_items", ["fields-abc", FEATURE], { property_id: "a" }],
    ["add_items", ["fields-abc", {
      type: "FeatureCollection",
      features: Array(9).fill(FEATURE),
    }], {}],
    ["add_items", ["none", FEATURE], {}],
    ["list_items", ["fields-abc"], { limit: 3 }],
    ["list_items", ["fields-abc"], { limit: 0 }],
    ["list_items", ["none"], { limit: 0 }],
    ["get_item", ["fields-abc", "feature-1"], {}],
    ["get_item", ["fields-abc", "none"], {}],
    ["delete_item", ["fields-abc", "feature-1"], {}],
    ["delete_item", ["fields-abc", "feature-1"], {}],
    ["delete_item", ["fields-abc", ""], {}],
    ["delete_collection", ["fields-abc"], {}],
    ["delete_collection", ["fields-abc"], {}],
    ["delete_collection", [""], {}],
  ],
};

const destination = (type: string, parameters: JsonObject): Call => [
  "create_destination",
  [{ name: "images", type, parameters }],
  {},
];

const DESTINATIONS: CallTable = {
  client: "destinations",
  base: "/destinations/v1",
  least: 21,
  calls: () => [
    ["list_destinations", [], {}],
    destination("amazon_s3", { ...S3, explicit_sse: true }),
    destination("azure_blob_storage", AZURE),
    destination("google_cloud_storage", GOOGLE),
    destination("oracle_cloud_storage", ORACLE),
    destination("s3_compatible", S3_LIKE),
    ["create_destination", [{ name: "x" }], {}],
    ["list_destinations", [], { archived: true, is_owner: true }],
    ["list_destinations", [], { can_write: false, is_default: true }],
    ["get_destination", ["images-1"], {}],
    ["get_destination", ["none"], {}],
    ["patch_destination", ["images-1", { name: "pictures" }], {}],
    ["patch_destination", ["images-1", { parameters: { aws_access_key_id: "x" } }], {}],
    ["patch_destination", ["images-2", { archive: true }], {}],
    ["patch_destination", ["none", { archive: true }], {}],
    ["get_default_destination", [], {}],
    ["set_default_destination", ["images-1"], {}],
    ["set_default_destination", ["none"], {}],
    ["get_default_destination", [], {}],
    ["unset_default_destination", [], {}],
    ["list_destinations", [], {}],
  ],
};

const BOX = [13.2, 52.2, 14.2, 53.2];
const AREA = { type: "Polygon", coordinates: [[[13, 52], [14.1, 52], [14.1, 53.1], [13, 52]]] };
const NAME = "global_monthly_2026_01_mosaic";

const MOSAICS: CallTable = {
  client: "mosaics",
  base: "/basemaps/v1",
  least: 32,
  calls: (directory) => [
    ["get_mosaic", [ID(1)], {}],
    ["get_mosaic", [NAME], {}],
    ["get_mosaic", [ID(999)], {}],
    ["get_mosaic", ["none"], {}],
    ["get_series", [ID(900)], {}],
    ["get_series", ["global_monthly"], {}],
    ["get_series", ["none"], {}],
    ["list_series", [], {}],
    ["list_series", [], { name_contains: "global", interval: "1 mon" }],
    ["list_mosaics", [], {}],
    ["list_mosaics", [], { name_contains: "2026_02", acquired_gt: "2026-01-01T00:00:00Z" }],
    ["list_mosaics", [], { acquired_lt: "2027-01-01T00:00:00Z" }],
    ["list_series_mosaics", [ID(900)], {}],
    ["list_series_mosaics", ["global_monthly"], { latest: true }],
    ["list_series_mosaics", ["global_monthly"], { acquired_gt: "2026-01-01T00:00:00Z" }],
    ["list_series_mosaics", ["none"], {}],
    ["list_quads", [ID(1)], {}],
    ["list_quads", [ID(1)], { bbox: BOX }],
    ["list_quads", [NAME], { bbox: BOX, minimal: true }],
    ["list_quads", [ID(1)], { geometry: AREA }],
    ["list_quads", [ID(1)], { geometry: AREA, minimal: true }],
    ["list_quads", [ID(1)], { full_extent: true }],
    ["list_quads", [ID(1)], { full_extent: true, minimal: true }],
    ["list_quads", [], { first: ["get_mosaic", ID(1)], bbox: [13, 52, 13, 52] }],
    ["summarize_quads", [ID(1)], {}],
    ["summarize_quads", [NAME], { bbox: BOX }],
    ["summarize_quads", [ID(1)], { geometry: AREA }],
    ["get_quad", [ID(1), "13-52"], {}],
    ["get_quad", [NAME, "none"], {}],
    ["get_quad_contributions", [], { first: ["get_quad", ID(1), "13-52"] }],
    ["download_quad", [], { first: ["get_quad", ID(1), "13-52"], directory }],
    ["download_quad", [], { first: ["get_quad", ID(1), "13-52"], directory }],
    ["download_quads", [ID(1)], { bbox: BOX, directory }],
    ["download_quads", [NAME], { geometry: AREA, directory }],
    ["download_quads", [ID(1)], { directory }],
  ],
  async prepare(pl: Planet, [, args, { first, ...options }]) {
    if (first === undefined) return [[...args], options];
    const [method, ...given] = first as [string, ...string[]];
    const [one = "", two = ""] = given;
    const found = method === "get_quad"
      ? await pl.mosaics.getQuad(one, two)
      : await pl.mosaics.getMosaic(one);
    return [[found, ...args], options];
  },
  result: (method, value) => method.startsWith("download_") ? null : value,
  async check(here, there) {
    const names = (await readdir(here)).filter((name) => /^\d+-\d+\.tif$/.test(name)).sort();
    assertEquals(names, ["13-52.tif", "13-53.tif", "14-52.tif", "14-53.tif"]);
    for (const name of names) {
      assertEquals(await readFile(join(here, name)), await readFile(join(there, name)), name);
    }
  },
};

const RESERVED = { aoi_refs: [REF], product_id: 1 };
const QUOTA: CallTable = {
  client: "quota",
  base: "/account/v1",
  least: 18,
  calls: () => [
    ["list_reservations", [], {}],
    ["list_reservations", [], { limit: 5, page_size: 2 }],
    ["list_reservations", [], { limit: 0, sort: "-id", fields: "id,state" }],
    ["list_reservations", [], { filters: { product_id: 1, id__in: "1,2", state__isnull: false } }],
    ["get_reservation", [1], {}],
    ["get_reservation", [999], {}],
    ["create_reservation", [], RESERVED],
    ["create_reservation", [], { ...RESERVED, collection_id: "c" }],
    ["create_reservation", [], { aoi_refs: [REF, "pl:features/my/fields-abc"], product_id: 2 }],
    ["bulk_create_reservations", [], RESERVED],
    ["bulk_create_reservations", [], { ...RESERVED, collection_id: "c" }],
    ["estimate_reservation", [], RESERVED],
    ["estimate_reservation", [], { ...RESERVED, collection_id: "c" }],
    ["list_jobs", [], {}],
    ["list_jobs", [], { limit: 1, sort: "id", fields: "id", filters: { status: "COMPLETE" } }],
    ["get_job", ["job-1"], {}],
    ["get_job", ["none"], {}],
    ["get_job", [""], {}],
    ["list_products", [], {}],
    ["list_products", [], { supports_reservation: true, limit: 1 }],
    ["list_products", [], { supports_reservation: false, page_size: 1 }],
  ],
};

/** The tables. */
export const MORE_CALLS: readonly CallTable[] = [
  SUBSCRIPTIONS,
  FEATURES,
  DESTINATIONS,
  MOSAICS,
  QUOTA,
];
