/**
 * Keeps a sandbox running and says how to use it (`deno task sandbox`).
 *
 * @module
 */

import process from "node:process";
import { startSandbox } from "./sandbox.ts";

/** Runs a sandbox until Ctrl-C, at most `SANDBOX_MINUTES` (default 60). */
export async function serve(): Promise<void> {
  const minutes = Number(process.env.SANDBOX_MINUTES ?? 60);
  if (!(minutes > 0 && minutes <= 24 * 60)) {
    console.error("Set SANDBOX_MINUTES to a number of minutes, at most a day.");
    process.exit(2);
  }
  const sandbox = await startSandbox();
  const { apiKey, clientId, environment, m2m, url } = sandbox;
  console.log(`The sandbox is up for ${minutes} minutes; Ctrl-C ends it.

  The option "environment"       ${url}/environment.json
  Clients and what proves them  ${url}/clients.json
  Server for people             ${environment.userAuthServer}
  Server for service accounts   ${environment.m2mAuthServer}
  Data API                      ${environment.apiBaseUrl}

  Public client                 ${clientId}
  Service account               ${m2m.clientId}, secret ${m2m.clientSecret}
  API key                       ${apiKey}
  (worth nothing anywhere else)

Run any example against it, in another terminal; sign in with any name and password:

  PLANET_SANDBOX=${url} deno run --allow-all examples/m2m_in_memory.ts
  PLANET_SANDBOX=${url} deno run --allow-all examples/auth_code_in_memory.ts
  PLANET_SANDBOX=${url} bun examples/device_code_in_memory.ts
`);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(end, minutes * 60_000);
    function end() {
      clearTimeout(timer);
      process.removeListener("SIGINT", end);
      process.removeListener("SIGTERM", end);
      resolve();
    }
    process.on("SIGINT", end);
    process.on("SIGTERM", end);
  });
  await sandbox.close();
  console.log("The sandbox is closed.");
}

if (import.meta.main) await serve();
