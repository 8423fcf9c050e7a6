/**
 * The keyboard by `process.stdin`, on every runtime.
 *
 * Under Deno too, where it is loaded when somebody is asked: a read of
 * `Deno.stdin` cannot be taken back. It would keep the program alive after the
 * browser was faster, or swallow the next line that the person types.
 *
 * @module
 */

import process from "node:process";
import type { Keyboard } from "./line_editor.ts";

/** The person's keyboard. */
export const keyboard: Keyboard = {
  get isTerminal(): boolean {
    return process.stdin.isTTY === true;
  },
  start({ end, keys }) {
    const { stdin } = process;
    const wasRaw = stdin.isRaw === true;
    const decoder = new TextDecoder();
    const onData = (chunk: Uint8Array | string) =>
      keys(typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }));
    const restore = () => {
      if (!wasRaw) stdin.setRawMode(false);
    };
    stdin.setRawMode(true);
    stdin.on("data", onData);
    stdin.on("end", end);
    process.on("exit", restore);
    stdin.resume();
    return () => {
      stdin.removeListener("data", onData);
      stdin.removeListener("end", end);
      process.removeListener("exit", restore);
      stdin.pause();
      restore();
    };
  },
};
