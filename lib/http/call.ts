/**
 * One request of a session: what it is asked for, as `fetch` takes it. Loaded at the first.
 *
 * @module
 */

import { ClientError } from "../errors.ts";
import type { RequestOptions } from "../session.ts";
import type { Requester } from "./requester.ts";

/** Sends a request of a session; see `Session.request()`. */
export async function send(
  open: () => Promise<{ baseUrl: string; requester: Requester }>,
  method: string,
  url: string,
  options: RequestOptions,
): Promise<Response> {
  const { body, headers, json, maxRetries, params = {}, signal } = options;
  if (json !== undefined && body !== undefined) {
    throw new ClientError("Give json or body, not both.");
  }
  const { baseUrl, requester } = await open();
  const target = absolute(url, baseUrl);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) target.searchParams.set(name, String(value));
  }
  const sent = new Headers(headers);
  if (json !== undefined && !sent.has("content-type")) {
    sent.set("content-type", "application/json");
  }
  const init: RequestInit = { method: checkMethod(method), headers: sent };
  if (json !== undefined) init.body = JSON.stringify(json);
  else if (body !== undefined) init.body = body;
  if (init.body !== undefined && (init.method === "GET" || init.method === "HEAD")) {
    throw new ClientError(`Send no body with ${init.method}.`);
  }
  if (signal !== undefined) init.signal = signal;
  return await requester.request(target.href, init, maxRetries);
}

/** Checks a method that `fetch` can send (Fetch Standard §2.2.1); in capitals. */
function checkMethod(method: string): string {
  if (typeof method !== "string") throw new TypeError("method must be a string.");
  const name = method.toUpperCase();
  if (/^[A-Z]{1,32}$/.test(name) && !["CONNECT", "TRACE", "TRACK"].includes(name)) return name;
  throw new ClientError('Give an HTTP method such as "GET" or "POST".');
}

function absolute(url: string, baseUrl: string): URL {
  if (typeof url !== "string") throw new TypeError("url must be a string.");
  const whole = url.startsWith("/") && !url.startsWith("//")
    ? baseUrl.replace(/\/+$/, "") + url
    : url;
  if (URL.canParse(whole)) return new URL(whole);
  throw new ClientError("Give an absolute URL, or a path that begins with one slash.");
}
