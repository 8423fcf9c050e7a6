import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient, type OAuthClientOptions } from "../../lib/oauth/client.ts";
import { readJwtClaims, TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import {
  type FakeRequest,
  FakeResponse,
  type FakeServer,
  fakeServer,
} from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { testKey } from "../_support/keys.ts";

const START = 1_700_000_000_000;

interface World {
  server: FakeServer;
  client: OAuthClient;
}

function world(
  more: Partial<OAuthClientOptions>,
  metadata: Record<string, unknown> = {},
  answer: Record<string, unknown> = { active: true, sub: "alice" },
): World {
  const server = fakeServer({
    metadata: { introspection_endpoint: "https://auth.fake.test/introspect", ...metadata },
    api: [answer],
  });
  const client = new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    scopes: ["planet"],
    audience: "https://api.test/",
    fetch: server.fetch,
    clock: fakeClock({ now: START }),
    ...more,
  });
  return { server, client };
}

const session = TokenSet.fromStored(
  { access_token: secret("AT0"), refresh_token: secret("RT0") },
  START,
  "k",
);

/** Every request that a client makes, but for signing in as a service. */
async function callAll({ client, server }: World): Promise<FakeRequest[]> {
  await client.authorizeDevice();
  await client.pollDevice({ device_code: secret("D") });
  await client.refresh(session);
  await client.revoke(secret("RT0"), "refresh_token");
  await client.introspect(secret("AT0"), "access_token");
  const pending = await client.authorize();
  const response = new URLSearchParams({
    code: secret("C"),
    state: pending.state,
    iss: server.issuer,
  });
  await client.redeem(pending, response, "http://127.0.0.1/cb");
  return server.requests.filter(({ method }) => method === "POST");
}

/** What proves a client; the ID of a device request is no proof (RFC 8628 §3.1). */
function proofOf({ form, headers, path }: FakeRequest): Record<string, string | null> {
  const names = ["client_secret", "client_assertion_type"];
  if (path !== "/device" || (!form.has(names[1]!) && !headers.has("authorization"))) {
    names.push("client_id");
  }
  return {
    ...Object.fromEntries(names.filter((name) => form.has(name)).map((n) => [n, form.get(n)])),
    authorization: headers.get("authorization"),
  };
}

test("OAuthClient, public, names itself in every body and has no proof (RFC 6749 §3.2.1)", async () => {
  const requests = await callAll(world({}));
  assertEquals(requests.length, 6);
  for (const request of requests) {
    assertEquals(proofOf(request), { client_id: "app", authorization: null });
  }
});

test("OAuthClient with a secret sends it in the header, not form-encoded, as Python does", async () => {
  const clientSecret = "a b/c=d:e~f-of-some-length";
  for (const request of await callAll(world({ clientSecret }))) {
    assertEquals(proofOf(request), { authorization: `Basic ${btoa(`app:${clientSecret}`)}` });
  }
});

test("OAuthClient signs a service in with the secret in the body, once", async () => {
  const { client, server } = world({ clientSecret: "s+%-of-some-length" });
  await client.clientCredentials();
  assertEquals(server.to("/token").map(proofOf), [
    { client_id: "app", client_secret: "s+%-of-some-length", authorization: null },
  ]);
});

