import { assert } from "@std/assert";
import { test } from "../_support/harness.ts";
import { downloadSeeds } from "./_seeds.ts";

test("bodies cut or stalled at random bytes: one version whole, or a typed error (40 seeds)", async () => {
  const tally = await downloadSeeds(1, 40);
  assert(tally.whole > 20 && tally.breaks > 20, JSON.stringify(tally));
});
