/**
 * The tokens of one session: shape, life, and their form as JSON.
 *
 * The JSON form is that of the Planet SDK for Python: the token response as
 * received plus `_iat` and `_exp`, all times in epoch seconds. Needs nothing
 * but the language; checks no signature (the API does).
 *
 * @module
 */

import { AuthError } from "./errors.ts";
import type { JsonObject, JsonValue } from "./storage/objects.ts";

/** Longest life that is believed, in seconds: 100 years. More would overflow dates. */
const LONGEST_LIFE = 100 * 366 * 86_400;

/** Epoch milliseconds that never come. */
const NEVER = Number.POSITIVE_INFINITY;

function seconds(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? Math.trunc(number) : undefined;
}

/** What recent runtimes have; elsewhere the first `atob()` of a program costs a millisecond. */
const { fromBase64 } = Uint8Array as {
  fromBase64?: (text: string, options: { alphabet: "base64url" }) => Uint8Array;
};

/** Decodes base64url, each byte as one character. */
function decode(part: string): string {
  if (fromBase64 === undefined || part.length > 8_192) {
    return atob(part.replaceAll("-", "+").replaceAll("_", "/"));
  }
  const bytes = fromBase64.call(Uint8Array, part, { alphabet: "base64url" });
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

/**
 * Reads the claims of a JWT without checking its signature; `undefined` where it is none.
 * For its times: a text with other than ASCII characters comes out byte by byte.
 */
export function readJwtClaims(token: string): JsonObject | undefined {
  const part = token.split(".", 3)[1];
  if (part === undefined) return undefined;
  try {
    // JSON is read alike from the characters and from their bytes, which is a start's time less.
    const claims: unknown = JSON.parse(decode(part));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims)
      ? claims as JsonObject
      : undefined;
  } catch {
    return undefined;
  }
}

/** Life of a token: JWT claims, then saved values, then `expires_in`, field by field. */
function life(raw: JsonObject, now: number): { issuedAt: number; expiresAt?: number } {
  const claims = typeof raw.access_token === "string" ? readJwtClaims(raw.access_token) : undefined;
  const issuedAt = seconds(claims?.iat) ?? seconds(raw._iat) ?? now;
  let expiresAt = seconds(claims?.exp) ?? seconds(raw._exp);
  const expiresIn = seconds(raw.expires_in);
  if (expiresAt === undefined && expiresIn !== undefined && expiresIn > 0) {
    expiresAt = issuedAt + Math.min(expiresIn, LONGEST_LIFE);
  }
  return expiresAt === undefined ? { issuedAt } : { issuedAt, expiresAt };
}

function text(raw: JsonObject, member: string): string | undefined {
  const value = raw[member];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** What an HTTP header value may hold of a token (RFC 6750 §2.1, widened to visible ASCII). */
const SENDABLE = /^[\x21-\x7e]+$/;

/** What a refresh token may hold (RFC 6749 §A.17). */
const PRINTABLE = /^[\x20-\x7e]+$/;

/** Deepest nesting of a member that is kept; every store takes one level more. */
const DEEPEST = 32;

/** Tells whether every store takes a value: no endless numbers, no bottomless nesting. */
function isStorable(value: JsonValue | undefined, depth = 0): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return depth < DEEPEST && Object.values(value).every((part) => isStorable(part, depth + 1));
}

/** The members that can be stored: an odd one that nobody asked for must not cost the session. */
function storable(raw: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(raw).filter(([, value]) => isStorable(value)));
}

/** What a sign-in replaces, whether the new one has it or not (RFC 6749 §5.1). */
const RESPONSE_MEMBERS: readonly string[] = [
  "_exp",
  "_iat",
  "access_token",
  "expires_in",
  "id_token",
  "refresh_token",
  "scope",
  "token_type",
];

/**
 * The tokens of one session. Immutable; keeps every member it was made of, and
 * shows none of them to `console.log` or `JSON.stringify`.
 */
export class TokenSet {
  readonly #raw: JsonObject;
  /** Start of the access token's life, in epoch seconds. */
  readonly issuedAt: number;
  /** End of the access token's life, in epoch seconds; absent where it has none. */
  readonly expiresAt?: number;
  /** How far the clock that the life is told by is ahead of this machine's, in milliseconds. */
  #aheadMs = 0;

  private constructor(raw: JsonObject, nowMs: number) {
    const { issuedAt, expiresAt } = life(raw, Math.floor(nowMs / 1000));
    this.issuedAt = issuedAt;
    if (expiresAt !== undefined) this.expiresAt = expiresAt;
    this.#raw = { ...raw, _iat: issuedAt };
    if (expiresAt !== undefined) this.#raw._exp = expiresAt;
  }

