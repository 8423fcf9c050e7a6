/**
 * Many processes of several runtimes that share one session.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PlanetEnvironment } from "../../mod.ts";
import type { EngineName } from "../_support/engines.ts";
import { type ExampleRuntime, findRuntime } from "../sandbox/run_example.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What a worker needs to know. */
export interface WorkerSetup {
  /** The servers. */
  readonly environment: PlanetEnvironment;
  /** The client. */
  readonly clientId: string;
  /** Secret of a service account. */
  readonly clientSecret?: string;
  /** Scopes of a person's session; default: those of the library. */
  readonly requestedScopes?: readonly string[];
  /** The profile. */
  readonly profileName: string;
  /** Folder of the files. */
  readonly root?: string;
  /** Whether the folder is the home of the examples' own store, which has no lock. */
  readonly demo?: boolean;
  /** Path or URL of a Deno KV database in place of the files. */
  readonly kv?: string;
  /** What a client of that URL must show. */
  readonly kvToken?: string;
  /** A database of another kind in place of the files. */
  readonly engine?: EnginePlace;
}

/** Where a worker finds a database; it picks a client by its process ID. */
export interface EnginePlace {
  /** The engine. */
  readonly name: EngineName;
  /** Its port, or that of a proxy, on 127.0.0.1. */
  readonly port: number;
  /** What the keys begin with. */
  readonly prefix: string;
  /** The lease, if not the default one. */
  readonly leaseMs?: number;
}

/** How a request to a worker ended. */
export interface Outcome {
  /** Fingerprint of the token. */
  readonly token?: string;
  /** Code of the error. */
  readonly code?: string;
  /** Text of the error. */
  readonly message?: string;
}

/** How a runtime starts a script of this repository. */
export function startCommand(runtime: ExampleRuntime): [path: string, flags: string[]] {
  const found = findRuntime(runtime);
  if ("missing" in found) throw new Error(found.missing);
  const links = join(ROOT, ".deno.links.json");
  const flags = {
    deno: ["run", "--quiet", "--no-prompt", "--no-check", "--unstable-kv", "-A", "--config"].concat(
      existsSync(links) ? links : join(ROOT, "deno.json"),
    ),
    bun: ["run"],
    node: ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"],
  };
  return [found.path, flags[runtime]];
}

/** Sends a signal, any number of times: under Deno, `child.kill()` sends the first one only. */
export function sendSignal(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(child.pid, signal);
  } catch { /* It has ended already. */ }
}

/** A process that shares the session. */
export class Worker {
  readonly runtime: ExampleRuntime;
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #exit: Promise<void>;
  #errors = "";

  constructor(runtime: ExampleRuntime, setup: WorkerSetup) {
    this.runtime = runtime;
    const [path, flags] = startCommand(runtime);
    this.child = spawn(path, [...flags, join(ROOT, "tests/processes/worker.ts")], {
      env: { ...process.env, NO_COLOR: "1", WORKER_SETUP: JSON.stringify(setup) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdin!.on("error", () => {}); // It may be killed at any time.
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => this.#errors += text);
    this.#reader = createInterface({ input: this.child.stdout! });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    this.#exit = new Promise((resolve) => this.child.once("close", () => resolve()));
  }

  /** Waits until it is loaded. */
  async ready(): Promise<void> {
    const { value } = await this.#lines.next();
    if (value !== "ready") throw new Error(`${this.runtime} did not start: ${this.#errors}`);
  }

  /** URLs that it would have opened in a browser. */
  get opened(): string[] {
    return [...this.#errors.matchAll(/^OPEN (\S+)$/gm)].map(([, url]) => url!);
  }

  /** Asks for a token; `login` signs in where that is needed. */
  async ask(what: "token" | "refresh" | "login" = "token"): Promise<Outcome> {
    this.child.stdin!.write(`${what}\n`);
    const { value, done } = await this.#lines.next();
    return done ? { code: "gone", message: this.#errors } : JSON.parse(value);
  }

  /** Ends it, at once and at any line. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    sendSignal(this.child, signal);
    await this.#exit;
    this.#reader.close();
  }
}

/** Runtimes that can be had here, and why the others cannot. */
export function availableRuntimes(): { runtimes: ExampleRuntime[]; missing: string[] } {
  const runtimes: ExampleRuntime[] = [];
  const missing: string[] = [];
  for (const runtime of ["deno", "bun", "node"] as const) {
    const found = findRuntime(runtime);
    if ("missing" in found) missing.push(found.missing);
    else runtimes.push(runtime);
  }
  return { runtimes, missing };
}

/** Why a test that starts processes of every runtime itself does not run here. */
export const onceIsEnough: string | undefined = "Deno" in globalThis
  ? undefined
  : "it starts processes of every runtime itself; running it under Deno is enough";

/** Starts `count` processes, the runtimes in turn, and waits until all are loaded. */
export async function startWorkers(
  count: number,
  setup: WorkerSetup,
  runtimes: readonly ExampleRuntime[] = availableRuntimes().runtimes,
): Promise<Worker[]> {
  const workers: Worker[] = [];
  // A few at a time: loading is what costs, and only what comes after it is tested.
  for (let index = 0; index < count; index += 4) {
    const some = Array.from(
      { length: Math.min(4, count - index) },
      (_, number) => new Worker(runtimes[(index + number) % runtimes.length]!, setup),
    );
    workers.push(...some);
    try {
      await Promise.all(some.map((worker) => worker.ready()));
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.kill()));
      throw error;
    }
  }
  return workers;
}
