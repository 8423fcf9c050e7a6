/**
 * Lists: every object once, no request too many, and what ends them.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { Auth, PagingError, Planet, Session, type SessionEvent } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { withSandbox } from "../sandbox/sandbox.ts";
import { KINDS, longList, readLongList } from "./_lists.ts";
import { all, inWorld, type World } from "./_world.ts";

for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  test(`${kind}: 10,000 objects, each page once, and none is kept`, async () => {
    console.log(await readLongList(10_000, kind));
  });

  test(`${kind}: no page is asked for that nobody reads, and none after an abort`, async () => {
    const { asked, pl } = longList(1_000, kind);
    let count = 0;
    for await (const _ of KINDS[kind].read(pl, {})) if (++count === 300) break;
    assertEquals(asked, [0, 1], "left in the middle of the second page");
    asked.length = 0;
    const controller = new AbortController();
    await assertRejects(
      async () => {
        for await (const { id } of KINDS[kind].read(pl, { signal: controller.signal })) {
          if (id === "item-249") controller.abort(new Error("enough"));
        }
      },
      Error,
      "enough",
    );
    assertEquals(asked, [0]);
  });
}

test("search() asks for no page that nobody reads", async () => {
  const { asked, data } = longList(1_000);
  const options = { itemTypes: ["PSScene"], pageSize: 100 };
  let count = 0;
  for await (const _ of data.search({ ...options, limit: 0 })) if (++count === 150) break;
  assertEquals(asked, [0, 1], "left in the middle of the second page");
  asked.length = 0;
  for await (const _ of data.search({ ...options, limit: 200 }));
  assertEquals(asked, [0, 1], "the limit is the end of a page");
  asked.length = 0;
  for await (const _ of data.search(options));
  assertEquals(asked, [0], "100 if nothing is said");
  asked.length = 0;
  const controller = new AbortController();
  await assertRejects(
    async () => {
      for await (const { id } of data.search({ ...options, limit: 0, signal: controller.signal })) {
        if (id === "item-99") controller.abort(new Error("enough"));
      }
    },
    Error,
    "enough",
  );
  assertEquals(asked, [0], "nothing is asked for after an abort");
});

for (const paging of ["plain", "relative", "empty page"] as const) {
  test(`lists of the sandbox come whole: ${paging}`, () =>
    withSandbox(async ({ api, apiKey, environment }) => {
      api.paging = paging;
      const auth = Auth.fromKey(apiKey, { environment });
      const { data } = new Planet(new Session(auth, { requestsPerSecond: 0 }));
      const items = data.search({ itemTypes: ["PSScene"], limit: 0 });
      assertEquals(new Set((await Array.fromAsync(items)).map(({ id }) => id)).size, 12);
      assertEquals((await Array.fromAsync(data.listSearches({ limit: 0 }))).length, 13);
    }));
}

/** An order to make many of. */
const ORDER = {
  name: "n",
  products: [{ item_ids: ["a"], item_type: "PSScene", product_bundle: "visual" }],
};

for (const paging of ["plain", "relative", "empty page", "circle"] as const) {
  test(`listOrders() of the sandbox, whose pages are: ${paging}`, () =>
    withSandbox(async ({ apiKey, environment, log, orders: api }) => {
      const events: SessionEvent[] = [];
      const auth = Auth.fromKey(apiKey, { environment });
      const onEvent = (one: SessionEvent) => void events.push(one);
      const { orders } = new Planet(new Session(auth, { requestsPerSecond: 0, onEvent }));
      for (let count = 0; count < 12; count++) await orders.createOrder(ORDER);
      api.paging = paging;
      log.reset();
      const all = Array.fromAsync(orders.listOrders({ limit: 0 }));
      if (paging === "circle") {
        await assertRejects(() => all, PagingError);
        return assertEquals(log.count("api"), 4, "three pages, and the first again by its link");
      }
      assertEquals(new Set((await all).map(({ id }) => id)).size, 12);
      assertEquals(log.count("api"), paging === "empty page" ? 4 : 3);
      await Array.fromAsync(orders.listOrders({ limit: 7 }));
      assertEquals(events.filter(({ type }) => type === "limit").length, 1);
    }));
}

test("a circle of pages is an error, not an endless list", () =>
  withSandbox(async ({ api, apiKey, environment, log }) => {
    api.paging = "circle";
    const auth = Auth.fromKey(apiKey, { environment });
    const { data } = new Planet(new Session(auth, { requestsPerSecond: 0 }));
    await assertRejects(() => Array.fromAsync(data.listSearches({ limit: 0 })), PagingError);
    assertEquals(
      log.count("api"),
      4,
      "12 searches on three pages, and the first again by its link",
    );
  }));

test("a list that its limit cut short says so", () =>
  withSandbox(async ({ apiKey, environment }) => {
    const events: SessionEvent[] = [];
    const auth = Auth.fromKey(apiKey, { environment });
    const session = new Session(auth, { requestsPerSecond: 0, onEvent: (one) => events.push(one) });
    const { data } = new Planet(session);
    const limits = () => events.splice(0).filter(({ type }) => type === "limit").length;
    await Array.fromAsync(data.listSearches({ limit: 12 }));
    assertEquals(limits(), 0);
    await Array.fromAsync(data.listSearches({ limit: 11 }));
    assertEquals(limits(), 1);
  }));

/** A list of each of the smaller APIs: how many it has, and how many pages. */
const LISTS: Readonly<
  Record<
    "features" | "mosaics" | "quota" | "subscriptions",
    readonly [count: number, read: (world: World, limit?: number) => AsyncIterable<unknown>]
  >
> = {
  features: [3, ({ pl: { features } }, limit) => features.listCollections({ limit, pageSize: 2 })],
  mosaics: [
    12,
    ({ pl: { mosaics } }, limit) =>
      mosaics.listQuads("global_monthly_2026_01_mosaic", { fullExtent: true, limit, pageSize: 5 }),
  ],
  quota: [
    8,
    ({ pl: { quota } }, limit = 0) => quota.listReservations({ limit, pageSize: 3 }),
  ],
  subscriptions: [
    6,
    ({ pl: { subscriptions } }, limit = 0) =>
      subscriptions.listSubscriptions({ limit, pageSize: 4 }),
  ],
};

for (const [name, [count, read]] of Object.entries(LISTS)) {
  const room = name as keyof typeof LISTS;
  test(`lists of pl.${room} come whole; a circle is an error, a limit is told`, () =>
    inWorld(async (world) => {
      const { events, pl, sandbox } = world;
      for (const title of ["b", "c"]) await pl.features.createCollection(title);
      for (const paging of ["plain", "relative", "empty page"] as const) {
        sandbox[room].paging = paging;
        assertEquals((await all(read(world))).length, count, paging);
      }
      sandbox[room].paging = "plain";
      events.length = 0;
      assertEquals((await all(read(world, 1))).length, 1);
      assertEquals(events.filter(({ type }) => type === "limit").length, 1);
      sandbox[room].paging = "circle";
      await assertRejects(() => all(read(world)), PagingError);
    }));
}
