/**
 * A list of 100,000 items.
 *
 * @module
 */
import { test } from "../_support/harness.ts";
import { readLongList } from "./_lists.ts";

test("search() reads 100,000 items, each page once, in flat memory", async () => {
  console.log(await readLongList(100_000));
}, { timeoutMs: 180_000 });
