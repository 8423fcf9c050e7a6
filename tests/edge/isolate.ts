/**
 * A program that runs the worker of `tests/edge/worker.ts` in workerd, the runtime of Cloudflare
 * Workers, by miniflare: the modules one by one and unbundled, without the compatibility layer for
 * Node. A process of its own, since miniflare leaves timers and message ports behind.
 *
 * Lines of JSON: the first one in is {@linkcode IsolateOptions}, the first one out has the address.
 * Each further line in names a KV namespace and a key; the line out is the value, or what is known of
 * it in a bucket, or how much memory was used. The end of the input ends it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { createInterface } from "node:readline";
import { loadExtra } from "../_tools/extra.ts";
import { isOfRuntime, type IsolateOptions, modulesOf, ROOT } from "./workerd.ts";

/** The calls of miniflare that are used. */
interface Miniflare {
  /** Where it listens. */
  readonly ready: Promise<URL>;
  /** Where it can be inspected, by the Chrome DevTools Protocol. */
  getInspectorURL(): Promise<URL>;
  /** A KV namespace that is bound. */
  getKVNamespace(name: string): Promise<{ get(key: string): Promise<string | null> }>;
  /** A bucket that is bound. */
  getR2Bucket(name: string): Promise<
    { get(key: string): Promise<{ body: AsyncIterable<Uint8Array>; size: number } | null> }
  >;
  /** Stops workerd. */
  dispose(): Promise<void>;
}

interface TypeScript {
  transpileModule(text: string, options: { compilerOptions: object }): { outputText: string };
  ScriptTarget: { ESNext: number };
  ModuleKind: { ESNext: number };
}

/** What every worker here runs with: no compatibility layer for Node. */
const COMMON = { host: "127.0.0.1", compatibilityDate: "2025-09-01", cf: false } as const;

/** Starts workerd; without a bundle, every module of `lib/` that can be is loaded at once. */
function start(
  { bundle, worker = "tests/edge/worker.ts", ...options }: IsolateOptions,
): Miniflare {
  const { Miniflare } = loadExtra<{ Miniflare: new (options: object) => Miniflare }>("miniflare");
  if (bundle !== undefined) {
    const contents = readFileSync(bundle, "utf8");
    const modules = [{ type: "ESModule", path: "/main.js", contents }];
    return new Miniflare({ ...options, ...COMMON, modulesRoot: "/", modules });
  }
  const ts = loadExtra<TypeScript>("typescript");
  const compilerOptions = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  };
  /** What is used of @std: paths and files, which no edge has. */
  const ofPaths = new Set<string>();
  const names = ["mod.ts", "tests/edge/worker.ts", ...modulesOf("lib"), ...modulesOf("examples")];
  const modules = names.map((name) => {
    const text = readFileSync(ROOT + name, "utf8");
    const { outputText } = ts.transpileModule(text, { compilerOptions });
    const up = "../".repeat(name.split("/").length - 1);
    for (const [, names] of outputText.matchAll(/import \{ ([\w, ]+) \} from "@std\//g)) {
      names!.split(", ").forEach((each) => ofPaths.add(each));
    }
    const contents = outputText.replaceAll('"oauth4webapi"', `"./${up}oauth4webapi.js"`)
      .replaceAll(/"@std\/[\w/-]+"/g, `"./${up}std.js"`);
    return { type: "ESModule", path: `/${name}`, contents };
  });
  const oauth4webapi = createRequire(import.meta.url).resolve("oauth4webapi");
  // What is imported here runs outside any request, where workerd allows the least.
  const all = modulesOf("lib").filter((name) => !isOfRuntime(name));
  const main = `${all.map((name) => `import "./${name}";`).join("\n")}
export * from "./${worker}";
export { default } from "./${worker}";`;
  const std = `const none = () => { throw new Error("There are no files here."); };
export { ${[...ofPaths].map((name) => `none as ${name}`).join(", ")} };`;
  return new Miniflare({
    ...options,
    ...COMMON,
    modulesRoot: "/",
    modules: [
      { type: "ESModule", path: "/main.js", contents: main },
      { type: "ESModule", path: "/oauth4webapi.js", contents: readFileSync(oauth4webapi, "utf8") },
      { type: "ESModule", path: "/std.js", contents: std },
      ...modules,
    ],
  });
}

/** The most memory that workerd has had so far, in bytes; 0 where Linux does not tell it. */
function peakMemory(): number {
  const own = `/proc/${process.pid}/task/${process.pid}/children`;
  if (!existsSync(own)) return 0;
  const peaks = readFileSync(own, "utf8").trim().split(" ").map((pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return status.includes("workerd") ? Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) : 0;
  });
  return Math.max(...peaks) * 1024;
}

/** What V8 holds for an isolate, in bytes. */
interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize: number;
  readonly backingStorageSize: number;
}

/** Watches the memory of the worker's own isolate, its buffers among it; the most so far, in bytes. */
async function watchWorker(isolate: Miniflare): Promise<() => number> {
  const { host } = await isolate.getInspectorURL();
  const socket = new WebSocket(`ws://${host}/core:user:`);
  let most = 0;
  const ask = () => socket.send('{"id":1,"method":"Runtime.getHeapUsage"}');
  socket.onmessage = ({ data }) => {
    const { result } = JSON.parse(data) as { result?: HeapUsage };
    if (result === undefined) return;
    const { backingStorageSize, embedderHeapUsedSize, usedSize } = result;
    most = Math.max(most, usedSize + embedderHeapUsedSize + backingStorageSize);
    setTimeout(ask, 20);
  };
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("The worker cannot be inspected."));
  });
  ask();
  return () => most;
}

const lines = createInterface({ input: process.stdin });
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
let isolate: Miniflare | undefined;
let workerMemory: Promise<() => number> | undefined;
for await (const line of lines) {
  if (isolate === undefined) {
    isolate = start(JSON.parse(line));
    say((await isolate.ready).href);
    continue;
  }
  const [namespace, key, kind] = JSON.parse(line);
  if (kind === "memory") {
    workerMemory ??= watchWorker(isolate);
    say({ process: peakMemory(), worker: (await workerMemory)() });
    continue;
  }
  if (kind === "bucket") {
    const found = await (await isolate.getR2Bucket(namespace)).get(key);
    const hash = createHash("sha256");
    for await (const part of found?.body ?? []) hash.update(part);
    say(found && { size: found.size, sha256: hash.digest("hex") });
    continue;
  }
  say(await (await isolate.getKVNamespace(namespace)).get(key));
}
await isolate?.dispose();
process.exit(0);
