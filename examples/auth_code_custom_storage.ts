// Signs a person in with the browser of this machine and lists the saved searches.
// State is in the application's own storage.
// deno run --allow-net="login.planet.com,api.planet.com,127.0.0.1:8080,[::1]:8080" --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,HOME,BROWSER,DISPLAY,WAYLAND_DISPLAY --allow-read=$HOME/.planet-demo --allow-write=$HOME/.planet-demo --allow-run=xdg-open examples/auth_code_custom_storage.ts
import { Auth, Planet, PlanetOAuthScopes, Session } from "../mod.ts";
import { DemoStorage } from "./_demo_storage.ts";
import { callbackUrl, clientId, environment, sayAndEnd } from "./_environment.ts";

const auth = Auth.fromOAuthUserAuthCode({
  clientId: clientId(),
  callbackUrl,
  requestedScopes: [PlanetOAuthScopes.PLANET, PlanetOAuthScopes.OFFLINE_ACCESS],
  profileName: "example-auth-code",
  saveStateToStorage: true,
  storageProvider: new DemoStorage(),
  environment,
});
// Asks the person only where the saved session does not do.
await auth.ensureInitialized({ allowOpenBrowser: true, allowTtyPrompt: true }).catch(sayAndEnd);
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
