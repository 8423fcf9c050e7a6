/**
 * Starts programs and waits for them, with their arguments looked at (`watch.ts`). Those that run
 * beside the test are seen by themselves.
 *
 * @module
 */

import * as node from "node:child_process";
import { seeArguments } from "./watch.ts";

// deno-lint-ignore no-explicit-any
function watched<T extends (...args: any[]) => unknown>(start: T): T {
  return new Proxy(start, {
    apply(target, self, args) {
      const [program, given] = args;
      seeArguments(program, Array.isArray(given) ? given : undefined);
      return Reflect.apply(target, self, args);
    },
  });
}

/** That of `node:child_process`. */
export const execFileSync: typeof node.execFileSync = watched(node.execFileSync);

/** That of `node:child_process`. */
export const spawnSync: typeof node.spawnSync = watched(node.spawnSync);
