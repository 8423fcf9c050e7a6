/**
 * A script at the browser for the pages of all the servers: signs in, agrees or does not, and takes the
 * answer to the application.
 *
 * @module
 */

import { Browser, readForm, type Visit } from "../sandbox/person.ts";
import { callHydra, type Server } from "./_servers.ts";

/** How the person behaves. */
export interface Behaviour {
  /** Whether the person says no at the page that asks; default false. */
  readonly deny?: boolean;
  /** The code that a device shows, where its page asks for it. */
  readonly userCode?: string;
  /** Another person's name. */
  readonly username?: string;
  /** Whether the answer is taken to the application; default true. */
  readonly deliver?: boolean;
}

/** More pages than this are a loop. */
const MOST_PAGES = 30;

/** What Hydra's login and consent application answers, which is the person here. */
async function answerHydra(server: Server, url: URL, deny: boolean): Promise<URL> {
  const kind = url.pathname.slice(1);
  const challenge = `${kind}_challenge=${url.searchParams.get(`${kind}_challenge`)}`;
  const at = `/oauth2/auth/requests/${kind}`;
  const { requested_access_token_audience, requested_scope } = await callHydra(
    server,
    "GET",
    `${at}?${challenge}`,
  );
  const isNo = deny && kind === "consent";
  const { redirect_to } = await callHydra(
    server,
    "PUT",
    `${at}/${isNo ? "reject" : "accept"}?${challenge}`,
    isNo
      ? { error: "access_denied", error_description: "The person said no." }
      : kind === "login"
      ? { subject: server.person[0] }
      : {
        grant_scope: requested_scope,
        grant_access_token_audience: requested_access_token_audience,
      },
  );
  return new URL(redirect_to);
}

/** Fills the fields in; `false`: the page asks for nothing that is known here. */
function fill(
  server: Server,
  fields: Map<string, string>,
  text: string,
  behaviour: Behaviour,
): boolean {
  const { deny = false, userCode, username = server.person[0] } = behaviour;
  if (fields.has("username")) {
    fields.set("username", username).set("password", server.person[1]);
    return true;
  }
  const code = ["user_code", "device_user_code"].find((name) => fields.has(name));
  if (code !== undefined) {
    if (userCode === undefined) return false;
    fields.set(code, userCode);
    return true;
  }
  // Keycloak's are buttons.
  if (/name="accept"/.test(text) && /name="cancel"/.test(text)) {
    fields.delete(deny ? "accept" : "cancel");
    fields.set(deny ? "cancel" : "accept", "");
    return true;
  }
  if (fields.has("allow")) {
    if (deny) fields.delete("allow");
    return true;
  }
  if (!/name="action" value="accept"/.test(text)) return false;
  fields.set("action", deny ? "deny" : "accept");
  return true;
}

/** Opens `start` and does what the pages ask, to the last of them. */
export async function visit(
  server: Server,
  start: string | URL,
  behaviour: Behaviour = {},
): Promise<Visit> {
  const { deliver = true, deny = false } = behaviour;
  const browser = new Browser(AbortSignal.timeout(120_000));
  let url = new URL(start);
  const own = url.origin;
  let form: URLSearchParams | undefined;
  let callback: URL | undefined;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const response = await browser.load(url, form);
    form = undefined;
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      url = new URL(location, url);
      const isApplication = server.admin !== undefined && url.origin === server.admin;
      if (isApplication && /^\/(login|consent)$/.test(url.pathname)) {
        url = await answerHydra(server, url, deny);
      } else if (url.origin !== own && callback === undefined) {
        callback = url;
        if (!deliver) return { callback, url, status: response.status, text: "" };
      }
      continue;
    }
    const text = await response.text();
    const last = { callback, url, status: response.status, text };
    if (callback !== undefined || response.status >= 400) return last;
    const confirm = /href='(\.\/confirm\?action=allowed)'/.exec(text)?.[1];
    if (confirm !== undefined) {
      url = new URL(deny ? confirm.replace("allowed", "denied") : confirm, url);
      continue;
    }
    const found = readForm(text);
    if (found === undefined || !fill(server, found.fields, text, behaviour)) return last;
    url = new URL(found.action, url);
    form = new URLSearchParams([...found.fields]);
  }
  throw new Error(`The pages at ${own} lead in a circle.`);
}
