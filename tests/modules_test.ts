import { assert, assertEquals } from "@std/assert";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { importsOf } from "./_tools/architecture.ts";
import { test } from "./_support/harness.ts";
import { tempFolder } from "./_support/temp_folder.ts";
import { bundleSizes } from "./bench/sizes.ts";
import { findRuntime } from "./sandbox/run_example.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What importing `mod.ts`, and a start with a valid saved token, may load: no other module. */
const WARM: readonly string[] = [
  "lib/auth.ts",
  "lib/clients/data_filter.ts",
  "lib/errors.ts",
  "lib/http/fetch.ts",
  "lib/keeper/keeper.ts",
  "lib/keeper/stored_session.ts",
  "lib/runtime.ts",
  "lib/session.ts",
  "lib/setup.ts",
  "lib/storage/file.ts",
  "lib/storage/objects.ts",
  "lib/storage/select.ts",
  "lib/token.ts",
  "mod.ts",
];

/** Bytes of the bundles, minified and compressed, that no change may go beyond unnoticed. */
const BUDGET = { atOnce: 21_500, everything: 100_500 };

/** The modules that importing `entry` loads at once. */
function loadedBy(entry: string): { modules: string[]; others: string[] } {
  const modules = new Set<string>();
  const others = new Set<string>();
  const pending = [entry];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (modules.has(file)) continue;
    modules.add(file);
    for (const { kind, specifier } of importsOf(readFileSync(join(ROOT, file), "utf8"))) {
      if (kind !== "value") continue;
      if (!specifier.startsWith(".")) others.add(specifier);
      else pending.push(new URL(specifier, `file:///${file}`).pathname.slice(1));
    }
  }
  return { modules: [...modules].sort(), others: [...others] };
}

test("mod.ts loads at once what a warm start needs, and no package", () => {
  const { modules, others } = loadedBy("mod.ts");
  assertEquals(modules, WARM);
  assertEquals(others, []);
});

/** A program that starts with a valid saved token; `process` and `node:` modules give it away. */
const PROGRAM = `
const touched = [];
if (globalThis.Deno) {
  // The getter is what loads Node's world.
  Object.defineProperty(globalThis, "process", {
    configurable: true,
    get() { touched.push(new Error("process").stack); return undefined; },
  });
}
const { Auth } = await import(MODULE);
const sent = [];
const auth = Auth.fromOAuthUserDeviceCode({
  clientId: "warm",
  fetch: (url, init) => {
    sent.push([url, new Headers(init.headers).get("authorization")]);
    return Promise.resolve(new Response("{}"));
  },
});
await auth.ensureInitialized();
const answer = await auth.fetch("https://api.planet.com/x");
await answer.text();
await auth.accessToken();
console.log(JSON.stringify({ sent, touched }));
`;

/** Runs the program on this runtime; the answer tells what it sent and which scripts ran. */
async function startWarm(name: "deno" | "node") {
  const { path: folder, remove } = await tempFolder();
  try {
    const found = findRuntime(name);
    if ("missing" in found) throw new Error(found.missing);
    const home = join(folder, "home");
    await mkdir(join(home, ".planet/warm"), { recursive: true });
    const now = Math.floor(Date.now() / 1000);
    const token = { access_token: "AT", token_type: "Bearer", _iat: now, _exp: now + 3600 };
    await writeFile(join(home, ".planet/warm/token.json"), JSON.stringify(token));
    const program = join(folder, "warm.mjs");
    const module = JSON.stringify(pathToFileURL(join(ROOT, "mod.ts")).href);
    await writeFile(program, PROGRAM.replace("MODULE", module));
    const coverage = join(folder, "coverage");
    const links = join(ROOT, ".deno.links.json");
    const args = name === "deno"
      ? ["run", "--quiet", "--no-check", "--no-prompt", `--coverage=${coverage}`, "-A", "--config"]
        .concat(existsSync(links) ? links : join(ROOT, "deno.json"), program)
      : [program];
    const variables: Record<string, string | undefined> = {
      ...process.env,
      HOME: home,
      USERPROFILE: home,
      NO_COLOR: "1",
    };
    if (name === "deno") variables.DENO_DIR = await denoDir(found.path);
    else variables.NODE_V8_COVERAGE = coverage;
    const { stdout } = await promisify(execFile)(found.path, args, { env: variables });
    const urls = new Set<string>();
    for (const file of await readdir(coverage, { recursive: true })) {
      if (!file.endsWith(".json")) continue;
      const content = JSON.parse(await readFile(join(coverage, file), "utf8"));
      for (const { url } of content.result ?? [content]) urls.add(url);
    }
    const own = pathToFileURL(ROOT).href;
    return {
      ...JSON.parse(stdout) as { sent: unknown; touched: string[] },
      modules: [...urls].filter((url) => url.startsWith(`${own}lib/`) || url === `${own}mod.ts`)
        .map((url) => url.slice(own.length)).sort(),
      other: [...urls].filter((url) => !url.startsWith("file:")),
    };
  } finally {
    await remove();
  }
}

/** Where Deno keeps what it has compiled; it would look in the program's home else. */
async function denoDir(deno: string): Promise<string> {
  const { stdout } = await promisify(execFile)(deno, ["info", "--no-config", "--json"]);
  return JSON.parse(stdout).denoDir;
}

for (const name of ["deno", "node"] as const) {
  const found = findRuntime(name);
  test(
    `a start with a valid saved token loads no other module (${name})`,
    async () => {
      const { modules, other, sent, touched } = await startWarm(name);
      assertEquals(sent, [["https://api.planet.com/x", "Bearer AT"]]);
      assert(modules.length > 0, "the coverage names no module");
      // What has nothing to run, such as a list of types, is not named.
      assertEquals(modules.filter((module) => !WARM.includes(module)), []);
      assertEquals(touched, []);
      if (name === "deno") assertEquals(other.filter((url) => url.startsWith("node:")), []);
    },
    "missing" in found ? { skip: found.missing } : {},
  );
}

const bun = findRuntime("bun");
test(
  "mod.ts keeps within its budget, minified and compressed",
  async () => {
    if ("missing" in bun) return;
    const { atOnce, everything } = await bundleSizes(bun.path, join(ROOT, "mod.ts"));
    assert(atOnce <= BUDGET.atOnce, `${atOnce} bytes at once`);
    assert(everything <= BUDGET.everything, `${everything} bytes in all`);
  },
  "missing" in bun ? { skip: bun.missing } : {},
);
