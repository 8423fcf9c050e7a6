/**
 * Picks the store, and the file operations, that fit this runtime.
 *
 * Never causes a permission prompt.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import {
  homeVariable,
  isGranted,
  isPermissionError,
  lookAt,
  namesIn,
  readEnv,
  runtime,
} from "../runtime.ts";
import { FileStorage } from "./file.ts";
import { MemoryStorage } from "./memory.ts";
import type { Files } from "./files.ts";
import type { ObjectStorageProvider } from "./objects.ts";

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
  /** Whether it outlives the program. */
  readonly durable: boolean;
  /** Whether the command line reads it too. */
  readonly sharesWithCommandLine?: boolean;
  /** Closes what was opened here. */
  readonly close?: () => void;
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

/** The text of the file that `member` of a profile names; `what` says what it is for. */
export async function readNamedFile(file: string, member: string, what: string): Promise<string> {
  try {
    return new TextDecoder().decode(await (await openFiles()).read(file));
  } catch (cause) {
    const flag = isPermissionError(cause) ? `Run with --allow-read=${file}` : `Check ${file}`;
    throw new AuthError(
      "storage_failed",
      `${flag}: the ${what} that ${member} names cannot be read.`,
      { cause },
    );
  }
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
    durable: true,
    sharesWithCommandLine: true,
  };
}

/** Where sessions lie in files, as far as that is permitted at a glance. */
function sessionsFolder(): string | undefined {
  if (runtime === "other") return undefined;
  const home = readEnv(homeVariable());
  if (!home || readEnv("DENO_DEPLOYMENT_ID") !== undefined) return undefined;
  const path = `${home}/.planet`;
  return isGranted({ name: "read", path }) && isGranted({ name: "write", path }) ? path : undefined;
}

/**
 * The store of files, and which of `names` a profile has there, by one look; `undefined` where
 * that does not tell.
 */
export async function profileFiles(
  profileName: string,
  names: readonly string[],
): Promise<{ chosen: ChosenStorage; names: readonly string[] } | undefined> {
  const folder = sessionsFolder();
  if (folder === undefined) return undefined;
  const found = await namesIn(`${folder}/${profileName}`, names);
  return found === undefined ? undefined : { chosen: fileStorage(), names: found };
}

/**
 * Chooses a store by what is allowed here already: files that last, then Deno
 * KV, then memory. Deno KV comes first on Deno Deploy, where the disk does not last.
 */
export async function chooseStorage(): Promise<ChosenStorage> {
  const folder = sessionsFolder();
  if (folder !== undefined && await lookAt(folder) === "other") return fileStorage();
  return await (await import("./choose.ts")).chooseClosely();
}

/** The store of {@linkcode chooseStorage}, without its reason. */
export async function defaultStorage(): Promise<ObjectStorageProvider> {
  return (await chooseStorage()).storage;
}

/** The store of the options, or the one that fits this runtime. */
export async function openStorage(
  { storageProvider: storage }: { storageProvider?: ObjectStorageProvider | undefined },
): Promise<ChosenStorage> {
  if (storage === undefined) return await chooseStorage();
  const sharesWithCommandLine = storage instanceof FileStorage;
  const durable = !(storage instanceof MemoryStorage);
  const reason = "storageProvider was given";
  return { storage, kind: "custom", reason, durable, sharesWithCommandLine };
}

/** Files of a profile that tell how its session is kept. */
const SESSION_FILES = ["auth_client.sops.json", "token.json", "token.sops.json"] as const;

/** The store of a profile's session. */
export async function openSessionStorage(
  options: {
    saveStateToStorage?: boolean | undefined;
    storageProvider?: ObjectStorageProvider | undefined;
  },
  profileName: string,
): Promise<ChosenStorage> {
  if (options.saveStateToStorage === false) {
    const reason = "saveStateToStorage is false";
    return { storage: new MemoryStorage(), kind: "memory", reason, durable: false };
  }
  const seen = options.storageProvider === undefined
    ? await profileFiles(profileName, SESSION_FILES)
    : undefined;
  if (seen?.names.every((name) => !name.endsWith(".sops.json"))) return seen.chosen;
  return await withSops(await openStorage(options), profileName);
}

/** The store, reading and writing through `sops` where the profile has files of it. */
export async function withSops(
  chosen: ChosenStorage,
  profileName: string,
): Promise<ChosenStorage> {
  const { storage } = chosen;
  if (!(storage instanceof FileStorage)) return chosen;
  const there = await Promise.all(
    ["auth_client.sops", "token.sops"]
      .map((object) => storage.exists(`.planet/${profileName}/${object}.json`)),
  );
  if (!there.includes(true)) return chosen;
  const { SopsStorage } = await import("./sops.ts");
  const reason = `${chosen.reason}; sops encrypts the profile's files`;
  return { ...chosen, storage: new SopsStorage(storage), reason };
}
