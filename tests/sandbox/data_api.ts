/**
 * A small Data API for the sandbox: saved searches, results, items, assets, with paging.
 *
 * Paths and shapes are those of Planet's Data API v1. Every call needs a bearer
 * token that the sandbox's authorization servers signed for this audience and
 * that has not expired, or the sandbox's one API key.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import { noteSecret } from "../_support/watch.ts";
import { sendJson } from "./http_server.ts";
import { type Paging, sendPage } from "./pages.ts";
import { digestOf, type Storage, type StoredFile } from "./storage.ts";

/** A call, read whole. */
export interface ApiCall {
  /** Method, in capitals. */
  readonly method: string;
  /** Whole URL. */
  readonly url: URL;
  /** `Authorization` header. */
  readonly authorization: string | undefined;
  /** Body as text. */
  readonly body: string;
}

/** What a call must show to be let in. */
export interface ApiGate {
  /** Issuers whose tokens count. */
  readonly issuers: readonly string[];
  /** `aud` that a token must name. */
  readonly audience: string;
  /** Key that signed it. */
  readonly publicKey: CryptoKey;
  /** The API key that counts too. */
  readonly apiKey: string;
}

type Json = Record<string, unknown>;

/** Another of Planet's APIs, below a path of its own. */
export interface ApiRoom {
  /** What its paths begin with, such as `/compute/ops/`. */
  readonly prefix: string;
  /** Answers one call that was let in; `path` is what follows the prefix, in its segments, decoded. */
  handle(call: ApiCall, path: string[], response: ServerResponse): void | Promise<void>;
}

const TYPES = ["PSScene", "SkySatScene", "REOrthoTile"];

/** Assets of every item, with their media types and the endings of their files. */
const ASSETS: Readonly<Record<string, readonly [type: string, ending: string]>> = {
  ortho_analytic_4b: ["image/tiff", "_AnalyticMS.tif"],
  ortho_udm2: ["image/tiff", "_udm2.tif"],
  metadata_json: ["application/json", "_metadata.json"],
};

/** How long an interval of the statistics is, as far as the text of a time tells it. */
const INTERVALS: Readonly<Record<string, number>> = { hour: 13, day: 10, month: 7, year: 4 };

