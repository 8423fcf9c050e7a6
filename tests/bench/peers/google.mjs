// google-auth-library: OAuth2Client with its own cache and transport; storage by its event.
import { OAuth2Client } from "google-auth-library";

export function open({ issuer, clientId, clientSecret, stored, save }) {
  const client = new OAuth2Client({
    clientId,
    clientSecret,
    endpoints: { oauth2TokenUrl: `${issuer}/token` },
  });
  const { access_token, refresh_token, _exp } = stored;
  client.setCredentials({ access_token, refresh_token, expiry_date: _exp * 1000 });
  client.on("tokens", (tokens) =>
    save?.({
      access_token: tokens.access_token,
      refresh_token: tokens.refresh_token ?? refresh_token,
      _exp: Math.floor(tokens.expiry_date / 1000),
    }));
  return {
    token: async () => (await client.getAccessToken()).token,
    fetch: async (url) => {
      const { status, data } = await client.request({ url, responseType: "text" });
      return { status, text: () => Promise.resolve(data) };
    },
  };
}
