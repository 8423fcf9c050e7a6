/**
 * A small Basemaps API for the sandbox: a series of mosaics, each of 4 × 3 quads of one degree.
 *
 * Paths and shapes are those of Planet's Basemaps API v1, as far as `PLANET_API.md` knows them.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import { type ApiCall, type ApiRoom, compare, type DataApi } from "./data_api.ts";
import { sendJson } from "./http_server.ts";
import { parsed } from "./orders_api.ts";
import { type Paging, sendPage } from "./pages.ts";
import type { StoredFile } from "./storage.ts";

type Json = Record<string, unknown>;

const [WEST, SOUTH, COLUMNS, ROWS] = [13, 52, 4, 3];

const idOf = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** Identifier of the series. */
const SERIES = idOf(900);

/** The bounds of a geometry. */
function boundsOf(geometry: unknown): number[] {
  const numbers = (geometry as { coordinates: unknown[] }).coordinates.flat(9) as number[];
  const [xs, ys] = [0, 1].map((at) => numbers.filter((_, index) => index % 2 === at));
  return [Math.min(...xs!), Math.min(...ys!), Math.max(...xs!), Math.max(...ys!)];
}

/** The mosaics. */
export class BasemapsApi implements ApiRoom {
  /** What its paths begin with. */
  readonly prefix = "/basemaps/v1/";
  /** Objects in a page. */
  pageSize = 5;
  /** How pages follow each other. */
  paging: Paging = "plain";
  /** Size of each quad in bytes. */
  quadBytes = 100_000;
  /** Changes what is said of a quad. */
  quadHook: ((quad: Json) => Json) | undefined;
  readonly #data: DataApi;

  /** Has three mosaics; `data` makes the links to files. */
  constructor(data: DataApi) {
    this.#data = data;
  }

  /** The file of a quad, by its path: `quads`, mosaic, quad. */
  file(path: string): StoredFile | undefined {
    const [room, mosaic, name, ...rest] = path.split("/");
    if (room !== "quads" || name === undefined || rest.length > 0) return undefined;
    let seed = 11;
    for (const char of mosaic + name) seed = (Math.imul(seed, 31) + char.charCodeAt(0)) | 0;
    const size = this.quadBytes;
    return { name: `L15-${name}.tif`, type: "image/tiff", size, seed: seed >>> 0 };
  }

  /** Answers one call. */
  handle({ body, method, url }: ApiCall, path: string[], response: ServerResponse): void {
    const [kind, id, leaf, quad, more] = path;
    const missing = () => sendJson(response, 404, { message: `${kind} Not Found` });
    const asked = url.searchParams;
    const page = (member: string, all: Json[], size = this.pageSize) => {
      const { paging } = this;
      size = Number(asked.get("_page_size") ?? size);
      sendPage(url, all, response, { member, paging, size, style: "_links._next" });
    };
    const named = (all: Json[]) =>
      all.filter(({ name }) =>
        [null, name].includes(asked.get("name__is")) &&
        String(name).includes(asked.get("name__contains") ?? "")
      );
    const series = { id: SERIES, name: "global_monthly", interval: "1 mon" };
    const mosaics = [1, 2, 3].map((number) => this.#mosaic(number));
    if (kind === "series" && method === "GET") {
      if (id === undefined) return page("series", named([series]));
      if (id !== SERIES) return missing();
      if (leaf === undefined) return sendJson(response, 200, series);
      return page("mosaics", asked.get("latest") === "yes" ? mosaics.slice(-1) : mosaics);
    }
    if (kind !== "mosaics") return missing();
    if (id === undefined) return page("mosaics", named(mosaics));
    const mosaic = mosaics.find((one) => one.id === id);
    if (mosaic === undefined) return missing();
    if (leaf === undefined) return sendJson(response, 200, mosaic);
    if (method === "POST" && quad === "search") {
      const geometry = parsed(body);
      if (geometry === undefined) return sendJson(response, 400, { message: "No geometry." });
      const found = new URL(`${this.#place(id)}`, url);
      found.search = url.search;
      found.searchParams.set("bbox", boundsOf(geometry).join());
      response.writeHead(302, { location: found.href });
      return void response.end();
    }
    if (method !== "GET" || leaf !== "quads") return missing();
    if (quad === undefined) {
      const [west = 0, south = 0, east = 0, north = 0] = asked.get("bbox")!.split(",").map(Number);
      const quads = this.#quads(id, asked.get("minimal") === "true").filter(({ bbox }) => {
        const [w, s, e, n] = bbox as [number, number, number, number];
        return w <= east && e >= west && s <= north && n >= south;
      });
      if (asked.get("summary") !== "true") return page("items", quads);
      return sendJson(response, 200, { items: [], summary: { total_quads: quads.length } });
    }
    const found = this.#quads(id, false).find((one) => one.id === quad);
    if (found === undefined) return missing();
    if (more === undefined) return sendJson(response, 200, found);
    const link = `${this.#data.origin}/data/v1/item-types/PSScene/items/20260101_100000_psscene`;
    return sendJson(response, 200, { items: [{ link }] });
  }

  #place(mosaic: string, quad = ""): string {
    return `${this.#data.origin}${this.prefix}mosaics/${mosaic}/quads${quad && `/${quad}`}`;
  }

  #mosaic(number: number): Json {
    const id = idOf(number);
    const month = String(number).padStart(2, "0");
    return {
      _links: {
        _self: `${this.#data.origin}${this.prefix}mosaics/${id}`,
        quads: `${this.#place(id)}?bbox={lx},{ly},{ux},{uy}`,
      },
      bbox: [WEST, SOUTH, WEST + COLUMNS, SOUTH + ROWS].map((one) => one - 0.25),
      first_acquired: `2026-${month}-01T00:00:00.000Z`,
      id,
      interval: "1 mon",
      last_acquired: `2026-${month}-28T00:00:00.000Z`,
      name: `global_monthly_2026_${month}_mosaic`,
    };
  }

  #quads(mosaic: string, isMinimal: boolean): Json[] {
    const all = Array.from({ length: COLUMNS * ROWS }, (_, index) => {
      const [x, y] = [WEST + index % COLUMNS, SOUTH + Math.floor(index / COLUMNS)];
      const id = `${x}-${y}`;
      const quad: Json = {
        _links: {
          _self: this.#place(mosaic, id),
          download: this.#data.link(`quads/${mosaic}/${id}`, this.prefix).location,
          items: `${this.#place(mosaic, id)}/items`,
        },
        bbox: [x, y, x + 0.5, y + 0.5],
        id,
        ...(isMinimal ? {} : { percent_covered: 100 }),
      };
      return this.quadHook?.(quad) ?? quad;
    });
    return all.sort((a, b) => compare(a.id, b.id));
  }
}
