/**
 * The README is short, its tables can be read, and its links work on the registry's page too, where
 * files that are not published do not exist.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "../_support/harness.ts";

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");
const README = read("README.md");

test("README: at most 13,000 bytes", () => {
  const size = new TextEncoder().encode(README).length;
  assert(size <= 13_000, `It has ${size} bytes.`);
});

for (const name of ["README.md", "examples/README.md"]) {
  test(`${name}: no row of a table above 160 characters`, () => {
    const rows = read(name).split("\n").filter((line) => line.startsWith("|"));
    assert(rows.length > 10);
    assertEquals(rows.filter((row) => row.length > 160), []);
  });
}

test("README: code imports the bare name, as it is written after each installation", () => {
  const imports = [...README.matchAll(/^import .* from "(.+)";$/gm)].map(([, from]) => from!);
  assert(imports.length >= 4);
  for (const from of imports) assertEquals(from, JSON.parse(read("deno.json")).name);
});

test("README: each link is absolute, a heading, or a file that is published", () => {
  const published: string[] = JSON.parse(read("deno.json")).publish.include;
  const headings = [...README.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    `#${heading!.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-")}`
  );
  const links = [...README.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
  assert(links.length > 5);
  for (const link of links) {
    const works = URL.canParse(link)
      ? link.startsWith("https://")
      : link.startsWith("#")
      ? headings.includes(link)
      : published.includes(link);
    assert(works, `${link} does not work on the registry's page.`);
  }
});
