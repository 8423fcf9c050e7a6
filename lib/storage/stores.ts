/**
 * The stores that need nothing of the system: in memory, in Deno KV, encrypted in any other.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { systemClock, unrefTimer } from "../runtime.ts";
import {
  checkKey,
  checkObject,
  checkPrefix,
  corrupt,
  type JsonObject,
  type Lease,
  type LockOptions,
  lockTimeout,
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

/** A key of the database. */
export type KvKey = readonly (string | number | bigint | boolean | Uint8Array | symbol)[];

/** What the database holds under a key. */
export interface KvEntry {
  /** The key. */
  readonly key: KvKey;
  /** The value; `null` where there is none. */
  readonly value: unknown;
  /** Version of the value; `null` where there is none. */
  readonly versionstamp: string | null;
}

/** Several operations that happen together or not at all. */
export interface KvAtomic {
  /** Goes on only if the entry has this version. */
  check(...checks: { key: KvKey; versionstamp: string | null }[]): KvAtomic;
  /** Writes an entry. */
  set(key: KvKey, value: unknown, options?: { expireIn?: number }): KvAtomic;
  /** Removes an entry. */
  delete(key: KvKey): KvAtomic;
  /** Does it; `ok` is `false` where a check failed. */
  commit(): Promise<{ ok: boolean; versionstamp?: string }>;
}

/** The calls of a Deno KV database that are used; `Deno.Kv` and `@deno/kv` fit. */
export interface KvLike {
  /** Reads an entry. */
  get(key: KvKey): Promise<KvEntry>;
  /** Reads the entries under a prefix. */
  list(selector: { prefix: KvKey }): AsyncIterable<KvEntry>;
  /** Begins an atomic operation. */
  atomic(): KvAtomic;
}

/** How a {@linkcode KvStorage} uses its database. */
export interface KvStorageOptions {
  /** First parts of every key in the database; default `["planet"]`. */
  prefix?: readonly string[] | undefined;
}

/** Largest value of a Deno KV database, in bytes. */
const MAX_BYTES = 65_536;

/** How long a lock may stand still before others take it, in milliseconds. */
const LEASE_MS = 10_000;

/** How long the database may take for an answer, in milliseconds. */
const ANSWER_MS = 10_000;

const BUSY_TRIES = 12;

/** Bytes 0 to 7 of a value hold its time, the rest its JSON. */
const HEADER = 8;

interface HeldKvLock {
  readonly path: KvKey;
  /** Value of the lock's entry: random, so that it tells whose it is. */
  readonly id: string;
  versionstamp: string | null;
  lose(): AuthError;
  readonly signal: AbortSignal;
}

