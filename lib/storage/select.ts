/**
 * The stores of the library that need no files, and the choice of the one that fits a session.
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
import { profileKey } from "../setup.ts";
import { FileStorage, openFiles } from "./file.ts";
import type { KvEngine, KvEntry, KvKey, KvLike } from "./kv_engine.ts";
import {
  checkKey,
  checkObject,
  checkPrefix,
  type ChosenStorage,
  corrupt,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
  parseObject,
  Turns,
} from "./objects.ts";

interface Entry {
  readonly text: string;
  readonly mtime: number;
}

/**
 * Keeps JSON objects in memory; what goes in and out is a copy.
 *
 * @category Storage
 *
 * @example A session that a test looks at
 * ```ts
 * import { Auth, MemoryStorage } from "@planet-community/planet";
 *
 * const storageProvider = new MemoryStorage();
 * const auth = Auth.fromOAuthM2M({
 *   clientId: "my-client-id",
 *   clientSecret: "my-client-secret",
 *   storageProvider,
 * });
 * await auth.accessToken();
 * console.log(await storageProvider.exists(".planet/my-client-id/token.json")); // true
 * ```
 */
export class MemoryStorage implements ObjectStorageProvider {
  readonly #entries = new Map<string, Entry>();
  readonly #turns = new Turns();

  /** Reads a copy of an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    checkKey(key);
    const entry = this.#entries.get(key);
    return await Promise.resolve(entry && JSON.parse(entry.text));
  }

  /** Keeps a copy of `value`, as it is at the time of the call. */
  async save(key: string, value: JsonObject): Promise<void> {
    checkKey(key);
    checkObject(key, value);
    this.#entries.set(key, { text: JSON.stringify(value), mtime: Date.now() });
    await Promise.resolve();
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    checkKey(key);
    return await Promise.resolve(this.#entries.has(key));
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    checkKey(key);
    const entry = this.#entries.get(key);
    if (entry === undefined) throw notFound(key);
    return await Promise.resolve(entry.mtime);
  }

  /** Gives an object another key, replacing what was there. */
  async rename(from: string, to: string): Promise<void> {
    checkKey(from);
    checkKey(to);
    const entry = this.#entries.get(from);
    if (entry === undefined) throw notFound(from);
    this.#entries.delete(from);
    this.#entries.set(to, entry);
    await Promise.resolve();
  }

  /** Removes an object, if there is one. */
  async delete(key: string): Promise<void> {
    checkKey(key);
    this.#entries.delete(key);
    await Promise.resolve();
  }

  /** Lists the keys that begin with `prefix`. */
  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    for (const key of [...this.#entries.keys()]) {
      if (key.startsWith(prefix)) yield await Promise.resolve(key);
    }
  }

  /**
   * Runs `body` while no other body runs for `key`; others wait in order,
   * 30 seconds unless `timeoutMs` says otherwise.
   *
   * @throws {AuthError} `lock_timeout`.
   */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    checkKey(key);
    const lease = { signal: new AbortController().signal };
    return await this.#turns.run(key, `the lock of "${key}"`, options, () => body(lease));
  }

