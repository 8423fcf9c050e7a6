/**
 * The callback listener on `node:http`; serves Node and Bun.
 *
 * @module
 */

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type CallbackRequest, MAX_BYTES } from "./handler.ts";
import { type Bind, openListener } from "./listener.ts";
import type { Listen } from "./types.ts";

async function read(request: IncomingMessage): Promise<CallbackRequest> {
  const { headers, method = "", url = "/" } = request;
  const result: CallbackRequest = {
    method,
    target: url,
    header: (name) => headers[name] === undefined ? null : String(headers[name]),
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
    const server = createServer({ maxHeaderSize: 2 * MAX_BYTES }, (request, response) => {
      read(request).then((read) => {
        const { body, headers, status } = handle(read);
        response.writeHead(status, headers).end(body);
      }).catch(() => response.destroy());
    });
    server.headersTimeout = 10_000;
    server.requestTimeout = 15_000;
    server.maxConnections = 512;
    const stop = () =>
      new Promise<void>((done) => {
        server.close(() => done());
        setTimeout(() => server.closeAllConnections(), 100);
      });
    server.once("error", (error: Error & { code?: string }) =>
      resolve(error.code === "EADDRINUSE" ? "taken" : "unavailable"));
    server.listen(port, hostname, () =>
      resolve({ port: (server.address() as AddressInfo).port, stop }));
  });

/** Listens with `node:http`. */
export const listen: Listen = (expectation) => openListener(expectation, bind);
