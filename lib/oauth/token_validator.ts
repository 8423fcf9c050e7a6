/**
 * Checks a JWT of an authorization server against its keys (RFC 7515, RFC 7517, RFC 9068,
 * OpenID Connect Core §3.1.3.7), by `jose`.
 *
 * For programs that want to know more of a token than that an API takes it. Only asymmetric
 * algorithms count, and only keys that the server publishes.
 *
 * @module
 */

import { createLocalJWKSet, type JWK, jwtVerify } from "jose";
import { AuthError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";
import { SharedWork } from "./server.ts";

/** What a token must be. */
export interface TokenDemands {
  /** Who must have issued it. */
  readonly issuer: string;
  /** Whom it must be for. */
  readonly audience: string;
  /** Scopes, one of which it must grant; empty: it does not matter. */
  readonly scopesAnyOf?: readonly string[] | undefined;
  /** Whether it is an ID token of the client `audience`. */
  readonly isIdToken?: boolean;
}

/** How long the keys are used, in milliseconds: one that the server takes back is not trusted for ever. */
const KEYS_LIFE_MS = 600_000;

/** Least time between two requests for the keys because of an unknown one, in milliseconds. */
const LEAST_PAUSE_MS = 5_000;

/** How far the clocks may differ, in seconds. */
const TOLERANCE = 60;

const ALGORITHMS = [
  ...["RS", "PS", "ES"].flatMap((kind) => ["256", "384", "512"].map((bits) => kind + bits)),
  "EdDSA",
  "Ed25519",
];

/** What the codes of `jose` mean; anything else: it is no signed JWT. */
const FOUND: Readonly<Record<string, string>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: "its algorithm is not trusted",
  ERR_JOSE_NOT_SUPPORTED: "it demands an extension or a key that is not known here",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS:
    "the server publishes more than one key that could have signed it",
  ERR_JWKS_NO_MATCHING_KEY: "the server publishes no key that could have signed it",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "its signature is wrong",
  ERR_JWT_EXPIRED: "it has expired",
  aud: "it is for another audience",
  exp: "it does not say when it expires",
  iss: "another server has issued it",
  nbf: "it is not good yet",
};

function invalid(found: string): AuthError {
  return new AuthError("invalid_token", `Do not trust this token: ${found}.`);
}

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** Checks tokens of one server. */
export class TokenValidator {
  readonly #fetchKeys: (signal: AbortSignal) => Promise<readonly JsonObject[]>;
  readonly #now: () => number;
  #keys: SharedWork<KeySet> | undefined;
  #fetchedAtMs = 0;

  /** Uses keys that `fetchKeys` gets, and the time in epoch milliseconds that `now` tells. */
  constructor(
    fetchKeys: (signal: AbortSignal) => Promise<readonly JsonObject[]>,
    now: () => number,
  ) {
    this.#fetchKeys = fetchKeys;
    this.#now = now;
  }

  /**
   * Checks `token`.
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token` saying what is wrong, and the codes of a request for the keys.
   */
  async validate(
    token: string,
    demands: TokenDemands,
    signal?: AbortSignal,
  ): Promise<JsonObject> {
    const ageMs = this.#now() - this.#fetchedAtMs;
    const keys = ageMs >= 0 && ageMs < KEYS_LIFE_MS ? this.#keys : undefined;
    const used = keys === undefined || keys.isGivenUp ? this.#read() : keys;
    let claims: JsonObject;
    try {
      claims = await this.#verify(token, demands, await used.wait(signal));
    } catch (error) {
      // The server may have new keys since; tokens that anybody made up cost it little.
      const isUnknownKey = codeOf(error) === "ERR_JWKS_NO_MATCHING_KEY";
      const mayAsk = this.#keys !== used || this.#now() - this.#fetchedAtMs >= LEAST_PAUSE_MS;
      if (!isUnknownKey || !mayAsk) throw asAuthError(error);
      const fresh = this.#keys === used ? this.#read() : this.#keys ?? this.#read();
      const keySet = await fresh.wait(signal);
      claims = await this.#verify(token, demands, keySet).catch((error) => {
        throw asAuthError(error);
      });
    }
    checkAuthorizedParty(claims, demands);
    checkScopes(claims, demands.scopesAnyOf ?? []);
    return claims;
  }

  #read(): SharedWork<KeySet> {
    this.#fetchedAtMs = this.#now();
    const work = this.#keys = new SharedWork(async (signal) => {
      try {
        return createLocalJWKSet({ keys: await this.#fetchKeys(signal) as unknown as JWK[] });
      } catch (error) {
        if (this.#keys === work) this.#keys = undefined;
        throw error;
      }
    });
    return work;
  }

  async #verify(token: string, demands: TokenDemands, keys: KeySet): Promise<JsonObject> {
    const { audience, issuer } = demands;
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ALGORITHMS,
      audience,
      issuer,
      clockTolerance: TOLERANCE,
      currentDate: new Date(this.#now()),
      requiredClaims: ["exp"],
    });
    return payload as JsonObject;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error ? String((error as { code?: unknown }).code) : "";
}

/** Turns what `jose` says into our error; its own holds the claims. */
function asAuthError(error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof AuthError || !/^ERR_J/.test(code)) return error;
  const { claim = "" } = error as { claim?: string };
  return invalid(FOUND[code] ?? FOUND[claim] ?? "it is no signed JWT");
}

function checkAuthorizedParty({ aud, azp }: JsonObject, demands: TokenDemands): void {
  if (!demands.isIdToken) return;
  const isForSeveral = Array.isArray(aud) && aud.length > 1;
  if (azp === undefined ? isForSeveral : azp !== demands.audience) {
    throw invalid("it was issued to another client");
  }
}

function checkScopes({ scope, scp }: JsonObject, wanted: readonly string[]): void {
  if (wanted.length === 0) return;
  const granted = typeof scope === "string" ? scope.split(" ") : Array.isArray(scp) ? scp : [];
  if (!wanted.some((one) => granted.includes(one))) {
    throw invalid(`it grants none of the scopes ${wanted.join(", ")}`);
  }
}
