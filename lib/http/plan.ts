/**
 * What becomes of one request: the plan of what may be sent again, which everything that sends asks,
 * and what follows an answer that is not the last one (a 401 that another token may mend, redirects).
 *
 * Loaded when a request is more than a plain GET.
 *
 * @module
 */

import { serverOrigin } from "../setup.ts";
import { AuthError } from "../errors.ts";
import type { FetchLike } from "../exchange.ts";
import { runtime, singleUse } from "../runtime.ts";

/**
 * Where the `Authorization` header comes from. Another library's token fits, too.
 *
 * @category Call APIs
 */
export interface Authorizer {
  /** The header's value: at once if it is known, else after a renewal; empty: none is sent. */
  authorization(signal?: AbortSignal): string | Promise<string>;
  /** A value in place of `rejected`, which an API refused; `undefined` if there is none for now. */
  replace?(rejected: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Is told that an API refused a replacement at its first use: another one will hardly help. */
  refusedAtOnce?(replacement: string): void;
}

/** Methods that do the same when they are sent twice (RFC 9110 §9.2.2). */
const IDEMPOTENT: readonly string[] = ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"];

/** What may be sent again, decided once for each request. */
export interface Plan {
  /** Whether it does the same when it is done twice. */
  readonly isIdempotent: boolean;
  /** Whether the body can be sent again; a stream is gone after the first time. */
  readonly isReplayable: boolean;
  /** Whether nothing of a stream is lost yet. */
  readonly isUntouched?: boolean;
}

/**
 * Why a request might be sent again: an API refused the token, redirects, or asks for a pause (429); the
 * connection was never opened; it may have been done (5xx, the answer was lost, the time is over);
 * no such reason, as after a mistake of the program.
 */
export type Occasion = "token" | "redirect" | "throttled" | "unsent" | "lost" | "final";

/** Makes the plan of a request; `isIdempotent` overrules what the method says. */
export function planOf(init: RequestInit, isIdempotent?: boolean): Plan {
  return {
    isIdempotent: isIdempotent ?? IDEMPOTENT.includes(init.method?.toUpperCase() ?? "GET"),
    isReplayable: isReplayable(init.body),
  };
}

/** Tells whether a request may be sent again: the one place that decides it. */
export function mayRepeat(plan: Plan, occasion: Occasion): boolean {
  if (occasion === "final") return false;
  if (occasion === "unsent") return plan.isReplayable || plan.isUntouched === true;
  return plan.isReplayable && (occasion !== "lost" || plan.isIdempotent);
}

function isReplayable(body: RequestInit["body"]): boolean {
  return body === undefined || body === null || typeof body === "string" ||
    body instanceof ArrayBuffer || ArrayBuffer.isView(body) || body instanceof Blob ||
    body instanceof FormData || body instanceof URLSearchParams;
}

/** Requests by their signals: under Node, a signal stops following the caller's once its request is gone. */
const requestsOf = new WeakMap<AbortSignal, readonly Request[]>();

/** Splits a `Request` into a URL and an init; its body is read, so that it can be repeated. */
export async function takeApart(
  input: Request,
  init: RequestInit = {},
): Promise<[url: string, init: RequestInit]> {
  // A stream that the caller passed beside the request stays one.
  const isOwn = isReplayable(init.body);
  const request = new Request(input, isOwn ? init : { ...init, ...HALF });
  const { headers, method, redirect, signal, url } = request;
  requestsOf.set(signal, [input, request]);
  const parts: RequestInit = { ...init, headers, method, redirect, signal };
  if (request.body !== null) parts.body = isOwn ? await request.arrayBuffer() : request.body;
  return [url, parts];
}

/** Node takes no stream without it, and there is no other way yet (Fetch Standard §5.3). */
const HALF: { readonly duplex: "half" } = { duplex: "half" };

/**
 * Sends a request in the way that its plan asks for.
 *
 * Deno sends a request that is not idempotent a second time if a kept connection ends before the
 * answer; Bun loses it. A connection of its own prevents both. An application's own `fetch`
 * chooses its connections itself.
 */
export async function sendPlanned(
  fetch: FetchLike,
  url: string,
  init: RequestInit & { client?: unknown },
  plan: Plan,
): Promise<Response> {
  const sent: typeof init = isReplayable(init.body) ? { ...init } : { ...init, ...HALF };
  const isOnce = !plan.isIdempotent && fetch === globalThis.fetch && !("client" in init);
  const own = isOnce ? singleUse() : undefined;
  if (own !== undefined) sent.client = own;
  if (isOnce && runtime === "bun") sent.keepalive = false;
  try {
    return await fetch(url, sent);
  } finally {
    // A body that is still to be read has what it needs.
    own?.close();
  }
}

/** What a session adds to a request. */
export interface Sending {
  /** What may be sent again. */
  readonly plan: Plan;
  /** Whether it is a link of an API: asked for without credentials if its origin may not have them. */
  readonly isLink?: boolean;
  /** Sends in place of `fetch`, with it. */
  send(fetch: FetchLike, url: string, init: RequestInit): Promise<Response>;
}

/** Most redirects that are followed (Fetch Standard §4.4). */
const MOST_REDIRECTS = 20;

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** Headers that describe a body, which a redirect to GET leaves behind. */
const BODY_HEADERS = ["content-encoding", "content-language", "content-location", "content-type"];

/** Headers that belong to one origin only. */
const ORIGIN_HEADERS = ["authorization", "cookie", "host", "proxy-authorization"];

/** One request on its way, over all its redirects. */
export interface Trip {
  /** Where it goes. */
  readonly url: string;
  /** What is sent. */
  readonly init: RequestInit;
  /** Whether the origin may have the header. */
  readonly trusted: boolean;
}

/** A redirect that nobody can follow; a `TypeError`, as `fetch` has it. */
export class RedirectError extends TypeError {}

/** The header that was sent for an answer which refuses. */
const refused: WeakMap<Response, string> = new WeakMap();

/** The header that was sent for an answer from 400 on; `undefined` if there was none. */
export function sentFor(response: Response): string | undefined {
  return refused.get(response);
}

/** Remembers what was sent for an answer that refuses. */
export function noted(response: Response, authorization: string): Response {
  if (response.status >= 400 && authorization !== "") refused.set(response, authorization);
  return response;
}

/** Lets an answer's connection go; nobody waits for that, since a copied body never ends. */
function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}

