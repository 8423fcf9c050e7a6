/**
 * A folder for one test, on every runtime.
 *
 * @module
 */

import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lookAtFolder, noteFolder } from "./watch.ts";

/** What is special about a folder. */
export interface TempFolderOptions {
  /** Names of files that programs of others write, such as a database: they may hold secrets. */
  readonly unwatched?: RegExp;
}

/** Makes an empty folder; `remove()` has its files looked at, and takes it away with them. */
export async function tempFolder(
  options: TempFolderOptions = {},
): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "planet-test-")));
  noteFolder(path, options.unwatched);
  return {
    path,
    async remove() {
      lookAtFolder(path);
      await rm(path, { recursive: true, force: true });
    },
  };
}
