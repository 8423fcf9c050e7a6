// simple-oauth2: the token is an object of the caller's, and so are cache, storage and fetch.
import { AuthorizationCode, ClientCredentials } from "simple-oauth2";

export function open({ issuer, clientId, clientSecret, stored, save }) {
  const config = {
    client: { id: clientId, secret: clientSecret ?? "none" },
    auth: { tokenHost: issuer, tokenPath: "/token", refreshPath: "/token" },
    options: { authorizationMethod: "body" },
  };
  const app = stored ? new AuthorizationCode(config) : new ClientCredentials(config);
  let token = stored && app.createToken({
    access_token: stored.access_token,
    refresh_token: stored.refresh_token,
    expires_at: new Date(stored._exp * 1000),
  });
  const fresh = async () => {
    if (token === undefined || token.expired()) {
      token = token ? await token.refresh() : await app.getToken({});
      const { access_token, refresh_token, expires_at } = token.token;
      await save?.({ access_token, refresh_token, _exp: Math.floor(expires_at.getTime() / 1000) });
    }
    return token.token.access_token;
  };
  return {
    token: fresh,
    fetch: async (url) =>
      await fetch(url, { headers: { authorization: `Bearer ${await fresh()}` } }),
  };
}
