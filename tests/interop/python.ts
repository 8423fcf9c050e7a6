/**
 * The real Planet SDK for Python, and its command line, for tests.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { FileStorage, type JsonObject, type LoginUI } from "../../mod.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import type { Break } from "../_support/watch.ts";
import { missingPython, PYTHON_BIN } from "../_tools/python.ts";
import { approveDevice, open } from "../sandbox/person.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../sandbox/sandbox.ts";

/** What the Planet SDK for Python leaves readable for all, beside what we write. */
export const LOOSE: Break = {
  rule: "file mode",
  where: ".planet/",
  why: "The Planet SDK for Python makes folders of mode 0755, and auth_client.json of 0644.",
};

const isDeno = "Deno" in globalThis;

/** Why these tests cannot run here; `undefined` where they can. */
export const SKIP: string | undefined = missingPython();

/** The same for tests in which our runtime does not matter. */
export const SKIP_BUT_DENO: string | undefined = isDeno
  ? SKIP
  : "it is about Python; what runs here is the same on every runtime";

/** Variables for a program of Python's: those of the session and of proxies are left out. */
export function pythonVariables(
  home: string,
  more: Record<string, string> = {},
): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^PL_|_proxy$/i.test(name)) variables[name] = value;
  }
  return {
    ...variables,
    HOME: home,
    NO_PROXY: "*",
    PYTHONDONTWRITEBYTECODE: "1",
    PATH: `${PYTHON_BIN}:${process.env.PATH ?? ""}`,
    ...more,
  };
}

/** What a program printed. */
export interface Finished {
  /** Exit code. */
  readonly code: number | null;
  /** Standard output. */
  readonly stdout: string;
  /** Standard error. */
  readonly stderr: string;
}

/** A program under way. */
export interface Running {
  /** Ends when the program ends. */
  readonly done: Promise<Finished>;
  /** Waits for a text on one of its outputs. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Starts a program of the virtual environment. */
export function startProgram(
  name: string,
  args: readonly string[],
  env: Record<string, string>,
): Running {
  const child = spawn(join(PYTHON_BIN, name), [...args], {
    env,
    cwd: env.HOME,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  let [stdout, stderr] = ["", ""];
  const watchers = new Set<() => void>();
  const tell = () => watchers.forEach((watcher) => watcher());
  child.stdout.on("data", (part) => (stdout += part, tell()));
  child.stderr.on("data", (part) => (stderr += part, tell()));
  const done = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (resolve({ code, stdout, stderr }), tell()));
  });
  return {
    done,
    waitFor: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(stdout) ?? pattern.exec(stderr);
          if (found === null && child.exitCode === null) return;
          watchers.delete(look);
          if (found !== null) resolve(found);
          else reject(new Error(`${name} ended: ${stdout}${stderr}`));
        };
        watchers.add(look);
        look();
      }),
  };
}

/** An answer of Python's that is an error. */
export class PythonError extends Error {
  /** Class of the exception. */
  readonly kind: string;

  /** Makes an error. */
  constructor(kind: string, message: string) {
    super(`${kind}: ${message}`);
    this.kind = kind;
  }
}

/** A Python process with the SDK loaded. */
export class PythonSession {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];
  readonly #ended: Promise<void>;
  #errors = "";

  /** Starts it. */
  constructor(env: Record<string, string>) {
    const script = fileURLToPath(new URL("session.py", import.meta.url));
    this.#child = spawn(join(PYTHON_BIN, "python"), [script], {
      env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#lines = createInterface({ input: this.#child.stdout! });
    this.#lines.on("line", (line) => this.#waiting.shift()?.(line));
    this.#child.stderr!.on("data", (part) => this.#errors += part);
    this.#ended = new Promise((resolve) =>
      this.#child.on("close", () => {
        const failed = JSON.stringify({ error: "Ended", message: this.#errors });
        for (const waiting of this.#waiting.splice(0)) waiting(failed);
        resolve();
      })
    );
  }

  /** Asks for something; see `session.py`. */
  async ask(request: Record<string, unknown>): Promise<JsonObject> {
    const line = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    });
    const { error, message, ok } = JSON.parse(line);
    if (error !== undefined) throw new PythonError(error, message);
    return ok;
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
    this.#lines.close();
  }
}

/** A person at the browser who does what the page asks. */
export const PERSON: LoginUI = {
  show: () => {},
  openBrowser: async (url) => {
    await (url.pathname.includes("device") ? approveDevice(url) : open(url));
    return true;
  },
};

/** A sandbox, a home folder, and Python in it. */
export interface InteropWorld {
  /** The servers. */
  readonly sandbox: Sandbox;
  /** The home folder. */
  readonly home: string;
  /** Our store over it. */
  readonly storage: FileStorage;
  /** Asks Python. */
  python(request: Record<string, unknown>): Promise<JsonObject>;
  /** Runs `planet` to its end; fails where it fails. */
  planet(...args: string[]): Promise<string>;
  /** Writes a profile into the home folder. */
  profile(name: string, members: JsonObject): Promise<void>;
  /** Text of a file of the home folder. */
  read(path: string): Promise<string>;
}

/** Runs `body` in a world of its own. */
export async function withPython(
  body: (world: InteropWorld) => Promise<void>,
  options: SandboxOptions = {},
): Promise<void> {
  const sandbox = await startSandbox({ deviceInterval: 1, ...options });
  const folder = await tempFolder();
  const home = folder.path;
  const env = pythonVariables(home);
  let session: PythonSession | undefined;
  try {
    await body({
      sandbox,
      home,
      storage: new FileStorage({ root: home }),
      python: (request) => (session ??= new PythonSession(env)).ask({ home, ...request }),
      async planet(...args) {
        const { code, stderr, stdout } = await startProgram("planet", args, env).done;
        if (code !== 0) throw new Error(`planet ${args.join(" ")}: ${code} ${stdout}${stderr}`);
        return stdout;
      },
      async profile(name, members) {
        const path = join(home, ".planet", name, "auth_client.json");
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeFile(path, JSON.stringify(members), { mode: 0o600 });
      },
      read: (path) => readFile(join(home, path), "utf8"),
    });
  } finally {
    await session?.close();
    await sandbox.close();
    await folder.remove();
  }
}
