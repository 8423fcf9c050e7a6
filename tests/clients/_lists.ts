/**
 * Long lists of the Data API: every item once, no request too many, flat memory.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Planet, Session } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { heapMiB } from "../resources/_counters.ts";

const API = "https://api.planet.com/data/v1";

/** An API with `count` items, 250 a page; `asked` tells the pages that were asked for. */
export function longList(count: number) {
  const asked: number[] = [];
  const session = new Session({ authorization: () => `Bearer ${secret("T1")}` }, {
    requestsPerSecond: 0,
    fetch: async (input) => {
      const { searchParams } = new URL(String(input));
      const size = Number(searchParams.get("_page_size") ?? 100);
      const page = Number(searchParams.get("_page") ?? 0);
      asked.push(page);
      const first = page * size;
      const features = Array.from({ length: Math.min(size, count - first) }, (_, index) => ({
        type: "Feature",
        id: `item-${first + index}`,
        geometry: { type: "Polygon", coordinates: [Array.from({ length: 5 }, () => [0, index])] },
        properties: {
          acquired: "2026-01-01T00:00:00Z",
          item_type: "PSScene",
          text: "x".repeat(300),
        },
      }));
      const next = first + size < count
        ? { _next: `${API}/searches/1/results?_page=${page + 1}&_page_size=${size}` }
        : {};
      await Promise.resolve();
      return Response.json({ _links: next, features });
    },
  });
  return { asked, data: new Planet(session).data };
}

/** Reads a list of `count` items; the heap at its end is that of its first tenth. */
export async function readLongList(count: number): Promise<string> {
  const { asked, data } = longList(count);
  const pages = count / 250;
  let [number, early] = [0, 0];
  for await (const { id } of data.search({ itemTypes: ["PSScene"], limit: 0, pageSize: 250 })) {
    if (id !== `item-${number++}`) throw new Error(`${id} came as number ${number - 1}`);
    if (number === count / 10) early = await heapMiB();
  }
  const late = await heapMiB();
  assertEquals(number, count);
  assertEquals(asked, Array.from({ length: pages }, (_, page) => page), "each page once, in order");
  const grown = late - early;
  assert(grown < 4, `the heap grew by ${grown.toFixed(1)} MiB`);
  return JSON.stringify({ count, pages: asked.length, grownMiB: Number(grown.toFixed(2)) });
}
