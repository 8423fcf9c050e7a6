import { assertEquals, assertRejects } from "@std/assert";
import { PagingError } from "../../lib/errors.ts";
import { throughPages } from "../../lib/http/paging.ts";
import { test } from "../_support/harness.ts";

const page = (ids: number[], next?: unknown) => ({
  items: ids.map((id) => ({ id })),
  ...(next === undefined ? {} : { _links: { _next: next } }),
});

/** Reads a list; tells the identifiers and the pages asked for. */
async function read(first: unknown, pages: Record<string, unknown> = {}, limit = 0) {
  const asked: string[] = [];
  const ids: unknown[] = [];
  const list = throughPages(first, "items", limit, (url) => {
    asked.push(url);
    return Promise.resolve(pages[url]);
  });
  for await (const { id } of list) ids.push(id);
  return { ids, asked };
}

test("throughPages() yields what all pages hold, an empty one among them", async () => {
  const pages = { b: page([], "c"), c: page([3], null) };
  assertEquals(await read(page([1, 2], "b"), pages), { ids: [1, 2, 3], asked: ["b", "c"] });
});

test("throughPages() asks for a page only when it is consumed", async () => {
  const asked: string[] = [];
  const list = throughPages(page([1], "b"), "items", 0, (url) => {
    asked.push(url);
    return Promise.resolve(page([2], "c"));
  });
  assertEquals((await list.next()).value, { id: 1 });
  assertEquals(asked, []);
  assertEquals((await list.next()).value, { id: 2 });
  assertEquals(asked, ["b"]);
  await list.return();
});

test("throughPages() ends at the limit, without the page behind it", async () => {
  assertEquals(await read(page([1, 2], "b"), {}, 2), { ids: [1, 2], asked: [] });
  assertEquals(await read(page([1, 2], "b"), {}, 1), { ids: [1], asked: [] });
});

const CIRCLES: [string, Record<string, unknown>][] = [
  ["a page that leads to itself", { b: page([2], "b") }],
  ["two pages that lead to each other", { b: page([2], "c"), c: page([3], "b") }],
];
for (const [what, pages] of CIRCLES) {
  test(`throughPages() ends ${what}`, async () => {
    await assertRejects(() => read(page([1], "b"), pages), PagingError, "circle");
  });
}

const NO_PAGES: unknown[] = [
  undefined,
  null,
  "text",
  [],
  {},
  { items: {} },
  { items: [1] },
  { items: [null] },
  page([1], 7),
];
for (const one of NO_PAGES) {
  test(`throughPages() refuses ${JSON.stringify(one)} as a page`, async () => {
    await assertRejects(() => read(one), PagingError);
  });
}
