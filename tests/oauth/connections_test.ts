import { assert, assertEquals } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient } from "../../lib/oauth/client.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { noteServers } from "../_support/watch.ts";
import { listen, readBody } from "../sandbox/http_server.ts";

test("OAuthClient sends a one-time refresh token once where a kept connection ends without an answer", async () => {
  const used = new WeakSet<object>();
  const arrived: string[] = [];
  // Takes what comes second over a connection, and cuts it, as a server that restarts may.
  const server = await listen(async (request, response) => {
    const form = new URLSearchParams(await readBody(request));
    const refreshToken = form.get("refresh_token");
    if (refreshToken !== null) arrived.push(refreshToken);
    if (used.has(request.socket) && refreshToken !== null) return void request.socket.destroy();
    used.add(request.socket);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ access_token: secret("AT"), token_type: "Bearer" }));
  });
  try {
    noteServers({ authorization: [server.origin], api: [] });
    const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
    const client = new OAuthClient({
      issuer: server.origin,
      endpoints: { token_endpoint: `${server.origin}/token` },
      clientId: "app",
      scopes: [],
      clock,
    });
    const outcomes: string[] = [];
    for (const refresh_token of [secret("RT1"), secret("RT2"), secret("RT3")]) {
      // The program's own requests leave a connection behind.
      await (await fetch(`${server.origin}/page`)).text();
      const tokens = TokenSet.fromStored({ refresh_token }, clock.now(), "token.json");
      outcomes.push(
        await client.refresh(tokens).then(() => "renewed", (error) => {
          assert(error instanceof AuthError);
          return error.code;
        }),
      );
    }
    assertEquals(arrived, [secret("RT1"), secret("RT2"), secret("RT3")]);
    // Node takes the kept connection, and says that it broke.
    const mayBreak = !("Deno" in globalThis) && !("Bun" in globalThis);
    assert(
      outcomes.every((end) => end === "renewed" || mayBreak && end === "network"),
      `${outcomes}`,
    );
  } finally {
    await server.close();
  }
});
