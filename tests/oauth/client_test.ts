import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { createServer } from "node:http";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient, type OAuthClientOptions } from "../../lib/oauth/client.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeClock, fakeClock } from "../_support/fake_clock.ts";
import {
  FakeResponse,
  type FakeServer,
  fakeServer,
  type FakeServerOptions,
  HANG,
} from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { noteServers } from "../_support/watch.ts";

const START = 1_700_000_000_000;

interface World {
  server: FakeServer;
  clock: FakeClock;
  client: OAuthClient;
}

function world(options: FakeServerOptions = {}, more: Partial<OAuthClientOptions> = {}): World {
  const server = fakeServer(options);
  const clock = fakeClock({ now: START });
  const client = new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    scopes: ["planet", "offline_access"],
    audience: "https://api.test/",
    fetch: server.fetch,
    clock,
    ...more,
  });
  return { server, clock, client };
}

const session = TokenSet.fromStored(
  { access_token: secret("AT0"), refresh_token: secret("SECRET-RT0"), x: 1 },
  START,
  "k",
);

/** A network failure that surely came before the request left. */
function refused(): Error {
  return Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } });
}

/** The S256 challenge of a code verifier (RFC 7636 §4.2). */
async function challengeOf(verifier: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  return btoa(String.fromCharCode(...new Uint8Array(digest)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function failure(work: () => Promise<unknown>): Promise<AuthError> {
  return await assertRejects(work, AuthError);
}

test("OAuthClient.authorize() makes an authorization request with PKCE (RFC 6749 §4.1.1, RFC 7636 §4.3)", async () => {
  const { client } = world();
  const [one, other] = [await client.authorize(), await client.authorize()];
  const url = await client.authorizationUrl(one, "http://127.0.0.1:4711/cb");
  assertEquals(url.origin + url.pathname, "https://auth.fake.test/authorize");
  const { code_challenge, nonce, state, ...rest } = Object.fromEntries(url.searchParams);
  assertEquals(rest, {
    client_id: "app",
    response_type: "code",
    redirect_uri: "http://127.0.0.1:4711/cb",
    code_challenge_method: "S256",
    scope: "planet offline_access",
    audience: "https://api.test/",
  });
  assert(state!.length >= 22 && nonce!.length >= 22 && code_challenge!.length === 43);
  assertEquals(state, one.state);
  assertNotEquals(one.state, other.state);
});

test("OAuthClient.authorize() redeems the code with its verifier (RFC 7636 §4.5)", async () => {
  const { client, server } = world({ rotate: true });
  const pending = await client.authorize();
  const response = new URLSearchParams({
    code: secret("C"),
    state: pending.state,
    iss: server.issuer,
  });
  const tokens = await client.redeem(pending, response, "http://127.0.0.1:4711/cb");
  assertEquals([tokens.accessToken, tokens.refreshToken], [secret("AT1"), secret("RT1")]);
  const { code_verifier, ...form } = Object.fromEntries(server.to("/token")[0]!.form);
  assertEquals(form, {
    grant_type: "authorization_code",
    code: secret("C"),
    redirect_uri: "http://127.0.0.1:4711/cb",
    client_id: "app",
  });
  const url = await client.authorizationUrl(pending, "http://x");
  assertEquals(url.searchParams.get("code_challenge"), await challengeOf(code_verifier!));
});

test("OAuthClient.redeem() goes on with a sign-in that another process began", async () => {
  const { client, server } = world({
    rotate: true,
    metadata: { response_modes_supported: ["form_post"] },
  });
  const pending = JSON.parse(JSON.stringify(await client.authorize()));
  const other = world().client;
  const url = await client.authorizationUrl(pending, "http://127.0.0.1/cb");
  assertEquals((await other.authorizationUrl(pending, "http://127.0.0.1/cb")).href, url.href);
  assertEquals([pending.formPost, url.searchParams.get("response_mode")], [true, "form_post"]);
  const { code_verifier, issuer, state } = pending;
  const response = new URLSearchParams({ code: secret("C"), state, iss: issuer });
  const resumed = new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    scopes: [],
    fetch: server.fetch,
    clock: fakeClock({ now: START }),
  });
  assertEquals(
    (await resumed.redeem(pending, response, "http://127.0.0.1/cb")).accessToken,
    secret("AT1"),
  );
  assertEquals(server.to("/token")[0]!.form.get("code_verifier"), code_verifier);
  // Its code goes to no other server than the one that was asked.
  const elsewhere = { ...pending, issuer: "https://other.test" };
  response.set("iss", "https://other.test");
  const error = await failure(() => resumed.redeem(elsewhere, response, "http://127.0.0.1/cb"));
  assertEquals([error.code, server.to("/token").length], ["issuer_mismatch", 1]);
});

const BAD_ANSWERS: readonly [
  string,
  (state: string, issuer: string) => Record<string, string>,
  string,
][] = [
  ["another state", (_state, iss) => ({ code: secret("C"), state: "x", iss }), "state_mismatch"],
  ["no state", (_state, iss) => ({ code: secret("C"), iss }), "state_mismatch"],
  ["an error without state", () => ({ error: "access_denied" }), "state_mismatch"],
  [
    "another issuer",
    (state) => ({ code: secret("C"), state, iss: "https://evil.test" }),
    "issuer_mismatch",
  ],
  [
    "no issuer where one is announced",
    (state) => ({ code: secret("C"), state }),
    "issuer_mismatch",
  ],
  [
    "an error of another issuer",
    (state) => ({ error: "access_denied", state, iss: "https://evil.test" }),
    "issuer_mismatch",
  ],
  ["a refusal", (state, iss) => ({ error: "access_denied", state, iss }), "access_denied"],
  ["no code", (state, iss) => ({ state, iss }), "malformed_response"],
];

for (const [what, answer, code] of BAD_ANSWERS) {
  test(`OAuthClient refuses an authorization response with ${what}: ${code} (RFC 9207 §2.4)`, async () => {
    const { client, server } = world();
    const pending = await client.authorize();
    const response = new URLSearchParams(answer(pending.state, server.issuer));
    const error = await failure(() => client.redeem(pending, response, "http://127.0.0.1/cb"));
    assertEquals(error.code, code);
    assertEquals(server.to("/token").length, 0);
    assert(!`${error} ${error.cause}`.includes(pending.state));
  });
}

test("OAuthClient refuses an ID token with another nonce (OpenID Connect Core §3.1.3.7)", async () => {
  const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "");
  const idToken = (nonce: string) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "https://auth.fake.test",
      aud: "app",
      sub: "a",
      iat: now,
      exp: now + 60,
      nonce,
    };
    return `${encode({ alg: "RS256" })}.${encode(claims)}.c2ln`;
  };
  for (const good of [true, false]) {
    let nonce = "";
    const { client, server } = world({
      token: () => ({
        access_token: secret("AT"),
        token_type: "Bearer",
        id_token: idToken(good ? nonce : "x"),
      }),
    });
    const pending = await client.authorize();
    nonce = pending.nonce;
    const response = new URLSearchParams({
      code: secret("C"),
      state: pending.state,
      iss: server.issuer,
    });
    const outcome = await client.redeem(pending, response, "http://127.0.0.1/cb").then(
      () => "signed in",
      (error: AuthError) => error.code,
    );
    assertEquals(outcome, good ? "signed in" : "malformed_response");
  }
});

