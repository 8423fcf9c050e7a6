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
import type { Authorizer } from "./follow_up.ts";

/** How an authenticated `fetch` is made. */
export interface AuthenticatedFetchOptions {
  /** Origins that may receive the header, as `URL.origin` has them. */
  readonly allowedOrigins: readonly string[];
  /** Replaces the global `fetch`, for proxies and tests. */
  readonly fetch?: typeof globalThis.fetch;
}

/** Those that send with the runtime's own `fetch`. */
const direct: WeakSet<typeof globalThis.fetch> = new WeakSet();

/** Tells whether a `fetch` that was made here sends with the runtime's own, not the application's. */
export function isDirect(fetch: typeof globalThis.fetch): boolean {
  return direct.has(fetch);
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
  // The slash ends the host for every reader of the URL.
  const prefixes = allowedOrigins.map((origin) => `${origin}/`);
  /** Tells whether a text begins with an allowed origin; `false` where that takes a closer look. */
  const isPlainlyAllowed = (url: string): boolean => {
    for (let index = 0; index < prefixes.length; index++) {
      if (url.startsWith(prefixes[index]!)) return true;
    }
    return false;
  };
  // The global one is looked up at each call, so that replacing it works.
  const send = (url: string, init: RequestInit): Promise<Response> =>
    (transport ?? globalThis.fetch)(url, init);
  const sendWith = (
    authorization: string,
    url: string,
    init: RequestInit | undefined,
  ): Promise<Response> => {
    const headers = withHeader(init?.headers, authorization);
    return send(url, { ...init, headers, redirect: "manual" });
  };

  // The plain call, which is most of them, takes as few steps as can be: they run unoptimised.
  const made = async function fetch(
    input: RequestInfo | URL,
    init?: RequestInit,
  ): Promise<Response> {
    let url: string;
    if (typeof input === "string") url = input;
    else if (input instanceof URL) url = input.href;
    else [url, init] = await (await import("./follow_up.ts")).takeApart(input, init);
    if (!isPlainlyAllowed(url)) {
      const parsed = new URL(url);
      if (!allowedOrigins.includes(parsed.origin)) throw refuse(parsed);
      url = parsed.href;
    }
    const isPlain = init === undefined;
    const known = isPlain
      ? authorizer.authorization()
      : authorizer.authorization(init!.signal ?? undefined);
    const authorization = typeof known === "string" ? known : await known;
    const response = isPlain && authorization !== ""
      ? await (transport ?? globalThis.fetch)(url, {
        headers: { authorization },
        redirect: "manual",
      })
      : await sendWith(authorization, url, init);
    if (response.status < 300) return response;
    const { followUp } = await import("./follow_up.ts");
    const options = { authorizer, origins: allowedOrigins, send, sendWith };
    return await followUp(response, authorization, url, init ?? {}, options);
  };
  if (transport === undefined) direct.add(made);
  return made;
}
