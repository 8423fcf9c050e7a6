/**
 * `examples/README.md` lists every example, and its table for those who come from Python has every
 * line of the nine programs.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "../_support/harness.ts";
import { exampleNames } from "../sandbox/run_example.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, EXAMPLES), "utf8");
const README = read("README.md");

/** Rows of the table below a heading, with the code of their cells. */
function rows(heading: string): string[][] {
  const section = README.split(`\n### ${heading}`)[1]?.split("\n#")[0] ?? "";
  return section.split("\n").filter((line) => /^\| `/.test(line))
    .map((line) =>
      line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll(/`|\\(?=\|)/g, ""))
    );
}

/** Lines of a program that say something; those that every program of this folder has are left out. */
function lines(name: string): string[] {
  return read(`${name}.ts`).split("\n").map((line) => line.trim()).filter((line) =>
    line !== "" && !/^(\/\/|[})\]]+;?$|environment,$|import .* from "\.\/_)/.test(line)
  );
}

test("examples/README.md names every example, and no others", async () => {
  const table = README.split("\n## ")[0]!;
  const linked = [...table.matchAll(/\]\((\w+)\.ts\)/g)].map(([, name]) => name!);
  const programs = linked.filter((name) => !name.startsWith("_"));
  assertEquals(programs.sort(), await exampleNames());
  for (const name of linked) read(`${name}.ts`);
});

const FLOWS: [heading: string, flow: string][] = [
  ["Authorization code", "auth_code"],
  ["Device code", "device_code"],
  ["Service account", "m2m"],
];

for (const [heading, flow] of FLOWS) {
  for (const [index, place] of ["in_memory", "shared_with_cli", "custom_storage"].entries()) {
    test(`examples/README.md has every line of ${flow}_${place}.ts beside Python's`, () => {
      const cells = rows(heading)
        .filter(([, , programs]) => programs === "all" || programs!.includes(`${index + 1}`))
        .map(([, typescript]) => typescript!);
      const program = lines(`${flow}_${place}`);
      assertEquals(program.filter((line) => !cells.includes(line)), [], "not in the table");
      const surplus = cells.filter((cell) => !program.some((line) => line.includes(cell)));
      assertEquals(surplus, [], "not in the program");
    });
  }
}

test("examples/README.md has the methods of the store beside Python's", () => {
  const program = lines("_demo_storage");
  const cells = rows("A store of your own").map(([, typescript]) => typescript!);
  assertEquals(cells.length, 6);
  assertEquals(cells.filter((cell) => !program.includes(cell)), []);
});
