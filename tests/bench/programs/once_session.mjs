// The same through `Session`, with its limits and retries.
import { Auth, Session } from "../../../mod.ts";
const [, url] = globalThis.Deno?.args ?? process.argv.slice(2);
const { origin } = new URL(url);
const session = new Session(
  Auth.fromOAuthUserDeviceCode({
    clientId: "bench",
    environment: {
      userAuthServer: origin,
      m2mAuthServer: origin,
      audiences: ["https://api.bench.test/"],
      apiBaseUrl: origin,
    },
  }),
);
const answer = await session.request("GET", url);
console.log(answer.status, (await answer.text()).length);
