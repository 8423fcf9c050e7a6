import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { importSigner } from "../../lib/oauth/private_key.ts";
import { type TokenDemands, TokenValidator } from "../../lib/oauth/token_validator.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { test } from "../_support/harness.ts";
import { testKey, type TestKeyKind } from "../_support/keys.ts";

const NOW = 1_700_000_000;
const ISSUER = "https://a.test/";
const GOOD = { iss: ISSUER, aud: "me", exp: NOW + 100, scope: "planet openid" };

function jwk(kind: TestKeyKind, more: JsonObject = {}): JsonObject {
  return { ...testKey(kind).jwk as JsonObject, ...more };
}

async function sign(claims: JsonObject, kind: TestKeyKind = "P-256"): Promise<string> {
  return await (await importSigner({ pem: testKey(kind).pem, name: "k" }, [])).sign(claims);
}

function validator(keys: JsonObject[] = [jwk("P-256")]): TokenValidator {
  return new TokenValidator(() => Promise.resolve(keys), () => NOW * 1000);
}

async function refusal(
  token: string,
  demands: Partial<TokenDemands> = {},
  keys?: JsonObject[],
): Promise<string> {
  const error = await assertRejects(
    () => validator(keys).validate(token, { issuer: ISSUER, audience: "me", ...demands }),
    AuthError,
  );
  assertEquals(error.code, "invalid_token");
  assert(!error.message.includes(token.slice(0, 20)));
  return error.message;
}

const CLAIMS: readonly [string, JsonObject, string][] = [
  ["another issuer", { iss: "https://b.test/" }, "another server"],
  ["another audience", { aud: "you" }, "another audience"],
  ["no audience", { aud: undefined }, "another audience"],
  ["no expiry", { exp: undefined }, "when it expires"],
  ["an expiry that is past", { exp: NOW - 60 }, "expired"],
  ["a beginning to come", { nbf: NOW + 61 }, "not good yet"],
];
for (const [what, claims, said] of CLAIMS) {
  test(`TokenValidator refuses ${what} (RFC 9068 §4)`, async () => {
    assert((await refusal(await sign({ ...GOOD, ...claims }))).includes(said));
  });
}

test("TokenValidator refuses what is not signed by the server's key", async () => {
  const token = await sign(GOOD);
  const [head, body, mark] = token.split(".") as [string, string, string];
  const encode = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const other = encode({ ...GOOD, sub: "admin" });
  assert((await refusal(`${head}.${other}.${mark}`)).includes("signature"));
  assert((await refusal(await sign(GOOD, "P-384"))).includes("publishes no key"));
  assert((await refusal(`${encode({ alg: "none" })}.${body}.`)).includes("no signed JWT"));
  assert((await refusal(`${encode({ alg: "none" })}.${body}.${mark}`)).includes("not trusted"));
  assert((await refusal(`${encode({ alg: "HS256" })}.${body}.${mark}`)).includes("not trusted"));
  assert(
    (await refusal(`${encode({ alg: "ES256", crit: ["b64"] })}.${body}.${mark}`)).includes(
      "extension",
    ),
  );
  assert((await refusal("opaque")).includes("no signed JWT"));
});

test("TokenValidator takes a key only for what the server publishes it for", async () => {
  const token = await sign(GOOD);
  for (const keys of [[jwk("P-256", { use: "enc" })], [jwk("P-256", { alg: "ES384" })], []]) {
    assert((await refusal(token, {}, keys)).includes("publishes no key"));
  }
});

test("TokenValidator asks for the keys again for an unknown one, but not more than every 5 minutes", async () => {
  let asked = 0;
  let now = NOW * 1000;
  const one = new TokenValidator(() => {
    asked++;
    return Promise.resolve(asked === 1 ? [] : [jwk("P-256")]);
  }, () => now);
  const token = await sign({ ...GOOD, exp: NOW + 1000 });
  const demands = { issuer: ISSUER, audience: "me" };
  for (let i = 0; i < 3; i++) await assertRejects(() => one.validate(token, demands), AuthError);
  assertEquals(asked, 1);
  now += 300_000;
  assertEquals((await one.validate(token, demands)).iss, ISSUER);
  assertEquals(asked, 2);
});

test("TokenValidator wants one of the scopes, as text or as list", async () => {
  const text = await sign(GOOD);
  const list = await sign({ ...GOOD, scope: undefined, scp: ["planet"] });
  const demands = { issuer: ISSUER, audience: "me", scopesAnyOf: ["other", "planet"] };
  for (const token of [text, list]) await validator().validate(token, demands);
  for (const token of [text, await sign({ ...GOOD, scope: undefined })]) {
    assert((await refusal(token, { scopesAnyOf: ["other"] })).includes("none of the scopes"));
  }
});

test("TokenValidator wants azp of an ID token for several audiences (OpenID Connect Core §3.1.3.7)", async () => {
  const isIdToken = true;
  const several = { ...GOOD, aud: ["me", "you"] };
  assert((await refusal(await sign(several), { isIdToken })).includes("another client"));
  assert((await refusal(await sign({ ...several, azp: "you" }), { isIdToken })).includes("client"));
  assert((await refusal(await sign({ ...GOOD, azp: "you" }), { isIdToken })).includes("client"));
  const demands = { issuer: ISSUER, audience: "me", isIdToken };
  await validator().validate(await sign({ ...several, azp: "me" }), demands);
  await validator().validate(await sign(GOOD), demands);
});
