/**
 * A small Orders API for the sandbox: orders whose state goes on with each look at them, their files, and
 * the manifest of those.
 *
 * Paths and shapes are those of Planet's Orders API v2, as far as `PLANET_API.md` knows them.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import { type ApiCall, type ApiRoom, compare, type DataApi } from "./data_api.ts";
import { sendJson } from "./http_server.ts";
import { type Paging, sendPage } from "./pages.ts";
import { digestOf, type StoredFile } from "./storage.ts";

type Json = Record<string, unknown>;

/** An order. */
export interface SandboxOrder {
  /** What the API shows of it, but for its state and files. */
  readonly shown: Json;
  /** What it was made from. */
  readonly request: Json;
  /** States that are still to come, each after one look. */
  readonly next: string[];
  /** State. */
  state: string;
}

/** Members that are credentials: no answer shows them. */
const CREDENTIALS = /secret|credentials|token|access_key/;

const NO_FILES: readonly unknown[] = ["queued", "running", "failed", "cancelled"];

/** The orders. */
export class OrdersApi implements ApiRoom {
  /** What its paths begin with. */
  readonly prefix = "/compute/ops/";
  /** Orders in a page. */
  pageSize = 5;
  /** How pages follow each other. */
  paging: Paging = "plain";
  /** States of the next orders, each after one look; they are queued before. */
  states: readonly string[] = ["running", "success"];
  /** Endings of the files of each item. */
  endings: readonly string[] = ["_AnalyticMS.tif", "_udm2.tif"];
  /** Size of each file in bytes. */
  fileBytes = 100_000;
  /** Changes the manifest of an order before its files are described by it. */
  manifestHook: ((manifest: Json) => Json) | undefined;
  /** The orders, by their identifiers, the oldest first. */
  readonly orders: Map<string, SandboxOrder> = new Map();
  readonly #data: DataApi;

  /** Has no orders yet; `data` makes the links to files. */
  constructor(data: DataApi) {
    this.#data = data;
  }

  /** The file of an order, by its path, which begins with the order. */
  file(path: string): StoredFile | undefined {
    const [id = "", ...rest] = path.split("/");
    const order = this.orders.get(id);
    if (order === undefined) return undefined;
    const name = rest.at(-1)!;
    if (rest.join("/") === "manifest.json") {
      const text = JSON.stringify(this.#manifest(id, order));
      const size = new TextEncoder().encode(text).length;
      return { name, type: "application/json", size, seed: size, text };
    }
    let seed = 7;
    // Orders of the same images have the same bytes.
    for (const char of rest.join("/")) seed = (Math.imul(seed, 31) + char.charCodeAt(0)) | 0;
    return { name, type: "image/tiff", size: this.fileBytes, seed: seed >>> 0 };
  }

  /** Answers one call. */
  handle(call: ApiCall, path: readonly string[], response: ServerResponse): void {
    const { body, method, url } = call;
    const route = `${method} ${path.slice(0, 3).join("/")}`;
    if (route === "GET stats/orders/v2" && path.length === 3) return this.#stats(response);
    if (method === "POST" && path.join("/") === "bulk/orders/v2/cancel") {
      return this.#cancelMany(body, response);
    }
    if (path[0] !== "orders" || path[1] !== "v2" || path.length > 3) return missing(response);
    if (path.length === 2) {
      if (method === "GET") return this.#list(url, response);
      return method === "POST" ? this.#create(body, response) : missing(response);
    }
    const order = this.orders.get(path[2]!);
    if (order === undefined) return missing(response);
    if (method === "GET") {
      sendJson(response, 200, this.#shown(order, true));
      order.state = order.next.shift() ?? order.state;
      return;
    }
    if (method !== "PUT") return missing(response);
    if (order.state !== "queued") {
      return sendJson(response, 409, refusal("Order not in a cancellable state"));
    }
    cancel(order);
    return sendJson(response, 200, this.#shown(order, false));
  }

  #create(body: string, response: ServerResponse): void {
    const request = parsed(body);
    const { name, products } = request ?? {};
    const isOrder = typeof name === "string" && name !== "" && Array.isArray(products) &&
      products.length > 0;
    if (request === undefined || !isOrder) {
      const found = { products: [{ message: "This field is required." }] };
      return sendJson(response, 400, { field: found, general: [] });
    }
    const id = `00000000-0000-4000-8000-${String(this.orders.size + 1).padStart(12, "0")}`;
    const now = new Date(Date.now() + this.orders.size).toISOString();
    const self = `${this.#data.origin}${this.prefix}orders/v2/${id}`;
    const shown = {
      ...redacted(request) as Json,
      _links: { _self: self },
      created_on: now,
      error_hints: [],
      id,
      last_message: "Preparing order",
      last_modified: now,
      source_type: request.source_type ?? "scenes",
    };
    const order = { shown, request, next: [...this.states], state: "queued" };
    this.orders.set(id, order);
    sendJson(response, 202, this.#shown(order, false));
  }

  #shown({ shown, state, request }: SandboxOrder, hasFiles: boolean): Json {
    const id = String(shown.id);
    const results = NO_FILES.includes(state) || "delivery" in request && hasCloud(request)
      ? null
      : [...this.#paths(request), "manifest.json"].map((path) => ({
        delivery: "success",
        name: `${id}/${path}`,
        ...this.#data.link(`${id}/${path}`, this.prefix),
      }));
    const links = hasFiles ? { ...shown._links as Json, results } : shown._links;
    return { ...shown, _links: links, state };
  }

