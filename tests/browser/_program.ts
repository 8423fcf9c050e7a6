/**
 * The program that the browser signs in to, and what the tests do in the browser.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findRuntime } from "../sandbox/run_example.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { commandLine } from "../terminal/_tmux.ts";
import { missingChromium, type Page, PICTURES } from "./_chromium.ts";

const PROGRAM = fileURLToPath(new URL("../terminal/_login.ts", import.meta.url));

/** Why the browser stays closed here; `undefined` where it does not. */
export const noBrowser: string | undefined = "Deno" in globalThis
  ? missingChromium
  : "Deno's turn drives the browser, for a program on Deno and one on Bun";

/** Options of a test with a browser and a program on `runtime`. */
export function optionsFor(runtime: "deno" | "bun"): { skip?: string; timeoutMs: number } {
  const found = findRuntime(runtime);
  const skip = noBrowser ?? ("missing" in found ? found.missing : undefined);
  return { ...(skip === undefined ? {} : { skip }), timeoutMs: 90_000 };
}

/** A program that signs in, and what it said. */
export class Program {
  readonly #child;
  #said = "";
  readonly #ended: Promise<void>;

  /** Starts it. */
  constructor(runtime: "deno" | "bun", sandbox: Sandbox, env: Record<string, string> = {}) {
    this.#child = spawn("sh", ["-c", `exec ${commandLine(runtime, PROGRAM)}`], {
      env: {
        ...process.env as Record<string, string>,
        NO_COLOR: "1",
        LOGIN_UI: "lines",
        LOGIN_ISSUER: sandbox.environment.userAuthServer,
        LOGIN_API: sandbox.url,
        LOGIN_CLIENT: sandbox.clientId,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => this.#said += chunk);
    }
    this.#ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  /** Waits until it said something. */
  async until(what: RegExp): Promise<RegExpExecArray> {
    const limit = Date.now() + 15_000;
    for (;;) {
      const found = what.exec(this.#said);
      if (found !== null) return found;
      if (Date.now() > limit) throw new Error(`It never said ${what}: ${this.#said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/** The page that it asks for. */
export const PAGE = /http:\/\/127\.0\.0\.1:\d+\/auth\?\S+/;

/** Signs in at the sandbox's page. */
export async function submitName(page: Page): Promise<void> {
  await page.fill('input[name="login"]', "alice");
  await page.fill('input[name="password"]', "any");
  await page.click('button[type="submit"]');
}

/** Pictures of what a page shows: light, dark, and on a phone. */
export async function picture(page: Page, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 1000, height: 620 });
    await page.screenshot({ path: `${PICTURES}${name}-${colorScheme}.png` });
    await page.setViewportSize({ width: 360, height: 640 });
    await page.screenshot({ path: `${PICTURES}${name}-${colorScheme}-phone.png` });
  }
  await page.setViewportSize({ width: 1000, height: 620 });
}
