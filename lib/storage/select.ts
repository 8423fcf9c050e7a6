/**
 * Picks the store, and the file operations, that fit this runtime.
 *
 * Never causes a permission prompt.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { homeVariable, isGranted, lookAt, readEnv, runtime } from "../runtime.ts";
import { FileStorage } from "./file.ts";
import type { Files } from "./files.ts";
import type { ObjectStorageProvider } from "./types.ts";

/** A store, and why it is this one. */
export interface ChosenStorage {
  /** The store. */
  readonly storage: ObjectStorageProvider;
  /** Its kind; `custom` where the application brought its own. */
  readonly kind: "file" | "kv" | "memory" | "custom";
  /** Where it keeps things, as far as there is a place. */
  readonly location?: string;
  /** Why it was chosen. */
  readonly reason: string;
}

/**
 * Loads the file operations of this runtime.
 *
 * @throws {AuthError} `unsupported_runtime` where there are no files.
 */
export async function openFiles(): Promise<Files> {
  if (runtime === "deno") return (await import("./files_deno.ts")).files;
  if (runtime !== "other") return (await import("./files_node.ts")).files;
  throw new AuthError(
    "unsupported_runtime",
    "Pass a storageProvider: this runtime has no files.",
  );
}

/** Lets the program end although `timer` waits. */
export function unrefTimer(timer: unknown): void {
  if (runtime === "deno") Deno.unrefTimer(timer as number);
  else (timer as { unref?: () => void }).unref?.();
}

/** Opens Deno KV; `undefined` where there is none. */
export function kvOpener(): (() => Promise<unknown>) | undefined {
  return runtime === "deno" ? (Deno as { openKv?: () => Promise<unknown> }).openKv : undefined;
}

/** The store of files in the home directory. */
export function fileStorage(): ChosenStorage {
  const storage = new FileStorage();
  return {
    storage,
    kind: "file",
    location: storage.root,
    reason: "files in the home directory may be read and written",
  };
}

/** Tells whether a session may lie in files here, at a glance; `false` takes a closer look. */
async function hasFiles(): Promise<boolean> {
  const variable = homeVariable();
  if (runtime === "other" || !isGranted({ name: "env", variable })) return false;
  const home = readEnv(variable);
  if (!home || readEnv("DENO_DEPLOYMENT_ID") !== undefined) return false;
  const path = `${home}/.planet`;
  return isGranted({ name: "read", path }) && isGranted({ name: "write", path }) &&
    await lookAt(path) === "other";
}

/**
 * Chooses a store by what is allowed here already: files that last, then Deno
 * KV, then memory. Deno KV comes first on Deno Deploy, where the disk does not last.
 */
export async function chooseStorage(): Promise<ChosenStorage> {
  if (await hasFiles()) return fileStorage();
  return await (await import("./choose.ts")).chooseClosely();
}

/** The store of {@linkcode chooseStorage}, without its reason. */
export async function defaultStorage(): Promise<ObjectStorageProvider> {
  return (await chooseStorage()).storage;
}
