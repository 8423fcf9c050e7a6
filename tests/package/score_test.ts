/**
 * What the score of JSR looks at, as far as a package decides it: module doc and example, docs of
 * every symbol, README with an example, no slow types, a licence.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { test } from "../_support/harness.ts";
import { ROOT } from "./clone.ts";
import { runCommand } from "./command.ts";

const CONFIG = existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json";
const skip = "Deno" in globalThis ? undefined : "Deno publishes and documents";

interface Doc {
  doc?: string;
  tags?: { kind: string }[];
}

interface Documented {
  nodes: Record<
    string,
    { module_doc?: Doc; symbols: { name: string; declarations: { jsDoc?: Doc }[] }[] }
  >;
}

test("JSR score: the module and every symbol have docs, the module an example", async () => {
  const { code, stdout } = await runCommand(
    [Deno.execPath(), "doc", "--json", "--config", CONFIG, "mod.ts"],
    { cwd: ROOT },
  );
  assertEquals(code, 0);
  const [module, ...others] = Object.values((JSON.parse(stdout) as Documented).nodes);
  assertEquals(others, []);
  const { module_doc, symbols } = module!;
  assert(module_doc?.doc, "There is no module doc.");
  assert(module_doc.tags?.some(({ kind }) => kind === "example"), "The module has no example.");
  const bare = symbols.filter(({ declarations }) => declarations.some(({ jsDoc }) => !jsDoc?.doc));
  assertEquals(bare.map(({ name }) => name), []);
  assert(symbols.length > 50, `There are only ${symbols.length} symbols.`);
}, { skip });

test("JSR score: the README has an example, and no type is slow", async () => {
  assertMatch(
    readFileSync(`${ROOT}README.md`, "utf8"),
    /^```ts\nimport .* from "@planet-community\/planet";$/m,
  );
  const { name, version, license } = JSON.parse(readFileSync(`${ROOT}deno.json`, "utf8"));
  assertEquals([name, license], ["@planet-community/planet", "MIT"]);
  assertMatch(version, /^\d+\.\d+\.\d+$/);
  const { code, output } = await runCommand(
    [Deno.execPath(), "publish", "--dry-run", "--allow-dirty", "--config", CONFIG],
    { cwd: ROOT },
  );
  assertEquals(code, 0, output);
  assert(!/slow type|warning/i.test(output.replace("Checking for slow types", "")), output);
}, { skip });
