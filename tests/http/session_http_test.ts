/**
 * What a session does beside sending: answers as they came, links, other libraries' tokens, events.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { gzipSync } from "node:zlib";
import {
  ApiError,
  Auth,
  AuthError,
  type Authorizer,
  BadQuery,
  ClientError,
  dataFilter,
  Planet,
  PlanetError,
  Session,
  type SessionEvent,
  type SessionHttpOptions,
} from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { FakeResponse, fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { heapMiB } from "../resources/_counters.ts";
import { type Handler, listen } from "../sandbox/http_server.ts";

/** Runs a test against servers on loopback. */
async function withServers(
  handlers: readonly Handler[],
  body: (...origins: string[]) => Promise<void>,
): Promise<void> {
  const servers = [];
  try {
    for (const handler of handlers) servers.push(await listen(handler));
    await body(...servers.map(({ origin }) => origin));
  } finally {
    for (const server of servers) await server.close();
  }
}

function sessionAt(origin: string, options: SessionHttpOptions = {}): Session {
  const auth = Auth.fromKey(secret("key"), { allowedOrigins: [origin] });
  return new Session(auth, { clock: fakeClock(), requestsPerSecond: 0, ...options });
}

test("answers have their headers as they came, unless the body was decoded", () =>
  withServers([(request, response) => {
    const coding = request.url!.slice(1);
    const body = coding === "gzip" ? gzipSync("content") : Buffer.from("content");
    response.writeHead(200, {
      "content-length": body.length,
      "content-type": "text/plain",
      "set-cookie": ["a=1", "b=2"],
      etag: '"7"',
      ...(coding === "plain" ? {} : { "content-encoding": coding }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }], async (origin) => {
    const session = sessionAt(origin);
    const ways: Record<string, (url: string, method: string) => Promise<Response>> = {
      fetch: (url, method) => session.fetch(url, { method }),
      request: (url, method) => session.request(method, url),
    };
    for (const [name, get] of Object.entries(ways)) {
      for (const method of ["GET", "HEAD"]) {
        for (const coding of ["plain", "odd", "gzip"]) {
          const url = `${origin}/${coding}`;
          const [ours, bare] = [await get(url, method), await fetch(url, { method })];
          const isDecoded = coding === "gzip" && method === "GET";
          const [expected, found] = [new Headers(bare.headers), new Headers(ours.headers)];
          for (const each of [expected, found]) each.delete("date");
          if (isDecoded) {
            for (const gone of ["content-encoding", "content-length"]) expected.delete(gone);
          }
          assertEquals([...found], [...expected], `${name} ${method} ${coding}`);
          const text = await ours.text();
          assertEquals(text, await bare.text());
          if (method === "GET" && coding === "plain") assertEquals(text, "content");
          assertEquals([ours.url, ours.redirected, ours.type], [url, false, bare.type]);
        }
      }
    }
  }));

test("answers keep url and redirected, and so do their clones", () =>
  withServers([(request, response) => {
    if (request.url === "/a") response.writeHead(302, { location: "/b" });
    response.end("content");
  }], async (origin) => {
    const session = sessionAt(origin);
    for (
      const response of [
        await session.fetch(`${origin}/a`),
        await session.request("GET", `${origin}/a`),
      ]
    ) {
      const clone = response.clone().clone();
      assertEquals([response.url, response.redirected], [`${origin}/b`, true]);
      assertEquals([clone.url, clone.redirected], [`${origin}/b`, true]);
      assertEquals([await response.text(), await clone.text()], ["content", "content"]);
    }
  }));

test("Session.open() sends credentials to the API alone, also across redirects", async () => {
  const seen: [string, string, string | undefined][] = [];
  const handler = (name: string): Handler => (request, response) => {
    seen.push([name, request.url!, request.headers.authorization]);
    const to = new URL(request.url!, "http://x").searchParams.get("to");
    if (to !== null) response.writeHead(302, { location: to });
    response.end("bytes");
  };
  await withServers([handler("api"), handler("storage")], async (api, storage) => {
    const session = sessionAt(api);
    const key = `api-key ${secret("key")}`;
    const text = async (link: string) => await (await session.open(link)).text();
    assertEquals(await text(`${api}/1`), "bytes");
    assertEquals(await text(`${storage}/2`), "bytes");
    assertEquals(await text(`${api}/3?to=${encodeURIComponent(`${storage}/4`)}`), "bytes");
    assertEquals(await text(`${storage}/5?to=${encodeURIComponent(`${api}/6`)}`), "bytes");
    assertEquals(seen.map(([name, , sent]) => [name, sent]), [
      ["api", key],
      ["storage", undefined],
      ["api", key],
      ["storage", undefined],
      ["storage", undefined],
      ["api", undefined],
    ]);
    // Only links go elsewhere.
    for (const call of [() => session.fetch(storage), () => session.request("GET", storage)]) {
      assertEquals((await assertRejects(call, AuthError)).code, "untrusted_origin");
    }
    assertEquals(seen.length, 6);
  });
});

test("Session.open() asks elsewhere by https only, and says no link", async () => {
  const sent: string[] = [];
  const events: SessionEvent[] = [];
  const session = new Session({ authorization: () => `Bearer ${secret("T1")}` }, {
    clock: fakeClock(),
    maxRetries: 0,
    onEvent: (event) => events.push(event),
    fetch: (url, init) => {
      assertEquals(new Headers(init?.headers).has("authorization"), false);
      sent.push(String(url));
      const location = /to=(\S+)/.exec(String(url))?.[1];
      return Promise.resolve(
        location === undefined
          ? new Response("gone", { status: 410 })
          : new Response(null, { status: 302, headers: { location } }),
      );
    },
  });
  const link = "https://storage.test/path-of-a-signature/file?signature=0123456789abcdef";
  assertEquals((await session.open(link, { headers: { range: "bytes=1-" } })).status, 410);
  const wrong: [string, new (...args: never[]) => Error][] = [
    [link.replace("https:", "http:"), AuthError],
    [`https://storage.test/?signature=1&to=${link.replace("https:", "http:")}`, AuthError],
    ["ftp://storage.test/signature", AuthError],
    ["signature", ClientError],
    ["//storage.test/signature", ClientError],
  ];
  for (const [one, Class] of wrong) {
    const error = await assertRejects(() => session.open(one), Class as typeof Error);
    assert(!/signature|path-of/.test(`${error.message} ${error.cause}`), error.message);
  }
  assertEquals(sent.length, 2);
  assertEquals(
    new Set(events.map((event) => "url" in event ? event.url : "")),
    new Set(["https://storage.test", "http://storage.test", "ftp://storage.test"]),
  );
});

test("Session takes anything that has authorization(), with its own servers", async () => {
  const sent: [string, string | null][] = [];
  const options: SessionHttpOptions = {
    clock: fakeClock(),
    environment: {
      userAuthServer: "https://auth.test",
      m2mAuthServer: "https://auth.test",
      audiences: [],
      apiBaseUrl: "https://api.test",
    },
    fetch: (url, init) => {
      sent.push([String(url), new Headers(init?.headers).get("authorization")]);
      const body = String(url).includes("searches") ? { searches: [{ id: "1" }] } : {};
      return Promise.resolve(Response.json(body));
    },
  };
  const authorizer: Authorizer = { authorization: () => Promise.resolve(`Bearer ${secret("T1")}`) };
  const session = new Session(authorizer, options);
  await session.request("GET", "/x");
  await session.fetch("/y");
  assertEquals((await Array.fromAsync(session.client("data").listSearches())).length, 1);
  assertEquals(sent.map(([url]) => url), [
    "https://api.test/x",
    "https://api.test/y",
    "https://api.test/data/v1/searches",
  ]);
  assertEquals(new Set(sent.map(([, header]) => header)), new Set([`Bearer ${secret("T1")}`]));
  await assertRejects(() => session.fetch("https://api.planet.com/x"), AuthError);
  const other = new Session(authorizer, { ...options, allowedOrigins: ["https://more.test/"] });
  assertEquals((await other.fetch("https://more.test/z")).status, 200);
  for (const allowedOrigins of [["http://far.test"], ["nonsense"]]) {
    await assertRejects(() => new Session(authorizer, { allowedOrigins }).fetch("/x"), ClientError);
  }
  for (const wrong of [{}, null, "token", { authorization: "Bearer x" }]) {
    assertThrows(() => new Session(wrong as never), TypeError);
    if (wrong !== null) assertThrows(() => new Planet(wrong as never), TypeError);
  }
});

test("Session refuses servers and fetch beside an Auth, which has its own", async () => {
  const { environment, fetch } = fakeServer();
  for (const options of [{ environment }, { fetch }, { allowedOrigins: [] }]) {
    const session = new Session(Auth.fromKey(secret("key")), options);
    await assertRejects(() => session.request("GET", "/x"), ClientError, "to Auth");
  }
});

test("Planet stands on a Session, an Auth, or anything that has authorization()", async () => {
  const { environment, fetch, requests } = fakeServer();
  const auth = Auth.fromKey(secret("key"), { environment, fetch });
  const authorizer = { authorization: () => `api-key ${secret("key")}` };
  for (const over of [auth, new Session(auth), new Session(authorizer, { environment, fetch })]) {
    await Array.fromAsync(new Planet(over).data.listSearches());
  }
  assertEquals(requests.map(({ path, headers }) => [path, headers.get("authorization")]), [
    ["/data/v1/searches", `api-key ${secret("key")}`],
    ["/data/v1/searches", `api-key ${secret("key")}`],
    ["/data/v1/searches", `api-key ${secret("key")}`],
  ]);
  assert(new Planet(authorizer).data);
});

test("auth.fetch and session.fetch take a path from the API's origin", async () => {
  const { environment, fetch, requests } = fakeServer();
  const auth = Auth.fromKey(secret("key"), { environment, fetch });
  await auth.fetch("/data/v1/searches?a=1");
  await new Session(auth).fetch("/data/v1/searches?a=2", { method: "POST", body: "b" });
  assertEquals(requests.map(({ url }) => url.href.replace(environment.apiBaseUrl, "")), [
    "/data/v1/searches?a=1",
    "/data/v1/searches?a=2",
  ]);
});

test("Session.request() repeats a parameter for each member of an array", async () => {
  const { environment, fetch, requests } = fakeServer();
  const session = new Session(Auth.fromKey(secret("key"), { environment, fetch }));
  await session.request("GET", "/x?status=old&b=1", {
    params: { status: ["running", "failed"], none: [], n: [1, 2], flag: true, b: undefined },
  });
  assertEquals(requests[0]!.url.search, "?b=1&status=running&status=failed&n=1&n=2&flag=true");
});

test("DataClient sends pageSize, and its searches by POST may be repeated, its creations not", async () => {
  const { environment, fetch, options, requests } = fakeServer({
    api: ({ path }, index) =>
      index === 0
        ? new FakeResponse(502)
        : { [path.includes("quick") ? "features" : "searches"]: [] },
  });
  const session = new Session(Auth.fromKey(secret("key"), { environment, fetch }), {
    clock: fakeClock(),
    requestsPerSecond: 0,
  });
  const data = session.client("data");
  await Array.fromAsync(data.search({ itemTypes: ["PSScene"], pageSize: 50 }));
  await Array.fromAsync(data.listSearches({ pageSize: 250 }));
  assertEquals(requests.map(({ method, url }) => `${method} ${url.search}`), [
    "POST ?_page_size=50",
    "POST ?_page_size=50",
    "GET ?_page_size=250",
    "GET ?_page_size=250",
  ]);
  for (
    const [pageSize, Class] of [[0, ClientError], [251, ClientError], [1.5, ClientError], [
      "5",
      TypeError,
    ]] as const
  ) {
    await assertRejects(
      () => Array.fromAsync(data.listSearches({ pageSize: pageSize as number })),
      Class as ErrorConstructor,
      "pageSize",
    );
  }
  options.api = [new FakeResponse(502)];
  requests.length = 0;
  const search = { name: "n", itemTypes: ["PSScene"], searchFilter: dataFilter.empty() };
  await assertRejects(() => data.createSearch(search), ApiError);
  assertEquals(requests.length, 1);
  await assertRejects(() => data.updateSearch("a", search, { maxRetries: 2 }), ApiError);
  assertEquals(requests.length, 4);
});

test("onEvent is told what happens to a request, without its query", async () => {
  const server = fakeServer({
    api: [
      new FakeResponse(429, "", { "retry-after": "3" }),
      new TypeError("fetch failed"),
      new FakeResponse(200, {}),
    ],
  });
  const events: SessionEvent[] = [];
  const clock = fakeClock({ now: 1_000_000 });
  const session = new Session(
    Auth.fromKey(secret("key"), { environment: server.environment, fetch: server.fetch }),
    {
      clock,
      requestsPerSecond: 1,
      onEvent(event) {
        events.push(event);
        throw new Error("An observer's failure costs nothing.");
      },
    },
  );
  await session.request("GET", `/x?token=0123456789abcdef`);
  const url = `${server.environment.apiBaseUrl}/x`;
  const all = { id: 1, method: "GET", url };
  const waits = events.flatMap((event) => event.type === "pause" ? [event.ms] : []) as [
    number,
    number,
  ];
  assertEquals(waits[0], 3_000);
  assertEquals(events, [
    { ...all, attempt: 1, type: "request", ms: 0 },
    { ...all, attempt: 1, type: "answer", status: 429, ms: 0 },
    { ...all, attempt: 1, type: "pause", status: 429, ms: 3_000, retryAt: 1_003_000 },
    { ...all, attempt: 2, type: "repetition", status: 429, ms: 3_000 },
    { ...all, attempt: 2, type: "request", ms: 0 },
    { ...all, attempt: 2, type: "failure", code: "network", ms: 0 },
    {
      ...all,
      attempt: 2,
      type: "pause",
      code: "network",
      ms: waits[1],
      retryAt: 1_003_000 + waits[1],
    },
    { ...all, attempt: 3, type: "repetition", code: "network", ms: waits[1] },
    { ...all, attempt: 3, type: "request", ms: 0 },
    { ...all, attempt: 3, type: "answer", status: 200, ms: 0 },
  ]);
  events.length = 0;
  await Promise.all([session.request("GET", "/a"), session.request("GET", "/b")]);
  assertEquals(new Set(events.map((event) => "id" in event ? event.id : 0)), new Set([2, 3]));
  const throttled = events.filter(({ type }) => type === "throttling");
  assert(throttled.length > 0 && throttled.every((event) => "ms" in event && event.ms > 0));
  assertThrows(() => new Session(undefined, { onEvent: "console" as never }), TypeError);
});

test("errors of another copy of this package are known as what they are", async () => {
  const other = await import(
    `../../lib/errors.ts?copy=${"2"}`
  ) as typeof import("../../lib/errors.ts");
  assert(other.AuthError !== AuthError, "it is the same copy");
  const auth = new other.AuthError("network", "m");
  const bad = new other.BadQuery("m", 400, "");
  assert(auth instanceof AuthError && auth instanceof PlanetError && !(auth instanceof ApiError));
  assert(bad instanceof BadQuery && bad instanceof ApiError && bad instanceof PlanetError);
  assert(!(bad instanceof ClientError) && !(bad instanceof AuthError));
  assert(new other.PagingError("m") instanceof ClientError);
  class Mine extends AuthError {}
  assert(new Mine("network", "m") instanceof other.AuthError);
  assert(!(auth instanceof Mine), "a class of the program's own has no kin elsewhere");
  for (
    const value of [
      undefined,
      null,
      1,
      "AuthError",
      {},
      { name: "AuthError" },
      new Error("m"),
      () => {},
    ]
  ) {
    assert(!(value instanceof AuthError) && !(value instanceof PlanetError));
  }
  // What another copy throws on the way is no lost connection.
  const session = new Session({ authorization: () => Promise.reject(auth) }, {
    clock: fakeClock(),
  });
  assertEquals(await session.request("GET", "/x").catch((error) => error), auth);
});

for (const entry of ["session.fetch", "auth.fetch"]) {
  test(`${entry}(): the signal of a Request that nobody keeps aborts, after the garbage is collected too`, async () => {
    const arrived = Promise.withResolvers<void>();
    const silent: Handler = (request) => request.resume().on("end", () => arrived.resolve());
    await withServers([silent], async (origin) => {
      const auth = Auth.fromKey(secret("key"), { allowedOrigins: [origin] });
      const session = new Session(auth, { maxRetries: 0 });
      const controller = new AbortController();
      const send = entry === "auth.fetch" ? auth.fetch : session.fetch.bind(session);
      const init = { method: "POST", body: "text", signal: controller.signal };
      const outcome = send(new Request(`${origin}/silent`, init)).catch((error) => error);
      await arrived.promise;
      await heapMiB();
      const enough = new Error("enough");
      controller.abort(enough);
      assertEquals(await outcome, enough);
    });
  });
}
