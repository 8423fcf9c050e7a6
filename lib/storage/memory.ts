/**
 * Keeps JSON objects in memory, for as long as the program runs.
 *
 * @module
 */

import {
  checkKey,
  checkObject,
  checkPrefix,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
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
    const release = await this.#turns.take(key, options, `the lock of "${key}"`);
    try {
      return await body({ signal: new AbortController().signal });
    } finally {
      release();
    }
  }

  /** What `JSON.stringify()` shows: how many objects there are, never what they hold. */
  toJSON(): JsonObject {
    return { storage: "memory", objects: this.#entries.size };
  }

  /** What Node and Bun print: the keys, never what they hold. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  /** What Deno prints: the keys, never what they hold. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.#describe();
  }

  #describe(): string {
    return `MemoryStorage(${
      [...this.#entries.keys()].map((key) => JSON.stringify(key)).join(", ")
    })`;
  }
}
