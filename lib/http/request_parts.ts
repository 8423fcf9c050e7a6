/**
 * What a request consists of, in a form that can be sent more than once.
 *
 * @module
 */

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
