/**
 * Reads the `Retry-After` header (RFC 9110 §10.2.3).
 *
 * @module
 */

/** Longest wait that is believed, in milliseconds: a day. */
const LONGEST_WAIT_MS = 86_400_000;

/** How long the server wants us to wait, in milliseconds; `undefined` where it does not say. */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const header = headers.get("retry-after");
  if (header === null) return undefined;
  const wait = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), LONGEST_WAIT_MS);
}
