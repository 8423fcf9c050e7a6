/**
 * Guards what is published: names, versions, files, and that importing asks for nothing.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { VERSION } from "../lib/setup.ts";
import { execFileSync, spawnSync } from "./_support/child_process.ts";
import { test } from "./_support/harness.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const CONFIG = existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json";
const NOT_DENO = "Deno" in globalThis ? undefined : "Deno publishes and has permissions";

function json(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(ROOT + name, "utf8"));
}

/** Runs this Deno; returns what it printed. */
function deno(...args: string[]): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { code: status, output: stdout + stderr };
}

test("jsr.json says what deno.json says, for JSR's own tools", () => {
  const { name, version, exports, publish, license } = json("deno.json");
  assertEquals(json("jsr.json"), { name, version, license, exports, publish });
});

test("VERSION is the version of deno.json", () => {
  assertEquals(VERSION as string, json("deno.json").version);
});

test("deno.lock has no integrity of stand-ins, nor of anything from JSR", () => {
  const lock = json("deno.lock");
  assertEquals(Object.keys(lock).includes("jsr"), false);
  assertEquals(JSON.stringify(lock).includes("links"), false);
});

test("the top level of the repository is the fixed one", () => {
  const fixed = "mod.ts lib tests examples deno.json jsr.json README.md LICENSE CHANGELOG.md " +
    "CONTRIBUTING.md deno.lock";
  const tracked = execFileSync("git", ["ls-files"], { cwd: ROOT, encoding: "utf8" });
  const top = new Set(tracked.split("\n").filter(Boolean).map((name) => name.split("/")[0] ?? ""));
  const surplus = [...top].filter((name) =>
    !name.startsWith(".") && !fixed.split(" ").includes(name)
  );
  assertEquals(surplus, []);
}, { skip: existsSync(`${ROOT}.git`) ? undefined : "not a git repository" });

/** All source files of `lib/`. */
function sources(): string[] {
  return readdirSync(`${ROOT}lib`, { recursive: true, encoding: "utf8" })
    .map((name) => `lib/${name.replaceAll("\\", "/")}`).filter((name) => name.endsWith(".ts"));
}

const unready = ["mod.ts", "README.md", "LICENSE", "CHANGELOG.md"]
  .filter((name) => !existsSync(ROOT + name));

test("deno publish sends mod.ts, lib/ and the six files beside, nothing else", () => {
  const { code, output } = deno("publish", "--dry-run", "--allow-dirty", "--config", CONFIG);
  const published = [...output.matchAll(/^\s+file:\/\/(\S+) \(/gm)]
    .map(([, path]) => fileURLToPath(`file://${path}`).slice(ROOT.length))
    // Deno adds the configuration it was given; the real publishing is given none.
    .filter((name) => name !== ".deno.links.json").sort();
  const rest = ["mod.ts", "README.md", "LICENSE", "CHANGELOG.md", "deno.json", "jsr.json"];
  assertEquals(code, 0, output);
  assertEquals(published, [...rest, ...sources()].sort());
}, {
  skip: NOT_DENO ?? (unready.length ? `yet to be written: ${unready.join(", ")}` : undefined),
  timeoutMs: 120_000,
});

test("mod.ts is imported without any permission", () => {
  const source = 'const m = await import("./mod.ts"); console.log(Object.keys(m).length > 0)';
  const file = `data:application/typescript,${
    encodeURIComponent(
      source.replace("./mod.ts", new URL("../mod.ts", import.meta.url).href),
    )
  }`;
  const { code, output } = deno("run", "--no-prompt", "--config", CONFIG, "--no-check", file);
  assertEquals(code, 0, output);
  assertMatch(output, /^true$/m);
}, { skip: NOT_DENO ?? (existsSync(`${ROOT}mod.ts`) ? undefined : "mod.ts is yet to be written") });

test("sources() sees the files of lib/", () => {
  assert(sources().includes("lib/errors.ts"));
});
