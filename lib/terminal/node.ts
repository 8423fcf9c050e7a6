/**
 * The person's screen under Node and Bun.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { type Command, openCommands } from "./opener.ts";
import type { LoginUI } from "./types.ts";

function start([program, ...args]: Command): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { detached: true, stdio: "ignore" });
    child.once("error", () => resolve(false));
    child.once("spawn", () => resolve(true));
    child.unref();
  });
}

/** Screen and browser under Node and Bun. Reads no line yet. */
export const ui: LoginUI = {
  async openBrowser(url) {
    for (const command of openCommands(url)) {
      if (await start(command).catch(() => false)) return true;
    }
    return false;
  },
  show(message) {
    process.stderr.write(`${message}\n`);
  },
  readLine: () => Promise.resolve(null),
};
