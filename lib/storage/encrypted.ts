/**
 * Keeps JSON objects encrypted in any other store.
 *
 * AES-256-GCM (NIST SP 800-38D) by WebCrypto, with a random 96-bit nonce for
 * each write. The storage key is bound as additional data, so a value moved to
 * another key is refused. Keys, times and the length of values stay visible.
 * One encryption key serves up to 2^32 writes.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import {
  checkKey,
  checkObject,
  corrupt,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
  parseObject,
} from "./objects.ts";

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

/** Further keys of an {@linkcode EncryptedStorage}. */
export interface EncryptedStorageOptions {
  /** Keys that still read what they wrote, after a change of the key. */
  previousKeys?: readonly CryptoKey[];
}

/** How {@linkcode deriveStorageKey} works. */
export interface DeriveOptions {
  /** Rounds of PBKDF2, at least 100,000; default 600,000. */
  iterations?: number;
}

function checkCryptoKey(key: CryptoKey, usages: readonly KeyUsage[]): void {
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
  readonly #keys: readonly CryptoKey[];

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
    key: CryptoKey,
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
): Promise<CryptoKey> {
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
