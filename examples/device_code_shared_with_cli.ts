// Signs a person in with a browser on any device and lists the saved searches.
// State is in ~/.planet, as the planet command line has it.
// deno run --allow-net=login.planet.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,HOME --allow-read=$HOME/.planet --allow-write=$HOME/.planet examples/device_code_shared_with_cli.ts
import { Auth, Planet, PlanetOAuthScopes, Session } from "../mod.ts";
import { clientId, environment, sayAndEnd } from "./_environment.ts";

const auth = Auth.fromOAuthUserDeviceCode({
  clientId: clientId(),
  requestedScopes: [PlanetOAuthScopes.PLANET, PlanetOAuthScopes.OFFLINE_ACCESS],
  profileName: "example-device-code",
  saveStateToStorage: true,
  environment,
});
if (!(await auth.isInitialized())) {
  // What the person sees is up to the application.
  const login = await auth.deviceUserLoginInitiate();
  console.error("Please visit", login.verification_uri_complete ?? login.verification_uri);
  console.error("and confirm the code", login.user_code);
  await auth.deviceUserLoginComplete(login).catch(sayAndEnd);
}
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
