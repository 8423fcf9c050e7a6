import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient, type OAuthClientOptions } from "../../lib/oauth/client.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { FakeResponse, type FakeServer, fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const session = TokenSet.fromStored(
  { access_token: secret("AT0"), refresh_token: secret("RT0") },
  0,
  "token.json",
);

function clientOf(server: FakeServer, more: Partial<OAuthClientOptions> = {}): OAuthClient {
  return new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    scopes: [],
    fetch: server.fetch,
    clock: fakeClock({ now: 1_700_000_000_000 }),
    ...more,
  });
}

async function failure(work: Promise<unknown>): Promise<AuthError> {
  return await assertRejects(() => work, AuthError);
}

/** The error of a refresh that is refused with this description. */
async function refusal(
  error_description: unknown,
  more: Partial<OAuthClientOptions> = {},
): Promise<string> {
  const body = { error: "invalid_request", error_description };
  const server = fakeServer({ token: [new FakeResponse(400, body)] });
  return (await failure(clientOf(server, more).refresh(session))).message;
}

test("OAuthClient shows what a server says about an error (RFC 6749 §5.2)", async () => {
  const message = await refusal("Missing parameter: code_challenge_method.");
  assert(
    message.endsWith('said "invalid_request" (Missing parameter: code_challenge_method).'),
    message,
  );
  for (const nothing of [undefined, "", " \n", 7, {}, null]) {
    const message = await refusal(nothing);
    assert(message.endsWith('said "invalid_request".'), message);
  }
});

test("OAuthClient shows a server's words on one line, cut, and without control characters", async () => {
  const evil = "a\x1b[2Jb\r\nc\u202ed\u2028e\x00\x9b31m";
  assert((await refusal(evil)).endsWith("(a [2Jb c d e 31m)."), await refusal(evil));
  const long = await refusal("word ".repeat(100_000));
  assert(/\((word ){39}word…\)\.$/.test(long), long);
});

test("OAuthClient takes every secret that it sent out of a server's words, whole or in part", async () => {
  const clientSecret = "9a+secret/with&odd-characters-1";
  const coded = new URLSearchParams({ s: clientSecret }).toString();
  const basic = btoa(`app:${clientSecret}`);
  const token = secret("RT0");
  for (const authMethod of ["client_secret_basic", "client_secret_post"] as const) {
    for (
      const text of [
        `no ${token}!`,
        `no ${token.slice(0, 12)}...!`,
        `no ${token.slice(-10)}!`,
        `no ${clientSecret}!`,
        `no ${coded}!`,
        `no ${encodeURIComponent(clientSecret)}!`,
        ...(authMethod === "client_secret_basic" ? [`no Basic ${basic}!`] : []),
        `no ${secret("AT0")}!`,
        `no eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.!`,
      ]
    ) {
      const message = await refusal(text, { clientSecret, authMethod });
      assert(message.includes("(secret)"), message);
      for (const part of [token, clientSecret, coded, basic, secret("AT0")]) {
        for (let at = 0; at + 8 <= part.length; at++) {
          const piece = part.slice(at, at + 8);
          assert(!message.includes(piece) || "(secret)".includes(piece), message);
        }
      }
    }
  }
});

test("OAuthClient shows why an authorization request was refused, without the secrets of the sign-in", async () => {
  const server = fakeServer();
  const client = clientOf(server);
  const pending = await client.authorize();
  const { code_verifier, state } = pending;
  const response = new URLSearchParams({
    state,
    iss: server.issuer,
    error: "invalid_scope",
    error_description: `No such scope (${state}, ${code_verifier.slice(5, 30)})`,
  });
  const { code, message, oauthError } = await failure(client.redeem(pending, response, "http://x"));
  assertEquals([code, oauthError], ["client_rejected", "invalid_scope"]);
  assert(message.endsWith("(No such scope ((secret), (secret)))."), message);
});

/** A server whose userinfo endpoint refuses with this header. */
function userinfoRefusing(status: number, challenge: string): OAuthClient {
  const server = fakeServer({
    metadata: { userinfo_endpoint: "https://auth.fake.test/userinfo" },
    api: [new FakeResponse(status, "", { "www-authenticate": challenge })],
  });
  return clientOf(server);
}

