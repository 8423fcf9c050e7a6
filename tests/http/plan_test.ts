/**
 * The plan of a request, cell by cell: methods × bodies × failures, by `request()` and `fetch()` of a
 * session, against a server that counts what it saw.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Auth, AuthError, Session, type SessionEvent } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { freePort } from "../_support/free_port.ts";
import { test } from "../_support/harness.ts";
import { type FailingServer, failingServer, type FailureName, FAILURES } from "./_server.ts";

const IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"];
const METHODS = [...IDEMPOTENT, "POST", "PATCH", "POST that searches"] as const;
const RETRIES = 2;
const where = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

const form = () => {
  const made = new FormData();
  made.set("name", "value");
  made.set("file", new Blob(["content"]), "name.txt");
  return made;
};
const BODIES = {
  none: () => undefined,
  text: () => "content",
  bytes: () => new TextEncoder().encode("content"),
  form,
  blob: () => new Blob(["content"]),
  stream: () => new Blob(["content"]).stream(),
  Request: () => "content",
} as const;
type BodyName = keyof typeof BODIES;

interface Cell {
  readonly entry: "request" | "fetch";
  readonly method: string;
  readonly body: BodyName;
  readonly failure: FailureName;
}

/** Every cell that can be sent. */
function cells(): Cell[] {
  const found: Cell[] = [];
  for (const entry of ["request", "fetch"] as const) {
    for (const method of METHODS) {
      if (entry === "fetch" && method === "POST that searches") continue;
      for (const body of Object.keys(BODIES) as BodyName[]) {
        if (/^(GET|HEAD)$/.test(method) && body !== "none") continue;
        if (entry === "request" && body === "Request") continue;
        for (const failure of FAILURES) found.push({ entry, method, body, failure });
      }
    }
  }
  return found;
}

/** How often a request is sent, and how often the server sees it, by the table of the design. */
function expected({ body, entry, failure, method }: Cell): { attempts: number; seen: number } {
  const isReplayable = body !== "stream";
  const isIdempotent = IDEMPOTENT.includes(method) || method === "POST that searches";
  const times = (may: boolean) => {
    const attempts = may ? 1 + RETRIES : 1;
    return { attempts, seen: attempts };
  };
  switch (failure) {
    case "429":
    case "429 with Retry-After":
      return times(isReplayable);
    case "500":
    case "502":
    case "503":
    case "504":
    case "lost before the answer":
    case "time limit":
      return times(isReplayable && isIdempotent);
    case "lost amid the answer":
      // `fetch()` hands the body on; the answer to HEAD has none.
      return times(entry === "request" && method !== "HEAD" && isReplayable && isIdempotent);
    case "refused connection":
      return { attempts: 1 + RETRIES, seen: 0 };
    case "error of the program":
      return { attempts: 1, seen: 0 };
    case "abort":
    case "lost after the answer":
      return times(false);
  }
}

/** Sends the request of a cell; tells how often it was sent, how often it was seen, and its outcome. */
async function send(cell: Cell, id: string, server: FailingServer, closed: string) {
  const { body, entry, failure } = cell;
  const method = cell.method.split(" ")[0]!;
  const events: SessionEvent[] = [];
  const mistake = new RangeError("mine");
  const origin = failure === "refused connection" ? closed : server.origin;
  const auth = Auth.fromKey(secret("key"), {
    allowedOrigins: [origin],
    ...(failure === "error of the program" ? { fetch: () => Promise.reject(mistake) } : {}),
  });
  const session = new Session(auth, {
    maxRetries: RETRIES,
    requestsPerSecond: 0,
    timeoutMs: failure === "time limit" ? 4_000 : 30_000,
    clock: { now: () => Date.now(), sleep: () => Promise.resolve() },
    onEvent: (event) => events.push(event),
  });
  const url = `${origin}/${encodeURIComponent(failure)}/${id}`;
  const controller = new AbortController();
  const enough = new Error("enough");
  if (failure === "abort") server.onArrival(id, () => controller.abort(enough));
  const { signal } = controller;
  const content = BODIES[body]();
  const init = { method, signal, ...(content === undefined ? {} : { body: content }) };
  const work = entry === "fetch"
    ? body === "Request" ? session.fetch(new Request(url, init)) : session.fetch(url, init)
    : session.request(method, url, {
      body: content,
      signal,
      idempotent: cell.method === "POST that searches" ? true : undefined,
    });
  const outcome = await work.then(async (response) => {
    await response.text().catch(() => {});
    return response.status;
  }, (error) => error);
  if (failure === "error of the program") assertEquals(outcome, mistake);
  if (failure === "abort") assertEquals(outcome, enough);
  const attempts = events.filter(({ type }) => type === "request").length;
  return { attempts, seen: server.seen.get(id) ?? 0, outcome };
}

/** What an outcome must be. */
function checkOutcome(
  { entry, failure, method }: Cell,
  outcome: unknown,
  name: string,
): void {
  if (/^\d/.test(failure)) {
    const status = Number(failure.slice(0, 3));
    assertEquals(
      entry === "fetch" ? outcome : (outcome as { status: number }).status,
      status,
      name,
    );
  }
  if (/^(lost before|refused|time)/.test(failure)) {
    assert(outcome instanceof AuthError, `${name}: ${outcome}`);
    assertEquals(outcome.code, failure === "time limit" ? "timeout" : "network", name);
  }
  const isCreate = /^(POST|PATCH)$/.test(method);
  if (isCreate && /^(50|lost before|time)/.test(failure) && outcome instanceof Error) {
    assert(/Look with GET http/.test(outcome.message), `${name}: ${outcome.message}`);
  }
}

for (const keeps of [false, true]) {
  test(
    `a request is sent as often as its plan says, in every cell (${
      keeps ? "kept connections, what must not happen twice" : "a connection for each request"
    })`,
    async () => {
      const server = await failingServer(keeps);
      const closed = `http://127.0.0.1:${await freePort()}`;
      const some = cells().filter(({ failure, method }) =>
        !keeps || (/^(POST|PATCH)$/.test(method) && failure !== "lost after the answer")
      );
      const all = FAILURES.flatMap((name) => some.filter(({ failure }) => failure === name));
      const counts = new Map<string, { cells: number; attempts: number; seen: number }>();
      try {
        const run = async (cell: Cell, index: number) => {
          const name = `${cell.entry}, ${cell.method}, ${cell.body}, ${cell.failure}`;
          const { attempts, outcome, seen } = await send(cell, `${index}`, server, closed);
          assertEquals({ attempts, seen }, expected(cell), `${name}: ${outcome}`);
          checkOutcome(cell, outcome, name);
          const count = counts.get(cell.failure) ?? { cells: 0, attempts: 0, seen: 0 };
          count.cells++;
          count.attempts += attempts;
          count.seen += seen;
          counts.set(cell.failure, count);
        };
        for (let at = 0; at < all.length;) {
          // Those that wait for a time limit do so together.
          const many = all[at]!.failure === "time limit" ? 100 : 16;
          const batch = all.slice(at, at + many);
          await Promise.all(batch.map((cell, index) => run(cell, at + index)));
          at += batch.length;
        }
      } finally {
        await server.close();
      }
      const sum = (of: "cells" | "attempts" | "seen") =>
        [...counts.values()].reduce((total, count) => total + count[of], 0);
      console.log(`plan (${where}): ${sum("cells")} cells, ${sum("seen")} requests seen`);
      for (const [failure, { attempts, cells, seen }] of counts) {
        console.log(`  ${failure}: ${cells} cells, ${attempts} attempts, ${seen} seen`);
      }
    },
    { timeoutMs: 180_000 },
  );
}
