/**
 * Orders against the sandbox: created, listed, waited for, downloaded, cancelled; and what is wrong.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import {
  ApiError,
  AuthError,
  BadQuery,
  ClientError,
  collect,
  Conflict,
  type DownloadedFile,
  DownloadError,
  type DownloadOrderOptions,
  type DownloadProgress,
  FeatureError,
  GeoJSONError,
  IncompleteError,
  type JsonObject,
  NoPermission,
  type Order,
  type OrderDelivery,
  type OrderRequest,
  type OrderTool,
  type PartFailure,
  type Planet,
  type SceneProduct,
} from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { bytesOf, digestOf } from "../sandbox/storage.ts";
import { inWorld, type World } from "./_world.ts";

const ITEM = "20260101_100000_psscene";
const REQUEST: OrderRequest = {
  name: "Fields",
  products: [{ item_ids: [ITEM], item_type: "PSScene", product_bundle: "analytic_udm2" }],
};

/** A world, with its client of orders. */
type OrdersWorld = World & Pick<Planet, "orders">;

/** Runs `body` in a world whose pauses take no time. */
function withOrders(body: (world: OrdersWorld) => Promise<void>): Promise<void> {
  const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
  return inWorld((world) => body({ ...world, orders: world.pl.orders }), { clock });
}

test("createOrder(), getOrder(), listOrders() and wait(): an order from its start to its end", () =>
  withOrders(async ({ orders }) => {
    const order = await orders.createOrder(REQUEST);
    assertEquals([order.name, order.state], ["Fields", "queued"]);
    for (let count = 1; count < 7; count++) {
      await orders.createOrder({ ...REQUEST, name: `Woods ${count}` });
    }
    const listed = await Array.fromAsync(orders.listOrders({ nameContains: "Wood", limit: 0 }));
    assertEquals(listed.map(({ name }) => name), [6, 5, 4, 3, 2, 1].map((n) => `Woods ${n}`));
    const states: string[] = [];
    const state = await orders.wait(order.id, {
      delayMs: 1,
      onState: (state) => states.push(state),
    });
    assertEquals([state, states], ["success", ["queued", "running", "success"]]);
    const { _links: { results } } = await orders.getOrder(order.id);
    assertEquals(results?.map(({ name }) => name), [
      `${order.id}/PSScene/${ITEM}_AnalyticMS.tif`,
      `${order.id}/PSScene/${ITEM}_udm2.tif`,
      `${order.id}/manifest.json`,
    ]);
    await assertRejects(() => orders.getOrder("mine"), Error, "UUID");
  }));

const named = (order: { id: string }, ...endings: string[]) =>
  endings.map((ending) => `${order.id}/${ending}`);

/** Orders images and waits for them. */
async function ready({ orders }: OrdersWorld, items: readonly string[] = [ITEM]): Promise<Order> {
  const products = [{ ...REQUEST.products[0] as SceneProduct, item_ids: items }];
  const order = await orders.createOrder({ ...REQUEST, products });
  await orders.wait(order.id, { delayMs: 1 });
  return order;
}

test("downloadOrder() downloads all files by their paths, checked by the manifest", () =>
  withOrders(async (world) => {
    const { directory, orders, sandbox } = world;
    const order = await ready(world);
    const progress: DownloadProgress[] = [];
    sandbox.log.reset();
    const files = await orders.downloadOrder(order.id, {
      directory,
      onProgress: (one) => progress.push({ ...one }),
    });
    const paths = named(
      order,
      `PSScene/${ITEM}_AnalyticMS.tif`,
      `PSScene/${ITEM}_udm2.tif`,
      "manifest.json",
    );
    assertEquals(files.map(({ path }) => path), paths.map((path) => join(directory, path)));
    for (const [index, path] of paths.entries()) {
      const stored = sandbox.orders.file(path)!;
      assertEquals(new Uint8Array(await readFile(files[index]!.path)), bytesOf(stored));
      assertEquals(files[index]!.md5, index === 2 ? undefined : digestOf(stored));
    }
    assertEquals((await readdir(join(directory, order.id))).sort(), ["PSScene", "manifest.json"]);
    const done = progress.filter(({ total, received }) => total === received);
    assertEquals(new Set(done.map(({ name }) => name)), new Set(paths));
    const asked = sandbox.log.entries.map(({ kind }) => kind).sort();
    assertEquals(asked, ["api", ...Array(3).fill("download"), ...Array(3).fill("storage")]);
    await orders.validateChecksum(join(directory, order.id), "MD5");
    await orders.validateChecksum(join(directory, order.id), "sha256" as "SHA256");
    sandbox.log.reset();
    const again = await orders.downloadOrder(order.id, { directory, checksum: "SHA256" });
    assertEquals(again.map(({ kept }) => kept), [true, true, true]);
    assertEquals(again[0]!.sha256, digestOf(sandbox.orders.file(paths[0]!)!, "sha256"));
    assertEquals(sandbox.log.entries.length, 1, "the order itself");
    await rm(join(directory, order.id, "PSScene"), { recursive: true });
    const fail = await assertRejects(
      () => orders.downloadOrder(order.id, { directory, ifExists: "fail" }),
      IncompleteError,
    );
    assertEquals(fail.failures.map(({ name }) => name), named(order, "manifest.json"));
    const anew = await orders.downloadOrder(order.id, { directory, ifExists: "replace" });
    assertEquals(anew.map(({ kept }) => kept), [false, false, false]);
  }));

