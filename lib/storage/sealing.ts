/**
 * Encrypts JSON objects; loaded when the first one is read or written.
 *
 * AES-256-GCM (NIST SP 800-38D) by WebCrypto, with a random 96-bit nonce for
 * each write. The storage key is bound as additional data, so a value moved to
 * another key is refused. Keys, times and the length of values stay visible.
 * One encryption key serves up to 2^32 writes.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { corrupt, type JsonObject, parseObject } from "./objects.ts";

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

/** Encrypts `value` for the storage key `key`. */
export async function seal(
  cryptoKey: CryptoKey,
  key: string,
  value: JsonObject,
): Promise<JsonObject> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const clear = new TextEncoder().encode(JSON.stringify(value));
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt(parameters(key, nonce), cryptoKey, clear),
  );
  const whole = new Uint8Array(NONCE_BYTES + sealed.length);
  whole.set(nonce);
  whole.set(sealed, NONCE_BYTES);
  return { [MEMBER]: FORMAT + toBase64(whole) };
}

/**
 * Decrypts what `seal()` made for the storage key `key`, with the first of `keys` that opens it.
 *
 * @throws {AuthError} `storage_corrupt`; it never quotes the content.
 */
export async function unseal(
  keys: readonly CryptoKey[],
  key: string,
  stored: JsonObject,
): Promise<JsonObject> {
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
  for (const cryptoKey of keys) {
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

function parameters(key: string, iv: Uint8Array<ArrayBuffer>): AesGcmParams {
  const additionalData = new TextEncoder().encode(`planet-storage ${key}`);
  return { name: "AES-GCM", iv, additionalData, tagLength: 8 * TAG_BYTES };
}

/** The work of `deriveStorageKey()`. */
export async function deriveKey(
  passphrase: string,
  salt: Uint8Array,
  options: { iterations?: number | undefined },
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
