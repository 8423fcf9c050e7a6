/**
 * Behind every task of `deno.json`: sets the folder up, then runs the command.
 *
 * ```sh
 * deno task test [--deno|--bun|--node] [FILE…]
 * deno task run FILE ARGS…
 * ```
 *
 * Starts on a fresh clone, with an empty cache and without JSR.
 *
 * @module
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { EXTRA, EXTRA_FOLDER } from "./extra.ts";
import { differences } from "./features.ts";
import { MOTO_PACKAGES, PYTHON_BIN, PYTHON_FOLDER, PYTHON_PACKAGES } from "./python.ts";
import { LINKS_CONFIG, prepare, ROOT, writeNodeModules } from "./links.ts";
import { installServers } from "./servers.ts";
import {
  run,
  runSuite,
  type Runtime,
  RUNTIMES,
  sharesOf,
  type SuiteResult,
  testFiles,
} from "./suites.ts";

const CONFIG = ["--config", LINKS_CONFIG];

/** Names and runtimes that a task of tests was given; all runtimes if none is. */
function readArguments(args: readonly string[]): { names: string[]; runtimes: Runtime[] } {
  const asked = RUNTIMES.filter((runtime) => args.includes(`--${runtime}`));
  const unknown = args.find((arg) =>
    arg.startsWith("--") && !RUNTIMES.some((name) => arg === `--${name}`)
  );
  if (unknown) throw new TypeError(`Use --deno, --bun or --node: there is no option ${unknown}.`);
  const names = args.filter((arg) => !arg.startsWith("--"));
  return { names, runtimes: asked.length > 0 ? asked : [...RUNTIMES] };
}

/** Prints what failed once more, why tests were skipped, and the counts of each runtime. */
function report(results: readonly SuiteResult[]): void {
  console.log("");
  for (const { runtime, failures } of results) {
    for (const failure of failures) console.log(`=== failed on ${runtime}\n${failure}\n===`);
  }
  for (const { runtime, reasons } of results) {
    for (const reason of reasons) console.log(`${runtime} skipped: ${reason}`);
  }
  for (const { runtime, passed, failed, skipped, missing } of results) {
    console.log(
      missing === undefined
        ? `${runtime}: ${passed} passed, ${failed} failed, ${skipped} skipped`
        : `${runtime}: runtime skipped, it cannot be had (${missing})`,
    );
  }
}

/** Runs the tests; the answer is the exit code. */
async function test(args: readonly string[], deep: boolean): Promise<number> {
  const { names, runtimes } = readArguments(args);
  const files = testFiles(deep ? "deep" : "usual", names);
  if (files.length === 0) {
    // Deep tests come with later work; a name that fits nothing is a mistake.
    console.log(`No test files${names.length ? ` for ${names.join(", ")}` : ""}: nothing ran.`);
    return names.length === 0 && deep ? 0 : 1;
  }
  const results: SuiteResult[] = [];
  // Tests mostly wait, for each other's processes too: the runtimes run side by side. Deno's deep ones,
  // which start the others' processes by the dozen, want the machine for themselves.
  const start = (runtime: Runtime) => {
    const shares = sharesOf(runtime, files);
    if (runtimes.length === 1 && shares.length === 1) return runSuite(runtime, shares);
    const name = (share: number) => shares.length === 1 ? runtime : `${runtime} ${share + 1}`;
    return runSuite(runtime, shares, (share) => `${name(share).padEnd(6)} | `);
  };
  const first = runtimes.filter((runtime) => !deep || runtime === "deno");
  const then = runtimes.filter((runtime) => !first.includes(runtime));
  for (const group of [first, then]) results.push(...await Promise.all(group.map(start)));
  report(results);
  const faults = names.length > 0 || deep
    ? []
    : differences(fs.readFileSync(path.join(ROOT, "README.md"), "utf8"), results);
  for (const fault of faults) console.log(`README: ${fault}`);
  return results.some((result) => result.failed > 0) || faults.length > 0 ? 1 : 0;
}

/** Runs the suite over the servers of others. */
async function testRealServers(args: readonly string[]): Promise<number> {
  const { names, runtimes } = readArguments(args);
  // Loaded here, so that no other task needs what it imports.
  const { testServers } = await import("../servers/_run.ts");
  const results = await testServers(names, runtimes);
  report(results);
  return results.some(({ failed }) => failed > 0) ? 1 : 0;
}

/** Runs a command of Deno with this terminal. */
async function deno(...args: string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn();
  return (await child.status).code;
}

