/**
 * Talks to one authorization server for one client.
 *
 * Makes the requests of RFC 6749, 7009, 7636, 7662, 8628 and 9207 by oauth4webapi, which this room
 * alone imports, and checks the answers. Stores nothing, shows nothing.
 *
 * @module
 */

import * as oauth from "oauth4webapi";
import { AuthError } from "../errors.ts";
import { sameText } from "../exchange.ts";
import type { JsonObject } from "../storage/objects.ts";
import { TokenSet } from "../token.ts";
import { ClientAuthentication, type ClientProof } from "./client_auth.ts";
import {
  type Answer,
  asResponse,
  AuthorizationServer,
  type Call,
  type CallOptions,
  type Endpoints,
  issuerMismatch,
  malformed,
  type Metadata,
  oauthError,
  type RequestOptions,
  type ServerOptions,
  shownText,
} from "./server.ts";
import type { TokenDemands, TokenValidator } from "./token_validator.ts";

/**
 * Options of {@linkcode Auth.validateAccessToken}: what a JWT must be besides genuine.
 *
 * @category Sign in
 */
export interface TokenChecks {
  /** Whom it must be for; default: the audience of the client. */
  audience?: string;
  /** Scopes, one of which an access token must grant. */
  scopesAnyOf?: readonly string[];
  /** Ends the request for the server's keys, if one is needed. */
  signal?: AbortSignal;
}

/** Who asks, and whom. */
export interface OAuthClientOptions extends ServerOptions, ClientProof {
  /** More parameters of a sign-in; they never replace those of the standard. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Client identifier (RFC 6749 §2.2). */
  readonly clientId: string;
  /** `audience` to ask for, if the server takes one. */
  readonly audience?: string;
  /** Scopes to ask for (RFC 6749 §3.3); empty leaves them to the server. */
  readonly scopes: readonly string[];
}

/**
 * What the server handed out for a device login (RFC 8628 §3.2), as received.
 * Survives JSON, so that another process can finish the login; `device_code` and
 * `code_verifier` are secrets and are not shown by `console.log`.
 *
 * @category Sign in
 */
export interface DeviceAuthorization {
  /** Secret that the device presents when it asks for the tokens. */
  device_code: string;
  /** What the person types at `verification_uri`. */
  user_code: string;
  /** Where the person confirms. */
  verification_uri: string;
  /** The same with the code in it, if the server offers it. */
  verification_uri_complete?: string;
  /** Life of both codes, in seconds. */
  expires_in: number;
  /** Least pause between two polls, in seconds; 5 if absent. */
  interval?: number;
  /** Secret of this library that the device presents too (RFC 7636 §4.1); none is sent if it is absent. */
  code_verifier?: string;
}

/**
 * An authorization request that is not answered yet: plain data, so that another process can go on
 * with it. Holds secrets.
 */
export interface PendingAuthorization {
  /** `state` of the request (RFC 6749 §10.12). */
  readonly state: string;
  /** `nonce` of the request (OpenID Connect Core §3.1.2.1). */
  readonly nonce: string;
  /** Code verifier (RFC 7636 §4.1). */
  readonly code_verifier: string;
  /** Issuer that the answer must name (RFC 9207 §2.4). */
  readonly issuer: string;
  /** Whether the server announced that it names its issuer (RFC 9207 §3). */
  readonly issuerRequired: boolean;
  /** Whether the answer comes as a form by POST: only if the server offers nothing else. */
  readonly formPost: boolean;
}

/** Makes a request of a server by oauth4webapi, with the client's proof. */
type MakeRequest = (
  options: RequestOptions,
  server: Metadata,
  proof: oauth.ClientAuth,
) => Promise<Response>;

/** How one of the client's calls differs from others; `needs`: what must be known of the server for it. */
interface SendOptions
  extends Pick<Call, "background" | "idempotent" | "lease" | "secrets" | "signal" | "tries"> {
  readonly needs?: readonly (keyof Endpoints)[];
}

/** What messages call an endpoint. */
function nameOf(name: keyof Endpoints): string {
  return name === "jwks_uri" ? "address of its keys" : name.replaceAll("_", " ");
}

/** What an authorization request and its answer stand on. */
const FOR_CODES = ["authorization_endpoint", "token_endpoint"] as const;

/** One client at one authorization server. */
export class OAuthClient {
  readonly #options: OAuthClientOptions;
  readonly #client: oauth.Client;
  readonly #authentication: ClientAuthentication;
  readonly #server: AuthorizationServer;
  #validator: Promise<TokenValidator> | undefined;

