/**
 * An authorization server and a Data API that misbehave as they are told to: on loopback, by
 * bare TCP, because an HTTP server would be too polite.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { PlanetEnvironment } from "../../lib/setup.ts";
import { noteServers } from "../_support/watch.ts";

/** What a request is for. */
export type Target = "discovery" | "device" | "token" | "revoke" | "api";

/** How a request goes wrong. */
export type Misdeed =
  /** Nobody listens where the request is sent. */
  | { does: "refuse" }
  /** The connection is reset: once the request is here, half-way through a good answer, or after one. */
  | { does: "reset"; when: "before" | "amid" | "after" }
  /** Silence: instead of an answer, or half-way through a good one. */
  | { does: "hang"; when: "before" | "amid" }
  /** A good answer, a byte every 100 ms. */
  | { does: "trickle" }
  /** An answer; the body may be made of the good one. */
  | {
    does: "answer";
    status?: number;
    headers?: Record<string, string>;
    body?: string | Uint8Array | ((good: Record<string, unknown>) => string | Uint8Array);
  };

/** A request that came. */
export interface Seen {
  /** What for; `undefined`: for something that is not there. */
  readonly target: Target | undefined;
  /** Method. */
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Header fields, names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Body. */
  readonly body: string;
}

/** Secrets that the server hands out. */
export interface Handed {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly deviceCode: string;
  readonly code: string;
}

/** How the server misbehaves. */
export interface Plan {
  /** At which requests. */
  readonly target: Target;
  /** How. */
  readonly misdeed: Misdeed;
  /** How often; after that it behaves. Default: always. */
  readonly times?: number;
  /** Whether an answer to a refresh has a new refresh token; default true. */
  readonly rotate?: boolean;
}

/** A running server. */
export interface FaultServer {
  /** Its addresses. */
  readonly environment: PlanetEnvironment;
  /** What came, oldest first. */
  readonly seen: Seen[];
  /** What came at another origin, where redirects lead; never the bearer token. */
  readonly elsewhere: Seen[];
  /** How many requests were for `target`. */
  count(target: Target): number;
  /** Stops at once. */
  close(): Promise<void>;
}

const TARGETS: Readonly<Record<string, Target>> = {
  "/.well-known/openid-configuration": "discovery",
  "/device": "device",
  "/token": "token",
  "/revoke": "revoke",
  "/data/v1/searches": "api",
  "/moved": "api",
};

function reset(socket: Socket): void {
  if (typeof socket.resetAndDestroy === "function") socket.resetAndDestroy();
  else socket.destroy();
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? new TextEncoder().encode(body) : body;
}

/** Serves HTTP/1.1, one request for each connection, by `answer`. */
async function serve(
  answer: (request: Omit<Seen, "target">, socket: Socket) => void,
): Promise<{ origin: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    let text = "";
    let done = false;
    socket.on("data", (chunk: Uint8Array) => {
      if (done) return;
      for (const byte of chunk) text += String.fromCharCode(byte);
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [first = "", ...lines] = text.slice(0, end).split("\r\n");
      const headers = new Map(
        lines.map((line) => {
          const at = line.indexOf(":");
          return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
        }),
      );
      const body = text.slice(end + 4);
      if (body.length < Number(headers.get("content-length") ?? 0)) return;
      if (/chunked/i.test(headers.get("transfer-encoding") ?? "") && !body.endsWith("0\r\n\r\n")) {
        return;
      }
      done = true;
      const [method = "", path = "/"] = first.split(" ");
      answer({ method, path, headers, body }, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) {
          // A client that has not read all would meet the same fault; what has ended cannot be reset.
          if (socket.writableEnded) socket.destroy();
          else reset(socket);
        }
      }),
  };
}

function send(
  socket: Socket,
  status: number,
  headers: Record<string, string>,
  body: Uint8Array,
): void {
  const length = { "content-length": String(body.length), connection: "close" };
  const lines = Object.entries({ ...length, ...headers }).map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  socket.write(`HTTP/1.1 ${status} Whatever\r\n${lines.join("")}\r\n`);
  if (body.length > 0) socket.write(body);
  // Node 22.23 fails an assertion of its own, which nobody can catch, where a connection is closed
  // while its reader lags behind (nodejs/undici#5360): after a large answer the client closes it.
  if (body.length <= 16_384) socket.end();
}

