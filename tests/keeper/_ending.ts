/**
 * A program whose work ends while its session is renewed behind its back: `ends_test.ts` runs it.
 *
 * With `settled` and `disposed` it waits for the renewal, and exits; with `silent token` and `silent
 * discovery` that endpoint takes the request and says nothing, and the program just ends. Prints one
 * line of JSON.
 *
 * @module
 */

import { createServer } from "node:net";
import process from "node:process";
import { Auth, FileStorage } from "../../mod.ts";

const [mode, root] = process.argv.slice(2) as [string, string];
const silent = createServer((socket) => void socket.on("error", () => {}).unref());
await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", () => resolve()));
silent.unref();
const base = `http://127.0.0.1:${(silent.address() as { port: number }).port}`;
const spent: (string | null)[] = [];

async function fetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const url = String(input);
  if (url.includes("/.well-known/")) {
    if (mode === "silent discovery") return await globalThis.fetch(url, init);
    return Response.json({ issuer: base, token_endpoint: `${base}/token` });
  }
  if (url !== `${base}/token`) return Response.json({});
  if (mode === "silent token") return await globalThis.fetch(url, init);
  spent.push(new URLSearchParams(String(init.body)).get("refresh_token"));
  await new Promise((resolve) => setTimeout(resolve, 200));
  return Response.json({
    access_token: "access-2-of-program",
    refresh_token: "refresh-2-of-program",
    token_type: "Bearer",
    expires_in: 3_600,
  });
}

const storageProvider = new FileStorage({ root });
const now = Math.floor(Date.now() / 1_000);
await storageProvider.save(".planet/p/token.json", {
  access_token: "access-1-of-program",
  refresh_token: "refresh-1-of-program",
  token_type: "Bearer",
  _iat: now - 4_800,
  _exp: now + 1_200,
});
let aheadMs = 0;
const clock = {
  now: () => Date.now() + aheadMs,
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};
const environment = { userAuthServer: base, m2mAuthServer: base, audiences: [], apiBaseUrl: base };
const common = { environment, fetch: fetch as typeof globalThis.fetch, clock, storageProvider };
const auth = Auth.fromOAuthUserDeviceCode({ ...common, clientId: "program", profileName: "p" });

for (let call = 0; call < 3; call++, aheadMs += 60_000) await auth.fetch(`${base}/x`);
if (mode.startsWith("silent")) {
  const since = Date.now();
  process.on("exit", () => console.log(JSON.stringify({ livedMs: Date.now() - since })));
} else {
  await (mode === "settled" ? auth.settled() : auth[Symbol.asyncDispose]());
  const { refresh_token: stored } = (await storageProvider.load(".planet/p/token.json"))!;
  console.log(JSON.stringify({ spent, stored }));
  process.exit(0);
}