/** Waits for the database, but not for ever; what it was asked may still happen. */
async function answer<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)),
    ANSWER_MS,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Keeps JSON objects in a Deno KV database that the caller opens and closes.
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
  readonly #turns = new Turns();
  readonly #held = new Map<string, HeldKvLock>();

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
    await this.#commit("write", key, [key], (atomic) => atomic.set(path, stored));
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
    for (let attempt = 0; attempt < BUSY_TRIES; attempt++) {
      const { value, versionstamp } = await this.#read(from);
      if (value === null) throw notFound(from);
      if (from === to) return;
      const moved = await this.#commit(
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
    await this.#commit("delete", key, [key], (atomic) => atomic.delete(path));
  }

  /** Lists the keys that begin with `prefix`. */
  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    const found = await this.#guard("list", prefix, async () => {
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
    return await this.#turns.run(key, `the lock of ${where(key)}`, options, async (left) => {
      const lock = await this.#take(key, left, options.signal);
      this.#held.set(key, lock);
      const stop = this.#renew(key, lock);
      try {
        return await body({ signal: lock.signal });
      } finally {
        await stop();
        this.#held.delete(key);
        await this.#release(key, lock);
      }
    });
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
    return await this.#guard("read", key, () => this.#kv.get(path));
  }

  async #take(
    key: string,
    left: () => number,
    signal?: AbortSignal,
  ): Promise<HeldKvLock> {
    const timeoutMs = left();
    const path = [...this.#prefix, "lock", key];
    const lock = makeLock(key, path);
    let seen: string | null = null;
    let stillMs = 0;
    let seenAt = performance.now();
    for (let wait = 10;; wait = Math.min(wait * 2, 200)) {
      signal?.throwIfAborted();
      const { value, versionstamp } = await this.#guard("lock", key, () => this.#kv.get(path));
      // A try whose answer was lost may have succeeded.
      if (versionstamp !== null && isId(value, lock.id)) {
        lock.versionstamp = versionstamp;
        return lock;
      }
      const now = performance.now();
      // A pause of this program is no sign of the other's death.
      stillMs = versionstamp === seen ? stillMs + Math.min(now - seenAt, 1_000) : 0;
      seen = versionstamp;
      seenAt = now;
      if (versionstamp === null || stillMs >= LEASE_MS) {
        lock.versionstamp = versionstamp;
        try {
          if (await this.#guard("lock", key, () => this.#write(lock))) return lock;
        } catch (error) {
          // The answer may be what got lost, and not the write.
          await this.#release(key, lock);
          throw error;
        }
      }
      const ms = left();
      if (ms <= 0) throw lockTimeout(`the lock of ${where(key)}`, timeoutMs);
      await systemClock.sleep(Math.min(wait * (0.5 + Math.random()), ms), signal);
    }
  }

  /** Writes the lock's entry where it still has the version that `lock` knows. */
  async #write(lock: HeldKvLock): Promise<boolean> {
    const { path, id, versionstamp } = lock;
    // The database drops the entry some time after nobody renews it; until then, waiters judge.
    const done = await this.#kv.atomic().check({ key: path, versionstamp })
      .set(path, new TextEncoder().encode(id), { expireIn: 60 * LEASE_MS }).commit();
    if (!done.ok || done.versionstamp === undefined) return false;
    lock.versionstamp = done.versionstamp;
    return true;
  }

  /** Tells whether the lock is still ours, and learns its version. */
  async #isOurs(verb: string, key: string, lock: HeldKvLock): Promise<boolean> {
    const { value, versionstamp } = await this.#guard(verb, key, () => this.#kv.get(lock.path));
    if (!isId(value, lock.id)) return false;
    lock.versionstamp = versionstamp;
    return true;
  }

  /** Renews a lock until the function that it returns is called. */
  #renew(key: string, lock: HeldKvLock): () => Promise<void> {
    let renewedAt = performance.now();
    let ended = false;
    let beating: Promise<void> | undefined;
    const beat = async () => {
      const since = performance.now();
      try {
        const isOurs = await this.#guard("lock", key, () => this.#write(lock)) ||
          await this.#isOurs("lock", key, lock);
        if (!isOurs) return void lock.lose();
        renewedAt = since;
      } catch {
        // The database may answer again, but others may have taken the lock by then.
        if (performance.now() - renewedAt >= LEASE_MS) return void lock.lose();
      }
      if (!ended) schedule();
    };
    let timer: ReturnType<typeof setTimeout>;
    const schedule = () => {
      timer = setTimeout(() => beating = beat(), LEASE_MS / 10);
      unrefTimer(timer);
    };
    schedule();
    return async () => {
      ended = true;
      clearTimeout(timer);
      await beating;
    };
  }

  async #release(key: string, lock: HeldKvLock): Promise<void> {
    try {
      const { path } = lock;
      const drop = () =>
        this.#kv.atomic().check({ key: path, versionstamp: lock.versionstamp }).delete(path)
          .commit();
      if ((await this.#guard("unlock", key, drop)).ok) return;
      if (await this.#isOurs("unlock", key, lock)) await this.#guard("unlock", key, drop);
    } catch { /* Others take the lock after the lease. */ }
  }

  /** Does a change that happens only while the locks held here for `keys` are still held. */
  async #commit(
    verb: string,
    key: string,
    keys: readonly string[],
    change: (atomic: KvAtomic) => KvAtomic,
    checked = false,
  ): Promise<boolean> {
    const locks = keys.flatMap((name) => this.#held.get(name) ?? []);
    for (let attempt = 0; attempt < BUSY_TRIES; attempt++) {
      if (locks.some((lock) => lock.signal.aborted)) throw locks[0]!.lose();
      const { ok } = await this.#guard(verb, key, () => {
        const atomic = this.#kv.atomic();
        for (const { path, versionstamp } of locks) atomic.check({ key: path, versionstamp });
        return change(atomic).commit();
      });
      if (ok || (checked && locks.length === 0)) return ok;
      // Our own renewal may have come between; then the lock is still ours in its new version.
      for (const lock of locks) {
        if (!await this.#isOurs(verb, key, lock)) throw lock.lose();
      }
      if (checked) return false;
    }
    throw new AuthError("storage_failed", `Try again: cannot ${verb} ${where(key)}.`);
  }

  /** Asks the database, again while it says that it is busy; its errors become typed ones. */
  async #guard<T>(verb: string, key: string, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1;; attempt++) {
      try {
        return await answer(work());
      } catch (cause) {
        if (cause instanceof AuthError) throw cause;
        const text = cause instanceof Error ? cause.message : "";
        const busy = /database is (locked|busy)|SQLITE_BUSY/i.test(text);
        if (busy && attempt < BUSY_TRIES) {
          await systemClock.sleep(Math.min(5 * 2 ** attempt, 500) * (0.5 + Math.random()));
          continue;
        }
        const advice = /closed|BadResource/i.test(`${text} ${(cause as Error)?.name}`)
          ? "Keep the database open while the session is used"
          : busy
          ? "Try again when the database is less busy"
          : text.startsWith("no answer")
          ? `Check that the Deno KV database can be reached (${text})`
          : "Check the Deno KV database";
        throw new AuthError("storage_failed", `${advice}: cannot ${verb} ${where(key)}.`, {
          cause,
        });
      }
    }
  }
}

