/**
 * Small Features, Destinations and Quota APIs for the sandbox: what an account keeps at Planet.
 *
 * Paths and shapes are those of Planet's APIs, as far as `PLANET_API.md` knows them.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import { type ApiCall, type ApiRoom, compare } from "./data_api.ts";
import { sendJson } from "./http_server.ts";
import { parsed, redacted } from "./orders_api.ts";
import { type Paging, sendPage } from "./pages.ts";

type Json = Record<string, unknown>;

function missing(response: ServerResponse): void {
  sendJson(response, 404, { code: 404, message: "There is no such thing." });
}

function nothing(response: ServerResponse): void {
  response.writeHead(204);
  response.end();
}

/** Collections of features. */
export class FeaturesApi implements ApiRoom {
  /** What its paths begin with. */
  readonly prefix = "/features/v1/ogc/my/";
  /** Objects in a page. */
  pageSize = 10;
  /** How pages follow each other. */
  paging: Paging = "plain";
  /** The features of each collection, by their identifiers. */
  readonly collections: Map<string, { about: Json; features: Map<string, Json> }> = new Map();

  /** Has one collection, of no features. */
  constructor() {
    this.#create({ title: "Fields" });
  }

  /** Answers one call. */
  handle({ body, method, url }: ApiCall, path: string[], response: ServerResponse): void {
    const [room, id, items, item] = path;
    const page = (member: string, all: Json[]) => {
      const size = Number(url.searchParams.get("limit") ?? this.pageSize);
      sendPage(url, all, response, { member, paging: this.paging, size, style: "links" });
    };
    if (room !== "collections") return missing(response);
    if (id === undefined) {
      if (method === "GET") {
        return page("collections", [...this.collections.values()].map(({ about }) => about));
      }
      const input = parsed(body);
      if (typeof input?.title !== "string") return sendJson(response, 400, { message: "No title" });
      return sendJson(response, 201, { id: this.#create(input) });
    }
    const collection = this.collections.get(id);
    if (collection === undefined) return missing(response);
    const { about, features } = collection;
    if (items === undefined) {
      if (method === "GET") return sendJson(response, 200, about);
      this.collections.delete(id);
      return nothing(response);
    }
    if (item === undefined) {
      if (method === "GET") return page("features", [...features.values()]);
      const input = parsed(body)!;
      const added = (input.type === "FeatureCollection" ? input.features : [input]) as Json[];
      return sendJson(response, 200, added.map((one) => this.#add(id, one, url)));
    }
    const found = features.get(item);
    if (found === undefined) return missing(response);
    if (method === "GET") return sendJson(response, 200, found);
    features.delete(item);
    return nothing(response);
  }

  #create(input: Json): string {
    const id = `${String(input.title).toLowerCase().replaceAll(" ", "-")}-${
      this.collections.size === 0 ? "abc" : this.collections.size
    }`;
    this.collections.set(id, { about: { ...input, id }, features: new Map() });
    return id;
  }

  #add(collection: string, input: Json, url: URL): string {
    const { features } = this.collections.get(collection)!;
    const properties = (input.properties ?? {}) as Json;
    const name = properties[url.searchParams.get("property_id") ?? "id"];
    const id = String(name ?? `feature-${features.size + 1}`);
    const ref = `pl:features/my/${collection}/${id}`;
    features.set(id, { ...input, id, properties: { ...properties, "pl:ref": ref } });
    return ref;
  }
}

/** Destinations of deliveries. */
export class DestinationsApi implements ApiRoom {
  /** What its paths begin with. */
  readonly prefix = "/destinations/v1";
  /** The destinations, by their identifiers. */
  readonly destinations: Map<string, Json> = new Map();
  /** Whether answers show the credentials that came, as no good API does. */
  showsCredentials = false;
  #default: string | undefined;

  /** Answers one call. */
  handle({ body, method, url }: ApiCall, [, id]: string[], response: ServerResponse): void {
    const input = body === "" ? {} : parsed(body);
    if (input === undefined) return sendJson(response, 400, { message: "The body is no JSON." });
    const shown = (one: Json) => ({
      ...(this.showsCredentials ? one : redacted(one) as Json),
      default: one.id === this.#default,
    });
    if (id === undefined && method === "GET") {
      const isDefault = url.searchParams.get("is_default") === "true";
      const found = [...this.destinations.values()].filter((one) =>
        (!isDefault || one.id === this.#default) &&
        (one.archived === null || url.searchParams.get("archived") === "true")
      );
      return sendJson(response, 200, {
        _links: { _self: url.href },
        destinations: found.map(shown),
      });
    }
    if (id === undefined) {
      const { name, parameters, type } = input;
      if (typeof type !== "string" || typeof parameters !== "object") {
        return sendJson(response, 400, {
          code: 400,
          message: `invalid request body: ${JSON.stringify(input)}`,
        });
      }
      const made = `${name ?? "destination"}-${this.destinations.size + 1}`;
      this.destinations.set(made, {
        ...input,
        _links: { _self: `${url.origin}${this.prefix}/${made}` },
        archived: null,
        id: made,
        "pl:ref": `pl:destinations/${made}`,
      });
      return sendJson(response, 201, shown(this.destinations.get(made)!));
    }
    if (id === "default") {
      if (method === "PUT") {
        if (!this.destinations.has(String(input.destination_id))) return missing(response);
        this.#default = String(input.destination_id);
      }
      if (method === "DELETE") {
        this.#default = undefined;
        return nothing(response);
      }
    }
    const one = this.destinations.get(id === "default" ? this.#default ?? "" : id);
    if (one === undefined) return missing(response);
    if (method === "PATCH") {
      const { archive, parameters, ...rest } = input;
      Object.assign(one, rest, { archived: archive === true ? "2026-01-01T00:00:00Z" : null });
      Object.assign(one.parameters as Json, parameters);
    }
    sendJson(response, 200, shown(one));
  }
}

/** Quota, and what it is reserved for. */
export class QuotaApi implements ApiRoom {
  /** What its paths begin with. */
  readonly prefix = "/account/v1/";
  /** How pages follow each other. */
  paging: Paging = "plain";
  /** The reservations. */
  readonly reservations: Json[] = [];
  readonly #jobs: Json[] = [];

  /** Has eight reservations and three products. */
  constructor() {
    for (let id = 1; id <= 8; id++) this.#reserve(`pl:features/my/fields-abc/field-${id}`, 1);
  }

  /** Answers one call. */
  handle({ body, method, url }: ApiCall, path: string[], response: ServerResponse): void {
    const [room, leaf, id] = path;
    const page = (all: Json[]) => {
      const size = Number(url.searchParams.get("limit") ?? 20);
      const sort = url.searchParams.get("sort");
      const field = sort?.replace(/^-/, "");
      const found = all.filter((one) =>
        Object.keys(one).every((name) =>
          [null, String(one[name])].includes(url.searchParams.get(name))
        )
      );
      if (field !== undefined) found.sort((a, b) => compare(a[field], b[field]));
      if (sort?.startsWith("-")) found.reverse();
      const { paging } = this;
      sendPage(url, found, response, { member: "results", paging, size, style: "meta.next" });
    };
    if (room === "my" && leaf === "products") {
      return page([1, 2, 3].map((id) => ({ id, supports_reservation: id < 3, title: `P${id}` })));
    }
    if (room !== "quota-reservations" || leaf === undefined) return missing(response);
    if (method === "GET") {
      const all = leaf === "jobs" ? this.#jobs : this.reservations;
      const asked = leaf === "jobs" ? id : leaf;
      if (asked === undefined || asked === "") return page(all);
      const found = all.find((one) => String(one.id) === asked);
      return found === undefined ? missing(response) : sendJson(response, 200, found);
    }
    const { aoi_refs, product_id } = parsed(body) as { aoi_refs: string[]; product_id: number };
    const used = this.reservations.length;
    const quota = { quota_total: 1000, quota_remaining: 1000 - used, quota_units: "km2" };
    if (leaf === "estimate") {
      const costs = aoi_refs.map((aoi_ref) => ({ aoi_ref, cost: 1 }));
      return sendJson(response, 200, {
        ...quota,
        estimated_costs: costs,
        total_cost: aoi_refs.length,
      });
    }
    if (leaf === "bulk-reserve") {
      const [job_id, count] = [`job-${this.#jobs.length + 1}`, aoi_refs.length];
      this.#jobs.push({
        id: job_id,
        percentage: 100,
        processed_items: count,
        status: "COMPLETE",
        total_items: count,
      });
      return sendJson(response, 202, { job_id, status: "PENDING" });
    }
    const made = aoi_refs.map((ref) => this.#reserve(ref, product_id));
    sendJson(response, 201, {
      ...quota,
      quota_remaining: quota.quota_remaining - made.length,
      quota_reservations: made,
      quota_used: used + made.length,
    });
  }

  #reserve(aoi_ref: string, product_id: number): Json {
    const one = { amount: 1, aoi_ref, id: this.reservations.length + 1, product_id, state: "OPEN" };
    this.reservations.push(one);
    return one;
  }
}