test(
  "downloadOrder(): 500 results, one failing three times, one with a flipped bit; a second run fetches just that",
  () =>
    withOrders(async (world) => {
      const { directory, orders, sandbox } = world;
      const { log, storage } = sandbox;
      sandbox.orders.endings = ["_udm2.tif"];
      sandbox.orders.fileBytes = 5_000;
      const items = Array.from({ length: 499 }, (_, index) => `item_${index}`);
      const order = await ready(world, items);
      const [weak, bad] = named(order, "PSScene/item_7_udm2.tif", "PSScene/item_300_udm2.tif");
      let failures = 0;
      storage.fault = (url) => url.pathname.endsWith(weak!) && failures++ < 3 ? 503 : undefined;
      storage.flips = (path) => path === bad;
      storage.settings.pauseMs = 2;
      const error = await assertRejects(
        () => orders.downloadOrder(order.id, { directory, concurrency: 4 }),
        IncompleteError,
      );
      assertEquals(error.failures.map(({ name }) => name), [bad]);
      assert(error.message.includes(bad!), error.message);
      const [{ error: cause }] = error.failures as [PartFailure];
      assert(cause instanceof DownloadError && cause.code === "wrong_digest", String(cause));
      assertEquals([failures, error.results.length], [4, 499]);
      const most = storage.counters.mostAtOnce;
      assert(most > 1 && most <= 4, `${most} at once`);
      const names = await readdir(join(directory, order.id, "PSScene"));
      assertEquals(names.filter((name) => name.endsWith(".tif")).length, 498);
      for (const { path } of error.results as DownloadedFile[]) {
        const stored = sandbox.orders.file(path.slice(directory.length + 1))!;
        assertEquals(new Uint8Array(await readFile(path)), bytesOf(stored), path);
      }
      storage.flips = undefined;
      log.reset();
      const files = await orders.downloadOrder(order.id, { directory });
      assertEquals(files.length, 500);
      assertEquals(files.filter(({ kept }) => !kept).map(({ path }) => path), [
        join(directory, bad!),
      ]);
      assertEquals(log.entries.map(({ kind }) => kind), ["api", "download", "storage"]);
      assertEquals(
        (await readdir(join(directory, order.id, "PSScene"))).length,
        499,
        "nothing else",
      );
      await orders.validateChecksum(join(directory, order.id), "MD5");
      console.log(JSON.stringify({ results: files.length, mostAtOnce: most, fetchedAgain: 1 }));
    }),
  { timeoutMs: 120_000 },
);

test("downloadOrder() goes on after cuts, and asks once for new links for all whose links ran out", () =>
  withOrders(async (world) => {
    const { directory, orders, sandbox } = world;
    const { api, log, storage } = sandbox;
    const order = await ready(world, ["a", "b", "c", "d", "e"]);
    storage.settings.breaks = [{ after: 70, how: "cut" }, { after: 50_000, how: "cut" }];
    let hasRunOut = false;
    sandbox.settings.fault = ({ kind }) => {
      if (kind === "storage" && !hasRunOut) {
        hasRunOut = true;
        api.expireLinks();
      }
      return undefined;
    };
    log.reset();
    const files = await orders.downloadOrder(order.id, { directory });
    assertEquals(files.length, 11);
    assertEquals(log.count("api"), 2, "the order, and once again for its links");
    assert(files.some(({ resumed }) => resumed));
    await orders.validateChecksum(join(directory, order.id), "SHA256");
  }));

