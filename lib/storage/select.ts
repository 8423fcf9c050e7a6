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
import type { KvLike, RedisLike, SqlLike } from "./engines.ts";
import {
  checkKey,
  checkObject,
  checkPrefix,
  type ChosenStorage,
  type CompareAndSetStore,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
  TRAITS,
  type Traits,
  Turns,
} from "./objects.ts";
import type { SharedEngine } from "./shared_engine.ts";

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
 * Options of a {@linkcode SharedStorage}: how it uses its store.
 *
 * @category Storage
 */
export interface SharedStorageOptions {
  /** What every key in the store begins with; default nothing. */
  prefix?: string | undefined;
  /**
   * How long a lock may stand still before others take it, in milliseconds; at least 1,000, default
   * 10,000. All programs that share the store must name the same. A holder writes ten times in it.
   */
  leaseMs?: number | undefined;
}

/**
 * Keeps JSON objects in any store that can compare and set: Redis, Postgres, S3, a Durable Object.
 *
 * Programs on any number of machines share one renewal: the lock and the object are one record, so
 * that the save of a holder that was displaced is refused. The store is asked nothing but to write
 * if a value is still the same; before its first write, {@linkcode SharedStorage} finds out whether
 * it keeps to that, and refuses a store that does not (`storage_failed`).
 *
 * What no lock protects: a store that forgets an acknowledged write (see {@linkcode redisStore}), and
 * a program that stands still between its last look at the lock and its request for a token.
 *
 * @category Storage
 *
 * @example One session for all machines, over Redis
 * ```ts ignore
 * import { Auth, redisStore, SharedStorage } from "@planet-community/planet";
 *
 * const auth = Auth.fromOAuthM2M({
 *   clientId: "my-client-id",
 *   clientSecret: "my-client-secret",
 *   storageProvider: new SharedStorage(redisStore(Bun.redis)),
 * });
 * await auth.accessToken();
 * ```
 */
export class SharedStorage implements ObjectStorageProvider {
  readonly #store: CompareAndSetStore;
  readonly #prefix: string;
  readonly #leaseMs: number;
  #opened: Promise<SharedEngine> | undefined;

  /** Lists the keys that begin with `prefix`; there where the store can. */
  readonly list?: (prefix: string) => AsyncIterable<string>;

  /**
   * Uses `store`; nothing is read or written yet.
   *
   * @throws {TypeError} where the store lacks `get()` or `set()`, or an option is wrong.
   */
  constructor(store: CompareAndSetStore, options: SharedStorageOptions = {}) {
    const { prefix = "", leaseMs = 10_000 } = options;
    for (const method of ["get", "set"] as const) {
      if (typeof store?.[method] !== "function") {
        throw new TypeError(`Pass a CompareAndSetStore: it must have the method ${method}().`);
      }
    }
    if (typeof prefix !== "string") throw new TypeError("prefix must be a string.");
    if (!(leaseMs >= 1_000 && leaseMs < 2 ** 31)) {
      throw new TypeError("leaseMs must be a number of milliseconds, 1,000 or more.");
    }
    this.#store = store;
    this.#prefix = prefix;
    this.#leaseMs = leaseMs;
    if (typeof store.list === "function") this.list = (start) => this.#list(start);
  }

