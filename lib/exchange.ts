/**
 * What every HTTP exchange of this library shares: answers that are waited for and read within
 * bounds, `Retry-After`, and a comparison that tells nothing by its time.
 *
 * Does not rely on `fetch` to heed its signal: one of the application's own may
 * not, and Deno's loses the signal of an answer whose head has come once the
 * garbage collector has run.
 *
 * @module
 */

import { abandonable } from "./runtime.ts";

/** A `fetch`: the runtime's, or one of the application's own, for proxies and tests. */
export type FetchLike = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Waits for the head of an answer; one that comes too late is let go. */
export async function answered(sent: Promise<Response>, signal: AbortSignal): Promise<Response> {
  try {
    return await abandonable(sent, signal);
  } catch (error) {
    sent.then((response) => response.body?.cancel()).catch(() => {});
    throw error;
  }
}

/**
 * Reads a body, at most `most` bytes of it; then it is let go. `moved` is called at every part.
 *
 * @throws The reason of `signal`; what reading fails with.
 */
export async function readBody(
  response: Response,
  most: number,
  signal: AbortSignal,
  moved?: () => void,
): Promise<{ bytes: Uint8Array; isWhole: boolean }> {
  if (response.body === null) return { bytes: new Uint8Array(), isWhole: true };
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  let isWhole = false;
  try {
    while (size <= most) {
      const { done, value } = await abandonable(reader.read(), signal);
      moved?.();
      isWhole = done;
      if (done) break;
      parts.push(value);
      size += value.byteLength;
    }
  } finally {
    if (!isWhole) reader.cancel().catch(() => {});
  }
  const bytes = new Uint8Array(Math.min(size, most));
  let at = 0;
  for (const part of parts) {
    const fitting = part.subarray(0, bytes.length - at);
    bytes.set(fitting, at);
    at += fitting.byteLength;
  }
  return { bytes, isWhole };
}

/** Longest wait that is believed, in milliseconds: a day. */
const LONGEST_WAIT_MS = 86_400_000;

/** How long the server wants us to wait, in milliseconds; `undefined` where it does not say. */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const header = headers.get("retry-after");
  if (header === null) return undefined;
  // A date counts from the server's own, so that clocks which differ do no harm.
  const dated = Date.parse(headers.get("date") ?? "");
  const from = Number.isNaN(dated) ? nowMs : dated;
  const wait = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - from;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), LONGEST_WAIT_MS);
}

/** Compares `given` with `expected` without telling, by its time, where they differ. */
export function sameText(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= (given.charCodeAt(index) || 0) ^ expected.charCodeAt(index);
  }
  return difference === 0;
}