function decode(part: string): Uint8Array<ArrayBuffer> {
  const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

/** Data behind the API, and who may see it. */
export class DataApi {
  /** Access tokens that are refused although they are good, as after a revocation. */
  readonly rejected: Set<string> = new Set();
  /** Searches or items per page. */
  pageSize = 5;
  /** How pages follow each other. */
  paging: Paging = "plain";
  /** How long it takes to activate an asset, in milliseconds. */
  activationMs = 0;
  /** Size of every asset in bytes. */
  assetBytes = 200_000;
  /** What the bytes of the assets follow from; another value means that all have changed. */
  assetSeed = 1;
  /** Changes what is said of an asset. */
  assetHook: ((asset: Json) => Json) | undefined;
  /** How often an asset was activated, by its path. */
  readonly activations: Map<string, number> = new Map();
  /** Where the bytes are. */
  storage: Storage | undefined;
  /** Where the storage is. */
  storageOrigin = "";
  /** The other APIs. */
  readonly rooms: ApiRoom[] = [];
  readonly #activated = new Map<string, number>();
  readonly #links = new Map<string, { path: string; expiresAt: number }>();
  readonly #searches = new Map<string, Json>();
  readonly #items: Json[] = [];
  readonly #gate: ApiGate;
  /** Where the API is. */
  readonly origin: string;
  #ids = 0;

  /** Starts with `searches` saved searches and `items` items of each type. */
  constructor(origin: string, gate: ApiGate, searches = 12, items = 12) {
    this.origin = origin;
    this.#gate = gate;
    for (let index = 1; index <= searches; index++) {
      this.#create({
        name: `Field ${index}`,
        item_types: [TYPES[index % TYPES.length]],
        filter: { type: "AndFilter", config: [] },
      }, Date.UTC(2026, 0, index));
    }
    for (const type of TYPES) {
      for (let index = 1; index <= items; index++) this.#items.push(this.#item(type, index));
    }
  }

  /** Names of the saved searches. */
  get searchNames(): string[] {
    return [...this.#searches.values()].map(({ name }) => String(name));
  }

  /** The file of an asset, by its path: item type, item, asset type. */
  readonly file = (path: string): StoredFile | undefined => {
    const [, item = "", asset = ""] = path.split("/");
    if (!Object.hasOwn(ASSETS, asset)) return undefined;
    const [type, ending] = ASSETS[asset]!;
    let seed = this.assetSeed;
    for (const char of path) seed = (Math.imul(seed, 31) + char.charCodeAt(0)) | 0;
    return { name: item + ending, type, size: this.assetBytes, seed: seed >>> 0 };
  };

  /** Makes all links to assets run out. */
  expireLinks(): void {
    for (const link of this.#links.values()) link.expiresAt = 0;
  }

  /** Answers one call. */
  async handle(call: ApiCall, response: ServerResponse): Promise<void> {
    const { pathname } = call.url;
    // This link is a credential itself.
    if (isDownload(pathname)) return this.#download(call.url, response);
    const refusal = await this.#refusal(call.authorization);
    const other = this.rooms.find(({ prefix }) => pathname.startsWith(prefix));
    if (other !== undefined) {
      if (refusal === undefined) {
        const path = pathname.slice(other.prefix.length).split("/").map(decodeURIComponent);
        return await other.handle(call, path, response);
      }
      response.writeHead(401);
      response.end();
      return;
    }
    if (refusal !== undefined) {
      return sendJson(response, 401, { message: refusal, errors: [] }, {
        "www-authenticate": 'Bearer error="invalid_token"',
      });
    }
    const path = call.url.pathname.replace(/^\/data\/v1/, "").split("/").slice(1).map(
      decodeURIComponent,
    );
    const [room, id, leaf, item] = path;
    const route = `${call.method} ${room}`;
    if (route === "GET searches" && path.length === 1) return this.#list(call.url, response);
    if (route === "POST searches" && path.length === 1) {
      const input = this.#search(call.body);
      if (input === undefined) return invalid(response);
      return sendJson(response, 200, this.#create(input, Date.now()));
    }
    if (room === "searches" && id !== undefined) {
      const search = this.#searches.get(id);
      if (search === undefined) return missing(response, "search");
      if (path.length === 3 && leaf === "results" && call.method === "GET") {
        return this.#results(call.url, search, response);
      }
      if (path.length !== 2) return missing(response, "page");
      if (call.method === "GET") return sendJson(response, 200, search);
      if (call.method === "DELETE") {
        this.#searches.delete(id);
        response.writeHead(204);
        response.end();
        return;
      }
      if (call.method === "PUT") {
        const input = this.#search(call.body);
        if (input === undefined) return invalid(response);
        Object.assign(search, input, { updated: new Date().toISOString() });
        return sendJson(response, 200, search);
      }
    }
    if (room === "quick-search" && path.length === 1 && call.method === "POST") {
      const input = this.#search(call.body, true);
      if (input === undefined) return invalid(response);
      const search = this.#create({ ...input, search_type: "quick" }, Date.now());
      return this.#results(call.url, search, response);
    }
    if (room === "item-types" && leaf === "items" && path.length === 4 && call.method === "GET") {
      const found = this.#items.find((one) =>
        one.id === item && (one.properties as Json).item_type === id
      );
      return found === undefined ? missing(response, "item") : sendJson(response, 200, found);
    }
    if (room === "item-types" && leaf === "items" && item !== undefined) {
      const known = this.#items.some((one) => one.id === item);
      if (!known) return missing(response, "item");
      if (path[4] === "assets" && path.length === 5 && call.method === "GET") {
        return sendJson(
          response,
          200,
          Object.fromEntries(
            Object.keys(ASSETS).map((asset) => [asset, this.#asset(`${id}/${item}/${asset}`)]),
          ),
        );
      }
      if (path[4] === "coverage" && path.length === 5 && call.method === "POST") {
        if (!call.body.includes('"geometry"')) return invalid(response);
        return sendJson(response, 200, { clear_percent: 87, status: "complete" });
      }
    }
    if (room === "assets" && id !== undefined && call.method === "GET") {
      const place = new TextDecoder().decode(decode(id));
      if (this.file(place) === undefined) return missing(response, "asset");
      if (leaf === undefined) return sendJson(response, 200, this.#asset(place));
      if (leaf === "activate") {
        this.activations.set(place, (this.activations.get(place) ?? 0) + 1);
        const isNew = !this.#activated.has(place);
        if (isNew) this.#activated.set(place, Date.now());
        response.writeHead(isNew ? 202 : 204);
        response.end();
        return;
      }
    }
    if (route === "POST stats" && path.length === 1) return this.#stats(call.body, response);
    return missing(response, "page");
  }

  /** Makes a link to a file of the storage: where it is, and when it runs out. */
  link(path: string, below: string): { location: string; expires_at: string } {
    const token = `token-${crypto.randomUUID()}`;
    noteSecret("link", token);
    const expiresAt = Date.now() + this.storage!.settings.linkMs;
    this.#links.set(token, { path, expiresAt });
    return {
      location: `${this.origin}${below}download?token=${token}`,
      expires_at: new Date(expiresAt).toISOString(),
    };
  }

  /** Leads to the storage. */
  #download(url: URL, response: ServerResponse): void {
    const link = this.#links.get(url.searchParams.get("token") ?? "");
    if (link === undefined) return missing(response, "download");
    if (link.expiresAt <= Date.now()) {
      const status = this.storage!.settings.expiredStatus;
      return sendJson(response, status, { general: [{ message: "The link has expired." }] });
    }
    response.writeHead(302, { location: this.storageOrigin + this.storage!.sign(link.path) });
    response.end();
  }

  #asset(path: string): Json {
    const id = btoa(path).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const self = `${this.origin}/data/v1/assets/${id}`;
    const since = this.#activated.get(path);
    const isActive = since !== undefined && Date.now() >= since + this.activationMs;
    const asset: Json = {
      _links: {
        _self: self,
        activate: `${self}/activate`,
        type: `${this.origin}/data/v1/asset-types/${path.split("/")[2]}`,
      },
      _permissions: ["download"],
      md5_digest: null,
      status: isActive ? "active" : since === undefined ? "inactive" : "activating",
      type: path.split("/")[2],
    };
    if (isActive) {
      asset.md5_digest = digestOf(this.file(path)!);
      Object.assign(asset, this.link(path, "/data/v1/"));
    }
    return this.assetHook?.(asset) ?? asset;
  }

  #stats(body: string, response: ServerResponse): void {
    const input = this.#search(body, true);
    const { interval } = (input === undefined ? {} : JSON.parse(body)) as Json;
    const length = interval === "week" ? 10 : INTERVALS[String(interval)];
    if (input === undefined || length === undefined) return invalid(response);
    const counts = new Map<string, number>();
    for (const { properties } of this.#items) {
      const { acquired, item_type } = properties as Json;
      if (!(input.item_types as unknown[]).includes(item_type)) continue;
      const start = `${
        String(acquired).slice(0, length) + "2026-01-01T00".slice(length)
      }:00:00.000Z`;
      counts.set(start, (counts.get(start) ?? 0) + 1);
    }
    const buckets = [...counts].map(([start_time, count]) => ({ count, start_time }));
    sendJson(response, 200, { buckets, interval, utc_offset: "+0h" });
  }

  async #refusal(authorization: string | undefined): Promise<string | undefined> {
    if (authorization === undefined) return "Please enter your API key, or sign in.";
    const [scheme = "", credential = ""] = authorization.split(" ");
    if (scheme.toLowerCase() === "api-key") {
      return credential === this.#gate.apiKey ? undefined : "Please enter a valid API key.";
    }
    if (scheme.toLowerCase() !== "bearer") return "Please sign in.";
    if (this.rejected.has(credential)) return "The token was revoked.";
    const [head, body, signature, ...rest] = credential.split(".");
    if (head === undefined || body === undefined || signature === undefined || rest.length > 0) {
      return "The token is no JWT.";
    }
    try {
      const signed = await crypto.subtle.verify(
        "RSASSA-PKCS1-v1_5",
        this.#gate.publicKey,
        decode(signature),
        new TextEncoder().encode(`${head}.${body}`),
      );
      if (!signed) return "The token has a bad signature.";
      const claims = JSON.parse(new TextDecoder().decode(decode(body))) as Json;
      const audiences = [claims.aud].flat();
      if (!this.#gate.issuers.includes(String(claims.iss))) return "The token's issuer is unknown.";
      if (!audiences.includes(this.#gate.audience)) return "The token is for another audience.";
      if (Number(claims.exp) * 1000 <= Date.now()) return "The token has expired.";
      return undefined;
    } catch {
      return "The token cannot be read.";
    }
  }

  #search(body: string, quick = false): Json | undefined {
    let input: Json;
    try {
      input = JSON.parse(body);
    } catch {
      return undefined;
    }
    if (typeof input !== "object" || input === null) return undefined;
    const { filter, geometry, item_types: types, name } = input;
    if (!Array.isArray(types) || types.length === 0 || typeof filter !== "object") return undefined;
    if (!quick && typeof name !== "string") return undefined;
    return {
      ...(name === undefined ? {} : { name }),
      item_types: types,
      filter,
      ...(geometry === undefined ? {} : { geometry }),
      __daily_email_enabled: input.__daily_email_enabled === true,
    };
  }

  #create(input: Json, createdMs: number): Json {
    const id = (++this.#ids).toString(16).padStart(32, "0");
    const created = new Date(createdMs).toISOString();
    const self = `${this.origin}/data/v1/searches/${id}`;
    const search = {
      __daily_email_enabled: false,
      _links: { _self: self, results: `${self}/results` },
      created,
      id,
      last_executed: null,
      name: id,
      search_type: "saved",
      updated: created,
      ...input,
    };
    this.#searches.set(id, search);
    return search;
  }

  #item(type: string, index: number): Json {
    const id = `2026${String(index).padStart(2, "0")}01_100000_${type.toLowerCase()}`;
    const self = `${this.origin}/data/v1/item-types/${type}/items/${id}`;
    const acquired = new Date(Date.UTC(2026, index - 1, 1, 10)).toISOString();
    return {
      _links: { _self: self, assets: `${self}/assets/`, thumbnail: `${self}/thumb` },
      _permissions: Object.keys(ASSETS).map((asset) => `assets.${asset}:download`),
      assets: Object.keys(ASSETS),
      geometry: { type: "Point", coordinates: [13.4, 52.5] },
      id,
      properties: { acquired, cloud_cover: index / 100, item_type: type, published: acquired },
      type: "Feature",
    };
  }

  #list(url: URL, response: ServerResponse): void {
    const type = url.searchParams.get("search_type") ?? "any";
    const [field = "created", direction = "desc"] =
      (url.searchParams.get("_sort") ?? "created desc").split(" ");
    const found = [...this.#searches.values()].filter((search) =>
      type === "any" || search.search_type === type
    );
    found.sort((a, b) => compare(a[field], b[field]) * (direction === "asc" ? 1 : -1));
    this.#page(url, found, response, "searches");
  }

  #results(url: URL, search: Json, response: ServerResponse): void {
    search.last_executed = new Date().toISOString();
    const [field = "published", direction = "desc"] =
      (url.searchParams.get("_sort") ?? "published desc").split(" ");
    const types = search.item_types as string[];
    const found = this.#items.filter((item) =>
      types.includes(String((item.properties as Json).item_type)) &&
      fulfils(item.properties as Json, search.filter as Json)
    );
    const order = direction === "asc" ? 1 : -1;
    found.sort((a, b) =>
      compare((a.properties as Json)[field], (b.properties as Json)[field]) * order
    );
    // The next page of a quick search is one of the search that it became.
    const base = new URL(`/data/v1/searches/${search.id}/results${url.search}`, url);
    this.#page(base, found, response, "features", { type: "FeatureCollection" });
  }

  #page(url: URL, all: Json[], response: ServerResponse, member: string, more: Json = {}): void {
    const size = Math.max(Number(url.searchParams.get("_page_size") ?? this.pageSize), 1);
    const { paging } = this;
    sendPage(url, all, response, { member, more, paging, size, style: "_links._next" });
  }
}