  /** What `JSON.stringify()` shows: how many objects there are, never what they hold. */
  toJSON(): JsonObject {
    return { storage: "memory", objects: this.#entries.size };
  }

  /** What is printed of it: the keys, never what they hold. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `MemoryStorage(${[...this.#entries.keys()].map((key) => `"${key}"`).join(", ")})`;
  }
}

/**
 * Options of a {@linkcode KvStorage}: how it uses its database.
 *
 * @category Storage
 */
export interface KvStorageOptions {
  /** First parts of every key in the database; default `["planet"]`. */
  prefix?: readonly string[] | undefined;
}

/** Largest value of a Deno KV database, in bytes. */
const MAX_BYTES = 65_536;

/**
 * Keeps JSON objects in a Deno KV database that the caller opens and closes.
 *
 * For all isolates of an edge function, and for processes that share a database file or a KV Connect
 * server: they share one renewal. `@deno/kv` under Bun and Node fits too. A value holds at most
 * 64 KiB; more is a `storage_failed`. Deno makes the database file readable by everybody: make it
 * first, empty, with mode 0600, or use {@linkcode EncryptedStorage}.
 *
 * @category Storage
 *
 * @example One session for all isolates
 * ```ts
 * import { Auth, KvStorage } from "@planet-community/planet";
 *
 * const kv = await Deno.openKv(); // with --unstable-kv
 * const auth = Auth.fromOAuthM2M({
 *   clientId: "my-client-id",
 *   clientSecret: "my-client-secret",
 *   storageProvider: new KvStorage(kv),
 * });
 * await auth.accessToken();
 * kv.close();
 * ```
 */
export class KvStorage implements ObjectStorageProvider {
  readonly #kv: KvLike;
  readonly #prefix: readonly string[];
  #opened: Promise<KvEngine> | undefined;

  /** Uses `kv` under `prefix`; nothing is read or written yet. */
  constructor(kv: KvLike, options: KvStorageOptions = {}) {
    for (const method of ["get", "list", "atomic"] as const) {
      if (typeof kv?.[method] !== "function") {
        throw new TypeError(
          `Pass an opened Deno KV database: it must have the method ${method}(). ` +
            "Deno offers openKv() with --unstable-kv.",
        );
      }
    }
    const { prefix = ["planet"] } = options;
    if (!Array.isArray(prefix) || prefix.some((part) => typeof part !== "string")) {
      throw new TypeError("prefix must be an array of strings.");
    }
    this.#kv = kv;
    this.#prefix = [...prefix];
  }

  /** Reads an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    const { value } = await this.#read(key);
    return value === null ? undefined : parseObject(where(key), bytesOf(key, value).slice(HEADER));
  }

  /**
   * Writes an object whole, or not at all; up to 64 KiB.
   *
   * While `withLock()` runs for the key on this store, the write is part of
   * that lock: if the lock is lost, nothing is written.
   */
  async save(key: string, value: JsonObject): Promise<void> {
    const path = this.#path(key);
    checkObject(key, value);
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    const stored = new Uint8Array(HEADER + bytes.length);
    new DataView(stored.buffer).setFloat64(0, Date.now());
    stored.set(bytes, HEADER);
    // The database counts a few bytes of its own.
    if (stored.length > MAX_BYTES - 64) {
      throw new AuthError(
        "storage_failed",
        `Ask for fewer scopes, or use files: ${where(key)} would take ${stored.length} bytes, ` +
          `and Deno KV holds at most ${MAX_BYTES} in one value. Nothing was written.`,
      );
    }
    await (await this.#engine()).commit("write", key, [key], (atomic) => atomic.set(path, stored));
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    return (await this.#read(key)).value !== null;
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    const { value } = await this.#read(key);
    if (value === null) throw notFound(key);
    const bytes = bytesOf(key, value);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat64(0);
  }

  /** Gives an object another key, replacing what was there. */
  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [this.#path(from), this.#path(to)];
    for (let attempt = 0; attempt < MOST_MOVES; attempt++) {
      const { value, versionstamp } = await this.#read(from);
      if (value === null) throw notFound(from);
      if (from === to) return;
      const moved = await (await this.#engine()).commit(
        "rename",
        from,
        [from, to],
        (atomic) => atomic.check({ key: source, versionstamp }).delete(source).set(target, value),
        true,
      );
      if (moved) return;
    }
    throw new AuthError(
      "storage_failed",
      `Try again: others kept changing ${where(from)} while it was renamed.`,
    );
  }

  /** Removes an object, if there is one. */
  async delete(key: string): Promise<void> {
    const path = this.#path(key);
    await (await this.#engine()).commit("delete", key, [key], (atomic) => atomic.delete(path));
  }

  /** Lists the keys that begin with `prefix`. */
  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    const found = await (await this.#engine()).guard("list", prefix, async () => {
      const keys: string[] = [];
      for await (const { key } of this.#kv.list({ prefix: [...this.#prefix, "data"] })) {
        const name = key[key.length - 1];
        if (typeof name === "string" && name.startsWith(prefix)) keys.push(name);
      }
      return keys;
    });
    yield* found;
  }

  /**
   * Runs `body` while no other program that shares the database runs one for `key`.
   *
   * Waits 30 seconds unless `timeoutMs` says otherwise. The lock of a program
   * that died, or stands still, is taken after 10 seconds.
   *
   * @throws {AuthError} `lock_timeout` naming the key.
   */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    checkKey(key);
    return await (await this.#engine()).withLock(key, body, options);
  }

  /** What `JSON.stringify()` shows: the kind of store and its prefix. */
  toJSON(): JsonObject {
    return { storage: "kv", prefix: [...this.#prefix] };
  }

  #path(key: string): KvKey {
    checkKey(key);
    return [...this.#prefix, "data", key];
  }

  async #read(key: string): Promise<KvEntry> {
    const path = this.#path(key);
    return await (await this.#engine()).guard("read", key, () => this.#kv.get(path));
  }

  #engine(): Promise<KvEngine> {
    return this.#opened ??= import("./kv_engine.ts")
      .then(({ KvEngine }) => new KvEngine(this.#kv, this.#prefix));
  }
}

/** How often a rename starts over because somebody else changed the object meanwhile. */
const MOST_MOVES = 12;

/** Bytes 0 to 7 of a value hold its time, the rest its JSON. */
const HEADER = 8;

function where(key: string): string {
  return `"${key}" in Deno KV`;
}

function bytesOf(key: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array && value.length >= HEADER) return value;
  throw corrupt(where(key), "a value of another program");
}

/**
 * A key of WebCrypto: the runtime's `CryptoKey`, which has no name of its own in the types of Node.
 *
 * @category Storage
 */
export type StorageKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/**
 * Options of an {@linkcode EncryptedStorage}: its further keys.
 *
 * @category Storage
 */
export interface EncryptedStorageOptions {
  /** Keys that still read what they wrote, after a change of the key. */
  previousKeys?: readonly StorageKey[] | undefined;
}

/**
 * Options of {@linkcode deriveStorageKey}: how it works.
 *
 * @category Storage
 */
export interface DeriveOptions {
  /** Rounds of PBKDF2, at least 100,000; default 600,000. */
  iterations?: number | undefined;
}

function checkCryptoKey(key: StorageKey, usages: readonly KeyUsage[]): void {
  const { name, length } = (key?.algorithm ?? {}) as { name?: string; length?: number };
  if (name === "AES-GCM" && length === 256 && usages.every((u) => key.usages.includes(u))) return;
  throw new TypeError(
    `EncryptedStorage needs an AES-GCM CryptoKey of 256 bits for ${usages.join(" and ")}.`,
  );
}

/**
 * Keeps JSON objects encrypted in another store; its lock, times and listing are that store's.
 *
 * For a store that others can read, by AES-GCM. What an older key wrote is read with `previousKeys`,
 * and written with the new one. What no key fits is put aside (`….corrupt`), as a damaged file is.
 *
 * @category Storage
 *
 * @example A key from a passphrase
 * ```ts
 * import { Auth, deriveStorageKey, EncryptedStorage, MemoryStorage } from "@planet-community/planet";
 *
 * const salt = crypto.getRandomValues(new Uint8Array(16)); // kept beside the data
 * const key = await deriveStorageKey("correct horse battery staple", salt);
 * const auth = Auth.fromOAuthM2M({
 *   clientId: "my-client-id",
 *   clientSecret: "my-client-secret",
 *   storageProvider: new EncryptedStorage(new MemoryStorage(), key),
 * });
 * await auth.accessToken();
 * ```
 */
export class EncryptedStorage implements ObjectStorageProvider {
  readonly #inner: ObjectStorageProvider;
  readonly #keys: readonly StorageKey[];

  /** Removes an object; there where the inner store can. */
  readonly delete?: (key: string) => Promise<void>;
  /** Lists keys; there where the inner store can. */
  readonly list?: (prefix: string) => AsyncIterable<string>;
  /** Runs a body alone; there where the inner store can. */
  readonly withLock?: <T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options?: LockOptions,
  ) => Promise<T>;

  /**
   * Encrypts with `key` what goes to `inner`; nothing is read or written yet.
   *
   * @throws {TypeError} where a key is not for AES-GCM with 256 bits.
   */
  constructor(
    inner: ObjectStorageProvider,
    key: StorageKey,
    options: EncryptedStorageOptions = {},
  ) {
    const { previousKeys = [] } = options;
    checkCryptoKey(key, ["encrypt", "decrypt"]);
    for (const previous of previousKeys) checkCryptoKey(previous, ["decrypt"]);
    this.#inner = inner;
    this.#keys = [key, ...previousKeys];
    if (inner.delete !== undefined) this.delete = (name) => inner.delete!(name);
    if (inner.list !== undefined) this.list = (prefix) => inner.list!(prefix);
    if (inner.withLock !== undefined) {
      this.withLock = (name, body, lock) => inner.withLock!(name, body, lock);
    }
  }

  /** Reads and decrypts an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    checkKey(key);
    const stored = await this.#inner.load(key);
    return stored === undefined
      ? undefined
      : await (await import("./sealing.ts")).unseal(this.#keys, key, stored);
  }

  /** Encrypts and writes an object. */
  async save(key: string, value: JsonObject): Promise<void> {
    checkKey(key);
    checkObject(key, value);
    await this.#inner.save(key, await this.#seal(key, value));
  }

  /** Tells whether there is an object, without decrypting it. */
  async exists(key: string): Promise<boolean> {
    checkKey(key);
    return await this.#inner.exists(key);
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    checkKey(key);
    return await this.#inner.mtime(key);
  }

  /**
   * Gives an object another key, for which it is encrypted anew. These are
   * two steps: a program that ends between them leaves both objects if the
   * inner store can delete, and else an object that nobody can read.
   *
   * What cannot be read (its key is lost, it is not encrypted, it is corrupt)
   * is moved as it is.
   */
  async rename(from: string, to: string): Promise<void> {
    checkKey(to);
    let value: JsonObject | undefined;
    try {
      value = await this.load(from);
    } catch (error) {
      if (!(error instanceof AuthError && error.code === "storage_corrupt")) throw error;
      return await this.#inner.rename(from, to);
    }
    if (value === undefined) throw notFound(from);
    if (from === to) return;
    const sealed = await this.#seal(to, value);
    if (this.#inner.delete === undefined) {
      await this.#inner.rename(from, to);
      await this.#inner.save(to, sealed);
    } else {
      await this.#inner.save(to, sealed);
      await this.#inner.delete(from);
    }
  }

  /** What `JSON.stringify()` shows: the kind of store, never a key. */
  toJSON(): JsonObject {
    return { storage: "encrypted" };
  }

  async #seal(key: string, value: JsonObject): Promise<JsonObject> {
    return await (await import("./sealing.ts")).seal(this.#keys[0]!, key, value);
  }
}

/**
 * Makes the key of an {@linkcode EncryptedStorage} from a passphrase, by
 * PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2).
 *
 * The default of 600,000 rounds is what OWASP advises; it costs an attacker,
 * and each start of the program, a fraction of a second a guess.
 *
 * @category Storage
 * @param passphrase What the user knows; at least one character.
 * @param salt At least 16 random bytes, kept beside the data; no secret.
 * @param options `iterations` changes the work.
 * @throws {AuthError} `invalid_argument` where a value is too weak.
 */
export async function deriveStorageKey(
  passphrase: string,
  salt: Uint8Array,
  options: DeriveOptions = {},
): Promise<StorageKey> {
  return await (await import("./sealing.ts")).deriveKey(passphrase, salt, options);
}

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

/**
 * The store that a session gets if the program names none, for a program that wants to keep
 * something beside it.
 *
 * @category Storage
 */
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