  /**
   * Makes a client; nothing is sent yet.
   *
   * @throws {AuthError} `invalid_argument` if `authMethod` names a proof that is not given.
   */
  constructor(options: OAuthClientOptions) {
    this.#options = options;
    this.#client = { client_id: options.clientId, [oauth.clockTolerance]: 60 };
    this.#server = new AuthorizationServer(options);
    const now = () => this.#server.now();
    this.#authentication = new ClientAuthentication(options.clientId, options, now);
  }

  /** Whether the server has an endpoint for revocation (RFC 7009 §2). */
  async canRevoke(signal?: AbortSignal): Promise<boolean> {
    const server = await this.#server.about(["revocation_endpoint"], { signal });
    return server.revocation_endpoint !== undefined;
  }

  /** Prepares an authorization request with fresh `state`, `nonce` and code verifier (RFC 7636 §4.1). */
  async authorize(signal?: AbortSignal): Promise<PendingAuthorization> {
    const server = await this.#server.about(FOR_CODES, { signal });
    this.#authorizationPage(server);
    const modes = server.response_modes_supported;
    return {
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      code_verifier: oauth.generateRandomCodeVerifier(),
      issuer: server.issuer,
      issuerRequired: server.authorization_response_iss_parameter_supported === true,
      formPost: Array.isArray(modes) && !modes.includes("query") && modes.includes("form_post"),
    };
  }

