/**
 * The callback's server by `node:http`.
 *
 * @module
 */

import { type Bind, type CallbackRequest, DRAIN_MS, isForm, MAX_BYTES } from "./handler.ts";

/** The members of `node:http` that are used here: a request. */
interface IncomingLike extends AsyncIterable<string> {
  readonly headersDistinct: Readonly<Record<string, string[] | undefined>>;
  readonly method?: string;
  readonly url?: string;
  setEncoding(encoding: "utf8"): this;
}

/** The same: an answer. */
interface AnswerLike {
  writeHead(status: number, headers: Record<string, string>): AnswerLike;
  end(body: string): void;
  destroy(): void;
}

/** The same: a server. */
interface ServerLike {
  headersTimeout: number;
  requestTimeout: number;
  timeout: number;
  maxConnections: number;
  address(): { port: number };
  close(done: () => void): void;
  closeAllConnections(): void;
  listen(port: number, hostname: string, done: () => void): void;
  once(event: "error", then: (error: Error & { code?: string }) => void): void;
}

const { process } = globalThis as unknown as {
  process: {
    getBuiltinModule(name: "node:http"): {
      createServer(
        limits: { maxHeaderSize: number; connectionsCheckingInterval: number },
        handle: (request: IncomingLike, answer: AnswerLike) => void,
      ): ServerLike;
    };
  };
};

async function read(request: IncomingLike): Promise<CallbackRequest> {
  const { headersDistinct, method = "", url: target = "/" } = request;
  // A field that was sent twice must not pass for its first value.
  const header = (name: string) => headersDistinct[name]?.join(", ") ?? null;
  const result: CallbackRequest = { method, target, header };
  if (isForm(result)) {
    result.form = "";
    for await (const chunk of request.setEncoding("utf8")) result.form += chunk;
  }
  return result;
}

/** Binds with `node:http`. */
export const bind: Bind = (hostname, port, handle) =>
  new Promise((resolve) => {
    const { createServer } = process.getBuiltinModule("node:http");
    const limits = { maxHeaderSize: 2 * MAX_BYTES, connectionsCheckingInterval: 2_000 };
    const server = createServer(limits, (request, answer) => {
      read(request).then(handle).then(({ body, headers, status }) => {
        answer.writeHead(status, headers).end(body);
      }).catch(() => answer.destroy());
    });
    server.headersTimeout = 10_000;
    server.requestTimeout = 15_000;
    server.timeout = 30_000;
    server.maxConnections = 1_024;
    const stop = () =>
      new Promise<void>((done) => {
        server.close(done);
        setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      });
    server.once("error", ({ code }) => resolve(code === "EADDRINUSE" ? "taken" : "unavailable"));
    server.listen(port, hostname, () => resolve({ port: server.address().port, stop }));
  });
