/**
 * What all stores share: their contract, the checks of keys and values before anything is touched,
 * and the lines in which callers of this process wait.
 *
 * @module
 */

import { AuthError, type JsonObject, type JsonValue } from "../errors.ts";

export type { JsonObject, JsonValue } from "../errors.ts";

/**
 * Exclusive right to change one key, held while `withLock()` runs its body.
 *
 * @category Storage
 */
export interface Lease {
  /** Aborts when exclusivity can no longer be promised. */
  readonly signal: AbortSignal;
}

/**
 * Options of `withLock()` of a store: how long and how cancellably to wait for a lock.
 *
 * @category Storage
 */
export interface LockOptions {
  /** Ends the wait; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Longest wait in milliseconds; then `AuthError` `lock_timeout`. */
  timeoutMs?: number | undefined;
}

/**
 * Keeps JSON objects under keys such as `.planet/my-app/token.json`.
 *
 * The first five methods are those of the Python SDK and must exist; the rest
 * makes things better where a store can offer it. Keys are relative,
 * `/`-separated and hold no `.` or `..` segment.
 *
 * @category Storage
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

/**
 * A value, and the version that a conditional write of it names.
 *
 * @category Storage
 */
export interface Versioned {
  /** The value. */
  readonly value: string;
  /** Its version, which never repeats while the content differs: an ETag, a row's version. */
  readonly version: string;
}

/**
 * A store that can compare and set (optimistic concurrency; RFC 9110 §13 calls it If-Match).
 *
 * What `SharedStorage` needs of an engine. A method that rejects says "not known": the write may
 * have happened. Nothing is ever asked to expire.
 *
 * @category Storage
 */
export interface CompareAndSetStore {
  /** The newest value: no cache, no replica. `undefined` where there is none. */
  get(key: string): Promise<Versioned | undefined>;
  /**
   * Writes if the stored version is `expected` (`undefined`: if nothing is stored). Resolves with
   * the new version, or `undefined` where that was not so.
   */
  set(key: string, value: string, expected: string | undefined): Promise<string | undefined>;
  /**
   * Removes if the version is `expected`; `false` where that was not so. Leave it out where the
   * engine does not keep to that condition: an empty record then stays.
   */
  delete?(key: string, expected: string): Promise<boolean>;
  /** Lists the keys that begin with `prefix`, in no particular order. */
  list?(prefix: string): AsyncIterable<string>;
}

/** What the library's own engines say of themselves. */
export const TRAITS: unique symbol = Symbol("traits");

/** Name of an engine, for messages, and the most bytes that it holds in one value. */
export interface Traits {
  readonly name: string;
  readonly maxBytes?: number;
}

/** A store, and why it is this one. */
export interface ChosenStorage {
  /** The store. */
  readonly storage: ObjectStorageProvider;
  /** Its kind; `custom` if the application brought its own. */
  readonly kind: "file" | "kv" | "memory" | "custom";
  /** Whether what it keeps outlives the program, as far as one can tell. */
  readonly durable: boolean;
  /** Whether the command line reads it too. */
  readonly sharesWithCommandLine?: boolean;
  /** Where it keeps things, as far as there is a place. */
  readonly location?: string;
  /** Why it was chosen. */
  readonly reason: string;
  /** What to do to have a store that lasts; present if this one does not, for want of another. */
  readonly advice?: string;
  /** Closes what was opened for it; present if there is such a thing. */
  readonly close?: () => void;
}

const MAX_KEY = 1024;
const MAX_SEGMENT = 200;
const MAX_DEPTH = 64;

/** Device names that Windows opens instead of a file, whatever the extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])$/i;

/** Names that the file store gives to its own locks and unfinished files. */
const RESERVED = /\.lock(\.[0-9a-f]{32})?$|\.[0-9a-f]{32}\.tmp$/i;

