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
  tags?: { kind: string; doc?: string }[];
}

interface Documented {
  nodes: Record<
    string,
    { module_doc?: Doc; symbols: { name: string; declarations: { jsDoc?: Doc }[] }[] }
  >;
}

/** What `deno doc` tells of the package. */
async function documented() {
  const { code, stdout } = await runCommand(
    [Deno.execPath(), "doc", "--json", "--config", CONFIG, "mod.ts"],
    { cwd: ROOT },
  );
  assertEquals(code, 0);
  const [module, ...others] = Object.values((JSON.parse(stdout) as Documented).nodes);
  assertEquals(others, []);
  return module!;
}

test("JSR score: the module and every symbol have docs, the module an example", async () => {
  const { module_doc, symbols } = await documented();
  assert(module_doc?.doc, "There is no module doc.");
  assert(module_doc.tags?.some(({ kind }) => kind === "example"), "The module has no example.");
  const bare = symbols.filter(({ declarations }) => declarations.some(({ jsDoc }) => !jsDoc?.doc));
  assertEquals(bare.map(({ name }) => name), []);
  assert(symbols.length > 50, `There are only ${symbols.length} symbols.`);
}, { skip });

/** The groups in which the registry's page shows the symbols. */
const CATEGORIES = [
  "Basemaps API",
  "Call APIs",
  "Data API",
  "Destinations API",
  "Downloads",
  "Environments",
  "Errors",
  "Events and reports",
  "Features API",
  "Orders API",
  "Profiles",
  "Quota API",
  "Sign in",
  "Storage",
  "Subscriptions API",
  "Tools and deliveries",
];

test("docs: every symbol is in a group, and each group has some", async () => {
  const { symbols } = await documented();
  // Of several declarations, such as overloads, the first one that says it counts.
  const groups = symbols.map(({ name, declarations }) => [
    name,
    declarations.flatMap(({ jsDoc }) => jsDoc?.tags ?? [])
      .find(({ kind }) => kind === "category")?.doc?.trim(),
  ]);
  assertEquals(groups.filter(([, group]) => !CATEGORIES.includes(group!)), []);
  assertEquals([...new Set(groups.map(([, group]) => group))].sort(), CATEGORIES);
}, { skip });

test("docs: the first sentence of options names what takes them", async () => {
  const { symbols } = await documented();
  const first = symbols.filter(({ name }) => /(Options|Request)$/.test(name))
    .map(({ name, declarations: [first] }) => [name, first?.jsDoc?.doc?.split(/[:.](\s|$)/)[0]]);
  assert(first.length > 20, `There are only ${first.length} kinds of options.`);
  assertEquals(first.filter(([, sentence]) => !/^(Options|What)\b/.test(sentence ?? "")), []);
}, { skip });

test("docs: what is linked is public", async () => {
  const { symbols } = await documented();
  /** All names within each symbol, its members' above all. */
  const members = new Map(symbols.map((symbol) => [symbol.name, new Set([""])]));
  const links: string[] = [];
  const look = (value: unknown, names: Set<string>) => {
    if (typeof value === "string") {
      const found = value.matchAll(/\{@link(?:code|plain)?\s+([^\s|}]+)/g);
      links.push(...[...found].map(([, target]) => target!));
    } else if (typeof value === "object" && value !== null) {
      if ("name" in value) names.add(String(value.name));
      for (const inner of Object.values(value)) look(inner, names);
    }
  };
  for (const symbol of symbols) look(symbol, members.get(symbol.name)!);
  assert(links.length > 30, `There are only ${links.length} links.`);
  const isPublic = (target: string) => {
    const [name = "", member = ""] = target.split(".");
    return URL.canParse(target) || members.get(name)?.has(member) === true;
  };
  assertEquals(links.filter((target) => !isPublic(target)), []);
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
