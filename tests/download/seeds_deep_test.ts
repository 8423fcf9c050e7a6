import { assert } from "@std/assert";
import { test } from "../_support/harness.ts";
import { downloadSeeds } from "./_seeds.ts";

test(
  "bodies cut or stalled at random bytes: one version whole, or a typed error (300 seeds)",
  async () => {
    const tally = await downloadSeeds(1_000, 300);
    console.log(JSON.stringify(tally));
    assert(tally.whole > 200 && tally.breaks > 200, JSON.stringify(tally));
  },
  { timeoutMs: 600_000 },
);
