/**
 * Keeps JSON objects in memory, for as long as the program runs.
 *
 * The work is that of `memory_store.ts`, which is loaded when it is first needed.
 *
 * @module
 */

import type { MemoryStore } from "./memory_store.ts";
import type { JsonObject, Lease, LockOptions, ObjectStorageProvider } from "./objects.ts";

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
  #opened: Promise<MemoryStore> | undefined;
  #loaded: MemoryStore | undefined;

  /** Reads a copy of an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    return await (await this.#store()).load(key);
  }

  /** Keeps a copy of `value`. */
  async save(key: string, value: JsonObject): Promise<void> {
    let text: string | undefined;
    try {
      // The copy is made before anyone can change the original.
      text = JSON.stringify(value);
    } catch { /* The store says what is wrong with it. */ }
    await (await this.#store()).save(key, value, text);
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
    return await (await this.#store()).withLock(key, body, options);
  }

  /** What `JSON.stringify()` shows: how many objects there are, never what they hold. */
  toJSON(): JsonObject {
    return { storage: "memory", objects: this.#keys().length };
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
    return `MemoryStorage(${this.#keys().map((key) => JSON.stringify(key)).join(", ")})`;
  }

  #keys(): string[] {
    return this.#loaded?.keys() ?? [];
  }

  #store(): Promise<MemoryStore> {
    return this.#opened ??= import("./memory_store.ts")
      .then(({ MemoryStore }) => this.#loaded = new MemoryStore());
  }
}
