import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { authenticatedFetch } from "../../lib/http/fetch.ts";
import type { Authorizer } from "../../lib/http/plan.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { noteServers, watchedFetch } from "../_support/watch.ts";
import { listen } from "../sandbox/http_server.ts";

const API = "https://api.test";
const OTHER = "https://other.test";
const TRUSTED = "https://tiles.test";

interface Sent {
  url: string;
  method: string;
  headers: Headers;
  body: string;
  redirect: string | undefined;
}

/** Answers in turn; the last one for good. */
function transport(...answers: (Response | ((sent: Sent) => Response))[]) {
  const sent: Sent[] = [];
  const fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const one: Sent = {
      url: String(input),
      method: init.method ?? "GET",
      headers: new Headers(init.headers),
      body: await new Response(init.body).text(),
      redirect: init.redirect,
    };
    sent.push(one);
    const answer = answers[Math.min(sent.length, answers.length) - 1]!;
    return typeof answer === "function" ? answer(one) : answer.clone();
  };
  return { sent, fetch: fetch as typeof globalThis.fetch };
}

/** An authorizer with the tokens `T1`, `T2`, … */
function tokens(count = 2): Authorizer & { replaced: string[] } {
  const replaced: string[] = [];
  return {
    replaced,
    authorization: () => `Bearer ${secret(`T${replaced.length + 1}`)}`,
    replace(rejected: string): Promise<string | undefined> {
      replaced.push(rejected);
      return Promise.resolve(
        replaced.length < count ? `Bearer ${secret(`T${replaced.length + 1}`)}` : undefined,
      );
    },
  };
}

function ok(): Response {
  return new Response("ok");
}

function redirect(status: number, location: string): Response {
  return new Response(null, { status, headers: { location } });
}

function make(fetch: typeof globalThis.fetch, authorizer: Authorizer = tokens()) {
  noteServers({ authorization: [], api: [API, TRUSTED] }, true);
  return authenticatedFetch(authorizer, {
    allowedOrigins: [API, TRUSTED],
    fetch: watchedFetch(fetch),
  });
}

const auth = (one: Sent | undefined) => one?.headers.get("authorization");

test("a plain call over the runtime's own fetch has the header of now; one that replaced it has an object", async () => {
  const seen: (string | undefined)[] = [];
  const { close, origin } = await listen(({ headers }, response) => {
    seen.push(headers.authorization);
    response.end("ok");
  });
  noteServers({ authorization: [], api: [origin] });
  let count = 0;
  const header = () => `Bearer ${secret(`T${Math.floor(count / 3)}`)}`;
  const fetch = authenticatedFetch({ authorization: header }, { allowedOrigins: [origin] });
  const expected: string[] = [];
  const before = globalThis.fetch;
  try {
    for (count = 0; count < 9; count++) {
      expected.push(header());
      await (await fetch(`${origin}/a`)).text();
    }
    assertEquals(seen, expected);
    for (let again = 0; again < 3; again++) {
      globalThis.fetch = ((_url: unknown, init: { headers: Record<string, string> }) => {
        assertEquals(init.headers, { authorization: header() });
        init.headers.authorization = "mine";
        return Promise.resolve(ok());
      }) as unknown as typeof fetch;
      assertEquals((await fetch(`${origin}/a`)).status, 200);
    }
    globalThis.fetch = before;
    await (await fetch(`${origin}/a`)).text();
    assertEquals(seen.at(-1), header());
  } finally {
    globalThis.fetch = before;
    await close();
  }
});

test("authenticatedFetch() adds the header to every form of headers and input", async () => {
  const forms: [RequestInfo | URL, RequestInit?][] = [
    [`${API}/a`],
    [new URL(`${API}/a`)],
    [`${API}/a`, { headers: { "X-A": "1", Authorization: "mine" } }],
    [`${API}/a`, { headers: [["x-a", "1"], ["authorization", "mine"]] }],
    [`${API}/a`, { headers: new Headers({ authorization: "mine" }) }],
    [new Request(`${API}/a`, { headers: { authorization: "mine" } })],
    [new Request(`${API}/a`), { headers: { "x-a": "1" } }],
    [`${API.toUpperCase()}/a`],
    [`${API}\\a`],
  ];
  for (const [input, init] of forms) {
    const { fetch, sent } = transport(ok());
    assertEquals(await (await make(fetch)(input, init)).text(), "ok");
    assertEquals(auth(sent[0]), `Bearer ${secret("T1")}`);
    assertEquals(new URL(sent[0]!.url).href, `${API}/a`);
  }
});

test("authenticatedFetch() leaves the caller's init and headers as they were", async () => {
  const { fetch } = transport(ok());
  const headers = { "x-a": "1" };
  const init = { headers };
  await make(fetch)(`${API}/a`, init);
  assertEquals([init, headers], [{ headers: { "x-a": "1" } }, { "x-a": "1" }]);
});

