import { assert, assertEquals } from "@std/assert";
import { test } from "../_support/harness.ts";
import { cells, counts, runMatrix, table, unexplained } from "./_matrix.ts";

test("the fault matrix, whole: every cell ends as the rules say, and no secret shows", async () => {
  const { limits, results } = await runMatrix(cells());
  console.log(`${table(results)}\n\n${counts(results)}`);
  assertEquals(unexplained(results), "");
  assert(results.length >= 400, `only ${results.length} cells`);
  assert(limits >= 14, `only ${limits} time limits of the library were at work`);
}, {
  breaks: [{ rule: "short secret", where: "ID token", why: "Odd ID tokens are among the faults." }],
  timeoutMs: 300_000,
});
