/**
 * Talks to one authorization server for one client; alone imports oauth4webapi.
 *
 * Finds the endpoints (RFC 8414, OpenID Connect Discovery), makes the requests
 * of RFC 6749, 7009, 7636, 7662, 8628 and 9207, and turns every refusal into an
 * `AuthError`. Stores nothing, shows nothing, and repeats a request only where
 * that cannot spend anything twice.
 *
 * @module
 */

import * as oauth from "oauth4webapi";
import { abandonable } from "../runtime.ts";
import { AuthError } from "../errors.ts";
import { sameText } from "../exchange.ts";
import type { JsonObject } from "../storage/objects.ts";
import { TokenSet } from "../token.ts";
import { ClientAuthentication, type ClientProof } from "./client_auth.ts";
import { malformed, nobodyThere, oauthError, throwForAnswer } from "./errors.ts";
import { type Endpoints, ServerMetadata, type ServerOptions } from "./server_metadata.ts";
import type { TokenValidator } from "./token_validator.ts";
import {
  type Answer,
  asResponse,
  exchange,
  surelyUnsent,
  type TransportOptions,
} from "./transport.ts";

/** Most requests that one call may make of the token endpoint. */
const MOST_TRIES = 3;

/** Longest wait inside a call that a server may ask for, in milliseconds. */
const LONGEST_PAUSE_MS = 5_000;

/** What a JWT must be besides genuine. */
export interface TokenChecks {
  /** Whom it must be for; default: the audience of the client. */
  audience?: string;
  /** Scopes, one of which an access token must grant. */
  scopesAnyOf?: readonly string[];
  /** Ends the request for the server's keys, if one is needed. */
  signal?: AbortSignal;
}

/** Who asks, and whom. */
export interface OAuthClientOptions extends TransportOptions, ServerOptions, ClientProof {
  /** More parameters of a sign-in; they never replace those of the standard. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Client identifier (RFC 6749 §2.2). */
  readonly clientId: string;
  /** `audience` to ask for, where the server takes one. */
  readonly audience?: string;
  /** Scopes to ask for (RFC 6749 §3.3); empty leaves them to the server. */
  readonly scopes: readonly string[];
}

/** Answer of the device authorization endpoint (RFC 8628 §3.2), checked. */
export interface DeviceAnswer extends JsonObject {
  /** Secret that polling presents. */
  device_code: string;
  /** What the person types. */
  user_code: string;
  /** Where the person types it. */
  verification_uri: string;
  /** The same with the code in it. */
  verification_uri_complete?: string;
  /** Life of both codes in seconds. */
  expires_in: number;
  /** Least pause between two polls in seconds; 5 where absent. */
  interval?: number;
}

/** Options that every request function of oauth4webapi takes. */
interface RequestOptions {
  [oauth.allowInsecureRequests]: boolean;
  [oauth.customFetch]: (url: string, init: object) => Promise<Response>;
}

/** Makes a request of a server, for oauth4webapi. */
type MakeRequest = (
  options: RequestOptions,
  server: oauth.AuthorizationServer,
) => Promise<Response>;

/** Where a request goes: an endpoint of a server, as it is known. */
interface Target {
  readonly server: oauth.AuthorizationServer;
  readonly name: keyof Endpoints;
}

function isLoopback(url: URL): boolean {
  return url.protocol === "http:" && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
}

/** An authorization request that was made and not yet answered. Keeps its secrets to itself. */
export interface PendingAuthorization {
  /** `state` of the request (RFC 6749 §10.12). */
  readonly state: string;
  /** Issuer that the answer must name (RFC 9207 §2.4). */
  readonly issuer: string;
  /** Whether the server announced that it names its issuer (RFC 9207 §3). */
  readonly issuerRequired: boolean;
  /** Whether the answer comes as a form by POST: only where the server offers nothing else. */
  readonly formPost?: boolean;
  /** Where the browser must go (RFC 6749 §4.1.1, RFC 7636 §4.3). */
  url(redirectUri: string): URL;
  /**
   * Checks the authorization response and redeems its code (RFC 6749 §4.1.3).
   *
   * @throws {AuthError} `state_mismatch`, `issuer_mismatch`, `access_denied` and the codes of a token request.
   */
  redeem(response: URLSearchParams, redirectUri: string, signal?: AbortSignal): Promise<TokenSet>;
}

