// Tells what became of the subscriptions of a service account: how many results each has, by their
// status, and those that failed as lines of CSV, to be sent on through a pipe.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET examples/subscription_results.ts
// bun run examples/subscription_results.ts
import process from "node:process";
import { Auth, Planet, PlanetError } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({ ...serviceAccount(), saveStateToStorage: false, environment });
const { subscriptions } = new Planet(auth);

try {
  const list = subscriptions.listSubscriptions({ status: ["running"], sortBy: "name", limit: 0 });
  for await (const { id, name } of list) {
    const { results } = await subscriptions.getSubscriptionSummary(id);
    console.error(name, JSON.stringify(results));
    for await (const line of subscriptions.getResultsCsv(id, { status: ["failed"] })) {
      console.log(line);
    }
  }
} catch (error) {
  // What these errors say is meant for the person, and holds no secret.
  if (!(error instanceof PlanetError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