test("authenticatedFetch() needs no this", async () => {
  const { fetch } = transport(ok());
  const { call } = { call: make(fetch) };
  assertEquals((await call(`${API}/a`)).status, 200);
});

const FOREIGN = [
  `${OTHER}/`,
  "http://api.test/",
  `${API}:8443/`,
  `${API}.evil.test/`,
  `${API}@evil.test/`,
  "https://user@evil.test/",
  `${API}\t.evil.test/`,
  "data:text/plain,x",
  "file:///etc/passwd",
];
for (const url of FOREIGN) {
  test(`authenticatedFetch() sends nothing to ${JSON.stringify(url)}`, async () => {
    const { fetch, sent } = transport(ok());
    const error = await assertRejects(() => make(fetch)(url), AuthError);
    assertEquals(error.code, "untrusted_origin");
    assertEquals(sent.length, 0);
  });
}

test("authenticatedFetch() refuses what is no URL as fetch does", async () => {
  const { fetch, sent } = transport(ok());
  await assertRejects(() => make(fetch)("/searches"), TypeError);
  assertEquals(sent.length, 0);
});

test("authenticatedFetch() keeps the token on a redirect inside the allow-list", async () => {
  const { fetch, sent } = transport(redirect(302, "/b"), redirect(307, `${TRUSTED}/c`), ok());
  const answer = await make(fetch)(`${API}/a`);
  assertEquals(sent.map(({ url }) => url), [`${API}/a`, `${API}/b`, `${TRUSTED}/c`]);
  assertEquals(sent.map(auth), [
    `Bearer ${secret("T1")}`,
    `Bearer ${secret("T1")}`,
    `Bearer ${secret("T1")}`,
  ]);
  assert(answer.redirected);
});

test("authenticatedFetch() drops the token on a redirect that leaves the list, for good", async () => {
  const { fetch, sent } = transport(
    redirect(302, `${OTHER}/b`),
    redirect(302, `${API}/c`),
    ok(),
  );
  await make(fetch)(`${API}/a`, { headers: { cookie: "c", "x-a": "1" } });
  assertEquals(sent.map(auth), [`Bearer ${secret("T1")}`, null, null]);
  assertEquals(sent.map(({ headers }) => headers.get("cookie")), ["c", null, null]);
  assertEquals(sent.map(({ headers }) => headers.get("x-a")), ["1", "1", "1"]);
});

test("authenticatedFetch() does not renew for a 401 from outside the list", async () => {
  const { fetch } = transport(redirect(302, `${OTHER}/b`), new Response(null, { status: 401 }));
  const authorizer = tokens();
  assertEquals((await make(fetch, authorizer)(`${API}/a`)).status, 401);
  assertEquals(authorizer.replaced, []);
});

const METHODS: [number, string, string, string][] = [
  [301, "POST", "GET", ""],
  [302, "POST", "GET", ""],
  [303, "PUT", "GET", ""],
  [301, "PUT", "PUT", "body"],
  [307, "POST", "POST", "body"],
  [308, "PUT", "PUT", "body"],
];
for (const [status, before, after, body] of METHODS) {
  test(`authenticatedFetch() follows ${status} of ${before} by ${after} (Fetch §4.4)`, async () => {
    const { fetch, sent } = transport(redirect(status, "/b"), ok());
    await make(fetch)(`${API}/a`, {
      method: before,
      body: "body",
      headers: { "content-type": "text/plain" },
    });
    assertEquals([sent[1]!.method, sent[1]!.body], [after, body]);
    assertEquals(sent[1]!.headers.has("content-type"), body !== "");
  });
}

test("authenticatedFetch() leaves redirects to the caller who asks for that", async () => {
  const { fetch, sent } = transport(redirect(302, "/b"), ok());
  const answer = await make(fetch)(`${API}/a`, { redirect: "manual" });
  assertEquals([answer.status, sent.length], [302, 1]);
});

test("authenticatedFetch() fails at a redirect for redirect: error, which not every fetch knows", async () => {
  const { fetch, sent } = transport(redirect(302, "/b"), ok());
  await assertRejects(() => make(fetch)(`${API}/a`, { redirect: "error" }), TypeError, "redirect");
  assertEquals(sent.map((request) => request.redirect), ["manual"]);
  assertEquals((await make(fetch)(`${API}/a`, { redirect: "error" })).status, 200);
});

test("authenticatedFetch() ends a circle of redirects, and one to no web address", async () => {
  for (const location of [`${API}/a`, "javascript:alert(1)", "file:///etc/passwd", "http://:0"]) {
    const { fetch, sent } = transport(redirect(302, location));
    await assertRejects(() => make(fetch)(`${API}/a`), TypeError);
    assert(sent.length <= 22);
  }
});

