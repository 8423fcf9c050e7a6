/**
 * Key pairs for tests, made when they are asked for.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { noteSecret } from "./watch.ts";

/** A pair, its private half as PEM. */
export interface TestKey {
  /** The private key, as node:crypto has it. */
  readonly privateKey: KeyObject;
  /** Its public half as a JWK. */
  readonly jwk: Record<string, unknown>;
  /** The private key as PKCS#8. */
  readonly pem: string;
  /** The private key as PKCS#8, encrypted with a password. */
  encrypted(passphrase: string, cipher?: string): string;
}

/** Kinds of key. */
export type TestKeyKind = "rsa" | "P-256" | "P-384" | "P-521" | "ed25519";

const made = new Map<TestKeyKind, TestKey>();

/** A key is a secret as a whole and line by line; the first line of many is that of its kind. */
function noteKey(pem: string): void {
  const lines = pem.split("\n").filter((line) => line.length >= 40 && !line.startsWith("-"));
  for (const text of [pem, ...lines.slice(Math.min(1, lines.length - 1))]) {
    noteSecret("private key", text);
  }
}

/** Makes a key pair, one of each kind for a process. */
export function testKey(kind: TestKeyKind): TestKey {
  const known = made.get(kind);
  if (known !== undefined) {
    noteKey(known.pem);
    return known;
  }
  const { privateKey, publicKey } = kind === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : kind === "ed25519"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("ec", { namedCurve: kind });
  const key: TestKey = {
    privateKey,
    jwk: publicKey.export({ format: "jwk" }) as Record<string, unknown>,
    pem: String(privateKey.export({ type: "pkcs8", format: "pem" })),
    encrypted(passphrase, cipher = "aes-256-cbc") {
      noteSecret("private key", passphrase);
      return String(privateKey.export({ type: "pkcs8", format: "pem", cipher, passphrase }));
    },
  };
  made.set(kind, key);
  noteKey(key.pem);
  return key;
}

/** How each kind of key signs, by WebCrypto. */
const SIGNS = {
  rsa: ["RS256", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }],
  "P-256": ["ES256", { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }],
  "P-384": ["ES384", { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" }],
  "P-521": ["ES512", { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" }],
  ed25519: ["EdDSA", { name: "Ed25519" }],
} as const;

/** Signs `claims` as a JWT; `header` adds to its header. */
export async function signJwt(
  claims: unknown,
  kind: TestKeyKind = "P-256",
  header: Record<string, unknown> = {},
): Promise<string> {
  const [alg, algorithm] = SIGNS[kind];
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const der = testKey(kind).privateKey.export({ type: "pkcs8", format: "der" });
  const key = await crypto.subtle.importKey(
    "pkcs8",
    new Uint8Array(der),
    algorithm,
    false,
    ["sign"],
  );
  const text = `${encode({ alg, ...header })}.${encode(claims)}`;
  const signature = await crypto.subtle.sign(algorithm, key, new TextEncoder().encode(text));
  return `${text}.${Buffer.from(signature).toString("base64url")}`;
}
