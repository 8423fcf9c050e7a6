import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ApiError,
  AuthError,
  BadGateway,
  BadQuery,
  Conflict,
  InvalidAPIKey,
  MissingResource,
  NoPermission,
  ServerError,
  TooManyRequests,
} from "../../lib/errors.ts";
import { Requester, type RequesterOptions } from "../../lib/http/requester.ts";
import { type FakeClock, fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";

const URL_ = "https://api.test/data/v1/searches?secret=1";

type Step = Response | Error | ((init: RequestInit) => Promise<Response>);

function world(steps: Step[], more: Partial<RequesterOptions> = {}): {
  requester: Requester;
  sent: RequestInit[];
  clock: FakeClock;
} {
  const sent: RequestInit[] = [];
  const clock = fakeClock({ now: 1_700_000_000_000 });
  const fetch = (_: unknown, init: RequestInit = {}): Promise<Response> => {
    sent.push(init);
    const step = steps[Math.min(sent.length, steps.length) - 1]!;
    if (typeof step === "function") return step(init);
    return step instanceof Error ? Promise.reject(step) : Promise.resolve(step.clone());
  };
  const requester = new Requester({
    baseUrl: "https://api.test",
    fetch: fetch as typeof globalThis.fetch,
    clock,
    maxRetries: 5,
    requestsPerSecond: 0,
    maxConcurrent: 50,
    timeoutMs: 1_000,
    headers: { "user-agent": "ours", "x-planet-app": "ours" },
    ...more,
  });
  return { requester, sent, clock };
}

const failed = () => new TypeError("fetch failed");
const answer = (status: number, body = "", headers: Record<string, string> = {}) =>
  new Response(body, { status, headers });
const OK = () => answer(200, "fine");

const CLASSES: [number, typeof ApiError][] = [
  [400, BadQuery],
  [401, InvalidAPIKey],
  [403, NoPermission],
  [404, MissingResource],
  [409, Conflict],
  [418, ApiError],
  [429, TooManyRequests],
  [500, ServerError],
  [502, BadGateway],
  [503, ApiError],
];
for (const [status, Class] of CLASSES) {
  test(`Requester.request() throws ${Class.name} for ${status}, with the body and no query`, async () => {
    const { requester } = world([answer(status, "why")], { maxRetries: 0 });
    const error = await assertRejects(() => requester.request("GET", URL_), ApiError);
    assertEquals([error.constructor, error.status, error.body], [Class, status, "why"]);
    assert(!error.message.includes("secret"), error.message);
    assert(error.message.includes("GET https://api.test/data/v1/searches"), error.message);
  });
}

test("Requester.request() keeps at most 64 KiB of an error's body", async () => {
  const { requester } = world([answer(400, "x".repeat(100_000))]);
  const error = await assertRejects(() => requester.request("GET", URL_), ApiError);
  assertEquals(error.body.length, 65_536);
});

for (
  const [what, step] of [["429", answer(429)], ["502", answer(502)], [
    "a lost connection",
    failed(),
  ]] as const
) {
  test(`Requester repeats after ${what}, at most 5 times, with growing pauses`, async () => {
    const { clock, requester, sent } = world([step]);
    await assertRejects(() => requester.request("PUT", URL_, { body: "b" }));
    assertEquals(sent.length, 6);
    assertEquals(sent.map(({ body }) => body), Array(6).fill("b"));
    clock.waits.forEach((wait, index) => {
      const base = 2 ** (index + 1);
      assert(wait >= base / 2 && wait <= base, `${wait} s after try ${index + 1}`);
    });
  });
}

test("Requester returns the first answer that is no passing trouble", async () => {
  const { requester, sent } = world([answer(502), failed(), answer(429), OK()]);
  assertEquals(await (await requester.request("GET", URL_)).text(), "fine");
  assertEquals(sent.length, 4);
});

for (const status of [400, 401, 403, 404, 409, 418, 501, 505]) {
  test(`Requester does not repeat after ${status}`, async () => {
    const { requester, sent } = world([answer(status), OK()]);
    await assertRejects(() => requester.request("GET", URL_), ApiError);
    assertEquals(sent.length, 1);
  });
}

test("Requester waits as long as Retry-After says, in seconds or as a date", async () => {
  const date = new Date(1_700_000_000_000 + 40_000).toUTCString();
  for (const [header, seconds] of [["30", 30], [date, 40]] as const) {
    const { clock, requester } = world([answer(429, "", { "retry-after": header }), OK()]);
    await requester.request("GET", URL_);
    assertEquals(clock.waits, [seconds]);
  }
});

test("Requester gives up at once where the server wants a longer pause than a minute", async () => {
  const { clock, requester, sent } = world([answer(429, "", { "retry-after": "600" }), OK()]);
  await assertRejects(() => requester.request("GET", URL_), TooManyRequests);
  assertEquals([sent.length, clock.waits], [1, []]);
});

test("Requester.request() takes another number of repetitions for one request", async () => {
  const { requester, sent } = world([failed()]);
  const error = await assertRejects(
    () => requester.request("GET", URL_, { maxRetries: 0 }),
    AuthError,
  );
  assertEquals([error.code, sent.length], ["network", 1]);
});

test("Requester does not repeat an error of the session", async () => {
  const { requester, sent } = world([new AuthError("session_expired", "Sign in again.")]);
  const error = await assertRejects(() => requester.request("GET", URL_), AuthError);
  assertEquals([error.code, sent.length], ["session_expired", 1]);
});

test("Requester sends its headers where the request has none of that name", async () => {
  const { requester, sent } = world([OK()]);
  await requester.request("GET", URL_, { headers: { "User-Agent": "mine" } });
  const headers = new Headers(sent[0]!.headers);
  assertEquals([headers.get("user-agent"), headers.get("x-planet-app")], ["mine", "ours"]);
});

/** An answer that never comes; ends with its signal, as fetch does. */
const never = (init: RequestInit) =>
  new Promise<Response>((_, reject) => {
    init.signal!.addEventListener("abort", () => reject(init.signal!.reason));
  });

test("Requester ends a request that is not answered in time, and repeats it", async () => {
  const { requester, sent } = world([never, () => Promise.resolve(OK())], { timeoutMs: 20 });
  assertEquals((await requester.request("GET", URL_)).status, 200);
  assertEquals(sent.length, 2);
});

/** An answer whose body begins and never ends. */
const stuck = (init: RequestInit) =>
  Promise.resolve(
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("["));
          init.signal!.addEventListener("abort", () => controller.error(init.signal!.reason));
        },
      }),
    ),
  );

