import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Auth, AuthError, MemoryStorage, Session } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { FakeResponse, fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { shortenTimers } from "./_timers.ts";

async function expired(fetch: typeof globalThis.fetch, server = fakeServer()) {
  const storage = new MemoryStorage();
  const token = { access_token: secret("AT0"), refresh_token: secret("RT0"), _iat: 1, _exp: 2 };
  await storage.save(".planet/app/token.json", token);
  const clock = fakeClock({ now: 1_700_000_000_000 });
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId: "app",
    environment: server.environment,
    storageProvider: storage,
    clock,
    fetch,
  });
  return { auth, clock, session: new Session(auth, { clock }), storage };
}

test("Session repeats a request, but not the renewal that it needed: the refresh token may be spent", async () => {
  const server = fakeServer({ token: [new TypeError("the connection broke off")] });
  const { session } = await expired(server.fetch, server);
  const error = await session.request("GET", "/data/v1/searches").catch((error) => error);
  assertInstanceOf(error, AuthError);
  assertEquals([error.code, server.to("/token").length], ["network", 1]);
});

test("OAuthClient ends by its time limit where fetch does not heed its signal", async () => {
  const timers = shortenTimers(30_000, 20);
  try {
    const { auth } = await expired(() => new Promise(() => {}));
    const error = await auth.accessToken().catch((error) => error);
    assertEquals([error.code, timers.asked], ["timeout", [30_000]]);
  } finally {
    timers.restore();
  }
});

test("Session ends by its time limit where an answer stops in the middle and fetch does not notice", async () => {
  for (const stream of [false, true]) {
    const silent = () => new ReadableStream({ start: (c) => c.enqueue(new Uint8Array([0x7b])) });
    const auth = Auth.fromKey(secret("key"), {
      fetch: () => Promise.resolve(new Response(silent())),
    });
    const session = new Session(auth, { timeoutMs: 20, maxRetries: 1, clock: fakeClock() });
    const url = "https://api.planet.com/x";
    const work = stream
      ? session.fetch(url).then((answer) => answer.text())
      : session.request("GET", url).then((answer) => answer.text());
    assertEquals((await work.catch((error) => error)).code, "timeout");
  }
});

test("Session.request() reads no more than is of use: 64 KiB of a refusal, 64 MiB of an answer", async () => {
  const endless = (status: number) => {
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        sent += 1 << 20;
        controller.enqueue(new Uint8Array(1 << 20).fill(120));
      },
    });
    const fetch = () => Promise.resolve(new Response(body, { status }));
    const session = new Session(Auth.fromKey(secret("key"), { fetch }), { maxRetries: 0 });
    return { session, sent: () => sent >> 20 };
  };
  for (const [status, name, most] of [[400, "BadQuery", 4], [200, "ApiError", 68]] as const) {
    const { sent, session } = endless(status);
    const error = await session.request("GET", "/x").catch((error) => error);
    assertEquals(error.name, name);
    assert(error.body.length <= 65_536);
    assert(sent() <= most, `${sent()} MiB were read`);
  }
});

test("Session: a redirect that leads nowhere is not asked for again", async () => {
  let requests = 0;
  const fetch = () => {
    requests++;
    return Promise.resolve(new Response(null, { status: 302, headers: { location: "/round" } }));
  };
  const session = new Session(Auth.fromKey(secret("key"), { fetch }), { clock: fakeClock() });
  const error = await session.request("GET", "/round").catch((error) => error);
  assertEquals([error.code, requests], ["malformed_response", 21]);
});

test("OAuthClient does not show what a server puts in place of an error code", async () => {
  const server = fakeServer({
    token: ({ form }) => new FakeResponse(400, { error: form.get("refresh_token") }),
  });
  const { auth } = await expired(server.fetch, server);
  const error = await auth.accessToken().catch((error) => error);
  assertEquals([error.code, error.oauthError], ["client_rejected", undefined]);
  assert(!error.message.includes(secret("RT0")), error.message);
});
