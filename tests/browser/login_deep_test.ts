/**
 * A real browser signs in at the sandbox's own pages, for programs on Deno and on Bun; and looks at
 * every page of the listener. The pictures are kept in `.cache/screenshots`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type CallbackPageKind, page as callbackPage } from "../../lib/callback/handler.ts";
import { test } from "../_support/harness.ts";
import { withSandbox } from "../sandbox/sandbox.ts";
import { withBrowser } from "./_chromium.ts";
import { isRefused } from "../callback/_raw.ts";
import { portOf, testCodeLogin } from "./_code_login.ts";
import { noBrowser, optionsFor, PAGE, picture, Program, submitName } from "./_program.ts";

testCodeLogin("bun");

for (const runtime of ["deno", "bun"] as const) {
  test(`Chromium denies a program on ${runtime}, and signs in at the second try`, async () => {
    await withSandbox((sandbox) =>
      withBrowser(async (context) => {
        const page = await context.newPage();
        const refused = new Program(runtime, sandbox);
        try {
          await page.goto((await refused.until(PAGE))[0]);
          await submitName(page);
          await page.click('a[href$="/abort"]');
          await page.waitForURL(/\/callback$/);
          assertMatch(await page.innerText("main"), /was cancelled/);
          await refused.until(/RESULT access_denied/);
        } finally {
          await refused.close();
        }
        const again = new Program(runtime, sandbox);
        try {
          await page.goto((await again.until(PAGE))[0]);
          if (await page.evaluate<boolean>("document.querySelector('[name=login]') !== null")) {
            await submitName(page);
          }
          await page.click('button[type="submit"]');
          await page.waitForURL(/\/callback$/);
          await again.until(/RESULT signed in/);
        } finally {
          await again.close();
        }
      })
    );
  }, optionsFor(runtime));

  test(
    `Chromium stays connected, and the listener of a program on ${runtime} is gone within 1 s of abort and timeout`,
    async () => {
      await withSandbox((sandbox) =>
        withBrowser(async (context) => {
          for (
            const [name, end] of [["LOGIN_ABORT_MS", "stopped"], [
              "LOGIN_TIMEOUT_MS",
              "login_timeout",
            ]]
          ) {
            const program = new Program(runtime, sandbox, { [name!]: "6000" });
            try {
              const [url] = await program.until(PAGE);
              const port = portOf(url);
              const page = await context.newPage();
              assertEquals((await page.goto(`http://localhost:${port}/elsewhere`))?.status(), 404);
              await program.until(new RegExp(`RESULT ${end}`));
              const before = Date.now();
              while (!await isRefused(port) || !await isRefused(port, "::1")) {
                assert(Date.now() - before < 1_000, "The listener is still there.");
              }
              await page.close();
            } finally {
              await program.close();
            }
          }
        })
      );
    },
    optionsFor(runtime),
  );

  test(`Chromium signs in by device code to a program on ${runtime}, and denies one`, async () => {
    await withSandbox((sandbox) =>
      withBrowser(async (context) => {
        for (const answer of ["confirm", "abort"] as const) {
          const program = new Program(runtime, sandbox, { LOGIN_FLOW: "device" });
          try {
            const [, code = ""] = await program.until(/check that the page shows it:\s*(\S+)/);
            const page = await context.newPage();
            await page.goto(`${sandbox.environment.userAuthServer}device`);
            await page.fill('input[name="user_code"]', code);
            await page.click("button");
            assertMatch(await page.innerText("body"), new RegExp(code));
            if (answer === "abort") {
              await page.evaluate(
                "(() => { const form = document.querySelector('form'); " +
                  "form.insertAdjacentHTML('beforeend', '<input type=hidden name=abort value=yes>'); " +
                  "form.querySelector('[name=confirm]')?.remove(); form.submit(); })()",
              );
              await program.until(/RESULT access_denied/);
            } else {
              await page.click("button");
              await submitName(page);
              await page.click('button[type="submit"]');
              await program.until(/RESULT signed in/);
              assertMatch(await page.innerText("h1"), /Signed in/);
            }
          } finally {
            await program.close();
          }
        }
      })
    );
  }, optionsFor(runtime));
}

const KINDS: readonly CallbackPageKind[] = [
  "success",
  "denied",
  "failed",
  "received",
  "wrong",
  "not_found",
];

test(
  `Chromium shows every page as meant, light, dark and small (pictures in .cache/screenshots)`,
  async () => {
    const applicationName = "Field Mapper";
    const server = createServer((request, response) => {
      const kind = request.url!.slice(1) as CallbackPageKind;
      const { body, headers, status } = callbackPage(kind, { applicationName });
      response.writeHead(status, headers).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      await withBrowser(async (context) => {
        for (const kind of KINDS) {
          const page = await context.newPage();
          const complaints: string[] = [];
          const asked: string[] = [];
          page.on("console", (message) => complaints.push(message.text()));
          page.on("request", (request) => asked.push(new URL(request.url()).pathname));
          await page.goto(`${origin}/${kind}`);
          assertEquals(
            complaints.filter((text) => !/Failed to load resource.*(400|404)/.test(text)),
            [],
          );
          assertEquals(asked.filter((path) => path !== "/favicon.ico"), [`/${kind}`]);
          // What a screen reader has: one region, one heading, the text.
          const spoken = await page.locator("body").ariaSnapshot();
          assertMatch(spoken, /^- main:\s+- heading ".+" \[level=1\]\s+- paragraph/);
          assertMatch(await page.title(), / – Field Mapper$/);
          const colours: string[] = [];
          for (const colorScheme of ["light", "dark"] as const) {
            await page.emulateMedia({ colorScheme });
            colours.push(
              await page.evaluate(
                "getComputedStyle(document.querySelector('main')).backgroundColor",
              ),
            );
          }
          assertEquals(colours, ["rgb(255, 255, 255)", "rgb(24, 33, 42)"]);
          await page.setViewportSize({ width: 320, height: 480 });
          assertEquals(
            await page.evaluate("document.documentElement.scrollWidth"),
            320,
            "Nothing sticks out on a small phone.",
          );
          await picture(page, `page-${kind}`);
          await page.close();
        }
      });
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  },
  { ...(noBrowser === undefined ? {} : { skip: noBrowser }), timeoutMs: 90_000 },
);
