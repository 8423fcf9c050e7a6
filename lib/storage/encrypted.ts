/**
 * Keeps JSON objects encrypted in any other store.
 *
 * The work is that of `encrypted_store.ts`, which is loaded when it is first needed.
 *
 * @module
 */

import type { EncryptedStore } from "./encrypted_store.ts";
import type { JsonObject, Lease, LockOptions, ObjectStorageProvider } from "./objects.ts";

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
  #opened: Promise<EncryptedStore> | undefined;

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
    return await (await this.#store()).load(key);
  }

  /** Encrypts and writes an object. */
  async save(key: string, value: JsonObject): Promise<void> {
    await (await this.#store()).save(key, value);
  }

  /** Tells whether there is an object, without decrypting it. */
  async exists(key: string): Promise<boolean> {
    return await (await this.#store()).exists(key);
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    return await (await this.#store()).mtime(key);
  }

  /**
   * Gives an object another key, for which it is encrypted anew. These are
   * two steps: a program that ends between them leaves both objects where the
   * inner store can delete, and else an object that nobody can read.
   */
  async rename(from: string, to: string): Promise<void> {
    await (await this.#store()).rename(from, to);
  }

  /** What `JSON.stringify()` shows: the kind of store, never a key. */
  toJSON(): JsonObject {
    return { storage: "encrypted" };
  }

  #store(): Promise<EncryptedStore> {
    return this.#opened ??= import("./encrypted_store.ts")
      .then(({ EncryptedStore }) => new EncryptedStore(this.#inner, this.#keys));
  }
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
  return await (await import("./encrypted_store.ts")).deriveKey(passphrase, salt, options);
}
