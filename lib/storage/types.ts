/**
 * What a store of session state must do.
 *
 * @module
 */

/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/** A JSON object, as stored under one key. */
export interface JsonObject {
  /** A member; absent members read as `undefined`. */
  [member: string]: JsonValue | undefined;
}

/** Exclusive right to change one key, held while `withLock()` runs its body. */
export interface Lease {
  /** Aborts when exclusivity can no longer be promised. */
  readonly signal: AbortSignal;
}

/** How long and how cancellably to wait for a lock. */
export interface LockOptions {
  /** Ends the wait; the promise rejects with its reason. */
  signal?: AbortSignal;
  /** Longest wait in milliseconds; then `AuthError` `lock_timeout`. */
  timeoutMs?: number;
}

/**
 * Keeps JSON objects under keys such as `.planet/my-app/token.json`.
 *
 * The first five methods are those of the Python SDK and must exist; the rest
 * makes things better where a store can offer it. Keys are relative,
 * `/`-separated and hold no `.` or `..` segment.
 */
export interface ObjectStorageProvider {
  /**
   * Reads an object; `undefined` where there is none.
   *
   * @throws {AuthError} `storage_corrupt` where the content is no JSON object.
   */
  load(key: string): Promise<JsonObject | undefined>;
  /** Writes an object whole, or not at all. */
  save(key: string, value: JsonObject): Promise<void>;
  /** Tells whether there is an object, without reading it. */
  exists(key: string): Promise<boolean>;
  /**
   * Time of the last write, in epoch milliseconds.
   *
   * @throws {AuthError} `storage_not_found` where there is no object.
   */
  mtime(key: string): Promise<number>;
  /**
   * Gives an object another key, replacing what was there.
   *
   * @throws {AuthError} `storage_not_found` where there is no object.
   */
  rename(from: string, to: string): Promise<void>;
  /** Removes an object; removing what is not there is no error. */
  delete?(key: string): Promise<void>;
  /** Lists the keys that begin with `prefix`, in no particular order. */
  list?(prefix: string): AsyncIterable<string>;
  /**
   * Runs `body` while no other holder, in this process or another, is in it
   * for the same key.
   *
   * @throws {AuthError} `lock_timeout` where the lock did not come free in time.
   */
  withLock?<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options?: LockOptions,
  ): Promise<T>;
}
