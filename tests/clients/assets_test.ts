/**
 * Assets against the sandbox: activated, waited for, downloaded, checked; one and many.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Asset,
  Auth,
  ClientError,
  collect,
  dataFilter,
  DownloadError,
  type DownloadProgress,
  IncompleteError,
  type Item,
  MissingResource,
  Planet,
  Session,
  type SessionEvent,
} from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { seeEvent } from "../_support/watch_library.ts";
import { type Sandbox, type SandboxOptions, withSandbox } from "../sandbox/sandbox.ts";
import { bytesOf } from "../sandbox/storage.ts";

interface World {
  readonly sandbox: Sandbox;
  readonly data: Planet["data"];
  readonly directory: string;
  readonly events: SessionEvent[];
}

const ASSET = "ortho_analytic_4b";

/** Runs `body` with a sandbox, a client and a folder. */
async function withData(body: (world: World) => Promise<void>, options: SandboxOptions = {}) {
  const { path, remove } = await tempFolder();
  try {
    await withSandbox(async (sandbox) => {
      const events: SessionEvent[] = [];
      const session = new Session(
        Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment }),
        {
          requestsPerSecond: 0,
          onEvent(event) {
            events.push(event);
            seeEvent(event as never);
          },
        },
      );
      await body({ sandbox, data: new Planet(session).data, directory: path, events });
      assertEquals(sandbox.storage.counters.authorizations, 0, "the storage saw credentials");
      const told = JSON.stringify(events);
      assert(!/token|signature/i.test(told), "a link was told");
    }, options);
  } finally {
    await remove();
  }
}

async function itemsOf(data: World["data"], limit = 1): Promise<Item[]> {
  return (await collect(data.search({ itemTypes: ["PSScene"], limit }))).features;
}

async function active(data: World["data"], item: Item): Promise<Asset> {
  const asset = await data.getAsset("PSScene", item.id, ASSET);
  await data.activateAsset(asset);
  return await data.waitAsset(asset, { delayMs: 10 });
}

test("search, activate, wait, download: the bytes of the asset, checked", () =>
  withData(async ({ data, directory, sandbox }) => {
    sandbox.api.activationMs = 30;
    const [item] = await itemsOf(data);
    assertEquals([item!.type, item!.properties.item_type], ["Feature", "PSScene"]);
    const assets = await data.listItemAssets("PSScene", item!.id);
    assertEquals(Object.keys(assets), ["ortho_analytic_4b", "ortho_udm2", "metadata_json"]);
    const asset = await data.getAsset("PSScene", item!.id, ASSET);
    assertEquals([asset.status, asset.location, asset.md5_digest], ["inactive", undefined, null]);
    assertEquals(await data.activateAsset(asset), true);
    const states: string[] = [];
    const ready = await data.waitAsset(asset, { delayMs: 10, onState: (one) => states.push(one) });
    assertEquals([states[0], states.at(-1)], ["activating", "active"]);
    assertEquals(await data.activateAsset(ready), false);
    const progress: DownloadProgress[] = [];
    const file = await data.downloadAsset(ready, {
      directory,
      onProgress: (one) => progress.push({ ...one }),
    });
    const stored = sandbox.api.file(`PSScene/${item!.id}/${ASSET}`)!;
    assertEquals(file, {
      path: join(directory, stored.name),
      bytes: stored.size,
      md5: ready.md5_digest!,
      resumed: false,
      kept: false,
    });
    assertEquals(new Uint8Array(await readFile(file.path)), bytesOf(stored));
    assertEquals(progress.at(-1)?.received, stored.size);
    assertEquals(await readdir(directory), [stored.name]);
    await data.validateChecksum(ready, file.path);
    assertEquals(sandbox.api.activations.get(`PSScene/${item!.id}/${ASSET}`), 1);

    const { name, size, stream, type } = await data.openAsset(ready);
    assertEquals([name, size, type], [stored.name, stored.size, "image/tiff"]);
    assertEquals(new Uint8Array(await new Response(stream).arrayBuffer()), bytesOf(stored));

    const again = await data.downloadAsset(ready, { directory, filename: stored.name });
    assertEquals([again.kept, again.bytes], [true, stored.size]);
  }));

test("validateChecksum() tells another file, a missing one, and an asset without a digest", () =>
  withData(async ({ data, directory }) => {
    const [item] = await itemsOf(data);
    const inactive = await data.getAsset("PSScene", item!.id, ASSET);
    const ready = await active(data, item!);
    const path = join(directory, "x");
    await assertRejects(() => data.validateChecksum(ready, path), ClientError, "not there");
    await writeFile(path, "something else");
    await assertRejects(() => data.validateChecksum(ready, path), ClientError, "MD5");
    await assertRejects(() => data.validateChecksum(inactive, path), ClientError, "md5_digest");
  }));

test("getAsset() names the assets that there are", () =>
  withData(async ({ data }) => {
    const [item] = await itemsOf(data);
    for (const name of ["visual", "toString"]) {
      const error = await assertRejects(
        () => data.getAsset("PSScene", item!.id, name),
        ClientError,
      );
      assert(/"ortho_analytic_4b", "ortho_udm2"/.test(error.message), error.message);
    }
    await assertRejects(() => data.getAsset("PSScene", "none", ASSET), MissingResource);
  }));

