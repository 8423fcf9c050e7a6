// Signs in as a service account and lists the saved searches.
// State is in the application's own storage.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET,HOME --allow-read=$HOME/.planet-demo --allow-write=$HOME/.planet-demo examples/m2m_custom_storage.ts
import { Auth, Planet, Session } from "../mod.ts";
import { DemoStorage } from "./_demo_storage.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  profileName: "example-m2m",
  saveStateToStorage: true,
  storageProvider: new DemoStorage(),
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
