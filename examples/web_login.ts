// A web server whose users sign in with Planet, each to a session of their own in Deno KV, and see
// their saved searches. Arguments: a file for the database, in a folder that is yours alone, and the
// origin at which browsers reach this server; behind a proxy with TLS, https://my-app.example.
// deno run --unstable-kv --allow-net="login.planet.com,api.planet.com,127.0.0.1:8080" --allow-env=PLANET_SANDBOX,PL_CLIENT_ID --allow-read=$HOME/.planet-web --allow-write=$HOME/.planet-web examples/web_login.ts
import { KvStorage } from "../mod.ts";
import { callbackUrl, clientId, environment } from "./_environment.ts";
import { webLogin } from "./_web_login.ts";

const origin = Deno.args[1] ?? new URL(callbackUrl).origin;
const handler = webLogin({
  clientId: clientId(),
  origin,
  store: new KvStorage(await Deno.openKv(Deno.args[0])),
  environment,
});
Deno.serve({ hostname: "127.0.0.1", port: Number(new URL(origin).port || 8080) }, handler);
