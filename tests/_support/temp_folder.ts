/**
 * A folder for one test, on every runtime.
 *
 * @module
 */

import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes an empty folder; `remove()` takes it away with all that it holds. */
export async function tempFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "planet-test-")));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
