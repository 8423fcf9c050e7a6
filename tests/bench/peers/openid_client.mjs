// openid-client: protocol only; cache and storage are the caller's.
import * as client from "openid-client";
import { record } from "./_files.mjs";

export function open({ issuer, clientId, clientSecret, stored, save }) {
  const method = clientSecret ? client.ClientSecretPost(clientSecret) : client.None();
  let token = stored;
  let found;
  const discover = () =>
    found ??= client.discovery(new URL(issuer), clientId, undefined, method, {
      execute: [client.allowInsecureRequests],
    });
  // A call with a saved token needs no discovery.
  const plain = new client.Configuration({ issuer }, clientId, undefined, method);
  client.allowInsecureRequests(plain);
  const fresh = async () => {
    if (token && Date.now() < token._exp * 1000) return token.access_token;
    const config = await discover();
    token = record(
      token?.refresh_token
        ? await client.refreshTokenGrant(config, token.refresh_token)
        : await client.clientCredentialsGrant(config),
      token,
    );
    await save?.(token);
    return token.access_token;
  };
  return {
    token: fresh,
    fetch: async (url) =>
      await client.fetchProtectedResource(plain, await fresh(), new URL(url), "GET"),
  };
}
