import { assert, assertEquals, assertRejects } from "@std/assert";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient } from "../../lib/oauth/client.ts";
import { runtime } from "../../lib/runtime.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { certificate, certificateKey } from "../_support/certificate.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { freePort } from "../_support/free_port.ts";
import { test } from "../_support/harness.ts";
import { noteServers } from "../_support/watch.ts";

const current = TokenSet.fromStored({ refresh_token: secret("RT") }, 0, "token.json");

/** Refreshes at `origin`; the error, and how often it was tried again. */
async function refreshAt(origin: string): Promise<{ error: AuthError; pauses: number }> {
  noteServers({ authorization: [origin], api: [] });
  const clock = fakeClock({ now: Date.now() });
  const client = new OAuthClient({
    issuer: origin,
    endpoints: { token_endpoint: `${origin}/token` },
    clientId: "app",
    scopes: [],
    clock,
  });
  const error = await assertRejects(() => client.refresh(current), AuthError);
  assert(error.cause instanceof Error, "the cause is kept");
  assert(!JSON.stringify([error.message, error.cause.message]).includes(secret("RT")));
  return { error, pauses: clock.waits.length };
}

/** A server that does as told with every connection. */
async function withServer(
  server: Server,
  body: (port: number, connections: () => number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as { port: number }).port, () => connections);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("OAuthClient repeats a request that found nobody, and says that there was no connection", async () => {
  const { error, pauses } = await refreshAt(`http://127.0.0.1:${await freePort()}`);
  assertEquals([error.code, pauses], ["network", 2]);
  assert(error.message.includes("no connection to"), error.message);
});

test("OAuthClient repeats a request to a host that has no address", async () => {
  const { error, pauses } = await refreshAt("https://no-such-host.invalid");
  assertEquals([error.code, pauses], ["network", 2]);
  assert(error.message.includes("no connection to"), error.message);
});

const VARIABLE = runtime === "deno" ? "DENO_CERT" : "NODE_EXTRA_CA_CERTS";

test(`OAuthClient says that a certificate is not trusted, and that ${VARIABLE} adds one`, async () => {
  let read = "";
  const server = createTlsServer({ cert: certificate, key: certificateKey }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => read += bytes);
  });
  await withServer(server, async (port, connections) => {
    const { error, pauses } = await refreshAt(`https://localhost:${port}`);
    assertEquals([error.code, pauses], ["network", 2]);
    assert(/\(TLS\)/.test(error.message) && error.message.includes(VARIABLE), error.message);
    assert(/cert|issuer/i.test(error.message), error.message);
    assert(/cert/i.test((error.cause as Error).message));
    assertEquals([connections(), read], [3, ""]);
  });
});

test("OAuthClient says that nobody speaks TLS at a plain port, and sends nothing there", async () => {
  let read = "";
  const server = createServer((socket) => {
    socket.on("data", (bytes) => {
      read += bytes;
      socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
  });
  await withServer(server, async (port) => {
    const { error } = await refreshAt(`https://localhost:${port}`);
    assertEquals(error.code, "network");
    assert(error.message.includes("(TLS)"), error.message);
    assert(!read.includes(secret("RT")));
  });
});

for (
  const [what, end] of [
    ["is closed", (socket: Socket) => socket.end()],
    ["is reset", (socket: Socket) => socket.resetAndDestroy()],
    ["ends amid the answer", (socket: Socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
      setTimeout(() => socket.destroy(), 20);
    }],
  ] as const
) {
  test(`OAuthClient sends a token once if the connection ${what} after the request (RFC 9700 §4.14.2)`, async () => {
    const server = createServer((socket) => socket.once("data", () => end(socket)));
    await withServer(server, async (port, connections) => {
      const { error, pauses } = await refreshAt(`http://127.0.0.1:${port}`);
      assertEquals([error.code, pauses, connections()], ["network", 0, 1]);
      assert(error.message.includes("broke off"), error.message);
    });
  });
}
