/**
 * Private keys as PEM, plain or encrypted, and signing with them.
 *
 * Reads PKCS#8 (RFC 5958), PKCS#1 and SEC 1; opens PKCS#8 that is encrypted by
 * PBES2 with PBKDF2 and AES-CBC (RFC 8018), which is what OpenSSL and Python
 * write. Stands on WebCrypto alone. No part of a key or password gets into an error.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";
import { der, derOid, DerReader, TAG } from "./der.ts";

/** A private key as it is kept. */
export interface PrivateKeyPem {
  /** PEM text. */
  readonly pem: string;
  /** Password, where it is encrypted. */
  readonly password?: string;
  /** What a message calls it. */
  readonly name: string;
}

/** Signs JWTs. */
export interface Signer {
  /** Algorithm (RFC 7518 §3.1). */
  readonly algorithm: string;
  /** Signs `claims` (RFC 7515 §7.1). */
  sign(claims: JsonObject): Promise<string>;
}

/** Most rounds of PBKDF2 that are done; OpenSSL's own number is 2,048. */
const MOST_ROUNDS = 10_000_000;

const RSA = "2a864886f70d010101";
const EC = "2a8648ce3d0201";
const ED25519 = "2b6570";
const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";

/** Object identifiers of curves, their names and algorithms. */
const CURVES: Readonly<Record<string, { curve: string; algorithm: string; hash: string }>> = {
  "2a8648ce3d030107": { curve: "P-256", algorithm: "ES256", hash: "SHA-256" },
  "2b81040022": { curve: "P-384", algorithm: "ES384", hash: "SHA-384" },
  "2b81040023": { curve: "P-521", algorithm: "ES512", hash: "SHA-512" },
};

/** Pseudo-random functions of PBKDF2. */
const HASHES: Readonly<Record<string, string>> = {
  "2a864886f70d0207": "SHA-1",
  "2a864886f70d0209": "SHA-256",
  "2a864886f70d020a": "SHA-384",
  "2a864886f70d020b": "SHA-512",
};

/** Ciphers, and the length of their keys in bits. */
const CIPHERS: Readonly<Record<string, number>> = {
  "608648016503040102": 128,
  "608648016503040116": 192,
  "60864801650304012a": 256,
};

/** Algorithms for an RSA key; the first one that the server takes, and Python's where it does not say. */
const RSA_ALGORITHMS: readonly string[] = ["RS256", "PS256", "RS384", "PS384", "RS512", "PS512"];

function bad(name: string, found: string): AuthError {
  return new AuthError("invalid_argument", `Check ${name}: ${found}.`);
}

const CONVERT =
  '"openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW" brings it to a form that is known';

/** Finds the private key in a PEM text: its kind and its bytes. */
function readPem({ name, pem }: PrivateKeyPem): { kind: string; bytes: Uint8Array<ArrayBuffer> } {
  const block =
    /-----BEGIN ((?:ENCRYPTED |RSA |EC |OPENSSH |DSA )?PRIVATE KEY)-----([\s\S]+?)-----END \1-----/
      .exec(pem);
  const [, kind = "", body = ""] = block ?? [];
  if (block === null) throw bad(name, "it holds no private key as PEM");
  if (kind.startsWith("OPENSSH") || kind.startsWith("DSA")) {
    throw bad(name, `it is an ${kind.split(" ")[0]} key; ${CONVERT}`);
  }
  if (body.includes(":")) throw bad(name, `it is encrypted in an outdated way; ${CONVERT}`);
  try {
    const binary = atob(body.replace(/\s+/g, ""));
    return { kind, bytes: Uint8Array.from(binary, (character) => character.charCodeAt(0)) };
  } catch {
    throw bad(name, "its PEM text is damaged");
  }
}

/** Brings a key to PKCS#8, unencrypted. */
async function toPkcs8(source: PrivateKeyPem): Promise<Uint8Array<ArrayBuffer>> {
  const { kind, bytes } = readPem(source);
  const wrap = (parameters: Uint8Array) =>
    der(TAG.sequence, der(TAG.integer, Uint8Array.of(0)), parameters, der(TAG.octets, bytes));
  if (kind === "RSA PRIVATE KEY") return wrap(der(TAG.sequence, derOid(RSA), der(TAG.null)));
  if (kind === "EC PRIVATE KEY") {
    const key = new DerReader(bytes).sequence();
    key.integer();
    key.read(TAG.octets);
    return wrap(der(TAG.sequence, derOid(EC), derOid(new DerReader(key.read(0xa0)).oid())));
  }
  return kind === "ENCRYPTED PRIVATE KEY" ? await decrypt(bytes, source) : bytes;
}

