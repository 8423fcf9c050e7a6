/**
 * Listens for the browser's answer: both loopback families, one answer, one end (RFC 8252 §7.3).
 *
 * @module
 */

import { type Loopback, parseCallbackUrl } from "../setup.ts";
import { AuthError } from "../errors.ts";
import { abandonable, runtime } from "../runtime.ts";
import {
  type Bind,
  type BoundServer,
  type CallbackAnswer,
  type CallbackExpectation,
  type CallbackListener,
  type CallbackRequest,
  createHandler,
  type Handle,
  page,
} from "./handler.ts";

/** How long the end waits for the browser to fetch its last page, in milliseconds. */
const PAGE_GRACE_MS = 600;

/** How long the last page waits to learn whether the code could be redeemed, in milliseconds. */
const OUTCOME_MS = 4_000;

const PORT_TRIES = 10;

/**
 * Binds a listener on loopback, with what this runtime has.
 *
 * @throws {AuthError} `port_in_use`, `unsupported_runtime` (no server, or no permission).
 */
export async function listen(expectation: CallbackExpectation): Promise<CallbackListener> {
  if (runtime === "other") {
    throw new AuthError(
      "unsupported_runtime",
      "Sign in with a device code: this runtime cannot listen for the browser's answer.",
    );
  }
  const { bind } = runtime === "deno"
    ? await import("./deno.ts")
    : runtime === "bun"
    ? await import("./bun.ts")
    : await import("./node.ts");
  return await openListener(expectation, bind);
}

/** Waits for `work`, at most `ms` milliseconds; `undefined` when it took longer. */
async function within<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
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
  const { callbackUrl, loopback } = parseCallbackUrl(expectation.callbackUrl);
  if (loopback === undefined) {
    throw new AuthError(
      "unsupported_runtime",
      `Complete the sign-in where ${callbackUrl} leads: this program cannot listen there.`,
    );
  }
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

  const servers = await bindAll(loopback, bind, handle);
  const port = servers[0]!.port;
  late.decide = createHandler(expectation, loopback, port);

  let closing: Promise<void> | undefined;
  const close = (how: "success" | "failed" = "success"): Promise<void> => {
    outcome.resolve(how);
    return closing ??= (async () => {
      if (answered) await within(delivered.promise, PAGE_GRACE_MS);
      await Promise.all(servers.map((server) => server.stop()));
    })();
  };
  return {
    redirectUri: loopback.port === 0 ? callbackUrl.replace(/:0+(?=\/|$)/, `:${port}`) : callbackUrl,
    close,
    async wait(signal) {
      try {
        return await abandonable(settled.promise, signal);
      } finally {
        if (signal.aborted && !answered) close("failed").catch(() => {});
      }
    },
  };
}

async function bindAll(
  { host, port }: Loopback,
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
