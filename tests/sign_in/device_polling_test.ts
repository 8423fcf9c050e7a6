/**
 * Device polling against a scripted server, answer by answer, by a clock of its own: the exact
 * waits, and how it ends.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Auth, AuthError, type LoginProgress, MemoryStorage } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { type FakeAnswer, FakeResponse, fakeServer, RESET } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const P = "authorization_pending";
const S = "slow_down";
const TOKENS = { access_token: secret("AT1"), token_type: "Bearer", expires_in: 3600 };
const at = (status: number, headers: Record<string, string> = {}) =>
  new FakeResponse(status, "", headers);
const refused = new TypeError("connect ECONNREFUSED");

/** What the token endpoint says, how long each wait is, and how it ends. */
const TABLE: [string, FakeAnswer[], number[], string][] = [
  ["pending", [P, P, P, TOKENS], [5, 5, 5, 5], "signed in"],
  ["slow_down three times", [S, S, S, P, TOKENS], [5, 10, 15, 20, 20], "signed in"],
  [
    "503 with Retry-After",
    [at(503, { "retry-after": "30" }), P, TOKENS],
    [5, 30, 5],
    "signed in",
  ],
  ["503 with a short Retry-After", [at(503, { "retry-after": "1" }), TOKENS], [5, 10], "signed in"],
  [
    "500, 502, 504 in a row",
    [at(500), at(502), at(504), P, TOKENS],
    [5, 10, 20, 40, 5],
    "signed in",
  ],
  ["429 without Retry-After", [at(429), TOKENS], [5, 10], "signed in"],
  ["a connection that is cut", [RESET, RESET, P, TOKENS], [5, 10, 20, 5], "signed in"],
  ["no connection at all", [refused, P, TOKENS], [5, 10, 5], "signed in"],
  [
    "slow_down before and after trouble",
    [S, RESET, S, P, TOKENS],
    [5, 10, 20, 15, 15],
    "signed in",
  ],
  ["denied", [P, "access_denied"], [5, 5], "access_denied"],
  ["expired", [P, "expired_token"], [5, 5], "device_code_expired"],
  ["a code that the server does not know", ["invalid_grant"], [5], "device_code_expired"],
  ["a client that may not", ["unauthorized_client"], [5], "client_rejected"],
  ["nonsense", [new FakeResponse(200, "<html>")], [5], "malformed_response"],
];

for (const [what, token, waits, end] of TABLE) {
  test(`deviceUserLoginComplete() on ${what}: the exact waits (RFC 8628 §3.5)`, async () => {
    const clock = fakeClock({ now: 1_700_000_000_000 });
    const server = fakeServer({ token });
    const auth = Auth.fromOAuthUserDeviceCode({
      clientId: "app",
      environment: server.environment,
      storageProvider: new MemoryStorage(),
      fetch: server.fetch,
      clock,
    });
    const told: LoginProgress[] = [];
    const info = await auth.deviceUserLoginInitiate();
    const result = await auth.deviceUserLoginComplete(info, { onPending: (one) => told.push(one) })
      .then(() => "signed in", (error) => error instanceof AuthError ? error.code : String(error));
    assertEquals([result, clock.waits], [end, waits]);
    assertEquals(told.map(({ nextPollMs }) => nextPollMs / 1000), waits);
    assertEquals(server.to("/token").length, waits.length, "One request for each wait.");
  });
}

test("deviceUserLoginComplete() ends at once when it is cancelled, amid a wait", async () => {
  const server = fakeServer({ token: [P] });
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId: "app",
    environment: server.environment,
    storageProvider: new MemoryStorage(),
    fetch: server.fetch,
  });
  const stop = new AbortController();
  const reason = new Error("enough");
  const info = await auth.deviceUserLoginInitiate();
  const before = Date.now();
  const work = auth.deviceUserLoginComplete(info, {
    signal: stop.signal,
    onPending: () => queueMicrotask(() => stop.abort(reason)),
  });
  assertEquals(await work.catch((error) => error), reason);
  assertEquals([Date.now() - before < 1_000, server.to("/token").length], [true, 0]);
});
