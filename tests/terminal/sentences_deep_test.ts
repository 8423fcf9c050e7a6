/**
 * Each sentence that a person can meet while signing in, on a real pseudo-terminal of two sizes. What
 * the windows showed at the end is kept in `.cache/terminal`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { writeBrowser } from "../sandbox/browser.ts";
import { approveDevice, signIn } from "../sandbox/person.ts";
import { withSandbox } from "../sandbox/sandbox.ts";
import {
  ASKED,
  assertRestored,
  here,
  KEYBOARD,
  oneWindow,
  PAGE,
  session,
  type SessionOptions,
  skipOn,
} from "./_session.ts";
import type { Window } from "./_tmux.ts";

const SIZES = [[80, 24], [200, 50]] as const;

/** What a window shows, as one line. */
const flat = (window: Window) => window.look().replace(/\s+/g, " ");

/** Lines that are longer than the window are addresses alone. */
function assertFits(window: Window, columns: number): void {
  for (const line of window.look().split("\n")) {
    assert(line.length <= columns || /^ {2}\S+$/.test(line), `"${line}" does not fit.`);
  }
}

for (const runtime of here === "deno" ? ["deno", "bun"] as const : [here]) {
  for (const [columns, rows] of SIZES) {
    const size = `${columns}x${rows}`;
    const skip = skipOn(runtime);
    const options = {
      breaks: [KEYBOARD],
      timeoutMs: 120_000,
      ...(skip === undefined ? {} : { skip }),
    };
    const at = (more: Partial<SessionOptions> = {}): SessionOptions => ({
      runtime,
      columns,
      rows,
      ...more,
    });

    test(
      `terminal ${size} under ${runtime}: a browser opens, and one line says who signed in and where that is kept`,
      async () => {
        const { path, remove } = await tempFolder();
        try {
          // As xdg-open does, it hands the page over and ends.
          const browser = `${path}/opener.sh`;
          const person = await writeBrowser(path);
          await writeFile(
            browser,
            `#!/bin/sh\n(sleep 1; exec '${person}' "$@") >/dev/null 2>&1 &\n`,
          );
          await chmod(browser, 0o700);
          const env = {
            LOGIN_BROWSER: "yes",
            LOGIN_KEEP: "yes",
            LOGIN_SCOPES: "planet offline_access openid profile email",
            BROWSER: browser,
            HOME: path,
          };
          await session(`opened-${size}`, at({ env }), async (window) => {
            await window.until(/RESULT signed in/);
            const shown = window.look();
            assertMatch(
              shown,
              /^Sign in to Planet, for my-app: open this page in a browser\.\n\n {2}http\S+\n\n/,
            );
            assertMatch(shown, /^A browser was opened: go on there\.$/m);
            const where = `${path}/.planet/my-app`;
            assert(flat(window).includes(`profile my-app, kept in ${where}.`), shown);
            assert(!shown.includes("paste"), "A paste is of no use.");
            assertFits(window, columns);
            await assertRestored(window, 0);
          });
        } finally {
          await remove();
        }
      },
      options,
    );

    test(
      `terminal ${size} under ${runtime}: a wrong paste, a wrong code, a taken port; the right answer at last`,
      async () => {
        const holder = createServer();
        await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
        const { port } = holder.address() as AddressInfo;
        try {
          const env = { LOGIN_CALLBACK: `http://localhost:${port}/callback` };
          await session(`pasted-${size}`, at({ env }), async (window) => {
            const [url] = await window.until(PAGE);
            await window.until(
              /has to be pasted here\.\s+Stop the\s+program that listens on\s+port/,
            );
            const { callback } = await signIn(url, { deliver: false });
            for (
              const [line, says] of [
                ["two words", /That is no code; please paste it whole/],
                ["http://x/?code=c&state=other", /belongs to another\s+sign-in/],
                ["no-such-code", /server does not take that code/],
              ] as const
            ) {
              await window.until(ASKED);
              window.type(line);
              window.press("Enter");
              await window.until(says);
            }
            window.type(callback!.href);
            window.press("Enter");
            await window.until(/RESULT signed in/);
            assertMatch(
              flat(window),
              /not kept for the next run \(saveStateToStorage is false\)\./,
            );
            assertFits(window, columns);
            await assertRestored(window, 0);
          });
        } finally {
          await new Promise((resolve) => holder.close(resolve));
        }
      },
      options,
    );

    test(
      `terminal ${size} under ${runtime}: after 30 s an error of the browser is spoken of; a limit ends in a line`,
      async () => {
        const env = { LOGIN_HURRY: "yes", LOGIN_TIMEOUT_MS: "2500" };
        await session(`patience-${size}`, at({ env }), async (window) => {
          await window.until(
            /If the browser shows an error, mend that first[\s\S]*must\s+be\s+registered/,
          );
          await window.until(/nobody\s+finished\s+it\s+within\s+3\s+s\.\s+If\s+the\s+browser/);
          await window.until(/RESULT login_timeout/);
          assert(!/^\s+at /m.test(window.look()), "There is a stack.");
          await assertRestored(window, 3);
        });
      },
      options,
    );

    test(
      `terminal ${size} under ${runtime}: Ctrl-C ends in a line; SIGTERM leaves the terminal as it was`,
      async () => {
        await session(`cancel-${size}`, at(), async (window) => {
          await window.until(ASKED);
          window.press("C-c");
          await window.until(/^Start signing in again when you are ready: Ctrl-C cancelled it\.$/m);
          assert(!/^\s+at /m.test(window.look()), "There is a stack.");
          await assertRestored(window, 3);
        });
        const line = `sh -c 'echo PID $$; exec "$@"' sh {}`;
        await session(`sigterm-${size}`, at({ line }), async (window) => {
          const [, pid] = await window.until(/PID (\d+)/);
          await window.until(ASKED);
          window.type("half a li");
          await window.until(/\(9 characters\)/);
          process.kill(Number(pid), "SIGTERM");
          await assertRestored(window, 143);
        });
      },
      options,
    );

    test(
      `terminal ${size} under ${runtime}: another program signs in; Enter takes over, waiting adopts`,
      async () => {
        const { path, remove } = await tempFolder();
        try {
          const env = { LOGIN_KEEP: "yes", HOME: path };
          await withSandbox((sandbox) =>
            oneWindow(`first-${size}`, sandbox, at({ env }), async (first) => {
              const [url] = await first.until(PAGE);
              await oneWindow(`second-${size}`, sandbox, at({ env }), async (second) => {
                await second.until(/^Another program is signing in to profile my-app\./m);
                await oneWindow(`third-${size}`, sandbox, at({ env }), async (third) => {
                  await third.until(/Press Enter to sign in here instead:/);
                  third.press("Enter");
                  const [mine] = await third.until(PAGE);
                  assert(mine !== url);
                  await signIn(mine);
                  await third.until(/RESULT signed in/);
                  await assertRestored(third, 0);
                });
                await signIn(url);
                await first.until(/RESULT signed in/);
                await second.until(/^Signed in by another program: profile my-app, kept in\s/m);
                await second.until(/RESULT signed in/);
                assertEquals(PAGE.test(second.look()), false, "The second one asked nobody.");
                assertFits(second, columns);
                await assertRestored(second, 0);
              });
              await assertRestored(first, 0);
            })
          );
        } finally {
          await remove();
        }
      },
      options,
    );

    test(
      `terminal ${size} under ${runtime}: a device login has a square only if all of it fits`,
      async () => {
        const env = { LOGIN_FLOW: "device" };
        await session(`device-${size}`, at({ env }), async (window, sandbox) => {
          const [, code] = await window.until(/shows\s+it:\s*(\S{4}-\S{4})/);
          await window.until(/Waiting, \d+:\d\d left; Ctrl-C ends it\./);
          assertEquals(/[█▀▄]{5}/.test(window.look()), rows === 50);
          assertEquals(/scan the square/.test(window.look()), rows === 50);
          // Nothing has moved out of sight.
          assertMatch(window.rows().join("\n"), /Sign in to Planet, for my-app/);
          const page = `${sandbox.environment.userAuthServer}device`;
          assert(window.rows().some((row) => row.trim() === page));
          await approveDevice(page, code!);
          await window.until(/RESULT signed in/);
          assertFits(window, columns);
          await assertRestored(window, 0);
        });
      },
      options,
    );
  }
}
