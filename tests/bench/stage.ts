/**
 * The folder that the benchmarks run in, `.cache/bench`: the peers from npm in exact versions,
 * the programs, and a copy of this package as a registry would hand it out.
 *
 * @module
 */

import * as fs from "node:fs";
import * as path from "node:path";
import { ROOT } from "../_tools/links.ts";
import { locate, run, type Runtime, RUNTIMES } from "../_tools/suites.ts";

/** Peers from npm, in exact versions. */
export const PEERS: Readonly<Record<string, string>> = {
  "@azure/msal-node": "7.2.3",
  "@badgateway/oauth2-client": "3.3.1",
  "google-auth-library": "11.3.4",
  "oauth4webapi": "3.8.8",
  "openid-client": "6.9.0",
  "simple-oauth2": "5.1.0",
};

/** Adapter of each peer, in `peers/`. */
export const ADAPTERS: Readonly<Record<string, string>> = {
  badgateway: "@badgateway/oauth2-client",
  oauth4webapi: "oauth4webapi",
  openid_client: "openid-client",
  google: "google-auth-library",
  msal: "@azure/msal-node",
  simple_oauth2: "simple-oauth2",
};

/** The folder. */
export const STAGE: string = path.join(ROOT, ".cache/bench");

/** The Python that the SDK is installed for, where there is one. */
export const PYTHON: string = path.join(ROOT, ".cache/python/bin/python");

/** How a program is started. */
export interface Started {
  /** First line of its output. */
  readonly line: string;
  /** From its start to that line, in milliseconds. */
  readonly ms: number;
}

/** A runtime that is there. */
export interface Engine {
  /** Its name. */
  readonly name: Runtime | "python";
  /** Its version. */
  readonly version: string;
  /** Program and flags. */
  readonly command: readonly string[];
}

function copy(from: string, to: string): void {
  fs.cpSync(path.join(ROOT, from), path.join(STAGE, to), { recursive: true });
}

