/**
 * How far downloads are, on a real pseudo-terminal: bars for several files, in windows of several sizes.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { test } from "../_support/harness.ts";
import { here, KEYBOARD, skipOn } from "./_session.ts";
import { commandLine, openWindow } from "./_tmux.ts";

const PROGRAM = fileURLToPath(new URL("./_progress.ts", import.meta.url));
const skip = skipOn(here);

for (const [columns, rows] of [[80, 24], [200, 50], [40, 24], [80, 4]] as const) {
  test(
    `terminal ${columns}x${rows}: a bar for each file stays in its line, another line stays above`,
    async () => {
      // What it prints itself, and the Enter that it waits for, must not move the bars.
      const line = `stty -echo; ${commandLine(here, PROGRAM)} 2>&1 >/dev/null`;
      const window = openWindow(line, { columns, rows });
      try {
        await window.until(/^2026.* 50 %/m);
        const shown = window.rows().map((row) => row.trimEnd()).filter((row) => row !== "");
        const bars = shown.filter((row) => /[█░]|\d %/.test(row));
        const most = Math.min(3, rows - 2);
        assertEquals(bars.length, most, shown.join("\n"));
        assertMatch(bars[0]!, /^2026/);
        if (columns >= 80) {
          assertMatch(
            bars[0]!,
            /^20260101_psscene\.tif {2}█+░+ {2}50 % {2}50\.0 MB of 100 MB/,
          );
          assertMatch(bars[0]!, / MB\/s/);
        }
        if (columns === 200) assertMatch(bars[0]!, /B\/s {2}\d+:\d\d left$/);
        assert(bars[1]!.startsWith("北京市朝阳"), bars[1]);
        // Everything before is there once: nothing was left behind by an older bar.
        assertEquals(window.look().split("\n").filter((row) => /[█░]|\d %/.test(row)).length, most);
        assertEquals(window.look().match(/^c\.xml is active$/gm)?.length, 1, window.look());
        window.press("Enter");
        await window.until(/EXIT 0/);
        const done = window.look();
        assertEquals(/[█░]/.test(done), false, done);
        for (const name of ["20260101_psscene.tif", "北京市朝阳", "c.xml"]) {
          assertEquals(
            done.split("\n").filter((row) => row.includes(name) && /100 MB/.test(row)).length,
            1,
            done,
          );
        }
      } finally {
        window.close(`progress-${columns}x${rows}-${here}`);
      }
    },
    { breaks: [KEYBOARD], timeoutMs: 60_000, ...(skip === undefined ? {} : { skip }) },
  );
}

test(
  "terminal: progress in colour on a terminal, without it by NO_COLOR, plain lines when piped",
  async () => {
    const program = commandLine(here, PROGRAM);
    for (
      const [name, line, env] of [
        ["colour", program, {}],
        ["no-colour", program, { NO_COLOR: "1" }],
        ["piped", `${program} 2>&1 | cat`, {}],
      ] as const
    ) {
      const window = openWindow(line, { env, columns: 120 });
      try {
        await window.until(/HALF/);
        const shown = window.look({ colours: true });
        assertEquals(shown.includes("\x1b[36m█"), name === "colour", JSON.stringify(shown));
        assertEquals(/█/.test(shown), name !== "piped");
        window.press("Enter");
        await window.until(/EXIT 0/);
        if (name === "piped") {
          assertMatch(window.look(), /^20260101_psscene\.tif {2}0 % {2}0 B of 100 MB$/m);
          assertMatch(window.look(), /^c\.xml {2}100 MB {2}[\d.]+ MB\/s$/m);
        }
      } finally {
        window.close(`progress-${name}-${here}`);
      }
    }
  },
  { breaks: [KEYBOARD], timeoutMs: 90_000, ...(skip === undefined ? {} : { skip }) },
);
