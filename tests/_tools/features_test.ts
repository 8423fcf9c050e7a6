/**
 * Tests that the README's table of runtimes is compared with the reasons of skipped tests.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "../_support/harness.ts";
import { differences, FEATURES, readTable } from "./features.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** A README that says `cell` of permissions on Bun, and the truth otherwise. */
function readmeWith(cell: string): string {
  const rows = FEATURES.map(({ name }) =>
    `| ${name} | yes | ${name === "permissions" ? cell : "yes"} | yes | no |`
  );
  return [
    "# a",
    "## Runtimes",
    "| | Deno | Bun | Node | workerd |",
    "| - | - | - | - | - |",
    ...rows,
  ]
    .join("\n");
}

const skipped = (...reasons: string[]) => [{ runtime: "bun" as const, reasons }];
const PERMISSIONS = "permissions: a use, with exactly the flags: only Deno has permissions";

test("differences() finds nothing where the table says what was skipped, and why", () => {
  assertEquals(differences(readmeWith("no"), skipped(PERMISSIONS)), []);
  assertEquals(differences(readmeWith("yes"), skipped("any test: npm:ky is not installed")), []);
});

test("differences() finds a cell that promises what was skipped", () => {
  const [found, ...rest] = differences(readmeWith("yes"), skipped(PERMISSIONS));
  assert(found?.includes('"yes" of "permissions" on bun'), found);
  assertEquals(rest, []);
});

test("differences() finds a cell that denies what was not skipped, and a reason without a row", () => {
  assertEquals(differences(readmeWith("no"), skipped()).length, 1);
  assertEquals(differences(readmeWith("yes"), skipped("a test: Bun has no legs")).length, 1);
});

test("differences() leaves a runtime alone that was not run", () => {
  const results = [{ runtime: "bun" as const, reasons: [], missing: "not there" }];
  assertEquals(differences(readmeWith("no"), results), []);
});

test("the README's table of runtimes has a row for each feature, and no others", () => {
  assertEquals([...readTable(README).keys()], FEATURES.map(({ name }) => name));
  for (const [name, cells] of readTable(README)) {
    assertEquals(cells.length, 5, name);
    for (const cell of cells.slice(1)) assert(/^(yes|no)\b/.test(cell), `${name}: ${cell}`);
  }
});
