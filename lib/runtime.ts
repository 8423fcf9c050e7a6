/**
 * Which runtime this is and what it lets us do; the one place that detects anything. Time, and waiting for it.
 *
 * Deno is asked first, because naming the `process` global there loads Node's
 * compatibility layer. Nothing here ever causes a permission prompt, except
 * where a parameter says so.
 *
 * @module
 */

import { AuthError } from "./errors.ts";

/** A runtime with a code path of its own; `other` has web standards only. */
export type RuntimeName = "deno" | "bun" | "node" | "other";

/** The members of `process` that Bun and Node share and this library uses. */
interface ProcessLike {
  readonly env: Record<string, string | undefined>;
  readonly platform: string;
  readonly versions?: Record<string, string | undefined>;
  readonly getBuiltinModule?: (name: string) => unknown;
}

/** What is known of a file. */
interface StatLike {
  readonly isFile: () => boolean;
}

/** The calls of `node:fs/promises` that are used here. */
interface NodeFiles {
  readonly readFile: (path: string, encoding: "utf8") => Promise<string>;
  readonly readdir: (path: string) => Promise<string[]>;
  readonly stat: (path: string) => Promise<StatLike>;
}

const globals = globalThis as unknown as {
  readonly Deno?: { readonly readTextFile?: unknown };
  readonly Bun?: {
    readonly serve?: unknown;
    readonly file?: (
      path: string,
    ) => { text(): Promise<string>; stat(): Promise<StatLike>; exists(): Promise<boolean> };
  };
  readonly process?: ProcessLike;
  readonly navigator?: { readonly userAgent?: string };
};

function detect(): RuntimeName {
  if (typeof globals.Deno?.readTextFile === "function") return "deno";
  if (typeof globals.Bun?.serve === "function") return "bun";
  if (globals.navigator?.userAgent === "Cloudflare-Workers") return "other";
  return globals.process?.versions?.node === undefined ? "other" : "node";
}

/** The runtime that this program runs in. */
export const runtime: RuntimeName = detect();

/**
 * Tells whether Deno's permission `descriptor` is granted already, without
 * asking anybody. Other runtimes have no such permissions: `true`.
 */
export function isGranted(
  descriptor: { readonly name: string; readonly [more: string]: string },
): boolean {
  if (runtime !== "deno") return true;
  return Deno.permissions.querySync(descriptor as Deno.PermissionDescriptor).state === "granted";
}

/** Tells whether `error` is Deno's refusal for want of a permission. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}

/** What to say of a request to `url` that Deno refused for want of a permission; else `undefined`. */
export function netRefusal(cause: unknown, url: string): AuthError | undefined {
  if (!isPermissionError(cause)) return undefined;
  const { host, origin } = new URL(url);
  // Where a redirect leads, only Deno's own message tells.
  const [, refused = host] = /net access to "([^"]+?)(?::443|:80)?"/.exec(String(cause)) ?? [];
  return new AuthError(
    "unsupported_runtime",
    `Run with --allow-net=${refused}: this program may not connect to ${
      refused === host ? origin : refused
    }.`,
    { cause },
  );
}

/**
 * Reads an environment variable, as far as that needs no prompt: without the
 * permission, and where there is no environment, the answer is `undefined`.
 */
export function readEnv(name: string): string | undefined {
  if (runtime === "deno") {
    return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
  }
  return globals.process?.env[name];
}

/**
 * Reads an environment variable that the caller named; Deno may prompt for it.
 *
 * @throws {AuthError} `invalid_argument` where Deno refuses; it names the flag.
 */
export function requireEnvAccess(name: string): string | undefined {
  if (runtime !== "deno") return readEnv(name);
  try {
    return Deno.env.get(name);
  } catch (cause) {
    throw new AuthError(
      "invalid_argument",
      `Run with --allow-env=${name}: this program may not read the variable ${name}.`,
      { cause },
    );
  }
}

/** Operating system: `linux`, `darwin`, `windows` or another name. */
export function operatingSystem(): string {
  if (runtime === "deno") return Deno.build.os;
  const platform = globals.process?.platform ?? "unknown";
  return platform === "win32" ? "windows" : platform;
}

/** Name of the variable that holds the home directory. */
export function homeVariable(): string {
  return operatingSystem() === "windows" ? "USERPROFILE" : "HOME";
}

function nodeFiles(): NodeFiles {
  return globals.process!.getBuiltinModule!("node:fs/promises") as NodeFiles;
}

