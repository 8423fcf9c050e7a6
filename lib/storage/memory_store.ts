/**
 * The work of `MemoryStorage`, loaded when it is first needed.
 *
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
} from "./objects.ts";
import { Turns } from "./turns.ts";

interface Entry {
  readonly text: string;
  readonly mtime: number;
}

/** Keeps JSON objects in memory; what goes in and out is a copy. */
export class MemoryStore implements ObjectStorageProvider {
  readonly #entries = new Map<string, Entry>();
  readonly #turns = new Turns();

  /** Reads a copy of an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    checkKey(key);
    const entry = this.#entries.get(key);
    return await Promise.resolve(entry && JSON.parse(entry.text));
  }

  /** Keeps a copy of `value`, or the one that was made of it as `text`. */
  async save(key: string, value: JsonObject, text?: string): Promise<void> {
    checkKey(key);
    checkObject(key, value);
    this.#entries.set(key, { text: text ?? JSON.stringify(value), mtime: Date.now() });
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

  /** The keys. */
  keys(): string[] {
    return [...this.#entries.keys()];
  }
}
