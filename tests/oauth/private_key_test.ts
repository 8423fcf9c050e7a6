import { assert, assertEquals, assertRejects } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import process from "node:process";
import { AuthError } from "../../lib/errors.ts";
import { ClientAuthentication, type PrivateKeyPem } from "../../lib/oauth/client_auth.ts";
import { TokenValidator } from "../../lib/oauth/token_validator.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { type TestKey, testKey, type TestKeyKind } from "../_support/keys.ts";

const NOW = 1_700_000_000;
const TOKEN_ENDPOINT = "https://a.test/token";

/** What a client with this key proves itself with, to a server that takes `algorithms`. */
async function assertionBy(source: PrivateKeyPem, algorithms?: string[]): Promise<string> {
  const privateKey = () => Promise.resolve(source);
  const proof = new ClientAuthentication("app", { privateKey }, () => NOW * 1000).forCall();
  const server = {
    issuer: "https://a.test/",
    token_endpoint: TOKEN_ENDPOINT,
    ...(algorithms && { token_endpoint_auth_signing_alg_values_supported: algorithms }),
  };
  const body = new URLSearchParams();
  await proof.add(server, { client_id: "app" }, body, new Headers());
  return body.get("client_assertion")!;
}

/** Checks an assertion with the public half of its key; the answer is its algorithm. */
async function algorithmOf({ jwk }: TestKey, assertion: string): Promise<unknown> {
  const head = assertion.split(".")[0]!.replaceAll("-", "+").replaceAll("_", "/");
  const { alg, ...header } = JSON.parse(atob(head));
  assertEquals(header, { typ: "JWT" });
  const keys = [{ ...jwk, alg } as never];
  const validator = new TokenValidator(() => Promise.resolve(keys), () => NOW * 1000);
  const demands = { issuer: "app", audience: TOKEN_ENDPOINT };
  const { jti, ...claims } = await validator.validate(assertion, demands);
  assert(String(jti).length >= 22);
  const times = { iat: NOW, exp: NOW + 300 };
  assertEquals(claims, { iss: "app", sub: "app", aud: TOKEN_ENDPOINT, ...times });
  return alg;
}

const ALGORITHMS: readonly [TestKeyKind, string, string[]?][] = [
  ["rsa", "RS256"],
  ["rsa", "RS256", ["ES256", "PS256", "RS256"]],
  ["rsa", "PS256", ["PS256", "ES256"]],
  ["rsa", "RS512", ["RS512"]],
  ["P-256", "ES256"],
  ["P-384", "ES384"],
  ["P-521", "ES512"],
  ["ed25519", "EdDSA"],
  ["ed25519", "EdDSA", ["EdDSA", "RS256"]],
  ["ed25519", "Ed25519", ["Ed25519", "RS256"]],
];
for (const [kind, algorithm, accepted] of ALGORITHMS) {
  test(`ClientAuthentication signs by ${algorithm} with ${kind}, if the server takes ${accepted?.join(", ") ?? "what it takes"}`, async () => {
    const key = testKey(kind);
    const assertion = await assertionBy({ pem: key.pem, name: "k" }, accepted);
    assertEquals(await algorithmOf(key, assertion), algorithm);
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
  test(`ClientAuthentication reads a key in ${what} (RFC 5958, RFC 8018)`, async () => {
    const key = testKey(kind);
    const assertion = await assertionBy({ name: "k", ...form(key) });
    assertEquals(await algorithmOf(key, assertion), kind === "rsa" ? "RS256" : "ES256");
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
  ["a short RSA key", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
    return { pem: String(privateKey.export({ type: "pkcs8", format: "pem" })) };
  }, "1024 bits"],
  ["a key of another kind", () => {
    const { privateKey } = generateKeyPairSync("x25519");
    return { pem: String(privateKey.export({ type: "pkcs8", format: "pem" })) };
  }, "no RSA, EC"],
];
for (const [what, make, said] of BAD) {
  test(`ClientAuthentication refuses ${what} as a key, and shows neither key nor password`, async () => {
    const source = make();
    const error = await assertRejects(
      () => assertionBy({ name: "the key", ...source }),
      AuthError,
    );
    assertEquals(error.code, "invalid_argument");
    assert(error.message.includes(said) && error.message.includes("the key"), error.message);
    assertEquals(error.cause, undefined);
    assert(!/SECRET|MII/.test(error.message), error.message);
  });
}

test("ClientAuthentication says how to convert a key that needs node:crypto, if the runtime has none", async () => {
  const key = testKey("rsa");
  const forms = FORMS.filter(([what]) => /PKCS#1|SEC 1|encrypted/.test(what));
  const found = process.getBuiltinModule;
  process.getBuiltinModule = (() => undefined) as never;
  try {
    for (const [what, kind, form] of forms) {
      const source = { name: "the key", ...form(testKey(kind)) };
      const error = await assertRejects(() => assertionBy(source), AuthError);
      assertEquals(error.code, "invalid_argument", what);
      assert(error.message.includes("openssl pkcs8 -topk8 -nocrypt"), error.message);
      assert(!error.message.includes("MII") && error.cause === undefined);
    }
    assertEquals(await algorithmOf(key, await assertionBy({ pem: key.pem, name: "k" })), "RS256");
  } finally {
    process.getBuiltinModule = found;
  }
});