test("OAuthClient.clientCredentials() sends ID and secret once, in the body, with scope and audience", async () => {
  const { client, server } = world({}, { clientSecret: "s%c/ret+ü-of-some-length", scopes: [] });
  const tokens = await client.clientCredentials();
  assertEquals([tokens.accessToken, tokens.expiresAt], [secret("AT1"), START / 1000 + 3600]);
  assertEquals(server.requests.map(({ path }) => path), [
    "/.well-known/openid-configuration",
    "/token",
  ]);
  const [request] = server.to("/token");
  assertEquals(request!.headers.get("authorization"), null);
  assertEquals(Object.fromEntries(request!.form), {
    grant_type: "client_credentials",
    client_id: "app",
    client_secret: "s%c/ret+ü-of-some-length",
    audience: "https://api.test/",
  });
});

test("OAuthClient.refresh() sends the refresh token alone, and keeps what the answer lacks (RFC 6749 §6)", async () => {
  const { client, server } = world();
  const tokens = await client.refresh(session);
  assertEquals(Object.fromEntries(server.to("/token")[0]!.form), {
    grant_type: "refresh_token",
    refresh_token: secret("SECRET-RT0"),
    client_id: "app",
  });
  assertEquals([tokens.accessToken, tokens.refreshToken, tokens.toStored().x], [
    secret("AT1"),
    secret("SECRET-RT0"),
    1,
  ]);
});

