/**
 * Goes through the pages of a list, one when it is needed.
 *
 * @module
 */

import { PagingError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";

/** Gets a page by its URL. */
export type GetPage = (url: string) => Promise<unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Yields the objects of `first` and of the pages that follow it, at most
 * `limit` of them; 0 means all. An empty page does not end the list.
 *
 * @param first The first page, as JSON.
 * @param member Name of the array in each page.
 * @throws {PagingError} The pages lead in a circle, or one is no page.
 */
export async function* throughPages(
  first: unknown,
  member: string,
  limit: number,
  getPage: GetPage,
): AsyncGenerator<JsonObject, void, undefined> {
  const seen = new Set<string>();
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  for (let page = first;;) {
    const { items, next } = readPage(page, member);
    if (next !== undefined && seen.has(next)) {
      throw new PagingError("Report this to Planet: the pages of the list lead in a circle.");
    }
    for (const item of items) {
      yield item;
      if (--left <= 0) return;
    }
    if (next === undefined) return;
    seen.add(next);
    page = await getPage(next);
  }
}

function readPage(page: unknown, member: string): { items: JsonObject[]; next?: string } {
  const items = isObject(page) ? page[member] : undefined;
  if (!Array.isArray(items) || !items.every(isObject)) {
    throw new PagingError(`Report this to Planet: a page has no list of objects "${member}".`);
  }
  const links = (page as JsonObject)._links;
  const next = isObject(links) ? links._next : undefined;
  if (next === undefined || next === null || next === "") return { items };
  if (typeof next !== "string") {
    throw new PagingError("Report this to Planet: the link to the next page is no text.");
  }
  return { items, next };
}
