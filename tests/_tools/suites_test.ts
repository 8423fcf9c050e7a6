/**
 * Tests that the runner counts what the runtimes print, and nothing else.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "../_support/harness.ts";
import { readCounts, readFailures, RUNTIMES, testFiles } from "./suites.ts";

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

test("readFailures() gives what the runtimes say of a failed test, and of no other", () => {
  const outputs = {
    deno: "a ... ok (1ms)\nb ... FAILED (1ms)\n\n ERRORS \n\nb => ./x.ts:3\nerror: why\n\n" +
      " FAILURES \n\nb => ./x.ts:3\n\nFAILED | 1 passed | 1 failed",
    bun: "(pass) a [1ms]\n3 | assert(false)\nerror: why\n(fail) b [1ms]\n\n 1 pass\n 1 fail\n",
    node: "ok 1 - a\n  ---\n  ...\nnot ok 2 - b\n  ---\n  error: 'why'\n  ...\n1..2\n# fail 1\n",
  };
  for (const runtime of RUNTIMES) {
    const [failure = "", ...others] = readFailures(runtime, outputs[runtime]);
    assertEquals(others, []);
    assertMatch(failure, /\bb\b[\s\S]*why|why[\s\S]*\bb\b/);
    assert(!/\ba\b|pass/.test(failure), failure);
  }
  assertEquals(readFailures("deno", "error: Type checking failed."), [
    "error: Type checking failed.",
  ]);
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