test("Requester ends an answer that stops in the middle", async () => {
  const { requester } = world([stuck], { timeoutMs: 20, maxRetries: 0 });
  const error = await assertRejects(() => requester.request("GET", URL_), AuthError);
  assertEquals(error.code, "timeout");
  const streamed = await requester.fetch(URL_, {});
  assertEquals((await assertRejects(() => streamed.text(), AuthError)).code, "timeout");
});

test("Requester.request() asks again where the body breaks off", async () => {
  const broken = () =>
    Promise.resolve(
      new Response(
        new ReadableStream({
          pull: (controller) => controller.error(new TypeError("connection reset")),
        }),
      ),
    );
  const { requester, sent } = world([broken, () => Promise.resolve(OK())]);
  assertEquals(await (await requester.request("GET", URL_)).text(), "fine");
  assertEquals(sent.length, 2);
});

test("Requester.fetch() returns an answer whatever its status, and hands its body on", async () => {
  const { requester } = world([answer(404, "gone", { "x-a": "1", "content-length": "4" })]);
  const response = await requester.fetch(URL_, {});
  assertEquals([response.status, response.headers.get("x-a")], [404, "1"]);
  assertEquals(await response.text(), "gone");
});

test("Requester.fetch() sends a stream once", async () => {
  const { requester, sent } = world([failed()]);
  const init = { method: "POST", body: new Blob(["b"]).stream(), duplex: "half" } as RequestInit;
  await assertRejects(() => requester.fetch(URL_, init), AuthError);
  assertEquals(sent.length, 1);
});

test("Requester hands answers without a body on", async () => {
  for (const status of [204, 304]) {
    const { requester } = world([new Response(null, { status })]);
    assertEquals((await requester.request("GET", URL_)).status, status);
  }
});

test("Requester ends with the signal's reason, while it waits and while it pauses", async () => {
  const reason = new Error("enough");
  const waiting = new AbortController();
  const { requester } = world([never], { timeoutMs: 5_000 });
  const work = requester.request("GET", URL_, { signal: waiting.signal });
  waiting.abort(reason);
  assertEquals(await assertRejects(() => work), reason);

  const pausing = new AbortController();
  const other = world([() => {
    pausing.abort(reason);
    return Promise.resolve(answer(429));
  }]);
  const pause = other.requester.request("GET", URL_, { signal: pausing.signal });
  assertEquals(await assertRejects(() => pause), reason);
  assertEquals(other.sent.length, 1);
});
