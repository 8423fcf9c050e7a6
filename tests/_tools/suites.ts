/**
 * Runs the test files on Deno, Bun and Node, and counts what really ran.
 *
 * A runtime that is not there is brought along from npm; one that cannot be had is reported as
 * skipped, with the reason. Needs Deno, and nothing from a registry to start.
 *
 * @module
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { LINKS_CONFIG, ROOT } from "./links.ts";

/** The runtimes, in the order in which they are run. */
export const RUNTIMES = ["deno", "bun", "node"] as const;
/** A runtime to test on. */
export type Runtime = typeof RUNTIMES[number];

const BUN = "bun@1.4.5";
const NODE = "node@22.23.3";
const NODE_MAJOR = 22;

/** How many tests ended how. */
export interface Counts {
  /** Tests that passed. */
  passed: number;
  /** Tests that failed. */
  failed: number;
  /** Tests that did not run. */
  skipped: number;
}

/** What one runtime made of the test files. */
export interface SuiteResult extends Counts {
  /** The runtime. */
  runtime: Runtime;
  /** Why the runtime was not used at all. */
  missing?: string;
  /** Names and reasons of the skipped tests. */
  reasons: string[];
  /** What was printed of the failed tests. */
  failures: string[];
}

/** What a test file needs: nothing, time (`_deep_test.ts`), or servers of others (`_real_test.ts`). */
export type TestKind = "usual" | "deep" | "real";

/** Test files of one kind below `tests/`; `names` narrows them. */
export function testFiles(kind: TestKind, names: readonly string[] = []): string[] {
  const all = fs.readdirSync(path.join(ROOT, "tests"), { recursive: true, encoding: "utf8" })
    .map((name) => `tests/${name.replaceAll("\\", "/")}`)
    .filter((name) => name.endsWith("_test.ts"))
    .sort();
  const kindOf = (file: string) => /_(deep|real)_test\.ts$/.exec(file)?.[1] ?? "usual";
  // A deep file that is named runs, whichever task was asked; servers need to be started.
  return names.length === 0
    ? all.filter((file) => kindOf(file) === kind)
    : all.filter((file) =>
      (kindOf(file) === "real") === (kind === "real") &&
      names.some((name) => file.includes(name.replace(/^\.\//, "")))
    );
}

const isDeep = (files: readonly string[]) => files.some((file) => file.endsWith("_deep_test.ts"));

/** Tests that do next to nothing but wait, for minutes. */
const WAITS = /\/transfers_deep_test\.ts$/;

/** Processes of a runtime in the quick suite: Deno's turn also starts what is started once for all. */
const PROCESSES: Readonly<Record<Runtime, number>> = { deno: 3, bun: 2, node: 2 };

/** Files by the process that is to run them: what only waits beside the rest, quick ones dealt out. */
export function sharesOf(runtime: Runtime, files: readonly string[]): string[][] {
  const shares = isDeep(files)
    ? [files.filter((file) => !WAITS.test(file)), files.filter((file) => WAITS.test(file))]
    // Neighbours take alike long, so they go to different processes.
    : Array.from(
      { length: PROCESSES[runtime] },
      (_, index) => files.filter((_, place) => place % PROCESSES[runtime] === index),
    );
  return shares.filter((share) => share.length > 0);
}

/** Runs a command, shows its output (with a `label`: in whole lines that begin with it) and returns it. */
export async function run(
  command: readonly string[],
  options: { quiet?: boolean; label?: string; env?: Record<string, string> } = {},
): Promise<{ code: number; output: string }> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...options.env },
  }).spawn();
  const { quiet = false, label } = options;
  const show = async (bytes: Uint8Array) => {
    for (let sent = 0; !quiet && sent < bytes.length;) {
      sent += await Deno.stdout.write(bytes.subarray(sent));
    }
  };
  let output = "";
  const drain = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    let line = "";
    for await (const chunk of stream) {
      const text = decoder.decode(chunk, { stream: true });
      output += text;
      if (label === undefined) await show(chunk);
      else {
        const lines = (line + text).split("\n");
        line = lines.pop() ?? "";
        for (const whole of lines) await show(new TextEncoder().encode(`${label}${whole}\n`));
      }
    }
    if (line !== "") await show(new TextEncoder().encode(`${label}${line}\n`));
  };
  const [status] = await Promise.all([child.status, drain(child.stdout), drain(child.stderr)]);
  return { code: status.code, output };
}

