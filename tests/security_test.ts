import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { spawnSync } from "./_support/child_process.ts";
import { test } from "./_support/harness.ts";
import { tempFolder } from "./_support/temp_folder.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const read = (name: string) => readFileSync(ROOT + name, "utf8");
const PAGE = read(".github/SECURITY.md");

/** Rows of the tables whose last column names tests. */
function checklist(): { rule: string; heldBy: string }[] {
  return PAGE.split(/^## /m).flatMap((section) => {
    const rows = section.split("\n").filter((line) => line.startsWith("|"))
      .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    return rows[0]?.at(-1) === "held by"
      ? rows.slice(2).map((row) => ({ rule: row[0]!, heldBy: row.at(-1)! }))
      : [];
  });
}

/** The tests that a row names: file, and part of the name. */
function references(heldBy: string): { file: string; name: string }[] {
  return [...heldBy.matchAll(/`(tests\/[^`]+)` "([^"]+)"/g)]
    .map(([, file = "", name = ""]) => ({ file, name }));
}

/** What does not hold of a row. */
function faultsOf({ heldBy, rule }: { rule: string; heldBy: string }): string[] {
  const named = references(heldBy);
  if (named.length === 0) return [`${rule}: no test`];
  // Long names are broken into lines.
  const flat = (text: string) => text.replace(/\s+/g, " ");
  return named.flatMap(({ file, name }) =>
    !existsSync(ROOT + file)
      ? [`${rule}: there is no ${file}`]
      : flat(read(file)).includes(name)
      ? []
      : [`${rule}: no "${name}" in ${file}`]
  );
}

test("SECURITY.md: every row of its checklists names tests that exist", () => {
  const rows = checklist();
  assert(rows.length >= 30, `only ${rows.length} rows`);
  assertEquals(rows.flatMap(faultsOf), []);
});

test("SECURITY.md: a row without a test, or with one that does not exist, is found", () => {
  const rows = [
    "nothing",
    '`tests/none_test.ts` "x"',
    '`tests/security_test.ts` "no ' + 'such test"',
  ];
  assertEquals(rows.map((heldBy) => faultsOf({ rule: "r", heldBy }).length), [1, 1, 1]);
});

test("SECURITY.md lists each dependency with its reason, and deno.lock pins it", () => {
  const { imports } = JSON.parse(read("deno.json")) as { imports: Record<string, string> };
  const lock = JSON.parse(read("deno.lock")) as {
    npm: Record<string, { integrity?: string }>;
    specifiers: Record<string, string>;
  };
  for (const [name, specifier] of Object.entries(imports)) {
    assertMatch(PAGE, new RegExp(`^\\| \`${name}\` +\\| (\`lib/\`|tests) +\\| .{5,} \\|$`, "m"));
    if (!specifier.startsWith("npm:")) continue;
    const pinned = `${name}@${lock.specifiers[specifier]}`;
    assertMatch(lock.npm[pinned]?.integrity ?? "", /^sha512-/);
  }
  const listed = [...PAGE.matchAll(/^\| `(\S+)` +\| (?:`lib\/`|tests)/gm)].map(([, name]) => name!);
  assertEquals(listed.sort(), Object.keys(imports).sort());
});

test("no dependency has a script that runs when it is installed", () => {
  const { npm } = JSON.parse(read("deno.lock")) as { npm: Record<string, { scripts?: true }> };
  const names = Object.entries(npm).filter(([, { scripts }]) => scripts).map(([name]) => name);
  assertEquals(names, []);
  for (const name of ["deno.json", "jsr.json"]) assert(!/install"/.test(read(name)), name);
});

test("lib/ makes no code out of text", () => {
  const files = readdirSync(`${ROOT}lib`, { recursive: true, encoding: "utf8" });
  const found = files.filter((name) => name.endsWith(".ts"))
    .filter((name) => /\beval\(|new Function\(|import\([^"'\s)]/.test(read(`lib/${name}`)));
  assertEquals(found, []);
});

test("importing mod.ts leaves nothing running, printed or written", async () => {
  const folder = await tempFolder();
  try {
    const source = `
      const names = Object.getOwnPropertyNames(globalThis).length;
      const calls = [];
      for (const name of ["fetch", "setTimeout", "setInterval"]) {
        globalThis[name] = () => calls.push(name);
      }
      await import(${JSON.stringify(new URL("../mod.ts", import.meta.url).href)});
      if (calls.length > 0 || Object.getOwnPropertyNames(globalThis).length !== names) {
        console.log("changed", calls);
      }`;
    const file = `${folder.path}/import.mjs`;
    const { writeFileSync } = await import("node:fs");
    writeFileSync(file, source);
    const config = existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json";
    const args = "Deno" in globalThis
      ? ["run", "--quiet", "--no-check", "-A", "--config", ROOT + config, file]
      : [file];
    const { status, stderr, stdout } = spawnSync(process.execPath, args, {
      cwd: ROOT,
      encoding: "utf8",
      env: { ...process.env, HOME: folder.path, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      timeout: 30_000,
    });
    assertEquals([status, stdout, stderr], [0, "", ""]);
    const written = readdirSync(folder.path).filter((name) =>
      !/^(import\.mjs|\.cache|\.bun)$/.test(name)
    );
    assertEquals(written, []);
  } finally {
    await folder.remove();
  }
});
