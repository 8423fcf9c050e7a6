/**
 * Tests that the runner counts what the runtimes print, and nothing else.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "../_support/harness.ts";
import { readCounts, testFiles } from "./suites.ts";

test("readCounts() reads the summary of Deno, steps and ignored tests too", () => {
  const output = "ok | 1 passed | 0 failed\nFAILED | 11 passed (3 steps) | 2 failed | 4 ignored";
  assertEquals(readCounts("deno", output), { passed: 11, failed: 2, skipped: 4 });
});

test("readCounts() reads the summary of Bun", () => {
  const output = " 11 pass\n 4 skip\n 2 fail\nRan 17 tests across 1 file.";
  assertEquals(readCounts("bun", output), { passed: 11, failed: 2, skipped: 4 });
});

test("readCounts() reads the summary of Node", () => {
  const output = "# tests 17\n# pass 11\n# fail 2\n# cancelled 0\n# skipped 4\n";
  assertEquals(readCounts("node", output), { passed: 11, failed: 2, skipped: 4 });
});

test("readCounts() takes a run without a summary for no run", () => {
  assertEquals(readCounts("deno", "error: Type checking failed."), undefined);
  assertEquals(readCounts("bun", "panic: 3 passengers"), undefined);
  assertEquals(readCounts("node", ""), undefined);
});

test("testFiles() keeps deep files out, unless they are asked for or named", () => {
  const usual = testFiles("usual");
  assert(usual.includes("tests/_tools/suites_test.ts"));
  assert(usual.every((name) => !/_(deep|real)_test\.ts$/.test(name)));
  assert(testFiles("deep").every((name) => name.endsWith("_deep_test.ts")));
  assertEquals(testFiles("deep", ["_tools/suites_test"]), ["tests/_tools/suites_test.ts"]);
  assertEquals(testFiles("usual", ["servers/"]).filter((name) => /_real_/.test(name)), []);
  assert(testFiles("real").every((name) => /^tests\/servers\/\w+_real_test\.ts$/.test(name)));
});
