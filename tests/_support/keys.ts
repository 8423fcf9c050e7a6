/**
 * Key pairs for tests, made when they are asked for.
 *
 * @module
 */

import { CompactSign, importPKCS8 } from "jose";
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

/** Signs `claims` as a JWT; `header` adds to its header. */
export async function signJwt(
  claims: unknown,
  kind: TestKeyKind = "P-256",
  header: Record<string, unknown> = {},
): Promise<string> {
  const algorithms = { rsa: "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
  const alg = kind === "ed25519" ? "EdDSA" : algorithms[kind];
  const key = await importPKCS8(testKey(kind).pem, alg);
  return await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg, ...header }).sign(key);
}
