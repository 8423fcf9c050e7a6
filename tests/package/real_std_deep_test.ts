/**
 * The tests with the real `@std` packages, where a checkout of them is at hand.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { noCheckout, runWithRealStd } from "./real_std.ts";

const checkout = process.env.PLANET_STD;
const skip = "Deno" in globalThis
  ? await noCheckout(checkout)
  : "Bun and Node get the stand-ins in any case, because the stable @std/fs needs Deno";

test("all tests pass with the real @std packages under Deno", async () => {
  const { code, output, requests } = await runWithRealStd(checkout!, ["test", "--deno"]);
  assertEquals(code, 0, output);
  assertMatch(output, /^deno: [1-9]\d* passed, 0 failed, \d+ skipped$/m);
  assert(!output.includes("JSR does not answer"), "The stand-ins were used.");
  for (const name of ["assert", "internal"]) {
    assert(requests.some((line) => line.startsWith(`GET /@std/${name}/`)), `@std/${name} unused`);
  }
}, { skip, timeoutMs: 900_000 });
