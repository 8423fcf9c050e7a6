// @badgateway/oauth2-client: token cache and fetch wrapper; storage is the caller's hook.
import { OAuth2Client, OAuth2Fetch } from "@badgateway/oauth2-client";

export function open({ issuer, clientId, clientSecret, stored, save }) {
  const client = new OAuth2Client({
    server: issuer,
    clientId,
    clientSecret,
    tokenEndpoint: "/token",
    discoveryEndpoint: "/.well-known/openid-configuration",
    authenticationMethod: "client_secret_post",
  });
  const wrapper = new OAuth2Fetch({
    client,
    scheduleRefresh: false,
    getNewToken: () => clientSecret ? client.clientCredentials() : null,
    getStoredToken: () =>
      stored
        ? {
          accessToken: stored.access_token,
          refreshToken: stored.refresh_token ?? null,
          expiresAt: stored._exp * 1000,
        }
        : null,
    storeToken: (token) =>
      save?.({
        access_token: token.accessToken,
        refresh_token: token.refreshToken,
        _exp: Math.floor(token.expiresAt / 1000),
      }),
  });
  return {
    token: async () => await wrapper.getAccessToken(),
    fetch: (url, init) => wrapper.fetch(url, init),
  };
}
