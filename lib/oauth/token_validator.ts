/**
 * Checks a JWT of an authorization server against its keys (RFC 7515, RFC 7517, RFC 9068,
 * OpenID Connect Core §3.1.3.7), by oauth4webapi.
 *
 * For programs that want to know more of a token than that an API takes it. Only asymmetric
 * algorithms count, and only keys that the server publishes.
 *
 * @module
 */

import * as oauth from "oauth4webapi";
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

const ALGORITHMS = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split(" ");

/** What oauth4webapi says, in plain words; anything else: it is no signed JWT. */
const FOUND: readonly (readonly [RegExp, string])[] = [
  [/"alg"/, "its algorithm is not trusted"],
  [/"aud"/, "it is for another audience"],
  [/"crit"/, "it demands an extension that is not known here"],
  [/"exp".*missing/, "it does not say when it expires"],
  [/"exp"/, "it has expired"],
  [/"iss"/, "another server has issued it"],
  [/"nbf"/, "it is not good yet"],
  [/signature/, "its signature is wrong"],
  [/verification key/, "the server publishes no key, or more than one, that could have signed it"],
];

function invalid(found: string): AuthError {
  return new AuthError("invalid_token", `Do not trust this token: ${found}.`);
}

/** Checks tokens of one server. */
export class TokenValidator {
  readonly #fetchKeys: (signal: AbortSignal) => Promise<readonly JsonObject[]>;
  readonly #now: () => number;
  readonly #reading = new SharedWork<readonly JsonObject[]>();
  #keys: readonly JsonObject[] | undefined;
  #readAtMs = 0;

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
  async validate(token: string, demands: TokenDemands, signal?: AbortSignal): Promise<JsonObject> {
    let fault = await this.#faultOf(token, demands, await this.#keysOf(KEYS_LIFE_MS, signal));
    if (fault?.code === oauth.KEY_SELECTION) {
      // The server may have new keys since.
      fault = await this.#faultOf(token, demands, await this.#keysOf(LEAST_PAUSE_MS, signal));
    }
    if (fault !== undefined) {
      const { message } = fault;
      throw invalid(FOUND.find(([said]) => said.test(message))?.[1] ?? "it is no signed JWT");
    }
    const claims = claimsOf(token);
    checkAuthorizedParty(claims, demands);
    checkScopes(claims, demands.scopesAnyOf ?? []);
    return claims;
  }

  /** The keys, no older than `mostMs`. */
  async #keysOf(mostMs: number, signal?: AbortSignal): Promise<readonly JsonObject[]> {
    const ageMs = this.#now() - this.#readAtMs;
    if (this.#keys !== undefined && ageMs >= 0 && ageMs < mostMs) return this.#keys;
    return await this.#reading.run(async (signal) => {
      const keys = await this.#fetchKeys(signal);
      this.#readAtMs = this.#now();
      return this.#keys = keys;
    }, signal);
  }

  /**
   * What is wrong with algorithm, signature, `iss`, `aud`, `exp`, `nbf` or `crit`.
   *
   * Of all the JWTs that oauth4webapi checks with their signature, that of an authorization response
   * (JARM §2.4) is the one that needs `iss`, `aud` and `exp` and nothing else. Its function for access
   * tokens demands what few servers send (RFC 9068 §4: `typ`, `jti`, `client_id`).
   */
  async #faultOf(
    token: string,
    { audience, issuer }: TokenDemands,
    keys: readonly JsonObject[],
  ): Promise<{ code?: string; message: string } | undefined> {
    const seconds = Math.floor(Date.now() / 1000);
    const client = {
      client_id: audience,
      [oauth.clockSkew]: Math.floor(this.#now() / 1000) - seconds,
      [oauth.clockTolerance]: TOLERANCE,
    };
    const server = {
      issuer,
      jwks_uri: issuer,
      authorization_signing_alg_values_supported: ALGORITHMS,
    };
    const response = new URLSearchParams({ response: token });
    const known = { jwks: { keys }, uat: seconds } as unknown as oauth.JWKSCacheInput;
    try {
      await oauth.validateJwtAuthResponse(server, client, response, oauth.skipStateCheck, {
        [oauth.jwksCache]: known,
      });
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}

/** The claims of a JWT that was checked. */
function claimsOf(token: string): JsonObject {
  const binary = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)) as JsonObject;
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