test("OAuthClient finds the endpoints once for 1,000 callers, and again after a failure", async () => {
  const { client, server } = world();
  await Promise.all(Array.from({ length: 1000 }, () => client.authorize()));
  assertEquals(server.requests.length, 1);

  const broken = world({ discovery: [new FakeResponse(500)] });
  assertEquals((await failure(() => broken.client.authorize())).code, "server_error");
  broken.server.requests.length = 0;
  broken.server.options.discovery = undefined;
  await broken.client.authorize();
  assertEquals(broken.server.requests.length, 1);
});

test("OAuthClient takes an issuer with a trailing slash as it is (RFC 8414 §3.3)", async () => {
  const issuer = "https://auth.fake.test/";
  const { client, server } = world({ metadata: { issuer } }, { issuer });
  assertEquals((await client.authorize()).issuer, issuer);
  assertEquals(server.requests[0]!.path, "/.well-known/openid-configuration");
  const other = world({ metadata: { issuer: "https://evil.test" } });
  assertEquals((await failure(() => other.client.authorize())).code, "issuer_mismatch");
});

test("OAuthClient refuses pages that no browser should be sent to", async () => {
  for (
    const authorization_endpoint of [
      "javascript:alert(1)",
      "file:///etc/passwd",
      "http://x.test/",
      "no url",
    ]
  ) {
    const { client } = world({ metadata: { authorization_endpoint } });
    assertEquals((await failure(() => client.authorize())).code, "malformed_response");
  }
  const grant = {
    device_code: secret("D"),
    user_code: "U",
    verification_uri: "https://x.test/",
    expires_in: 9,
  };
  for (
    const bad of [
      { verification_uri: "javascript:alert(1)" },
      { verification_uri_complete: "file:///x" },
      { user_code: "\x1b[2Jevil" },
      { device_code: undefined },
      { expires_in: -1 },
    ]
  ) {
    const { client } = world({ device: [{ ...grant, ...bad }] });
    assertEquals(
      (await failure(() => client.authorizeDevice())).code,
      "malformed_response",
      JSON.stringify(bad),
    );
  }
});

test("OAuthClient.authorizeDevice() asks for scope and audience, and returns the answer as received", async () => {
  const grant = {
    device_code: secret("D"),
    user_code: "U",
    verification_uri: "https://x.test/",
    expires_in: 9,
    x_more: "kept",
  };
  const { client, server } = world({ device: [grant] });
  const { code_verifier, ...answer } = await client.authorizeDevice();
  assertEquals(answer, grant);
  assertEquals(Object.fromEntries(server.to("/device")[0]!.form), {
    client_id: "app",
    scope: "planet offline_access",
    audience: "https://api.test/",
    code_challenge: await challengeOf(code_verifier!),
    code_challenge_method: "S256",
  });
});

test("OAuthClient.pollDevice() sends the verifier of the device request, if it was kept (RFC 7636 §4.5)", async () => {
  const { client, server } = world({ token: ["authorization_pending"] });
  const grant = await client.authorizeDevice();
  const { code_verifier, device_code } = grant;
  await client.pollDevice(JSON.parse(JSON.stringify(grant)));
  await client.pollDevice({ device_code });
  const [with_, without] = server.to("/token").map(({ form }) => Object.fromEntries(form));
  assert(code_verifier!.length >= 43);
  assertEquals(without, {
    grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code,
    client_id: "app",
  });
  assertEquals(with_, { ...without, code_verifier: code_verifier! });
});

