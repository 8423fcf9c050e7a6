import { assert, assertEquals, assertRejects } from "@std/assert";
import { Auth } from "../../lib/auth.ts";
import type { SearchFilter } from "../../lib/clients/data_filter.ts";
import { ApiError, BadQuery, ClientError, MissingResource, PagingError } from "../../lib/errors.ts";
import { DataClient, Planet, Session } from "../../lib/session.ts";
import { secret } from "../_support/canaries.ts";
import {
  FakeResponse,
  type FakeServer,
  fakeServer,
  type FakeServerOptions,
} from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { startSandbox } from "../sandbox/sandbox.ts";

/** A client whose API says what a test tells it to. */
function fake(options: FakeServerOptions = {}): { data: DataClient; server: FakeServer } {
  const server = fakeServer(options);
  const auth = Auth.fromKey(secret("key"), {
    environment: server.environment,
    fetch: server.fetch,
  });
  return { data: new Planet(new Session(auth, { requestsPerSecond: 0 })).data, server };
}

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}

const FILTER: SearchFilter = { type: "AndFilter", config: [] };
const REQUEST = { itemTypes: ["PSScene"], searchFilter: FILTER, name: "Fields" };
const POINT = { type: "Point", coordinates: [13.4, 52.5] };

test("DataClient against the sandbox: lists, pages, limits, order and kinds of searches", async () => {
  const sandbox = await startSandbox();
  try {
    const { apiKey, environment, log } = sandbox;
    const { data } = new Planet(
      new Session(Auth.fromKey(apiKey, { environment }), { requestsPerSecond: 0 }),
    );
    const names = async (options: Parameters<DataClient["listSearches"]>[0]) =>
      (await all(data.listSearches(options))).map(({ name }) => name);
    assertEquals((await names({})).length, 12);
    assertEquals(log.count("api"), 3, "pages of five");
    log.reset();
    assertEquals(await names({ limit: 5 }), [
      "Field 12",
      "Field 11",
      "Field 10",
      "Field 9",
      "Field 8",
    ]);
    assertEquals(log.count("api"), 1, "no page behind the limit");
    assertEquals(log.entries[0]!.url.search, "", "defaults are not sent");
    assertEquals(await names({ sort: "created asc", limit: 2 }), ["Field 1", "Field 2"]);
    assertEquals(await names({ searchType: "quick" }), []);
    assertEquals((await names({ limit: 0 })).length, 12);

    const created = await data.createSearch({ ...REQUEST, geometry: POINT, enableEmail: true });
    assertEquals([created.name, created.__daily_email_enabled], ["Fields", true]);
    assertEquals(created.geometry, POINT);
    assertEquals(await data.getSearch(created.id), created);
    assertEquals(
      (await data.updateSearch(created.id, { ...REQUEST, name: "Woods" })).name,
      "Woods",
    );
    const items = await all(data.runSearch(created.id, { limit: 7, sort: "published asc" }));
    assertEquals(items.length, 7);
    assertEquals(await data.getItem("PSScene", items[0]!.id), items[0]!);
    await data.deleteSearch(created.id);
    await assertRejects(() => data.getSearch(created.id), MissingResource);
    await assertRejects(() => data.getItem("PSScene", "none/../../x"), MissingResource);

    const quick = await all(data.search({ itemTypes: ["PSScene", "SkySatScene"], limit: 0 }));
    assertEquals(quick.length, 24);
    await assertRejects(
      () => all(data.search({ itemTypes: ["x"], searchFilter: [] as never })),
      TypeError,
    );
  } finally {
    await sandbox.close();
  }
});

test("DataClient.search() sends what Python sends", async () => {
  const server = fakeServer({ api: [{ features: [] }] });
  const bodies: unknown[] = [];
  const session = new Session(
    Auth.fromKey(secret("key"), {
      environment: server.environment,
      fetch: (input, init) => {
        bodies.push([init?.method, JSON.parse(String(init?.body ?? "null"))]);
        return server.fetch(input, init);
      },
    }),
    { requestsPerSecond: 0 },
  );
  const client = new Planet(session).data;
  await all(client.search({ itemTypes: ["PSScene"] }));
  await all(client.search({ itemTypes: ["PSScene"], name: "n", geometry: "pl:features/a/b" }));
  assertEquals(bodies, [
    ["POST", { filter: FILTER, item_types: ["PSScene"] }],
    ["POST", {
      filter: FILTER,
      item_types: ["PSScene"],
      name: "n",
      geometry: { type: "ref", content: "pl:features/a/b" },
    }],
  ]);
});

