/**
 * Every example, unchanged, in the sandbox: with exactly the permissions of its
 * header under Deno, and under Bun. Those that keep state run a second time and
 * must ask nobody and no authorization server.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "./_support/harness.ts";
import {
  exampleNames,
  type ExampleRun,
  type ExampleRuntime,
  exampleWorld,
  findRuntime,
  runExample,
} from "./sandbox/run_example.ts";

const NAMES = ["auth_code", "device_code", "m2m"].flatMap((flow) =>
  ["custom_storage", "in_memory", "shared_with_cli"].map((place) => `${flow}_${place}`)
);

const GRANTS: Record<string, string> = {
  auth_code: "authorization_code",
  device_code: "device_code",
  m2m: "client_credentials",
};

/** Under Deno all that there is; elsewhere the runtime's own, for Deno's turn covers the rest. */
const runtimes: ExampleRuntime[] = "Deno" in globalThis
  ? ["deno", "bun"]
  : [process.versions.bun ? "bun" : "node"];

/** The saved searches that an example printed. */
function printed({ code, stderr, stdout }: ExampleRun): string[] {
  assertEquals(code, 0, `It ended with ${code}:\n${stderr}`);
  return stdout.split("\n}\n").filter((text) => text.trim() !== "")
    .map((text) => JSON.parse(`${text}\n}`).name);
}

/** What there is besides the nine programs of the guide; each has tests of its own. */
const OTHERS = [
  "bun_cli",
  "edge_m2m_kv",
  "edge_worker",
  "unstorage_provider",
  "web_login",
  "web_login_bun",
];

test("examples/ holds the nine programs of the guide, and the others that are named here", async () => {
  assertEquals(await exampleNames(), [...NAMES, ...OTHERS].sort());
});

for (const runtime of runtimes) {
  const found = findRuntime(runtime);
  const skip = "missing" in found ? { skip: found.missing } : {};
  for (const name of NAMES) {
    test(`examples/${name}.ts signs in and lists the searches under ${runtime}`, async () => {
      const world = await exampleWorld();
      try {
        const { api, log } = world.sandbox;
        const first = await runExample(name, world, { runtime });
        assertEquals(printed(first).sort(), api.searchNames.sort());
        const flow = name.replace(/_(custom_storage|in_memory|shared_with_cli)$/, "");
        assertEquals(log.count("token", GRANTS[flow]), 1);
        for (const secret of [world.sandbox.m2m.clientSecret, "eyJ"]) {
          assert(!(first.stdout + first.stderr).includes(secret), "It printed a secret.");
        }
        log.reset();
        const second = await runExample(name, world, { runtime });
        assertEquals(printed(second).sort(), api.searchNames.sort());
        if (name.endsWith("_in_memory")) assertEquals(log.count("token", GRANTS[flow]), 1);
        else assertEquals(log.toAuthorizationServers, 0);
      } finally {
        await world.close();
      }
    }, { ...skip, timeoutMs: 150_000 });
  }
}