/** The first of the commands that prints a version that fits. */
async function firstThatWorks(
  commands: readonly string[][],
  fits: (version: string) => boolean,
): Promise<string[] | string> {
  const found: string[] = [];
  for (const command of commands) {
    try {
      const { code, output } = await run([...command, "--version"], { quiet: true });
      const version = output.match(/^v?(\d+\.\d+\.\d+)\s*$/m)?.[1];
      if (code === 0 && version && fits(version)) return command;
      found.push(`${command.join(" ")}: ${version ?? `exit code ${code}`}`);
    } catch (error) {
      found.push(`${command[0]}: ${error instanceof Error ? error.name : "failed"}`);
    }
  }
  return found.join("; ");
}

/**
 * Brings the program of a runtime along by Deno alone: the npm package of this system that holds
 * it, in Deno's own cache.
 */
async function byDeno(runtime: "bun" | "node"): Promise<string[]> {
  const { os, arch } = Deno.build;
  const cpu = arch === "x86_64" ? "x64" : runtime === "bun" ? "aarch64" : "arm64";
  const [version = "", name] = runtime === "bun"
    ? [BUN.split("@")[1], `@oven/bun-${os}-${cpu}`]
    : [NODE.split("@")[1], `node-${os === "windows" ? "win" : os}-${cpu}`];
  const here = ["--no-config", "--no-lock"];
  await run([Deno.execPath(), "cache", ...here, `npm:${name}@${version}`], { quiet: true });
  const { output } = await run([Deno.execPath(), "info", ...here, "--json"], { quiet: true });
  const cache = output.match(/"npmCache":\s*("(?:[^"\\]|\\.)*")/)?.[1];
  if (!cache) return [];
  const folder = JSON.parse(cache) as string;
  if (!fs.existsSync(folder)) return [];
  // One folder for each registry.
  return fs.readdirSync(folder)
    .flatMap((host) =>
      ["", ".exe"].map((end) => path.join(folder, host, name, version, "bin", runtime + end))
    )
    .filter((file) => fs.existsSync(file));
}

const located = new Map<Runtime, Promise<string[] | string>>();

/** How to start a runtime, or why it cannot be had. */
export function locate(runtime: Runtime): Promise<string[] | string> {
  const known = located.get(runtime) ?? look(runtime);
  located.set(runtime, known);
  return known;
}

async function look(runtime: Runtime): Promise<string[] | string> {
  if (runtime === "deno") return [Deno.execPath()];
  const fits = (version: string) => runtime === "bun" || parseInt(version) >= NODE_MAJOR;
  const npx = ["npx", "--yes", runtime === "bun" ? BUN : NODE];
  const there = await firstThatWorks([[runtime], npx], fits);
  if (typeof there !== "string") return there;
  const [file] = await byDeno(runtime);
  if (file === undefined) return there;
  if (Deno.build.os !== "windows") fs.chmodSync(file, 0o755);
  const brought = await firstThatWorks([[file]], fits);
  return typeof brought === "string" ? `${there}; ${brought}` : brought;
}

