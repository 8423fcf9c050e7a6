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
  // A date counts from the server's own, so that clocks which differ do no harm.
  const dated = Date.parse(headers.get("date") ?? "");
  const from = Number.isNaN(dated) ? nowMs : dated;
  const wait = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - from;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), LONGEST_WAIT_MS);
}
