/**
 * Runs modules of this repository in workerd, the runtime of Cloudflare Workers, by miniflare; the
 * modules one by one and unbundled, without the compatibility layer for Node.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { loadExtra, missingExtra } from "../_tools/extra.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The calls of miniflare that are used. */
export interface Isolate {
  /** Sends a request. */
  dispatchFetch(url: string, init?: RequestInit): Promise<Response>;
  /** A KV namespace that is bound. */
  getKVNamespace(name: string): Promise<{ get(key: string): Promise<string | null> }>;
  /** Stops workerd. */
  dispose(): Promise<void>;
}

interface TypeScript {
  transpileModule(text: string, options: { compilerOptions: object }): { outputText: string };
  ScriptTarget: { ESNext: number };
  ModuleKind: { ESNext: number };
}

/** Why nothing runs in workerd here; `undefined` where it does. */
export function noWorkerd(): string | undefined {
  return missingExtra("miniflare") ?? missingExtra("typescript");
}

/** Names of a folder's modules, from the root. */
function modulesOf(folder: string): string[] {
  return readdirSync(ROOT + folder, { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .filter((name) => name.endsWith(".ts")).sort();
}

/** Modules of `lib/` that name `node:`; workerd could not load them. */
export function nodeModules(): string[] {
  return modulesOf("lib").filter((name) => /from "node:/.test(readFileSync(ROOT + name, "utf8")));
}

/** Tells whether a module is of one runtime, by its name. */
export function isOfRuntime(name: string): boolean {
  return /(^|[/_])(bun|deno|node)\.ts$/.test(name);
}

/** How an isolate is started. */
export interface IsolateOptions {
  /** Texts and objects that the worker gets. */
  bindings: Record<string, unknown>;
  /** Names of KV namespaces. */
  kvNamespaces?: string[];
  /** Folder in which the namespaces outlive the isolate. */
  kvPersist?: string;
}

/** Starts the worker of `tests/edge/worker.ts`; every module of `lib/` that can be is loaded at once. */
export async function startIsolate(options: IsolateOptions): Promise<Isolate> {
  const ts = loadExtra<TypeScript>("typescript");
  const compilerOptions = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  };
  const names = ["mod.ts", "tests/edge/worker.ts", ...modulesOf("lib"), ...modulesOf("examples")];
  const modules = names.map((name) => {
    const text = readFileSync(ROOT + name, "utf8");
    const { outputText } = ts.transpileModule(text, { compilerOptions });
    const up = "../".repeat(name.split("/").length - 1);
    const contents = outputText.replaceAll('"oauth4webapi"', `"./${up}oauth4webapi.js"`);
    return { type: "ESModule", path: `/${name}`, contents };
  });
  const oauth4webapi = createRequire(import.meta.url).resolve("oauth4webapi");
  // What is imported here runs outside any request, where workerd allows the least.
  const all = modulesOf("lib").filter((name) => !isOfRuntime(name));
  const main = `${all.map((name) => `import "./${name}";`).join("\n")}
export { default } from "./tests/edge/worker.ts";`;
  const { Miniflare } = loadExtra<{ Miniflare: new (options: object) => Isolate }>("miniflare");
  const isolate = new Miniflare({
    ...options,
    modulesRoot: "/",
    modules: [
      { type: "ESModule", path: "/main.js", contents: main },
      { type: "ESModule", path: "/oauth4webapi.js", contents: readFileSync(oauth4webapi, "utf8") },
      ...modules,
    ],
    compatibilityDate: "2025-09-01",
    cf: false,
  });
  return await Promise.resolve(isolate);
}
