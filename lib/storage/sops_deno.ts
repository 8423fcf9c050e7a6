/**
 * Runs `sops` with Deno's own calls.
 *
 * @module
 */

import type { SopsResult } from "./sops.ts";

/** Runs `sops` with `input` in its pipe; `undefined` where there is no such program. */
export async function runSops(
  args: readonly string[],
  input: string,
  timeoutMs: number,
): Promise<SopsResult | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("sops", {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const timer = setTimeout(() => child.kill(), timeoutMs);
  try {
    const write = async () => {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input));
      await writer.close();
    };
    // It may end without reading all of its input.
    const [{ code, stdout }] = await Promise.all([child.output(), write().catch(() => {})]);
    return { code, output: new TextDecoder().decode(stdout) };
  } finally {
    clearTimeout(timer);
  }
}