/**
 * Reads a file by the runtime's quickest call, which loads no module. Fails
 * where that does not work, for whatever reason.
 */
export function readText(path: string): Promise<string> {
  if (runtime === "deno") return Deno.readTextFile(path);
  if (runtime === "bun") return globals.Bun!.file!(path).text();
  return nodeFiles().readFile(path, "utf8");
}

/** What is seen at a path, in the same way; `undefined` where it cannot be told. */
export async function lookAt(path: string): Promise<"file" | "other" | "nothing" | undefined> {
  try {
    if (runtime === "deno") return (await Deno.stat(path)).isFile ? "file" : "other";
    const found =
      await (runtime === "bun" ? globals.Bun!.file!(path).stat() : nodeFiles().stat(path));
    return found.isFile() ? "file" : "other";
  } catch (error) {
    return (error as { code?: string } | undefined)?.code === "ENOENT" ? "nothing" : undefined;
  }
}

/**
 * Which of `names` are in a folder, in the same way; `undefined` where there is no such folder, or
 * where it cannot be told. Bun, which would have to load a module to list it, looks at each name.
 */
export async function namesIn(
  path: string,
  names: readonly string[],
): Promise<readonly string[] | undefined> {
  try {
    const found = new Set<string>();
    if (runtime === "deno") {
      // At once: another thread's help takes longer than the look.
      for (const { name } of Deno.readDirSync(path)) found.add(name);
    } else if (runtime === "node") {
      for (const name of await nodeFiles().readdir(path)) found.add(name);
    } else {
      // Which asks no other thread.
      const seen = await Promise.all(
        names.map((name) => globals.Bun!.file!(`${path}/${name}`).exists()),
      );
      names.forEach((name, index) => seen[index] && found.add(name));
      if (found.size === 0) return undefined;
    }
    return names.filter((name) => found.has(name));
  } catch {
    return undefined;
  }
}

/**
 * A module of Node, if this runtime has it, without an import that a bundler would see. Under Deno that
 * loads Node's compatibility layer.
 */
export function builtinModule<Module>(name: string): Module | undefined {
  return globals.process?.getBuiltinModule?.(name) as Module | undefined;
}

/** Lets the program end although `timer` waits. */
export function unrefTimer(timer: unknown): void {
  if (runtime === "deno") Deno.unrefTimer(timer as number);
  else (timer as { unref?: () => void }).unref?.();
}

/**
 * A connection for one request under Deno; `undefined` elsewhere, and where Deno has none to give.
 *
 * Deno sends a request a second time, whatever its method, where a kept connection ends before the
 * answer, even if the server has read it all (2.9.6). What comes over a connection of its own is
 * sent once. Permissions, proxies and certificates are those of any other request.
 */
export function singleUse(): { close(): void } | undefined {
  if (runtime !== "deno") return undefined;
  // Deno Deploy lacks it.
  return Deno.createHttpClient?.({ poolMaxIdlePerHost: 0 });
}

/**
 * A source of time. Tests pass their own; everybody else uses the system's.
 *
 * @category Environments
 */
export interface Clock {
  /** Returns the time in epoch milliseconds. */
  now(): number;
  /** Waits `ms` milliseconds; rejects with the reason of `signal` when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The system's clock. */
export const systemClock: Clock = {
  now: (): number => Date.now(),
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      // Longer waits than a 32-bit count of milliseconds would fire at once.
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, Math.min(Math.max(ms, 0), 0x7fffffff));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/**
 * Waits for `work`, or goes at once when `signal` aborts; the work itself goes
 * on for whoever else waits for it.
 *
 * @throws The reason of `signal`, or what `work` rejects with.
 */
export function abandonable<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** A signal that follows another one and can be aborted by itself, until it is let go. */
export interface LinkedAbort {
  /** Aborts with the other signal, or by `abort`. */
  readonly signal: AbortSignal;
  /** Aborts the signal. */
  abort(reason: unknown): void;
  /** Stops following; nothing stays attached to the other signal. */
  release(): void;
}

/** Makes a signal that aborts when `parent` does. */
export function linkedAbort(parent?: AbortSignal): LinkedAbort {
  const controller = new AbortController();
  const follow = () => controller.abort(parent?.reason);
  if (parent?.aborted) follow();
  else parent?.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    abort: (reason: unknown): void => controller.abort(reason),
    release: (): void => parent?.removeEventListener("abort", follow),
  };
}
