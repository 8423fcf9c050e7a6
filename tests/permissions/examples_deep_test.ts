/**
 * The nine programs of the guide under Deno, without each flag of their headers in turn: they end
 * with an error that names the flag, or fall back to what the README says. Nobody is ever asked.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import {
  exampleCommand,
  exampleNames,
  type ExampleWorld,
  exampleWorld,
  headerFlags,
  runExample,
} from "../sandbox/run_example.ts";

const skip = "Deno" in globalThis ? undefined : "only Deno has permissions";
const GUIDE = /^(auth_code|device_code|m2m)_/;

/** Runs an example without the flag that begins with `option`, in a home folder of its own. */
async function runWithout(name: string, option: string, world: ExampleWorld) {
  const there = { ...world, home: join(world.home, option) };
  await mkdir(there.home);
  const all = await exampleCommand(name, "deno", there);
  const command = all.filter((word) => !word.startsWith(`${option}=`));
  assertEquals(command.length, all.length - 1);
  return { home: there.home, ...await runExample(name, there, { command }) };
}

for (const name of (await exampleNames()).filter((name) => GUIDE.test(name))) {
  test(`examples/${name}.ts without each of its flags names it, or falls back`, async () => {
    const world = await exampleWorld();
    try {
      const flags = await headerFlags(name, world);
      assert(flags.length >= 2);
      for (const option of flags.map((flag) => flag.split("=")[0]!)) {
        const { code, home, stderr } = await runWithout(name, option, world);
        const what = `${name} without ${option}: ${stderr}`;
        // A service account goes on in memory if its store cannot be written; if there is none and
        // the program asked for one that lasts, that is an error.
        const goesOn = option === "--allow-write" && name === "m2m_custom_storage";
        assertEquals(code, goesOn ? 0 : 1, what);
        if (!goesOn) assert(stderr.includes(option), what);
        if (/read|write/.test(option)) {
          assert(!existsSync(join(home, ".planet")), "State was written.");
        }
      }
    } finally {
      await world.close();
    }
  }, { skip, timeoutMs: 120_000 });
}