/** One client at one authorization server. */
export class OAuthClient {
  readonly #options: OAuthClientOptions;
  readonly #client: oauth.Client;
  readonly #authentication: ClientAuthentication;
  readonly #insecure: boolean;
  readonly #server: ServerMetadata;
  #validator: Promise<TokenValidator> | undefined;

  /** Makes a client; nothing is sent yet. */
  constructor(options: OAuthClientOptions) {
    this.#options = options;
    this.#client = { client_id: options.clientId, [oauth.clockTolerance]: 60 };
    this.#authentication = new ClientAuthentication(options, options.clock);
    this.#insecure = isLoopback(new URL(options.issuer));
    this.#server = new ServerMetadata(options, (tries) => this.#fetchDocument(tries));
  }

  /** Whether the server has an endpoint for revocation (RFC 7009 §2). */
  async canRevoke(signal?: AbortSignal): Promise<boolean> {
    return (await this.#server.about(["revocation_endpoint"], signal)).revocation_endpoint !==
      undefined;
  }

  /** Prepares an authorization request with fresh `state`, `nonce` and code verifier (RFC 7636 §4.1). */
  async authorize(signal?: AbortSignal): Promise<PendingAuthorization> {
    const server = await this.#server.about(["authorization_endpoint", "token_endpoint"], signal);
    if (server.authorization_endpoint === undefined) throw this.#missing("authorization endpoint");
    const endpoint = this.#page(server.authorization_endpoint, "the authorization endpoint");
    const state = oauth.generateRandomState();
    const nonce = oauth.generateRandomNonce();
    const verifier = oauth.generateRandomCodeVerifier();
    const challenge = await oauth.calculatePKCECodeChallenge(verifier);
    const modes = server.response_modes_supported;
    const formPost = Array.isArray(modes) && !modes.includes("query") &&
      modes.includes("form_post");
    return {
      state,
      formPost,
      issuer: server.issuer,
      issuerRequired: server.authorization_response_iss_parameter_supported === true,
      url: (redirectUri: string): URL => {
        const url = new URL(endpoint);
        const parameters = {
          ...this.#options.extra,
          client_id: this.#options.clientId,
          response_type: "code",
          redirect_uri: redirectUri,
          state,
          nonce,
          code_challenge: challenge,
          code_challenge_method: "S256",
          ...(formPost ? { response_mode: "form_post" } : {}),
          ...this.#scopeAndAudience(),
        };
        for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
        return url;
      },
      redeem: (response: URLSearchParams, redirectUri: string, signal?: AbortSignal) =>
        this.#redeem(server, response, { state, nonce, verifier, redirectUri }, signal),
    };
  }

  async #redeem(
    server: oauth.AuthorizationServer,
    response: URLSearchParams,
    request: { state: string; nonce: string; verifier: string; redirectUri: string },
    signal?: AbortSignal,
  ): Promise<TokenSet> {
    if (!sameText(response.get("state") ?? "", request.state)) {
      throw new AuthError(
        "state_mismatch",
        "Start signing in again: the answer does not belong to this sign-in (state differs).",
      );
    }
    const issuer = response.get("iss");
    const issuerRequired = server.authorization_response_iss_parameter_supported === true;
    if (issuer === null ? issuerRequired : issuer !== server.issuer) {
      throw new AuthError(
        "issuer_mismatch",
        "Do not go on with this sign-in: the answer came from another authorization server than was asked (RFC 9207).",
      );
    }
    const refusal = response.get("error");
    if (refusal !== null) throw oauthError(refusal, "the authorization server");
    const what = "the authorization response";
    let parameters: URLSearchParams;
    try {
      parameters = oauth.validateAuthResponse(server, this.#client, response, request.state);
    } catch (error) {
      throw malformed(what, error);
    }
    return await this.#token(
      server,
      (options, server) =>
        oauth.authorizationCodeGrantRequest(
          server,
          this.#client,
          this.#authentication.for(server.token_endpoint),
          parameters,
          request.redirectUri,
          request.verifier,
          options,
        ),
      (answer, json) =>
        oauth.processAuthorizationCodeResponse(
          server,
          this.#client,
          answer,
          json.id_token === undefined ? {} : { expectedNonce: request.nonce },
        ),
      { signal, spent: "login_required" },
    );
  }

