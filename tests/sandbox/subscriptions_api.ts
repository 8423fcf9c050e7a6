/**
 * A small Subscriptions API for the sandbox: subscriptions, their states, and results as JSON and as CSV.
 *
 * Paths and shapes are those of Planet's Subscriptions API v1, as far as `PLANET_API.md` knows them.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import { type ApiCall, type ApiRoom, compare } from "./data_api.ts";
import { sendJson } from "./http_server.ts";
import { parsed, redacted } from "./orders_api.ts";
import { type Paging, sendPage } from "./pages.ts";

type Json = Record<string, unknown>;

const COLUMNS = ["id", "status", "created", "updated", "item_datetime"];

/** An identifier that is the same in every sandbox. */
function idOf(number: number, kind = 0): string {
  return `00000000-0000-4000-8000-${(kind * 1e6 + number).toString(16).padStart(12, "0")}`;
}

function counted(all: readonly Json[]): Json {
  const counts: Record<string, number> = {};
  for (const { status } of all) counts[String(status)] = (counts[String(status)] ?? 0) + 1;
  return counts;
}

/** The subscriptions. */
export class SubscriptionsApi implements ApiRoom {
  /** What its paths begin with. */
  readonly prefix = "/subscriptions/v1";
  /** How pages follow each other. */
  paging: Paging = "plain";
  /** Results in a page. */
  pageSize = 5;
  /** What the lines of a CSV end with. */
  lineEnd = "\n";
  /** The subscriptions, by their identifiers, the oldest first. */
  readonly subscriptions: Map<string, Json> = new Map();
  readonly #results = new Map<string, Json[]>();
  readonly #origin: string;

  /** Begins with six subscriptions, each of which has twelve results. */
  constructor(origin: string) {
    this.#origin = origin;
    for (let index = 1; index <= 6; index++) {
      const source = { type: "catalog", parameters: { item_types: ["PSScene"] } };
      const { id } = this.#create({ name: `Field ${index}`, source }, Date.UTC(2026, 0, index));
      const results = Array.from({ length: 12 }, (_, number) => {
        const created = new Date(Date.UTC(2026, 1, number + 1)).toISOString();
        return {
          id: idOf(number, index),
          status: number % 4 === 3 ? "failed" : "success",
          created,
          updated: created,
          item_datetime: created,
        };
      });
      this.#results.set(String(id), results);
    }
  }

  /** Answers one call. */
  handle(
    { body, method, url }: ApiCall,
    [, id, leaf, ...rest]: string[],
    response: ServerResponse,
  ): void {
    const refuse = (status: number, message: string) => sendJson(response, status, { message });
    const input = body === "" ? {} : parsed(body);
    if (input === undefined) return refuse(400, "The body is no JSON.");
    if (id === undefined) {
      if (method === "GET") return this.#list(url, response);
      if (typeof input.name !== "string" || typeof input.source !== "object") {
        return refuse(400, "name and source are required.");
      }
      return sendJson(response, 201, this.#create(input, Date.now()));
    }
    const all = [...this.subscriptions.values()];
    if (`${method} ${id}` === "GET summary") {
      return sendJson(response, 200, { subscriptions: counted(all) });
    }
    if (`${method} ${id}` === "POST bulk") {
      for (const one of input.subscriptions as Json[]) this.#create(one, Date.now());
      return sendJson(response, 202, { _links: { list: `${this.#origin}${this.prefix}` } });
    }
    if (method === "POST" && (id === "suspend" || id === "reactivate")) {
      // None named means all: that is the API's own rule.
      const ids = (input.subscription_ids as string[] | undefined) ?? all.map(({ id }) => id);
      for (const one of all) {
        if (ids.includes(String(one.id))) one.status = id === "suspend" ? "suspended" : "running";
      }
      return sendJson(response, 202, {});
    }
    const one = this.subscriptions.get(id);
    if (one === undefined || rest.length > 0) return refuse(404, "There is no such subscription.");
    const results = this.#results.get(id) ?? [];
    switch (`${method} ${leaf ?? ""}`) {
      case "GET ":
        return sendJson(response, 200, one);
      case "PUT ":
      case "PATCH ":
        Object.assign(one, redacted(input), { updated: new Date().toISOString() });
        return sendJson(response, 200, one);
      case "POST cancel":
        one.status = "cancelled";
        response.writeHead(202);
        return void response.end();
      case "POST suspend":
        Object.assign(one, { status: "suspended", ...input });
        return sendJson(response, 200, one);
      case "POST reactivate":
        one.status = "running";
        response.writeHead(202);
        return void response.end();
      case "GET summary":
        return sendJson(response, 200, { results: { created: 0, ...counted(results) } });
      case "GET results":
        return this.#sendResults(url, results, response);
    }
    return refuse(404, "There is no such page.");
  }

  #create(input: Json, createdMs: number): Json {
    const id = idOf(this.subscriptions.size + 1);
    const created = new Date(createdMs).toISOString();
    const one = {
      ...redacted(input) as Json,
      _links: { _self: `${this.#origin}${this.prefix}/${id}` },
      created,
      id,
      status: "running",
      updated: created,
    };
    this.subscriptions.set(id, one);
    return one;
  }

  #list(url: URL, response: ServerResponse): void {
    const asked = url.searchParams;
    const statuses = asked.getAll("status");
    const found = [...this.subscriptions.values()].filter((one) =>
      (statuses.length === 0 || statuses.includes(String(one.status))) &&
      [null, one.name].includes(asked.get("name")) &&
      String(one.name).includes(asked.get("name__contains") ?? "")
    );
    const [field = "created", direction] = (asked.get("sort_by") ?? "created DESC").split(" ");
    const order = direction === "DESC" ? -1 : 1;
    found.sort((a, b) => compare(a[field], b[field]) * order);
    const size = Number(asked.get("page_size") || 20);
    const { paging } = this;
    sendPage(url, found, response, {
      member: "subscriptions",
      paging,
      size,
      style: "_links.next",
    });
  }

  #sendResults(url: URL, all: Json[], response: ServerResponse): void {
    const asked = url.searchParams.getAll("status");
    const found = all.filter(({ status }) => asked.length === 0 || asked.includes(String(status)));
    if (url.searchParams.get("format") === "csv") {
      const rows = [COLUMNS, ...found.map((one) => COLUMNS.map((name) => one[name]))];
      response.writeHead(200, { "content-type": "text/csv" });
      return void response.end(rows.map((row) => row.join(",") + this.lineEnd).join(""));
    }
    const size = Number(url.searchParams.get("page_size") ?? this.pageSize);
    const { paging } = this;
    sendPage(url, found, response, { member: "results", paging, size, style: "_links.next" });
  }
}
