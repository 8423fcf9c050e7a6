import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Auth } from "../lib/auth.ts";
import { AuthError, ClientError, MissingResource } from "../lib/errors.ts";
import { Session, type SessionHttpOptions } from "../lib/session.ts";
import { VERSION } from "../lib/setup.ts";
import { secret } from "./_support/canaries.ts";
import { fakeClock } from "./_support/fake_clock.ts";
import { FakeResponse, fakeServer, type FakeServerOptions } from "./_support/fake_server.ts";
import { test } from "./_support/harness.ts";

function world(options: FakeServerOptions = {}, http: SessionHttpOptions = {}) {
  const server = fakeServer(options);
  const bodies: string[] = [];
  const auth = Auth.fromKey(secret("key"), {
    environment: server.environment,
    fetch: async (input, init) => {
      bodies.push(await new Response(init?.body).text());
      return await server.fetch(input, init);
    },
  });
  return { bodies, server, session: new Session(auth, { clock: fakeClock(), ...http }) };
}

test("Session.request() sends JSON, query and headers, with the session's credentials", async () => {
  const { bodies, server, session } = world();
  await session.request("post", "/data/v1/searches?a=1", {
    json: { b: [1, null] },
    params: { c: "x y", d: 2, e: undefined },
    headers: { "x-mine": "m" },
  });
  const [{ headers, method, url }] = server.requests as [typeof server.requests[number]];
  assertEquals(method, "POST");
  assertEquals(url.href, `${server.environment.apiBaseUrl}/data/v1/searches?a=1&c=x+y&d=2`);
  assertEquals(JSON.parse(bodies[0]!), { b: [1, null] });
  assertEquals(
    ["authorization", "content-type", "user-agent", "x-mine", "x-planet-app"].map((name) =>
      headers.get(name)
    ),
    [
      `api-key ${secret("key")}`,
      "application/json",
      `planet-typescript/${VERSION}`,
      "m",
      "typescript-sdk",
    ],
  );
});

test("Session.request() takes absolute URLs, and throws by status", async () => {
  const { server, session } = world({ api: [new FakeResponse(404, "gone")] });
  const url = `${server.environment.apiBaseUrl}/x`;
  assertEquals(
    (await assertRejects(() => session.request("GET", url), MissingResource)).body,
    "gone",
  );
});

const WRONG: [string, (session: Session) => Promise<unknown>, new (...args: never[]) => Error][] = [
  ["a relative URL", (session) => session.request("GET", "data"), ClientError],
  ["a URL without a scheme", (session) => session.request("GET", "//evil.test/x"), ClientError],
  ["a URL of another type", (session) => session.request("GET", 1 as never), TypeError],
  ["a foreign origin", (session) => session.request("GET", "https://evil.test/"), AuthError],
  ["a method that is none", (session) => session.request("GE T", "/x"), ClientError],
  ["a forbidden method", (session) => session.request("TRACE", "/x"), ClientError],
  ["a body with GET", (session) => session.request("GET", "/x", { json: {} }), ClientError],
  ["two bodies", (session) => session.request("POST", "/x", { json: {}, body: "" }), ClientError],
  [
    "a header that is none",
    (session) => session.request("GET", "/x", { headers: { "a b": "" } }),
    TypeError,
  ],
];
for (const [what, call, Class] of WRONG) {
  test(`Session.request() refuses ${what} before anything is sent`, async () => {
    const { server, session } = world();
    await assertRejects(() => call(session), Class as ErrorConstructor);
    assertEquals(server.requests.length, 0);
  });
}

test("Session.fetch is fetch with limits and retries; an answer is an answer", async () => {
  const { bodies, server, session } = world({
    api: [new FakeResponse(429), new FakeResponse(502), new FakeResponse(404, "gone")],
  });
  const { fetch } = session;
  const url = `${server.environment.apiBaseUrl}/x`;
  const response = await fetch(new Request(url, { method: "PUT", body: "b" }));
  assertEquals([response.status, await response.text()], [404, "gone"]);
  assertEquals(bodies, ["b", "b", "b"]);
  assertEquals(
    (await assertRejects(() => fetch("https://evil.test"), AuthError)).code,
    "untrusted_origin",
  );
});

test("Session repeats no request that must not happen twice", async () => {
  const { server, session } = world({ api: [new TypeError("connection reset")] });
  const work = () => session.request("POST", "/x", { json: {}, maxRetries: 0 });
  assertEquals((await assertRejects(work, AuthError)).code, "network");
  assertEquals(server.requests.length, 1);
});

test("Session spaces requests by 100 ms unless told otherwise", async () => {
  const clock = fakeClock();
  const { session } = world({}, { clock });
  for (let i = 0; i < 3; i++) await session.request("GET", "/x");
  assertEquals(clock.waits, [0.1, 0.1]);
});

test("Session checks its arguments, and the name of a client", () => {
  assertThrows(() => new Session({} as never), TypeError);
  const auth = Auth.fromKey(secret("key"));
  for (const name of ["maxRetries", "maxConcurrent", "timeoutMs", "requestsPerSecond"] as const) {
    assertThrows(() => new Session(auth, { [name]: -1 }), ClientError, name);
    assertThrows(() => new Session(auth, { [name]: NaN }), ClientError, name);
    assertThrows(() => new Session(auth, { [name]: "1" as never }), TypeError, name);
  }
  assertThrows(() => new Session(auth).client("toString" as never), ClientError);
});

test("Session shows no credentials when printed or turned into JSON", () => {
  const session = new Session(Auth.fromKey(secret("key-that-is-secret")));
  assertEquals(JSON.stringify(session).includes("secret"), false);
  assertEquals(Object.values(session).some((value) => String(value).includes("secret")), false);
});
