// The same with this library: the session of a profile in the home directory.
import { Auth } from "../../../mod.ts";
const [, url] = globalThis.Deno?.args ?? process.argv.slice(2);
const { origin } = new URL(url);
const auth = Auth.fromOAuthUserDeviceCode({
  clientId: "bench",
  environment: {
    userAuthServer: origin,
    m2mAuthServer: origin,
    audiences: ["https://api.bench.test/"],
    apiBaseUrl: origin,
  },
});
const answer = await auth.fetch(url);
console.log(answer.status, (await answer.text()).length);
