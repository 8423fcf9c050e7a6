/**
 * A sign-in in two steps that the application owns: begin, and complete with what came to the
 * redirect URI; what is refused, and that the right answer is taken afterwards.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { inspect } from "node:util";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient } from "../../lib/oauth/client.ts";
import { SignIn } from "../../lib/sign_in/sign_in.ts";
import type { AuthorizationRequest } from "../../lib/sign_in/steps.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";
import { signIn as atTheBrowser } from "../sandbox/person.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { fakeCodeServer, fakeSession, TOKENS } from "./_session.ts";

const CALLBACK = "https://app.example/callback";

/** A program with a server of its own; `iss` is announced, as Planet's server does. */
function world(options: Parameters<typeof fakeCodeServer>[0] = {}) {
  const clock = fakeClock({ now: 1_700_000_000_000 });
  const server = fakeCodeServer(options);
  let states = 0;
  const { authorize } = server;
  server.authorize = async () => ({
    ...await authorize!(),
    issuerRequired: true,
    state: `state-${++states}-${crypto.randomUUID()}`,
  });
  const session = fakeSession(server, { clock, client: { callbackUrl: CALLBACK } });
  return { clock, server, session, signIn: new SignIn(session) };
}

/** The answer to a request, as the browser brings it. */
function answerTo(request: AuthorizationRequest, more: Record<string, string> = {}): URL {
  const url = new URL(request.redirect_uri);
  const { issuer: iss, state } = request;
  url.search = String(new URLSearchParams({ code: secret("code"), state, iss, ...more }));
  return url;
}

const FORMS: Record<string, (url: URL) => string | URL | Request> = {
  "a URL": (url) => url,
  "its text": (url) => url.href,
  "its path, as Node's servers have it": (url) => url.pathname + url.search,
  "its query": (url) => url.search,
  "its query without a mark": (url) => url.search.slice(1),
  "a fragment behind": (url) => `${url}#_=_`,
  "a request": (url) => new Request(url),
  "a form that was posted": ({ search }) =>
    new Request(CALLBACK, {
      method: "POST",
      body: new URLSearchParams(search),
      headers: { "content-length": String(search.length - 1) },
    }),
};

for (const [what, form] of Object.entries(FORMS)) {
  test(`authCodeComplete() takes the answer as ${what}, from another process`, async () => {
    const { server, session, signIn } = world();
    const request = await signIn.authCodeInitiate();
    assertEquals(request.redirect_uri, CALLBACK);
    const kept: AuthorizationRequest = JSON.parse(JSON.stringify(request));
    await signIn.authCodeComplete(kept, form(answerTo(request)));
    assertEquals(session.stored, [TOKENS]);
    assertEquals(server.redeemed, [{
      code: secret("code"),
      iss: request.issuer,
      state: request.state,
      redirectUri: CALLBACK,
    }]);
    assertEquals(session.told, ["login_started"]);
  });
}

test("authCodeInitiate() takes another redirect URI, and none that nothing can come to", async () => {
  const { session, signIn } = world();
  const redirectUri = "http://127.0.0.1:4711/cb";
  const request = await signIn.authCodeInitiate({ redirectUri });
  assertEquals(request.redirect_uri, redirectUri);
  assertEquals(new URL(request.authorization_url).searchParams.get("redirect_uri"), redirectUri);
  for (const wrong of ["http://localhost:0/cb", "http://app.example/cb", "not one"]) {
    const refused = () => signIn.authCodeInitiate({ redirectUri: wrong });
    assertEquals((await assertRejects(refused, AuthError)).code, "invalid_argument", wrong);
  }
  await assertRejects(() => signIn.authCodeInitiate({ redirectUri: 5 as never }), TypeError);
  assertEquals(session.told, ["login_started"]);
});

test("AuthorizationRequest survives JSON with its secret, and shows none to console.log", async () => {
  const { signIn } = world();
  const request = await signIn.authCodeInitiate();
  assertEquals(JSON.parse(JSON.stringify(request)), { ...request });
  assertEquals(request.code_verifier, secret("verifier"));
  const shown = inspect(request) + String("Deno" in globalThis ? Deno.inspect(request) : "");
  assert(shown.includes(request.authorization_url) && !shown.includes(secret("verifier")));
});

