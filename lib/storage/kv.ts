/**
 * Keeps JSON objects in a Deno KV database that the caller opens and closes.
 *
 * The work is that of `kv_store.ts`, which is loaded when it is first needed.
 *
 * @module
 */

import type { KvStore } from "./kv_store.ts";
import type { JsonObject, Lease, LockOptions, ObjectStorageProvider } from "./objects.ts";

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
  prefix?: readonly string[];
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
  #opened: Promise<KvStore> | undefined;

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
    return await (await this.#store()).load(key);
  }

  /**
   * Writes an object whole, or not at all; up to 64 KiB.
   *
   * While `withLock()` runs for the key on this store, the write is part of
   * that lock: if the lock is lost, nothing is written.
   */
  async save(key: string, value: JsonObject): Promise<void> {
    await (await this.#store()).save(key, value);
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    return await (await this.#store()).exists(key);
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    return await (await this.#store()).mtime(key);
  }

  /** Gives an object another key, replacing what was there. */
  async rename(from: string, to: string): Promise<void> {
    await (await this.#store()).rename(from, to);
  }

  /** Removes an object, if there is one. */
  async delete(key: string): Promise<void> {
    await (await this.#store()).delete(key);
  }

  /** Lists the keys that begin with `prefix`. */
  async *list(prefix: string): AsyncIterable<string> {
    yield* (await this.#store()).list(prefix);
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
    return await (await this.#store()).withLock(key, body, options);
  }

  /** What `JSON.stringify()` shows: the kind of store and its prefix. */
  toJSON(): JsonObject {
    return { storage: "kv", prefix: [...this.#prefix] };
  }

  #store(): Promise<KvStore> {
    return this.#opened ??= import("./kv_store.ts")
      .then(({ KvStore }) => new KvStore(this.#kv, this.#prefix));
  }
}