  /**
   * Reads a token response (RFC 6749 §5.1).
   *
   * What `previous` holds and the response does not is kept, the refresh token
   * above all (RFC 6749 §6).
   *
   * @throws {AuthError} `malformed_response` where there is no usable access token.
   */
  static fromResponse(response: JsonObject, nowMs: number, previous?: TokenSet): TokenSet {
    const token = text(response, "access_token");
    if (token === undefined || !SENDABLE.test(token)) {
      throw new AuthError(
        "malformed_response",
        "Report this to the operator of the authorization server: its token response holds no access token that can be sent in a header.",
      );
    }
    const kept: JsonObject = previous === undefined ? {} : { ...previous.#raw };
    delete kept.expires_in;
    delete kept._iat;
    delete kept._exp;
    const fresh: JsonObject = { ...response };
    delete fresh._iat;
    delete fresh._exp;
    // A token that the server cannot have meant must not replace one that may be alive.
    const refreshToken = text(fresh, "refresh_token");
    if (refreshToken === undefined || !PRINTABLE.test(refreshToken)) delete fresh.refresh_token;
    return new TokenSet({ ...kept, ...fresh }, nowMs);
  }

  /**
   * Reads a stored token file.
   *
   * @throws {AuthError} `storage_corrupt` where no token is in it.
   */
  static fromStored(stored: JsonObject, nowMs: number, key: string): TokenSet {
    const usable = text(stored, "access_token") ?? text(stored, "refresh_token") ??
      text(stored, "id_token");
    const token = text(stored, "access_token");
    if (usable === undefined || (token !== undefined && !SENDABLE.test(token))) {
      throw new AuthError(
        "storage_corrupt",
        `Sign in again: "${key}" is no token file (it holds no usable token).`,
      );
    }
    return new TokenSet(stored, nowMs);
  }

  /**
   * The same tokens, from a server whose clock is `aheadMs` ahead of this machine's.
   *
   * The times in a JWT are the server's. Without this, tokens of a server that is
   * behind by more than their life would be renewed at every call. It holds for
   * as long as the program runs: stored are the server's times, as Python has them.
   */
  byClockAhead(aheadMs: number): TokenSet {
    const claims = readJwtClaims(this.accessToken ?? "");
    const copy = new TokenSet(this.#raw, 0);
    // A life that was counted from the arrival is told by this machine's clock already.
    if (seconds(claims?.iat) !== undefined && seconds(claims?.exp) !== undefined) {
      copy.#aheadMs = aheadMs;
    }
    return copy;
  }

  /** The access token; absent where only a refresh token is stored. */
  get accessToken(): string | undefined {
    return text(this.#raw, "access_token");
  }

  /** The refresh token, where there is one (RFC 6749 §1.5). */
  get refreshToken(): string | undefined {
    return text(this.#raw, "refresh_token");
  }

  /** The ID token, where there is one (OpenID Connect Core §2). */
  get idToken(): string | undefined {
    return text(this.#raw, "id_token");
  }

  /** Granted scopes, where the server named them (RFC 6749 §3.3). */
  get scope(): string | undefined {
    return text(this.#raw, "scope");
  }

  /** How far the clock that the life is told by is known to be ahead of this machine's, in milliseconds. */
  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** First epoch millisecond at which the access token is no longer good. */
  get expiresAtMs(): number {
    if (this.accessToken === undefined) return 0;
    return this.expiresAt === undefined ? NEVER : this.expiresAt * 1000 - this.#aheadMs;
  }

  /** First epoch millisecond at which a new one should be fetched: 3/4 of the life. */
  get refreshAtMs(): number {
    if (this.accessToken === undefined) return 0;
    if (this.expiresAt === undefined) return NEVER;
    const span = Math.max(this.expiresAt - this.issuedAt, 0);
    const dueAt = Math.min(this.issuedAt + (span * 3) / 4, this.expiresAt);
    return dueAt * 1000 - this.#aheadMs;
  }

  /** Tells whether `other` holds the same tokens. */
  sameAs(other: TokenSet | undefined): boolean {
    return other !== undefined && other.accessToken === this.accessToken &&
      other.refreshToken === this.refreshToken;
  }

  /**
   * The members to store: all that was read or received, plus `_iat` and `_exp`; and
   * of `before`, in whose place they are stored, what is no part of a token response.
   */
  toStored(before?: TokenSet): JsonObject {
    const kept: JsonObject = before === undefined ? {} : { ...before.#raw };
    for (const member of RESPONSE_MEMBERS) delete kept[member];
    return storable({ ...kept, ...this.#raw });
  }

  /** What JSON may show: times only, no token. */
  toJSON(): { issuedAt: number; expiresAt?: number } {
    return this.expiresAt === undefined
      ? { issuedAt: this.issuedAt }
      : { issuedAt: this.issuedAt, expiresAt: this.expiresAt };
  }
}
