/**
 * Runs one program of `examples/` against a sandbox, unchanged and with exactly
 * the permissions of its header, a script at the browser.
 *
 * `example.ts` is the program behind `deno task example`.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { spawnSync } from "../_support/child_process.ts";
import { freePort } from "../_support/free_port.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { see } from "../_support/watch.ts";
import { writeBrowser } from "./browser.ts";
import { approveDevice } from "./person.ts";
import { type Sandbox, startSandbox } from "./sandbox.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A runtime that examples run on. */
export type ExampleRuntime = "deno" | "bun" | "node";

/** Where an example runs. */
export interface ExampleWorld {
  /** The sandbox that it talks to. */
  readonly sandbox: Sandbox;
  /** Its home folder. */
  readonly home: string;
  /** The value of `$BROWSER`. */
  readonly browser: string;
  /** What the sandbox has for `callbackUrl`. */
  readonly callbackUrl: string;
  /** Hosts that stand in for those of an example's header, besides the sandbox's. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Removes the folder and stops the sandbox. */
  close(): Promise<void>;
}

/** How an example ended. */
export interface ExampleRun {
  /** Exit code; `null` after a signal. */
  readonly code: number | null;
  /** What it printed. */
  readonly stdout: string;
  /** What it told the person. */
  readonly stderr: string;
}

/** Names of all examples. */
export async function exampleNames(): Promise<string[]> {
  const files = await readdir(join(ROOT, "examples"));
  return files.filter((name) => /^[a-z].*\.ts$/.test(name)).map((name) => name.slice(0, -3)).sort();
}

/** Finds a program on PATH. */
export function onPath(program: string): string | undefined {
  const endings = process.platform === "win32" ? [".exe", ".cmd"] : [""];
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const ending of endings) {
      const path = join(folder, program + ending);
      if (folder !== "" && existsSync(path)) return path;
    }
  }
  return undefined;
}

/** Runtimes that were brought along because none is on PATH. */
export const BROUGHT: Partial<Record<ExampleRuntime, string>> = {};

/** The program behind `runtime`, or why there is none. */
export function findRuntime(runtime: ExampleRuntime): { path: string } | { missing: string } {
  const brand = "Deno" in globalThis ? "deno" : process.versions.bun ? "bun" : "node";
  const path = brand === runtime ? process.execPath : BROUGHT[runtime] ?? onPath(runtime);
  if (path === undefined) return { missing: `${runtime} is not on PATH` };
  if (runtime === "node") {
    const version = spawnSync(path, ["--version"], { encoding: "utf8" }).stdout.trim();
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
    if (major === undefined || major < 22 || (major === 22 && minor! < 18)) {
      return { missing: `Node ${version} cannot run TypeScript; 22.18 and later can` };
    }
  }
  return { path };
}

/** Makes a world for examples: a sandbox, an empty home folder, a browser. */
export async function exampleWorld(): Promise<ExampleWorld> {
  const callbackUrl = `http://localhost:${await freePort()}`;
  const sandbox = await startSandbox({ callbackUrl });
  // The store that is an example for one's own has names of its own, and a database is a file.
  const { path: home, remove } = await tempFolder({
    unwatched: /(^|\/)\.planet-(demo|edge|web)\//,
  });
  const close = async () => {
    await sandbox.close();
    await remove();
  };
  return { sandbox, home, callbackUrl, browser: await writeBrowser(home), close };
}

/** The flags in an example's header, with the sandbox's servers in the place of Planet's. */
export async function headerFlags(name: string, world: ExampleWorld): Promise<string[]> {
  const text = await readFile(join(ROOT, "examples", `${name}.ts`), "utf8");
  const line = new RegExp(`^// deno run (.*) examples/${name}\\.ts$`, "m").exec(text)?.[1];
  if (line === undefined) throw new Error(`The header of ${name}.ts names no flags.`);
  return translateFlags(line, world);
}

/** Flags of Deno, with the sandbox's servers in the place of Planet's. */
export function translateFlags(line: string, world: ExampleWorld): string[] {
  const { environment, storageUrl, url } = world.sandbox;
  const hosts: Record<string, string> = {
    "login.planet.com": new URL(environment.userAuthServer).host,
    "services.sentinel-hub.com": new URL(environment.m2mAuthServer).host,
    "api.planet.com": new URL(url).host,
    "storage.googleapis.com": new URL(storageUrl).host,
    "127.0.0.1:8000": "127.0.0.1:0",
    "0.0.0.0:8000": "127.0.0.1:0",
    "127.0.0.1:8080": `127.0.0.1:${new URL(world.callbackUrl).port}`,
    "[::1]:8080": `[::1]:${new URL(world.callbackUrl).port}`,
    "xdg-open": world.browser,
    ...world.hosts,
  };
  return line.replaceAll('"', "").split(" ").map((flag) => {
    const [option, values] = flag.split("=");
    if (values === undefined) return flag;
    const translated = values.split(",").map((value) =>
      hosts[value] ?? value.replace(/^\$HOME(?=\/|$)/, world.home)
    );
    return `${option}=${translated.join(",")}`;
  });
}

