/**
 * The person's screen under Deno.
 *
 * @module
 */

import { isGranted } from "../runtime.ts";
import { openCommands } from "./opener.ts";
import type { LoginUI } from "./types.ts";

/** Screen and browser under Deno; asks for no permission. Reads no line yet. */
export const ui: LoginUI = {
  openBrowser(url) {
    for (const [command, ...args] of openCommands(url)) {
      if (!isGranted({ name: "run", command })) continue;
      try {
        new Deno.Command(command, { args, stdin: "null", stdout: "null", stderr: "null" })
          .spawn().unref();
        return Promise.resolve(true);
      } catch {
        // The next command may be there.
      }
    }
    return Promise.resolve(false);
  },
  show(message) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${message}\n`));
  },
  readLine: () => Promise.resolve(null),
};
