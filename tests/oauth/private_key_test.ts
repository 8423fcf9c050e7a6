import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { importSigner, type Signer } from "../../lib/oauth/private_key.ts";
import { TokenValidator } from "../../lib/oauth/token_validator.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { type TestKey, testKey, type TestKeyKind } from "../_support/keys.ts";

const NOW = 1_700_000_000;
const CLAIMS = { iss: "https://a.test/", aud: "b", exp: NOW + 60, sub: "s" };

/** Checks what a signer signs with the public half of its key. */
async function accepts({ jwk }: TestKey, signer: Signer): Promise<unknown> {
  const validator = new TokenValidator(
    () => Promise.resolve([{ ...jwk, alg: signer.algorithm } as never]),
    () => NOW * 1000,
  );
  const token = await signer.sign(CLAIMS);
  return await validator.validate(token, { issuer: "https://a.test/", audience: "b" });
}

const ALGORITHMS: readonly [TestKeyKind, string, readonly string[]][] = [
  ["rsa", "RS256", []],
  ["rsa", "RS256", ["ES256", "PS256", "RS256"]],
  ["rsa", "PS256", ["PS256", "ES256"]],
  ["rsa", "RS512", ["RS512"]],
  ["P-256", "ES256", []],
  ["P-384", "ES384", []],
  ["P-521", "ES512", []],
  ["ed25519", "EdDSA", []],
];
for (const [kind, algorithm, accepted] of ALGORITHMS) {
  test(`importSigner() signs by ${algorithm} with ${kind}, where the server takes ${accepted.join(", ") || "what it takes"}`, async () => {
    const key = testKey(kind);
    const signer = await importSigner({ pem: key.pem, name: "k" }, accepted);
    assertEquals(signer.algorithm, algorithm);
    assertEquals(await accepts(key, signer), CLAIMS);
  });
}

const FORMS: readonly [
  string,
  TestKeyKind,
  (key: TestKey) => { pem: string; password?: string },
][] = [
  ["PKCS#1", "rsa", ({ privateKey }) => ({
    pem: String(privateKey.export({ type: "pkcs1", format: "pem" })),
  })],
  ["SEC 1", "P-256", ({ privateKey }) => ({
    pem: String(privateKey.export({ type: "sec1", format: "pem" })),
  })],
  ["PKCS#8 with text around it", "rsa", ({ pem }) => ({ pem: `Bag\n ${pem}\n-- end` })],
  ["PKCS#8 with CRLF", "rsa", ({ pem }) => ({ pem: pem.replaceAll("\n", "\r\n") })],
  ["PKCS#8, encrypted by AES-256", "rsa", (key) => ({
    pem: key.encrypted("p\u00e4ss of some length"),
    password: "p\u00e4ss of some length",
  })],
  ["PKCS#8, encrypted by AES-128", "P-256", (key) => ({
    pem: key.encrypted(secret("x"), "aes-128-cbc"),
    password: secret("x"),
  })],
  [
    "PKCS#8 in clear, with a needless password",
    "rsa",
    ({ pem }) => ({ pem, password: secret("x") }),
  ],
];
for (const [what, kind, form] of FORMS) {
  test(`importSigner() reads ${what} (RFC 5958, RFC 8018)`, async () => {
    const key = testKey(kind);
    const signer = await importSigner({ name: "k", ...form(key) }, []);
    assertEquals(await accepts(key, signer), CLAIMS);
  });
}

const rsa = () => testKey("rsa");
const BAD: readonly [string, () => { pem: string; password?: string }, string][] = [
  ["no PEM", () => ({ pem: "hello" }), "no private key"],
  [
    "a public key",
    () => ({ pem: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" }),
    "no private key",
  ],
  [
    "an OpenSSH key",
    () => ({ pem: rsa().pem.replaceAll("PRIVATE", "OPENSSH PRIVATE") }),
    "openssl",
  ],
  [
    "an outdated encryption",
    () => ({
      pem: rsa().pem.replaceAll("PRIVATE", "RSA PRIVATE")
        .replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"),
    }),
    "openssl",
  ],
  ["damaged base64", () => ({ pem: rsa().pem.replace("\nMII", "\n!!!") }), "damaged"],
  ["a damaged key", () => ({ pem: rsa().pem.replace("\nMII", "\nNII") }), "damaged"],
  ["a missing password", () => ({ pem: rsa().encrypted(secret("x")) }), "client_privkey_password"],
  [
    "a wrong password",
    () => ({ pem: rsa().encrypted(secret("x")), password: secret("SECRET") }),
    "does not open",
  ],
  [
    "an encryption cut short",
    () => ({
      pem: rsa().encrypted(secret("x")).replace(/\n[^\n]+\n[^\n]+\n-----END/, "\n-----END"),
      password: secret("x"),
    }),
    "damaged",
  ],
];
for (const [what, make, said] of BAD) {
  test(`importSigner() refuses ${what}, and shows neither key nor password`, async () => {
    const source = make();
    const error = await assertRejects(
      () => importSigner({ name: "the key", ...source }, []),
      AuthError,
    );
    assertEquals(error.code, "invalid_argument");
    assert(error.message.includes(said) && error.message.includes("the key"), error.message);
    assertEquals(error.cause, undefined);
    assert(!/SECRET|MII/.test(error.message), error.message);
  });
}
