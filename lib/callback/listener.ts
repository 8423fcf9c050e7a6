/**
 * What the listeners of all runtimes share: both loopback families, one answer, one end.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { parseCallbackUrl, withPort } from "./callback_url.ts";
import { type CallbackAnswer, type CallbackRequest, createHandler, MAX_BYTES } from "./handler.ts";
import { page } from "./pages.ts";
import type { CallbackExpectation, CallbackListener } from "./types.ts";

/** Answers one request. */
export type Handle = (request: CallbackRequest) => Promise<CallbackAnswer>;

/** A server on one loopback address. */
export interface BoundServer {
  /** The port that was bound. */
  port: number;
  /** Stops listening; answers already given are delivered. */
  stop(): Promise<void>;
}

/** Binds one address; `"taken"` and `"unavailable"` say why it could not. */
export type Bind = (
  hostname: "127.0.0.1" | "::1",
  port: number,
  handle: Handle,
  optional?: boolean,
) => Promise<BoundServer | "taken" | "unavailable">;

/** How long the end waits for the browser to fetch its last page, in milliseconds. */
const PAGE_GRACE_MS = 600;

/** How long the last page waits to learn whether the code could be redeemed, in milliseconds. */
const OUTCOME_MS = 4_000;

/** How long answers that were given may take to be delivered, in milliseconds. */
export const DRAIN_MS = 100;

const PORT_TRIES = 10;

/** Waits for `work`, at most `ms` milliseconds; `undefined` when it took longer. */
async function within<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Opens the listener of one attempt with the servers of `bind`. */
export async function openListener(
  expectation: CallbackExpectation,
  bind: Bind,
): Promise<CallbackListener> {
  const parsed = parseCallbackUrl(expectation.callbackUrl);
  const settled = Promise.withResolvers<URLSearchParams>();
  settled.promise.catch(() => {});
  const outcome = Promise.withResolvers<"success" | "failed">();
  const delivered = Promise.withResolvers<void>();
  let answered = false;
  const late: { decide?: (request: CallbackRequest) => CallbackAnswer } = {};
  const handle: Handle = async (request) => {
    let answer = late.decide!(request);
    if (answer.result !== undefined || answer.failure !== undefined) answered = true;
    if (answer.result !== undefined) settled.resolve(answer.result);
    if (answer.failure !== undefined) settled.reject(answer.failure);
    if (answer.hopeful) {
      const known = await within(outcome.promise, OUTCOME_MS);
      if (known !== "success") answer = { ...page(known ?? "received", expectation), last: true };
    }
    if (answer.last) setTimeout(delivered.resolve, 0);
    return answer;
  };

  const servers = await bindAll(parsed.host, parsed.port, bind, handle);
  const port = servers[0]!.port;
  late.decide = createHandler(expectation, parsed, port);

  let closing: Promise<void> | undefined;
  const close = (how: "success" | "failed" = "success"): Promise<void> => {
    outcome.resolve(how);
    return closing ??= (async () => {
      if (answered) await within(delivered.promise, PAGE_GRACE_MS);
      await Promise.all(servers.map((server) => server.stop()));
    })();
  };
  return {
    redirectUri: withPort(parsed, port),
    close,
    async wait(signal) {
      const aborted = Promise.withResolvers<never>();
      const onAbort = () => {
        aborted.reject(signal.reason);
        if (!answered) close("failed").catch(() => {});
      };
      if (signal.aborted) onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        return await Promise.race([aborted.promise, settled.promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}

async function bindAll(
  host: string,
  port: number,
  bind: Bind,
  handle: Handle,
): Promise<BoundServer[]> {
  const first = host === "[::1]" ? "::1" : "127.0.0.1";
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const server = await bind(first, port, handle);
    if (server === "unavailable") {
      const low = port > 0 && port < 1024 ? "; ports below 1024 are often kept for the system" : "";
      throw new AuthError(
        "unsupported_runtime",
        `Register and set a callbackUrl with another port, or sign in with a device code: this ` +
          `computer does not let the program listen on ${first}, port ${port}${low}.`,
      );
    }
    if (server !== "taken") {
      if (host !== "localhost") return [server];
      const second = await bind("::1", server.port, handle, true);
      if (second === "unavailable") return [server];
      if (second !== "taken") return [server, second];
      await server.stop();
    }
    if (port !== 0) break;
  }
  throw new AuthError(
    "port_in_use",
    port === 0
      ? "Try again, or set a callbackUrl with a fixed port: no free port was found."
      : `Stop the program that listens on port ${port} of this computer (perhaps another sign-in ` +
        `that still waits), or register and set a callbackUrl with another port: port ${port} is ` +
        `in use.`,
  );
}

/** Reads a web `Request`: its form only if it is one, and never more than is looked at. */
export async function readRequest(request: Request): Promise<CallbackRequest> {
  const [, authority, target] = /^[a-z]+:\/\/([^/?#]*)(.*)$/is.exec(request.url) ?? [];
  const read: CallbackRequest = {
    method: request.method,
    target: target === undefined ? request.url : target === "" ? "/" : target,
    header: (name) => request.headers.get(name),
  };
  if (authority !== undefined) read.authority = authority;
  const length = Number(request.headers.get("content-length") ?? NaN);
  const type = request.headers.get("content-type") ?? "";
  if (
    request.method === "POST" && length <= MAX_BYTES &&
    type.startsWith("application/x-www-form-urlencoded")
  ) read.form = await request.text();
  return read;
}
