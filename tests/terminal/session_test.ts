/**
 * A session on a real pseudo-terminal; more of them are in `session_deep_test.ts`. What the window
 * showed at the end is kept in `.cache/terminal`.
 *
 * @module
 */

import { assert, assertMatch } from "@std/assert";
import { test } from "../_support/harness.ts";
import { signIn } from "../sandbox/person.ts";
import { assertRestored, here, KEYBOARD, PAGE, PROMPT, session, skipOn } from "./_session.ts";

for (const runtime of here === "deno" ? ["deno", "bun"] as const : [here]) {
  const skip = skipOn(runtime);
  const options = { breaks: [KEYBOARD], ...(skip === undefined ? {} : { skip }) };

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
}