for (
  const [what, clientId, clientSecret] of [
    ["+", "app", "a+b-of-some-length"],
    ["%", "app", "a%41-of-some-length"],
    ["a colon in the ID", "a:b", "a-secret-of-some-length"],
    ["other letters", "app", "é-of-some-length"],
  ] as const
) {
  test(`OAuthClient puts a secret that servers read differently (${what}) into the body, where that is offered`, async () => {
    const offers = { token_endpoint_auth_methods_supported: ["client_secret_post"] };
    const { client, server } = world({ clientId, clientSecret }, offers);
    await client.refresh(session);
    assertEquals(server.to("/token").map(proofOf), [
      { client_id: clientId, client_secret: clientSecret, authorization: null },
    ]);
    const other = world({ clientId, clientSecret });
    await other.client.refresh(session);
    const bytes = new TextEncoder().encode(`${clientId}:${clientSecret}`);
    assertEquals(other.server.to("/token").map(proofOf), [
      { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` },
    ]);
  });
}

test("OAuthClient with a key signs a fresh assertion for each request, for the token endpoint (RFC 7523 §2.2, §3)", async () => {
  let loaded = 0;
  const { pem } = testKey("P-256");
  const w = world({
    privateKey: () => Promise.resolve({ pem, name: "k", loaded: loaded++ }),
  });
  const requests = await callAll(w);
  await w.client.clientCredentials();
  const all = [...requests, w.server.requests.at(-1)!];
  const numbers = new Set<unknown>();
  for (const request of all) {
    assertEquals(proofOf(request), {
      ...(request.path === "/device" ? {} : { client_id: "app" }),
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      authorization: null,
    });
    const { jti, ...claims } = readJwtClaims(request.form.get("client_assertion")!)!;
    numbers.add(jti);
    const now = START / 1000;
    const aud = `${w.server.issuer}/token`;
    assertEquals(claims, { iss: "app", sub: "app", aud, iat: now, exp: now + 300 });
  }
  assertEquals([numbers.size, loaded], [all.length, 1]);
});

test("OAuthClient loads the key again after a failure", async () => {
  const { pem } = testKey("P-256");
  let times = 0;
  const privateKey = () =>
    ++times === 1
      ? Promise.reject(new AuthError("storage_failed", "gone"))
      : Promise.resolve({ pem, name: "k" });
  const { client } = world({ privateKey });
  assertEquals(
    (await assertRejects(() => client.refresh(session), AuthError)).code,
    "storage_failed",
  );
  assertNotEquals((await client.refresh(session)).accessToken, secret("AT0"));
});

test("OAuthClient asks a profile's own endpoints, and does not look for others", async () => {
  const here = (name: string) => `https://auth.fake.test/${name}`;
  const { client, server } = world({
    issuer: "https://found.nowhere.test/",
    endpoints: {
      authorization_endpoint: here("other-authorize"),
      device_authorization_endpoint: here("device"),
      introspection_endpoint: here("introspect"),
      revocation_endpoint: here("revoke"),
      token_endpoint: here("token"),
      userinfo_endpoint: here("userinfo"),
    },
  });
  await client.refresh(session);
  await client.authorizeDevice();
  await client.revoke(secret("RT0"), "refresh_token");
  await client.introspect(secret("AT0"), "access_token");
  await client.userinfo(secret("AT0"));
  const pending = await client.authorize();
  assertEquals(
    (await client.authorizationUrl(pending, "http://127.0.0.1/")).pathname,
    "/other-authorize",
  );
  assertEquals(server.requests.map(({ path }) => path), [
    "/token",
    "/device",
    "/revoke",
    "/introspect",
    "/userinfo",
  ]);
});

test("OAuthClient takes a server by the name that the profile gives it, and by no other", async () => {
  const metadata = { issuer: "https://real.test/" };
  const { client } = world({ expectedIssuer: "https://real.test/" }, metadata);
  await client.refresh(session);
  for (const expectedIssuer of [undefined, "https://third.test/"]) {
    const other = world({ ...(expectedIssuer && { expectedIssuer }) }, metadata);
    const error = await assertRejects(() => other.client.refresh(session), AuthError);
    assertEquals(error.code, "issuer_mismatch");
  }
});

test("OAuthClient sends organization and project_id with a sign-in, and never in place of what it must send", async () => {
  const extra = { organization: "o", project_id: "p", scope: "admin", client_id: "evil" };
  const { client, server } = world({ extra });
  const url = await client.authorizationUrl(await client.authorize(), "http://127.0.0.1/");
  await client.authorizeDevice();
  await client.clientCredentials();
  await client.refresh(session);
  const [device, login, refresh] = server.requests.filter(({ method }) => method === "POST");
  for (const sent of [url.searchParams, device!.form, login!.form]) {
    assertEquals([sent.get("organization"), sent.get("project_id")], ["o", "p"]);
    assertEquals([sent.get("scope"), sent.get("client_id")], ["planet", "app"]);
  }
  assertEquals([...refresh!.form.keys()].sort(), ["client_id", "grant_type", "refresh_token"]);
});

test("OAuthClient asks who is signed in, and refuses an answer that does not say (OpenID Connect Core §5.3)", async () => {
  const { client, server } = world({}, { userinfo_endpoint: "https://auth.fake.test/userinfo" });
  assertEquals((await client.userinfo(secret("AT0"))).sub, "alice");
  assertEquals(server.to("/userinfo")[0]!.headers.get("authorization"), `Bearer ${secret("AT0")}`);
  const none = await assertRejects(() => world({}).client.userinfo(secret("AT0")), AuthError);
  assertEquals(none.code, "client_rejected");
  assert(none.message.includes("userinfo endpoint"), none.message);
});

test("OAuthClient.introspect() posts the token, and refuses an answer that does not say whether it is active (RFC 7662 §2)", async () => {
  const { client, server } = world({});
  assertEquals((await client.introspect(secret("AT0"), "access_token")).active, true);
  const [{ form, method, url }] = server.to("/introspect") as [FakeRequest];
  assertEquals([method, url.search, form.get("token")], ["POST", "", secret("AT0")]);
  for (const active of [undefined, "true", 1]) {
    const { client } = world({}, {}, { active, sub: "alice" });
    const asked = () => client.introspect(secret("AT0"), "access_token");
    assertEquals((await assertRejects(asked, AuthError)).code, "malformed_response");
  }
});

const ID = "app";
const BOTH = ["client_secret_basic", "client_secret_post"];
const SECRET = "a-secret-of-some-length";
const AMBIGUOUS = "a+secret-of-some-length";

/** Where a request has its secret. */
function placeOf({ form, headers }: FakeRequest): string {
  if (form.has("client_secret")) return "body";
  return headers.has("authorization") ? "header" : "none";
}

const PLACES: readonly [
  string,
  readonly string[] | undefined,
  Partial<OAuthClientOptions>,
  string,
][] = [
  ["a person's client, both offered", BOTH, {}, "header"],
  ["a person's client, nothing said", undefined, {}, "header"],
  ["a person's client, only the body offered", ["client_secret_post"], {}, "body"],
  [
    "a secret that servers read differently, both offered",
    BOTH,
    { clientSecret: AMBIGUOUS },
    "body",
  ],
  ["a service account, both offered", BOTH, { isServiceAccount: true }, "body"],
  ["a service account, nothing said", undefined, { isServiceAccount: true }, "body"],
  ["a service account, only the header offered", ["client_secret_basic", "none"], {
    isServiceAccount: true,
  }, "header"],
  ["a service account, neither offered", ["private_key_jwt"], { isServiceAccount: true }, "body"],
  [
    "authMethod client_secret_post",
    ["client_secret_basic"],
    { authMethod: "client_secret_post" },
    "body",
  ],
  ["authMethod client_secret_basic", BOTH, {
    authMethod: "client_secret_basic",
    isServiceAccount: true,
  }, "header"],
  ["authMethod none", BOTH, { authMethod: "none" }, "none"],
];
for (const [what, methods, more, place] of PLACES) {
  test(`OAuthClient has its secret in the ${place} of every request: ${what} (RFC 8414 §2)`, async () => {
    const metadata = { token_endpoint_auth_methods_supported: methods };
    const w = world({ clientId: ID, clientSecret: SECRET, ...more }, metadata);
    const requests = [...await callAll(w)];
    if (more.isServiceAccount) {
      await w.client.clientCredentials();
      requests.push(w.server.requests.at(-1)!);
    }
    assertEquals(requests.map(placeOf), Array(more.isServiceAccount ? 7 : 6).fill(place));
  });
}

test("OAuthClient refuses an authMethod that it has nothing for", () => {
  for (
    const authMethod of ["client_secret_basic", "client_secret_post", "private_key_jwt"] as const
  ) {
    const error = assertThrows(() => world({ authMethod }), AuthError);
    assertEquals(error.code, "invalid_argument");
    assert(error.message.includes(authMethod), error.message);
  }
});

/** A server that takes the secret in one place only, `nowhere` if it knows another one. */
function strict(place: "body" | "header" | "nowhere", more: Partial<OAuthClientOptions> = {}) {
  const refused = new FakeResponse(401, { error: "invalid_client" }, {
    "www-authenticate": "Basic",
  });
  const w = world({ clientSecret: SECRET, ...more }, {
    token_endpoint_auth_methods_supported: BOTH,
  });
  w.server.options.token = (request) =>
    placeOf(request) === place ? { access_token: secret("AT"), token_type: "Bearer" } : refused;
  w.server.options.revoke = (request) =>
    placeOf(request) === place ? new FakeResponse(200) : refused;
  const places = () =>
    w.server.requests.splice(0).filter(({ method }) => method === "POST").map(placeOf);
  return { ...w, places };
}

test("OAuthClient tries the other place for a refused secret once, and stays with what works (RFC 6749 §5.2)", async () => {
  const person = strict("body");
  await person.client.refresh(session);
  assertEquals(person.places(), ["header", "body"]);
  await person.client.revoke(secret("RT0"), "refresh_token");
  await person.client.refresh(session);
  assertEquals(person.places(), ["body", "body"]);
  const service = strict("header");
  await service.client.clientCredentials();
  await service.client.revoke(secret("RT0"), "refresh_token");
  assertEquals(service.places(), ["body", "header", "header"]);
});

test("OAuthClient form-encodes a refused secret that servers read differently, in the header (RFC 6749 §2.3.1)", async () => {
  const encode = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);
  const hard = "p%40ss+w:ord/é=1";
  for (
    const [methods, isServiceAccount, expected] of [
      [BOTH, true, ["body", "header"]],
      [BOTH, false, ["body", "header"]],
      [["client_secret_basic"], false, ["header", "header"]],
    ] as const
  ) {
    const { client, server } = world({ clientSecret: hard, isServiceAccount }, {
      token_endpoint_auth_methods_supported: methods,
    });
    const right = `Basic ${btoa(`app:${encode(hard)}`)}`;
    server.options.token = ({ headers }) =>
      headers.get("authorization") === right
        ? { access_token: secret("AT"), token_type: "Bearer" }
        : new FakeResponse(401, { error: "invalid_client" });
    await Promise.all([client.refresh(session), client.refresh(session)]);
    assertEquals(server.to("/token").map(placeOf).sort(), [...expected, ...expected].sort());
    await client.refresh(session);
    assertEquals(server.to("/token").length, 5);
  }
});

test("OAuthClient asks no third time for a secret that is wrong, nor two times after that", async () => {
  const { client, places } = strict("nowhere");
  for (const expected of [["header", "body"], ["header"], ["header"]]) {
    const error = await assertRejects(() => client.refresh(session), AuthError);
    assertEquals([error.code, error.oauthError], ["client_rejected", "invalid_client"]);
    assertEquals(places(), expected);
  }
});

test("OAuthClient finds the place for its secret once for calls at the same time", async () => {
  const { client, places } = strict("body");
  await Promise.all([1, 2, 3, 4].map(() => client.refresh(session)));
  assertEquals(places().sort(), [...Array(4).fill("body"), ...Array(4).fill("header")]);
  await client.refresh(session);
  assertEquals(places(), ["body"]);
});

test("OAuthClient tries no other place if it was told one, if none is offered, or for another refusal", async () => {
  const told = strict("body", { authMethod: "client_secret_basic" });
  await assertRejects(() => told.client.refresh(session), AuthError);
  assertEquals(told.places(), ["header"]);
  for (const methods of [undefined, ["client_secret_basic"]]) {
    const metadata = { token_endpoint_auth_methods_supported: methods };
    const { client, server } = world({ clientSecret: SECRET }, metadata);
    server.options.token = ["invalid_client"];
    await assertRejects(() => client.refresh(session), AuthError);
    assertEquals(server.to("/token").length, 1);
  }
  for (const refusal of ["invalid_grant", "unauthorized_client", "invalid_request"]) {
    const { client, server } = strict("nowhere");
    server.options.token = [refusal];
    await assertRejects(() => client.refresh(session), AuthError);
    assertEquals(server.to("/token").length, 1, refusal);
  }
});
