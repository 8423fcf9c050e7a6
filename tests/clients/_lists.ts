/**
 * Long lists: every object once, no request too many, flat memory.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Planet, Session } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { heapMiB } from "../resources/_counters.ts";

/** A list that may be long. */
interface Kind {
  /** Where its first page is. */
  readonly path: string;
  /** Name of the array in a page. */
  readonly member: string;
  /** What a page has beside it. */
  next(link: string | undefined): object;
  /** One object. */
  make(id: string, index: number): object;
  /** Reads it whole. */
  read(pl: Planet, options: { signal?: AbortSignal }): AsyncIterable<{ id: string }>;
}

/** The lists. */
export const KINDS = {
  search: {
    path: "/data/v1/searches/1/results",
    member: "features",
    next: (_next) => ({ _links: { _next } }),
    make: (id, index) => ({
      type: "Feature",
      id,
      geometry: { type: "Polygon", coordinates: [Array.from({ length: 5 }, () => [0, index])] },
      properties: {
        acquired: "2026-01-01T00:00:00Z",
        item_type: "PSScene",
        text: "x".repeat(300),
      },
    }),
    read: ({ data }, options) =>
      data.search({ itemTypes: ["PSScene"], limit: 0, pageSize: 250, ...options }),
  },
  orders: {
    path: "/compute/ops/orders/v2",
    member: "orders",
    next: (next) => ({ _links: { next } }),
    make: (id) => ({
      id,
      name: "Fields",
      state: "success",
      _links: { _self: "x".repeat(300) },
      products: [{ item_ids: Array(10).fill(id), item_type: "PSScene" }],
    }),
    read: ({ orders }, options) => orders.listOrders({ limit: 0, ...options }),
  },
  subscriptions: {
    path: "/subscriptions/v1",
    member: "subscriptions",
    next: (next) => ({ _links: { next } }),
    make: (id) => ({ id, name: "x".repeat(300), status: "running", delivery: { parameters: {} } }),
    read: ({ subscriptions }, options) => subscriptions.listSubscriptions({ limit: 0, ...options }),
  },
  features: {
    path: "/features/v1/ogc/my/collections/fields/items",
    member: "features",
    next: (href) => ({ links: href === undefined ? [] : [{ rel: "self" }, { rel: "next", href }] }),
    make: (id) => ({ type: "Feature", id, properties: { "pl:ref": "x".repeat(300) } }),
    read: ({ features }, options) => features.listItems("fields", options),
  },
  jobs: {
    path: "/account/v1/quota-reservations/jobs",
    member: "results",
    next: (next) => ({ meta: { next: next ?? null } }),
    make: (id) => ({ id, status: "x".repeat(300) }),
    read: ({ quota }, options) => quota.listJobs({ limit: 0, ...options }) as AsyncIterable<never>,
  },
} as const satisfies Record<string, Kind>;

/** An API with `count` objects, 250 a page if nothing is said; `asked` tells the pages that were asked for. */
export function longList(count: number, kind: keyof typeof KINDS = "search") {
  const { make, member, next, path }: Kind = KINDS[kind];
  const asked: number[] = [];
  const session = new Session({ authorization: () => `Bearer ${secret("T1")}` }, {
    requestsPerSecond: 0,
    fetch: async (input) => {
      const { searchParams } = new URL(String(input));
      const size = Number(searchParams.get("_page_size") ?? (kind === "search" ? 100 : 250));
      const page = Number(searchParams.get("_page") ?? 0);
      asked.push(page);
      const first = page * size;
      const items = Array.from(
        { length: Math.min(size, count - first) },
        (_, index) => make(`item-${first + index}`, index),
      );
      const link = first + size < count
        ? `https://api.planet.com${path}?_page=${page + 1}&_page_size=${size}`
        : undefined;
      await Promise.resolve();
      return Response.json({ ...next(link), [member]: items });
    },
  });
  const pl = new Planet(session);
  return { asked, data: pl.data, pl };
}

/** Reads a list of `count` objects; the heap at its end is that of its first tenth. */
export async function readLongList(
  count: number,
  kind: keyof typeof KINDS = "search",
): Promise<string> {
  const { asked, pl } = longList(count, kind);
  const pages = count / 250;
  let [number, early] = [0, 0];
  for await (const { id } of KINDS[kind].read(pl, {})) {
    if (id !== `item-${number++}`) throw new Error(`${id} came as number ${number - 1}`);
    if (number === count / 10) early = await heapMiB();
  }
  const late = await heapMiB();
  assertEquals(number, count);
  assertEquals(asked, Array.from({ length: pages }, (_, page) => page), "each page once, in order");
  const grown = late - early;
  assert(grown < 4, `the heap grew by ${grown.toFixed(1)} MiB`);
  return JSON.stringify({ kind, count, pages: asked.length, grownMiB: Number(grown.toFixed(2)) });
}
