/**
 * Workers of this repository in workerd, the runtime of Cloudflare Workers; `isolate.ts` runs it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { missingExtra } from "../_tools/extra.ts";
import { findRuntime } from "../sandbox/run_example.ts";

/** The folder of this repository, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** A running worker. */
export interface Isolate {
  /** Where it listens, with a slash at the end. */
  readonly url: string;
  /** Reads a value of a KV namespace that is bound. */
  get(namespace: string, key: string): Promise<string | null>;
  /** What lies in a bucket that is bound: its size and SHA-256, in hexadecimal digits. */
  inBucket(bucket: string, key: string): Promise<{ size: number; sha256: string } | null>;
  /**
   * The most memory so far, in bytes: that of workerd's process, 0 where Linux does not tell it; and of
   * the worker's own isolate, its buffers and garbage among it, from the first call on.
   */
  peakMemory(): Promise<{ process: number; worker: number }>;
  /** Stops workerd. */
  dispose(): Promise<void>;
}

/** Why nothing runs in workerd here; `undefined` where it does. */
export function noWorkerd(): string | undefined {
  const found = findRuntime("deno");
  return missingExtra("miniflare") ?? missingExtra("typescript") ??
    ("missing" in found ? found.missing : undefined);
}

/** Names of a folder's modules, from the root. */
export function modulesOf(folder: string): string[] {
  return readdirSync(ROOT + folder, { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .filter((name) => name.endsWith(".ts")).sort();
}

/** Modules of `lib/` that import `node:` in any form; workerd could not load them. */
export function nodeModules(): string[] {
  const isOne = /(from|import)\s*\(?\s*["']node:/;
  return modulesOf("lib").filter((name) => isOne.test(readFileSync(ROOT + name, "utf8")));
}

/** Tells whether a module is of one runtime, by its name. */
export function isOfRuntime(name: string): boolean {
  return /(^|[/_])(bun|deno|node)\.ts$/.test(name);
}

/** How an isolate is started. */
export interface IsolateOptions {
  /** Texts and objects that the worker gets. */
  bindings: Record<string, unknown>;
  /** Module of the worker; default: `tests/edge/worker.ts`. */
  worker?: string;
  /** Names of buckets. */
  r2Buckets?: string[];
  /** Names of KV namespaces. */
  kvNamespaces?: string[];
  /** Folder in which the namespaces outlive the isolate. */
  kvPersist?: string;
  /** Names of Durable Objects, and the classes of the worker that they are. */
  durableObjects?: Record<string, { className: string; useSQLite: boolean }>;
  /** Folder in which Durable Objects outlive the isolate. */
  durableObjectsPersist?: string;
  /** Port of 127.0.0.1 where it can be inspected, which `peakMemory()` needs; 0 means any. */
  inspectorPort?: number;
  /** Folder in which buckets outlive the isolate. */
  r2Persist?: string;
  /** File with the worker as one bundle, in place of the modules one by one. */
  bundle?: string;
}

/** Starts the worker of `tests/edge/worker.ts`, in a process of its own. */
export async function startIsolate(options: IsolateOptions): Promise<Isolate> {
  const found = findRuntime("deno");
  if ("missing" in found) throw new Error(found.missing);
  const script = fileURLToPath(new URL("./isolate.ts", import.meta.url));
  const flags = ["run", "--quiet", "--no-check", "--no-config", "--no-lock", "-A"];
  const child = spawn(found.path, [...flags, script], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = createInterface({ input: child.stdout! });
  const waiting: ((line: string | undefined) => void)[] = [];
  lines.on("line", (line) => waiting.shift()?.(line));
  void ended.then(() => waiting.splice(0).forEach((tell) => tell(undefined)));
  /** Secrets go in here, where no other program sees them; arguments are for all to see. */
  const ask = async <T>(question: unknown): Promise<T> => {
    const answer = new Promise<string | undefined>((resolve) => waiting.push(resolve));
    child.stdin!.write(`${JSON.stringify(question)}\n`);
    const line = await answer;
    if (line === undefined) throw new Error("The process of workerd has ended.");
    return JSON.parse(line);
  };
  const dispose = async () => {
    child.stdin!.end();
    await ended;
    lines.close();
  };
  try {
    const url = await ask<string>(options);
    return {
      url,
      get: (namespace, key) => ask([namespace, key]),
      inBucket: (bucket, key) => ask([bucket, key, "bucket"]),
      peakMemory: () => ask(["", "", "memory"]),
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
