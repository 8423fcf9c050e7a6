// This library, as an application uses it; `PLANET` names the copy of the package.
const runtime = globalThis.Deno ? "planet-ts/mod.ts" : "planet-js/mod.js";
const { Auth, MemoryStorage, FileStorage } = await import(new URL(`../${runtime}`, import.meta.url).href);

export function open({ issuer, api, clientId, clientSecret, root, profile }) {
  const environment = {
    userAuthServer: issuer,
    m2mAuthServer: issuer,
    audiences: ["https://api.bench.test/"],
    apiBaseUrl: api,
  };
  const common = {
    clientId,
    environment,
    profileName: profile,
    storageProvider: root === undefined ? new MemoryStorage() : new FileStorage({ root }),
  };
  const auth = clientSecret === undefined
    ? Auth.fromOAuthUserDeviceCode(common)
    : Auth.fromOAuthM2M({ ...common, clientSecret });
  return { token: () => auth.accessToken(), fetch: auth.fetch };
}
