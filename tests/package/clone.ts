/**
 * A copy of this repository, as a fresh clone would be.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** The folder of this repository; ends with a slash. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** What a clone does not have. */
const LEFT_OUT = [".git", ".cache", "node_modules", ".deno.links.json"];

/** Copies the repository into a folder. */
export async function copyRepository(to: string): Promise<void> {
  await cp(ROOT, to, {
    recursive: true,
    filter: (path) => !LEFT_OUT.includes(path.slice(ROOT.length).split(/[\\/]/)[0] ?? ""),
  });
}
