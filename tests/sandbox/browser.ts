/**
 * A program for `$BROWSER`: signs in at the URL it is given, as a person would.
 *
 * `SANDBOX_PERSON=deny` cancels instead.
 *
 * @module
 */

import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { open } from "./person.ts";

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * Writes an executable into `folder` that opens URLs with this program, and
 * returns its path: a value for `$BROWSER`.
 */
export async function writeBrowser(folder: string): Promise<string> {
  const runtime = quoted(process.execPath);
  const deno = "Deno" in globalThis ? "run --quiet --allow-all --no-config --no-lock " : "";
  const program = quoted(fileURLToPath(import.meta.url));
  const path = join(folder, "browser.sh");
  await writeFile(path, `#!/bin/sh\nexec ${runtime} ${deno}${program} "$@"\n`);
  await chmod(path, 0o700);
  return path;
}

if (import.meta.main) {
  const url = process.argv.slice(2).find((argument) => /^https?:/.test(argument));
  if (url === undefined) {
    console.error("Usage: browser.ts URL");
    process.exit(2);
  }
  await open(url, { deny: process.env.SANDBOX_PERSON === "deny" });
}
