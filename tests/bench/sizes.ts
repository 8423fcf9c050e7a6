/**
 * What a bundler makes of this package, minified and compressed.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

/** Bytes after `gzip -9`. */
export interface Sizes {
  /** What importing `mod.ts` loads at once. */
  readonly atOnce: number;
  /** All of it in one file, dependencies and what is loaded later included. */
  readonly everything: number;
}

const run = promisify(execFile);

function compressed(text: string): number {
  return gzipSync(text, { level: 9 }).length;
}

/** The chunks that `entry` imports statically, itself included. */
async function staticChunks(folder: string, entry: string): Promise<string[]> {
  const seen = new Map<string, string>();
  const pending = [entry];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    const text = await readFile(join(folder, name), "utf8");
    seen.set(name, text);
    for (const [, next] of text.matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) {
      pending.push(next!);
    }
  }
  return [...seen.values()];
}

/**
 * Bundles `entry` with Bun, once in chunks and once whole.
 *
 * @param bun Bun's program.
 * @param entry Path of the module.
 */
export async function bundleSizes(bun: string, entry: string): Promise<Sizes> {
  const folder = await mkdtemp(join(tmpdir(), "planet-bundle-"));
  try {
    const build = (to: string, ...flags: string[]) =>
      run(bun, [
        "build",
        entry,
        "--minify",
        "--target=node",
        "--format=esm",
        `--outdir=${join(folder, to)}`,
        ...flags,
      ]);
    await build("chunks", "--splitting", "--entry-naming=entry.js");
    await build("whole", "--entry-naming=entry.js");
    const chunks = await staticChunks(join(folder, "chunks"), "entry.js");
    const whole = await readdir(join(folder, "whole"));
    if (whole.length !== 1) throw new Error(`Not one file: ${whole.join(", ")}`);
    return {
      atOnce: compressed(chunks.join("\n")),
      everything: compressed(await readFile(join(folder, "whole/entry.js"), "utf8")),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
