// Signs a person in with the browser of this machine and lists the saved searches.
// State stays in memory.
// deno run --allow-net="login.planet.com,api.planet.com,127.0.0.1:8080,[::1]:8080" --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,BROWSER,DISPLAY,WAYLAND_DISPLAY --allow-run=xdg-open examples/auth_code_in_memory.ts
import { Auth, Planet, PlanetOAuthScopes, Session } from "../mod.ts";
import { callbackUrl, clientId, environment, sayAndEnd } from "./_environment.ts";

const auth = Auth.fromOAuthUserAuthCode({
  clientId: clientId(),
  callbackUrl,
  requestedScopes: [PlanetOAuthScopes.PLANET, PlanetOAuthScopes.OFFLINE_ACCESS],
  saveStateToStorage: false,
  environment,
});
await auth.ensureInitialized({ allowOpenBrowser: true, allowTtyPrompt: true }).catch(sayAndEnd);
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