test("downloadOrder() fetches the other files if some cannot be had, whatever the manifest is", () =>
  withOrders(async (world) => {
    const { directory, orders, sandbox: { storage, ...sandbox } } = world;
    const { id } = await ready(world);
    const fetchAll = (more: DownloadOrderOptions = {}) =>
      orders.downloadOrder(id, { directory, ...more });
    storage.fault = (url) => url.pathname.endsWith("manifest.json") ? 403 : undefined;
    const error = await assertRejects(() => fetchAll(), IncompleteError);
    assertEquals(error.failures.map(({ name }) => name), [`${id}/manifest.json`]);
    assert(error.failures[0]!.error instanceof NoPermission);
    assertEquals(error.results.length, 2);
    await assertRejects(() => fetchAll({ checksum: "MD5" }), NoPermission);
    storage.fault = undefined;
    await mkdir(join(directory, id), { recursive: true });
    await writeFile(join(directory, id, "manifest.json"), "{");
    assertEquals((await fetchAll({ checksum: "MD5" })).map(({ kept }) => kept), [
      true,
      true,
      false,
    ]);
    sandbox.orders.manifestHook = (manifest) => ({ ...manifest, files: "none" });
    await fetchAll({ ifExists: "replace" });
    await assertRejects(() => fetchAll({ checksum: "MD5" }), ClientError, "Leave checksum out");
    const folder = join(directory, id);
    await assertRejects(() => orders.validateChecksum(folder, "MD5"), ClientError, "no manifest");
    sandbox.orders.manifestHook = ({ files }) => ({
      files: [{ path: "../../x", digests: { md5: "" } }, ...files as unknown[]],
    });
    await fetchAll({ ifExists: "replace" });
    await assertRejects(() => orders.validateChecksum(folder, "MD5"), DownloadError, "no path");
    sandbox.orders.manifestHook = ({ files }) => ({
      files: (files as { path: string }[]).map(({ path }) => ({ path, size: 100_000 })),
    });
    await fetchAll({ ifExists: "replace" });
    await assertRejects(() => orders.validateChecksum(folder, "MD5"), ClientError, "has no MD5");
    sandbox.orders.manifestHook = ({ files }) => ({
      files: (files as { path: string }[]).map((file) => ({ ...file, size: 99_999 })),
    });
    const sizes = await assertRejects(() => fetchAll({ ifExists: "replace" }), IncompleteError);
    assertEquals(
      sizes.failures.map(({ error }) => (error as DownloadError).code),
      ["wrong_size", "wrong_size"],
    );
  }));

test("downloadOrder() keeps to its folder: a result with a name that leaves it fails, alone", () =>
  withOrders(async (world) => {
    const { directory, orders } = world;
    const { id } = await ready(world, ["../../../x", "good"]);
    const below = join(directory, "below");
    const error = await assertRejects(
      () => orders.downloadOrder(id, { directory: below }),
      IncompleteError,
    );
    assertEquals(error.failures.length, 2);
    assertEquals(error.failures.map(({ error }) => (error as DownloadError).code), [
      "unsafe_name",
      "unsafe_name",
    ]);
    assertEquals(error.results.length, 3);
    assertEquals(await readdir(directory), ["below"]);
  }));

test("downloadOrder() of an order without files: none; of one that is under way, an error", () =>
  withOrders(async ({ directory, orders, sandbox }) => {
    sandbox.orders.states = [];
    const { id } = await orders.createOrder(REQUEST);
    const error = await assertRejects(() => orders.downloadOrder(id, { directory }), ClientError);
    assert(/wait\(\).*"queued"/.test(error.message), error.message);
    await orders.cancelOrder(id);
    assertEquals(await orders.downloadOrder(id, { directory }), []);
    assertEquals(await orders.downloadOrder(id, { directory, checksum: "MD5" }), []);
    assertEquals(await readdir(directory), []);
  }));

test("downloadOrder() ends at an abort, and no file is half", () =>
  withOrders(async (world) => {
    const { directory, orders, sandbox } = world;
    const { id } = await ready(world, ["a", "b", "c"]);
    sandbox.storage.settings.pauseMs = 20;
    const controller = new AbortController();
    await assertRejects(
      () =>
        orders.downloadOrder(id, {
          directory,
          signal: controller.signal,
          onProgress: ({ name }) => name.endsWith(".tif") && controller.abort(new Error("enough")),
        }),
      Error,
      "enough",
    );
    const names = await readdir(directory, { recursive: true });
    assertEquals(names.filter((name) => name.endsWith(".tif")), []);
  }));

