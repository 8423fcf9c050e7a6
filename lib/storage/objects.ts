/**
 * What a store keeps, and what it must do: JSON objects under keys, checked before anything is touched.
 *
 * @module
 */

import { AuthError, type JsonObject, type JsonValue } from "../errors.ts";

export type { JsonObject, JsonValue } from "../errors.ts";

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

const MAX_KEY = 1024;
const MAX_SEGMENT = 200;
const MAX_DEPTH = 64;

/** Device names that Windows opens instead of a file, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/** Names that the file store gives to its own locks and unfinished files. */
const RESERVED = /\.lock(\.[0-9a-f]{32})?$|\.[0-9a-f]{32}\.tmp$/i;

function fault(segment: string): string | undefined {
  if (segment === "") return "an empty segment";
  if (segment === "." || segment === "..") return `the segment "${segment}"`;
  if (segment.length > MAX_SEGMENT) return `a segment of more than ${MAX_SEGMENT} characters`;
  // deno-lint-ignore no-control-regex -- control characters are what this rule is about
  if (/[\u0000-\u001f\u007f-\u009f]/.test(segment)) return "a control character";
  if (segment.includes("\\")) return "a backslash";
  if (/[<>:"|?*]/.test(segment)) return 'one of the characters < > : " | ? *';
  if (/[. ]$/.test(segment)) return "a segment that ends in a dot or a space";
  if (!segment.isWellFormed()) return "half a surrogate pair";
  if (DEVICE.test(segment)) return `the reserved device name "${segment}"`;
  if (RESERVED.test(segment)) return `"${segment}", a name kept for locks and unfinished files`;
}

/**
 * Refuses a key that could leave the store's root, or that some system cannot
 * hold: keys are relative, `/`-separated, at most 1,024 characters, each
 * segment at most 200, without `.`, `..`, backslash, control characters or
 * what Windows forbids in a name.
 *
 * @throws {TypeError} where `key` is no string.
 * @throws {AuthError} `invalid_argument`.
 */
export function checkKey(key: string): void {
  if (typeof key !== "string") throw new TypeError("A storage key must be a string.");
  const found = key.length > MAX_KEY
    ? `more than ${MAX_KEY} characters`
    : key.split("/").map(fault).find((text) => text !== undefined);
  if (found === undefined) return;
  throw new AuthError(
    "invalid_argument",
    `Use a relative, "/"-separated storage key such as ".planet/my-app/token.json": found ${found}.`,
  );
}

/**
 * Refuses a prefix that no key can begin with; the empty prefix means all keys.
 *
 * @throws {AuthError} `invalid_argument`.
 */
export function checkPrefix(prefix: string): void {
  if (typeof prefix !== "string") throw new TypeError("A storage prefix must be a string.");
  if (prefix === "") return;
  // What follows may complete the last segment, which is judged as if it did.
  checkKey(`${prefix}x`);
}

function checkValue(key: string, value: unknown, depth: number): void {
  const refuse = (found: string): never => {
    throw new AuthError(
      "invalid_argument",
      `Save only what JSON can hold under "${key}": found ${found}.`,
    );
  };
  if (depth > MAX_DEPTH) refuse(`more than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) refuse("a number that is not finite");
    return;
  }
  if (typeof value !== "object") refuse(`a ${typeof value}`);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) checkValue(key, value[i], depth + 1);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    refuse("an object of a class");
  }
  for (const member of Object.values(value as object)) {
    if (member !== undefined) checkValue(key, member, depth + 1);
  }
}

/**
 * Refuses what JSON cannot hold: functions, numbers that are not finite,
 * objects of a class, more than 64 levels. Members that are `undefined` count
 * as absent.
 *
 * @throws {TypeError} where `value` is no object.
 * @throws {AuthError} `invalid_argument`; it never quotes a value.
 */
export function checkObject(key: string, value: JsonObject): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError("A stored value must be a JSON object.");
  }
  checkValue(key, value, 1);
}

/** The error of a stored value that is no JSON object; it never quotes the content. */
export function corrupt(where: string, found: string): AuthError {
  return new AuthError(
    "storage_corrupt",
    `Delete ${where} and sign in again: it holds ${found}.`,
  );
}

/**
 * Reads a stored JSON object.
 *
 * @param where Names the place in an error.
 * @throws {AuthError} `storage_corrupt`; it never quotes the content.
 */
export function parseObject(where: string, bytes: Uint8Array): JsonObject {
  let value: JsonValue;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // The parser's message quotes the content, so it is no `cause`.
    throw corrupt(where, bytes.length === 0 ? "nothing" : "no JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw corrupt(where, "JSON that is no object");
  }
  return value;
}

/** The error of a key under which nothing is stored. */
export function notFound(key: string): AuthError {
  return new AuthError("storage_not_found", `Save "${key}" first: nothing is stored there.`);
}
