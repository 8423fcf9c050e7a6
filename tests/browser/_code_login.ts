/**
 * Signing in by authorization code in a real browser, as one test for each runtime.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { isRefused } from "../callback/_raw.ts";
import { test } from "../_support/harness.ts";
import { withSandbox } from "../sandbox/sandbox.ts";
import { withBrowser } from "./_chromium.ts";
import { optionsFor, PAGE, picture, Program, submitName } from "./_program.ts";

/** The port of the listener that an authorization URL leads back to. */
export function portOf(url: string): number {
  return Number(new URL(new URL(url).searchParams.get("redirect_uri")!).port);
}

/** Registers the test of a program on `runtime`. */
export function testCodeLogin(runtime: "deno" | "bun"): void {
  test(
    `Chromium signs in by authorization code to a program on ${runtime}, after back and retry`,
    async () => {
      await withSandbox((sandbox) =>
        withBrowser(async (context) => {
          const program = new Program(runtime, sandbox);
          try {
            const page = await context.newPage();
            const [url] = await program.until(PAGE);
            const port = portOf(url);
            // Somebody else's answer in another tab ends nothing.
            const other = await context.newPage();
            const stale = await other.goto(`http://localhost:${port}/callback?code=x&state=stale`);
            assertEquals(stale?.status(), 400);
            assertMatch(await other.innerText("main"), /has expired/);
            await page.goto(url);
            await submitName(page);
            await page.waitForURL(/interaction/);
            await page.goBack();
            await page.goto(url);
            if (await page.evaluate<boolean>("document.querySelector('[name=login]') !== null")) {
              await submitName(page);
            }
            const visited: string[] = [];
            page.on("request", (request) => visited.push(request.url()));
            await page.click('button[type="submit"]');
            await page.waitForURL(/\/callback$/);
            assertMatch(await page.innerText("main"), /You are signed in[\s\S]*my-app/);
            assertEquals(page.url(), `http://localhost:${port}/callback`);
            assert(visited.some((one) => /\/callback\?code=/.test(one)), "It came with a code.");
            await program.until(/RESULT signed in/);
            const before = Date.now();
            while (!await isRefused(port) || !await isRefused(port, "::1")) {
              assert(Date.now() - before < 1_000, "The listener is still there.");
            }
            if (runtime === "deno") await picture(page, "login-success");
            await page.goBack();
            assert(!page.url().includes("code="), "The code is in the history.");
          } finally {
            await program.close();
          }
        })
      );
    },
    optionsFor(runtime),
  );
}
