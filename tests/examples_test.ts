/**
 * Every example, unchanged, in the sandbox: with exactly the permissions of its
 * header under Deno, and under Bun. Those that keep state run a second time and
 * must ask nobody and no authorization server.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, realpathSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "./_support/harness.ts";
import { tempFolder } from "./_support/temp_folder.ts";
import { runCommand } from "./package/command.ts";
import { BESIDE } from "./sandbox/beside.ts";
import {
  exampleNames,
  type ExampleRun,
  type ExampleRuntime,
  exampleWorld,
  findRuntime,
  onPath,
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
  "basemap_quads",
  "bun_cli",
  "download_assets",
  "edge_m2m_kv",
  "edge_stream_asset",
  "edge_worker",
  "keychain_session",
  "log_requests",
  "order_and_download",
  "shared_dynamodb",
  "shared_postgres",
  "shared_redis_bun",
  "shared_s3",
  "subscription_results",
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
        const output = first.stdout + first.stderr;
        const printsSecret = output.includes(world.sandbox.m2m.clientSecret) ||
          /eyJ[\w-]+\.eyJ/.test(output);
        assert(!printsSecret, "It printed a secret.");
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

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What `deno task example` does with these words, once its set-up is done. */
async function task(...words: string[]): Promise<{ code: number | null; output: string }> {
  return await taskWith({}, ...words);
}

/** The same, with other variables. */
async function taskWith(env: Record<string, string>, ...words: string[]) {
  const config = existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json";
  const command = [Deno.execPath(), "run", "--quiet", "--config", `${ROOT}${config}`, "-A"];
  const file = `${ROOT}tests/sandbox/example.ts`;
  return await runCommand([...command, file, ...words], { cwd: ROOT, env });
}

const onlyDeno = "Deno" in globalThis
  ? {}
  : { skip: "deno task is Deno's, and Deno's turn is enough" };

/** What an example shows that lists no searches. */
const SHOWS: Record<string, RegExp> = {
  basemap_quads: /^quads\/13-52\.tif 100000 new$/m,
  download_assets: /^images\/\S+\.tif [0-9a-f]{32} new$/m,
  order_and_download: /^orders\/\S+\.tif \d+ new$/m,
  edge_stream_asset: /an image of \d+ bytes/,
  subscription_results: /^id,status,created/m,
  web_login: /Sign in with Planet/,
  web_login_bun: /Sign in with Planet/,
};

test("deno task example NAME runs every example to its end, and shows what it prints", async () => {
  const names = (await exampleNames()).values();
  // Two at a time.
  await Promise.all([1, 2].map(async () => {
    for (const name of names) {
      const missing = BESIDE[name]?.missing;
      if (missing !== undefined) {
        console.log(`SKIPPED deno task example ${name}: ${missing}`);
        continue;
      }
      const { code, output } = await task(name);
      assertEquals(code, 0, `${name}: ${output}`);
      assertMatch(output, SHOWS[name] ?? /Field 12/, `${name} shows nothing`);
    }
  }));
}, { ...onlyDeno, timeoutMs: 300_000 });

test("deno task example brings its runtime along where there is only Node and npm", async () => {
  const { path: PATH, remove } = await tempFolder();
  try {
    for (const name of ["env", "node", "npm", "npx", "sh"]) {
      await symlink(realpathSync(onPath(name)!), join(PATH, name));
    }
    const { code, output } = await taskWith({ PATH }, "web_login_bun");
    assertEquals(code, 0, output);
    assertMatch(output, /Running web_login_bun under bun/);
    assertMatch(output, SHOWS.web_login_bun!);
  } finally {
    await remove();
  }
}, {
  ...onlyDeno,
  ...(onPath("npx") === undefined ? { skip: "npx is not on PATH" } : {}),
  timeoutMs: 180_000,
});

test("deno task example hands arguments on, and tells the exit code", async () => {
  const unknown = await task("bun_cli", "dance");
  assertEquals(unknown.code, 2, unknown.output);
  assert(unknown.output.includes("Usage: my-planet"), unknown.output);
}, { ...onlyDeno, timeoutMs: 60_000 });

test("deno task example says what there is if it knows no such name", async () => {
  for (const words of [[], ["no_such_example"], ["--dino", "bun_cli"]]) {
    const { code, output } = await task(...words);
    assertEquals(code, 2, output);
    for (const name of await exampleNames()) assert(output.includes(`  ${name}`), output);
  }
}, { ...onlyDeno, timeoutMs: 60_000 });
