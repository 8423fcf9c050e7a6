/**
 * The README's three quick starts, from nothing to an image on the disk: each program as it stands,
 * by the very command below it, on each runtime that the README names for it.
 *
 * From outside come the servers of the sandbox, the client that is registered there, and a person at
 * the browser: the package that the programs import is this one, with those in the place of Planet's.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "../_support/harness.ts";
import { LINKS_CONFIG } from "../_tools/links.ts";
import { ROOT } from "../package/clone.ts";
import { ask } from "../sandbox/example.ts";
import {
  type ExampleRuntime,
  type ExampleWorld,
  exampleWorld,
  findRuntime,
  runExample,
  startExample,
  translateFlags,
} from "../sandbox/run_example.ts";

const README = readFileSync(join(ROOT, "README.md"), "utf8");
const NAME = "@planet-community/planet";
const skip = "Deno" in globalThis ? undefined : "Deno's turn is enough: it starts all runtimes";

/** The program of a quick start, its file, and the commands that run it. */
function quickStart(title: string): { file: string; program: string; commands: string[] } {
  const section = README.split(`\n## Quick start: ${title}`)[1]?.split("\n## ")[0] ?? "";
  const [, program = ""] = /^```ts\n([\s\S]+?)^```$/m.exec(section) ?? [];
  const [, file = ""] = /^\/\/ (\S+)$/m.exec(program) ?? [];
  const [, shell = ""] = /^```sh\n([\s\S]+?)^```$/m.exec(section) ?? [];
  const commands = shell.trim().split("\n").map((line) => line.replace(/ +#.*/, ""));
  // What the text below offers counts as well.
  const others = [...section.matchAll(/`(node \S+)`/g)].map(([, command]) => command!);
  return { file, program, commands: [...commands, ...others] };
}

/** The package in the words of a world: its servers, its client, its callback. */
function packageFor({ callbackUrl, sandbox }: ExampleWorld): string {
  const { clientId, environment } = sandbox;
  // A path: `bun build` follows no URL.
  const module = JSON.stringify(pathToFileURL(join(ROOT, "mod.ts")).pathname);
  return `export * from ${module};
import { Auth as Real } from ${module};
// The person reads what is shown; else nobody could be asked.
if (!globalThis.Deno) process.getBuiltinModule("node:tty").isatty = (file) => file === 2;
const environment = ${JSON.stringify(environment)};
const person = { environment, clientId: ${JSON.stringify(clientId)} };
export const Auth = {
  fromOAuthUserAuthCode: (options) =>
    Real.fromOAuthUserAuthCode({ ...options, ...person, callbackUrl: ${
    JSON.stringify(callbackUrl)
  } }),
  fromOAuthUserDeviceCode: (options) => Real.fromOAuthUserDeviceCode({ ...options, ...person }),
  fromOAuthM2M: (options) => Real.fromOAuthM2M({ ...options, environment }),
};
`;
}

/** Installs the package into the world's folder for all runtimes, and writes the program there. */
async function install(world: ExampleWorld, file: string, program: string): Promise<void> {
  const folder = join(world.home, "node_modules", NAME);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "mod.js"), packageFor(world));
  const manifest = { name: NAME, type: "module", exports: "./mod.js" };
  await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
  await writeFile(join(world.home, "package.json"), JSON.stringify({ type: "module" }));
  const { imports } = JSON.parse(readFileSync(join(ROOT, LINKS_CONFIG), "utf8"));
  const map = { imports: { ...imports, [NAME]: pathToFileURL(join(folder, "mod.js")).href } };
  await writeFile(join(world.home, "import_map.json"), JSON.stringify(map));
  await writeFile(join(world.home, file), program);
}

