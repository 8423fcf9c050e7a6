/**
 * What examples that download share: a world for each, and every permission left out once.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestOptions } from "../_support/harness.ts";
import {
  exampleCommand,
  type ExampleWorld,
  exampleWorld,
  runExample,
} from "../sandbox/run_example.ts";

/** How tests of an example for Deno run. */
export function optionsFor(name: string): TestOptions {
  return {
    ...("Deno" in globalThis ? {} : { skip: `examples/${name}.ts is for Deno` }),
    timeoutMs: 120_000,
  };
}

/** Runs `body` in a world of its own, whose storage sees no credentials. */
export async function inWorld(body: (world: ExampleWorld) => Promise<void>): Promise<void> {
  const world = await exampleWorld();
  try {
    await body(world);
    assertEquals(world.sandbox.storage.counters.authorizations, 0);
  } finally {
    await world.close();
  }
}

/** Runs an example without each of its flags: it names the flag, and leaves no file in its folder. */
export function withoutEachFlag(
  name: string,
  folder: string,
  prepare?: (world: ExampleWorld) => void,
): void {
  for (const left of ["--allow-env", "--allow-read", "--allow-write", "net", "storage"]) {
    test(
      `examples/${name}.ts without ${left} names the flag, and leaves no file`,
      () =>
        inWorld(async (world) => {
          prepare?.(world);
          const all = await exampleCommand(name, "deno", world);
          const storage = new URL(world.sandbox.storageUrl).host;
          const command = left === "storage"
            ? all.map((word) => word.replace(`,${storage}`, ""))
            : all.filter((word) => !word.startsWith(left === "net" ? "--allow-net" : `${left}=`));
          assert(command.join() !== all.join());
          await mkdir(join(world.home, folder));
          const { code, stderr } = await runExample(name, world, { command });
          assertEquals(code, 1, stderr);
          const flag = left === "storage"
            ? `--allow-net=${storage}`
            : left === "net"
            ? "--allow-net"
            : left;
          assert(stderr.includes(flag), stderr);
          assertEquals(
            (await readdir(join(world.home, folder), { recursive: true }))
              .filter((name) => name.endsWith(".tif")),
            [],
          );
        }),
      optionsFor(name),
    );
  }
}