/** Reads the counts that a runtime printed; `undefined` where it printed none. */
export function readCounts(runtime: Runtime, output: string): Counts | undefined {
  const last = (pattern: RegExp): number | undefined => {
    const value = [...output.matchAll(pattern)].at(-1)?.[1];
    return value === undefined ? undefined : Number(value);
  };
  const [passed, failed, skipped] = {
    deno: [
      last(/\| (\d+) passed/g),
      last(/passed(?: \(\d+ steps?\))? \| (\d+) failed/g),
      last(/\| (\d+) ignored/g),
    ],
    bun: [last(/^ *(\d+) pass$/gm), last(/^ *(\d+) fail$/gm), last(/^ *(\d+) skip$/gm)],
    node: [last(/^# pass (\d+)$/gm), last(/^# fail (\d+)$/gm), last(/^# skipped (\d+)$/gm)],
  }[runtime];
  if (passed === undefined || failed === undefined) return undefined;
  return { passed, failed, skipped: skipped ?? 0 };
}

/** What a runtime printed of the tests that failed; the end of its output where it names none. */
export function readFailures(runtime: Runtime, output: string): string[] {
  const [...found] = output.matchAll(
    {
      deno: /^ ERRORS\s*\n([\s\S]*?)^ FAILURES/gm,
      bun: /^((?:(?!\((?:pass|fail|skip)\)).*\n){0,40}\(fail\) .*)$/gm,
      node: /^\s*(not ok [\s\S]*?^\s*\.\.\.)$/gm,
    }[runtime],
  );
  const texts = found.map(([, text = ""]) => text.trim());
  return texts.length > 0 ? texts : [output.trim().split("\n").slice(-40).join("\n")];
}

function testCommand(runtime: Runtime, start: string[], files: string[]): string[] {
  const paths = files.map((file) => `./${file}`);
  switch (runtime) {
    case "deno":
      return [
        ...start,
        "test",
        "--config",
        LINKS_CONFIG,
        "--unstable-kv",
        "-A",
        "--no-prompt",
        ...paths,
      ];
    case "bun":
      return [...start, "test", "--timeout", "120000", ...paths];
    case "node":
      // One process for all quick files, as under Bun: to start one for each takes as long as the
      // tests. Deep ones measure memory, each file in its own.
      return [
        ...start,
        "--test",
        ...(isDeep(files) ? [] : ["--experimental-test-isolation=none"]),
        "--test-reporter=tap",
        ...paths,
      ];
  }
}

/**
 * The program behind `start`, and an environment in which the programs that tests start find it
 * too. Published code is transpiled; here Node does it, parameter properties included.
 */
async function nodeWorld(
  start: string[],
): Promise<{ node: string; env: { NODE_OPTIONS: string; PATH: string } }> {
  const asked = await run([...start, "-p", '"EXEC:" + process.execPath'], { quiet: true });
  const node = asked.output.match(/^EXEC:(.+?)\r?$/m)?.[1];
  if (node === undefined) throw new Error(`Node does not say where it is: ${asked.output}`);
  const separator = Deno.build.os === "windows" ? ";" : ":";
  const NODE_OPTIONS = "--experimental-transform-types --disable-warning=ExperimentalWarning";
  const PATH = `${path.dirname(node)}${separator}${Deno.env.get("PATH") ?? ""}`;
  return { node, env: { NODE_OPTIONS, PATH } };
}

/**
 * Runs test files on one runtime, each share in a process of its own; `mark` is what the lines of each
 * begin with. A share that ran nothing has failed.
 */
export async function runSuite(
  runtime: Runtime,
  shares: readonly string[][],
  mark?: (share: number) => string,
): Promise<SuiteResult> {
  const start = await locate(runtime);
  if (typeof start === "string") {
    return { runtime, passed: 0, failed: 0, skipped: 0, reasons: [], failures: [], missing: start };
  }
  console.log(`\n=== ${runtime}: ${shares.flat().length} files`);
  // Tests that start processes of every runtime find the same Node, wherever they run.
  const node = await locate("node");
  const world = typeof node === "string" ? undefined : await nodeWorld(node);
  const own = runtime === "node" && world !== undefined;
  const env = own ? world.env : { PATH: world?.env.PATH ?? Deno.env.get("PATH") ?? "" };
  const runShare = async (
    files: string[],
    index: number,
  ): Promise<Counts & { reasons: string[]; failures: string[] }> => {
    const { code, output } = await run(
      testCommand(runtime, own ? [world.node] : start, files),
      { ...(mark === undefined ? {} : { label: mark(index) }), env },
    );
    const counts = readCounts(runtime, output) ?? { passed: 0, failed: 0, skipped: 0 };
    const nothing = counts.passed + counts.failed + counts.skipped === 0;
    if (counts.failed === 0 && (code !== 0 || nothing)) counts.failed = 1;
    const reasons = [...output.matchAll(/^(?:# )?SKIPPED (.+)$/gm)].map((found) => found[1] ?? "");
    return { ...counts, reasons, failures: counts.failed > 0 ? readFailures(runtime, output) : [] };
  };
  const results = await Promise.all(shares.map(runShare));
  const sum = (of: keyof Counts) => results.reduce((total, counts) => total + counts[of], 0);
  return {
    runtime,
    passed: sum("passed"),
    failed: sum("failed"),
    skipped: sum("skipped"),
    reasons: results.flatMap(({ reasons }) => reasons),
    failures: results.flatMap(({ failures }) => failures),
  };
}
