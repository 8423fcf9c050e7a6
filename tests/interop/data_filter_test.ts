/**
 * Filters from random arguments, made by us and by the Planet SDK for Python.
 *
 * @module
 */
import { test } from "../_support/harness.ts";
import { compareFilters } from "./_filters.ts";
import { SKIP_BUT_DENO, withPython } from "./python.ts";

test(
  "dataFilter: 600 filters of random arguments are those of Python, but for the written list",
  async () => {
    await withPython(async (world) => {
      console.log(await compareFilters(world, 600, 16));
    });
  },
  { skip: SKIP_BUT_DENO, timeoutMs: 60_000 },
);
