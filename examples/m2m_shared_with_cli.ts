// Signs in as a service account and lists the saved searches.
// State is in ~/.planet, as the planet command line has it.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET,HOME --allow-read=$HOME/.planet --allow-write=$HOME/.planet examples/m2m_shared_with_cli.ts
import { Auth, Planet, Session } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  profileName: "example-m2m",
  saveStateToStorage: true,
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