test("getStats() and getItemCoverage() ask as Python does", () =>
  withData(async ({ data, sandbox }) => {
    const searchFilter = dataFilter.empty();
    const { buckets } = await data.getStats({
      itemTypes: ["PSScene"],
      searchFilter,
      interval: "year",
    });
    assertEquals(buckets, [{ count: 12, start_time: "2026-01-01T00:00:00.000Z" }]);
    const [item] = await itemsOf(data);
    sandbox.log.reset();
    const coverage = await data.getItemCoverage("PSScene", item!.id, {
      geometry: { type: "Feature", properties: {}, geometry: item!.geometry },
      mode: "UDM2",
      band: "cloud",
    });
    assertEquals(coverage.clear_percent, 87);
    const [{ body, url }] = sandbox.log.entries as [typeof sandbox.log.entries[0]];
    assertEquals(url.search, "?mode=UDM2&band=cloud");
    assertEquals(JSON.parse(body), { geometry: item!.geometry });
    sandbox.log.reset();
    await assertRejects(
      () => data.getStats({ itemTypes: ["PSScene"], searchFilter, interval: "second" as never }),
      ClientError,
    );
    await assertRejects(() => data.getItemCoverage("PSScene", "x", {} as never), TypeError);
    assertEquals(sandbox.log.entries, []);
  }));

test("downloadAsset() goes on after cuts, and asks for another link when one has run out", () =>
  withData(async ({ data, directory, sandbox }) => {
    const { api, log, storage } = sandbox;
    const [item] = await itemsOf(data);
    const ready = await active(data, item!);
    storage.settings.breaks = [{ after: 70_000, how: "cut" }, { after: 50_000, how: "cut" }];
    const file = await data.downloadAsset(ready, { directory, filename: "cut" });
    assertEquals([file.resumed, file.bytes, file.md5], [true, 200_000, ready.md5_digest!]);

    for (const status of [401, 403, 404, 410]) {
      storage.settings.expiredStatus = status;
      const stale = await data.waitAsset(ready);
      const asked = await data.getAsset("PSScene", item!.id, ASSET);
      api.expireLinks();
      log.reset();
      const renewed = await data.downloadAsset(asked, { directory, filename: `${status}` });
      assertEquals(renewed.bytes, 200_000);
      assertEquals(log.count("api"), 1, "the asset is asked for once");
      assertEquals(stale.location, ready.location);
    }
  }));

test("fetchAssets() activates, waits for and downloads many, few at once", () =>
  withData(async ({ data, directory, sandbox }) => {
    const { api, storage } = sandbox;
    api.activationMs = 20;
    storage.settings.pauseMs = 5;
    const states = new Set<string>();
    const search = data.search({ itemTypes: ["PSScene"], limit: 0 });
    const files = await data.fetchAssets(search, ASSET, {
      directory,
      concurrency: 2,
      delayMs: 10,
      onState: (state, item) => states.add(`${state} ${item.properties.item_type}`),
    });
    assertEquals(files.length, 12);
    assert(storage.counters.mostAtOnce <= 2, `${storage.counters.mostAtOnce} at once`);
    assertEquals((await readdir(directory)).length, 12);
    assertEquals(files.map(({ kept, resumed }) => kept || resumed), Array(12).fill(false));
    assertEquals([files[0]!.itemType, files[0]!.assetType], ["PSScene", ASSET]);
    assert(states.has("active PSScene"));
    assertEquals([...api.activations.values()], Array(12).fill(1));
  }, { items: 12 }));

test("fetchAssets() fetches the others if some fail, names those, and a second run adds what is missing", () =>
  withData(async ({ data, directory, sandbox }) => {
    const { api, storage } = sandbox;
    const items = await itemsOf(data, 6);
    const bad = items[2]!.id;
    const path = `PSScene/${bad}/${ASSET}`;
    storage.fault = (url) => url.pathname.includes(bad) ? 403 : undefined;
    const nothing = { ...items[0]!, id: undefined } as unknown as Item;
    const error = await assertRejects(
      () => data.fetchAssets([...items, nothing], ASSET, { directory, delayMs: 5 }),
      IncompleteError,
    );
    assertEquals(error.failures.map(({ name }) => name), [bad, "undefined"]);
    assert(error.message.includes("2 of 7") && error.message.includes(bad), error.message);
    assert(error.failures[1]!.error instanceof ClientError);
    assertEquals(error.results.length, 5);
    assertEquals((await readdir(directory)).length, 5);
    storage.fault = undefined;
    const before = storage.counters.bytes;
    const files = await data.fetchAssets(items, ASSET, { directory, delayMs: 5 });
    assertEquals(files.map(({ kept }) => kept).filter(Boolean).length, 5);
    assertEquals(api.activations.get(path), 1);
    assertEquals((await readdir(directory)).length, 6);
    assert(storage.counters.bytes > before);
  }));

test("fetchAssets() ends at an abort: no item more is taken, and no file is half", () =>
  withData(async ({ data, directory, sandbox }) => {
    sandbox.storage.settings.pauseMs = 20;
    const controller = new AbortController();
    let taken = 0;
    async function* endless(): AsyncGenerator<Item> {
      const items = await itemsOf(data, 12);
      for (let index = 0;; index++) {
        taken++;
        yield items[index % 12]!;
      }
    }
    await assertRejects(
      () =>
        data.fetchAssets(endless(), ASSET, {
          directory,
          delayMs: 5,
          signal: controller.signal,
          onProgress: () => controller.abort(new Error("enough")),
        }),
      Error,
      "enough",
    );
    assert(taken < 250, `${taken} items were taken`);
    const names = await readdir(directory);
    assertEquals(names.filter((name) => name.endsWith(".tif")), []);
  }));

test("downloadAsset() fails if the file has changed since the API described it", () =>
  withData(async ({ data, directory, sandbox }) => {
    const [item] = await itemsOf(data);
    const ready = await active(data, item!);
    sandbox.api.assetSeed = 2;
    const error = await assertRejects(
      () => data.downloadAsset(ready, { directory }),
      DownloadError,
    );
    assertEquals(error.code, "wrong_digest");
    assertEquals((await readdir(directory)).filter((name) => name.endsWith(".tif")), []);
  }));
