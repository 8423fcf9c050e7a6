/**
 * `examples/download_assets.ts` under Deno, with exactly the permissions of its header, and without each
 * of them: it downloads, keeps what is there, goes on after a cut, or names the flag.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import {
  exampleCommand,
  type ExampleRun,
  type ExampleWorld,
  exampleWorld,
  runExample,
} from "../sandbox/run_example.ts";

const OPTIONS = {
  skip: "Deno" in globalThis ? undefined : "examples/download_assets.ts is for Deno",
  timeoutMs: 120_000,
};
const NAME = "download_assets";

async function inWorld(body: (world: ExampleWorld) => Promise<void>): Promise<void> {
  const world = await exampleWorld();
  try {
    await body(world);
    assertEquals(world.sandbox.storage.counters.authorizations, 0);
  } finally {
    await world.close();
  }
}

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

for (const left of ["--allow-env", "--allow-read", "--allow-write", "net", "storage"]) {
  test(
    `examples/${NAME}.ts without ${left} names the flag, and leaves no file`,
    () =>
      inWorld(async (world) => {
        const all = await exampleCommand(NAME, "deno", world);
        const storage = new URL(world.sandbox.storageUrl).host;
        const command = left === "storage"
          ? all.map((word) => word.replace(`,${storage}`, ""))
          : all.filter((word) => !word.startsWith(left === "net" ? "--allow-net" : `${left}=`));
        assert(command.join() !== all.join());
        await mkdir(join(world.home, "images"));
        const { code, stderr } = await runExample(NAME, world, { command });
        assertEquals(code, 1, stderr);
        const flag = left === "storage"
          ? `--allow-net=${storage}`
          : left === "net"
          ? "--allow-net"
          : left;
        assert(stderr.includes(flag), stderr);
        assertEquals(
          (await readdir(join(world.home, "images"))).filter((name) => name.endsWith(".tif")),
          [],
        );
      }),
    OPTIONS,
  );
}