/** Deno's own cache, which would move with the home folder. */
function denoDir(): string {
  const { DENO_DIR, HOME, LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  if (DENO_DIR) return DENO_DIR;
  if (process.platform === "win32") return join(LOCALAPPDATA ?? homedir(), "deno");
  const home = HOME ?? homedir();
  if (process.platform === "darwin") return join(home, "Library", "Caches", "deno");
  return join(XDG_CACHE_HOME ?? join(home, ".cache"), "deno");
}

/** How an example is started with exactly the flags of its header. */
export async function exampleCommand(
  name: string,
  runtime: ExampleRuntime,
  world: ExampleWorld,
): Promise<string[]> {
  const found = findRuntime(runtime);
  if ("missing" in found) throw new Error(`Cannot run ${name}: ${found.missing}.`);
  const file = join(ROOT, "examples", `${name}.ts`);
  if (runtime === "bun") return [found.path, "run", file];
  if (runtime === "node") {
    return [
      found.path,
      "--experimental-transform-types",
      "--disable-warning=ExperimentalWarning",
      file,
    ];
  }
  const links = join(ROOT, ".deno.links.json");
  const config = existsSync(links) ? links : join(ROOT, "deno.json");
  const flags = await headerFlags(name, world);
  return [found.path, "run", "--quiet", "--no-prompt", "--config", config, ...flags, file];
}

/** The variables that an example gets. */
export function exampleEnvironment(world: ExampleWorld): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: world.home,
    BROWSER: world.browser,
    DENO_DIR: denoDir(),
    NO_COLOR: "1",
    PLANET_SANDBOX: world.sandbox.url,
    PL_CLIENT_SECRET: world.sandbox.m2m.clientSecret,
    // How registries are reached.
    ...Object.fromEntries(
      Object.entries(process.env).filter(([name]) =>
        /^(JSR_URL|(npm|NPM)_CONFIG_\w+|DENO_TLS_CA_STORE|(DENO|NODE|SSL)_\w*CERT\w*|https?_proxy)$/i
          .test(name)
      ),
    ) as Record<string, string>,
  };
}

/** How an example is run. */
export interface RunOptions {
  /** Runtime; default Deno. */
  readonly runtime?: ExampleRuntime;
  /** Whether what it prints is shown as well; default false. */
  readonly echo?: boolean;
  /** Longest time in milliseconds; default a minute. */
  readonly timeoutMs?: number;
  /** Arguments of the example. */
  readonly args?: readonly string[];
  /** More variables of the environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Whether a device's code is typed that stands below a plain address; default: a browser does it. */
  readonly typesCode?: boolean;
  /** What is run in the place of the runtime with the example's file and flags. */
  readonly command?: readonly string[];
}

/** An example that serves. */
export interface ServingExample {
  /** Where it listens. */
  readonly url: string;
  /** Stops it. */
  stop(): Promise<void>;
}

/** Starts an example that serves; resolves when it says that it listens. */
export async function startExample(
  name: string,
  world: ExampleWorld,
  options: RunOptions = {},
): Promise<ServingExample> {
  const { args = [], echo = false, runtime = "deno", timeoutMs = 60_000 } = options;
  const [program, ...flags] = options.command ?? await exampleCommand(name, runtime, world);
  // Quiet, Deno does not tell the port.
  const words = [...flags.filter((flag) => flag !== "--quiet"), ...args];
  const child = spawn(program!, words, {
    cwd: world.home,
    env: { ...exampleEnvironment(world), ...options.variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  let output = "";
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
    see("console", `what ${name} printed`, output);
  };
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        if (echo) process[stream].write(text);
        output += text;
        const found = /listening on (http:\/\/\S+)/i.exec(output)?.[1];
        if (found !== undefined) resolve(found);
      });
    }
    child.once("error", reject);
    void ended.then(() => reject(new Error(`${name} did not listen: ${output}`)));
  }).finally(() => clearTimeout(timer)).catch(async (error) => {
    await stop();
    throw error;
  });
  return { url, stop };
}

/** Runs an example in `world`; confirms a device where it shows a URL for one. */
export async function runExample(
  name: string,
  world: ExampleWorld,
  options: RunOptions = {},
): Promise<ExampleRun> {
  const { args = [], echo = false, runtime = "deno", timeoutMs = 60_000 } = options;
  const [program, ...flags] = options.command ?? await exampleCommand(name, runtime, world);
  const child = spawn(program!, [...flags, ...args], {
    cwd: world.home,
    env: { ...exampleEnvironment(world), ...options.variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { stdout: "", stderr: "" };
  let approval: Promise<unknown> | undefined;
  // The address has the code in it, or it stands below.
  const page = `${world.sandbox.environment.userAuthServer.replaceAll(".", "\\.")}device`;
  const below = options.typesCode ? "|\\s[^]*?\\b([A-Z]{4}-[A-Z]{4})\\b" : "";
  const device = new RegExp(`${page}(?:\\?user_code=\\S+(?=\\s)${below})`);
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (chunk: string) => {
      texts[stream] += chunk;
      if (echo) process[stream].write(chunk);
      const [found, code] = device.exec(texts.stdout) ?? device.exec(texts.stderr) ?? [];
      if (found === undefined) return;
      const [url = ""] = found.split(/\s/);
      approval ??= approveDevice(url, code).catch((error: unknown) => error);
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const failure = await approval;
    if (failure instanceof Error) throw failure;
    see("console", `what ${name} printed`, texts.stdout + texts.stderr);
    return { code, ...texts };
  } finally {
    clearTimeout(timer);
  }
}
