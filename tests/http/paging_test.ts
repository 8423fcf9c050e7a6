import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError, ClientError, PagingError } from "../../lib/errors.ts";
import type { SessionEvent } from "../../lib/events.ts";
import type { ListOptions } from "../../lib/http/requester.ts";
import { Session } from "../../lib/session.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";

const API = "https://api.planet.com";
const FIRST = `${API}/v1/list`;

const items = (ids: number[]) => ({ items: ids.map((id) => ({ id })) });
const page = (ids: number[], next?: unknown) => ({
  ...items(ids),
  ...(next === undefined ? {} : { _links: { _next: next } }),
});

/** A session whose API has these pages, by URL; it tells which were asked for. */
function world(pages: Record<string, unknown>) {
  const asked: string[] = [];
  const events: SessionEvent[] = [];
  const session = new Session({ authorization: () => `Bearer ${secret("T1")}` }, {
    clock: fakeClock(),
    requestsPerSecond: 0,
    maxRetries: 0,
    onEvent: (event) => events.push(event),
    fetch: (url) => {
      asked.push(String(url));
      return Promise.resolve(Response.json(pages[String(url)] ?? null));
    },
  });
  return { asked, events, session };
}

/** Reads a list; tells the identifiers and the pages that were asked for, without the origin. */
async function read(pages: Record<string, unknown>, limit = 0, more: Partial<ListOptions> = {}) {
  const { asked, session } = world(pages);
  const ids: unknown[] = [];
  const list = session.list("GET", "/v1/list", { member: "items", limit, ...more });
  for await (const { id } of list) ids.push(id);
  return { ids, asked: asked.map((url) => url.replace(API, "")) };
}

const STYLES: [string, (next: string) => Record<string, unknown>][] = [
  ["_links._next", (next) => ({ _links: { _self: "x", _next: next } })],
  ["_links.next", (next) => ({ _links: { next } })],
  ["links[] with rel: next", (next) => ({
    links: [{ rel: "self", href: FIRST }, { rel: "next", href: next }],
  })],
  ["meta.next", (next) => ({ meta: { next, previous: null } })],
];
for (const [what, style] of STYLES) {
  for (const next of [`${API}/v1/list?p=2`, "/v1/list?p=2", "?p=2", "list?p=2"]) {
    test(`Session.list() follows ${what}: ${next}`, async () => {
      const pages = {
        [FIRST]: { ...items([1, 2]), ...style(next) },
        [`${FIRST}?p=2`]: { ...items([3]), ...style("") },
      };
      assertEquals(await read(pages), { ids: [1, 2, 3], asked: ["/v1/list", "/v1/list?p=2"] });
    });
  }
}

test("Session.list() yields what all pages hold, an empty one among them", async () => {
  const pages = {
    [FIRST]: page([1, 2], "b"),
    [`${API}/v1/b`]: page([], "c"),
    [`${API}/v1/c`]: page([3], null),
  };
  assertEquals(await read(pages), { ids: [1, 2, 3], asked: ["/v1/list", "/v1/b", "/v1/c"] });
});

test("Session.list() asks for a page only when it is consumed", async () => {
  const { asked, session } = world({ [FIRST]: page([1], "b"), [`${API}/v1/b`]: page([2], "c") });
  const list = session.list("GET", "/v1/list", { member: "items" })[Symbol.asyncIterator]();
  assertEquals(asked, []);
  assertEquals((await list.next()).value, { id: 1 });
  assertEquals(asked.length, 1);
  assertEquals((await list.next()).value, { id: 2 });
  assertEquals(asked.length, 2);
  await list.return?.();
});

test("Session.list() ends at the limit, without the page behind it, and tells that there is more", async () => {
  assertEquals(await read({ [FIRST]: page([1, 2], "b") }, 2), { ids: [1, 2], asked: ["/v1/list"] });
  assertEquals(await read({ [FIRST]: page([1, 2]) }, 1), { ids: [1], asked: ["/v1/list"] });
  for (const [limit, told] of [[1, 1], [2, 1], [3, 0], [0, 0]] as const) {
    const { events, session } = world({
      [FIRST]: page([1, 2], `?token=${secret("link")}`),
      [`${FIRST}?token=${secret("link")}`]: page([3]),
    });
    for await (const _ of session.list("GET", "/v1/list", { member: "items", limit }));
    const found = events.filter(({ type }) => type === "limit");
    assertEquals(found, told ? [{ type: "limit", method: "GET", url: FIRST, limit }] : []);
    assert(!JSON.stringify(events).includes("token"));
  }
});

test("Session.list() has a limit of 100, as Python", async () => {
  const ids = Array.from({ length: 150 }, (_, index) => index);
  assertEquals(
    (await read({ [FIRST]: page(ids) }, undefined, { limit: undefined })).ids.length,
    100,
  );
});

const CIRCLES: [string, Record<string, unknown>][] = [
  ["a first page that leads to itself", { [FIRST]: page([1], FIRST) }],
  ["a page that leads to itself", { [FIRST]: page([1], "b"), [`${API}/v1/b`]: page([2], "b") }],
  ["two pages that lead to each other", {
    [FIRST]: page([1], "b"),
    [`${API}/v1/b`]: page([2], "c"),
    [`${API}/v1/c`]: page([3], "b"),
  }],
  ["a long circle", {
    [FIRST]: page([1], "0"),
    ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [
      `${API}/v1/${index}`,
      page([], `/v1/${(index + 1) % 50}`),
    ])),
  }],
];
for (const [what, pages] of CIRCLES) {
  test(`Session.list() ends ${what}`, async () => {
    const { asked, session } = world(pages);
    const list = session.list("GET", "/v1/list", { member: "items", limit: 0 });
    await assertRejects(
      async () => {
        for await (const _ of list);
      },
      PagingError,
      "circle",
    );
    assertEquals(asked.length, Object.keys(pages).length, "each page is asked for once");
  });
}

const NO_PAGES: unknown[] = [
  {},
  { items: {} },
  { items: [1] },
  { items: [null] },
  page([1], 7),
  page([1], "http://"),
];
for (const one of NO_PAGES) {
  test(`Session.list() refuses ${JSON.stringify(one)} as a page`, async () => {
    await assertRejects(() => read({ [FIRST]: one }), PagingError);
  });
}

test("Session.list() sends nothing to a next page outside the allow-list, and tells no link", async () => {
  const link = `https://evil.test/p?token=${secret("link")}`;
  const { asked, session } = world({ [FIRST]: page([1], link) });
  const error = await assertRejects(async () => {
    for await (const _ of session.list("GET", "/v1/list", { member: "items", limit: 0 }));
  }, AuthError);
  assertEquals([error.code, asked.length], ["untrusted_origin", 1]);
  assert(!error.message.includes("link"));
});

test("Session.list() checks its limit before anything is sent", async () => {
  for (const [limit, Class] of [[-1, ClientError], [1.5, ClientError], ["1", TypeError]] as const) {
    const { asked, session } = world({});
    await assertRejects(async () => {
      for await (
        const _ of session.list("GET", "/v1/list", { member: "items", limit: limit as number })
      );
    }, Class as ErrorConstructor);
    assertEquals(asked, []);
  }
});
