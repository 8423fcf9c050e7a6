// Which servers the examples talk to: Planet's own, unless PLANET_SANDBOX holds the URL of a
// local sandbox (`deno task sandbox`), which also brings clients that work there.
import process from "node:process";
import { AuthError, type PlanetEnvironment, PRODUCTION } from "../mod.ts";

interface Clients {
  clientId: string;
  callbackUrl: string;
  m2m: { clientId: string; clientSecret: string };
}

const url = process.env.PLANET_SANDBOX;
async function ask<T>(path: string): Promise<T | undefined> {
  return url ? await (await fetch(new URL(path, url))).json() : undefined;
}
const sandbox = await ask<Clients>("/clients.json");

/** The servers. An application of your own leaves this option out. */
export const environment: PlanetEnvironment = await ask<PlanetEnvironment>("/environment.json") ??
  PRODUCTION;

/** Where the browser brings its answer, as registered with Planet for your client. */
export const callbackUrl: string = sandbox?.callbackUrl ?? "http://localhost:8080";

/** The client ID that Planet gave your application. */
export function clientId(): string {
  return sandbox?.clientId ?? process.env.PL_CLIENT_ID ?? "";
}

/** The service account. */
export function serviceAccount(): { clientId: string; clientSecret: string } {
  return sandbox?.m2m ?? {
    clientId: process.env.PL_CLIENT_ID ?? "",
    clientSecret: process.env.PL_CLIENT_SECRET ?? "",
  };
}

/** Ends the program with what an error says to the person: a line, and no stack. */
export function sayAndEnd(error: unknown): never {
  if (!(error instanceof AuthError)) throw error;
  const { cause, message } = error;
  console.error(cause instanceof Error ? `${message} (${cause.message})` : message);
  process.exit(1);
}
