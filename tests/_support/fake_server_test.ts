import { assertEquals, assertRejects } from "@std/assert";
import { FakeResponse, fakeServer, HANG, RESET, startFakeServer } from "./fake_server.ts";
import { test } from "./harness.ts";
import { secret } from "./canaries.ts";

const form = (fields: Record<string, string>, signal?: AbortSignal): RequestInit => ({
  method: "POST",
  body: new URLSearchParams(fields),
  ...(signal ? { signal } : {}),
});

test("fakeServer() answers by its script, the last answer for good, and keeps what came", async () => {
  const answers = ["slow_down", new FakeResponse(503, "busy", { "retry-after": "9" }), { a: 1 }];
  const server = fakeServer({ token: answers, metadata: { revocation_endpoint: undefined } });
  const ask = () => server.fetch(`${server.issuer}/token`, form({ grant_type: "x" }));
  const [first, second, third, fourth] = [await ask(), await ask(), await ask(), await ask()];
  assertEquals([first.status, await first.json()], [400, { error: "slow_down" }]);
  assertEquals([second.status, second.headers.get("retry-after")], [503, "9"]);
  assertEquals([await third.json(), await fourth.json()], [{ a: 1 }, { a: 1 }]);
  assertEquals(
    server.to("/token").map((request) => request.form.get("grant_type")),
    Array(4).fill("x"),
  );
  const document = await server.fetch(`${server.issuer}/.well-known/openid-configuration`);
  assertEquals("revocation_endpoint" in await document.json(), false);
});

test("fakeServer() gives a new refresh token on refresh only where it rotates", async () => {
  const server = fakeServer();
  const refresh = async () => {
    const request = form({ grant_type: "refresh_token" });
    const answer = await server.fetch(`${server.issuer}/token`, request);
    return (await answer.json()).refresh_token;
  };
  assertEquals(await refresh(), undefined);
  server.options.rotate = true;
  assertEquals(await refresh(), secret("RT2"));
});

test("fakeServer() hangs until the signal aborts, and fails as a network does", async () => {
  const server = fakeServer({ token: [HANG, new TypeError("no route")] });
  const controller = new AbortController();
  const hanging = server.fetch(`${server.issuer}/token`, form({}, controller.signal));
  controller.abort(new Error("enough"));
  await assertRejects(() => hanging, Error, "enough");
  await assertRejects(
    () => server.fetch(`${server.issuer}/token`, form({})),
    TypeError,
    "no route",
  );
});

test("startFakeServer() answers on loopback, cuts connections, and stops at once", async () => {
  const server = await startFakeServer({ device: [{ interval: 7 }], token: [RESET] });
  try {
    const answer = await fetch(`${server.issuer}/device`, form({ client_id: "a" }));
    assertEquals(await answer.json(), { interval: 7 });
    assertEquals(server.to("/device")[0]?.form.get("client_id"), "a");
    await assertRejects(() => fetch(`${server.issuer}/token`, form({})));
  } finally {
    await server.close();
  }
  await assertRejects(() => fetch(`${server.issuer}/device`));
});
