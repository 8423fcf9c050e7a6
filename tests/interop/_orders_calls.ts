/**
 * The calls of the Orders API that Python and we make: our requests are literals, Python's those of its
 * builders.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DownloadedFile, JsonObject, OrderRequest, Planet } from "../../mod.ts";
import type { Call, CallTable } from "./_calls.ts";
import { FEATURE, ITEM, POLYGON, REF } from "./_data_calls.ts";

/** Identifier of an order that was made as the `number`th. */
const ID = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

const PRODUCT = { item_ids: [ITEM], item_type: "PSScene", product_bundle: "analytic_udm2" };

/** What a builder of Python's makes. */
const by = (name: string, args: unknown[], options: JsonObject = {}) =>
  ({ $: `order_request.${name}`, args, options }) as JsonObject;

const product = by("product", [[ITEM], "analytic_udm2", "PSScene"]);

type Request = Partial<OrderRequest>;

/** An order as we write it, and as Python's builders make it. */
const order = (ours: Request, theirs: JsonObject, products: unknown[] = [product]): Call => [
  "create_order",
  [{ name: "Fields", products: [PRODUCT], ...ours }],
  {},
  { args: [by("build_request", ["Fields", products], theirs)] },
];

/** An order with a tool. */
const tool = (
  ours: NonNullable<Request["tools"]>[number],
  name: string,
  args: unknown[],
  options: JsonObject = {},
) => order({ tools: [ours] }, { tools: [by(`${name}_tool`, args, options)] });

/** An order that is delivered to a cloud. */
const cloud = (ours: Request["delivery"], name: string, args: unknown[], options = {}) =>
  order({ delivery: ours! }, {
    delivery: by("delivery", [], { cloud_config: by(name, args, options) }),
  });

/** A wait without pauses. */
const wait = (id: string, ours: JsonObject = {}, theirs: JsonObject = ours): Call => [
  "wait",
  [id],
  { delay_ms: 0, ...ours },
  { options: { delay: 0, ...theirs } },
];

const list = (options: JsonObject): Call => ["list_orders", [], options];
const MULTI = { type: "MultiPolygon", coordinates: [POLYGON.coordinates] };
const POINT = { type: "Point", coordinates: [0, 0] };

