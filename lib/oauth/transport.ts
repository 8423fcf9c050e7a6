/**
 * One bounded exchange with the authorization server.
 *
 * Bounds time and size, follows no redirect, tells a request that surely did
 * not arrive from one that may have, and never lets a body, header or URL query
 * into an error.
 *
 * @module
 */

import { answered, type FetchLike, readBody, retryAfterMs } from "../exchange.ts";
import { type Clock, netRefusal, runtime, singleUse } from "../runtime.ts";
import { AuthError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";

/** Longest time for one request and its answer, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** Largest answer that is read, in bytes; real ones have a few kilobytes. */
const LARGEST_BODY = 1_048_576;

/** Clocks that differ by less agree, in milliseconds: an answer takes a while, and dates are whole seconds. */
const SAME_TIME_MS = 30_000;

/** Clocks that differ by more are wrong rather than off, and may be set right any time. */
const OFF_MS = 1_800_000;

/** An answer of the authorization server, read whole. */
export interface Answer {
  /** HTTP status. */
  readonly status: number;
  /** The body as a JSON object; `undefined` where it is none. */
  readonly json?: JsonObject;
  /** When the server lets us ask again (RFC 9110 §10.2.3), in epoch milliseconds. */
  readonly retryAt?: number;
  /** How far the server's clock is ahead of this one, by its `Date` (RFC 9110 §6.6.1), in milliseconds. */
  readonly aheadMs?: number;
}

/** What a transport stands on. */
export interface TransportOptions {
  /** Replaces the global `fetch`, for proxies and tests. */
  readonly fetch?: FetchLike | undefined;
  /** Time, for the dates of `Retry-After`. */
  readonly clock: Clock;
}

const unsent: WeakSet<object> = new WeakSet();

/** Tells whether the request behind `error` surely did not arrive, so that repeating it is safe. */
export function surelyUnsent(error: unknown): boolean {
  return typeof error === "object" && error !== null && unsent.has(error);
}

/** Failures of the name look-up or of the connection itself, as the runtimes word them. */
const NO_CONNECTION =
  /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ConnectionRefused|UND_ERR_CONNECT_TIMEOUT|tcp connect error|dns error|Unable to connect/;

function describeCauses(error: unknown): string {
  let text = "";
  for (let depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    const { code, message, cause } = error as {
      code?: unknown;
      message?: unknown;
      cause?: unknown;
    };
    text += ` ${String(code ?? "")} ${String(message ?? "")}`;
    error = cause;
  }
  return text;
}

function parseObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as JsonObject
      : undefined;
  } catch {
    return undefined; // The parser's own message would quote the body.
  }
}

/**
 * Sends one request and reads its answer whole, whatever its status.
 *
 * @throws {AuthError} `network`, `timeout`; after an abort, the reason of the signal.
 */
export async function exchange(
  url: string,
  init: RequestInit,
  options: TransportOptions,
): Promise<Answer> {
  const { origin, password, username } = new URL(url);
  if (username !== "" || password !== "") {
    throw new AuthError(
      "malformed_response",
      `Report this to the operator of the authorization server: an address at ${origin} holds a user name or password.`,
    );
  }
  const fetch = options.fetch ?? globalThis.fetch;
  // A connection that is kept may be closing as a one-time token goes out on it: Deno would send the
  // token twice, Bun would lose it. Who brings a `fetch` of his own chooses the connection under Deno.
  const isOnce = init.method === "POST" && options.fetch === undefined;
  const own = isOnce ? singleUse() : undefined;
  const controller = new AbortController();
  const late = new AuthError(
    "timeout",
    `Try again, or check the network: ${origin} did not answer within ${TIMEOUT_MS / 1000} s.`,
  );
  const timer = setTimeout(() => controller.abort(late), TIMEOUT_MS);
  const caller = init.signal ?? undefined;
  const onAbort = () => controller.abort(caller?.reason);
  if (caller?.aborted) onAbort();
  caller?.addEventListener("abort", onAbort, { once: true });
  try {
    const { signal } = controller;
    const sent: RequestInit & { client?: unknown } = { ...init, redirect: "manual", signal };
    if (own !== undefined) sent.client = own;
    if (runtime === "bun") sent.keepalive = false;
    const response = await answered(fetch(url, sent), signal);
    const { bytes, isWhole } = await readBody(response, LARGEST_BODY, signal);
    const json = isWhole ? parseObject(bytes) : undefined;
    const now = options.clock.now();
    const wait = retryAfterMs(response.headers, now);
    const aheadMs = Date.parse(response.headers.get("date") ?? "") - now;
    return {
      status: response.status,
      ...(json === undefined ? {} : { json }),
      ...(wait === undefined ? {} : { retryAt: now + wait }),
      ...(Math.abs(aheadMs) > SAME_TIME_MS && Math.abs(aheadMs) <= OFF_MS ? { aheadMs } : {}),
    };
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    const denied = netRefusal(error, url);
    if (denied !== undefined) throw denied;
    const refused = NO_CONNECTION.test(describeCauses(error));
    const failure = new AuthError(
      "network",
      refused
        ? `Check the network, or try again later: no connection to ${origin}.`
        : `Try again: the connection to ${origin} broke off before the answer was complete.`,
    );
    if (refused) unsent.add(failure);
    throw failure;
  } finally {
    clearTimeout(timer);
    own?.close();
    caller?.removeEventListener("abort", onAbort);
  }
}

/** An answer as a `Response`, which is what oauth4webapi checks. */
export function asResponse(json: JsonObject | undefined): Response {
  return new Response(JSON.stringify(json ?? null), {
    headers: { "content-type": "application/json" },
  });
}
