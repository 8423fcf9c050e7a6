/**
 * Basemaps: mosaics, series and quads against the sandbox; quads as files, kept, resumed, renewed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  ApiError,
  AuthError,
  ClientError,
  DownloadError,
  IncompleteError,
  MissingResource,
  type Planet,
  type Quad,
} from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { bytesOf } from "../sandbox/storage.ts";
import { all, fake, inWorld } from "./_world.ts";

const NAME = "global_monthly_2026_01_mosaic";
const ID = "00000000-0000-4000-8000-000000000001";
/** Four quads. */
const BOX = [13.2, 52.2, 14.2, 53.2] as const;
const AREA = {
  type: "Polygon",
  coordinates: [[[13.2, 52.2], [14.2, 52.2], [14.2, 53.2], [13.2, 52.2]]],
};

test("pl.mosaics: mosaics and series by name and by identifier, and their lists", () =>
  inWorld(async ({ pl: { mosaics }, sandbox: { log } }) => {
    const mosaic = await mosaics.getMosaic(NAME);
    assertEquals(mosaic.id, ID);
    assertEquals((await mosaics.getMosaic(ID)).name, NAME);
    assertEquals(log.entries.map(({ url }) => url.pathname + url.search), [
      `/basemaps/v1/mosaics?name__is=${NAME}`,
      `/basemaps/v1/mosaics/${ID}`,
    ]);
    const series = await mosaics.getSeries("global_monthly");
    assertEquals((await mosaics.getSeries(series.id)).name, "global_monthly");
    const missing = await assertRejects(() => mosaics.getMosaic("none"), MissingResource);
    assertEquals(missing.status, 404);
    await assertRejects(() => mosaics.getSeries(ID), MissingResource);
    assertEquals((await all(mosaics.listSeries({ nameContains: "global" }))).length, 1);
    assertEquals((await all(mosaics.listMosaics({ pageSize: 2 }))).length, 3);
    assertEquals((await all(mosaics.listMosaics({ limit: 2 }))).length, 2);
    for (const one of [series, series.id, "global_monthly"]) {
      assertEquals((await all(mosaics.listSeriesMosaics(one))).length, 3);
    }
    const [latest] = await all(mosaics.listSeriesMosaics(series, { latest: true }));
    assertEquals(latest!.name, "global_monthly_2026_03_mosaic");
  }));

test("pl.mosaics: quads by bounds, by geometry, and all of them", () =>
  inWorld(async ({ pl: { mosaics }, sandbox: { log } }) => {
    const mosaic = await mosaics.getMosaic(NAME);
    log.reset();
    const byBox = await all(mosaics.listQuads(mosaic, { bbox: BOX }));
    const byArea = await all(mosaics.listQuads(mosaic, { geometry: AREA, minimal: true }));
    const ids = ["13-52", "13-53", "14-52", "14-53"];
    assertEquals(byBox.map(({ id }) => id), ids);
    assertEquals(byArea.map(({ id }) => id), ids);
    assertEquals([byBox[0]!.percent_covered, byArea[0]!.percent_covered], [100, undefined]);
    assertEquals((await all(mosaics.listQuads(NAME, { fullExtent: true }))).length, 12);
    assertEquals(
      log.entries.findLast(({ url }) => url.searchParams.has("bbox"))!.url.searchParams.get("bbox"),
      "12.75,51.75,16.75,54.75",
    );
    assertEquals((await all(mosaics.listQuads(mosaic, { bbox: BOX, limit: 3 }))).length, 3);
    assertEquals(await mosaics.summarizeQuads(mosaic), { total_quads: 12 });
    assertEquals(await mosaics.summarizeQuads(ID, { bbox: BOX }), { total_quads: 4 });
    assertEquals(await mosaics.summarizeQuads(ID, { geometry: AREA }), { total_quads: 4 });
    const quad = await mosaics.getQuad(mosaic, "13-52");
    assertEquals(quad.bbox, [13, 52, 13.5, 52.5]);
    const [source] = await mosaics.getQuadContributions(quad);
    assert(String(source!.link).includes("/items/"));
  }));

test("downloadQuads() fetches an area, keeps what is there, and asks for nothing then", () =>
  inWorld(async ({ directory, pl: { mosaics }, sandbox }) => {
    const { log, storage } = sandbox;
    storage.settings.breaks = [{ after: 60_000, how: "cut" }];
    const options = { bbox: BOX, directory: join(directory, "quads"), concurrency: 2 };
    const files = await mosaics.downloadQuads(NAME, options);
    const names = ["13-52", "13-53", "14-52", "14-53"].map((id) => `${id}.tif`);
    assertEquals(files.map(({ path }) => path), names.map((name) => join(options.directory, name)));
    assertEquals((await readdir(options.directory)).sort(), names, "nothing is left over");
    for (const { bytes, path } of files) {
      const id = path.slice(-9, -4);
      const file = sandbox.mosaics.file(`quads/${ID}/${id}`)!;
      assertEquals(bytes, 100_000);
      assertEquals(new Uint8Array(await readFile(path)), bytesOf(file));
    }
    assertEquals(storage.counters.bodies, 5, "four, and one again after the cut");
    assert(storage.counters.mostAtOnce <= 2, `${storage.counters.mostAtOnce} at once`);
    log.reset();
    const again = await mosaics.downloadQuads(NAME, options);
    assertEquals(again.map(({ kept }) => kept), [true, true, true, true]);
    assertEquals(log.count("download"), 0, "each download counts");
    await writeFile(files[0]!.path, "mine");
    const [first] = await mosaics.downloadQuads(NAME, { ...options, ifExists: "replace" });
    assertEquals([first!.kept, first!.bytes], [false, 100_000]);
  }));

