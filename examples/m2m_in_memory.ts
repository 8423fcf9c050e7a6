// Signs in as a service account and lists the saved searches.
// State stays in memory.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET examples/m2m_in_memory.ts
import { Auth, Planet, Session } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  saveStateToStorage: false,
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