test("downloadAsset() and openAsset() take one link, and a link that ran out is the end", () =>
  withOrders(async (world) => {
    const { directory, orders, sandbox } = world;
    const order = await ready(world);
    const { _links: { results } } = await orders.getOrder(order.id);
    const { location, name } = results![0]!;
    const stored = sandbox.orders.file(name)!;
    const file = await orders.downloadAsset(location, { directory });
    assertEquals([file.path, file.bytes], [join(directory, stored.name), stored.size]);
    const opened = await orders.openAsset(new URL(location));
    assertEquals([opened.name, opened.size, opened.type], [stored.name, stored.size, "image/tiff"]);
    assertEquals(new Uint8Array(await new Response(opened.stream).arrayBuffer()), bytesOf(stored));
    sandbox.api.expireLinks();
    sandbox.log.reset();
    await assertRejects(() => orders.openAsset(location), NoPermission);
    assertEquals(sandbox.log.entries.length, 1);
    await assertRejects(() => orders.openAsset(1 as never), TypeError, "location");
    await assertRejects(() => orders.downloadAsset("there"), ClientError);
  }));

test("validateChecksum() tells a missing file, another one, a missing manifest", () =>
  withOrders(async (world) => {
    const { directory, orders } = world;
    const { id } = await ready(world);
    const folder = join(directory, id);
    const check = (text: string) =>
      assertRejects(() => orders.validateChecksum(folder, "MD5"), ClientError, text);
    await check("not there");
    const [first] = await orders.downloadOrder(id, { directory });
    await writeFile(first!.path, "something else");
    await check("not that of the manifest");
    const [again] = await orders.downloadOrder(id, { directory });
    assertEquals(again!.kept, false, "what is not whole is fetched again");
    await rm(first!.path);
    await check("not there");
    await assertRejects(
      () => orders.validateChecksum(folder, "CRC" as never),
      ClientError,
      "checksum",
    );
  }));

test("cancelOrder(), cancelOrders() and aggregatedOrderStats()", () =>
  withOrders(async ({ orders, sandbox }) => {
    const made: Order[] = [];
    for (let count = 0; count < 4; count++) made.push(await orders.createOrder(REQUEST));
    const [one, two, three] = made.map(({ id }) => id) as [string, string, string];
    assertEquals((await orders.cancelOrder(one)).state, "cancelled");
    await orders.getOrder(two);
    assertEquals((await orders.aggregatedOrderStats()).user, {
      queued_orders: 2,
      running_orders: 1,
    });
    const conflict = await assertRejects(() => orders.cancelOrder(two), Conflict);
    assert(conflict.message.includes("not in a cancellable state"), conflict.message);
    const { result } = await orders.cancelOrders([two, three]);
    assertEquals([result.succeeded.count, result.failed.failures[0]!.order_id], [1, two]);
    sandbox.log.reset();
    const none: unknown[] = [undefined, [], {}, { all: false }, { all: "true" }, "all", null];
    for (const wrong of none) {
      const error = await assertRejects(() => orders.cancelOrders(wrong as never), ClientError);
      assert(error.message.includes("{ all: true }"), error.message);
    }
    await assertRejects(() => orders.cancelOrders([three, "mine"]), ClientError, "UUID");
    assertEquals(sandbox.log.entries, [], "nothing was sent");
    assertEquals((await orders.cancelOrders({ all: true })).result.succeeded.count, 1);
    assertEquals(sandbox.log.entries.map(({ body }) => body), ["{}"]);
  }));

test("listOrders() asks for what the options say; collect() makes an array of it", () =>
  withOrders(async ({ orders, sandbox }) => {
    for (const name of ["Fields", "Woods"]) await orders.createOrder({ ...REQUEST, name });
    sandbox.log.reset();
    const found = await collect(orders.listOrders({
      createdOn: "2026-01-01T00:00:00Z/..",
      destinationRef: "pl:destinations/mine",
      hosting: false,
      lastModified: "../2027-01-01T00:00:00Z",
      name: "Woods",
      nameContains: "oo",
      sortBy: "name,created_on DESC",
      sourceType: "scenes",
      state: "queued",
      userId: 7,
    }));
    assert(Array.isArray(found), "orders are no Features");
    assertEquals(found.map(({ name }) => name), ["Woods"]);
    assertEquals(Object.fromEntries(sandbox.log.entries[0]!.url.searchParams), {
      created_on: "2026-01-01T00:00:00Z/..",
      destination_ref: "pl:destinations/mine",
      hosting: "false",
      last_modified: "../2027-01-01T00:00:00Z",
      name: "Woods",
      name__contains: "oo",
      sort_by: "name,created_on DESC",
      source_type: "scenes",
      state: "queued",
      user_id: "7",
    });
  }));

