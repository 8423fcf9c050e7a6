/**
 * Guards the rooms of `lib/` and the arrows between them; and that the guard bites.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "./_support/harness.ts";
import { circles, faults, importsOf } from "./_tools/architecture.ts";

const LIB = fileURLToPath(new URL("../lib/", import.meta.url));
const HEADER = "/**\n * Does a thing.\n *\n * @module\n */\n";

const SOURCES = new Map(
  readdirSync(LIB, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/")).filter((name) => name.endsWith(".ts")).sort()
    .map((name) => [`lib/${name}`, readFileSync(LIB + name, "utf8")]),
);

test("lib/ keeps to its rooms and arrows", () => {
  assert(SOURCES.size > 20, `only ${SOURCES.size} files were found`);
  assertEquals([...SOURCES].flatMap(([file, source]) => faults(file, source)), []);
});

test("lib/ has no circle of imports, types included", () => {
  assertEquals(circles(SOURCES), []);
});

test("circles() finds a circle by types, by import() and through others, and names its files", () => {
  const sources = new Map([
    ["lib/a.ts", 'import type { B } from "./b.ts";'],
    ["lib/b.ts", 'const c = await import("./x/c.ts");'],
    ["lib/x/c.ts", 'export { a } from "../a.ts";'],
    ["lib/d.ts", 'import { a } from "./a.ts";'],
  ]);
  assertEquals(circles(sources), [["lib/a.ts", "lib/b.ts", "lib/x/c.ts"]]);
});

test("importsOf() tells values, types and import() apart", () => {
  const source = `
import { a, type B } from "./value.ts";
import type { C } from "./type.ts";
import { type D, type E } from "./types.ts";
import * as f from "./star.ts";
import "./effect.ts";
export { g } from "./again.ts";
export type { H } from "./again_type.ts";
// import { no } from "./comment.ts";
const text = "import { no } from './string.ts'";
const lazy = await import("./lazy.ts");
import {
  i,
  j,
} from "./lines.ts";`;
  const of = (kind: string) =>
    importsOf(source).filter((one) => one.kind === kind).map((one) => one.specifier);
  assertEquals(of("value"), [
    "./value.ts",
    "./star.ts",
    "./effect.ts",
    "./again.ts",
    "./lines.ts",
  ]);
  assertEquals(of("type"), ["./type.ts", "./types.ts", "./again_type.ts"]);
  assertEquals(of("dynamic"), ["./lazy.ts"]);
});

const BAD: [string, string, string][] = [
  ["a value of a room on its level", "lib/http/x.ts", 'import { a } from "../storage/file.ts";'],
  ["import() of a room on its level", "lib/terminal/x.ts", 'await import("../callback/deno.ts");'],
  ["a re-export of a room on its level", "lib/http/x.ts", 'export { a } from "../keeper/k.ts";'],
  ["an arrow the wrong way", "lib/oauth/x.ts", 'import { a } from "../sign_in/steps.ts";'],
  ["a facade", "lib/http/x.ts", 'import { Auth } from "../auth.ts";'],
  ["a room from below the rooms", "lib/token.ts", 'import { a } from "./storage/file.ts";'],
  ["errors.ts with an import", "lib/errors.ts", 'import type { A } from "./token.ts";'],
  ["code outside lib/", "lib/auth.ts", 'import { a } from "../tests/a.ts";'],
  ["oauth4webapi", "lib/sign_in/x.ts", 'import type { Client } from "oauth4webapi";'],
  ["node: in a file of a runtime", "lib/storage/files_node.ts", 'import fs from "node:fs";'],
  ["a type of node:", "lib/storage/files_node.ts", 'import type { Stats } from "node:fs";'],
  ["a package at once", "lib/terminal/x.ts", 'import qr from "qr-code";'],
  ["node: modules", "lib/storage/file.ts", 'await import("node:fs/promises");'],
  ["Deno", "lib/storage/file.ts", "Deno.readTextFileSync(name);"],
  ["Bun in a template", "lib/http/x.ts", "const v = `${Bun.version}`;"],
  ["process", "lib/http/x.ts", "const e = process.env;"],
  ["a type of Deno", "lib/storage/kv.ts", "let kv: Deno.Kv;"],
  ["console", "lib/http/x.ts", 'console.log("x");'],
  ["a default export", "lib/http/x.ts", "export default 1;"],
  ["a file name", "lib/http/myFile.ts", "export const a = 1;"],
  ["a room without arrows", "lib/newroom/x.ts", "export const a = 1;"],
  ["a private file", "lib/sign_in/x.ts", 'import { a } from "../oauth/_secret.ts";'],
];
for (const [what, file, source] of BAD) {
  test(`faults() finds ${what} (${file})`, () => {
    assertEquals(faults(file, HEADER + source).length, 1);
  });
}

test("faults() finds a missing module header", () => {
  assertEquals(faults("lib/http/x.ts", "/** A. */\nexport const a = 1;\n").length, 1);
});

const GOOD: [string, string, string][] = [
  ["types of any room", "lib/keeper/x.ts", 'import type { A } from "../storage/types.ts";'],
  ["values along an arrow", "lib/sign_in/x.ts", 'import { a } from "../oauth/client.ts";'],
  ["facades that join rooms", "lib/auth.ts", 'await import("./storage/file.ts");'],
  ["oauth4webapi in lib/oauth", "lib/oauth/x.ts", 'import * as o from "oauth4webapi";'],
  [
    "Node's modules by the platform",
    "lib/storage/files_node.ts",
    'process.getBuiltinModule("node:fs");',
  ],
  ["Deno in its file", "lib/callback/deno.ts", "Deno.serve(handler);"],
  ["names in text", "lib/http/x.ts", 'const t = "Deno.Kv, console.log"; // Bun.serve, process.env'],
  ["members of that name", "lib/http/x.ts", "globals.Deno?.x; this.process.y;"],
];
for (const [what, file, source] of GOOD) {
  test(`faults() allows ${what} (${file})`, () => {
    assertEquals(faults(file, HEADER + source), []);
  });
}