test("OAuthClient.pollDevice() tells the server's word, or brings tokens (RFC 8628 §3.5)", async () => {
  const { client } = world({
    token: ["authorization_pending", "slow_down", {
      access_token: secret("AT"),
      token_type: "bearer",
    }],
  });
  assertEquals(await client.pollDevice({ device_code: secret("D") }), "authorization_pending");
  assertEquals(await client.pollDevice({ device_code: secret("D") }), "slow_down");
  assertEquals(
    (await client.pollDevice({ device_code: secret("D") }) as TokenSet).accessToken,
    secret("AT"),
  );
  for (
    const [said, code] of [["expired_token", "device_code_expired"], [
      "access_denied",
      "access_denied",
    ], ["invalid_grant", "device_code_expired"]] as const
  ) {
    const denied = world({ token: [said] });
    assertEquals(
      (await failure(() => denied.client.pollDevice({ device_code: secret("D") }))).code,
      code,
    );
  }
});

const REFUSALS: readonly [
  string,
  FakeResponse | string | Record<string, unknown>,
  string,
  number,
][] = [
  ["invalid_grant", "invalid_grant", "session_expired", 1],
  ["invalid_client", "invalid_client", "client_rejected", 1],
  [
    "invalid_client with a challenge (RFC 6749 §5.2)",
    new FakeResponse(401, { error: "invalid_client" }, { "www-authenticate": 'Basic realm="x"' }),
    "client_rejected",
    1,
  ],
  ["unauthorized_client", "unauthorized_client", "client_rejected", 1],
  ["invalid_scope", "invalid_scope", "client_rejected", 1],
  ["an error of its own", "made_up", "client_rejected", 1],
  ["an error that every object knows", "constructor", "client_rejected", 1],
  ["an error that would break a terminal", "\x1b[2J", "client_rejected", 1],
  ["500 without Retry-After", new FakeResponse(500, "oops"), "server_error", 1],
  [
    "503 with a long Retry-After",
    new FakeResponse(503, "", { "retry-after": "600" }),
    "server_error",
    1,
  ],
  [
    "503 with a short Retry-After",
    new FakeResponse(503, "", { "retry-after": "2" }),
    "server_error",
    3,
  ],
  [
    "429 with a short Retry-After",
    new FakeResponse(429, "", { "retry-after": "2" }),
    "throttled",
    3,
  ],
  ["429 without Retry-After", new FakeResponse(429, ""), "throttled", 1],
  ["a page in HTML", new FakeResponse(200, "<html>SECRET-page"), "malformed_response", 1],
  [
    "a redirect",
    new FakeResponse(302, "", { location: "https://evil.test/" }),
    "malformed_response",
    1,
  ],
  ["403 in HTML", new FakeResponse(403, "<html>SECRET-page"), "malformed_response", 1],
  ["an array", new FakeResponse(200, "[1]"), "malformed_response", 1],
  ["no access token", { token_type: "Bearer" }, "malformed_response", 1],
  [
    "a token type that we cannot send",
    { access_token: secret("A"), token_type: "mac" },
    "malformed_response",
    1,
  ],
  [
    "a token with a line break",
    { access_token: `${secret("A")}\r\nX: y`, token_type: "Bearer" },
    "malformed_response",
    1,
  ],
];

for (const [what, answer, code, requests] of REFUSALS) {
  test(`OAuthClient.refresh() answered with ${what}: ${code}, ${requests} request(s)`, async () => {
    const { client, clock, server } = world({ token: [answer] });
    const error = await failure(() => client.refresh(session));
    assertEquals([error.code, server.to("/token").length], [code, requests]);
    assertEquals(clock.waits, Array(requests - 1).fill(2));
    const shown = `${error.message} ${error.oauthError} ${JSON.stringify(error)} ${error.cause}`;
    assert(!shown.includes("SECRET"), shown);
    assert(!shown.includes("\x1b"), "no control characters");
  });
}