const AREA = { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };

test("createOrder() reduces areas to what the API takes, and sends all else as it is", () =>
  withOrders(async ({ orders, sandbox }) => {
    const feature = { type: "Feature", properties: {}, geometry: AREA };
    const tools = (aoi: JsonObject): OrderTool[] => [{ toar: {} }, { clip: { aoi } }];
    await orders.createOrder({ ...REQUEST, tools: tools(feature) });
    await orders.createOrder({
      ...REQUEST,
      source_type: "basemaps",
      products: [{
        mosaic_name: "m",
        geometry: { type: "FeatureCollection", features: [feature] },
      }],
      tools: [{ merge: {} }, { clip: {} }],
      metadata: { stac: {} },
    });
    const bodies = sandbox.log.entries.map(({ body }) => JSON.parse(body));
    assertEquals(bodies, [
      { ...REQUEST, tools: tools(AREA) },
      {
        ...REQUEST,
        source_type: "basemaps",
        products: [{ mosaic_name: "m", geometry: AREA }],
        tools: [{ merge: {} }, { clip: {} }],
        metadata: { stac: {} },
      },
    ]);
  }));

const open = { ...AREA, coordinates: [[[0, 0], [1, 0], [1, 1], [2, 2]]] };
const large = {
  type: "Polygon",
  coordinates: [[...Array.from({ length: 1_600 }, (_, n) => [n / 100, n % 2]), [0, 0]]],
};
// deno-lint-ignore no-explicit-any
const WRONG: [string, unknown, new (...args: any[]) => Error][] = [
  ["no request", undefined, TypeError],
  ["no name", { ...REQUEST, name: undefined }, TypeError],
  ["products that are none", { ...REQUEST, products: REQUEST.products[0] }, TypeError],
  ["no products", { ...REQUEST, products: [] }, ClientError],
  ["tools that are none", { ...REQUEST, tools: { toar: {} } }, TypeError],
  ["a tool that is none", { ...REQUEST, tools: ["toar"] }, TypeError],
  ["a tool without a name", { ...REQUEST, tools: [{}] }, ClientError],
  ["two tools in one", { ...REQUEST, tools: [{ toar: {}, clip: {} }] }, ClientError],
  ["a point to cut out", {
    ...REQUEST,
    tools: [{ clip: { aoi: { type: "Point", coordinates: [0, 0] } } }],
  }, ClientError],
  ["an open ring", { ...REQUEST, tools: [{ clip: { aoi: open } }] }, GeoJSONError],
  ["too many vertices", { ...REQUEST, tools: [{ clip: { aoi: large } }] }, GeoJSONError],
  ["a wrong reference", { ...REQUEST, tools: [{ clip: { aoi: "fields/1" } }] }, FeatureError],
];
for (const [what, request, Class] of WRONG) {
  test(`createOrder() refuses ${what}, and sends nothing`, () =>
    withOrders(async ({ orders, sandbox }) => {
      await assertRejects(() => orders.createOrder(request as OrderRequest), Class);
      assertEquals(sandbox.log.entries, []);
    }));
}

test("createOrder() tells the API's own words", () =>
  withOrders(async ({ orders }) => {
    const error = await assertRejects(() => orders.createOrder({ ...REQUEST, name: "" }), BadQuery);
    assert(error.message.includes("This field is required"), error.message);
  }));

