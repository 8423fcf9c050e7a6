import { assert, assertEquals } from "@std/assert";
import type { Auth } from "../../lib/auth.ts";
import type { AuthError } from "../../lib/errors.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeAnswer, FakeResponse, type FakeServerOptions } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { CALLS, FLOWS, inWorld, outcome, STORES, tokens, type World } from "./_world.ts";

/** How a server fails, and the code that each call gets. */
const FAILURES: Readonly<Record<string, [code: string, FakeServerOptions]>> = {
  "401 invalid_client": token(
    "client_rejected",
    new FakeResponse(401, { error: "invalid_client" }),
  ),
  "400 unauthorized_client": token("client_rejected", "unauthorized_client"),
  "an error of its own": token("client_rejected", "no_such_thing"),
  "an unreadable error": token("client_rejected", new FakeResponse(400, { error: "A B" })),
  "403 access_denied": token("access_denied", new FakeResponse(403, { error: "access_denied" })),
  "login_required": token("login_required", "login_required"),
  "500": token("server_error", new FakeResponse(500, "oops")),
  "503": token("server_error", new FakeResponse(503)),
  "503 with Retry-After": token("server_error", new FakeResponse(503, "", { "retry-after": "30" })),
  "429": token("throttled", new FakeResponse(429)),
  "429 with Retry-After": token("throttled", new FakeResponse(429, "", { "retry-after": "30" })),
  "404": token("malformed_response", new FakeResponse(404, "not here")),
  "403 of a firewall": token("malformed_response", new FakeResponse(403, "<html>")),
  "no JSON": token("malformed_response", new FakeResponse(200, "<html>")),
  "no token": token("malformed_response", {}),
  "another issuer": ["issuer_mismatch", { metadata: { issuer: "https://auth.other.test" } }],
  "discovery: 500": ["server_error", { discovery: [new FakeResponse(500)] }],
  "discovery: 404": ["malformed_response", { discovery: [new FakeResponse(404)] }],
  "discovery: no JSON": ["malformed_response", { discovery: [new FakeResponse(200, "<html>")] }],
};

function token(code: string, answer: FakeAnswer): [string, FakeServerOptions] {
  return [code, { token: [answer] }];
}

/** What a program calls again and again. */
const AGAIN = ["accessToken()", "fetch()", "accessToken({ forceRefresh: true })", "userLogin()"];

/** Who calls: a service account, one that has a refresh token, a person whose token has expired. */
const CALLERS: Readonly<Record<string, (world: World) => Promise<Auth>>> = {
  "a service account": (world) => FLOWS["service account"]!.make(world, "p"),
  "a service account with a refresh token": async (world) => {
    const flow = FLOWS["service account"]!;
    await world.seed("p", { auth_client: flow.client(world), token: tokens("ours", 7_200) });
    return await flow.make(world, "p");
  },
  "a person": async (world) => {
    const flow = FLOWS["device code"]!;
    await world.seed("p", { auth_client: flow.client(world), token: tokens("ours", 7_200) });
    return await flow.make(world, "p");
  },
};

/** What the servers were asked, but for the API. */
const asked = ({ server }: World) =>
  server.requests.filter(({ url }) => url.origin === server.issuer).length;

for (const [who, make] of Object.entries(CALLERS)) {
  for (const [failure, [code, fake]] of Object.entries(FAILURES)) {
    test(`Pauses: 300 calls of ${who} at once or in turn make few requests: ${failure}`, async () => {
      for (const call of AGAIN) {
        if (who === "a person" && call === "userLogin()") continue;
        // One kind of store for each call, in turn.
        const stores = Object.keys(STORES).filter((name) => name !== "files");
        const store = stores[(failure.length + call.length) % stores.length]!;
        await inWorld(store, async (world) => {
          const auth = await make(world);
          world.events.length = 0;
          const run = () => outcome(CALLS[call]!.run(auth, world)) as Promise<AuthError>;
          const many = call === "accessToken()" ? 100 : 20;
          const errors = [...await Promise.all(Array.from({ length: many }, run))];
          for (let number = 0; number < 2 * many; number++) errors.push(await run());
          assertEquals(new Set(errors.map((error) => error.code)), new Set([code]), call);
          assertEquals(new Set(errors.map((error) => error.message)).size, 1, call);
          const now = world.clock.now();
          assert(errors.every(({ retryAt = 0 }) => retryAt > now - 2_000), `${call}: retryAt`);
          assert(world.server.to("/token").length <= 10, call);
          assert(asked(world) <= 20, `${call}: ${asked(world)}`);
          assert(world.events.filter(({ type }) => type === "refresh_failed").length <= 3);
        }, fake);
      }
    });
  }
}