/** Bytes are what every client of the database reads alike. */
function isId(value: unknown, id: string): boolean {
  return value instanceof Uint8Array && new TextDecoder().decode(value) === id;
}

function where(key: string): string {
  return `"${key}" in Deno KV`;
}

function bytesOf(key: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array && value.length >= HEADER) return value;
  throw corrupt(where(key), "a value of another program");
}

function makeLock(key: string, path: KvKey): HeldKvLock {
  const controller = new AbortController();
  return {
    path,
    id: crypto.randomUUID(),
    versionstamp: null,
    signal: controller.signal,
    lose(): AuthError {
      const error = new AuthError(
        "storage_failed",
        `Read the state again: this program lost the lock of ${where(key)}, because it stood ` +
          `still for more than ${LEASE_MS / 1000} s or the lock was removed. Nothing was written.`,
      );
      controller.abort(error);
      return error;
    },
  };
}

const MEMBER = "_sealed";
const FORMAT = "A256GCM.";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DEFAULT_ITERATIONS = 600_000;
const MIN_ITERATIONS = 100_000;
const MIN_SALT_BYTES = 16;

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Reads base64 in its one canonical form, so that each changed bit of the text shows. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const bytes = Uint8Array.from(atob(text), (unit) => unit.charCodeAt(0));
    return toBase64(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** A key of WebCrypto: the runtime's `CryptoKey`, which has no name of its own in the types of Node. */
export type StorageKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** Further keys of an {@linkcode EncryptedStorage}. */
export interface EncryptedStorageOptions {
  /** Keys that still read what they wrote, after a change of the key. */
  previousKeys?: readonly StorageKey[] | undefined;
}

/** How {@linkcode deriveStorageKey} works. */
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
    return stored === undefined ? undefined : await this.#open(key, stored);
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
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const clear = new TextEncoder().encode(JSON.stringify(value));
    const sealed = new Uint8Array(
      await crypto.subtle.encrypt(parameters(key, nonce), this.#keys[0]!, clear),
    );
    const whole = new Uint8Array(NONCE_BYTES + sealed.length);
    whole.set(nonce);
    whole.set(sealed, NONCE_BYTES);
    return { [MEMBER]: FORMAT + toBase64(whole) };
  }

  async #open(key: string, stored: JsonObject): Promise<JsonObject> {
    const where = `"${key}"`;
    const text = stored[MEMBER];
    const whole = Object.keys(stored).length === 1 && typeof text === "string" &&
        text.startsWith(FORMAT)
      ? fromBase64(text.slice(FORMAT.length))
      : undefined;
    if (whole === undefined || whole.length < NONCE_BYTES + TAG_BYTES) {
      throw corrupt(where, "nothing that EncryptedStorage wrote");
    }
    const nonce = whole.subarray(0, NONCE_BYTES);
    for (const cryptoKey of this.#keys) {
      let clear: ArrayBuffer;
      try {
        clear = await crypto.subtle.decrypt(
          parameters(key, nonce),
          cryptoKey,
          whole.subarray(NONCE_BYTES),
        );
      } catch {
        continue;
      }
      return parseObject(where, new Uint8Array(clear));
    }
    throw new AuthError(
      "storage_corrupt",
      `Pass the key that wrote ${where}, as key or in previousKeys; else delete it and sign in ` +
        "again: none of the keys opens it, or it was changed.",
    );
  }
}

function parameters(key: string, iv: Uint8Array<ArrayBuffer>): AesGcmParams {
  const additionalData = new TextEncoder().encode(`planet-storage ${key}`);
  return { name: "AES-GCM", iv, additionalData, tagLength: 8 * TAG_BYTES };
}

/**
 * Makes the key of an {@linkcode EncryptedStorage} from a passphrase, by
 * PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2).
 *
 * The default of 600,000 rounds is what OWASP advises; it costs an attacker,
 * and each start of the program, a fraction of a second a guess.
 *
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
  const { iterations = DEFAULT_ITERATIONS } = options;
  if (typeof passphrase !== "string") throw new TypeError("passphrase must be a string.");
  if (!(salt instanceof Uint8Array)) throw new TypeError("salt must be a Uint8Array.");
  const refuse = (advice: string) => new AuthError("invalid_argument", advice);
  if (passphrase === "") throw refuse("Pass a passphrase: it is empty.");
  if (salt.length < MIN_SALT_BYTES) {
    throw refuse(`Pass at least ${MIN_SALT_BYTES} random bytes as salt: got ${salt.length}.`);
  }
  if (!Number.isInteger(iterations) || iterations < MIN_ITERATIONS) {
    throw refuse(`Pass at least ${MIN_ITERATIONS} iterations: got ${iterations}.`);
  }
  const secret = new TextEncoder().encode(passphrase.normalize("NFC"));
  const base = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveKey"]);
  return await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt: new Uint8Array(salt), iterations },
    base,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}
