/**
 * Runs a program to its end while this one goes on serving it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { basename } from "node:path";
import process from "node:process";
import { see } from "../_support/watch.ts";

/** How a program is run. */
export interface CommandOptions {
  /** Its folder. */
  cwd?: string;
  /** Variables beside those of this program; `undefined` takes one away. */
  env?: Record<string, string | undefined>;
  /** Whether it gets the variables of this program at all; default true. */
  inherit?: boolean;
  /** Longest time in milliseconds; default two minutes. */
  timeoutMs?: number;
}

/** How a program ended. */
export interface CommandResult {
  /** Exit code; `null` after a signal. */
  code: number | null;
  /** All that it printed, in order. */
  output: string;
  /** What it printed on stdout. */
  stdout: string;
}

/** Runs a program without a terminal and reads what it prints. */
export function runCommand(
  [program = "", ...args]: readonly string[],
  { cwd, env = {}, inherit = true, timeoutMs = 120_000 }: CommandOptions = {},
): Promise<CommandResult> {
  const variables = { ...(inherit ? process.env : {}), NO_COLOR: "1", ...env };
  const child = spawn(program, args, {
    cwd,
    env: Object.fromEntries(
      Object.entries(variables).filter(([, value]) => value !== undefined),
    ) as Record<string, string>,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => output += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  return new Promise<CommandResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      see("console", `what ${basename(program)} printed`, output);
      resolve({ code, output, stdout });
    });
  }).finally(() => clearTimeout(timer));
}
