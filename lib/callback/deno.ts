/**
 * The callback's server by `Deno.serve`.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { isGranted, isPermissionError } from "../runtime.ts";
import { type Bind, readRequest } from "./handler.ts";

/** Binds with `Deno.serve`. */
export const bind: Bind = (hostname, port, handle, optional = false) => {
  const address = `${hostname === "::1" ? "[::1]" : hostname}:${port}`;
  // The second family is a choice of ours, which never prompts.
  if (optional && !isGranted({ name: "net", host: address })) return Promise.resolve("unavailable");
  const controller = new AbortController();
  try {
    const server = Deno.serve({
      hostname,
      port,
      signal: controller.signal,
      onListen: () => {},
      onError: () => new Response(null, { status: 400 }),
    }, async (request) => {
      const { body, headers, status } = await handle(await readRequest(request));
      return new Response(body, { headers, status });
    });
    const stop = async () => {
      controller.abort();
      await server.finished;
    };
    return Promise.resolve({ port: server.addr.port, stop });
  } catch (cause) {
    if (isPermissionError(cause)) {
      throw new AuthError(
        "unsupported_runtime",
        `Run with --allow-net=${address}: this program may not listen for the browser's answer.`,
        { cause },
      );
    }
    return Promise.resolve(cause instanceof Deno.errors.AddrInUse ? "taken" : "unavailable");
  }
};
