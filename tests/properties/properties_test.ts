import { test } from "../_support/harness.ts";
import { ANY_TEXT, check, missing } from "./_fast_check.ts";
import { type Case, runCase } from "./_keeper.ts";
import { CLAIMS } from "./_properties.ts";

const CASES = 120;

for (const { name, property, weight } of CLAIMS) {
  test(
    name,
    () => check(property(), CASES * weight),
    { breaks: [ANY_TEXT], ...(missing === undefined ? {} : { skip: missing }) },
  );
}

/** Cases that once failed, with what was wrong. */
const ONCE: readonly [string, Case][] = [
  ["a token read before a sign-out came back into memory after it", {
    seed: -90695830,
    keepers: 1,
    rotate: false,
    steps: [{
      between: { what: "sibling" },
      calls: [{ keeper: 0, what: "forget" }, { keeper: 0, what: "refused" }, {
        keeper: 0,
        what: "access",
      }],
    }, { between: { what: "disk full", times: 0 }, calls: [{ keeper: 0, what: "access" }] }],
  }],
  ["a sign-out during a renewal led to an empty Authorization header", {
    seed: 1211521751,
    keepers: 1,
    rotate: false,
    steps: [{
      between: { what: "sibling" },
      calls: [{ keeper: 0, what: "forget" }, { keeper: 0, what: "refused" }],
    }],
  }],
  ["tokens that could not be stored were handed out long after their end", {
    seed: 0,
    keepers: 1,
    rotate: false,
    steps: [
      { between: { what: "disk full", times: 1 }, calls: [{ keeper: 0, what: "force" }] },
      { between: { what: "ended" }, calls: [{ keeper: 0, what: "access" }] },
    ],
  }],
];
for (const [what, one] of ONCE) test(`Keeper: no more: ${what}`, () => runCase(one));
