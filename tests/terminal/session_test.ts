/**
 * Sessions on a real pseudo-terminal: what a person sees and types. What the windows showed at
 * the end is kept in `.cache/terminal`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "../_support/harness.ts";
import { approveDevice, deny, signIn } from "../sandbox/person.ts";
import { findRuntime } from "../sandbox/run_example.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { commandLine, missingTmux, openWindow, RECORDS, type Window } from "./_tmux.ts";

const PROGRAM = fileURLToPath(new URL("./_login.ts", import.meta.url));
type Name = "deno" | "bun" | "node";
const here: Name = "Deno" in globalThis ? "deno" : process.versions.bun ? "bun" : "node";

function skipOn(runtime: Name): string | undefined {
  const found = findRuntime(runtime);
  return missingTmux ?? ("missing" in found ? found.missing : undefined);
}

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
async function session(
  name: string,
  options: { runtime?: Name; line?: string; columns?: number; env?: Record<string, string> },
  body: (window: Window, sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  const { line = "{}", runtime = here } = options;
  await withSandbox(async (sandbox) => {
    const window = openWindow(line.replace("{}", commandLine(runtime, PROGRAM)), {
      ...(options.columns === undefined ? {} : { columns: options.columns }),
      env: envOf(sandbox, options.env),
    });
    try {
      await body(window, sandbox);
    } finally {
      window.close(`${name}-${runtime}`);
    }
  });
}

const PAGE = /http:\/\/127\.0\.0\.1:\d+\/auth\?\S+/;
const PROMPT = /paste the code, or the address .*left\]/;

/** The terminal is as it was: keys echo, lines are lines, Ctrl-C is a signal; the next line is whole. */
async function assertRestored(window: Window, code: number): Promise<void> {
  await window.until(new RegExp(`EXIT ${code}`));
  const [mode] = await window.until(/.*MODE/);
  for (const flag of ["isig", "icanon", "echo"]) {
    assert(new RegExp(`(^| )${flag} `).test(mode), `${flag} in ${mode}`);
  }
  window.type("next line");
  window.press("Enter");
  await window.until(/NEXT next line/);
}

for (const runtime of here === "deno" ? ["deno", "bun"] as const : [here]) {
  const skip = skipOn(runtime);
  const options = { ...(skip === undefined ? {} : { skip }) };

  test(
    `terminal under ${runtime}: the address is pasted without echo, and the listener is not needed`,
    async () => {
      await session("paste", { runtime }, async (window) => {
        const [url] = await window.until(PAGE);
        await window.until(PROMPT);
        const { callback } = await signIn(url, { deliver: false });
        window.type("http://127.0.0.1/wrong?code=other&state=wrong");
        window.press("Enter");
        await window.until(/belongs to another sign-in/);
        await window.until(PROMPT);
        window.type("slip");
        window.press("BSpace");
        await window.until(/\(3 characters\)/);
        window.press("C-u");
        window.type(callback!.href);
        window.press("Enter");
        await window.until(/RESULT signed in/);
        await assertRestored(window, 0);
        const shown = window.look();
        for (const secret of [callback!.searchParams.get("code")!, "code=other", "slip"]) {
          assert(!shown.includes(secret), "What was pasted is on the screen.");
        }
        assertMatch(shown, new RegExp(`\\(${callback!.href.length} characters\\)`));
      });
    },
    options,
  );

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
      await session("abort", { runtime, env: { LOGIN_ABORT_MS: "1500" } }, async (window) => {
        await window.until(PROMPT);
        await window.until(/RESULT stopped/);
        await assertRestored(window, 3);
      });
    },
    options,
  );
}

const skip = skipOn(here);
const options = { ...(skip === undefined ? {} : { skip }) };

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
        const [, code] = await window.until(/check that the\s*page shows it:\s*(\S{4}-\S{4})/);
        const waiting = columns === 100
          ? /Waiting, \d+:\d\d left; Ctrl-C/
          : /Waiting, \d+:\d\d left/;
        await window.until(waiting);
        const shown = window.look();
        assertEquals(/[█▀▄]{5}/.test(shown), columns === 100);
        assertEquals(shown.includes("scan the square"), columns === 100);
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

test("terminal: bold on a terminal, nothing of it with NO_COLOR", async () => {
  for (const [env, name] of [[{}, "colour"], [{ NO_COLOR: "1" }, "no-colour"]] as const) {
    await session(name, { env: { ...env, LOGIN_FLOW: "device" } }, async (window) => {
      await window.until(/Waiting/);
      const escapes = window.look({ colours: true }).includes("\x1b[");
      assertEquals(escapes, name === "colour");
      assertMatch(window.look(), /[█▀▄]{5}/);
      window.press("C-c");
      await assertRestored(window, 130);
    });
  }
}, options);

test(
  "terminal: piped output is plain lines on stderr, and stdout is the program's alone",
  async () => {
    const folder = `${RECORDS}piped`;
    rmSync(folder, { recursive: true, force: true });
    const line = `mkdir -p ${folder}; {} </dev/null 2>${folder}/stderr | cat >${folder}/stdout`;
    await session("piped", { line }, async (window) => {
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
      // deno-lint-ignore no-control-regex
      assert(
        !/[\x00-\x09\x0b-\x1f\x7f]|left/.test(read("stderr")),
        "Something in it is no plain line.",
      );
    });
  },
  options,
);

test("terminal: where no browser can open, the person is told why and what to do", async () => {
  const env = { LOGIN_BROWSER: "yes", SSH_CONNECTION: "1" };
  await session("ssh", { env }, async (window) => {
    const [url] = await window.until(PAGE);
    await window.until(/\(this is an SSH session\): open the page yourself.*copy that address/);
    await signIn(url);
    await window.until(/RESULT signed in/);
  });
}, options);
