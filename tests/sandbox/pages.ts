/**
 * Pages of lists, as Planet's APIs have them: four styles of links, and what can be odd about them.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import { sendJson } from "./http_server.ts";

type Json = Record<string, unknown>;

/** How pages follow each other. */
export type Paging = "plain" | "relative" | "empty page" | "circle";

/** Where a page has the link to the next one. */
export type PageStyle = "_links._next" | "_links.next" | "links" | "meta.next";

/** How a list is cut into pages. */
export interface Pages {
  /** Name of the array in each page. */
  readonly member: string;
  /** Where the link to the next page is. */
  readonly style: PageStyle;
  /** How pages follow each other. */
  readonly paging: Paging;
  /** Objects in a page. */
  readonly size: number;
  /** Further members of each page. */
  readonly more?: Json;
}

/** Sends the page of `all` that `url` names by its parameter `_page`. */
export function sendPage(url: URL, all: readonly Json[], response: ServerResponse, pages: Pages) {
  const { member, more = {}, paging, size, style } = pages;
  const page = Math.max(Number(url.searchParams.get("_page") ?? 1), 1);
  const linked = (name: string, value: string) => {
    const link = new URL(url);
    link.searchParams.set(name, value);
    return paging === "relative" ? link.pathname + link.search : link.href;
  };
  const first = linked("_page", "1");
  let next = page * size < all.length ? linked("_page", String(page + 1)) : undefined;
  let items = all.slice((page - 1) * size, page * size);
  if (paging === "empty page" && !url.searchParams.has("_after")) {
    [next, items] = [linked("_after", "nothing"), []];
  }
  if (paging === "circle") next ??= first;
  const self = linked("_page", String(page));
  const links: Record<PageStyle, Json> = {
    "_links._next": { _links: { _first: first, _self: self, ...(next ? { _next: next } : {}) } },
    "_links.next": { _links: { _self: self, ...(next ? { next } : {}) } },
    "links": {
      links: [
        { rel: "self", href: self },
        ...(next ? [{ rel: "next", href: next }] : []),
      ],
    },
    "meta.next": { meta: { count: all.length, next: next ?? null } },
  };
  sendJson(response, 200, { ...links[style], ...more, [member]: items });
}
