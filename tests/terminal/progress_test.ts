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

/** Lines as they are drawn. */
const bars = (...lines: string[]) =>
  `${lines.map((line) => `${ESC}[2K${line}\r\n`).join("")}${ESC}[J`;

/** A screen that remembers, with a clock driven by hand. */
function screen(
  port: { isTerminal?: boolean; hasColour?: boolean; columns?: number; rows?: number } = {},
) {
  const { columns = 100, hasColour = false, isTerminal = true, rows = 24 } = port;
  const seen = { text: "", at: 0 };
  const shown = new ProgressScreen({
    write: (text) => void (seen.text += text),
    isTerminal,
    hasColour,
    size: () => ({ columns, rows }),
  }, () => seen.at);
  return {
    at(ms: number, name: string, received: number, total?: number): string {
      seen.at = ms;
      seen.text = "";
      shown.show({ name, received, ...(total === undefined ? {} : { total }), resumed: false });
      return seen.text;
    },
    line(text: string): string {
      seen.text = "";
      shown.show(text);
      return seen.text;
    },
  };
}

test("ProgressScreen shows bar, speed and time left, and keeps what is done", () => {
  const { at } = screen();
  assertEquals(at(0, "a.tif", 0, 4e6), bars(`a.tif  ${"░".repeat(20)}  0 %  0 B of 4.0 MB`));
  assertEquals(at(50, "a.tif", 1e6, 4e6), "");
  assertEquals(
    at(1000, "a.tif", 1e6, 4e6),
    `${ESC}[1A\r` + bars(
      `a.tif  ${"█".repeat(5)}${"░".repeat(15)}  25 %  1.0 MB of 4.0 MB  1.0 MB/s  0:03 left`,
    ),
  );
  const two = at(2000, "b", 5e5);
  assert(two.startsWith(`${ESC}[1A\r${ESC}[2K`) && two.endsWith(`\r\n${bars("b  500 kB")}`), two);
  const done = at(4000, "a.tif", 4e6, 4e6);
  assertEquals(done, `${ESC}[2A\r${bars("a.tif  4.0 MB  1.0 MB/s", "b  500 kB")}`);
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
  const shown = (columns: number, name: string) => {
    const one = screen({ columns });
    one.at(0, name, 5e7, 1e9);
    const drawn = one.at(10_000, name, 1e8, 1e9);
    const line = drawn.slice(`${ESC}[1A\r${ESC}[2K`.length, -`\r\n${ESC}[J`.length);
    assertEquals(drawn, `${ESC}[1A\r${bars(line)}`);
    return line;
  };
  const name = "20260101_100000_psscene_AnalyticMS.tif";
  const figures = "10 %  100 MB of 1.0 GB  5.0 MB/s  3:00 left";
  assertEquals(shown(120, name), `${name}  ██${"░".repeat(18)}  ${figures}`);
  assertEquals(shown(80, name), `20260101_100000_psscene…  ${"░".repeat(8)}  ${figures}`);
  assertEquals(shown(60, name), `20260101_1000…  ${figures}`);
  assertEquals(shown(40, name), "20260101_10000…  10 %  100 MB of 1.0 GB");
  // Two columns each.
  assertEquals(shown(60, "北京市朝阳区影像"), `北京市朝阳区…  ${figures}`);
  assertEquals(shown(60, "e\u0301.tif"), `e\u0301.tif  ${"░".repeat(7)}  ${figures}`);
  assert(!shown(80, "\x1b[31m.tif").includes(ESC));
  assertEquals(shown(1, name), "…");
  assert(screen({ hasColour: true }).at(0, "a", 5, 10).includes(`${ESC}[36m██████████${ESC}[39m`));
});

test("ProgressScreen shows no more bars than there are rows, and others' lines above them", () => {
  const low = screen({ rows: 4 });
  for (const name of ["a", "b"]) low.at(0, name, 1);
  const all = `${ESC}[1A\r${bars("a  1 B", "b  1 B")}`;
  assertEquals(low.at(200, "c", 1), all);
  assertEquals(
    low.line("c is\x1b active"),
    `${ESC}[2A\r${bars("c is  active", "a  1 B", "b  1 B")}`,
  );
  assertEquals(screen().line("a is active"), bars("a is active"));
  assertEquals(screen({ isTerminal: false }).line("a is active"), "a is active\n");
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
${report(1)} onProgress("scene is active"); ${report(5)}
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
      "scene.tif  50 %  5 B of 10 B\nscene is active\nscene.tif  10 B\n",
    );
  } finally {
    await folder.remove();
  }
});