test("authenticatedFetch() returns a redirect without a Location", async () => {
  const { fetch } = transport(new Response(null, { status: 304 }));
  assertEquals((await make(fetch)(`${API}/a`)).status, 304);
  const other = transport(new Response(null, { status: 302 }));
  assertEquals((await make(other.fetch)(`${API}/a`)).status, 302);
});

const unauthorized = (sent: Sent) =>
  auth(sent) === `Bearer ${secret("T1")}` ? new Response("no", { status: 401 }) : ok();

const BODIES: [string, () => BodyInit][] = [
  ["text", () => "body"],
  ["bytes", () => new TextEncoder().encode("body")],
  ["a buffer", () => new TextEncoder().encode("body").buffer],
  ["a Blob", () => new Blob(["body"])],
  ["URLSearchParams", () => new URLSearchParams("body")],
];
for (const [what, body] of BODIES) {
  test(`authenticatedFetch() repeats a request with ${what} once after a 401`, async () => {
    const { fetch, sent } = transport(unauthorized);
    const answer = await make(fetch)(`${API}/a`, { method: "POST", body: body() });
    assertEquals(answer.status, 200);
    assertEquals(sent.map(auth), [`Bearer ${secret("T1")}`, `Bearer ${secret("T2")}`]);
    assertEquals(sent[0]!.body, sent[1]!.body);
    assert(sent[0]!.body.startsWith("body"));
  });
}

test("authenticatedFetch() repeats a Request with its body after a 401", async () => {
  const { fetch, sent } = transport(unauthorized);
  const request = new Request(`${API}/a`, { method: "POST", body: "body" });
  assertEquals((await make(fetch)(request)).status, 200);
  assertEquals(sent.map(({ body, method }) => [body, method]), [["body", "POST"], [
    "body",
    "POST",
  ]]);
});

test("authenticatedFetch() returns the 401 to a stream, and has the token replaced for the next request", async () => {
  const { fetch, sent } = transport(unauthorized);
  const authorizer = tokens();
  const body = new Blob(["body"]).stream();
  const init = { method: "POST", body, duplex: "half" } as RequestInit;
  const answer = await make(fetch, authorizer)(`${API}/a`, init);
  assertEquals([answer.status, await answer.text()], [401, "no"]);
  assertEquals([sent.length, authorizer.replaced.length], [1, 1]);
  const again = { ...init, body: new Blob(["body"]).stream() } as RequestInit;
  assertEquals((await make(fetch, authorizer)(`${API}/a`, again)).status, 200);
});

test("authenticatedFetch() returns the 401 to a stream although the session is over, unless it was aborted", async () => {
  const { fetch } = transport(unauthorized);
  const authorizer: Authorizer = {
    authorization: () => `Bearer ${secret("T1")}`,
    replace: () => Promise.reject(new AuthError("session_expired", "Sign in again.")),
  };
  const post = (more: RequestInit) => {
    const init = { method: "POST", body: new Blob(["b"]).stream(), duplex: "half", ...more };
    return make(fetch, authorizer)(`${API}/a`, init);
  };
  assertEquals((await post({})).status, 401);
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => post({ signal }), Error);
});

test("authenticatedFetch() takes an authorizer that has no other token", async () => {
  const { fetch } = transport(new Response("no", { status: 401 }));
  const authorizer: Authorizer = { authorization: () => `Bearer ${secret("T1")}` };
  assertEquals((await make(fetch, authorizer)(`${API}/a`)).status, 401);
});

test("authenticatedFetch() takes a path from its base URL", async () => {
  const { fetch, sent } = transport(ok());
  const made = authenticatedFetch(tokens(), {
    allowedOrigins: [API],
    baseUrl: `${API}/base/`,
    fetch,
  });
  await made("/data/v1/searches?a=1");
  await made("/x", { method: "POST", body: "b" });
  assertEquals(sent.map(({ url }) => url), [
    `${API}/base/data/v1/searches?a=1`,
    `${API}/base/x`,
  ]);
  for (const url of ["//other.test/x", "/\\other.test/x", "x", ""]) {
    await assertRejects(() => made(url), Error);
  }
  assertEquals(sent.length, 2);
});

test("authenticatedFetch() returns the 401 where there is no other token, or it does not help", async () => {
  for (const count of [1, 2]) {
    const { fetch, sent } = transport(new Response("no", { status: 401 }));
    const answer = await make(fetch, tokens(count))(`${API}/a`);
    assertEquals([answer.status, await answer.text(), sent.length], [401, "no", count]);
  }
});

test("authenticatedFetch() fails with the reason where the session is over", async () => {
  const { fetch } = transport(new Response("no", { status: 401 }));
  const over = new AuthError("session_expired", "Sign in again.");
  const authorizer: Authorizer = {
    authorization: () => Promise.resolve(`Bearer ${secret("T1")}`),
    replace: () => Promise.reject(over),
  };
  assertEquals(await assertRejects(() => make(fetch, authorizer)(`${API}/a`)), over);
});
