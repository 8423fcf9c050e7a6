/**
 * Checks a JWT of an authorization server against its keys (RFC 7515, RFC 7517,
 * RFC 9068, OpenID Connect Core §3.1.3.7).
 *
 * For programs that want to know more of a token than that an API takes it.
 * Only asymmetric algorithms count, and only keys that the server publishes.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { JsonObject, JsonValue } from "../storage/objects.ts";
import { readJwtClaims } from "../token.ts";

/** What a token must be. */
export interface TokenDemands {
  /** Who must have issued it. */
  readonly issuer: string;
  /** Whom it must be for. */
  readonly audience: string;
  /** Scopes, one of which it must grant; empty: it does not matter. */
  readonly scopesAnyOf?: readonly string[];
  /** Whether it is an ID token of the client `audience`. */
  readonly isIdToken?: boolean;
}

/** Least time between two requests for the keys, in milliseconds. */
const LEAST_PAUSE_MS = 300_000;

/** How far the clocks may differ, in seconds. */
const TOLERANCE = 60;

interface Algorithm {
  readonly kty: string;
  readonly crv?: string;
  readonly import: RsaHashedImportParams | EcKeyImportParams | { name: string };
  readonly verify: RsaPssParams | EcdsaParams | { name: string };
}

function algorithmOf(name: string): Algorithm | undefined {
  const hash = `SHA-${name.slice(2)}`;
  if (/^RS(256|384|512)$/.test(name)) {
    const verify = { name: "RSASSA-PKCS1-v1_5" };
    return { kty: "RSA", import: { ...verify, hash }, verify };
  }
  if (/^PS(256|384|512)$/.test(name)) {
    const verify = { name: "RSA-PSS", saltLength: Number(name.slice(2)) / 8 };
    return { kty: "RSA", import: { name: "RSA-PSS", hash }, verify };
  }
  if (/^ES(256|384|512)$/.test(name)) {
    const namedCurve = name === "ES512" ? "P-521" : `P-${name.slice(2)}`;
    return {
      kty: "EC",
      crv: namedCurve,
      import: { name: "ECDSA", namedCurve },
      verify: { name: "ECDSA", hash },
    };
  }
  if (name === "EdDSA" || name === "Ed25519") {
    return { kty: "OKP", crv: "Ed25519", import: { name: "Ed25519" }, verify: { name: "Ed25519" } };
  }
  return undefined;
}

function invalid(found: string): AuthError {
  return new AuthError("invalid_token", `Do not trust this token: ${found}.`);
}

function fromBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[\w-]+$/.test(text)) return undefined;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** The header of a JWT; `undefined` where it is none. */
function readHeader(part: string): JsonObject | undefined {
  // Read like claims: an object, as base64url.
  return readJwtClaims(`.${part}`);
}

/** Checks tokens of one server. */
export class TokenValidator {
  readonly #fetchKeys: () => Promise<readonly JsonObject[]>;
  readonly #now: () => number;
  #keys: readonly JsonObject[] = [];
  #fetchedAt = Number.NEGATIVE_INFINITY;

  /** Uses keys that `fetchKeys` gets, and the time in epoch milliseconds that `now` tells. */
  constructor(fetchKeys: () => Promise<readonly JsonObject[]>, now: () => number) {
    this.#fetchKeys = fetchKeys;
    this.#now = now;
  }

  /**
   * Checks `token`.
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token` saying what is wrong, and the codes of a request for the keys.
   */
  async validate(token: string, demands: TokenDemands): Promise<JsonObject> {
    const parts = token.split(".");
    const [head = "", body = "", mark = ""] = parts;
    const header = readHeader(head);
    const claims = readJwtClaims(`.${body}`);
    const signature = fromBase64url(mark);
    if (
      parts.length !== 3 || header === undefined || claims === undefined || signature === undefined
    ) throw invalid("it is no signed JWT");
    const { alg, crit, kid } = header;
    const algorithm = typeof alg === "string" ? algorithmOf(alg) : undefined;
    if (algorithm === undefined) throw invalid("its algorithm is not trusted");
    if (crit !== undefined) throw invalid("it demands an extension that is not known here");
    const key = await this.#findKey(kid, alg as string, algorithm);
    const signed = new TextEncoder().encode(`${head}.${body}`);
    const holds = await crypto.subtle.verify(algorithm.verify, key, signature, signed)
      .catch(() => false);
    if (!holds) throw invalid("its signature is wrong");
    this.#checkClaims(claims, demands);
    return claims;
  }

  async #findKey(
    kid: JsonValue | undefined,
    alg: string,
    algorithm: Algorithm,
  ): Promise<CryptoKey> {
    const fits = (key: JsonObject) =>
      key.kty === algorithm.kty && (algorithm.crv ?? key.crv) === key.crv &&
      (kid === undefined || key.kid === kid) &&
      (key.use === undefined || key.use === "sig") && (key.alg === undefined || key.alg === alg);
    let found = this.#keys.filter(fits);
    if (found.length === 0 && this.#now() - this.#fetchedAt >= LEAST_PAUSE_MS) {
      this.#keys = await this.#fetchKeys();
      this.#fetchedAt = this.#now();
      found = this.#keys.filter(fits);
    }
    const [jwk] = found;
    if (jwk === undefined || found.length > 1) {
      throw invalid("the server publishes no key, or more than one, that could have signed it");
    }
    try {
      const { kty, n, e, crv, x, y } = jwk;
      const publicKey = { kty, n, e, crv, x, y } as JsonWebKey;
      return await crypto.subtle.importKey("jwk", publicKey, algorithm.import, false, ["verify"]);
    } catch {
      throw invalid("the server's key for it cannot be used here");
    }
  }

  #checkClaims(claims: JsonObject, demands: TokenDemands): void {
    const now = this.#now() / 1000;
    const { aud, exp, iss, nbf } = claims;
    if (iss !== demands.issuer) throw invalid("another server has issued it");
    const audiences = Array.isArray(aud) ? aud : [aud];
    if (!audiences.includes(demands.audience)) throw invalid("it is for another audience");
    if (typeof exp !== "number") throw invalid("it does not say when it expires");
    if (now >= exp + TOLERANCE) throw invalid("it has expired");
    if (typeof nbf === "number" && now < nbf - TOLERANCE) throw invalid("it is not good yet");
    if (demands.isIdToken) {
      const { azp } = claims;
      const several = audiences.length > 1;
      if (azp === undefined ? several : azp !== demands.audience) {
        throw invalid("it was issued to another client");
      }
    }
    const wanted = demands.scopesAnyOf ?? [];
    if (wanted.length === 0) return;
    const granted = typeof claims.scope === "string"
      ? claims.scope.split(" ")
      : Array.isArray(claims.scp)
      ? claims.scp
      : [];
    if (!wanted.some((scope) => granted.includes(scope))) {
      throw invalid(`it grants none of the scopes ${wanted.join(", ")}`);
    }
  }
}