/** Tells whether a path is one of links that are credentials themselves. */
export function isDownload(path: string): boolean {
  return /^\/(data\/v1|compute\/ops|basemaps\/v1)\/download$/.test(path);
}

/** Tells whether an item fulfils a filter, as far as this API knows filters; the others let all through. */
function fulfils(properties: Json, { config, field_name, type }: Json): boolean {
  if (type === "AndFilter") return (config as Json[]).every((one) => fulfils(properties, one));
  if (type === "OrFilter") return (config as Json[]).some((one) => fulfils(properties, one));
  if (type === "NotFilter") return !fulfils(properties, config as Json);
  if (type !== "RangeFilter" && type !== "DateRangeFilter") return true;
  const read = (value: unknown) =>
    type === "RangeFilter" ? Number(value) : Date.parse(String(value));
  const value = read(properties[String(field_name)]);
  const { gt, gte, lt, lte } = config as Json;
  return (gt === undefined || value > read(gt)) && (gte === undefined || value >= read(gte)) &&
    (lt === undefined || value < read(lt)) && (lte === undefined || value <= read(lte));
}

/** Compares two values as texts. */
export function compare(one: unknown, other: unknown): number {
  const [a, b] = [String(one ?? ""), String(other ?? "")];
  return a < b ? -1 : a > b ? 1 : 0;
}

function missing(response: ServerResponse, what: string): void {
  sendJson(response, 404, { general: [{ message: `No such ${what}.` }], field: {} });
}

function invalid(response: ServerResponse): void {
  sendJson(response, 400, { general: [{ message: "The search is not valid." }], field: {} });
}
