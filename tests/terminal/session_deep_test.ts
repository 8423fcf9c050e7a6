/**
 * Sessions on a real pseudo-terminal: what a person sees and types. What the windows showed at
 * the end is kept in `.cache/terminal`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFileSync, rmSync } from "node:fs";
import { test } from "../_support/harness.ts";
import { approveDevice, deny, signIn } from "../sandbox/person.ts";
import {
  ASKED,
  assertRestored,
  here,
  KEYBOARD,
  PAGE,
  PROMPT,
  session,
  skipOn,
} from "./_session.ts";
import { RECORDS } from "./_tmux.ts";

// deno-lint-ignore no-control-regex
const NOT_PLAIN = /[\x00-\x09\x0b-\x1f\x7f]|left/;

for (const runtime of here === "deno" ? ["deno", "bun"] as const : [here]) {
  const skip = skipOn(runtime);
  const options = { breaks: [KEYBOARD], ...(skip === undefined ? {} : { skip }) };

  test(`terminal under ${runtime}: the browser is faster, and the keyboard is let go`, async () => {
    await session("browser", { runtime }, async (window) => {
      const [url] = await window.until(PAGE);
      await window.until(PROMPT);
      window.type("half a pas");
      assertMatch((await signIn(url)).text, /You are signed in/);
      await window.until(/RESULT signed in/);
      await assertRestored(window, 0);
      assert(!window.look().includes("left]"), "The changing line is gone.");
    });
  }, options);

  test(
    `terminal under ${runtime}: Ctrl-C and an abort end the login, and restore the terminal`,
    async () => {
      await session("ctrl-c", { runtime }, async (window) => {
        await window.until(PROMPT);
        window.press("C-c");
        await window.until(/RESULT login_cancelled/);
        await assertRestored(window, 3);
      });
      await session("abort", { runtime, env: { LOGIN_ABORT_MS: "3000" } }, async (window) => {
        await window.until(PROMPT);
        await window.until(/RESULT stopped/);
        await assertRestored(window, 3);
      });
    },
    options,
  );
}

const skip = skipOn(here);
const options = { breaks: [KEYBOARD], ...(skip === undefined ? {} : { skip }) };

test(
  "terminal: in a narrow window the question is a paragraph, and the line below stays one",
  async () => {
    await session("narrow", { columns: 40 }, async (window) => {
      const [url] = await window.until(PAGE);
      await window.until(/^> \[\d+:\d\d left\]/m);
      window.resize(24);
      await new Promise((resolve) => setTimeout(resolve, 2_200));
      const lines = window.rows().filter((row) => row.includes("left]"));
      assertEquals(lines.length, 1, "The line is written over, not again below.");
      window.resize(40);
      await signIn(url);
      await window.until(/RESULT signed in/);
    });
  },
  options,
);

test(
  "terminal: a device login shows address, code and, where it fits, a square to scan",
  async () => {
    for (const [columns, name] of [[100, "device-wide"], [30, "device-narrow"]] as const) {
      const env = { LOGIN_FLOW: "device" };
      await session(name, { columns, env }, async (window, sandbox) => {
        const [, code] = await window.until(/shows\s+it:\s*(\S{4}-\S{4})/);
        const waiting = columns === 100
          ? /Waiting, \d+:\d\d left; Ctrl-C/
          : /Waiting, \d+:\d\d left/;
        await window.until(waiting);
        const shown = window.look();
        assertEquals(/[█▀▄]{5}/.test(shown), columns === 100);
        assertEquals(/scan the\s+square/.test(shown), columns === 100);
        const page = `${sandbox.environment.userAuthServer}device`;
        assert(shown.includes(page));
        await approveDevice(page, code!);
        await window.until(/RESULT signed in/);
        await assertRestored(window, 0);
      });
    }
  },
  options,
);

for (const [columns, rows] of [[80, 24], [200, 50]] as const) {
  const size = `${columns}x${rows}`;
  const at = { columns, rows };

  test(`terminal of ${size}: bold, and nothing of it with NO_COLOR`, async () => {
    for (const [env, name] of [[{}, "colour"], [{ NO_COLOR: "1" }, "no-colour"]] as const) {
      await session(
        `${name}-${size}`,
        { ...at, env: { ...env, LOGIN_FLOW: "device" } },
        async (window) => {
          await window.until(/Waiting/);
          const escapes = window.look({ colours: true }).includes("\x1b[");
          assertEquals(escapes, name === "colour");
          assertEquals(/[█▀▄]{5}/.test(window.look()), rows === 50);
          window.press("C-c");
          await assertRestored(window, 130);
        },
      );
    }
  }, options);

  test(
    `terminal of ${size}: piped output is plain lines on stderr, and stdout is the program's alone`,
    async () => {
      const folder = `${RECORDS}piped-${size}`;
      rmSync(folder, { recursive: true, force: true });
      const line = `mkdir -p ${folder}; {} 2>${folder}/stderr | cat >${folder}/stdout`;
      await session(`piped-${size}`, { ...at, line }, async (window) => {
        const read = (name: string) => {
          try {
            return readFileSync(`${folder}/${name}`, "utf8");
          } catch {
            return "";
          }
        };
        const limit = Date.now() + 20_000;
        while (!PAGE.test(read("stderr")) && Date.now() < limit) {
          await new Promise((resolve) => setTimeout(resolve, 40));
        }
        await deny(PAGE.exec(read("stderr"))![0]);
        await window.until(/EXIT 0/);
        assertEquals(read("stdout"), "RESULT access_denied\n");
        assert(
          !NOT_PLAIN.test(read("stderr")),
          "Something in it is no plain line.",
        );
      });
    },
    options,
  );

  test(
    `terminal of ${size}: without one, and without a browser, the login fails at once and shows nothing`,
    async () => {
      for (
        const [who, env] of [["nobody", {}], ["nobody-ssh", { LOGIN_BROWSER: "yes" }]] as const
      ) {
        const name = `${who}-${size}`;
        const folder = `${RECORDS}${name}`;
        rmSync(folder, { recursive: true, force: true });
        const files = `</dev/null 2>${folder}/stderr >${folder}/stdout`;
        const line = `mkdir -p ${folder}; {} ${files}; cat ${folder}/stdout`;
        for (const flow of ["code", "device"]) {
          const before = Date.now();
          await session(
            name,
            { ...at, line, env: { ...env, LOGIN_FLOW: flow } },
            async (window) => {
              await window.until(/RESULT unsupported_runtime/);
              assert(Date.now() - before < 15_000);
              assertMatch(
                readFileSync(`${folder}/stderr`, "utf8"),
                /^Run this in a terminal, .*\.\n$/,
              );
            },
          );
        }
      }
    },
    options,
  );

  test(
    `terminal of ${size}: with stdout in a file, the question on stderr can be answered`,
    async () => {
      const file = `${RECORDS}stdout-${size}.txt`;
      rmSync(file, { force: true });
      await session(
        `stdout-${size}`,
        { ...at, line: `mkdir -p ${RECORDS}; {} >${file}` },
        async (window) => {
          const [url] = await window.until(PAGE);
          await window.until(ASKED);
          window.type((await signIn(url, { deliver: false })).callback!.href);
          window.press("Enter");
          await assertRestored(window, 0);
          assertEquals(readFileSync(file, "utf8"), "RESULT signed in\n");
        },
      );
    },
    options,
  );
}

test("terminal: where no browser can open, the person is told why and what to do", async () => {
  const env = { LOGIN_BROWSER: "yes", SSH_CONNECTION: "1" };
  await session("ssh", { env }, async (window) => {
    const [url] = await window.until(PAGE);
    await window.until(
      /\(this is an SSH session\): open the page yourself[\s\S]*copy that\s+address/,
    );
    await signIn(url);
    await window.until(/RESULT signed in/);
  });
}, options);
