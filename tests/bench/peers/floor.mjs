// The physical floor as an adapter: hand-written single flight, nothing else.
import { record } from "./_files.mjs";

export function open({ issuer, clientId, clientSecret, stored, save }) {
  let token = stored;
  let flight;
  let header = token && `Bearer ${token.access_token}`;
  let until = token ? token._exp * 1000 : 0;
  const ask = async () => {
    const body = new URLSearchParams(
      token?.refresh_token
        ? { grant_type: "refresh_token", refresh_token: token.refresh_token, client_id: clientId }
        : { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret },
    );
    const answer = await fetch(`${issuer}/token`, { method: "POST", body });
    if (!answer.ok) throw new Error(`token endpoint: ${answer.status}`);
    token = record(await answer.json(), token);
    header = `Bearer ${token.access_token}`;
    until = token._exp * 1000;
    await save?.(token);
  };
  const renew = () => flight ??= ask().finally(() => flight = undefined);
  const authorization = async () => {
    if (Date.now() >= until) await renew();
    return header;
  };
  return {
    async token() {
      if (Date.now() >= until) await renew();
      return token.access_token;
    },
    async fetch(url, init) {
      return await fetch(url, { ...init, headers: { authorization: await authorization() } });
    },
  };
}
