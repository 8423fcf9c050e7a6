import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { inspect } from "node:util";
import {
  ApiError,
  Auth,
  AuthError,
  ClientError,
  InvalidAPIKey,
  Session,
  type SessionHttpOptions,
  TooManyRequests,
} from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { freePort } from "../_support/free_port.ts";
import { test } from "../_support/harness.ts";
import { listen } from "../sandbox/http_server.ts";

const API = "https://api.planet.com";
const PATH = "/compute/ops/orders/v2";
const HIDDEN = secret("query-of-a-link");
const NOW = 1_700_000_000_000;

/** A session whose transport answers in turn, the last time for good; with an access token or a key. */
function world(
  steps: (Response | Error | (() => unknown))[],
  options: SessionHttpOptions = {},
  header = `Bearer ${secret("T1")}`,
) {
  let sent = 0;
  const session = new Session({ authorization: () => header }, {
    clock: fakeClock({ now: NOW }),
    requestsPerSecond: 0,
    fetch: async () => {
      const step = steps[Math.min(++sent, steps.length) - 1]!;
      if (typeof step === "function") return await step() as Response;
      if (step instanceof Error) throw step;
      return step.clone();
    },
    ...options,
  });
  return { session, sent: () => sent };
}

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });

const WORDS: [string, unknown, string][] = [
  ["Planet's general and field", {
    general: [{ message: "Unable to accept order" }],
    field: { "products.0": [{ message: "no access" }], name: [{ message: "too long" }] },
  }, "Unable to accept order; products.0: no access; name: too long"],
  ["a message", { code: 600, message: "wrong filter" }, "wrong filter"],
  [
    "an error",
    { error: "invalid_request", error_description: "no scope" },
    "no scope; invalid_request",
  ],
  ["an error in an object", { error: { code: 7, message: "deep" } }, "deep"],
  ["errors", { errors: [{ detail: "one" }, { detail: "two" }, { detail: "one" }] }, "one; two"],
  [
    "details of a validation",
    { detail: [{ loc: ["body"], msg: "field required" }] },
    "field required",
  ],
  ["a problem (RFC 9457)", { title: "Out of credit", status: 403 }, "Out of credit"],
  ["text", "upstream is gone", "upstream is gone"],
  ["JSON text", '"no"', "no"],
  ["control characters", "a\u0000b\u001b[31m\r\nc\u202ed", "a b [31m c d"],
  ["quotes", 'say "no"', "say 'no'"],
  ["a link", { message: `see ${API}/x?token=${HIDDEN} and more` }, `see ${API}/x?… and more`],
  [
    "a link in JSON of another kind",
    `{"message":"at \\"https:\\/\\/x.test\\/y?a=1\\u0026token=${HIDDEN}\\", it"}`,
    "at 'https://x.test/y?…', it",
  ],
];
for (const [what, body, words] of WORDS) {
  test(`ApiError has the API's own words: ${what}`, async () => {
    const { session } = world([answer(400, body)]);
    const error = await assertRejects(() => session.request("POST", PATH), ApiError);
    assertEquals(
      error.message,
      `Correct the request: POST ${API}${PATH} was answered 400: "${words}".`,
    );
    const isJson = typeof body !== "string" || /^["{]/.test(body);
    assertEquals(error.detail, isJson ? JSON.parse(error.body) : undefined);
  });
}

test("ApiError has no words where there are none, and no page of HTML", async () => {
  for (const body of ["", "<!doctype html><p>502</p>", {}, { field: {} }, { message: "" }, null]) {
    const { session } = world([answer(404, body)]);
    const error = await assertRejects(() => session.request("GET", PATH), ApiError);
    assertEquals(error.message, `Check the identifier: GET ${API}${PATH} was answered 404.`);
  }
});

test("ApiError cuts long words, and those that lie deep", async () => {
  const { session } = world([answer(400, "x".repeat(5_000))]);
  const error = await assertRejects(() => session.request("GET", PATH), ApiError);
  assertEquals([error.message.length < 450, error.body.length], [true, 5_000]);
  let deep: unknown = "bottom";
  for (let level = 0; level < 1_000; level++) deep = { error: deep };
  const other = world([answer(400, deep)]);
  assert(await assertRejects(() => other.session.request("GET", PATH), ApiError));
});

test("ApiError keeps credentials, cookies and links out of all its members", async () => {
  const token = secret("T1");
  const { session } = world([
    answer(400, { message: `no such token: ${token}` }, {
      "set-cookie": `a=${HIDDEN}`,
      location: `${API}/x?token=${HIDDEN}`,
      link: `<${API}/x?token=${HIDDEN}>; rel=next`,
      "x-echo": `Bearer ${token}`,
      "x-request-id": "7",
    }),
  ]);
  const error = await assertRejects(
    () => session.request("GET", `${PATH}?api_key=${HIDDEN}`),
    ApiError,
  );
  const all = `${error.message} ${error.body} ${error.url} ${inspect(error)} ${error.stack}` +
    JSON.stringify([error, error.detail, [...error.headers]]);
  assert(!all.includes(token) && !all.includes(HIDDEN), all);
  assertEquals(error.url, `${API}${PATH}`);
  assertEquals(error.headers.get("x-request-id"), "7");
  assertEquals(error.headers.get("x-echo"), "Bearer (secret)");
});

test("ApiError keeps the credentials of a request out, which an API quotes", async () => {
  const [key, token] = [secret("access-key"), secret("sas-token")];
  const json = {
    name: "bucket",
    parameters: { aws_access_key_id: "plain", aws_secret_access_key: key },
    list: [{ sas: { credentials: [token] } }],
  };
  const { session } = world([answer(400, { message: `bucket refused ${key} and ${token}` })]);
  const error = await assertRejects(() => session.request("POST", PATH, { json }), ApiError);
  assert(error.message.includes("bucket refused (secret) and (secret)"), error.message);
  assert(!inspect(error).includes(key));
});

test("ApiError says which credential a 401 refused, although its body is empty", async () => {
  for (
    const [header, words] of [
      [`Bearer ${secret("T1")}`, "Sign in again: the access token was refused"],
      [`api-key ${secret("key")}`, "Check the API key: it was refused"],
      [`Basic ${secret("basic")}`, "Check the credentials: they were refused"],
      ["", "Sign in: no credentials were sent"],
    ]
  ) {
    const { session } = world([answer(401, "")], {}, header);
    const error = await assertRejects(() => session.request("GET", PATH), InvalidAPIKey);
    assertEquals(error.message, `${words}: GET ${API}${PATH} was answered 401.`);
  }
});

test("ApiError.retryAt is what Retry-After says; a 429 that goes on may be the quota", async () => {
  const { session } = world([answer(429, "", { "retry-after": "3" })], { maxRetries: 1 });
  const error = await assertRejects(() => session.request("GET", PATH), TooManyRequests);
  assertEquals(error.retryAt, NOW + 3_000 + 3_000);
  assert(/quota/.test(error.message), error.message);
  const without = world([answer(503, "")], { maxRetries: 0 });
  const other = await assertRejects(() => without.session.request("GET", PATH), ApiError);
  assertEquals("retryAt" in other, false);
});

for (const method of ["POST", "PATCH"]) {
  test(`what a ${method} may have done is said, and how to look`, async () => {
    const steps = [answer(500, ""), answer(502, ""), new TypeError("fetch failed")];
    for (const step of steps) {
      const { sent, session } = world([step]);
      const error = await assertRejects(
        () => session.request(method, `${PATH}?a=${HIDDEN}`),
        Error,
      );
      const start = `Look with GET ${API}${PATH} before you send the ${method} again`;
      assert(error.message.startsWith(start), error.message);
      assertEquals(sent(), 1);
    }
    const { session } = world([new TypeError("fetch failed")]);
    const init = { method, body: "b" };
    const error = await assertRejects(() => session.fetch(`${API}${PATH}`, init), AuthError);
    assert(error.message.startsWith("Look with GET"), error.message);
  });
}

test("a request that is idempotent by what it does is sent again", async () => {
  const { sent, session } = world([
    answer(502, ""),
    new TypeError("fetch failed"),
    answer(200, "{}"),
  ]);
  assertEquals((await session.request("POST", PATH, { idempotent: true })).status, 200);
  assertEquals(sent(), 3);
  const once = world([answer(502, "")]);
  await assertRejects(() => once.session.request("PUT", PATH, { idempotent: false }));
  assertEquals(once.sent(), 1);
});

const MISTAKES: [string, () => unknown][] = [
  ["a ReferenceError", () => (globalThis as unknown as { noSuchThing(): void }).noSuchThing()],
  ["a property of undefined", () => (undefined as unknown as { a: { b: string } }).a.b],
  ["a RangeError", () => new Array(-1)],
  ["a SyntaxError", () => JSON.parse("{")],
  ["a value that is no error", () => {
    throw "text";
  }],
  ["undefined", () => {
    throw undefined;
  }],
  ["an iteration of nothing", () => {
    const [one] = undefined as unknown as string[];
    return one;
  }],
  ["a DataCloneError", () => structuredClone(() => {})],
];
for (const [what, make] of MISTAKES) {
  test(`a mistake in the application's own fetch is thrown as it is, once: ${what}`, async () => {
    for (const entry of ["request", "fetch"] as const) {
      let thrown: unknown;
      const { sent, session } = world([() => {
        try {
          make();
          throw new Error("It was no mistake.");
        } catch (error) {
          thrown = error;
          throw error;
        }
      }]);
      const url = `${API}/x`;
      const found = await (entry === "fetch" ? session.fetch(url) : session.request("GET", url))
        .catch((error) => error);
      assertStrictEquals(found, thrown);
      assertEquals(sent(), 1);
    }
  });
}

const WRONG: [string, RequestInit][] = [
  ["a body with GET", { method: "GET", body: "b" }],
  ["a header that is none", { headers: { "a b": "c" } }],
  ["a stream that somebody reads", {
    method: "POST",
    get body() {
      const stream = new Blob(["b"]).stream();
      stream.getReader();
      return stream;
    },
  }],
];
for (const [what, init] of WRONG) {
  test(`Session.fetch() throws what fetch throws for ${what}, once, and sends nothing`, async () => {
    let requests = 0;
    const server = await listen((_, response) => response.end(`${++requests}`));
    try {
      const clock = fakeClock();
      const auth = Auth.fromKey(secret("key"), { allowedOrigins: [server.origin] });
      const session = new Session(auth, { clock });
      await assertRejects(() => session.fetch(server.origin, init), TypeError);
      assertEquals([requests, clock.waits], [0, []]);
    } finally {
      await server.close();
    }
  });
}

test("what a body's stream fails with is thrown as it is, once; so is a part that is no bytes", async () => {
  let requests = 0;
  const server = await listen((request, response) => {
    requests++;
    request.on("error", () => {}).resume().on("end", () => response.end("done"));
  });
  try {
    const auth = Auth.fromKey(secret("key"), { allowedOrigins: [server.origin] });
    const session = new Session(auth, { clock: fakeClock(), requestsPerSecond: 0 });
    for (const parts of [0, 3]) {
      const mine = new RangeError("mine");
      let left = parts;
      const stream = () =>
        new ReadableStream({
          pull(controller) {
            if (left-- <= 0) throw mine;
            controller.enqueue(new Uint8Array(70_000));
          },
        });
      assertStrictEquals(
        await session.request("PUT", server.origin, { body: stream() }).catch((error) => error),
        mine,
      );
      left = parts;
      const init = { method: "PUT", body: stream() };
      assertStrictEquals(await session.fetch(server.origin, init).catch((error) => error), mine);
    }
    const text = () => ReadableStream.from(["text"]) as ReadableStream<never>;
    await assertRejects(
      () => session.request("PUT", server.origin, { body: text() }),
      TypeError,
      "Uint8Array",
    );
    assert(requests <= 5, `${requests} requests`);
  } finally {
    await server.close();
  }
});

test("a stream is sent whole after a connection that was never opened, as far as it was not lost", async () => {
  const bodies: string[] = [];
  let refuse = true;
  const refused = Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
  });
  const session = new Session({ authorization: () => "" }, {
    clock: fakeClock(),
    fetch: async (_, init) => {
      const reader = (init!.body as ReadableStream<Uint8Array>).getReader();
      if (refuse) {
        // Deno reads before it connects.
        await reader.read();
        await reader.cancel();
        refuse = false;
        throw refused;
      }
      reader.releaseLock();
      bodies.push(await new Response(init!.body!).text());
      return new Response("{}");
    },
  });
  const put = (size: number) => {
    const parts = Array.from(
      { length: size },
      (_, index) => new Uint8Array(65_536).fill(97 + index % 26),
    );
    return session.request("POST", "/x", { body: ReadableStream.from(parts) });
  };
  await put(4);
  assertEquals(bodies[0], Array.from("abcd", (letter) => letter.repeat(65_536)).join(""));
  refuse = true;
  await put(40);
  assertEquals(bodies[1]!.length, 40 * 65_536);
});

