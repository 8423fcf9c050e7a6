/**
 * Runs `sops` with `node:child_process`, for Bun and Node.
 *
 * @module
 */

import { spawn } from "node:child_process";
import type { SopsResult } from "./sops.ts";

/** Runs `sops` with `input` in its pipe; `undefined` where there is no such program. */
export function runSops(
  args: readonly string[],
  input: string,
  timeoutMs: number,
): Promise<SopsResult | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn("sops", [...args], {
      stdio: ["pipe", "pipe", "ignore"],
      timeout: timeoutMs,
    });
    const parts: Uint8Array[] = [];
    child.stdout.on("data", (part: Uint8Array) => parts.push(part));
    child.on("error", (error: Error & { code?: string }) => {
      if (error.code === "ENOENT") resolve(undefined);
      else reject(error);
    });
    child.on("close", (code) => {
      const decoder = new TextDecoder();
      const text = parts.map((part) => decoder.decode(part, { stream: true })).join("");
      resolve({ code: code ?? 1, output: text + decoder.decode() });
    });
    // It may end without reading all of its input.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
