/**
 * `examples/subscription_results.ts` and `examples/basemap_quads.ts`: under Deno with exactly the permissions
 * of their headers, and without each of them; and under Bun.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "../_support/harness.ts";
import {
  exampleCommand,
  type ExampleRun,
  type ExampleRuntime,
  type ExampleWorld,
  exampleWorld,
  findRuntime,
  runExample,
} from "../sandbox/run_example.ts";

const isDeno = "Deno" in globalThis;

async function inWorld(body: (world: ExampleWorld) => Promise<void>): Promise<void> {
  const world = await exampleWorld();
  try {
    await body(world);
    assertEquals(world.sandbox.storage.counters.authorizations, 0);
  } finally {
    await world.close();
  }
}

/** The lines that a run printed. */
function lines({ code, stderr, stdout }: ExampleRun): string[] {
  assertEquals(code, 0, stderr);
  return stdout.trim().split("\n");
}

/** Deno's turn has Bun's, too; elsewhere the runtime's own. */
const runtimes: ExampleRuntime[] = isDeno
  ? ["deno", "bun"]
  : [process.versions.bun ? "bun" : "node"];
for (const runtime of runtimes) {
  const found = findRuntime(runtime);
  const options = { skip: "missing" in found ? found.missing : undefined, timeoutMs: 120_000 };

  test(
    `examples/subscription_results.ts prints what failed as CSV under ${runtime}`,
    () =>
      inWorld(async (world) => {
        const run = await runExample("subscription_results", world, { runtime });
        const printed = lines(run);
        assertEquals(printed.length, 6 * 4, "six subscriptions, of each three failures and a head");
        assertEquals(printed[0], "id,status,created,updated,item_datetime");
        assertMatch(run.stderr, /^Field 1 \{"created":0,"success":9,"failed":3\}$/m);
      }),
    options,
  );

  test(
    `examples/basemap_quads.ts downloads, goes on after a cut, and keeps what is there under ${runtime}`,
    () =>
      inWorld(async (world) => {
        const { log, storage } = world.sandbox;
        storage.settings.breaks = [{ after: 50_000, how: "cut" }];
        const paths = ["quads/13-52.tif 100000", "quads/14-52.tif 100000"];
        const first = lines(await runExample("basemap_quads", world, { runtime }));
        assertEquals(first, paths.map((path) => `${path} new`));
        assertEquals((await readdir(join(world.home, "quads"))).sort(), ["13-52.tif", "14-52.tif"]);
        assertEquals(storage.counters.bodies, 3);
        log.reset();
        const second = lines(await runExample("basemap_quads", world, { runtime }));
        assertEquals(second, paths.map((path) => `${path} kept`));
        assertEquals(log.count("download"), 0);
      }),
    options,
  );
}

/** What each example may not do without. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  subscription_results: ["--allow-env", "net"],
  basemap_quads: ["--allow-env", "--allow-read", "--allow-write", "net", "storage"],
};

for (const [name, flags] of Object.entries(FLAGS)) {
  for (const left of flags) {
    test(
      `examples/${name}.ts without ${left} names the flag, and leaves no image`,
      () =>
        inWorld(async (world) => {
          const all = await exampleCommand(name, "deno", world);
          const storage = new URL(world.sandbox.storageUrl).host;
          const command = left === "storage"
            ? all.map((word) => word.replace(`,${storage}`, ""))
            : all.filter((word) => !word.startsWith(left === "net" ? "--allow-net" : `${left}=`));
          assert(command.join() !== all.join());
          await mkdir(join(world.home, "quads"));
          const { code, stderr } = await runExample(name, world, { command });
          assertEquals(code, 1, stderr);
          const flag = left === "storage"
            ? `--allow-net=${storage}`
            : left === "net"
            ? "--allow-net"
            : left;
          assert(stderr.includes(flag), stderr);
          const files = await readdir(join(world.home, "quads"));
          assertEquals(files.filter((file) => file.endsWith(".tif")), []);
        }),
      { skip: isDeno ? undefined : "only Deno has permissions", timeoutMs: 120_000 },
    );
  }
}
