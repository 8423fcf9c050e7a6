/**
 * Finds out once whether JSR answers, and sets up this folder so that `@std/*` resolves on
 * every runtime either way.
 *
 * Deno gets the git-ignored `.deno.links.json`: `deno.json` with a lock file of its own, so that
 * the tracked one never changes, and, where JSR does not answer, with `links` to a copy of the
 * stand-ins of `tests/_std`. The copy lies outside this folder, since `deno publish` takes what lies
 * within for a part of the package that is left out. Bun and Node, which read neither file, get `node_modules/@std/*`: the
 * packages of JSR's npm side, or else the stand-ins as plain JavaScript, because Node strips no
 * types there. `@std/fs` is a stand-in there in any case: the stable one needs Deno.
 *
 * Imports nothing from a registry: this must run first on a fresh clone. Needs Deno.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of this repository. */
export const ROOT: string = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
/** The packages that have a stand-in. */
export const STAND_INS: readonly string[] = ["assert", "fs", "path"];
/** The configuration with links, beside `deno.json`. */
export const LINKS_CONFIG = ".deno.links.json";

const CACHE = path.join(ROOT, ".cache");
const TIMEOUT_MS = 3_000;

/** Whether JSR hands out what `deno.json` asks for. */
export async function jsrAnswers(): Promise<boolean> {
  const base = Deno.env.get("JSR_URL") || "https://jsr.io/";
  const url = new URL("@std/assert/meta.json", base.endsWith("/") ? base : `${base}/`);
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const meta = response.ok ? await response.json() : (await response.body?.cancel(), {});
    return typeof meta?.versions === "object";
  } catch {
    return false;
  }
}

/** Writes a file at once, and only where it changes, so that runs side by side do no harm. */
function write(file: string, text: string): boolean {
  if (fs.existsSync(file) && fs.readFileSync(file, "utf8") === text) return false;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const fresh = `${file}.${Deno.pid}.tmp`;
  fs.writeFileSync(fresh, text);
  fs.renameSync(fresh, file);
  return true;
}

/** Copies the stand-ins out of this repository; the answer is the folder, one for each content. */
function copyStandIns(): string {
  const from = path.join(ROOT, "tests/_std");
  const files = fs.readdirSync(from, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|json)$/.test(name)).sort()
    .map((name) => [name, fs.readFileSync(path.join(from, name), "utf8")] as const);
  const digest = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
  const to = path.join(tmpdir(), `planet-std-${digest}`);
  for (const [name, text] of files) write(path.join(to, name), text);
  return to;
}

/** Writes `.deno.links.json`, with links unless `jsr`, and the lock file it uses. */
export function writeLinksConfig(jsr: boolean): void {
  const config = JSON.parse(fs.readFileSync(path.join(ROOT, "deno.json"), "utf8"));
  if (!jsr) {
    const folder = copyStandIns();
    config.links = STAND_INS.map((name) => path.join(folder, name));
  }
  const lock = jsr ? "jsr.lock" : "links.lock";
  config.lock = `./.cache/${lock}`;
  // Examples in documents name the package as its users do.
  config.imports[`jsr:${config.name}`] = "./mod.ts";
  delete config.tasks;
  write(path.join(ROOT, LINKS_CONFIG), JSON.stringify(config, null, 2) + "\n");
  // The npm versions are those of the tracked lock file; the links are noted in the copy only.
  const tracked = path.join(ROOT, "deno.lock");
  if (!fs.existsSync(tracked)) return;
  const text = fs.readFileSync(tracked, "utf8");
  if (write(path.join(CACHE, `${lock}.seed`), text)) {
    write(path.join(CACHE, lock), text);
  }
}

/** All `.ts` files of a folder. */
function sources(folder: string): string[] {
  return fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts")).sort();
}

/** The packages that Bun and Node get from JSR. */
const ON_NPM: readonly string[] = ["assert", "path"];

/** Installs packages of JSR by its npm side into a folder of their own; tells whether it worked. */
async function installFromJsr(): Promise<boolean> {
  const own = Deno.env.get("JSR_URL");
  const registry = own
    ? new URL("npm/", own.endsWith("/") ? own : `${own}/`)
    : "https://npm.jsr.io";
  const { imports } = JSON.parse(fs.readFileSync(path.join(ROOT, "deno.json"), "utf8"));
  const dependencies = Object.fromEntries(ON_NPM.map((name) => {
    const version = String(imports[`@std/${name}`]).split("@").at(-1);
    return [`@std/${name}`, `npm:@jsr/std__${name}@${version}`];
  }));
  const folder = path.join(CACHE, "std");
  write(path.join(folder, ".npmrc"), `@jsr:registry=${registry}\n`);
  write(path.join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["install", "--quiet", "--no-lock", "--node-modules-dir=auto"],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (!success) console.error(`Bun and Node get stand-ins: ${new TextDecoder().decode(stderr)}`);
  return success;
}

/** Puts the real packages into `node_modules/@std`; tells which of them are there. */
async function linkFromJsr(): Promise<readonly string[]> {
  if (!await installFromJsr()) return [];
  for (const name of ON_NPM) {
    const to = path.join(ROOT, "node_modules/@std", name);
    fs.rmSync(to, { recursive: true, force: true });
    fs.mkdirSync(path.dirname(to), { recursive: true });
    fs.symlinkSync(path.join(CACHE, "std/node_modules/@std", name), to, "junction");
  }
  return ON_NPM;
}

/** Puts `@std/*` into `node_modules` for Bun and Node; the answer names those that come from JSR. */
export async function writeNodeModules(jsr: boolean): Promise<readonly string[]> {
  const real = jsr ? await linkFromJsr() : [];
  for (const name of STAND_INS.filter((name) => !real.includes(name))) {
    const from = path.join(ROOT, "tests/_std", name);
    const to = path.join(ROOT, "node_modules/@std", name);
    // A real one of an earlier run gives way.
    if (fs.lstatSync(to, { throwIfNoEntry: false })?.isSymbolicLink()) fs.rmSync(to);
    const meta = JSON.parse(fs.readFileSync(path.join(from, "deno.json"), "utf8"));
    const files = sources(from);
    const stamp = JSON.stringify([
      meta,
      files.map((file) => fs.readFileSync(path.join(from, file), "utf8")),
    ]);
    const seen = path.join(CACHE, `std-${name}.stamp`);
    const ready = fs.existsSync(path.join(to, "package.json"));
    if (ready && fs.existsSync(seen) && fs.readFileSync(seen, "utf8") === stamp) continue;
    for (const file of files) {
      const source = path.join(from, file);
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["transpile", "--quiet", source],
        cwd: from,
        env: { NO_COLOR: "1" },
        stdin: "null",
      }).output();
      if (!success) {
        throw new Error(`Cannot transpile ${source}: ${new TextDecoder().decode(stderr)}`);
      }
      write(path.join(to, file.replace(/\.ts$/, ".js")), new TextDecoder().decode(stdout));
    }
    const exports = Object.fromEntries(
      Object.entries(meta.exports as Record<string, string>)
        .map(([key, value]) => [key, value.replace(/\.ts$/, ".js")]),
    );
    const manifest = { name: meta.name, version: meta.version, type: "module", exports };
    write(path.join(to, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
    write(seen, stamp);
  }
  return real;
}

/** Sets up this folder for Deno; the answer tells whether the real `@std/*` are used. */
export async function prepare(): Promise<boolean> {
  const jsr = await jsrAnswers();
  writeLinksConfig(jsr);
  return jsr;
}