/** Starts a server that behaves, but for `plan`. */
export async function startFaultServer(
  plan: Plan | undefined,
  handed: Handed,
): Promise<FaultServer> {
  const seen: Seen[] = [];
  const elsewhere: Seen[] = [];
  const timers = new Set<ReturnType<typeof setInterval>>();
  const misdeed = plan?.misdeed;
  const isRefused = (target: Target) => misdeed?.does === "refuse" && plan?.target === target;
  let left = plan?.times ?? Number.POSITIVE_INFINITY;

  const other = await serve((request, socket) => {
    elsewhere.push({ ...request, target: undefined });
    send(socket, 200, { "content-type": "application/json" }, bytesOf('{"searches":[]}'));
  });

  const good = (target: Target, request: Omit<Seen, "target">): Record<string, unknown> => {
    const at = (name: Target) => isRefused(name) ? dead : server.origin;
    switch (target) {
      case "discovery":
        return {
          issuer: server.origin,
          authorization_endpoint: `${server.origin}/authorize`,
          token_endpoint: `${at("token")}/token`,
          device_authorization_endpoint: `${at("device")}/device`,
          revocation_endpoint: `${at("revoke")}/revoke`,
          authorization_response_iss_parameter_supported: true,
        };
      case "device":
        return {
          device_code: handed.deviceCode,
          user_code: "ABCD-EFGH",
          verification_uri: `${server.origin}/activate`,
          expires_in: 30,
          interval: 5,
        };
      case "token": {
        const grant = new URLSearchParams(request.body).get("grant_type");
        const fresh = grant === "refresh_token" ? plan?.rotate !== false : grant !==
          "client_credentials";
        return {
          access_token: handed.accessToken,
          token_type: "Bearer",
          expires_in: 3600,
          ...(fresh ? { refresh_token: handed.refreshToken } : {}),
        };
      }
      case "revoke":
        return {};
      case "api":
        return { _links: {}, searches: [{ id: "1" }] };
    }
  };

  const misbehave = (what: Misdeed, answer: Record<string, unknown>, socket: Socket): void => {
    const body = bytesOf(JSON.stringify(answer));
    const json = { "content-type": "application/json" };
    const start = () =>
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`,
      );
    switch (what.does) {
      case "refuse":
        return;
      case "reset":
        if (what.when === "before") return reset(socket);
        if (what.when === "after") {
          start();
          socket.write(body);
          return void setTimeout(() => reset(socket), 250);
        }
        start();
        socket.write(body.subarray(0, body.length >> 1));
        return void setTimeout(() => reset(socket), 20);
      case "hang":
        if (what.when === "before") return;
        start();
        return void socket.write(body.subarray(0, body.length >> 1));
      case "trickle": {
        start();
        let at = 0;
        const timer = setInterval(() => {
          if (socket.destroyed || at === body.length) {
            timers.delete(timer);
            return clearInterval(timer);
          }
          socket.write(body.subarray(at, ++at));
        }, 100);
        return void timers.add(timer);
      }
      case "answer": {
        const { body: given = (good) => JSON.stringify(good), headers, status = 200 } = what;
        const filled = Object.fromEntries(
          Object.entries({ ...json, ...headers }).map(([name, value]) => [
            name,
            value.replace("{same}", server.origin).replace("{other}", other.origin),
          ]),
        );
        const sent = bytesOf(typeof given === "function" ? given(answer) : given);
        return send(socket, status, filled, sent);
      }
    }
  };

  const server = await serve((request, socket) => {
    const target = TARGETS[request.path.split("?")[0]!];
    seen.push({ ...request, target });
    if (target === undefined) return send(socket, 404, {}, new Uint8Array());
    const answer = good(target, request);
    if (plan !== undefined && target === plan.target && request.path !== "/moved" && left-- > 0) {
      return misbehave(plan.misdeed, answer, socket);
    }
    misbehave({ does: "answer" }, answer, socket);
  });
  // The servers listen on the other family, so that nobody else takes the port meanwhile.
  const dead = server.origin.replace("127.0.0.1", "[::1]");
  const issuer = isRefused("discovery") ? dead : server.origin;
  const api = isRefused("api") ? dead : server.origin;
  noteServers({ authorization: [server.origin, dead], api: [api] });
  return {
    environment: {
      userAuthServer: issuer,
      m2mAuthServer: issuer,
      audiences: ["https://api.test/"],
      apiBaseUrl: api,
      allowedOrigins: [api],
    },
    seen,
    elsewhere,
    count: (target) => seen.filter((one) => one.target === target).length,
    async close() {
      for (const timer of timers) clearInterval(timer);
      await Promise.all([server.close(), other.close()]);
    },
  };
}