for (const store of Object.keys(STORES)) {
  test(`Pauses: from 1 s, doubling to 60 s, ended by a success, in ${store}`, async () => {
    for (const [who, make] of Object.entries(CALLERS)) {
      await inWorld(store, async (world) => {
        const { clock, server } = world;
        const auth = await make(world);
        server.options.token = [new FakeResponse(500)];
        // A service account signs in when its refresh is refused.
        const each = who.endsWith("refresh token") ? 2 : 1;
        for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
          server.requests.length = 0;
          const error = await outcome(auth.accessToken()) as AuthError;
          assertEquals([error.code, error.retryAt], [
            "server_error",
            clock.now() + seconds * 1_000,
          ]);
          assertEquals(server.to("/token").length, each, who);
          assertEquals((await auth.explain()).retryAt, error.retryAt);
          clock.advance(seconds * 1_000 - 1);
          assertEquals(await outcome(auth.accessToken()), error);
          assertEquals(server.to("/token").length, each, who);
          clock.advance(1);
        }
        delete server.options.token;
        await auth.accessToken();
        server.options.token = [new FakeResponse(500)];
        clock.advance(3_600_000);
        const again = await outcome(auth.accessToken()) as AuthError;
        assertEquals(again.retryAt, clock.now() + 1_000, who);
        // A clock that was set back ends a pause.
        clock.advance(-7_200_000);
        server.requests.length = 0;
        await outcome(auth.accessToken({ forceRefresh: true }));
        assertEquals(server.to("/token").length, each, who);
      });
    }
  });

  test(`Pauses: one that the server asked for holds for all who share the store: ${store}`, async () => {
    for (const status of [429, 503]) {
      for (const [who, make] of Object.entries(CALLERS)) {
        await inWorld(store, async (world) => {
          const { clock, server } = world;
          const auth = await make(world);
          server.options.token = [new FakeResponse(status, "", { "retry-after": "30" })];
          const error = await outcome(auth.accessToken()) as AuthError;
          assertEquals(error.retryAt, clock.now() + 30_000);
          const flow = FLOWS[who === "a person" ? "device code" : "service account"]!;
          const other = await flow.make(world, "p");
          const shared = await outcome(other.accessToken()) as AuthError;
          assertEquals([shared.code, shared.retryAt], ["throttled", error.retryAt]);
          clock.advance(29_999);
          await outcome(other.accessToken());
          assertEquals(server.to("/token").length, 1, who);
          delete server.options.token;
          clock.advance(1);
          assertEquals(await other.accessToken(), await auth.accessToken());
        });
      }
    }
  });
}

test("Pauses: who waits is not told of a network that was away before", async () => {
  for (const make of Object.values(CALLERS)) {
    await inWorld("memory", async (world) => {
      const auth = await make(world);
      world.server.options.token = [new TypeError("gone")];
      assertEquals((await outcome(auth.accessToken()) as AuthError).code, "network");
      delete world.server.options.token;
      await auth.accessToken();
    });
  }
});

test("Pauses: a session that somebody else renewed ends a pause at once", async () => {
  for (const store of ["memory", "five methods"]) {
    await inWorld(store, async (world) => {
      const auth = await CALLERS["a person"]!(world);
      world.server.options.token = [new FakeResponse(500)];
      await outcome(auth.accessToken());
      await world.seed("p", { token: tokens("sibling") });
      assertEquals(await auth.accessToken(), secret("AT-sibling"));
    });
  }
});
