/**
 * `fetch` with a session's credentials, for the origins that may have them.
 *
 * Follows redirects itself, so that the token does not travel to an origin
 * outside the allow-list, and repeats a request once where a 401 can be mended
 * by another token. Knows nothing of sessions, storage or retries.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { canReplay, takeApart } from "./request_parts.ts";

/** Where the `Authorization` header comes from. */
export interface Authorizer {
  /** The header's value: at once where it is known, else after a renewal; empty: none is sent. */
  authorization(signal?: AbortSignal): string | Promise<string>;
  /** A value in place of `rejected`, which an API refused; `undefined` where there is none for now. */
  replace(rejected: string, signal?: AbortSignal): Promise<string | undefined>;
}

/** How an authenticated `fetch` is made. */
export interface AuthenticatedFetchOptions {
  /** Origins that may receive the header, as `URL.origin` has them. */
  readonly allowedOrigins: readonly string[];
  /** Replaces the global `fetch`, for proxies and tests. */
  readonly fetch?: typeof globalThis.fetch;
}

/** Most redirects that are followed (Fetch Standard §4.4). */
const MOST_REDIRECTS = 20;

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** Headers that describe a body, which a redirect to GET leaves behind. */
const BODY_HEADERS = ["content-encoding", "content-language", "content-location", "content-type"];

/** Headers that belong to one origin only. */
const ORIGIN_HEADERS = ["authorization", "cookie", "host", "proxy-authorization"];

/** One request on its way, over all its redirects. */
interface Trip {
  readonly url: string;
  readonly init: RequestInit;
  /** Whether the origin may have the header. */
  readonly trusted: boolean;
}

/** Tells whether a text begins with an allowed origin; `false` where that takes a closer look. */
function isPlainlyAllowed(url: string, origins: readonly string[]): boolean {
  for (const origin of origins) {
    // What follows must end the host for every reader of the URL.
    if (url.startsWith(origin) && url.charCodeAt(origin.length) === 0x2f) return true;
  }
  return false;
}

function refuse(url: URL): AuthError {
  return new AuthError(
    "untrusted_origin",
    `Add "${url.origin}" to allowedOrigins if it may have the session's token, or use another fetch: it is not in the list.`,
  );
}

/** A copy of the headers with `authorization` in them; a plain object stays one, which is cheap. */
function withHeader(
  headers: HeadersInit | undefined,
  authorization: string,
): HeadersInit | undefined {
  if (authorization === "") return headers;
  if (headers === undefined) return { authorization };
  if (Object.getPrototypeOf(headers) === Object.prototype) {
    const copy: Record<string, string> = {};
    for (const name in headers) {
      if (name.toLowerCase() !== "authorization") {
        copy[name] = (headers as Record<string, string>)[name]!;
      }
    }
    copy.authorization = authorization;
    return copy;
  }
  const copy = new Headers(headers);
  copy.set("authorization", authorization);
  return copy;
}

/** A redirect that nobody can follow; a `TypeError`, as `fetch` has it. */
export class RedirectError extends TypeError {}

/** The header that was sent for an answer which refuses. */
const refused: WeakMap<Response, string> = new WeakMap();

/** Takes the credentials out of what an API says: some quote what they refuse. */
export function withoutCredentials(text: string, response: Response): string {
  const secret = refused.get(response)?.replace(/^\S+ /, "");
  return secret ? text.replaceAll(secret, "(secret)") : text;
}

/** Lets an answer's connection go; nobody waits for that, since a copied body never ends. */
function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}

