import { assert } from "@std/assert";
import { test } from "../_support/harness.ts";
import { ANY_TEXT, check, missing } from "./_fast_check.ts";
import { CLAIMS } from "./_properties.ts";

const WEIGHT = CLAIMS.reduce((sum, { weight }) => sum + weight, 0);
const CASES = Math.ceil(105_000 / WEIGHT);

for (const { name, property, weight } of CLAIMS) {
  test(`${name}: ${CASES * weight} cases`, () => check(property(), CASES * weight), {
    breaks: [ANY_TEXT],
    timeoutMs: 300_000,
    ...(missing === undefined ? {} : { skip: missing }),
  });
}

test("the property tests are at least 100,000 cases", () => {
  assert(CASES * WEIGHT >= 100_000);
});
