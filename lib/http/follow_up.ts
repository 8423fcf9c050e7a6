/**
 * What an authenticated `fetch` needs beside the plain call: a `Request` in a form that can be
 * sent more than once, and what follows an answer that is not the last one (a 401 that another
 * token may mend, and redirects). Loaded when one of them comes up.
 *
 * @module
 */

/** Where the `Authorization` header comes from. */
export interface Authorizer {
  /** The header's value: at once where it is known, else after a renewal; empty: none is sent. */
  authorization(signal?: AbortSignal): string | Promise<string>;
  /** A value in place of `rejected`, which an API refused; `undefined` where there is none for now. */
  replace(rejected: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Is told that an API refused a replacement at its first use: another one will hardly help. */
  refusedAtOnce?(replacement: string): void;
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

/** A redirect that nobody can follow; a `TypeError`, as `fetch` has it. */
export class RedirectError extends TypeError {}

/** The header that was sent for an answer which refuses. */
const refused: WeakMap<Response, string> = new WeakMap();

/** Takes the credentials out of what an API says: some quote what they refuse. */
export function withoutCredentials(text: string, response: Response): string {
  const secret = refused.get(response)?.replace(/^\S+ /, "");
  return secret ? text.replaceAll(secret, "(secret)") : text;
}

/** Remembers what was sent for an answer that refuses. */
function noted(response: Response, authorization: string): Response {
  if (response.status >= 400) refused.set(response, authorization);
  return response;
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

/** What a request stands on. */
export interface FollowUpOptions {
  /** Where the header comes from. */
  readonly authorizer: Authorizer;
  /** Origins that may receive the header. */
  readonly origins: readonly string[];
  /** Sends a request as it is. */
  send(url: string, init: RequestInit): Promise<Response>;
  /** Sends a request with a header value. */
  sendWith(
    authorization: string,
    url: string,
    init: RequestInit | undefined,
  ): Promise<Response>;
}

/** Sends a request again where the 401 that answered it can be mended by another token. */
async function mend(
  response: Response,
  rejected: string,
  url: string,
  init: RequestInit,
  { authorizer, sendWith }: FollowUpOptions,
): Promise<Response> {
  noted(response, rejected);
  if (response.status !== 401 || !canReplay(init.body)) return response;
  let other: string | undefined;
  try {
    other = await authorizer.replace(rejected, init.signal ?? undefined);
  } catch (error) {
    discard(response);
    throw error;
  }
  if (other === undefined) return response;
  discard(response);
  const last = noted(await sendWith(other, url, init), other);
  if (last.status === 401) authorizer.refusedAtOnce?.(other);
  return last;
}

/** The last answer to a request, whose first one was `response` to `authorization`. */
export async function followUp(
  response: Response,
  authorization: string,
  url: string,
  init: RequestInit,
  options: FollowUpOptions,
): Promise<Response> {
  const first = await mend(response, authorization, url, init, options);
  if (!REDIRECTS.includes(first.status) || init.redirect === "manual") return first;
  // Decided here, because Cloudflare's fetch refuses the word itself.
  if (init.redirect === "error") {
    discard(first);
    throw new RedirectError('The answer is a redirect, and redirect is "error".');
  }
  let trip: Trip = { url, init, trusted: true };
  let last = first;
  for (let count = 1; REDIRECTS.includes(last.status); count++) {
    let next: Trip | undefined;
    try {
      next = redirected(trip, last, options.origins);
    } catch (error) {
      discard(last);
      throw error;
    }
    if (next === undefined) break;
    discard(last);
    if (count > MOST_REDIRECTS) throw new RedirectError("There were more than 20 redirects.");
    if (next.trusted) {
      const value = await options.authorizer.authorization(next.init.signal ?? undefined);
      last = await options.sendWith(value, next.url, next.init);
      last = await mend(last, value, next.url, next.init, options);
    } else {
      last = await options.send(next.url, { ...next.init, redirect: "manual" });
    }
    trip = next;
  }
  if (last !== first) Object.defineProperty(last, "redirected", { value: true });
  return last;
}

/** Tells whether a body can be sent a second time; a stream is gone after the first. */
export function canReplay(body: BodyInit | null | undefined): boolean {
  return body === undefined || body === null || typeof body === "string" ||
    body instanceof ArrayBuffer || ArrayBuffer.isView(body) || body instanceof Blob ||
    body instanceof FormData || body instanceof URLSearchParams;
}

/** Splits a `Request` into a URL and an init; its body is read, so that it can be repeated. */
export async function takeApart(
  input: Request,
  init: RequestInit = {},
): Promise<[url: string, init: RequestInit]> {
  const request = new Request(input, init);
  const { headers, method, redirect, signal, url } = request;
  const parts: RequestInit = { ...init, headers, method, redirect, signal };
  // A stream that the caller passed beside the request stays one.
  const isOwn = canReplay(init.body);
  if (request.body !== null) parts.body = isOwn ? await request.arrayBuffer() : request.body;
  return [url, parts];
}
