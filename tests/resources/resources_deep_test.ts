import { assert, assertEquals } from "@std/assert";
import { test } from "../_support/harness.ts";
import { manyCalls, manyObjects } from "./_many.ts";
import { soak } from "./soak.ts";

test("Auth: 10,000 objects leave nothing behind", () => manyObjects(10_000), {
  timeoutMs: 120_000,
});

test("Auth: 1,000,000 calls of each kind leave nothing behind", () => manyCalls(1_000_000), {
  timeoutMs: 300_000,
});

test(
  "soak: 30 s, 50 callers, 5-second tokens, 5 % faults: no sign-out, no wrong answer, flat memory",
  async () => {
    const report = await soak(30, 50);
    console.log(JSON.stringify({ ...report, wrong: [...new Set(report.wrong)] }));
    assertEquals([report.signOuts, report.reuses, report.wrong], [0, 0, []]);
    assert(report.refreshes >= 4 && report.calls > 1000 && report.faults > 20, "it was at work");
    const [first, last] = report.memoryMiB;
    assert(last < first * 1.5 + 10, `the heap grew from ${first} to ${last} MiB`);
  },
  { timeoutMs: 120_000 },
);