function calls(directory: string): Call[] {
  const folder = (number: number) => join(directory, ID(number));
  const archive = { archive_type: "zip", single_archive: true } as const;
  const prefix = { path_prefix: "a/b" };
  return [
    order({}, {}),
    order({ products: [PRODUCT, PRODUCT] }, {}, [product, product]),
    order({ products: [{ ...PRODUCT, product_bundle: "analytic_udm2,visual" }] }, {}, [
      by("product", [[ITEM], "analytic_udm2", "PSScene"], { fallback_bundle: "visual" }),
    ]),
    order({ order_type: "partial" }, { order_type: "partial" }),
    order({ subscription_id: 7 }, { subscription_id: 7 }),
    order({ metadata: { stac: {} } }, { stac: { stac: {} } }),
    order({ hosting: { sentinel_hub: {} } }, { hosting: "sentinel_hub" }),
    order({ hosting: { sentinel_hub: { collection_id: "c", create_configuration: true } } }, {
      hosting: "sentinel_hub",
      collection_id: "c",
      create_configuration: true,
    }),
    order({ notifications: { email: true } }, { notifications: by("notifications", [true]) }),
    order({ notifications: { webhook: { url: "https://a.test/b", per_order: true } } }, {
      notifications: by("notifications", [], {
        webhook_url: "https://a.test/b",
        webhook_per_order: true,
      }),
    }),
    tool({ bandmath: { b1: "b1+1", b2: "arctan(b1)", pixel_type: "32R" } }, "band_math", [
      "b1+1",
      "arctan(b1)",
    ], { pixel_type: "32R" }),
    tool({ clip: { aoi: POLYGON } }, "clip", [POLYGON]),
    tool({ clip: { aoi: FEATURE } }, "clip", [FEATURE]),
    tool({ clip: { aoi: MULTI } }, "clip", [MULTI]),
    tool({ clip: { aoi: REF } }, "clip", [REF]),
    tool({ composite: {} }, "composite", []),
    tool({ composite: { group_by: "strip_id" } }, "composite", ["strip_id"]),
    tool({ coregister: { anchor_item: ITEM } }, "coregister", [ITEM]),
    tool({ file_format: { format: "COG" } }, "file_format", ["COG"]),
    tool({ harmonize: { target_sensor: "Sentinel-2" } }, "harmonize", ["Sentinel-2"]),
    tool({ reproject: { projection: "EPSG:4326" } }, "reproject", ["EPSG:4326"]),
    tool({ reproject: { projection: "EPSG:3857", resolution: 3, kernel: "cubic" } }, "reproject", [
      "EPSG:3857",
      3,
      "cubic",
    ]),
    tool({ tile: { tile_size: 512 } }, "tile", [512]),
    tool(
      { tile: { tile_size: 512, origin_x: -180, pixel_size: 0.5, name_template: "t" } },
      "tile",
      [
        512,
      ],
      { origin_x: -180, pixel_size: 0.5, name_template: "t" },
    ),
    tool({ toar: {} }, "toar", []),
    tool({ toar: { scale_factor: 10_000 } }, "toar", [10_000]),
    order({ tools: [{ toar: {} }, { composite: {} }, { file_format: { format: "PL_NITF" } }] }, {
      tools: [by("toar_tool", []), by("composite_tool", []), by("file_format_tool", ["PL_NITF"])],
    }),
    order({ delivery: { ...archive, archive_filename: "{{name}}_{{order_id}}.zip" } }, {
      delivery: by("delivery", ["zip", true]),
    }),
    order({ delivery: { ...archive, single_archive: false, archive_filename: "x.zip" } }, {
      delivery: by("delivery", ["zip", false, "x.zip"]),
    }),
    cloud(
      {
        amazon_s3: {
          aws_access_key_id: "id",
          aws_secret_access_key: "key",
          bucket: "b",
          aws_region: "r",
          ...prefix,
        },
      },
      "amazon_s3",
      ["id", "key", "b", "r", "a/b"],
    ),
    cloud(
      {
        azure_blob_storage: {
          account: "a",
          container: "c",
          sas_token: "s",
          storage_endpoint_suffix: "x",
          ...prefix,
        },
      },
      "azure_blob_storage",
      ["a", "c", "s", "x", "a/b"],
    ),
    cloud({ google_cloud_storage: { bucket: "b", credentials: "{}" } }, "google_cloud_storage", [
      "b",
      "{}",
    ]),
    cloud({ google_earth_engine: { project: "p", collection: "c" } }, "google_earth_engine", [
      "p",
      "c",
    ]),
    cloud(
      {
        oracle_cloud_storage: {
          customer_access_key_id: "id",
          customer_secret_key: "key",
          bucket: "b",
          region: "r",
          namespace: "n",
        },
      },
      "oracle_cloud_storage",
      ["id", "key", "b", "r", "n"],
    ),
    cloud(
      {
        s3_compatible: {
          endpoint: "https://s3.test",
          bucket: "b",
          region: "r",
          access_key_id: "id",
          secret_access_key: "key",
          use_path_style: true,
        },
      },
      "s3_compatible",
      ["https://s3.test", "b", "r", "id", "key", true],
    ),
    cloud({ destination: { ref: "pl:destinations/mine", ...prefix } }, "destination", [
      "pl:destinations/mine",
      "a/b",
    ]),
    cloud({ destination: { ref: "pl:destinations/default" } }, "default_destination", []),
    ["create_order", [{ name: "", products: [PRODUCT] }], {}],
    [
      "create_order",
      [{ name: "Fields", products: [PRODUCT], tools: [{ clip: { aoi: POINT } }] }],
      {},
      { args: [by("build_request", ["Fields", [product]], { tools: [by("clip_tool", [POINT])] })] },
    ],
    ...[
      {},
      { limit: 0 },
      { limit: 7 },
      { source_type: "scenes" },
      { source_type: "basemaps" },
      { name: "Fields", limit: 1 },
      { name__contains: "iel", limit: 1 },
      { created_on: "2026-01-01T00:00:00Z", limit: 1 },
      { created_on: "2026-01-01T00:00:00Z/2026-02-01T00:00:00Z", limit: 1 },
      { last_modified: "2026-01-01T00:00:00Z/..", limit: 1 },
      { last_modified: "../2026-01-01T00:00:00Z", limit: 1 },
      { hosting: true },
      { hosting: false, limit: 1 },
      { destination_ref: "pl:destinations/mine", limit: 1 },
      { sort_by: "name", limit: 1 },
      { sort_by: "name,state DESC,last_modified", limit: 1 },
      { user_id: "all", limit: 1 },
      { user_id: 7, limit: 1 },
      { state: "done" },
      ...["queued", "running", "failed", "success", "partial", "cancelled"].map((state) => ({
        state,
        limit: 2,
      })),
    ].map((options) => list(options as JsonObject)),
    ["get_order", [ID(1)], {}],
    ["get_order", [ID(999)], {}],
    ["get_order", ["mine"], {}],
    wait(ID(1)),
    wait(ID(2), { state: "running" }),
    wait(ID(3), { max_attempts: 1 }),
    wait(ID(3), { max_attempts: 5 }),
    wait(ID(30)),
    wait(ID(4), { state: "done" }),
    wait("mine"),
    wait(ID(999)),
    ["aggregated_order_stats", [], {}],
    ["download_order", [ID(1)], { directory }],
    ["download_order", [ID(3)], { directory }],
    ["download_order", [ID(30)], { directory }],
    ["download_order", [ID(5)], { directory }],
    ["download_asset", [], { result_of: ID(1), directory, filename: "order.tif" }],
    ["download_asset", [], { result_of: ID(1), directory }],
    ["validate_checksum", [folder(1), "MD5"], {}],
    ["validate_checksum", [folder(1), "sha256"], {}],
    ["validate_checksum", [folder(1), "CRC32"], {}],
    ["validate_checksum", [folder(2), "MD5"], {}],
    ["cancel_order", [ID(6)], {}],
    ["cancel_order", [ID(6)], {}],
    ["cancel_order", [ID(1)], {}],
    ["cancel_order", [ID(999)], {}],
    ["cancel_order", ["mine"], {}],
    ["download_order", [ID(6)], { directory }],
    ["cancel_orders", [[ID(7), ID(8), ID(1)]], {}],
    ["cancel_orders", [[ID(9), "mine"]], {}],
    ["cancel_orders", [{ all: true }], {}, { args: [] }],
    ["aggregated_order_stats", [], {}],
  ];
}

