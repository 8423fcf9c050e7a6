/**
 * `examples/download_assets.ts` under Deno, with exactly the permissions of its header, and without each
 * of them: it downloads, keeps what is there, goes on after a cut, or names the flag.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import { type ExampleRun, runExample } from "../sandbox/run_example.ts";
import { inWorld, optionsFor, withoutEachFlag } from "./_downloads.ts";

const NAME = "download_assets";
const OPTIONS = optionsFor(NAME);

/** What a run printed of each file: kept or new. */
function outcomes({ code, stderr, stdout }: ExampleRun): string[] {
  assertEquals(code, 0, stderr);
  return stdout.trim().split("\n").map((line) => {
    const [path, md5, outcome] = line.split(" ");
    assertMatch(path!, /^images\/\d{8}_100000_psscene_AnalyticMS\.tif$/);
    assertMatch(md5!, /^[0-9a-f]{32}$/);
    return outcome!;
  });
}

test(
  `examples/${NAME}.ts downloads, goes on after a cut, and keeps what is there`,
  () =>
    inWorld(async (world) => {
      const { storage } = world.sandbox;
      storage.settings.breaks = [{ after: 100_000, how: "cut" }];
      assertEquals(outcomes(await runExample(NAME, world)), ["new", "new", "new"]);
      assertEquals((await readdir(join(world.home, "images"))).length, 3);
      assertEquals(storage.counters.bodies, 4);
      assertEquals(outcomes(await runExample(NAME, world)), ["kept", "kept", "kept"]);
    }),
  OPTIONS,
);

test(
  `examples/${NAME}.ts tells which images failed, and has the others`,
  () =>
    inWorld(async (world) => {
      const bad = "20260801_100000_psscene";
      world.sandbox.storage.fault = (url) => url.pathname.includes(bad) ? 403 : undefined;
      const { code, stderr } = await runExample(NAME, world);
      assertEquals(code, 1);
      assert(stderr.includes(bad) && stderr.includes("2 are there."), stderr);
      assertEquals((await readdir(join(world.home, "images"))).length, 2);
    }),
  OPTIONS,
);

withoutEachFlag(NAME, "images");