const WRONG: [string, (data: DataClient) => Promise<unknown>, new (...args: never[]) => Error][] = [
  ["sort of a list", (data) => all(data.listSearches({ sort: "name asc" as never })), ClientError],
  ["kind of searches", (data) => all(data.listSearches({ searchType: "x" as never })), ClientError],
  ["kind of another type", (data) => all(data.listSearches({ searchType: 1 as never })), TypeError],
  ["negative limit", (data) => all(data.listSearches({ limit: -1 })), ClientError],
  ["broken limit", (data) => all(data.listSearches({ limit: 1.5 })), ClientError],
  ["limit as text", (data) => all(data.listSearches({ limit: "5" as never })), TypeError],
  ["identifier that is no UUID", (data) => all(data.runSearch("mine")), ClientError],
  [
    "sort of items",
    (data) => all(data.runSearch("0".repeat(32), { sort: "x" as never })),
    ClientError,
  ],
  ["empty identifier", (data) => data.getSearch(""), ClientError],
  ["identifier that climbs", (data) => data.deleteSearch(".."), ClientError],
  ["identifier of another type", (data) => data.getSearch(1 as never), TypeError],
  ["no item type", (data) => data.createSearch({ ...REQUEST, itemTypes: [] }), ClientError],
  [
    "item types as text",
    (data) => data.createSearch({ ...REQUEST, itemTypes: "a" as never }),
    TypeError,
  ],
  ["no name", (data) => data.createSearch({ ...REQUEST, name: undefined as never }), TypeError],
  [
    "no filter",
    (data) => data.updateSearch("a", { ...REQUEST, searchFilter: null as never }),
    TypeError,
  ],
  ["no request", (data) => data.createSearch(undefined as never), TypeError],
  ["geometry", (data) => data.createSearch({ ...REQUEST, geometry: {} }), ClientError],
  ["geometry in a filter", (data) => {
    const big = { type: "MultiPoint" as const, coordinates: Array(1_501).fill([0, 0]) };
    const config: SearchFilter[] = [
      {
        type: "NotFilter",
        config: { type: "GeometryFilter", field_name: "geometry", config: big },
      },
    ];
    return all(data.search({ itemTypes: ["x"], searchFilter: { type: "OrFilter", config } }));
  }, ClientError],
  ["item identifier", (data) => data.getItem("PSScene", "."), ClientError],
];
for (const [what, call, Class] of WRONG) {
  test(`DataClient refuses a wrong ${what} before anything is sent`, async () => {
    const { data, server } = fake();
    await assertRejects(() => call(data), Class as ErrorConstructor);
    assertEquals(server.requests.length, 0);
  });
}

test("DataClient takes words in any case, as Python does", async () => {
  const { data, server } = fake();
  await all(data.listSearches({ sort: "Created ASC" as never, searchType: "SAVED" as never }));
  assertEquals(server.requests[0]!.url.search, "?_sort=created+asc&search_type=saved");
});

test("DataClient encodes identifiers, so that none leaves its path", async () => {
  const { data, server } = fake({ api: [{ id: "a" }] });
  await data.getSearch("../../x?y#z");
  assertEquals(server.requests[0]!.path, "/data/v1/searches/..%2F..%2Fx%3Fy%23z");
});

test("DataClient tells a circle of pages, and a link that leaves the API", async () => {
  const { data, server } = fake({
    api: ({ url }) => ({ searches: [{ id: "1" }], _links: { _next: `${url.origin}/data/v1/b` } }),
  });
  await assertRejects(() => all(data.listSearches()), PagingError);
  server.options.api = [{ searches: [{ id: "1" }], _links: { _next: "https://evil.test/" } }];
  const error = await assertRejects(() => all(data.listSearches()));
  assertEquals((error as { code?: string }).code, "untrusted_origin");
});

test("DataClient tells an answer that is no JSON object, without quoting it", async () => {
  for (const body of ["<html>quoted", "[]", "null", ""]) {
    const { data } = fake({ api: [new FakeResponse(200, body)] });
    const error = await assertRejects(() => data.getSearch("a"), ApiError);
    assert(!error.message.includes("quoted"));
  }
});

test("DataClient hands the API's refusal on", async () => {
  const { data } = fake({ api: [new FakeResponse(400, { general: [{ message: "no" }] })] });
  const error = await assertRejects(() => data.createSearch(REQUEST), BadQuery);
  assert(error.body.includes("no"));
});

test("DataClient ends with the signal's reason", async () => {
  const { data, server } = fake();
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => all(data.listSearches({ signal })), Error, "enough");
  await assertRejects(() => data.deleteSearch("a", { signal }), Error, "enough");
  assertEquals(server.requests.length, 0);
});

test("DataClient is made by new, loads at its first call, and gives no list away before it is read", async () => {
  const server = fakeServer({ api: [{ searches: [{ id: "1" }] }] });
  const auth = Auth.fromKey(secret("key"), {
    environment: server.environment,
    fetch: server.fetch,
  });
  const session = new Session(auth, { requestsPerSecond: 0 });
  const data = new DataClient(session, { baseUrl: "/data/v2/" });
  assert(new Planet(session).data instanceof DataClient);
  const list = data.listSearches({ limit: 0 });
  assertEquals(server.requests.length, 0);
  assertEquals((await all(list)).map(({ id }) => id), ["1"]);
  assertEquals(server.requests.map(({ path }) => path), ["/data/v2/searches"]);
  assertEquals(await data.deleteSearch("a"), undefined);
});