/** The calls of `pl.orders`. */
export const ORDERS_CALLS: CallTable = {
  client: "orders",
  base: "/compute/ops",
  calls,
  async prepare({ orders }: Planet, [method, args, { result_of, ...options }]) {
    if (method === "wait") {
      seen = [];
      options.on_state = ((state: string) => seen.push(state)) as never;
    }
    if (result_of === undefined) return [[...args], options];
    const { _links: { results } } = await orders.getOrder(String(result_of));
    return [[results![0]!.location, ...args], options];
  },
  result(method, value) {
    if (method === "download_order") return (value as DownloadedFile[]).map(({ path }) => path);
    if (method === "download_asset") return (value as DownloadedFile).path;
    if (method === "wait") return [value, seen];
    // What the API shows of credentials, and not what we leave of them.
    return Array.isArray(value) ? value.map((one) => ({ ...one })) : value && { ...value };
  },
  async check(here, there) {
    const names = await readdir(here, { recursive: true });
    const orders = names.filter((name) => name.startsWith("0000") && name.endsWith(".tif"));
    assertEquals(orders.length, 4);
    for (const name of orders) {
      assertEquals(await readFile(join(here, name)), await readFile(join(there, name)));
    }
  },
  least: 80,
};

/** The states that the last wait was told. */
let seen: string[] = [];
