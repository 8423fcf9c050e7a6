/**
 * The work of `EncryptedStorage`, loaded when it is first needed.
 *
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
  notFound,
  type ObjectStorageProvider,
  parseObject,
} from "./objects.ts";
import type { DeriveOptions } from "./encrypted.ts";

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

/** Keeps JSON objects encrypted in another store; its lock, times and listing are that store's. */
export class EncryptedStore {
  readonly #inner: ObjectStorageProvider;
  readonly #keys: readonly CryptoKey[];

  /** Encrypts with the first of `keys` what goes to `inner`; nothing is read or written yet. */
  constructor(inner: ObjectStorageProvider, keys: readonly CryptoKey[]) {
    this.#inner = inner;
    this.#keys = keys;
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
   * two steps: a program that ends between them leaves both objects where the
   * inner store can delete, and else an object that nobody can read.
   */
  async rename(from: string, to: string): Promise<void> {
    checkKey(from);
    checkKey(to);
    const value = await this.load(from);
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

/** The work of `deriveStorageKey()`. */
export async function deriveKey(
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
