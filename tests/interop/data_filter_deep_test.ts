/**
 * Many more filters from random arguments, made by us and by the Planet SDK for Python.
 *
 * @module
 */
import { test } from "../_support/harness.ts";
import { compareFilters } from "./_filters.ts";
import { SKIP_BUT_DENO, withPython } from "./python.ts";

test(
  "dataFilter: 10,000 filters of random arguments are those of Python, but for the written list",
  async () => {
    await withPython(async (world) => {
      const seed = Number(Date.now() % 1e9);
      console.log(await compareFilters(world, 10_000, seed));
    });
  },
  { skip: SKIP_BUT_DENO, timeoutMs: 120_000 },
);