  #paths({ products }: Json): string[] {
    return (products as { item_ids?: string[]; item_type?: string }[]).flatMap(
      ({ item_ids = [], item_type }) =>
        item_ids.flatMap((item) => this.endings.map((ending) => `${item_type}/${item}${ending}`)),
    );
  }

  #manifest(id: string, { request, shown }: SandboxOrder): Json {
    const files = this.#paths(request).map((path) => {
      const file = this.file(`${id}/${path}`)!;
      return {
        annotations: { "planet/bundle_type": "analytic_udm2" },
        digests: { md5: digestOf(file), sha256: digestOf(file, "sha256") },
        media_type: file.type,
        path,
        size: file.size,
      };
    });
    const manifest = { name: shown.name, files };
    return this.manifestHook?.(manifest) ?? manifest;
  }

  #list(url: URL, response: ServerResponse): void {
    const asked = url.searchParams;
    const isAsked = (name: string, value: unknown) =>
      [null, "all", String(value)].includes(asked.get(name));
    const found = [...this.orders.values()].filter(({ request, shown, state }) =>
      isAsked("state", state) && isAsked("name", shown.name) &&
      isAsked("source_type", shown.source_type) &&
      isAsked("hosting", request.hosting !== undefined) &&
      String(shown.name).includes(asked.get("name__contains") ?? "")
    );
    const [field = "created_on", direction] = (asked.get("sort_by") ?? "created_on DESC").split(
      " ",
    );
    const order = direction === "DESC" ? -1 : 1;
    found.sort((a, b) => compare(a.shown[field], b.shown[field]) * order);
    const shown = found.map((one) => this.#shown(one, false));
    const { pageSize: size, paging } = this;
    sendPage(url, shown, response, { member: "orders", paging, size, style: "_links.next" });
  }

  #cancelMany(body: string, response: ServerResponse): void {
    const { order_ids } = parsed(body) ?? {};
    const all = [...this.orders.entries()];
    // None named means all: that is the API's own rule.
    const ids = Array.isArray(order_ids) && order_ids.length > 0
      ? order_ids.map(String)
      : all.filter(([, { state }]) => state === "queued").map(([id]) => id);
    const failures: Json[] = [];
    for (const id of ids) {
      const order = this.orders.get(id);
      if (order?.state === "queued") cancel(order);
      else failures.push({ order_id: id, message: "Order not in a cancellable state" });
    }
    sendJson(response, 200, {
      result: {
        succeeded: { count: ids.length - failures.length },
        failed: { count: failures.length, failures },
      },
    });
  }

  #stats(response: ServerResponse): void {
    const count = (state: string) =>
      [...this.orders.values()].filter((order) => order.state === state).length;
    const counts = { queued_orders: count("queued"), running_orders: count("running") };
    sendJson(response, 200, { organization: counts, user: counts });
  }
}

function cancel(order: SandboxOrder): void {
  order.state = "cancelled";
  order.next.length = 0;
}

/** A body that is a JSON object. */
export function parsed(body: string): Json | undefined {
  try {
    const value = JSON.parse(body);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether files go to a cloud, and not here. */
function hasCloud({ delivery }: Json): boolean {
  return Object.keys(delivery as Json).some((name) => !/archive/.test(name));
}

/** A request as answers show it. */
export function redacted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(redacted);
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      CREDENTIALS.test(name) && typeof one === "string" ? "<REDACTED>" : redacted(one),
    ]),
  );
}

function refusal(message: string): Json {
  return { field: {}, general: [{ message }] };
}

function missing(response: ServerResponse): void {
  sendJson(response, 404, refusal("Could not find the requested resource."));
}