  /** Asks for a device and a user code (RFC 8628 §3.1). */
  async authorizeDevice(signal?: AbortSignal): Promise<DeviceAnswer> {
    const server = await this.#server.about(["device_authorization_endpoint"], signal);
    if (server.device_authorization_endpoint === undefined) {
      throw this.#missing("device authorization endpoint");
    }
    const { json } = await this.#send(
      "the device authorization endpoint",
      { server, name: "device_authorization_endpoint" },
      (options, server) =>
        oauth.deviceAuthorizationRequest(
          server,
          this.#client,
          this.#authentication.for(server.device_authorization_endpoint),
          { ...this.#options.extra, ...this.#scopeAndAudience() },
          options,
        ),
      { signal },
    );
    try {
      await oauth.processDeviceAuthorizationResponse(server, this.#client, asResponse(json));
    } catch (error) {
      throw malformed("the device authorization response", error);
    }
    // Some servers send the life as text; the check above has read it as a number.
    const answer = { ...json, expires_in: Number.parseFloat(String(json?.expires_in)) } as
      & JsonObject
      & DeviceAnswer;
    if (!Number.isFinite(answer.expires_in)) {
      throw malformed("the device authorization response", new Error("its life has no end"));
    }
    const what = "the verification page";
    this.#page(answer.verification_uri, what);
    if (answer.verification_uri_complete !== undefined) {
      this.#page(answer.verification_uri_complete, what);
    }
    // It is shown on a terminal, where control characters are commands.
    if (!/^[\x20-\x7e]{1,64}$/.test(answer.user_code)) {
      throw malformed("the user code", new Error("it has unprintable characters"));
    }
    return answer;
  }

  /** Checks the address of a page that a browser will be sent to. */
  #page(address: string, what: string): string {
    // It is shown on a terminal too, where control characters are commands.
    const url = /^[\x21-\x7e]+$/.test(address) && URL.canParse(address)
      ? new URL(address)
      : undefined;
    if (url?.protocol !== "https:" && !(this.#insecure && url?.protocol === "http:")) {
      throw malformed(`the address of ${what}`, new Error("no https URL"));
    }
    return url.href;
  }

  /**
   * Polls once for the tokens of a device grant (RFC 8628 §3.4).
   *
   * @returns Tokens, or the server's word that it is not done: `authorization_pending` or `slow_down`.
   */
  async pollDevice(
    deviceCode: string,
    signal?: AbortSignal,
  ): Promise<TokenSet | "authorization_pending" | "slow_down"> {
    const server = await this.#server.about(["token_endpoint"], signal);
    try {
      return await this.#token(
        server,
        (options, server) =>
          oauth.deviceCodeGrantRequest(
            server,
            this.#client,
            this.#authentication.for(server.token_endpoint),
            deviceCode,
            options,
          ),
        (answer) => oauth.processDeviceCodeResponse(server, this.#client, answer),
        { signal, tries: 1, spent: "device_code_expired" },
      );
    } catch (error) {
      if (error instanceof AuthError) {
        const word = error.oauthError;
        if (word === "authorization_pending" || word === "slow_down") return word;
      }
      throw error;
    }
  }

  /** Signs in as the client itself (RFC 6749 §4.4). */
  async clientCredentials({ signal }: { signal?: AbortSignal } = {}): Promise<TokenSet> {
    const server = await this.#server.about(["token_endpoint"], signal);
    return await this.#token(
      server,
      (options, server) =>
        oauth.clientCredentialsGrantRequest(
          server,
          this.#client,
          this.#authentication.for(server.token_endpoint, true),
          { ...this.#options.extra, ...this.#scopeAndAudience() },
          options,
        ),
      (answer) => oauth.processClientCredentialsResponse(server, this.#client, answer),
      { signal },
    );
  }

  /**
   * Spends the refresh token of `current` (RFC 6749 §6). An answer without a
   * new one keeps the old.
   *
   * @throws {AuthError} `session_expired` where the server calls it invalid, and the codes of a token request.
   */
  async refresh(current: TokenSet, { signal }: { signal?: AbortSignal } = {}): Promise<TokenSet> {
    const server = await this.#server.about(["token_endpoint"], signal);
    const refreshToken = current.refreshToken;
    if (refreshToken === undefined) throw new TypeError("There is no refresh token to spend.");
    return await this.#token(
      server,
      (options, server) =>
        oauth.refreshTokenGrantRequest(
          server,
          this.#client,
          this.#authentication.for(server.token_endpoint),
          refreshToken,
          options,
        ),
      (answer) => oauth.processRefreshTokenResponse(server, this.#client, answer),
      { signal, previous: current },
    );
  }

  /** Asks the server to forget `token` (RFC 7009 §2.1). */
  async revoke(
    token: string,
    hint: "access_token" | "refresh_token",
    signal?: AbortSignal,
  ): Promise<void> {
    const server = await this.#server.about(["revocation_endpoint"], signal);
    await this.#send(
      "the revocation endpoint",
      { server, name: "revocation_endpoint" },
      (options, server) => {
        const proof = this.#authentication.for(server.revocation_endpoint);
        return oauth.revocationRequest(server, this.#client, proof, token, {
          ...options,
          additionalParameters: { token_type_hint: hint },
        });
      },
      { signal },
    );
  }

