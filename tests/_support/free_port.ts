/**
 * A port for somebody else to listen on.
 *
 * @module
 */

import { createServer } from "node:net";

/** Tells whether a port can be bound on an address; one that this machine lacks is no obstacle. */
function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once(
      "error",
      (error: Error & { code?: string }) => resolve(error.code !== "EADDRINUSE"),
    );
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/**
 * A port that is free on both loopback addresses, from below the range that systems hand out to
 * outgoing connections and to listeners without a wish, which could take it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port, "127.0.0.1") && await isFree(port, "::1")) return port;
  }
}
