// What a web server answers that signs its users in with Planet, each to a session of their own:
// GET / shows a user's saved searches, GET /sign-in, GET /callback, POST /sign-out.
import {
  Auth,
  AuthError,
  type AuthorizationRequest,
  type ObjectStorageProvider,
  Planet,
  type PlanetEnvironment,
  PlanetOAuthScopes,
  Session,
} from "../mod.ts";

/** What the server stands on. */
export interface WebLogin {
  clientId: string;
  /** Where browsers reach this server; `${origin}/callback` is the registered redirect URI. */
  origin: string;
  /** Keeps the sessions, and the sign-ins that were begun. */
  store: ObjectStorageProvider;
  environment?: PlanetEnvironment;
}

// __Host- binds a cookie to this very host; Lax lets it come along when the browser returns from Planet.
const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";
const SESSION = "__Host-session";
const LOGIN = "__Host-login";
const MONTH = 30 * 86_400;

/** OPENID and PROFILE tell who the user is. */
const SCOPES = [
  PlanetOAuthScopes.PLANET,
  PlanetOAuthScopes.OFFLINE_ACCESS,
  PlanetOAuthScopes.OPENID,
  PlanetOAuthScopes.PROFILE,
];

/** Most sessions that one process keeps at hand; the others are read from the store again. */
const MOST = 1_000;

const cookie = (name: string, value: string, seconds: number) =>
  `${name}=${value}; Max-Age=${seconds}; ${ATTRIBUTES}`;

/** A value that nobody guesses. */
const random = () =>
  Array.from(
    crypto.getRandomValues(new Uint8Array(32)),
    (byte) => byte.toString(16).padStart(2, "0"),
  )
    .join("");

/** Name of what is stored for a cookie; who reads the store does not learn the cookie by it. */
async function nameFor(value: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(value));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readCookie(request: Request, name: string): string | undefined {
  const found = new RegExp(`(?:^|; )${name}=([0-9a-f]{64})(?:;|$)`);
  return found.exec(request.headers.get("cookie") ?? "")?.[1];
}

const escape = (text: string) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

function page(content: string, status = 200, cookies: string[] = []): Response {
  const headers = new Headers({
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy":
      "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "same-origin",
  });
  for (const one of cookies) headers.append("set-cookie", one);
  const html = '<!doctype html><html lang="en"><title>My searches</title>' +
    '<meta name="viewport" content="width=device-width">' +
    `<meta name="color-scheme" content="light dark">${content}</html>`;
  return new Response(html, { status, headers });
}

/** Always to a page of this server, or to Planet's: nothing in a request says where to. */
function redirect(location: string, cookies: string[]): Response {
  const headers = new Headers({ location, "cache-control": "no-store" });
  for (const one of cookies) headers.append("set-cookie", one);
  return new Response(null, { status: 303, headers });
}

/** The page of those who are not signed in, and what there is to say to them. */
const invitation = (message?: string) =>
  `<h1>My searches</h1>${message === undefined ? "" : `<p>${escape(message)}</p>`}` +
  '<p><a href="/sign-in">Sign in with Planet</a></p>';

/** Makes the handler; it fits Deno.serve and Bun.serve. */
export function webLogin(options: WebLogin): (request: Request) => Promise<Response> {
  const { clientId, environment, origin, store } = options;
  const auths = new Map<string, Auth>();

  /** The session behind a cookie: one Auth for all requests of a user, so that they share a renewal. */
  async function authFor(value: string): Promise<Auth> {
    const profileName = await nameFor(value);
    const auth = auths.get(profileName) ?? Auth.fromOAuthUserAuthCode({
      clientId,
      callbackUrl: `${origin}/callback`,
      requestedScopes: SCOPES,
      profileName,
      storageProvider: store,
      environment,
    });
    auths.delete(profileName);
    auths.set(profileName, auth);
    if (auths.size > MOST) auths.delete(auths.keys().next().value!);
    return auth;
  }

  async function home(request: Request): Promise<Response> {
    const value = readCookie(request, SESSION);
    const auth = value && await authFor(value);
    if (!auth || !await auth.isInitialized()) return page(invitation());
    const user = await store.load(`.planet/${auth.profileName}/user.json`);
    const names: string[] = [];
    for await (const search of new Planet(new Session(auth)).data.listSearches({ limit: 5 })) {
      names.push(`<li>${escape(search.name)}`);
    }
    return page(
      `<h1>My searches</h1><p>Signed in as ${escape(String(user?.name))}.</p>` +
        `<ul>${names.join("")}</ul>` +
        '<form method="post" action="/sign-out"><button>Sign out</button></form>',
    );
  }

  /**
   * Begins a sign-in; what completes it is kept here, and the browser gets a cookie that finds it. Those
   * that nobody completes stay: a server for many users sweeps them away after ten minutes.
   */
  async function signIn(): Promise<Response> {
    const value = random();
    const request = await (await authFor(value)).authCodeUserLoginInitiate();
    await store.save(`.planet/${await nameFor(value)}/login_request.json`, request);
    return redirect(request.authorization_url, [cookie(LOGIN, value, request.expires_in)]);
  }

  /** Completes the sign-in that this very browser has begun, under a cookie that is new. */
  async function callback(request: Request): Promise<Response> {
    const begun = readCookie(request, LOGIN);
    const key = begun && `.planet/${await nameFor(begun)}/login_request.json`;
    const kept = key && await store.load(key);
    if (!kept) return page(invitation("This sign-in has expired."), 400);
    const value = random();
    const auth = await authFor(value);
    await auth.authCodeUserLoginComplete(kept as AuthorizationRequest, request);
    const { name, sub } = await auth.validateIdToken();
    await store.save(`.planet/${auth.profileName}/user.json`, { name: name ?? sub ?? "" });
    await store.delete?.(key);
    return redirect("/", [cookie(LOGIN, "", 0), cookie(SESSION, value, MONTH)]);
  }

  async function signOut(request: Request): Promise<Response> {
    const value = readCookie(request, SESSION);
    if (value) {
      const auth = await authFor(value);
      auths.delete(auth.profileName);
      await auth.logout();
    }
    return redirect("/", [cookie(SESSION, "", 0)]);
  }

  return async (request) => {
    const { pathname } = new URL(request.url);
    // What another site sends, or has the browser send, changes nothing.
    const isForeign = request.headers.get("sec-fetch-site") === "cross-site";
    const isOurs = request.headers.get("origin") === origin;
    try {
      if (request.method === "GET" && pathname === "/") return await home(request);
      if (request.method === "GET" && pathname === "/callback") return await callback(request);
      if (request.method === "GET" && pathname === "/sign-in" && !isForeign) return await signIn();
      if (request.method === "POST" && pathname === "/sign-out" && isOurs) {
        return await signOut(request);
      }
      return page("<p>Nothing to see here.</p>", request.method === "GET" ? 404 : 403);
    } catch (error) {
      // What these errors say is meant for people, and holds no secret.
      if (!(error instanceof AuthError)) throw error;
      return page(invitation(error.message), 400);
    }
  };
}
