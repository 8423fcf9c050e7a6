import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { type TokenDemands, TokenValidator } from "../../lib/oauth/token_validator.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { test } from "../_support/harness.ts";
import { signJwt, testKey, type TestKeyKind } from "../_support/keys.ts";

const NOW = 1_700_000_000;
const ISSUER = "https://a.test/";
const GOOD = { iss: ISSUER, aud: "me", exp: NOW + 100, scope: "planet openid" };

function jwk(kind: TestKeyKind, more: JsonObject = {}): JsonObject {
  return { ...testKey(kind).jwk as JsonObject, ...more };
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
  ["a beginning to come", { nbf: NOW + 65 }, "not good yet"],
];
for (const [what, claims, said] of CLAIMS) {
  test(`TokenValidator refuses ${what} (RFC 9068 §4)`, async () => {
    assert((await refusal(await signJwt({ ...GOOD, ...claims }))).includes(said));
  });
}

test("TokenValidator refuses what is not signed by the server's key", async () => {
  const token = await signJwt(GOOD);
  const [head, body, mark] = token.split(".") as [string, string, string];
  const encode = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const other = encode({ ...GOOD, sub: "admin" });
  assert((await refusal(`${head}.${other}.${mark}`)).includes("signature"));
  assert((await refusal(await signJwt(GOOD, "P-384"))).includes("publishes no key"));
  assert((await refusal(`${encode({ alg: "none" })}.${body}.`)).includes("not trusted"));
  assert((await refusal(`${encode({ alg: "none" })}.${body}.${mark}`)).includes("not trusted"));
  assert((await refusal(`${encode({ alg: "HS256" })}.${body}.${mark}`)).includes("not trusted"));
  assert(
    (await refusal(`${encode({ alg: "ES256", crit: ["x"], x: 1 })}.${body}.${mark}`)).includes(
      "extension",
    ),
  );
  assert((await refusal("opaque")).includes("no signed JWT"));
});

test("TokenValidator reads claims as UTF-8 (RFC 7519 §3)", async () => {
  const token = await signJwt({ ...GOOD, name: "Zo\u00eb \u65e5" });
  const claims = await validator().validate(token, { issuer: ISSUER, audience: "me" });
  assertEquals(claims.name, "Zo\u00eb \u65e5");
});

test("TokenValidator takes a key only for what the server publishes it for", async () => {
  const token = await signJwt(GOOD);
  for (const keys of [[jwk("P-256", { use: "enc" })], [jwk("P-256", { alg: "ES384" })], []]) {
    assert((await refusal(token, {}, keys)).includes("publishes no key"));
  }
});

/** A validator of a server whose keys change, with a clock of its own. */
function rotating(keys: JsonObject[]) {
  const world = { asked: 0, now: NOW * 1000, keys };
  const one = new TokenValidator(() => {
    world.asked++;
    return Promise.resolve([...world.keys]);
  }, () => world.now);
  const validate = (token: string) => one.validate(token, { issuer: ISSUER, audience: "me" });
  return { world, validate };
}

test("TokenValidator takes a token of a new key at once, and asks for keys at most every 5 seconds", async () => {
  const { validate, world } = rotating([jwk("P-256", { kid: "a" })]);
  const lasting = { ...GOOD, exp: NOW + 10_000 };
  const old = await signJwt(lasting, "P-256", { kid: "a" });
  const fresh = await signJwt(lasting, "P-384", { kid: "b" });
  await Promise.all([validate(old), validate(old)]);
  assertEquals(world.asked, 1);
  world.now += 5_000;
  world.keys.push(jwk("P-384", { kid: "b" }));
  await Promise.all([validate(fresh), validate(fresh), validate(old)]);
  assertEquals(world.asked, 2);
  // Made-up key IDs do not make us a nuisance.
  for (let i = 0; i < 10; i++) {
    const made = await signJwt(lasting, "P-256", { kid: `made up ${i}` });
    await assertRejects(() => validate(made), AuthError, "publishes no key");
  }
  assertEquals(world.asked, 2);
  world.now += 5_000;
  const made = await signJwt(lasting, "P-256", { kid: "x" });
  await assertRejects(() => validate(made), AuthError, "publishes no key");
  assertEquals(world.asked, 3);
});

test("TokenValidator stops trusting a key that the server takes back, within 10 minutes", async () => {
  const { validate, world } = rotating([jwk("P-256")]);
  const token = await signJwt({ ...GOOD, exp: NOW + 10_000 });
  await validate(token);
  world.keys = [];
  world.now += 599_999;
  await validate(token);
  world.now += 1;
  await assertRejects(() => validate(token), AuthError, "publishes no key");
  assertEquals(world.asked, 2);
});

test("TokenValidator asks for the keys again after a failure, and gives up with its callers", async () => {
  let asked = 0;
  let ended: unknown;
  const one = new TokenValidator((signal) => {
    if (++asked === 1) return Promise.reject(new AuthError("network", "gone"));
    if (asked === 3) return Promise.resolve([jwk("P-256")]);
    signal.addEventListener("abort", () => ended = signal.reason);
    return new Promise(() => {});
  }, () => NOW * 1000);
  const token = await signJwt(GOOD);
  const demands = { issuer: ISSUER, audience: "me" };
  assertEquals(
    (await assertRejects(() => one.validate(token, demands), AuthError)).code,
    "network",
  );
  const [first, second] = [new AbortController(), new AbortController()];
  const waits = [first, second].map(({ signal }) => one.validate(token, demands, signal));
  first.abort("first");
  assertEquals(await waits[0]!.catch((error) => error), "first");
  assertEquals(ended, undefined);
  second.abort("second");
  assertEquals(await waits[1]!.catch((error) => error), "second");
  assertEquals(ended, "second");
  assertEquals((await one.validate(token, demands)).iss, ISSUER);
  assertEquals(asked, 3);
});

test("TokenValidator wants one of the scopes, as text or as list", async () => {
  const text = await signJwt(GOOD);
  const list = await signJwt({ ...GOOD, scope: undefined, scp: ["planet"] });
  const demands = { issuer: ISSUER, audience: "me", scopesAnyOf: ["other", "planet"] };
  for (const token of [text, list]) await validator().validate(token, demands);
  for (const token of [text, await signJwt({ ...GOOD, scope: undefined })]) {
    assert((await refusal(token, { scopesAnyOf: ["other"] })).includes("none of the scopes"));
  }
});

test("TokenValidator wants azp of an ID token for several audiences (OpenID Connect Core §3.1.3.7)", async () => {
  const isIdToken = true;
  const several = { ...GOOD, aud: ["me", "you"] };
  assert((await refusal(await signJwt(several), { isIdToken })).includes("another client"));
  assert(
    (await refusal(await signJwt({ ...several, azp: "you" }), { isIdToken })).includes("client"),
  );
  assert((await refusal(await signJwt({ ...GOOD, azp: "you" }), { isIdToken })).includes("client"));
  const demands = { issuer: ISSUER, audience: "me", isIdToken };
  await validator().validate(await signJwt({ ...several, azp: "me" }), demands);
  await validator().validate(await signJwt(GOOD), demands);
});