/** Opens an EncryptedPrivateKeyInfo (RFC 5958 §3) by PBES2 (RFC 8018 §6.2). */
async function decrypt(
  bytes: Uint8Array<ArrayBuffer>,
  { name, password }: PrivateKeyPem,
): Promise<Uint8Array<ArrayBuffer>> {
  if (password === undefined) {
    throw bad(name, "it is encrypted, and there is no client_privkey_password");
  }
  const envelope = new DerReader(bytes);
  const info = envelope.sequence();
  envelope.end();
  const scheme = info.sequence();
  const encrypted = info.read(TAG.octets);
  info.end();
  if (scheme.oid() !== PBES2) throw bad(name, `it is encrypted in an unknown way; ${CONVERT}`);
  const parameters = scheme.sequence();
  const derivation = parameters.sequence();
  if (derivation.oid() !== PBKDF2) {
    throw bad(name, `its key derivation is not PBKDF2; ${CONVERT}`);
  }
  const kdf = derivation.sequence();
  const salt = kdf.read(TAG.octets);
  const iterations = kdf.integer();
  const length = kdf.next === TAG.integer ? kdf.integer() * 8 : undefined;
  let hash: string | undefined = "SHA-1";
  if (kdf.next !== undefined) {
    hash = HASHES[kdf.sequence().oid()];
    kdf.end();
  }
  const cipher = parameters.sequence();
  const bits = CIPHERS[cipher.oid()];
  if (hash === undefined || bits === undefined || (length !== undefined && length !== bits)) {
    throw bad(name, `its cipher is not AES-CBC, or its PBKDF2 is unknown; ${CONVERT}`);
  }
  if (iterations === 0 || iterations > MOST_ROUNDS) {
    throw bad(name, `it asks for ${iterations} rounds of PBKDF2`);
  }
  const iv = cipher.read(TAG.octets);
  const { subtle } = crypto;
  const secret = new TextEncoder().encode(password);
  const base = await subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const raw = await subtle.deriveBits({ name: "PBKDF2", hash, salt, iterations }, base, bits);
  const key = await subtle.importKey("raw", raw, "AES-CBC", false, ["decrypt"]);
  try {
    const plain = new Uint8Array(await subtle.decrypt({ name: "AES-CBC", iv }, key, encrypted));
    // A wrong password may leave a padding that looks right.
    new DerReader(plain).sequence().integer();
    return plain;
  } catch {
    throw bad(name, "client_privkey_password does not open it");
  }
}

interface KeyUse {
  readonly algorithm: string;
  readonly import: RsaHashedImportParams | EcKeyImportParams | Algorithm;
  readonly sign: AlgorithmIdentifier | RsaPssParams | EcdsaParams;
}

/** How the key is used, by its own algorithm and what the server takes. */
function useOf(pkcs8: Uint8Array<ArrayBuffer>, name: string, accepted: readonly string[]): KeyUse {
  const info = new DerReader(pkcs8).sequence();
  info.integer();
  const identifier = info.sequence();
  const oid = identifier.oid();
  if (oid === RSA) {
    const algorithm = RSA_ALGORITHMS.find((one) => accepted.includes(one)) ?? "RS256";
    const hash = `SHA-${algorithm.slice(2)}`;
    return algorithm.startsWith("RS")
      ? { algorithm, import: { name: "RSASSA-PKCS1-v1_5", hash }, sign: "RSASSA-PKCS1-v1_5" }
      : {
        algorithm,
        import: { name: "RSA-PSS", hash },
        sign: { name: "RSA-PSS", saltLength: Number(algorithm.slice(2)) / 8 },
      };
  }
  if (oid === EC) {
    const known = CURVES[identifier.oid()];
    if (known === undefined) throw bad(name, "its curve is not P-256, P-384 or P-521");
    const { algorithm, curve, hash } = known;
    return {
      algorithm,
      import: { name: "ECDSA", namedCurve: curve },
      sign: { name: "ECDSA", hash },
    };
  }
  if (oid === ED25519) return { algorithm: "EdDSA", import: { name: "Ed25519" }, sign: "Ed25519" };
  throw bad(name, "it is no RSA, EC or Ed25519 key");
}

function base64url(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/**
 * Makes a signer of a private key.
 *
 * @param source The key.
 * @param accepted Algorithms that the server takes; empty: it does not say.
 * @throws {AuthError} `invalid_argument` where the key is unknown, damaged or does not open.
 */
export async function importSigner(
  source: PrivateKeyPem,
  accepted: readonly string[],
): Promise<Signer> {
  let use: KeyUse;
  let key: CryptoKey;
  try {
    const pkcs8 = await toPkcs8(source);
    use = useOf(pkcs8, source.name, accepted);
    key = await crypto.subtle.importKey("pkcs8", pkcs8, use.import, false, ["sign"]);
  } catch (error) {
    // The cause could quote the key.
    throw error instanceof AuthError ? error : bad(source.name, "it is damaged, or unknown here");
  }
  const { algorithm } = use;
  const encode = (part: JsonObject) => base64url(new TextEncoder().encode(JSON.stringify(part)));
  return {
    algorithm,
    async sign(claims: JsonObject): Promise<string> {
      const text = `${encode({ alg: algorithm, typ: "JWT" })}.${encode(claims)}`;
      const bytes = await crypto.subtle.sign(use.sign, key, new TextEncoder().encode(text));
      return `${text}.${base64url(new Uint8Array(bytes))}`;
    },
  };
}