/** Installs the packages that only some tests need; scripts of theirs do not run. */
async function installExtra(): Promise<number> {
  const manifest = JSON.stringify({ private: true, dependencies: EXTRA });
  fs.mkdirSync(EXTRA_FOLDER, { recursive: true });
  fs.writeFileSync(path.join(EXTRA_FOLDER, "package.json"), manifest);
  const args = ["install", "--quiet", "--no-lock", "--node-modules-dir=auto"];
  const child = new Deno.Command(Deno.execPath(), { args, cwd: EXTRA_FOLDER }).spawn();
  return (await child.status).code;
}

/** Installs the Python packages that only some tests need, in an environment of their own. */
async function installPython(): Promise<number> {
  const packages = Object.entries({ ...PYTHON_PACKAGES, ...MOTO_PACKAGES }).map(([name, version]) =>
    `${name}==${version}`
  );
  const commands = [
    ["python3", "-m", "venv", PYTHON_FOLDER],
    [`${PYTHON_BIN}/pip`, "install", "--quiet", "--disable-pip-version-check", ...packages],
  ];
  for (const [program = "", ...args] of commands) {
    const { code } = await new Deno.Command(program, { args, cwd: ROOT }).spawn().status;
    if (code !== 0) return code;
  }
  return 0;
}

/** Runs a script with all permissions. */
function script(file: string, args: readonly string[]): Promise<number> {
  const place = path.resolve(Deno.env.get("INIT_CWD") ?? ROOT, file);
  return deno("run", ...CONFIG, "-A", place, ...args);
}

/** What is there of these. */
function there(...names: string[]): string[] {
  return names.filter((name) => fs.existsSync(path.join(ROOT, name)));
}

/** The checks beside the tests. */
export function checks(): Record<string, string[]> {
  const code = there("mod.ts", "lib", "tests", "examples");
  const text = there(
    "deno.json",
    "jsr.json",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    ".github/SECURITY.md",
  );
  return {
    fmt: ["fmt", "--check", ...CONFIG, ...code, ...text],
    lint: ["lint", ...CONFIG, ...code],
    check: ["check", "--quiet", ...CONFIG, ...code],
    doc: ["doc", "--lint", ...CONFIG, "mod.ts"],
    examples: [
      "check",
      "--quiet",
      "--doc-only",
      ...CONFIG,
      ...there("mod.ts", "lib", "README.md", "examples"),
    ],
    publish: ["publish", "--dry-run", "--allow-dirty", ...CONFIG],
  };
}

/** Runs one check; the answer is the exit code. */
async function check(name: string): Promise<number> {
  const args = checks()[name];
  if (!args) throw new TypeError(`There is no check ${name}.`);
  const { code } = await run([Deno.execPath(), ...args]);
  console.log(`check ${name}: ${code === 0 ? "passed" : "FAILED"}`);
  return code;
}

/** Everything that has to hold before a change goes in. */
async function ok(args: readonly string[]): Promise<number> {
  const failed: string[] = [];
  for (const name of Object.keys(checks())) if (await check(name) !== 0) failed.push(name);
  if (await test(args, false) !== 0) failed.push("test");
  console.log(failed.length === 0 ? "ok" : `FAILED: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
}

async function main([task = "", ...args]: string[]): Promise<number> {
  const jsr = await prepare();
  if (!jsr) console.error("JSR does not answer: @std/* are the stand-ins of tests/_std.");
  const packages = ["oauth4webapi", "oidc-provider", "uqr"].map((name) => `node_modules/${name}`);
  if (there(...packages).length < packages.length) {
    await deno("install", "--quiet", ...CONFIG);
  }
  const real = await writeNodeModules(jsr);
  if (jsr) console.error(`Bun and Node have these of @std from JSR: ${real.join(", ") || "none"}.`);
  const sandbox = (file: string) => path.join(ROOT, "tests/sandbox", file);
  switch (task) {
    case "setup":
      return 0;
    case "extra":
      return await installExtra();
    case "python":
      return await installPython();
    case "test":
      return await test(args, false);
    case "test:deep":
      return await test(args, true);
    case "servers":
      return await installServers(args);
    case "test:servers":
      return await testRealServers(args);
    case "ok":
      return await ok(args);
    case "check":
      return await check(args[0] ?? "");
    case "demo":
      return await script(sandbox("demo.ts"), args);
    case "sandbox":
      return await script(sandbox("sandbox.ts"), args);
    case "bench":
      return await script(path.join(ROOT, "tests/bench/bench.ts"), args);
    case "example":
      return await script(sandbox("example.ts"), args);
    case "run":
      if (args[0] === undefined) throw new TypeError("Say which file: deno task run FILE ARGS…");
      return await script(args[0], args.slice(1));
    default:
      throw new TypeError(`There is no task "${task}".`);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
