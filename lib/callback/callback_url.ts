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

/** What is wrong with a text that is no such URL; the text itself may hold a password. */
function faultOf(text: string): string {
  if (/^https:/i.test(text)) return "it begins with https, but the listener speaks http";
  if (!/^http:\/\//i.test(text)) return "it does not begin with http://";
  if (/\s/.test(text)) return "it has a space in it";
  if (/^http:\/\/[^/?#]*@/i.test(text)) return "it has a user name in it";
  if (text.includes("?")) return "it has a query (?) in it";
  if (text.includes("#")) return "it has a fragment (#) in it";
  const [, host, port] = /^http:\/\/(\[[^\]]*\]|[^:/]*)(?::([^/]*))?/i.exec(text) ?? [];
  if (!/^(localhost|127\.0\.0\.1|\[::1\])$/i.test(host ?? "")) {
    return "its host is none of localhost, 127.0.0.1, [::1]";
  }
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535)) {
    return "its port is no number from 0 to 65535";
  }
  return "its path cannot be used";
}

/**
 * Checks `text`, a redirect URI.
 *
 * @throws {AuthError} `invalid_argument`, naming the field `callbackUrl`.
 */
export function parseCallbackUrl(text: string): ParsedCallbackUrl {
  const match = SHAPE.exec(text);
  const port = Number(match?.[2] ?? 80);
  if (match === null || port > 65535 || !URL.canParse(text)) {
    throw new AuthError(
      "invalid_argument",
      "Set callbackUrl to http://localhost:PORT/PATH (or 127.0.0.1, [::1]), as it is registered: " +
        `${faultOf(text)}.`,
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