function filesOf(folder: string): string[] {
  return fs.readdirSync(path.join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts")).map((name) => path.join(folder, name));
}

/** The package as JavaScript, one file for each module, as JSR hands it to Bun and Node. */
async function transpile(): Promise<void> {
  const to = path.join(STAGE, "planet-js");
  fs.rmSync(to, { recursive: true, force: true });
  // The paths of what comes out are those of the sources, from this folder on.
  const sources = ["mod.ts", ...filesOf("lib")];
  const { code, output } = await run(
    [Deno.execPath(), "transpile", "--no-config", "--outdir", to, ...sources],
    { quiet: true },
  );
  if (code !== 0) throw new Error(`Cannot transpile: ${output}`);
  for (const name of fs.readdirSync(to, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".js")) continue;
    const file = path.join(to, name);
    const text = fs.readFileSync(file, "utf8");
    fs.writeFileSync(file, text.replaceAll(/(["'])(\.\.?\/[\w./]+)\.ts\1/g, "$1$2.js$1"));
  }
}

/** The package as a bundler makes it, one file for what is loaded at once; where Bun is there. */
async function bundle(): Promise<void> {
  const bun = await locate("bun");
  if (typeof bun === "string") return;
  const to = path.join(STAGE, "planet-bundle");
  fs.rmSync(to, { recursive: true, force: true });
  const flags = ["--splitting", "--target=node", "--packages=external", "--entry-naming=mod.js"];
  const entry = path.join(STAGE, "planet-js/mod.js");
  const { code, output } = await run([...bun, "build", entry, `--outdir=${to}`, ...flags], {
    quiet: true,
  });
  if (code !== 0) throw new Error(`Cannot bundle: ${output}`);
}

async function install(): Promise<void> {
  const manifest = JSON.stringify({ private: true, type: "module", dependencies: PEERS });
  const file = path.join(STAGE, "package.json");
  const there = Object.keys(PEERS).every((name) =>
    fs.existsSync(path.join(STAGE, "node_modules", name, "package.json"))
  );
  if (there && fs.existsSync(file) && fs.readFileSync(file, "utf8") === manifest) return;
  fs.writeFileSync(file, manifest);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["install", "--quiet", "--no-lock", "--node-modules-dir=auto"],
    cwd: STAGE,
  }).output();
  if (!success) throw new Error("The peers cannot be installed from npm.");
}

/** Brings the packages of `@std` along, as the tasks have put them into `node_modules`. */
function copyStd(): void {
  for (const name of ["fs", "path"]) {
    const to = path.join(STAGE, "node_modules/@std", name);
    fs.rmSync(to, { recursive: true, force: true });
    fs.cpSync(path.join(ROOT, "node_modules/@std", name), to, {
      recursive: true,
      dereference: true,
    });
  }
}

/** Sets the folder up. */
export async function setStage(): Promise<void> {
  fs.mkdirSync(STAGE, { recursive: true });
  fs.writeFileSync(path.join(STAGE, "deno.json"), '{"nodeModulesDir":"manual"}');
  for (const name of ["programs", "peers", "planet-ts", "home"]) {
    fs.rmSync(path.join(STAGE, name), { recursive: true, force: true });
  }
  copy("tests/bench/programs", "programs");
  copy("tests/bench/peers", "peers");
  copy("mod.ts", "planet-ts/mod.ts");
  copy("lib", "planet-ts/lib");
  // Deno gets the sources, the others what is made of them.
  for (const name of fs.readdirSync(path.join(STAGE, "programs"))) {
    const text = fs.readFileSync(path.join(STAGE, "programs", name), "utf8");
    if (!text.includes('"../../../mod.ts"')) continue;
    const write = (to: string, module: string) =>
      fs.writeFileSync(
        path.join(STAGE, "programs", to),
        text.replace("../../../mod.ts", module),
      );
    write(name, "../planet-js/mod.js");
    write(`deno_${name}`, "../planet-ts/mod.ts");
    write(`bundle_${name}`, "../planet-bundle/mod.js");
  }
  await install();
  copyStd();
  await transpile();
  await bundle();
}

/** Finds the runtimes and Python; says which are missing. */
export async function engines(): Promise<{ found: Engine[]; missing: string[] }> {
  const found: Engine[] = [];
  const missing: string[] = [];
  const flags: Record<Runtime, string[]> = {
    deno: ["run", "-A", "--no-check", "--no-lock"],
    bun: [],
    node: [],
  };
  for (const name of RUNTIMES) {
    const start = await locate(name);
    if (typeof start === "string") {
      missing.push(`${name}: ${start}`);
      continue;
    }
    let program = start;
    if (start.length > 1) {
      // The program itself, not what looks for it.
      const { output } = await run([...start, "-p", '"EXEC:" + process.execPath'], { quiet: true });
      program = [output.match(/^EXEC:(.+?)\r?$/m)?.[1] ?? start[0]!];
    }
    const { output } = await run([...program, "--version"], { quiet: true });
    const version = output.match(/\d+\.\d+\.\d+/)?.[0] ?? "?";
    found.push({ name, version, command: [...program, ...flags[name]] });
  }
  const check = [PYTHON, "-c", "import planet, planet_auth, sys; print(sys.version.split()[0])"];
  const python = fs.existsSync(PYTHON) ? await run(check, { quiet: true }) : undefined;
  if (python?.code === 0) {
    found.push({ name: "python", version: python.output.trim(), command: [PYTHON] });
  } else {
    missing.push("python: no .cache/python with planet and planet-auth installed");
  }
  return { found, missing };
}

/** Environment of the programs: a home of their own, no colours, no look at the network. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  HOME: path.join(STAGE, "home"),
  USERPROFILE: path.join(STAGE, "home"),
  NO_COLOR: "1",
  DENO_NO_UPDATE_CHECK: "1",
};

let denoDir: string | undefined;

async function environment(): Promise<Record<string, string>> {
  // The home of the programs must not hide Deno's cache.
  denoDir ??= JSON.parse(
    (await run([Deno.execPath(), "info", "--json", "--no-config"], { quiet: true })).output,
  ).denoDir as string;
  return { ...ENVIRONMENT, DENO_DIR: denoDir };
}

/** Starts a program and waits for its first line, then for its end. */
export async function start(engine: Engine, args: readonly string[]): Promise<Started> {
  const env = await environment();
  const [program, ...flags] = engine.command;
  const since = performance.now();
  const child = new Deno.Command(program!, {
    args: [...flags, ...args],
    cwd: STAGE,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const first = await reader.read();
  const ms = performance.now() - since;
  let text = new TextDecoder().decode(first.value);
  for (let next = first; !next.done;) {
    next = await reader.read();
    text += new TextDecoder().decode(next.value);
  }
  const errors = await new Response(child.stderr).text();
  const { success } = await child.status;
  if (!success) throw new Error(`${engine.name} ${args.join(" ").slice(0, 200)} failed: ${errors}`);
  return { line: text.split("\n")[0]!, ms };
}

/** A process that loads, says a line, and goes on when it is told to. */
export interface Waiting {
  /** Its next line. */
  line(): Promise<string>;
  /** Lets it go on; its last line. */
  release(): Promise<string>;
}

/** Starts a program that waits for a sign. */
export async function launch(engine: Engine, args: readonly string[]): Promise<Waiting> {
  const [program, ...flags] = engine.command;
  const child = new Deno.Command(program!, {
    args: [...flags, ...args],
    cwd: STAGE,
    env: await environment(),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const input = child.stdin.getWriter();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const line = async () => {
    while (!text.includes("\n")) {
      const { done, value } = await output.read();
      if (done) break;
      text += value;
    }
    const [first = "", ...rest] = text.split("\n");
    text = rest.join("\n");
    return first.trim();
  };
  return {
    line,
    async release() {
      await input.write(new TextEncoder().encode("go\n"));
      const answer = await line();
      await input.close().catch(() => {}); // It may have ended.
      await output.cancel();
      await child.status;
      return answer;
    },
  };
}

/** A program's file for an engine. */
export function program(engine: Engine, name: string): string {
  const own = path.join(STAGE, "programs", `deno_${name}`);
  if (engine.name === "deno" && fs.existsSync(own)) return own;
  return path.join(STAGE, "programs", name);
}
