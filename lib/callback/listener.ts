/**
 * What the listeners of all runtimes share: both loopback families, one answer, one end.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { parseCallbackUrl, withPort } from "./callback_url.ts";
import { type CallbackAnswer, type CallbackRequest, createHandler, MAX_BYTES } from "./handler.ts";
import type { CallbackExpectation, CallbackListener } from "./types.ts";

/** Answers one request. */
export type Handle = (request: CallbackRequest) => CallbackAnswer;

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

const PAGE_GRACE_MS = 1_000;
const PORT_TRIES = 10;

/** Opens the listener of one attempt with the servers of `bind`. */
export async function openListener(
  expectation: CallbackExpectation,
  bind: Bind,
): Promise<CallbackListener> {
  const parsed = parseCallbackUrl(expectation.callbackUrl);
  const settled = Promise.withResolvers<URLSearchParams>();
  settled.promise.catch(() => {});
  const delivered = Promise.withResolvers<void>();
  let answered = false;
  const late: { decide?: Handle } = {};
  const handle: Handle = (request) => {
    const answer = late.decide!(request);
    if (answer.result !== undefined || answer.failure !== undefined) answered = true;
    if (answer.result !== undefined) settled.resolve(answer.result);
    if (answer.failure !== undefined) settled.reject(answer.failure);
    if (answer.last) setTimeout(delivered.resolve, 0);
    return answer;
  };

  const servers = await bindAll(parsed.host, parsed.port, bind, handle);
  const port = servers[0]!.port;
  late.decide = createHandler(expectation, parsed, port);

  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    closing ??= (async () => {
      if (answered) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const grace = new Promise<void>((resolve) => timer = setTimeout(resolve, PAGE_GRACE_MS));
        await Promise.race([delivered.promise, grace]);
        clearTimeout(timer);
      }
      await stop();
    })();
  return {
    redirectUri: withPort(parsed, port),
    close,
    async wait(signal) {
      const aborted = Promise.withResolvers<never>();
      const onAbort = () => {
        aborted.reject(signal.reason);
        close().catch(() => {});
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

async function bindAll(host: string, port: number, bind: Bind, handle: Handle) {
  const first = host === "[::1]" ? "::1" : "127.0.0.1";
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const server = await bind(first, port, handle);
    if (server === "unavailable") {
      throw new AuthError(
        "unsupported_runtime",
        `Use another callbackUrl or sign in with a device code: cannot listen on ${first}.`,
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
    `Stop the program that listens on port ${port} of this computer, or register and set a ` +
      `callbackUrl with another port: port ${port} is in use.`,
  );
}

/** Reads a web `Request`: its form only if it is one, and never more than is looked at. */
export async function readRequest(request: Request): Promise<CallbackRequest> {
  const from = request.url.indexOf("/", request.url.indexOf("//") + 2);
  const read: CallbackRequest = {
    method: request.method,
    target: from < 0 ? "/" : request.url.slice(from),
    header: (name) => request.headers.get(name),
  };
  const length = Number(request.headers.get("content-length") ?? NaN);
  const type = request.headers.get("content-type") ?? "";
  if (
    request.method === "POST" && length <= MAX_BYTES &&
    type.startsWith("application/x-www-form-urlencoded")
  ) read.form = await request.text();
  return read;
}