  /**
   * Asks the server what it knows of a token (RFC 7662 §2).
   *
   * @returns Its answer; `active` tells whether the token is good.
   */
  async introspect(
    token: string,
    hint: "access_token" | "refresh_token",
    signal?: AbortSignal,
  ): Promise<JsonObject> {
    const server = await this.#server.about(["introspection_endpoint"], signal);
    if (server.introspection_endpoint === undefined) throw this.#missing("introspection endpoint");
    const what = "the introspection endpoint";
    const { json } = await this.#send(
      what,
      { server, name: "introspection_endpoint" },
      (options, server) => {
        const proof = this.#authentication.for(server.introspection_endpoint);
        return oauth.introspectionRequest(server, this.#client, proof, token, {
          ...options,
          additionalParameters: { token_type_hint: hint },
        });
      },
      { signal, idempotent: true },
    );
    if (typeof json?.active !== "boolean") throw malformed(what, new Error("active is missing"));
    return json;
  }

  /** Asks the server who signed in (OpenID Connect Core §5.3). */
  async userinfo(accessToken: string, signal?: AbortSignal): Promise<JsonObject> {
    const server = await this.#server.about(["userinfo_endpoint"], signal);
    if (server.userinfo_endpoint === undefined) throw this.#missing("userinfo endpoint");
    const what = "the userinfo endpoint";
    const { json } = await this.#send(
      what,
      { server, name: "userinfo_endpoint" },
      (options, server) => oauth.userInfoRequest(server, this.#client, accessToken, options),
      { signal, idempotent: true },
    );
    if (typeof json?.sub !== "string") throw malformed(what, new Error("sub is missing"));
    return json;
  }

  /**
   * Checks an access token that is a JWT against the server's keys (RFC 9068 §4).
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token`; `invalid_argument` where it is not known whom it must be for.
   */
  async validateAccessToken(token: string, checks: TokenChecks = {}): Promise<JsonObject> {
    const audience = checks.audience ?? this.#options.audience;
    if (audience === undefined) {
      throw new AuthError("invalid_argument", "Give the audience: the client has none of its own.");
    }
    const { scopesAnyOf, signal } = checks;
    return await this.#validate(token, {
      audience,
      ...(scopesAnyOf === undefined ? {} : { scopesAnyOf }),
    }, signal);
  }

  /**
   * Checks an ID token against the server's keys (OpenID Connect Core §3.1.3.7).
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token`.
   */
  async validateIdToken(token: string, signal?: AbortSignal): Promise<JsonObject> {
    const audience = this.#options.clientId;
    return await this.#validate(token, { audience, isIdToken: true }, signal);
  }

  async #validate(
    token: string,
    demands: { audience: string; scopesAnyOf?: readonly string[]; isIdToken?: boolean },
    signal?: AbortSignal,
  ): Promise<JsonObject> {
    const { expectedIssuer } = this.#options;
    const issuer = expectedIssuer ?? (await this.#server.discover(signal)).issuer;
    this.#validator ??= import("./token_validator.ts").then(({ TokenValidator }) =>
      new TokenValidator(() => this.#fetchKeys(), () => this.#options.clock.now())
    );
    const validated = (await this.#validator).validate(token, { issuer, ...demands });
    return await abandonable(validated, signal);
  }

  async #fetchKeys(): Promise<readonly JsonObject[]> {
    const server = await this.#server.about(["jwks_uri"]);
    if (server.jwks_uri === undefined) throw this.#missing("address of its keys");
    const what = "the server's key set";
    const { json } = await this.#send(
      what,
      { server, name: "jwks_uri" },
      async (options, { jwks_uri }) =>
        await options[oauth.customFetch](this.#page(jwks_uri!, what), {
          headers: { accept: "application/json" },
        }),
      { idempotent: true },
    );
    if (!Array.isArray(json?.keys)) throw malformed(what, new Error("keys is missing"));
    return json.keys.filter((key): key is JsonObject =>
      typeof key === "object" && key !== null && !Array.isArray(key)
    );
  }

  #scopeAndAudience(): Record<string, string> {
    const { scopes, audience } = this.#options;
    return {
      ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
      ...(audience === undefined ? {} : { audience }),
    };
  }

  #missing(what: string): AuthError {
    return new AuthError(
      "client_rejected",
      `Choose another way to sign in: ${this.#options.issuer} has no ${what}.`,
    );
  }

  async #fetchDocument(tries = MOST_TRIES): Promise<JsonObject | undefined> {
    const issuer = new URL(this.#options.issuer);
    const { json } = await this.#send(
      "the discovery document",
      undefined,
      (options) => oauth.discoveryRequest(issuer, options),
      { idempotent: true, tries },
    );
    return json;
  }

  /** One call of the token endpoint, checked by oauth4webapi. */
  async #token(
    server: oauth.AuthorizationServer,
    request: MakeRequest,
    check: (answer: Response, json: JsonObject) => Promise<unknown>,
    options: {
      signal?: AbortSignal | undefined;
      previous?: TokenSet;
      tries?: number;
      /** What `invalid_grant` means here; default `session_expired`. */
      spent?: "login_required" | "device_code_expired";
    },
  ): Promise<TokenSet> {
    const what = "the token endpoint";
    let answer: Answer;
    try {
      answer = await this.#send(what, { server, name: "token_endpoint" }, request, options);
    } catch (error) {
      if (options.spent && error instanceof AuthError && error.oauthError === "invalid_grant") {
        throw new AuthError(
          options.spent,
          "Start signing in again: the code has expired or was used already.",
          { oauthError: "invalid_grant" },
        );
      }
      throw error;
    }
    const json = answer.json;
    if (json === undefined) throw malformed(what, new Error("no JSON object"));
    // A token set must not be lost over a member that nobody needs, least of all
    // a rotated one: absent or odd optional members are left out of the check.
    const shown: JsonObject = { ...json };
    if (typeof shown.token_type !== "string" || shown.token_type === "") {
      shown.token_type = "Bearer";
    }
    for (const member of ["refresh_token", "scope", "id_token"]) {
      if (typeof shown[member] !== "string" || shown[member] === "") delete shown[member];
    }
    delete shown.expires_in;
    if (options.previous !== undefined) delete shown.id_token;
    try {
      await check(asResponse(shown), shown);
    } catch (error) {
      throw malformed("the token response", error);
    }
    const tokens = TokenSet.fromResponse(json, this.#options.clock.now(), options.previous);
    return answer.aheadMs === undefined ? tokens : tokens.byClockAhead(answer.aheadMs);
  }

  /**
   * Sends a request, and once more only where it surely did not arrive
   * (`idempotent`: or may have) or where the server said when (429, 503). Where
   * nothing takes it at an address that was found before, and the server has
   * another by now, it goes there at once.
   */
  async #send(
    what: string,
    target: Target | undefined,
    request: MakeRequest,
    options: { signal?: AbortSignal | undefined; tries?: number; idempotent?: boolean },
  ): Promise<Answer> {
    const { clock } = this.#options;
    const tries = options.tries ?? MOST_TRIES;
    let server = target?.server ?? { issuer: this.#options.issuer };
    let mayHaveMoved = target !== undefined;
    for (let round = 1;; round++) {
      let answer: Answer | undefined;
      let failure: unknown;
      try {
        await request({
          [oauth.allowInsecureRequests]: this.#insecure,
          [oauth.customFetch]: async (url: string, init: object) => {
            answer = await exchange(
              url,
              { ...init as RequestInit, ...signalOf(options) },
              this.#options,
            );
            return new Response();
          },
        }, server);
        throwForAnswer(answer!, what);
        return answer!;
      } catch (error) {
        failure = answer === undefined ? asAuthError(error, what) : error;
      }
      if (mayHaveMoved && (answer === undefined ? surelyUnsent(failure) : nobodyThere(answer))) {
        mayHaveMoved = false;
        const moved = await this.#server.moved(server, target!.name, options.signal);
        if (moved !== undefined) {
          server = moved;
          continue;
        }
      }
      const wait = pauseBefore(failure, round, options.idempotent === true, clock.now());
      if (round >= tries || wait === undefined) {
        this.#server.distrust(failure);
        throw failure;
      }
      await clock.sleep(wait, options.signal);
    }
  }
}

/** How long to wait before repeating what failed, in milliseconds; `undefined`: do not repeat. */
function pauseBefore(
  failure: unknown,
  round: number,
  idempotent: boolean,
  nowMs: number,
): number | undefined {
  if (!(failure instanceof AuthError)) return undefined;
  if (failure.retryAt !== undefined) {
    const wait = Math.max(failure.retryAt - nowMs, 0);
    return wait <= LONGEST_PAUSE_MS ? wait : undefined;
  }
  const again = surelyUnsent(failure) || (idempotent && failure.code === "network") ||
    (idempotent && failure.code === "server_error");
  return again ? 100 * 4 ** round : undefined;
}

function signalOf(options: { signal?: AbortSignal | undefined }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}

/** Keeps our own errors and abort reasons; anything else comes from a request that could not be built. */
function asAuthError(error: unknown, what: string): unknown {
  const ours = error instanceof AuthError || !(error instanceof Error) ||
    !("code" in error && String(error.code).startsWith("OAUTH_"));
  return ours ? error : malformed(`the address of ${what}`, error);
}
