// oauth4webapi: protocol only; cache and storage are the caller's.
import * as oauth from "oauth4webapi";
import { record } from "./_files.mjs";

export function open({ issuer, clientId, clientSecret, stored, save }) {
  const client = { client_id: clientId };
  const authenticate = clientSecret ? oauth.ClientSecretPost(clientSecret) : oauth.None();
  const insecure = { [oauth.allowInsecureRequests]: true };
  let token = stored;
  let server;
  const discover = async () => {
    const url = new URL(issuer);
    const answer = await oauth.discoveryRequest(url, insecure);
    return await oauth.processDiscoveryResponse(url, answer);
  };
  const fresh = async () => {
    if (token && Date.now() < token._exp * 1000) return token.access_token;
    const as = await (server ??= discover());
    const result = token?.refresh_token
      ? await oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(
          as,
          client,
          authenticate,
          token.refresh_token,
          insecure,
        ),
      )
      : await oauth.processClientCredentialsResponse(
        as,
        client,
        await oauth.clientCredentialsGrantRequest(as, client, authenticate, {}, insecure),
      );
    token = record(result, token);
    await save?.(token);
    return token.access_token;
  };
  return {
    token: fresh,
    fetch: async (url) =>
      await oauth.protectedResourceRequest(
        await fresh(),
        "GET",
        new URL(url),
        undefined,
        undefined,
        insecure,
      ),
  };
}