/** The next request after a redirect answer; `undefined` where there is nowhere to go. */
function redirected(trip: Trip, response: Response, origins: readonly string[]): Trip | undefined {
  const location = response.headers.get("location");
  if (location === null) return undefined;
  const from = new URL(trip.url);
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (to === undefined || !/^https?:$/.test(to.protocol)) {
    throw new RedirectError("The redirect leads to no http or https URL.");
  }
  if (from.hash !== "" && to.hash === "") to.hash = from.hash;
  const headers = new Headers(trip.init.headers);
  const init: RequestInit = { ...trip.init, headers };
  const method = (trip.init.method ?? "GET").toUpperCase();
  const toGet = response.status === 303
    ? method !== "GET" && method !== "HEAD"
    : response.status < 303 && method === "POST";
  if (toGet) {
    init.method = "GET";
    delete init.body;
    for (const name of BODY_HEADERS) headers.delete(name);
  } else if (!canReplay(trip.init.body)) {
    throw new RedirectError("The redirect asks for the body again, which was a stream.");
  }
  if (to.origin !== from.origin) { for (const name of ORIGIN_HEADERS) headers.delete(name); }
  return { url: to.href, init, trusted: trip.trusted && origins.includes(to.origin) };
}

/**
 * Makes a `fetch` that sends the session's credentials; it needs no `this`.
 *
 * A `Request` with a body is read into memory first, so that it can be
 * repeated; pass a large body as a stream in the second parameter.
 *
 * @throws {AuthError} The function: `untrusted_origin` before anything is sent,
 *   and what the authorizer throws; else it fails as `fetch` does.
 */
export function authenticatedFetch(
  authorizer: Authorizer,
  options: AuthenticatedFetchOptions,
): typeof globalThis.fetch {
  const { allowedOrigins, fetch: transport } = options;

  /** Sends to an allowed origin; once more where another token mends a 401. */
  const sendTrusted = async (url: string, init: RequestInit | undefined): Promise<Response> => {
    const send = transport ?? globalThis.fetch;
    const signal = init?.signal ?? undefined;
    const known = authorizer.authorization(signal);
    const authorization = typeof known === "string" ? known : await known;
    const headers = withHeader(init?.headers, authorization);
    const response = await send(url, { ...init, headers, redirect: "manual" });
    if (response.status >= 400) refused.set(response, authorization);
    if (response.status !== 401 || !canReplay(init?.body)) return response;
    let other: string | undefined;
    try {
      other = await authorizer.replace(authorization, signal);
    } catch (error) {
      discard(response);
      throw error;
    }
    if (other === undefined) return response;
    discard(response);
    const again = withHeader(init?.headers, other);
    const last = await send(url, { ...init, headers: again, redirect: "manual" });
    if (last.status >= 400) refused.set(last, other);
    return last;
  };

  const follow = async (trip: Trip, response: Response): Promise<Response> => {
    let last = response;
    for (let count = 1; REDIRECTS.includes(last.status); count++) {
      let next: Trip | undefined;
      try {
        next = redirected(trip, last, allowedOrigins);
      } catch (error) {
        discard(last);
        throw error;
      }
      if (next === undefined) break;
      discard(last);
      if (count > MOST_REDIRECTS) throw new RedirectError("There were more than 20 redirects.");
      last = next.trusted
        ? await sendTrusted(next.url, next.init)
        : await (transport ?? globalThis.fetch)(next.url, { ...next.init, redirect: "manual" });
      trip = next;
    }
    if (last !== response) Object.defineProperty(last, "redirected", { value: true });
    return last;
  };

  return async function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    let [url, given] = typeof input === "string" || input instanceof URL
      ? [String(input), init]
      : await takeApart(input, init);
    if (!isPlainlyAllowed(url, allowedOrigins)) {
      const parsed = new URL(url);
      if (!allowedOrigins.includes(parsed.origin)) throw refuse(parsed);
      url = parsed.href;
    }
    const response = await sendTrusted(url, given);
    if (!REDIRECTS.includes(response.status) || given?.redirect === "manual") return response;
    // Decided here, because Cloudflare's fetch refuses the word itself.
    if (given?.redirect === "error") {
      discard(response);
      throw new RedirectError('The answer is a redirect, and redirect is "error".');
    }
    return await follow({ url, init: given ?? {}, trusted: true }, response);
  };
}