test("downloadQuads() puts the quads into a folder with the mosaic's name, if that is safe", () =>
  inWorld(async ({ directory, pl: { mosaics } }) => {
    const mosaic = await mosaics.getMosaic(NAME);
    for (const name of ["../up", "a/b", "", "con", ".."]) {
      await assertRejects(
        () => mosaics.downloadQuads({ ...mosaic, name }, { bbox: BOX }),
        name === "" ? ClientError : DownloadError,
      );
    }
    const hostile = { id: "../../up", _links: { download: "https://api.planet.com/x" } };
    const error = await assertRejects(
      () => mosaics.downloadQuad(hostile as Quad, { directory }),
      DownloadError,
    );
    assertEquals(error.code, "unsafe_name");
    assertEquals(await readdir(directory), []);
  }));

test("downloadQuads() names the quads that failed, and has the others", () =>
  inWorld(async ({ directory, pl: { mosaics }, sandbox }) => {
    sandbox.storage.fault = (url) => url.pathname.includes("13-53") ? 403 : undefined;
    const error = await assertRejects(
      () => mosaics.downloadQuads(NAME, { geometry: AREA, directory }),
      IncompleteError,
    );
    assertEquals(error.failures.map(({ name }) => name), ["13-53"]);
    assert(error.failures[0]!.error instanceof ApiError);
    assertEquals(error.results.length, 3);
    sandbox.storage.fault = undefined;
    const files = await mosaics.downloadQuads(NAME, { geometry: AREA, directory });
    assertEquals(files.filter(({ kept }) => kept).length, 3);
  }));

test("a quad's link that ran out is asked for again; openQuad() streams it", () =>
  inWorld(async ({ directory, pl: { mosaics }, sandbox }) => {
    const quad = await mosaics.getQuad(NAME, "13-52");
    sandbox.api.expireLinks();
    sandbox.log.reset();
    assertEquals((await mosaics.downloadQuad(quad, { directory })).bytes, 100_000);
    assertEquals(sandbox.log.count("api"), 1, "the quad itself, once");
    sandbox.api.expireLinks();
    const { name, size, stream, type } = await mosaics.openQuad(quad);
    assertEquals([name, size, type], ["L15-13-52.tif", 100_000, "image/tiff"]);
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    assertEquals(bytes, bytesOf(sandbox.mosaics.file(`quads/${ID}/13-52`)!));
  }));

test("downloadQuads() ends with the signal's reason", () =>
  inWorld(async ({ directory, pl: { mosaics } }) => {
    const signal = AbortSignal.abort(new Error("enough"));
    const options = { bbox: BOX, directory, signal };
    await assertRejects(() => mosaics.downloadQuads(NAME, options), Error, "enough");
    assertEquals(await readdir(directory), []);
  }));

test("a link of a mosaic to another host gets no credentials, and is not asked for", () =>
  inWorld(async ({ pl: { mosaics } }) => {
    const mosaic = await mosaics.getMosaic(NAME);
    const _links = { quads: "https://evil.test/?bbox={lx},{ly},{ux},{uy}&api_key=key-of-a-link" };
    const error = await assertRejects(
      () => all(mosaics.listQuads({ ...mosaic, _links }, { bbox: BOX })),
      AuthError,
    );
    assertEquals(error.code, "untrusted_origin");
    assert(!error.message.includes("key-of-a-link"));
  }));

const MOSAIC = { id: ID, name: NAME, bbox: [0, 0, 1, 1], _links: {} };
const WRONG: [string, (mosaics: Planet["mosaics"]) => Promise<unknown>, unknown][] = [
  ["name", (one) => one.getMosaic(""), ClientError],
  ["name of another type", (one) => one.getSeries(1 as never), TypeError],
  ["area: none", (one) => all(one.listQuads(NAME)), ClientError],
  ["area to download: none", (one) => one.downloadQuads(NAME), ClientError],
  ["bounds", (one) => all(one.listQuads(MOSAIC, { bbox: [1, 2, 3] as never })), ClientError],
  ["number in bounds", (one) => one.summarizeQuads(MOSAIC, { bbox: [1, 2, 3, NaN] }), ClientError],
  ["geometry", (one) => all(one.listQuads(MOSAIC, { geometry: {} })), ClientError],
  ["link", (one) => all(one.listQuads(MOSAIC, { fullExtent: true })), ClientError],
  ["mosaic", (one) => one.getQuad({} as never, "a"), ClientError],
  ["identifier of a quad", (one) => one.getQuad(MOSAIC, ".."), ClientError],
  ["quad", (one) => one.downloadQuad({ id: "a", _links: {} }), ClientError],
  ["quad of another type", (one) => one.getQuadContributions(null as never), TypeError],
  ["concurrency", (one) => one.downloadQuads(MOSAIC, { bbox: BOX, concurrency: 0 }), ClientError],
  ["size of a page", (one) => all(one.listMosaics({ pageSize: 0 })), ClientError],
];
for (const [what, call, Class] of WRONG) {
  test(`pl.mosaics refuses a wrong ${what} before anything is sent`, async () => {
    const { pl, server } = fake();
    await assertRejects(() => call(pl.mosaics), Class as ErrorConstructor);
    assertEquals(server.requests, []);
  });
}
