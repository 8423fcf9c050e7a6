/**
 * The callback listener on `node:http`.
 *
 * @module
 */

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type CallbackRequest, MAX_BYTES } from "./handler.ts";
import { type Bind, DRAIN_MS, openListener } from "./listener.ts";
import type { Listen } from "./types.ts";

async function read(request: IncomingMessage): Promise<CallbackRequest> {
  const { headers, headersDistinct, method = "", url = "/" } = request;
  const result: CallbackRequest = {
    method,
    target: url,
    // A field that was sent twice must not pass for its first value.
    header: (name) => headersDistinct[name]?.join(", ") ?? null,
  };
  const type = headers["content-type"] ?? "";
  const length = Number(headers["content-length"] ?? NaN);
  if (
    method === "POST" && length <= MAX_BYTES && type.startsWith("application/x-www-form-urlencoded")
  ) {
    result.form = "";
    for await (const chunk of request.setEncoding("utf8")) result.form += chunk;
  }
  return result;
}

const bind: Bind = (hostname, port, handle) =>
  new Promise((resolve) => {
    const limits = { maxHeaderSize: 2 * MAX_BYTES, connectionsCheckingInterval: 2_000 };
    const server = createServer(limits, (request, response) => {
      read(request).then(handle).then(({ body, headers, status }) => {
        response.writeHead(status, headers).end(body);
      }).catch(() => response.destroy());
    });
    server.headersTimeout = 10_000;
    server.requestTimeout = 15_000;
    server.timeout = 30_000;
    server.maxConnections = 1_024;
    const stop = () =>
      new Promise<void>((done) => {
        server.close(() => done());
        setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      });
    server.once("error", (error: Error & { code?: string }) =>
      resolve(error.code === "EADDRINUSE" ? "taken" : "unavailable"));
    server.listen(port, hostname, () =>
      resolve({ port: (server.address() as AddressInfo).port, stop }));
  });

/** Listens with `node:http`. */
export const listen: Listen = (expectation) => openListener(expectation, bind);