test("nothing of an address gets into the cause of a lost connection", async () => {
  // Not known to the watch, which rightly minds it in the address of a request.
  const signature = "0123456789abcdef-signature";
  const origin = `http://127.0.0.1:${await freePort()}`;
  const cut = await listen((request) => void request.socket.destroy());
  const sessionAt = (origin: string) =>
    new Session(Auth.fromKey(secret("key"), { allowedOrigins: [origin] }), { maxRetries: 0 });
  const [session, cutSession] = [sessionAt(origin), sessionAt(cut.origin)];
  const works: [string, () => Promise<unknown>][] = [
    ["request", () => session.request("GET", `${origin}/a?token=${signature}`)],
    ["fetch", () => session.fetch(`${origin}/a?token=${signature}`)],
    ["open", () => session.open(`${origin}/${signature}/a?token=${signature}`)],
    ["open elsewhere", () => cutSession.open(`${origin}/${signature}/a?token=${signature}`)],
    ["cut, request", () => cutSession.request("GET", `${cut.origin}/a?token=${signature}`)],
    ["cut, open", () => cutSession.open(`${cut.origin}/${signature}/a?token=${signature}`)],
  ];
  try {
    for (const [name, work] of works) {
      const error = await assertRejects(work, AuthError);
      const all = [inspect(error, { depth: 9, showHidden: true })];
      for (let at: unknown = error; at instanceof Error; at = at.cause) {
        all.push(at.message, String(at.stack), JSON.stringify(Object.entries(at)));
      }
      assert(!all.join(" ").includes(signature), `${name}: ${all.join("\n")}`);
    }
  } finally {
    await cut.close();
  }
});

test("maxRetries is checked for each call, before anything is sent", async () => {
  const { sent, session } = world([answer(429, "")]);
  const wrong: [unknown, new (...args: never[]) => Error][] = [
    [NaN, ClientError],
    [-1, ClientError],
    [1.5, ClientError],
    [Infinity, ClientError],
    ["3", TypeError],
    [null, TypeError],
  ];
  for (const [value, Class] of wrong) {
    const options = { maxRetries: value as number };
    const calls: (() => Promise<unknown>)[] = [
      () => session.request("GET", "/x", options),
      () => session.open(`${API}/x`, options),
      () => Array.fromAsync(session.list("GET", "/x", { member: "a", ...options })),
      () => session.client("data").getSearch("a", options),
      () => Array.fromAsync(session.client("data").listSearches(options)),
      () => Array.fromAsync(session.client("data").search({ itemTypes: ["a"], ...options })),
    ];
    for (const call of calls) await assertRejects(call, Class as ErrorConstructor, "maxRetries");
  }
  assertEquals(sent(), 0);
  await assertRejects(() => session.client("data").getSearch("a", { maxRetries: 1 }));
  assertEquals(sent(), 2);
});
