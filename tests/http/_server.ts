/**
 * A server that fails in every way that a request can meet, and counts what it saw.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { listen } from "../sandbox/http_server.ts";

/** What a request meets. */
export const FAILURES = [
  "429",
  "429 with Retry-After",
  "500",
  "502",
  "503",
  "504",
  "lost before the answer",
  "lost amid the answer",
  "lost after the answer",
  "refused connection",
  "time limit",
  "abort",
  "error of the program",
] as const;

/** One of them. */
export type FailureName = typeof FAILURES[number];

/** A server that fails. */
export interface FailingServer {
  /** Where it listens. */
  readonly origin: string;
  /** How often a request was seen, by the last segment of its path. */
  readonly seen: Map<string, number>;
  /** Calls back when the request with this last segment has arrived. */
  onArrival(id: string, call: () => void): void;
  /** Stops it. */
  close(): Promise<void>;
}

/** Starts a server; its paths are `/FAILURE/ID`. `keeps`: it leaves connections open. */
export async function failingServer(keeps: boolean): Promise<FailingServer> {
  const seen = new Map<string, number>();
  const arrivals = new Map<string, () => void>();
  const answer = (request: IncomingMessage, response: ServerResponse, failure: string) => {
    const headers: Record<string, string | number> = keeps ? {} : { connection: "close" };
    if (/^\d/.test(failure)) {
      if (failure.endsWith("Retry-After")) headers["retry-after"] = 7;
      response.writeHead(Number(failure.slice(0, 3)), headers);
      return void response.end("no");
    }
    if (failure === "lost before the answer") return void request.socket.destroy();
    if (failure === "time limit" || failure === "abort") return;
    response.writeHead(200, { ...headers, "content-length": 1000 });
    if (failure === "lost amid the answer") {
      if (request.method === "HEAD") return void response.end();
      // The head goes first, on its own.
      return void response.write("begun", () => setTimeout(() => request.socket.destroy(), 5));
    }
    response.end("x".repeat(1000), () => failure !== "fine" && request.socket.end());
  };
  const server = await listen((request, response) => {
    const [, failure = "", id = ""] = decodeURIComponent(request.url ?? "").split("/");
    seen.set(id, (seen.get(id) ?? 0) + 1);
    request.on("error", () => {});
    request.resume().on("end", () => {
      arrivals.get(id)?.();
      answer(request, response, failure);
    });
  });
  return {
    origin: server.origin,
    seen,
    onArrival: (id, call) => void arrivals.set(id, call),
    close: server.close,
  };
}