type World = ReturnType<typeof world>;

/** What is refused: the code of the error. The right answer is taken afterwards. */
const REFUSALS: [
  string,
  string,
  (request: AuthorizationRequest, world: World) => string | URL | Promise<URL>,
][] = [
  ["a wrong state", "state_mismatch", (r) => answerTo(r, { state: "wrong" })],
  ["no state", "state_mismatch", () => `${CALLBACK}?code=c`],
  ["a code alone", "state_mismatch", () => secret("code")],
  ["nothing", "state_mismatch", () => ""],
  ["a state given twice", "state_mismatch", (r) => `${answerTo(r)}&state=${r.state}`],
  ["a code given twice", "state_mismatch", (r) => `${answerTo(r)}&code=other`],
  [
    "the answer of another person",
    "state_mismatch",
    async (_, { signIn }) => answerTo(await signIn.authCodeInitiate()),
  ],
];

for (const [what, code, answer] of REFUSALS) {
  test(`authCodeComplete() refuses ${what} with ${code}, and takes the right answer afterwards`, async () => {
    const given = world();
    const { server, session, signIn } = given;
    const request = await signIn.authCodeInitiate();
    const wrong = await answer(request, given);
    const refused = await assertRejects(() => signIn.authCodeComplete(request, wrong), AuthError);
    assertEquals([refused.code as string, server.redeemed, session.stored], [code, [], []]);
    assert(!`${refused.message}${inspect(refused)}`.includes(secret("code")));
    await signIn.authCodeComplete(request, answerTo(request));
    assertEquals(session.stored.length, 1);
  });
}

test("authCodeComplete() refuses a replay, at the same time and afterwards", async () => {
  const { server, session, signIn } = world();
  const request = await signIn.authCodeInitiate();
  const both = await Promise.allSettled(
    [1, 2].map(() => signIn.authCodeComplete(request, answerTo(request))),
  );
  assertEquals(both.map(({ status }) => status), ["fulfilled", "rejected"]);
  const copy = JSON.parse(JSON.stringify(request));
  // Whoever else is in this process cannot redeem it either.
  const other = new SignIn(fakeSession(server, { clock: session.clock }));
  for (const again of [signIn, other]) {
    const refused = () => again.authCodeComplete(copy, answerTo(request));
    assertEquals((await assertRejects(refused, AuthError)).code, "state_mismatch");
  }
  assertEquals([server.redeemed.length, session.stored.length], [1, 1]);
});

test("authCodeComplete() may be tried again after trouble, but not after the server's refusal", async () => {
  for (
    const [fail, again] of [
      [new AuthError("network", "reset"), "signed in"],
      [new AuthError("issuer_mismatch", "another"), "signed in"],
      [new AuthError("access_denied", "no", { oauthError: "access_denied" }), "state_mismatch"],
      [new AuthError("login_required", "spent", { oauthError: "invalid_grant" }), "state_mismatch"],
    ] as const
  ) {
    const { server, signIn } = world();
    const request = await signIn.authCodeInitiate();
    const { redeem } = server;
    server.redeem = () => Promise.reject(fail);
    const first = await assertRejects(
      () => signIn.authCodeComplete(request, answerTo(request)),
      AuthError,
    );
    assertEquals(first.code, fail.code);
    server.redeem = redeem!;
    const end = await signIn.authCodeComplete(request, answerTo(request))
      .then(() => "signed in", (error) => error.code);
    assertEquals(end, again);
  }
});

test("authCodeComplete() refuses a request that is 10 minutes old, and takes one that is younger", async () => {
  const { clock, server, signIn } = world();
  const [old, young] = [await signIn.authCodeInitiate(), await signIn.authCodeInitiate()];
  clock.advance(599_000);
  await signIn.authCodeComplete(young, answerTo(young));
  clock.advance(1_000);
  const error = await assertRejects(() => signIn.authCodeComplete(old, answerTo(old)), AuthError);
  assertEquals([error.code, server.redeemed.length], ["login_timeout", 1]);
  // A clock that was set back makes nothing expire.
  const again = await signIn.authCodeInitiate();
  clock.advance(-86_400_000);
  await signIn.authCodeComplete(again, answerTo(again));
});