/** The next request after a redirect answer; `undefined` if there is nowhere to go. */
function redirected(trip: Trip, response: Response, way: Way): Trip | undefined {
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
  } else if (!mayRepeat(way.plan, "redirect")) {
    throw new RedirectError("The redirect asks for the body again, which was a stream.");
  }
  if (to.origin !== from.origin) { for (const name of ORIGIN_HEADERS) headers.delete(name); }
  const trusted = trip.trusted && way.origins.includes(to.origin);
  if (way.isLink && !trusted) checkLink(to);
  return { url: to.href, init, trusted };
}

/**
 * Refuses a link outside the allow-list that is not https: it is a secret by itself. Loopback is excepted.
 *
 * @throws {AuthError} `untrusted_origin`.
 */
export function checkLink({ origin }: URL): void {
  if (serverOrigin(origin) !== undefined) return;
  throw new AuthError(
    "untrusted_origin",
    `Report this to Planet: a link leads to ${origin}, which is not asked for without https.`,
  );
}

/** What every request of an authenticated `fetch` stands on. */
export interface Context {
  /** Where the header comes from. */
  readonly authorizer: Authorizer;
  /** Origins that may receive the header. */
  readonly origins: readonly string[];
  /** What sends now. */
  transport(): FetchLike;
  /** What is sent with a header value. */
  prepare(authorization: string, init: RequestInit): RequestInit;
}

/** One request on its way, over all its repetitions and redirects. */
interface Way extends Context {
  readonly plan: Plan;
  readonly isLink: boolean;
  sendWith(authorization: string, url: string, init: RequestInit): Promise<Response>;
}

/**
 * Sends a request again if the 401 that answered it can be mended by another token. A stream cannot be
 * sent again: its 401 is the answer, and the token is replaced all the same, for the next request.
 */
async function mend(
  response: Response,
  rejected: string,
  url: string,
  init: RequestInit,
  { authorizer, plan, sendWith }: Way,
): Promise<Response> {
  noted(response, rejected);
  if (response.status !== 401) return response;
  const isRepeated = mayRepeat(plan, "token");
  const signal = init.signal ?? undefined;
  let other: string | undefined;
  try {
    other = await authorizer.replace?.(rejected, signal);
  } catch (error) {
    if (!isRepeated && !signal?.aborted) return response;
    discard(response);
    throw error;
  }
  if (other === undefined || !isRepeated) return response;
  discard(response);
  const last = noted(await sendWith(other, url, init), other);
  if (last.status === 401) authorizer.refusedAtOnce?.(other);
  return last;
}

/**
 * Carries a request out, up to its last answer.
 *
 * @param response The answer to `authorization`, if it is there already.
 * @param sending What a session adds.
 */
export async function carryOut(
  response: Response | undefined,
  authorization: string,
  first: Trip,
  context: Context,
  sending?: Sending,
): Promise<Response> {
  const plan = sending?.plan ?? planOf(first.init);
  const way: Way = {
    ...context,
    plan,
    isLink: sending?.isLink === true,
    sendWith(authorization, url, init) {
      const [fetch, sent] = [context.transport(), context.prepare(authorization, init)];
      return sending?.send(fetch, url, sent) ?? sendPlanned(fetch, url, sent, plan);
    },
  };
  let trip = first;
  if (way.isLink && !trip.trusted) checkLink(new URL(trip.url));
  let last = response ?? await way.sendWith(authorization, trip.url, trip.init);
  if (trip.trusted) last = await mend(last, authorization, trip.url, trip.init, way);
  if (!REDIRECTS.includes(last.status) || trip.init.redirect === "manual") return last;
  // Decided here, because Cloudflare's fetch refuses the word itself.
  if (trip.init.redirect === "error") {
    discard(last);
    throw new RedirectError('The answer is a redirect, and redirect is "error".');
  }
  for (let count = 1; REDIRECTS.includes(last.status); count++) {
    let next: Trip | undefined;
    try {
      next = redirected(trip, last, way);
    } finally {
      if (next !== undefined || last.headers.has("location")) discard(last);
    }
    if (next === undefined) break;
    if (count > MOST_REDIRECTS) throw new RedirectError("There were more than 20 redirects.");
    trip = next;
    const { init, trusted, url } = trip;
    const value = trusted ? await way.authorizer.authorization(init.signal ?? undefined) : "";
    last = await way.sendWith(value, url, init);
    if (trusted) last = await mend(last, value, url, init, way);
  }
  if (trip !== first) Object.defineProperty(last, "redirected", { value: true });
  return last;
}