/** What does not compile. */
export function wrongRequests(): OrderRequest[] {
  return [
    // @ts-expect-error A tool that there is not.
    { ...REQUEST, tools: [{ sharpen: {} }] },
    // @ts-expect-error Two tools in one object.
    { ...REQUEST, tools: [{ toar: {}, composite: {} }] },
    // @ts-expect-error A member that another tool has.
    { ...REQUEST, tools: [{ toar: { tile_size: 1 } }] },
    // @ts-expect-error A format that there is not.
    { ...REQUEST, tools: [{ file_format: { format: "PNG" } }] },
    // @ts-expect-error A delivery that lacks a member.
    { ...REQUEST, delivery: { amazon_s3: { bucket: "b" } } },
    // @ts-expect-error Two clouds.
    { ...REQUEST, delivery: { destination: { ref: "a" }, google_earth_engine: EARTH } },
    // @ts-expect-error An archive that there is not.
    { ...REQUEST, delivery: { archive_type: "tar" } },
    // @ts-expect-error Notifications have no telephone.
    { ...REQUEST, notifications: { telephone: true } },
    // @ts-expect-error Scenes and basemaps at once.
    { ...REQUEST, products: [REQUEST.products[0], { mosaic_name: "m" }] },
    { ...REQUEST, delivery: { archive_type: "zip", destination: { ref: "a" } } },
    { ...REQUEST, delivery: { single_archive: true } },
  ];
}

const EARTH = { project: "p", collection: "c" };
const KEY = JSON.stringify({
  type: "service_account",
  private_key: `-----BEGIN\n${secret("private-key")}\n"END"`,
  private_key_id: secret("private-key-id"),
});
const DELIVERIES: Readonly<Record<string, OrderDelivery>> = {
  amazon_s3: {
    amazon_s3: {
      aws_access_key_id: secret("aws-id"),
      aws_secret_access_key: secret("aws-key"),
      aws_region: "us-east-2",
      bucket: "b",
    },
  },
  azure_blob_storage: {
    azure_blob_storage: { account: "a", container: "c", sas_token: `sv=1&sig=${secret("sas")}` },
  },
  google_cloud_storage: { google_cloud_storage: { bucket: "b", credentials: KEY } },
  oracle_cloud_storage: {
    oracle_cloud_storage: {
      customer_access_key_id: secret("oracle-id"),
      customer_secret_key: secret("oracle-key"),
      bucket: "b",
      region: "r",
      namespace: "n",
    },
  },
  s3_compatible: {
    s3_compatible: {
      endpoint: "https://storage.example.test",
      bucket: "b",
      region: "r",
      access_key_id: secret("s3-id"),
      secret_access_key: secret("s3-key"),
    },
  },
};

for (const [name, delivery] of Object.entries(DELIVERIES)) {
  test(
    `credentials of ${name} are in no error, event, inspect output or JSON`,
    () =>
      withOrders(async ({ events, orders, sandbox }) => {
        const request: OrderRequest = {
          ...REQUEST,
          delivery,
          notifications: { webhook: { url: `https://hooks.example.test/${secret("hook")}` } },
        };
        const sent = JSON.stringify(request);
        const parts = [...sent.matchAll(/cAnAry~[\w.~-]+/g)].map(([found]) => found);
        assert(parts.length >= 2);
        const answers = [
          { status: 400, body: { general: [{ message: `Cannot deliver: ${sent}` }], field: {} } },
          { status: 400, body: { general: [{ message: sent }], field: { delivery: [delivery] } } },
          { status: 409, body: sent, headers: { "x-request": sent } },
          { status: 500, body: `<p>${sent}</p>` },
          { status: 422, body: JSON.stringify(sent) },
        ];
        const shown: [what: string, value: unknown][] = [];
        for (const answer of answers) {
          sandbox.failNext("api", answer);
          const error = await assertRejects(() => orders.createOrder(request), ApiError);
          shown.push([`the error of ${answer.status}`, error], ["its body", error.body], [
            "its headers",
            [...error.headers],
          ]);
        }
        sandbox.settings.fault = () => "reset";
        const lost = await assertRejects(() => orders.createOrder(request), AuthError);
        sandbox.settings.fault = undefined;
        await orders.createOrder(request);
        shown.push(["the error of a lost answer", lost], ["events", events], ["pl.orders", orders]);
        const seen = shown.filter(([, value]) => {
          const { message, stack } = Object(value);
          const texts = [
            String(value),
            JSON.stringify(value),
            inspect(value, { depth: 9, showHidden: true }),
            message,
            stack,
          ];
          return parts.some((part) => texts.join("\n").includes(part));
        });
        // Their names only: the values are secrets.
        assertEquals(seen.map(([what]) => what), []);
      }),
    {
      breaks: [{
        rule: "request",
        where: "the body of POST",
        why: "The API has to have the credentials of a delivery.",
      }],
    },
  );
}