/** A command of the README, as the world needs it. */
function translated(command: string, world: ExampleWorld): string[] {
  const [runtime = "", ...words] = translateFlags(command, world);
  const found = findRuntime(runtime as ExampleRuntime);
  if ("missing" in found) throw new Error(found.missing);
  const config = ["--no-prompt", "--no-check", "--config", join(ROOT, LINKS_CONFIG)];
  const map = ["--import-map", join(world.home, "import_map.json")];
  if (runtime === "deno") return [found.path, words[0]!, ...config, ...map, ...words.slice(1)];
  // What is published is transpiled; here Node does it.
  const types = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
  return [found.path, ...(runtime === "node" ? types : []), ...words];
}

/** The images that were downloaded, with their sizes. */
function images({ home }: ExampleWorld): number[] {
  const folder = join(home, "images");
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith(".tif"))
    .map((name) => statSync(join(folder, name)).size);
}

/** Runs `body` in a world of its own. */
async function inWorld(body: (world: ExampleWorld) => Promise<void>): Promise<void> {
  const world = await exampleWorld();
  try {
    await body(world);
  } finally {
    await world.close();
  }
}

test(
  "README: the Deno script signs in by browser, downloads, and asks nobody again",
  () =>
    inWorld(async (world) => {
      const { file, program, commands } = quickStart("a Deno script");
      assertEquals([file, commands.length], ["main.ts", 1]);
      await install(world, file, program);
      const command = translated(commands[0]!, world);
      const first = await runExample(file, world, { command });
      assertEquals(first.code, 0, first.stderr);
      assertEquals(images(world).length, 3, first.stdout);
      for (const size of images(world)) assert(size > 0);
      assertEquals(world.sandbox.log.count("token", "authorization_code"), 1);
      const again = await runExample(file, world, { command });
      assertEquals(again.code, 0, again.stderr);
      assertEquals(world.sandbox.log.count("token"), 1, again.stderr);
    }),
  { skip, timeoutMs: 180_000 },
);

test(
  "README: the Bun tool signs in by device code and downloads, as one file and on Node too",
  () =>
    inWorld(async (world) => {
      const { file, program, commands } = quickStart("a Bun tool");
      assertEquals(commands.map((command) => command.split(" ")[0]), ["bun", "bun", "node"]);
      await install(world, file, program);
      for (const command of commands) {
        const run = await runExample(file, world, {
          command: translated(command, world),
          typesCode: true,
        });
        assertEquals(run.code, 0, `${command}: ${run.stderr}`);
      }
      const [, built = ""] = /--outfile (\S+)/.exec(commands[1]!) ?? [];
      const run = await runExample(file, world, {
        command: [join(world.home, built)],
        typesCode: true,
      });
      assertEquals(run.code, 0, run.stderr);
      assertMatch(run.stdout, /^images\S+\.tif \d+$/m);
      assertEquals(images(world).length, 1);
      // One person, who confirmed once: the others found the session.
      assertEquals(world.sandbox.log.count("token", "device_code") > 0, true);
      assertEquals(world.sandbox.log.count("device"), 1);
    }),
  { skip, timeoutMs: 180_000 },
);

test(
  "README: the edge function streams an image, with exactly its flags",
  () =>
    inWorld(async (world) => {
      const { file, program, commands } = quickStart("an edge function");
      assertEquals([file, commands.length], ["edge.ts", 1]);
      await install(world, file, program);
      const { m2m, log } = world.sandbox;
      const variables = {
        PL_CLIENT_ID: m2m.clientId,
        PL_CLIENT_SECRET: m2m.clientSecret,
        // Any free port.
        DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0",
      };
      const command = translated(commands[0]!, world);
      const { stop, url } = await startExample(file, world, { command, variables });
      try {
        const response = await ask(new URL("20260101_100000_psscene", url).href);
        assertEquals(response.status, 200);
        assert((await response.arrayBuffer()).byteLength > 0);
      } finally {
        await stop();
      }
      assertEquals(log.count("token", "client_credentials"), 1);
      assert(log.count("storage") > 0, "No image was streamed.");
    }),
  { skip, timeoutMs: 120_000 },
);
