import { assert, assertEquals } from "@std/assert";
import { test } from "../_support/harness.ts";
import { FAULTS } from "./_faults.ts";
import { cells, counts, runCell, runMatrix, unexplained } from "./_matrix.ts";

test(
  "the fault matrix, the quick share: every cell ends as the rules say, and no secret shows",
  async () => {
    const { limits, results } = await runMatrix(cells(FAULTS.filter(({ quick }) => quick)));
    console.log(counts(results));
    assertEquals(unexplained(results), "");
    assert(results.length >= 200, `only ${results.length} cells`);
    assert(limits >= 14, `only ${limits} time limits of the library were at work`);
  },
  { timeoutMs: 120_000 },
);

test("the fault matrix bites: a rule that does not hold is reported", async () => {
  const [cell] = cells(FAULTS.filter(({ name }) => name === "reset before"));
  const { expected, fault, flow } = cell!;
  const right = await runCell(flow, fault, expected);
  assertEquals(right.wrong, []);
  const lies = { ...expected, outcome: "ok", requests: 7, stored: "new", elsewhere: 1 } as const;
  assertEquals((await runCell(flow, fault, lies)).wrong.length, 4);
});
