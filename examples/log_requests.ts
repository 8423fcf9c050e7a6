// Writes a line to stderr for every request of a session, if the variable DEBUG says so:
// DEBUG=planet for requests, DEBUG=planet:auth for the sign-in, DEBUG=planet* for both.
// State stays in memory.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET,DEBUG examples/log_requests.ts
import process from "node:process";
import { Auth, type AuthEvent, Planet, Session, type SessionEvent } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

/** A listener that writes lines, if DEBUG names it. */
function logger<Event>(name: string, line: (event: Event) => string) {
  const asked = (process.env.DEBUG ?? "").split(/[\s,]+/);
  const isOn = asked.some((one) =>
    one === name || (one.endsWith("*") && name.startsWith(one.slice(0, -1)))
  );
  return isOn ? (event: Event) => console.error(`${name} ${line(event)}`) : undefined;
}

/** An event as a line: no query and no secret is in it. */
function requestLine(event: SessionEvent): string {
  if (event.type === "limit") return `the list ended at its limit of ${event.limit}`;
  const { attempt, id, method, ms, type, url } = event;
  const why = "status" in event ? event.status : "code" in event ? event.code : "";
  return `#${id}.${attempt} ${method} ${url} ${type} ${why ?? ""} ${Math.round(ms)} ms`;
}

const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  saveStateToStorage: false,
  environment,
  onEvent: logger<AuthEvent>("planet:auth", ({ profileName, type }) => `${type} ${profileName}`),
});
const session = new Session(auth, { onEvent: logger("planet", requestLine) });
for await (const { name } of new Planet(session).data.listSearches({ limit: 7 })) console.log(name);
