// @azure/msal-node: own cache; storage by its plugin. It insists on https, hence the transport.
import { ConfidentialClientApplication } from "@azure/msal-node";

export function open({ issuer, clientId, clientSecret, cache, saveCache }) {
  const authority = "https://login.bench.test/tenant";
  const send = async (url, init) => {
    const answer = await fetch(
      url.replace(authority, issuer).replace("https://login.bench.test", issuer),
      init,
    );
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: await answer.json(),
    };
  };
  const app = new ConfidentialClientApplication({
    auth: {
      clientId,
      clientSecret,
      authority,
      knownAuthorities: ["login.bench.test"],
      authorityMetadata: JSON.stringify({
        issuer: authority,
        authorization_endpoint: `${authority}/authorize`,
        token_endpoint: `${authority}/token`,
        jwks_uri: `${authority}/jwks`,
      }),
    },
    cache: {
      cachePlugin: {
        beforeCacheAccess: (context) => {
          if (cache !== undefined) context.tokenCache.deserialize(cache);
          return Promise.resolve();
        },
        afterCacheAccess: async (context) => {
          if (context.cacheHasChanged) {
            cache = context.tokenCache.serialize();
            await saveCache?.(cache);
          }
        },
      },
    },
    system: {
      networkClient: {
        sendGetRequestAsync: (url, { headers } = {}) => send(url, { headers }),
        sendPostRequestAsync: (url, { headers, body } = {}) =>
          send(url, { method: "POST", headers, body }),
      },
    },
  });
  const token = async () => {
    const result = await app.acquireTokenByClientCredential({ scopes: ["api/.default"] });
    return result.accessToken;
  };
  return {
    token,
    fetch: async (url) =>
      await fetch(url, { headers: { authorization: `Bearer ${await token()}` } }),
  };
}
