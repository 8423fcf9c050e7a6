/**
 * The person's terminal under Deno; asks for no permission.
 *
 * @module
 */

import { isGranted, readEnv } from "../runtime.ts";
import type { Machine } from "./screen.ts";

/** Terminal and programs by Deno's own calls. */
export const machine: Machine = {
  write(text) {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
  },
  get isTerminal() {
    return machine.hasScreen && readEnv("TERM") !== "dumb";
  },
  get hasColour() {
    return !Deno.noColor;
  },
  size() {
    try {
      const { columns, rows } = Deno.consoleSize();
      return { columns: columns || 80, rows: rows || 24 };
    } catch {
      return { columns: 80, rows: 24 };
    }
  },
  get hasScreen() {
    return Deno.stderr.isTerminal();
  },
  get hasKeyboard() {
    return Deno.stdin.isTerminal();
  },
  // A read of `Deno.stdin` cannot be taken back: it would keep the program alive after the browser
  // was faster, or swallow the next line that the person types.
  keyboard: async () => (await import("./node.ts")).keyboard,
  async start([program, ...args]) {
    const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
    const child = new Deno.Command(program, { args, ...quiet }).spawn();
    child.unref();
    return (await child.status).code;
  },
  mayRun: (command) => isGranted({ name: "run", command }),
};