  /** Reads an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    return await (await this.#engine(key)).load(key);
  }

  /**
   * Writes an object whole, or not at all.
   *
   * While `withLock()` runs for the key on this store, the write is part of that lock: if the lock is
   * lost, nothing is written, and the error says so. An error of another kind may come after a write
   * that happened.
   */
  async save(key: string, value: JsonObject): Promise<void> {
    checkKey(key);
    checkObject(key, value);
    // As it is at the time of the call.
    const copy = JSON.parse(JSON.stringify(value));
    await (await this.#engine(key)).save(key, copy);
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    return await (await this.#engine(key)).exists(key);
  }

  /** Time of the last write by the clock of the program that wrote, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    return await (await this.#engine(key)).mtime(key);
  }

  /**
   * Gives an object another key, replacing what was there. These are two steps: a program that ends
   * between them leaves both objects.
   */
  async rename(from: string, to: string): Promise<void> {
    checkKey(to);
    await (await this.#engine(from)).rename(from, to);
  }

  /** Removes an object, if there is one. */
  async delete(key: string): Promise<void> {
    await (await this.#engine(key)).delete(key);
  }

  /**
   * Runs `body` while no other program that shares the store runs one for `key`.
   *
   * Waits 30 seconds unless `timeoutMs` says otherwise. The lock of a program that died, or stands
   * still, is taken after `leaseMs`.
   *
   * @throws {AuthError} `lock_timeout` naming the key.
   */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    return await (await this.#engine(key)).withLock(key, body, options);
  }

  /** What `JSON.stringify()` shows: the kind of store, never what it holds. */
  toJSON(): JsonObject {
    return { storage: "shared", prefix: this.#prefix };
  }

  async *#list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    yield* (await this.#engine()).list(prefix);
  }

  async #engine(key?: string): Promise<SharedEngine> {
    if (key !== undefined) checkKey(key);
    return await (this.#opened ??= import("./shared_engine.ts")
      .then(({ SharedEngine }) => new SharedEngine(this.#store, this.#prefix, this.#leaseMs)));
  }
}

/** An engine of the library over a client, loaded at the first call. */
function loaded(
  client: unknown,
  traits: Traits,
  open: (engines: typeof import("./engines.ts")) => Required<CompareAndSetStore>,
): CompareAndSetStore {
  if (!client || !/^[fo]/.test(typeof client)) {
    throw new TypeError(`Pass a client of ${traits.name}, or a function that sends to it.`);
  }
  let opened: Promise<Required<CompareAndSetStore>> | undefined;
  const engine = () => opened ??= import("./engines.ts").then(open);
  const store: Required<CompareAndSetStore> & { readonly [TRAITS]: Traits } = {
    [TRAITS]: traits,
    get: async (key) => await (await engine()).get(key),
    set: async (...write) => await (await engine()).set(...write),
    delete: async (...drop) => await (await engine()).delete(...drop),
    async *list(prefix) {
      yield* (await engine()).list(prefix);
    },
  };
  return store;
}

/**
 * Redis or Valkey as the store of a {@linkcode SharedStorage}, over your own client: `Bun.redis`, one of
 * `redis` or `ioredis`, or a function that sends one command (`(...words) => answer`).
 *
 * The condition is a script of a few lines at one key, so Redis Cluster serves too (there, what
 * `listProfiles()` finds is what one node has).
 *
 * **What Redis forgets.** By default it loses acknowledged writes at a crash (snapshots only), at a
 * failover (replication is asynchronous) and where memory is short (`allkeys-…` policies evict
 * sessions). A lost write can cost a person a new sign-in; a service account asks for one more token.
 * So: an instance of its own with `appendonly yes` and `maxmemory-policy noeviction`; without a
 * replica that is promoted by itself, or with the risk known.
 *
 * @category Storage
 *
 * @example
 * ```ts ignore
 * import { redisStore, SharedStorage } from "@planet-community/planet";
 *
 * new SharedStorage(redisStore(Bun.redis)); // Bun
 * new SharedStorage(redisStore(await createClient({ url }).connect())); // npm:redis
 * new SharedStorage(redisStore(new Redis(url))); // npm:ioredis
 * ```
 * @throws {TypeError} where `client` is none of these.
 */
export function redisStore(client: RedisLike): CompareAndSetStore {
  return loaded(client, { name: "Redis" }, ({ redis }) => redis(client));
}

/**
 * Options of {@linkcode sqlStore}: how it uses its database.
 *
 * @category Storage
 */
export interface SqlStoreOptions {
  /** Name of the table, with its schema if need be; default `planet_sessions`. */
  table?: string | undefined;
}

/**
 * Postgres as the store of a {@linkcode SharedStorage}, over your own client: `Bun.sql`, one of
 * `postgres`, a pool of `pg`, or a function that runs one statement with `$1` parameters and resolves
 * with its rows. Each write is one statement, right at every isolation level and behind a pooler.
 *
 * The table is yours to make, once:
 *
 * ```sql
 * CREATE TABLE planet_sessions (key text PRIMARY KEY, value text NOT NULL, version text NOT NULL)
 * ```
 *
 * **What Postgres forgets.** Nothing that it acknowledged, with `synchronous_commit` on (the default).
 * With it off, a crash loses the last commits; an asynchronous standby that is promoted lacks them.
 * A replica must not answer the reads.
 *
 * @category Storage
 *
 * @example
 * ```ts ignore
 * import { SharedStorage, sqlStore } from "@planet-community/planet";
 *
 * new SharedStorage(sqlStore(Bun.sql)); // Bun
 * new SharedStorage(sqlStore(postgres(url))); // npm:postgres
 * new SharedStorage(sqlStore(new pg.Pool({ connectionString }))); // npm:pg
 * ```
 * @throws {TypeError} where `client` is none of these, or `table` is no plain name.
 */
export function sqlStore(client: SqlLike, options: SqlStoreOptions = {}): CompareAndSetStore {
  const { table = "planet_sessions" } = options;
  if (!/^([a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*$/i.test(table)) {
    throw new TypeError("table must be a plain name.");
  }
  return loaded(client, { name: "Postgres" }, ({ sql }) => sql(client, table));
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

/**
 * Keeps JSON objects in a Deno KV database that the caller opens and closes: a
 * {@linkcode SharedStorage} over it.
 *
 * For all isolates of an edge function, and for processes that share a database file or a KV Connect
 * server: they share one renewal. `@deno/kv` under Bun and Node fits too. A value holds at most
 * 64 KiB, lock included; more is a `storage_failed`. Deno makes the database file readable by
 * everybody: make it first, empty, with mode 0600, or use {@linkcode EncryptedStorage}.
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
export class KvStorage extends SharedStorage {
  readonly #prefix: readonly string[];

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
    const parts = [...prefix];
    // The database counts a few bytes of its own.
    const traits = { name: "Deno KV", maxBytes: 65_536 - 64 };
    super(loaded(kv, traits, (engines) => engines.kv(kv, parts)));
    this.#prefix = parts;
  }

  /** What `JSON.stringify()` shows: the kind of store and its prefix. */
  override toJSON(): JsonObject {
    return { storage: "kv", prefix: [...this.#prefix] };
  }
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