  /** Where the browser must go (RFC 6749 §4.1.1, RFC 7636 §4.3). */
  async authorizationUrl(
    pending: PendingAuthorization,
    redirectUri: string,
    signal?: AbortSignal,
  ): Promise<URL> {
    const url = this.#authorizationPage(await this.#server.about(FOR_CODES, { signal }));
    const parameters = {
      ...this.#options.extra,
      client_id: this.#options.clientId,
      response_type: "code",
      redirect_uri: redirectUri,
      state: pending.state,
      nonce: pending.nonce,
      ...await challenge(pending.code_verifier),
      ...(pending.formPost ? { response_mode: "form_post" } : {}),
      ...this.#scopeAndAudience(),
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return url;
  }

  #authorizationPage(server: Metadata): URL {
    const address = this.#endpoint(server, "authorization_endpoint");
    return new URL(this.#server.page(address, "the authorization endpoint"));
  }

  /**
   * Checks the authorization response and redeems its code (RFC 6749 §4.1.3).
   *
   * @throws {AuthError} `state_mismatch`, `issuer_mismatch`, `access_denied` and the codes of a token request.
   */
  async redeem(
    pending: PendingAuthorization,
    response: URLSearchParams,
    redirectUri: string,
    signal?: AbortSignal,
  ): Promise<TokenSet> {
    const { code_verifier, issuer, issuerRequired, nonce, state } = pending;
    if (!sameText(response.get("state") ?? "", state)) {
      throw new AuthError(
        "state_mismatch",
        "Start signing in again: the answer does not belong to this sign-in (state differs).",
      );
    }
    const secrets = [state, nonce, code_verifier, response.get("code") ?? undefined];
    const named = response.get("iss");
    if (named === null ? issuerRequired : named !== issuer) {
      throw issuerMismatch(
        "Do not go on with this sign-in (RFC 9207): the server that answered",
        named === null ? undefined : shownText(named, secrets),
        issuer,
      );
    }
    const error = response.get("error");
    if (error !== null && response.has("code")) {
      throw malformed("the authorization response", new Error("it has a code and an error"));
    }
    if (error !== null) {
      const description = shownText(response.get("error_description") ?? "", secrets);
      throw oauthError({ error, description }, "the authorization server");
    }
    const server = await this.#server.about(FOR_CODES, { signal });
    if (server.issuer !== issuer) {
      const advice = "Start signing in again: the authorization server now";
      throw issuerMismatch(advice, server.issuer, issuer);
    }
    let parameters: URLSearchParams;
    try {
      parameters = oauth.validateAuthResponse(server, this.#client, response, state);
    } catch (error) {
      throw malformed("the authorization response", error);
    }
    const code = parameters.get("code");
    if (!code) throw malformed("the authorization response", new Error("code is missing"));
    const form = { code, code_verifier, redirect_uri: redirectUri };
    const more = { needs: FOR_CODES, nonce, secrets, signal, spent: "login_required" } as const;
    return await this.#token("authorization_code", form, more);
  }

  /**
   * Asks for a device and a user code (RFC 8628 §3.1). Servers that require PKCE of a client may do so
   * here too, so the request has a challenge; others ignore it (RFC 6749 §3.1).
   */
  async authorizeDevice(signal?: AbortSignal): Promise<DeviceAuthorization> {
    const what = "the device authorization response";
    const code_verifier = oauth.generateRandomCodeVerifier();
    const parameters = {
      ...this.#options.extra,
      ...await challenge(code_verifier),
      ...this.#scopeAndAudience(),
    };
    const { json } = await this.#send(
      "device_authorization_endpoint",
      (options, server, proof) =>
        oauth.deviceAuthorizationRequest(server, this.#client, proof, parameters, options),
      { signal, secrets: [code_verifier] },
    );
    try {
      const { issuer } = this.#options;
      await oauth.processDeviceAuthorizationResponse({ issuer }, this.#client, asResponse(json));
    } catch (error) {
      throw malformed(what, error);
    }
    // Some servers send the life as text; the check above has read it as a number.
    const expires_in = Number.parseFloat(String(json?.expires_in));
    const answer = { ...json, expires_in, code_verifier } as DeviceAuthorization;
    if (!Number.isFinite(expires_in)) throw malformed(what, new Error("its life has no end"));
    const { user_code, verification_uri, verification_uri_complete } = answer;
    for (const page of [verification_uri, verification_uri_complete ?? verification_uri]) {
      this.#server.page(page, "the verification page");
    }
    // It is shown on a terminal, where control characters are commands.
    if (!/^[\x20-\x7e]{1,64}$/.test(user_code)) {
      throw malformed("the user code", new Error("it has unprintable characters"));
    }
    return answer;
  }

  /**
   * Polls once for the tokens of a device grant (RFC 8628 §3.4).
   *
   * @param grant What {@linkcode authorizeDevice} returned; without a verifier none is sent.
   * @returns Tokens, or the server's word that it is not done: `authorization_pending` or `slow_down`.
   */
  async pollDevice(
    grant: Pick<DeviceAuthorization, "code_verifier" | "device_code">,
    signal?: AbortSignal,
  ): Promise<TokenSet | "authorization_pending" | "slow_down"> {
    const { code_verifier, device_code } = grant;
    const form = { device_code, ...(code_verifier === undefined ? {} : { code_verifier }) };
    const more = { signal, tries: 1, spent: "device_code_expired" } as const;
    try {
      return await this.#token("urn:ietf:params:oauth:grant-type:device_code", form, more);
    } catch (error) {
      const word = error instanceof AuthError ? error.oauthError : undefined;
      if (word === "authorization_pending" || word === "slow_down") return word;
      throw error;
    }
  }

  /** Signs in as the client itself (RFC 6749 §4.4). */
  async clientCredentials(options: CallOptions = {}): Promise<TokenSet> {
    this.#authentication.becomesServiceAccount();
    const form = { ...this.#options.extra, ...this.#scopeAndAudience() };
    return await this.#token("client_credentials", form, options);
  }

  /**
   * Spends the refresh token of `current` (RFC 6749 §6). An answer without a
   * new one keeps the old.
   *
   * @throws {AuthError} `session_expired` if the server calls it invalid, and the codes of a token request.
   */
  async refresh(current: TokenSet, options: CallOptions = {}): Promise<TokenSet> {
    const { accessToken, idToken, refreshToken } = current;
    if (refreshToken === undefined) throw new TypeError("There is no refresh token to spend.");
    const more = { ...options, previous: current, secrets: [accessToken, idToken] };
    return await this.#token("refresh_token", { refresh_token: refreshToken }, more);
  }

  /** Asks the server to forget `token` (RFC 7009 §2.1). */
  async revoke(
    token: string,
    hint: "access_token" | "refresh_token",
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#send(
      "revocation_endpoint",
      (options, server, proof) =>
        oauth.revocationRequest(server, this.#client, proof, token, withHint(options, hint)),
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
    const { json } = await this.#send(
      "introspection_endpoint",
      (options, server, proof) =>
        oauth.introspectionRequest(server, this.#client, proof, token, withHint(options, hint)),
      { signal, idempotent: true },
    );
    if (typeof json?.active === "boolean") return json;
    throw malformed("the introspection endpoint", new Error("active is missing"));
  }

  /** Asks the server who signed in (OpenID Connect Core §5.3). */
  async userinfo(accessToken: string, signal?: AbortSignal): Promise<JsonObject> {
    const { json } = await this.#send(
      "userinfo_endpoint",
      (options, server) => oauth.userInfoRequest(server, this.#client, accessToken, options),
      { signal, idempotent: true },
    );
    if (typeof json?.sub === "string") return json;
    throw malformed("the userinfo endpoint", new Error("sub is missing"));
  }

  /**
   * Checks an access token that is a JWT against the server's keys (RFC 9068 §4).
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token`; `invalid_argument` if it is not known whom it must be for.
   */
  async validateAccessToken(token: string, checks: TokenChecks = {}): Promise<JsonObject> {
    const { audience = this.#options.audience, scopesAnyOf, signal } = checks;
    if (audience === undefined) {
      throw new AuthError("invalid_argument", "Give the audience: the client has none of its own.");
    }
    return await this.#validate(token, { audience, scopesAnyOf }, signal);
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
    demands: Omit<TokenDemands, "issuer">,
    signal?: AbortSignal,
  ): Promise<JsonObject> {
    const issuer = this.#options.expectedIssuer ??
      (await this.#server.about([], { signal })).issuer;
    this.#validator ??= import("./token_validator.ts").then(({ TokenValidator }) =>
      new TokenValidator((signal) => this.#fetchKeys(signal), () => this.#server.now())
    );
    return await (await this.#validator).validate(token, { issuer, ...demands }, signal);
  }

  async #fetchKeys(signal: AbortSignal): Promise<readonly JsonObject[]> {
    const what = "the server's key set";
    const { json } = await this.#send("jwks_uri", (options, server) => {
      const url = this.#server.page(server.jwks_uri!, what);
      return options[oauth.customFetch](url, { headers: { accept: "application/json" } });
    }, { idempotent: true, signal });
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

  /** The address of an endpoint that a call needs. */
  #endpoint(server: Metadata, name: keyof Endpoints): string {
    const address = server[name];
    if (address !== undefined) return address;
    if (name === "token_endpoint") {
      throw malformed("the discovery document", new Error("token_endpoint is missing"));
    }
    throw new AuthError(
      "client_rejected",
      `Choose another way to sign in: ${this.#options.issuer} has no ${nameOf(name)}.`,
    );
  }

  /** One call of an endpoint, proved if the request asks for that. */
  async #send(
    name: keyof Endpoints,
    request: MakeRequest,
    { needs = [name], ...options }: SendOptions,
  ): Promise<Answer> {
    // An assertion names the token endpoint.
    const hasKey = this.#options.privateKey !== undefined;
    const all = hasKey ? [...needs, "token_endpoint" as const] : needs;
    const server = await this.#server.about(all, options);
    this.#endpoint(server, name);
    const proof = this.#authentication.forCall();
    return await this.#server.send({
      ...options,
      what: name === "jwks_uri"
        ? "the server's key set"
        : `the ${nameOf(name)} of ${new URL(this.#options.issuer).host}`,
      target: { server, name },
      request: (more, server) => request(more, server, proof.add),
      refused: proof.refused,
      secrets: [this.#options.clientSecret, ...options.secrets ?? []],
    });
  }

  /** One call of the token endpoint, checked by oauth4webapi. */
  async #token(
    grantType: string,
    form: Record<string, string>,
    options: SendOptions & {
      /** `nonce` that an ID token must have. */
      nonce?: string;
      previous?: TokenSet;
      /** What `invalid_grant` means here; default `session_expired`. */
      spent?: "login_required" | "device_code_expired";
    },
  ): Promise<TokenSet> {
    const { nonce, previous, spent, ...more } = options;
    const { clock, issuer } = this.#options;
    let answer: Answer;
    let used: Metadata = { issuer };
    try {
      answer = await this.#send("token_endpoint", (options, server, proof) => {
        const client = this.#client;
        used = server;
        return oauth.genericTokenEndpointRequest(server, client, proof, grantType, form, options);
      }, more);
    } catch (error) {
      if (!spent || !(error instanceof AuthError) || error.oauthError !== "invalid_grant") {
        throw error;
      }
      const said = error.message.replace(/^[^:]*: /, "");
      throw new AuthError(
        spent,
        `Start signing in again, the code has expired or was used already: ${said}`,
        { oauthError: "invalid_grant" },
      );
    }
    const { aheadMs, json } = answer;
    if (json === undefined) throw malformed("the token endpoint", new Error("no JSON object"));
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
    if (previous !== undefined) delete shown.id_token;
    // An ID token has the server's times.
    const skew = Math.round((clock.now() + (aheadMs ?? 0) - Date.now()) / 1000);
    const client = { ...this.#client, [oauth.clockSkew]: skew };
    try {
      await (nonce === undefined || shown.id_token === undefined
        ? oauth.processGenericTokenEndpointResponse(used, client, asResponse(shown))
        : oauth.processAuthorizationCodeResponse(used, client, asResponse(shown), {
          expectedNonce: nonce,
        }));
    } catch (error) {
      throw malformed("the token response", error);
    }
    const tokens = TokenSet.fromResponse(json, clock.now(), previous);
    return aheadMs === undefined ? tokens : tokens.byClockAhead(aheadMs);
  }
}

function withHint(options: RequestOptions, token_type_hint: string) {
  return { ...options, additionalParameters: { token_type_hint } };
}

/** What a code verifier is announced by (RFC 7636 §4.3). */
async function challenge(verifier: string): Promise<Record<string, string>> {
  const code_challenge = await oauth.calculatePKCECodeChallenge(verifier);
  return { code_challenge, code_challenge_method: "S256" };
}
