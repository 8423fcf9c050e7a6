/**
 * Lists of 100,000 objects.
 *
 * @module
 */
import { test } from "../_support/harness.ts";
import { KINDS, readLongList } from "./_lists.ts";

for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  test(`${kind}: 100,000 objects, each page once, in flat memory`, async () => {
    console.log(await readLongList(100_000, kind));
  }, { timeoutMs: 180_000 });
}
