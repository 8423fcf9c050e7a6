/**
 * The tests with the real `@std` packages, where a checkout of them is at hand.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { noCheckout, runWithRealStd } from "./real_std.ts";

const TIMEOUT_MS = 1_800_000;
const checkout = process.env.PLANET_STD;
const skip = "Deno" in globalThis
  ? await noCheckout(checkout)
  : "all three runtimes are started once, by Deno";

test("all tests pass with the real @std packages", async () => {
  const { code, output, requests } = await runWithRealStd(checkout!, ["test"], TIMEOUT_MS);
  assertEquals(code, 0, output);
  for (const runtime of ["deno", "bun", "node"]) {
    assertMatch(output, new RegExp(`^${runtime}: [1-9]\\d* passed, 0 failed, \\d+ skipped$`, "m"));
  }
  assert(!output.includes("JSR does not answer"), "The stand-ins were used.");
  assert(output.includes("Bun and Node have these of @std from JSR: assert, path."), output);
  for (const name of ["assert", "internal"]) {
    assert(requests.some((line) => line.startsWith(`GET /@std/${name}/`)), `@std/${name} unused`);
    assert(requests.some((line) => line.startsWith(`GET /npm/@jsr/std__${name}`)), name);
  }
}, { skip, timeoutMs: TIMEOUT_MS });
