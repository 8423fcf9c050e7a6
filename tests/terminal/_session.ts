/**
 * The sessions that the tests look at: one program, in one window, against one sandbox.
 *
 * @module
 */

import { assert } from "@std/assert";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Break } from "../_support/watch.ts";
import { findRuntime } from "../sandbox/run_example.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { commandLine, missingTmux, openWindow, type Window } from "./_tmux.ts";

/** The program that signs in. */
export const PROGRAM = fileURLToPath(new URL("./_login.ts", import.meta.url));
/** A runtime. */
export type Name = "deno" | "bun" | "node";
/** This one. */
export const here: Name = "Deno" in globalThis ? "deno" : process.versions.bun ? "bun" : "node";

/** Why no session can run on `runtime`; `undefined` where it can. */
export function skipOn(runtime: Name): string | undefined {
  const found = findRuntime(runtime);
  return missingTmux ?? ("missing" in found ? found.missing : undefined);
}

/** What these sessions break. */
export const KEYBOARD: Break = {
  rule: "arguments",
  where: "tmux",
  why: "The keyboard of the terminal is a program: what is pasted is its argument.",
};

/** What the program is told. */
function envOf(sandbox: Sandbox, more: Record<string, string> = {}): Record<string, string> {
  return {
    LOGIN_ISSUER: sandbox.environment.userAuthServer,
    LOGIN_API: sandbox.url,
    LOGIN_CLIENT: sandbox.clientId,
    ...more,
  };
}

/** Runs the program in a window, and closes that whatever happens. */
export async function session(
  name: string,
  options: SessionOptions,
  body: (window: Window, sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  await withSandbox((sandbox) =>
    oneWindow(name, sandbox, options, (window) => body(window, sandbox))
  );
}

/** Where and how a program runs. */
export interface SessionOptions {
  readonly runtime?: Name;
  /** The command line, with `{}` in the place of the program. */
  readonly line?: string;
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Record<string, string>;
}

/** The same, at a sandbox that others use too. */
export async function oneWindow(
  name: string,
  sandbox: Sandbox,
  { columns, env, line = "{}", rows, runtime = here }: SessionOptions,
  body: (window: Window) => Promise<void>,
): Promise<void> {
  const window = openWindow(line.replace("{}", commandLine(runtime, PROGRAM)), {
    ...(columns === undefined ? {} : { columns }),
    ...(rows === undefined ? {} : { rows }),
    env: envOf(sandbox, env),
  });
  try {
    await body(window);
  } finally {
    window.close(`${name}-${runtime}`);
  }
}

/** The page that the program shows. */
export const PAGE = /http:\/\/127\.0\.0\.1:\d+\/auth\?\S+/;
/** The question, on one line or above it, and the time that is left. */
export const ASKED = /(?:[Pp]aste the code, or the address|^> )[\s\S]*left\]/m;
/** The question in a wide window, which is one line. */
export const PROMPT = /paste the code, or the address .*left\]/;

/** The terminal is as it was: keys echo, lines are lines, Ctrl-C is a signal; the next line is whole. */
export async function assertRestored(window: Window, code: number): Promise<void> {
  await window.until(new RegExp(`EXIT ${code}`));
  const [mode] = await window.until(/.*MODE/);
  for (const flag of ["isig", "icanon", "echo"]) {
    assert(new RegExp(`(^| )${flag} `).test(mode), `${flag} in ${mode}`);
  }
  window.type("next line");
  window.press("Enter");
  await window.until(/NEXT next line/);
}