test("OAuthClient takes a token answer with odd optional members: a rotated token must not be lost", async () => {
  for (
    const odd of [{ token_type: undefined }, { expires_in: "soon" }, { expires_in: -1 }, {
      scope: 7,
    }, { id_token: secret("x") }]
  ) {
    const { client } = world({
      token: [{
        access_token: secret("A"),
        token_type: "Bearer",
        refresh_token: secret("R"),
        ...odd,
      }],
    });
    assertEquals((await client.refresh(session)).refreshToken, secret("R"), JSON.stringify(odd));
  }
});

test("OAuthClient repeats a token request only where it surely did not arrive", async () => {
  const tokens = { access_token: secret("A"), token_type: "Bearer" };
  const early = world({ token: [refused(), refused(), tokens] });
  assertEquals((await early.client.refresh(session)).accessToken, secret("A"));
  assertEquals(early.clock.waits, [0.4, 1.6]);

  const late = world({ token: [new TypeError("connection reset"), tokens] });
  assertEquals((await failure(() => late.client.refresh(session))).code, "network");
  assertEquals(late.server.to("/token").length, 1);

  const discovery = world({ discovery: [new TypeError("connection reset")] });
  assertEquals((await failure(() => discovery.client.refresh(session))).code, "network");
  assertEquals(discovery.server.requests.length, 3, "a look-up may be repeated");
});

test("OAuthClient: a caller that gives up on finding the endpoints leaves it to the others", async () => {
  const answered = Promise.withResolvers<void>();
  const { client, server } = world();
  server.options.discovery = async () => {
    await answered.promise;
    return { issuer: server.issuer, authorization_endpoint: `${server.issuer}/authorize` };
  };
  const stop = new AbortController();
  const gone = client.authorize(stop.signal);
  const stays = client.authorize();
  stop.abort(new Error("enough"));
  assertEquals((await gone.catch((error) => error)).message, "enough");
  answered.resolve();
  assertEquals((await stays).issuer, server.issuer);
});

test("OAuthClient ends a token request with the reason of an abort", async () => {
  const { client } = world({ token: [HANG] });
  const stop = new AbortController();
  const work = client.refresh(session, { signal: stop.signal });
  const reason = new Error("enough");
  setTimeout(() => stop.abort(reason), 1);
  assertEquals(await work.catch((error) => error), reason);
});

test("OAuthClient.revoke() tells the token and its kind (RFC 7009 §2.1)", async () => {
  const { client, server } = world();
  assertEquals(await client.canRevoke(), true);
  await client.revoke(secret("SECRET-RT0"), "refresh_token");
  assertEquals(Object.fromEntries(server.to("/revoke")[0]!.form), {
    client_id: "app",
    token: secret("SECRET-RT0"),
    token_type_hint: "refresh_token",
  });
  assertEquals(
    await world({ metadata: { revocation_endpoint: undefined } }).client.canRevoke(),
    false,
  );
});

test("OAuthClient names what the server does not have", async () => {
  const { client } = world({ metadata: { device_authorization_endpoint: undefined } });
  const error = await failure(() => client.authorizeDevice());
  assertEquals(error.code, "client_rejected");
  assert(error.message.includes("device authorization endpoint"), error.message);
});

test(
  "OAuthClient takes a new connection for each request in Bun, whose kept ones may be closing",
  async () => {
    let connections = 0;
    const server = createServer((_request, response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ access_token: secret("AT"), token_type: "Bearer" }));
    });
    server.on("connection", () => connections++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const issuer = `http://127.0.0.1:${port}/`;
    noteServers({ authorization: [issuer], api: [] });
    const client = new OAuthClient({
      issuer,
      clientId: "app",
      scopes: [],
      endpoints: { token_endpoint: `${issuer}token` },
      clock: fakeClock({ now: START }),
    });
    try {
      for (let i = 0; i < 3; i++) await client.refresh(session);
      // The others see that a connection is closing, and may keep it.
      if ("Bun" in globalThis) assertEquals(connections, 3);
      else assert(connections >= 1 && connections <= 3);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  },
);