test("OAuthClient reads the error of a WWW-Authenticate header (RFC 6750 §3)", async () => {
  for (
    const [status, challenge, code, oauthError, said] of [
      [
        401,
        'Bearer realm="a, error=\\"x\\"", error="invalid_token", error_description="Token, \\"old\\""',
        "session_expired",
        "invalid_token",
        '(Token, "old")',
      ],
      [403, "Bearer error=insufficient_scope", "client_rejected", "insufficient_scope", "scopes"],
      [401, 'DPoP algs="ES256", Bearer error="invalid_token"', "session_expired", "invalid_token"],
      // Any other 401 refuses the token too: Hydra has a word of its own, others have none.
      [
        401,
        'Bearer error="request_unauthorized",error_description="Check your credentials."',
        "session_expired",
        "request_unauthorized",
        "Sign in again: the userinfo endpoint of auth.fake.test answered 401 (Check your credentials).",
      ],
      [401, 'Bearer realm="x"', "session_expired", undefined, "Sign in again"],
      [401, 'error="', "session_expired", undefined],
      [401, 'Bearer error="insufficient_scope"', "client_rejected", "insufficient_scope"],
      [400, 'Bearer realm="x"', "malformed_response", undefined, "without an OAuth error"],
      [403, 'Bearer error="request_forbidden"', "client_rejected", "request_forbidden"],
    ] as const
  ) {
    const error = await failure(userinfoRefusing(status, challenge).userinfo(secret("AT")));
    assertEquals([error.code, error.oauthError], [code, oauthError], challenge);
    assert(error.message.includes(said ?? ""), error.message);
  }
});

test("OAuthClient takes an access token out of the words of a WWW-Authenticate header", async () => {
  const challenge = `Bearer error="invalid_token", error_description="no ${secret("AT")} here"`;
  const { message } = await failure(userinfoRefusing(401, challenge).userinfo(secret("AT")));
  assert(message.endsWith("(no (secret) here)."), message);
});

test("OAuthClient says to check the address if no server is there, a realm that does not exist say", async () => {
  const absent = new FakeResponse(404, { error: "Realm does not exist" });
  const server = fakeServer({ discovery: [absent], token: [absent] });
  const endpoints = { token_endpoint: `${server.issuer}/token` };
  for (const client of [clientOf(server), clientOf(server, { endpoints })]) {
    const { code, message } = await failure(client.refresh(session));
    assertEquals(code, "malformed_response");
    assert(message.startsWith("Check the address of the authorization server"), message);
    assert(message.includes("404") && !message.includes("client ID"), message);
  }
});

test("OAuthClient names both issuers if they differ (RFC 8414 §3.3, RFC 9207 §2.4)", async () => {
  const named = "https://other.test/\x1b[31m";
  const wrong = fakeServer({ metadata: { issuer: named } });
  const first = await failure(clientOf(wrong).authorize());
  const server = fakeServer();
  const client = clientOf(server);
  const pending = await client.authorize();
  const answer = (iss?: string) => {
    const { state } = pending;
    const response = new URLSearchParams({ code: secret("C"), state, ...(iss && { iss }) });
    return failure(client.redeem(pending, response, "http://x"));
  };
  for (const error of [first, await answer(named)]) {
    assertEquals(error.code, "issuer_mismatch");
    assert(error.message.includes('"https://other.test/ [31m"'), error.message);
    assert(error.message.includes('"https://auth.fake.test"'), error.message);
  }
  assert((await answer()).message.includes("does not name itself"));
  assertEquals(server.to("/token"), []);
});

test("OAuthClient names the type of a form without a charset (RFC 6749 App. B)", async () => {
  const server = fakeServer();
  const client = clientOf(server);
  await client.authorizeDevice();
  await client.refresh(session);
  await client.revoke(secret("RT0"), "refresh_token");
  const types = server.requests.slice(1).map(({ headers }) => headers.get("content-type"));
  assertEquals(types, Array(3).fill("application/x-www-form-urlencoded"));
});

test("OAuthClient checks an ID token by the server's clock, which may be minutes off (RFC 9110 §6.6.1)", async () => {
  const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "");
  const now = Date.now();
  for (
    const [minutes, outcome] of [[-10, "signed in"], [10, "signed in"], [-90, "refused"]] as const
  ) {
    const serverMs = now + minutes * 60_000;
    const iat = Math.floor(serverMs / 1000);
    let nonce = "";
    const server = fakeServer({
      token: () => {
        const iss = "https://auth.fake.test";
        const claims = { iss, aud: "app", sub: "a", nonce, iat, nbf: iat, exp: iat + 60 };
        const id_token = `${encode({ alg: "RS256" })}.${encode(claims)}.c2ln`;
        const body = { access_token: secret("AT"), token_type: "Bearer", id_token };
        return new FakeResponse(200, body, { date: new Date(serverMs).toUTCString() });
      },
    });
    const client = clientOf(server, { clock: fakeClock({ now }) });
    const pending = await client.authorize();
    nonce = pending.nonce;
    const { state } = pending;
    const response = new URLSearchParams({ code: secret("C"), state, iss: server.issuer });
    const ended = await client.redeem(pending, response, "http://x")
      .then(() => "signed in", () => "refused");
    assertEquals(ended, outcome, `${minutes} minutes`);
  }
});
