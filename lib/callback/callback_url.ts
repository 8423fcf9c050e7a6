/**
 * Checks a registered redirect URI on loopback (RFC 8252 §7.3).
 *
 * @module
 */

import { AuthError } from "../errors.ts";

/** A redirect URI that was checked. */
export interface ParsedCallbackUrl {
  /** The URL as it was registered, spelling preserved. */
  callbackUrl: string;
  /** Host: `localhost`, `127.0.0.1` or `[::1]`. */
  host: string;
  /** Port to bind; 0 means any free one, and a URL without a port means 80. */
  port: number;
  /** Exact path of the callback. */
  pathname: string;
}

const SHAPE = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?(\/[^?#\\\s]*)?$/i;

/**
 * Checks `text`, a redirect URI.
 *
 * @throws {AuthError} `invalid_argument`, naming the field `callbackUrl`.
 */
export function parseCallbackUrl(text: string): ParsedCallbackUrl {
  const match = SHAPE.exec(text);
  const port = Number(match?.[2] ?? 80);
  if (match === null || port > 65535) {
    throw new AuthError(
      "invalid_argument",
      "Set callbackUrl to http://localhost:PORT/PATH (or 127.0.0.1, [::1]), PORT at most 65535, " +
        "without user name, query or fragment: the given one is different.",
    );
  }
  return {
    callbackUrl: text,
    host: match[1]!.toLowerCase(),
    port,
    pathname: new URL(text).pathname,
  };
}

/** The registered URL with the port that was bound in place of port 0. */
export function withPort(parsed: ParsedCallbackUrl, port: number): string {
  return parsed.port === 0
    ? parsed.callbackUrl.replace(/:0+(?=\/|$)/, `:${port}`)
    : parsed.callbackUrl;
}
