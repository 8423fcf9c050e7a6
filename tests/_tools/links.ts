/**
 * Finds out once whether JSR answers, and sets up this folder so that `@std/*` resolves on
 * every runtime either way.
 *
 * Deno gets the git-ignored `.deno.links.json`: `deno.json` with a lock file of its own, so that
 * the tracked one never changes, and, where JSR does not answer, with `links` to the stand-ins
 * of `tests/_std`. Bun and Node, which read neither file, get the stand-ins as
 * `node_modules/@std/*`: plain JavaScript, because Node strips no types there, and stand-ins
 * even where JSR answers, because the stable `@std/fs` needs Deno.
 *
 * Imports nothing from a registry: this must run first on a fresh clone. Needs Deno.
 *
 * @module
 */
import * as fs from "node:fs";
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

/** Writes `.deno.links.json`, with links unless `jsr`, and the lock file it uses. */
export function writeLinksConfig(jsr: boolean): void {
  const config = JSON.parse(fs.readFileSync(path.join(ROOT, "deno.json"), "utf8"));
  if (!jsr) config.links = STAND_INS.map((name) => `./tests/_std/${name}`);
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

/** Puts the stand-ins into `node_modules/@std` for Bun and Node. */
export async function writeNodeModules(): Promise<void> {
  for (const name of STAND_INS) {
    const from = path.join(ROOT, "tests/_std", name);
    const to = path.join(ROOT, "node_modules/@std", name);
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
}

/** Sets up this folder for Deno; the answer tells whether the real `@std/*` are used. */
export async function prepare(): Promise<boolean> {
  const jsr = await jsrAnswers();
  writeLinksConfig(jsr);
  return jsr;
}