test("authCodeComplete() refuses what is no request, and one of another client", async () => {
  const { signIn } = world();
  const request = await signIn.authCodeInitiate();
  const other = { ...request, authorization_url: "https://login.test/authorize?client_id=other" };
  const error = await assertRejects(
    () => signIn.authCodeComplete(other, answerTo(request)),
    AuthError,
  );
  assertEquals(error.code, "invalid_argument");
  for (
    const wrong of [undefined, {}, { ...request, state: 5 }, { ...request, expires_in: "600" }]
  ) {
    await assertRejects(
      () => signIn.authCodeComplete(wrong as never, answerTo(request)),
      TypeError,
    );
  }
});

test("each of the two steps is for its own flow", async () => {
  const browser = new SignIn(fakeSession({}));
  const device = new SignIn(fakeSession({}, { client: { clientType: "oidc_device_code" } }));
  const calls = [
    () => browser.deviceInitiate(),
    () => browser.deviceComplete({} as never),
    () => device.authCodeInitiate(),
    () => device.authCodeComplete({} as never, ""),
  ];
  for (const call of calls) {
    assertEquals((await assertRejects(call, AuthError)).code, "invalid_argument");
  }
});

/** A session at the sandbox's server. */
function atSandbox({ clientId, environment }: Sandbox) {
  const oauth = new OAuthClient({
    issuer: environment.userAuthServer,
    clientId,
    scopes: ["planet", "offline_access", "openid", "profile"],
    audience: environment.audiences.join(" "),
    clock: { now: Date.now, sleep: () => Promise.resolve() },
  });
  const session = fakeSession(oauth, {
    client: { clientId, callbackUrl: "http://localhost:4711/callback" },
    clock: { now: Date.now, sleep: () => Promise.resolve() },
  });
  return { session, signIn: new SignIn(session) };
}

test("two steps at a real server: what is refused, and the right login afterwards (RFC 9700, RFC 9207)", async () => {
  await withSandbox(async (sandbox) => {
    const { session, signIn } = atSandbox(sandbox);
    const [mine, others] = [await signIn.authCodeInitiate(), await signIn.authCodeInitiate()];
    const answers = [];
    for (const { authorization_url } of [mine, others]) {
      answers.push((await atTheBrowser(authorization_url, { deliver: false })).callback!);
    }
    const [answer, othersAnswer] = answers as [URL, URL];
    const changed = (name: string, value?: string) => {
      const url = new URL(answer);
      if (value === undefined) url.searchParams.delete(name);
      else url.searchParams.set(name, value);
      return url;
    };
    const wrong: [string, AuthorizationRequest, URL][] = [
      ["state_mismatch", mine, changed("state", "guessed")],
      ["state_mismatch", mine, othersAnswer],
      ["state_mismatch", others, answer],
      ["issuer_mismatch", mine, changed("iss", "https://evil.example")],
      ["issuer_mismatch", mine, changed("iss")],
      ["malformed_response", mine, changed("error", "access_denied")],
      ["login_timeout", { ...mine, issued_at: mine.issued_at - 600 }, answer],
    ];
    for (const [code, request, url] of wrong) {
      const error = await assertRejects(() => signIn.authCodeComplete(request, url), AuthError);
      assertEquals(error.code as string, code, url.search);
    }
    await signIn.authCodeComplete(mine, new Request(answer));
    await assertRejects(() => signIn.authCodeComplete(mine, answer), AuthError);
    await signIn.authCodeComplete(JSON.parse(JSON.stringify(others)), othersAnswer.href);
    assertEquals(session.stored.length, 2);
    assert(session.stored.every(({ refreshToken, idToken }) => refreshToken && idToken));
  });
});

test("two steps at a real server: a code that another process has redeemed is refused", async () => {
  await withSandbox(async (sandbox) => {
    const { signIn } = atSandbox(sandbox);
    const request = await signIn.authCodeInitiate();
    const { callback } = await atTheBrowser(request.authorization_url, { deliver: false });
    await signIn.authCodeComplete(request, callback!);
    // Another process has another memory: a request with another state stands for that.
    const state = `${request.state}x`;
    const replayed = new URL(callback!);
    replayed.searchParams.set("state", state);
    const error = await assertRejects(
      () => signIn.authCodeComplete({ ...request, state }, replayed),
      AuthError,
    );
    assertEquals(error.oauthError, "invalid_grant");
  });
});
