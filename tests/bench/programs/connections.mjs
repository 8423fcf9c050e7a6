// Signs in as a service account, renews twice, and calls the API three times after each but the last.
const [name, origin, api] = globalThis.Deno?.args ?? process.argv.slice(2);

const byHand = async () => {
  const found = await (await fetch(`${origin}/.well-known/openid-configuration`)).json();
  const form = { grant_type: "client_credentials", client_id: "floor", client_secret: "secret" };
  let token;
  const renew = async () => {
    const body = new URLSearchParams(form);
    const answer = await fetch(found.token_endpoint, { method: "POST", body });
    token = (await answer.json()).access_token;
  };
  await renew();
  return {
    renew,
    call: (url) => fetch(url, { headers: { authorization: `Bearer ${token}` } }),
  };
};

const withPlanet = async () => {
  const runtime = globalThis.Deno ? "planet-ts/mod.ts" : "planet-js/mod.js";
  const { Auth, MemoryStorage } = await import(new URL(`../${runtime}`, import.meta.url).href);
  const auth = Auth.fromOAuthM2M({
    clientId: "bench",
    clientSecret: "bench-secret",
    environment: {
      userAuthServer: origin,
      m2mAuthServer: origin,
      audiences: ["https://api.bench.test/"],
      apiBaseUrl: api,
    },
    storageProvider: new MemoryStorage(),
  });
  await auth.accessToken();
  return { renew: () => auth.accessToken({ forceRefresh: true }), call: auth.fetch };
};

const { call, renew } = await (name === "planet" ? withPlanet() : byHand());
for (let round = 0; round < 2; round++) {
  for (let i = 0; i < 3; i++) await (await call(`${api}/api`)).text();
  await renew();
}
console.log("done");
