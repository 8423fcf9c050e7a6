import { assert, assertEquals } from "@std/assert";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import process from "node:process";
import { ProgressScreen } from "../../lib/terminal/progress.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startCommand } from "../processes/workers.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const ESC = "\x1b";

/** A screen that remembers, with a clock driven by hand. */
function screen(port: { isTerminal?: boolean; hasColour?: boolean; columns?: number } = {}) {
  const { columns = 100, hasColour = false, isTerminal = true } = port;
  const seen = { text: "", at: 0 };
  const shown = new ProgressScreen({
    write: (text) => void (seen.text += text),
    isTerminal,
    hasColour,
    size: () => ({ columns, rows: 24 }),
  }, () => seen.at);
  return {
    at(ms: number, name: string, received: number, total?: number): string {
      seen.at = ms;
      seen.text = "";
      shown.show({ name, received, ...(total === undefined ? {} : { total }), resumed: false });
      return seen.text;
    },
  };
}

test("ProgressScreen shows bar, speed and time left, and keeps what is done", () => {
  const { at } = screen();
  assertEquals(at(0, "a.tif", 0, 4e6), `a.tif  ${"░".repeat(20)}  0 %  0 B of 4.0 MB\r\n`);
  assertEquals(at(50, "a.tif", 1e6, 4e6), "");
  assertEquals(
    at(1000, "a.tif", 1e6, 4e6),
    `${ESC}[1A\r${ESC}[Ja.tif  ${"█".repeat(5)}${
      "░".repeat(15)
    }  25 %  1.0 MB of 4.0 MB  1.0 MB/s  0:03 left\r\n`,
  );
  const two = at(2000, "b", 5e5);
  assert(two.startsWith(`${ESC}[1A\r${ESC}[J`) && two.endsWith("\r\nb  500 kB\r\n"), two);
  const done = at(4000, "a.tif", 4e6, 4e6);
  assertEquals(done, `${ESC}[2A\r${ESC}[Ja.tif  4.0 MB  1.0 MB/s\r\nb  500 kB\r\n`);
  assert(at(6000, "b", 6e5, 1e9).includes("0 %  600 kB of 1.0 GB  25.0 kB/s  11:06:16 left"));
});

test("ProgressScreen: speed is that of the last seconds; a file begun anew has none yet", () => {
  const { at } = screen();
  at(0, "a", 0, 1e9);
  for (let ms = 1000; ms <= 10_000; ms += 1000) at(ms, "a", ms * 1000, 1e9);
  for (let ms = 11_000; ms < 16_000; ms += 1000) at(ms, "a", 1e7 + (ms - 10_000) * 100, 1e9);
  assert(at(16_000, "a", 1e7 + 600_000, 1e9).includes("  100 kB/s"));
  assert(!at(17_000, "a", 0, 1e9).includes("/s"));
});

test("ProgressScreen fits into the window, shows no control characters, and colours only if welcome", () => {
  const narrow = screen({ columns: 40 });
  const line = narrow.at(0, `${"long".repeat(20)}\x1b[31m.tif`, 5, 10);
  assert(line.trimEnd().length <= 39 && !line.includes(ESC), JSON.stringify(line));
  assert(screen({ hasColour: true }).at(0, "a", 5, 10).includes(`${ESC}[36m██████████${ESC}[39m`));
});

test("ProgressScreen writes few plain lines if stderr is no terminal", () => {
  const { at } = screen({ isTerminal: false });
  assertEquals(at(0, "a", 10, 1000), "a  1 %  10 B of 1.0 kB\n");
  assertEquals(at(14_000, "a", 20, 1000), "");
  assertEquals(at(15_000, "a", 500, 1000), "a  50 %  500 B of 1.0 kB  33 B/s  0:16 left\n");
  assertEquals(at(16_000, "a", 1000, 1000), "a  1.0 kB  62 B/s\n");
});

test("terminalProgress() writes to stderr on this runtime, also what comes before it is loaded", async () => {
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  const folder = await tempFolder();
  try {
    const file = join(folder.path, "program.mjs");
    const report = (received: number) =>
      `onProgress({ name: "scene.tif", received: ${received}, total: 10, resumed: false });`;
    await writeFile(
      file,
      `import { terminalProgress } from ${JSON.stringify(MOD)};
const onProgress = terminalProgress();
${report(1)} ${report(5)}
await new Promise((resolve) => setTimeout(resolve, 500));
${report(10)}`,
    );
    const [path, flags] = startCommand(runtime);
    const { stderr, stdout } = await promisify(execFile)(path, [...flags, file], {
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
      env: { ...process.env, NO_COLOR: "1" },
    });
    assertEquals(stdout, "");
    assertEquals(
      stderr.replace(/ {2}\d+ B\/s/, ""),
      "scene.tif  50 %  5 B of 10 B\nscene.tif  10 B\n",
    );
  } finally {
    await folder.remove();
  }
});