/** What is wrong with one segment of a key. */
function fault(segment: string): string | undefined {
  if (segment === "") return "an empty segment";
  if (segment === "." || segment === "..") return `the segment "${segment}"`;
  if (segment.length > MAX_SEGMENT) return `a segment of more than ${MAX_SEGMENT} characters`;
  for (let at = 0; at < segment.length; at++) {
    const code = segment.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return "a control character";
    if (code === 0x5c) return "a backslash";
    if ('<>:"|?*'.includes(segment[at]!)) return 'one of the characters < > : " | ? *';
  }
  if (segment.endsWith(".") || segment.endsWith(" ")) {
    return "a segment that ends in a dot or a space";
  }
  if (!segment.isWellFormed()) return "half a surrogate pair";
  const [stem] = segment.split(".", 1) as [string];
  if (stem.length >= 3 && stem.length <= 4 && DEVICE.test(stem)) {
    return `the reserved device name "${segment}"`;
  }
  const lower = segment.toLowerCase();
  if ((lower.includes(".lock") || lower.endsWith(".tmp")) && RESERVED.test(segment)) {
    return `"${segment}", a name kept for locks and unfinished files`;
  }
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
  let found = key.length > MAX_KEY ? `more than ${MAX_KEY} characters` : undefined;
  for (const segment of key.split("/")) found ??= fault(segment);
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
 * @param content Bytes of UTF-8, or text.
 * @throws {AuthError} `storage_corrupt`; it never quotes the content.
 */
export function parseObject(where: string, content: Uint8Array | string): JsonObject {
  let value: JsonValue;
  try {
    value = JSON.parse(
      typeof content === "string"
        ? content
        : new TextDecoder("utf-8", { fatal: true }).decode(content),
    );
  } catch {
    // The parser's message quotes the content, so it is no `cause`.
    throw corrupt(where, content.length === 0 ? "nothing" : "no JSON");
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

/** System error code such as `ENOENT`; `NotCapable` for Deno's missing permission. */
export function fileErrorCode(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if (error.name === "NotCapable") return "NotCapable";
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  return error.name === "NotFound" ? "ENOENT" : error.name;
}

/** Tells whether a file operation failed because there is no such file. */
export function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(fileErrorCode(error));
}

/** Longest wait for a lock where the caller names none, in milliseconds. */
const DEFAULT_LOCK_TIMEOUT_MS = 30_000;

/** The error of a wait that took too long; `what` names what is locked. */
export function lockTimeout(what: string, waitedMs: number): AuthError {
  return new AuthError(
    "lock_timeout",
    `Try again, or end the program that holds ${what}: it did not come free in ${
      Math.round(waitedMs)
    } ms.`,
  );
}

/** Longest wait that a timer can count, in milliseconds; longer ones would end at once. */
const LONGEST_TIMER_MS = 0x7fffffff;

function lockWaitMs({ timeoutMs = DEFAULT_LOCK_TIMEOUT_MS }: LockOptions): number {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw new TypeError("timeoutMs must be a number of milliseconds, 0 or more.");
  }
  return Math.min(timeoutMs, LONGEST_TIMER_MS);
}

/** Lines of waiters, one for each name. */
export class Turns {
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Runs `body` when it is the caller's turn for `name`; `left()` is what remains of the wait, in
   * milliseconds.
   *
   * @throws {AuthError} `lock_timeout` naming `what`; after an abort, the reason of the signal.
   */
  async run<T>(
    name: string,
    what: string,
    options: LockOptions,
    body: (left: () => number) => Promise<T>,
  ): Promise<T> {
    const timeoutMs = lockWaitMs(options);
    const since = performance.now();
    const done = await this.#take(name, what, timeoutMs, options.signal);
    try {
      return await body(() => Math.max(timeoutMs - (performance.now() - since), 0));
    } finally {
      done();
    }
  }

  async #take(
    name: string,
    what: string,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<() => void> {
    signal?.throwIfAborted();
    const before = this.#tails.get(name);
    const { promise: mine, resolve: done } = Promise.withResolvers<void>();
    const tail = before === undefined ? mine : before.then(() => mine);
    this.#tails.set(name, tail);
    tail.then(() => this.#tails.get(name) === tail && this.#tails.delete(name));
    if (before === undefined) return done;
    // Whoever gives up stays in line as one who is done at once.
    const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
    const onAbort = () => giveUp(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => giveUp(lockTimeout(what, timeoutMs)), timeoutMs);
    try {
      await Promise.race([before, given]);
      return done;
    } catch (error) {
      done();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}
