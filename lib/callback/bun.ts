/**
 * The callback's server by `Bun.serve`.
 *
 * @module
 */

import { type Bind, DRAIN_MS, MAX_BYTES, readRequest } from "./handler.ts";

/** The members of `Bun.serve` that are used here; Deno checks these files too. */
interface BunLike {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    maxRequestBodySize: number;
    development: boolean;
    reusePort: boolean;
    error(): Response;
    fetch(request: Request): Promise<Response>;
  }): { readonly port: number; stop(closeActiveConnections?: boolean): void };
}

const { Bun: bun } = globalThis as unknown as { Bun: BunLike };

/** Binds with `Bun.serve`. */
export const bind: Bind = (hostname, port, handle) => {
  try {
    const server = bun.serve({
      hostname,
      port,
      idleTimeout: 30,
      maxRequestBodySize: MAX_BYTES,
      development: false,
      // Without this, Bun shares the port with whoever binds it next when `development` is false.
      reusePort: false,
      error: () => new Response(null, { status: 400 }),
      fetch: async (request) => {
        const { body, headers, status } = await handle(await readRequest(request));
        return new Response(body, { headers, status });
      },
    });
    // Stops listening at once; what is half said after that is cut off.
    const stop = async () => {
      server.stop();
      await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
      server.stop(true);
    };
    return Promise.resolve({ port: server.port, stop });
  } catch (error) {
    const taken = (error as { code?: unknown }).code === "EADDRINUSE";
    return Promise.resolve(taken ? "taken" : "unavailable");
  }
};
