/**
 * Picks the store that fits the options of a session and this runtime.
 *
 * Never causes a permission prompt.
 *
 * @module
 */

import { profileKey } from "../setup.ts";
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
import { FileStorage, openFiles } from "./file.ts";
import type { KvLike } from "./kv_engine.ts";
import { KvStorage, MemoryStorage } from "./stores.ts";
import type { ChosenStorage, ObjectStorageProvider } from "./objects.ts";

/** The options of a session that say where its state is kept. */
export interface StorageOptions {
  /** `false`: in memory; `true`: in a store that lasts, or not at all. */
  readonly saveStateToStorage?: boolean | undefined;
  /** The application's own store. */
  readonly storageProvider?: ObjectStorageProvider | undefined;
}

/** Why there is no store of some kind, and what to do for one; "" if there is nothing to do. */
type Missing = readonly [why: string, advice: string];

function memory(reason: string, advice?: string): ChosenStorage {
  const storage = new MemoryStorage();
  return { storage, kind: "memory", durable: false, reason, ...advice !== undefined && { advice } };
}

function inFiles(): ChosenStorage {
  const storage = new FileStorage();
  return {
    storage,
    kind: "file",
    durable: true,
    sharesWithCommandLine: true,
    location: storage.root,
    reason: "files in the home directory may be read and written",
  };
}

/** Deno Deploy has a disk, but one that does not last. */
function isDeploy(): boolean {
  return readEnv("DENO_DEPLOYMENT_ID") !== undefined;
}

function missingFlags(path: string): string[] {
  return (["read", "write"] as const).filter((name) => !isGranted({ name, path }))
    .map((name) => `--allow-${name}=${path}`);
}

/** Where sessions lie in files, if that is permitted and needs no closer look. */
function sessionsFolder(): string | undefined {
  if (runtime === "other") return undefined;
  const home = readEnv(homeVariable());
  if (!home || isDeploy()) return undefined;
  const path = `${home}/.planet`;
  return missingFlags(path).length === 0 ? path : undefined;
}

/** Why files cannot be used without asking somebody; `undefined`: they can. */
async function missingFiles(): Promise<Missing | undefined> {
  if (runtime === "other") return ["this runtime has no files", ""];
  if (isDeploy()) return ["the disk of Deno Deploy does not last", "attach a Deno KV database"];
  const variable = homeVariable();
  const home = readEnv(variable);
  const flags = missingFlags(`${home || `$${variable}`}/.planet`);
  if (!isGranted({ name: "env", variable })) flags.unshift(`--allow-env=${variable}`);
  const all = flags.join(" ");
  if (all !== "") return [`not granted: ${all}`, `run with ${all}`];
  if (!home) return [`the variable ${variable} is not set`, `set the variable ${variable}`];
  const files = await openFiles();
  // What is there already serves readers even if nothing can be written.
  if (await files.exists(`${home}/.planet`).catch(() => false)) return undefined;
  const mayTry = (["read", "write"] as const).every((name) => isGranted({ name, path: home }));
  if (!mayTry || await files.canAdd(home) !== false) return undefined;
  return [
    `nothing can be written to the folder ${home}`,
    `let this user write to the folder ${home}`,
  ];
}

/** Opens the default Deno KV, since there are no files. */
async function openKv(noFiles: string): Promise<ChosenStorage | Missing> {
  if (runtime !== "deno") return [runtime === "other" ? "no Deno KV" : "", ""];
  const open = (Deno as { openKv?: () => Promise<unknown> }).openKv;
  if (open === undefined) {
    const flag = "--unstable-kv";
    return isDeploy() ? ["no Deno KV", ""] : [`no Deno KV (${flag})`, `run with ${flag}`];
  }
  try {
    const kv = await open() as KvLike & { close(): void };
    const readers = isDeploy() ? "" : "; other users of this machine may be able to read its file";
    return {
      storage: new KvStorage(kv),
      kind: "kv",
      durable: true,
      location: "Deno KV",
      reason: `Deno KV is there, and ${noFiles}${readers}`,
      close: () => kv.close(),
    };
  } catch (error) {
    return [`Deno KV did not open (${error instanceof Error ? error.name : "unknown"})`, ""];
  }
}

/**
 * Chooses a store by what is allowed here already: files that last, then Deno KV,
 * then memory. Deno KV comes first on Deno Deploy, whose disk does not last.
 */
export async function chooseStorage(): Promise<ChosenStorage> {
  const folder = sessionsFolder();
  if (folder !== undefined && await lookAt(folder) === "other") return inFiles();
  const noFiles = await missingFiles();
  if (noFiles === undefined) return inFiles();
  const kv = await openKv(noFiles[0]);
  if ("storage" in kv) return kv;
  const joined = (at: 0 | 1, by: string) => [noFiles[at], kv[at]].filter(Boolean).join(by);
  return memory(joined(0, "; "), joined(1, ", or "));
}

/** The store of the options, or the one that fits this runtime. */
export async function openStorage(
  { storageProvider: storage }: StorageOptions,
): Promise<ChosenStorage> {
  if (storage === undefined) return await chooseStorage();
  const sharesWithCommandLine = storage instanceof FileStorage;
  const durable = !(storage instanceof MemoryStorage);
  const reason = "storageProvider was given";
  return { storage, kind: "custom", durable, sharesWithCommandLine, reason };
}

/**
 * Opens the store of a session: the one place that decides where its state is kept.
 *
 * @throws {AuthError} `storage_denied` if `saveStateToStorage` is `true` and nothing here lasts.
 */
export async function openSessionStorage(
  { saveStateToStorage, storageProvider }: StorageOptions,
  profileName: string,
): Promise<ChosenStorage> {
  if (saveStateToStorage === false) return memory("saveStateToStorage is false");
  if (storageProvider === undefined && await isInClear(profileName)) return inFiles();
  const chosen = await openStorage({ storageProvider });
  if (saveStateToStorage === true && chosen.kind === "memory") {
    const ways = [chosen.advice, "pass a storageProvider", "leave saveStateToStorage out"];
    const text = ways.filter(Boolean).join(", or ");
    throw new AuthError(
      "storage_denied",
      `${text[0]!.toUpperCase()}${text.slice(1)}: no store here outlives the program ` +
        `(${chosen.reason}).`,
    );
  }
  return await withSops(chosen, profileName);
}

/** Whether a profile is seen to lie in files in clear, by one look at its folder. */
async function isInClear(profileName: string): Promise<boolean> {
  const folder = sessionsFolder();
  if (folder === undefined) return false;
  const names = ["auth_client.sops.json", "token.json", "token.sops.json"];
  const found = await namesIn(`${folder}/${profileName}`, names);
  return found !== undefined && !found.some((name) => name.endsWith(".sops.json"));
}

/** The store, reading and writing through `sops` if the profile has files of it. */
export async function withSops(
  chosen: ChosenStorage,
  profileName: string,
): Promise<ChosenStorage> {
  const { storage } = chosen;
  if (!(storage instanceof FileStorage)) return chosen;
  const there = await Promise.all(
    (["auth_client.sops", "token.sops"] as const)
      .map((object) => storage.exists(profileKey(profileName, object))),
  );
  if (!there.includes(true)) return chosen;
  const { SopsStorage } = await import("./sops.ts");
  const reason = `${chosen.reason}; sops encrypts the profile's files`;
  return { ...chosen, storage: new SopsStorage(storage), reason };
}

/** The store of {@linkcode chooseStorage}, without its reason. */
export async function defaultStorage(): Promise<ObjectStorageProvider> {
  return (await chooseStorage()).storage;
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
