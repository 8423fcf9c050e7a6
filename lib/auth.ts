/**
 * `Auth`: one sign-in to Planet. Joins one profile, one flow, one store, one keeper.
 *
 * Constructors check their arguments and touch nothing; state is read at the
 * first use. What a warm start does not need (protocol, listener, terminal,
 * flows) is loaded when it is first used.
 *
 * @module
 */

import {
  type AuthCodeOptions,
  BUILTIN_NAMES,
  checkClientId,
  checkKey,
  checkNames,
  checkScopes,
  checkSessionOptions,
  checkText,
  type ClientSettings,
  type DefaultSessionOptions,
  type DeviceCodeOptions,
  invalid,
  isKey,
  isService,
  type KeySettings,
  type ListProfilesOptions,
  type M2MOptions,
  normalizeProfileName,
  parseCallbackUrl,
  type PlanetEnvironment,
  type PrivateKeySource,
  profileKey,
  type SessionOptions,
  type Setup,
} from "./setup.ts";
import { AuthError } from "./errors.ts";
import type { FetchLike } from "./exchange.ts";
import { authenticatedFetch } from "./http/fetch.ts";
import type { Authorizer } from "./http/plan.ts";
import { Keeper } from "./keeper/keeper.ts";
import { StoredSession } from "./keeper/stored_session.ts";
import type { OAuthClient, TokenChecks } from "./oauth/client.ts";
import type { PrivateKeyPem } from "./oauth/client_auth.ts";
import type { ApiKey, ProfileEntry } from "./profiles/profiles.ts";
import type { SessionReport } from "./report.ts";
import type { LoginOptions } from "./sign_in/person.ts";
import type { SignIn } from "./sign_in/sign_in.ts";
import type { AuthorizationRequest, DeviceAuthorization } from "./sign_in/steps.ts";
import { requireEnvAccess, runtime } from "./runtime.ts";
import type { ChosenStorage, JsonObject } from "./storage/objects.ts";
import { openSessionStorage, readNamedFile } from "./storage/select.ts";

/** Scopes of a person's session: API calls, and a refresh token so that signing in once is enough. */
const USER_SCOPES: readonly string[] = ["planet", "offline_access"];

/** Options of a login that take a closer look. */
const LOGIN_OPTIONS = ["applicationName", "callbackPage", "onPending", "timeoutMs"] as const;

/**
 * One sign-in to Planet, kept alive: where every program begins.
 *
 * @category Sign in
 *
 * @example A service account, with another library at the API
 * ```ts
 * import { Auth } from "@planet-community/planet";
 *
 * const auth = Auth.fromOAuthM2M({ clientId: "my-client-id", clientSecret: "my-client-secret" });
 * const response = await auth.fetch("https://api.planet.com/data/v1/searches");
 * console.log(response.status); // 200
 * ```
 */
export class Auth implements AsyncDisposable {
  /** Name of the profile, in lower case. */
  readonly profileName: string;
  /** The servers that this session is for. */
  readonly environment: PlanetEnvironment;
  /**
   * `fetch` with the session's credentials. Bound, so it can be handed on. A path such as
   * `/data/v1/searches` counts from the API's origin.
   *
   * Refuses an origin outside the allow-list, drops the token on a redirect
   * that leaves it, and repeats a request once where a 401 can be mended by
   * renewing the token.
   *
   * @throws {AuthError} `untrusted_origin`; `login_required`, `session_expired` and the
   *   other codes of a renewal. Failures of the request itself are those of `fetch`.
   */
  readonly fetch: typeof globalThis.fetch & FetchLike;

  readonly #setup: Setup;
  readonly #keeper: Keeper<OAuthClient> | undefined;
  readonly #session: StoredSession | undefined;
  #chosen: Promise<ChosenStorage> | undefined;
  #client: Promise<OAuthClient> | undefined;
  #key: Promise<ApiKey> | undefined;
  #signIn: Promise<SignIn> | undefined;

  private constructor(setup: Setup) {
    if (setup?.origin === undefined) {
      throw new TypeError(
        "Use Auth.fromOAuthM2M() or one of its kin, not new Auth().",
      );
    }
    const { profileName, checked, options, client } = setup;
    this.#setup = setup;
    this.profileName = profileName;
    this.environment = checked.environment;
    let authorizer: Authorizer;
    if (isKey(client)) {
      const { apiKey, prefix } = client;
      const header = apiKey === undefined ? undefined : `${prefix} ${apiKey}`;
      authorizer = {
        authorization: () => header ?? this.#keyHeader(),
        // There is no other key.
        replace: () => Promise.resolve(undefined),
      };
    } else {
      const { clock } = checked;
      const { onEvent, saveClientSecret, waitUntil } = options;
      const { members, writesClient } = setup;
      const open = () => this.#storage();
      const who = { profileName, client, members, writesClient, saveClientSecret };
      this.#session = new StoredSession({ ...who, open, clock, onEvent });
      authorizer = this.#keeper = new Keeper(this.#session, {
        server: () => this.#oauth(),
        waitUntil,
        endsWithCaller: waitUntil === undefined && runtime === "other",
      });
    }
    this.fetch = authenticatedFetch(authorizer, {
      allowedOrigins: checked.allowedOrigins,
      baseUrl: checked.environment.apiBaseUrl,
      fetch: options.fetch,
    });
  }

  /**
   * A person's session, signed in to with a browser on this machine:
   * authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252).
   *
   * @throws {AuthError} `invalid_argument`; a `TypeError` for an argument of the wrong type.
   *
   * @example Sign in where that is needed
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = Auth.fromOAuthUserAuthCode({
   *   clientId: "my-client-id",
   *   callbackUrl: "http://localhost:8080", // as registered
   *   profileName: "my-app",
   * });
   * await auth.ensureInitialized({ allowOpenBrowser: true, allowTtyPrompt: true });
   * ```
   */
  static fromOAuthUserAuthCode(options: AuthCodeOptions): Auth {
    checkNames(options);
    const callbackUrl = parseCallbackUrl(checkText(options.callbackUrl, "callbackUrl")).callbackUrl;
    return Auth.#forClient(options, "oidc_auth_code", { callbackUrl });
  }

  /**
   * A person's session, signed in to on a second screen: device code (RFC 8628).
   *
   * @throws {AuthError} `invalid_argument`; a `TypeError` for an argument of the wrong type.
   *
   * @example Sign in on a telephone, from a machine without a browser
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = Auth.fromOAuthUserDeviceCode({ clientId: "my-client-id", profileName: "my-app" });
   * await auth.ensureInitialized({ allowTtyPrompt: true });
   * ```
   */
  static fromOAuthUserDeviceCode(options: DeviceCodeOptions): Auth {
    return Auth.#forClient(options, "oidc_device_code", {});
  }

  /**
   * A service account's session: client credentials (RFC 6749 §4.4). Signs in by
   * itself at the first use.
   *
   * @throws {AuthError} `invalid_argument`; a `TypeError` for an argument of the wrong type.
   *
   * @example A service account, nothing kept
   * ```ts
   * import { Auth, Planet, Session } from "@planet-community/planet";
   *
   * const auth = Auth.fromOAuthM2M({
   *   clientId: "my-client-id",
   *   clientSecret: "my-client-secret",
   *   saveStateToStorage: false,
   * });
   * const pl = new Planet(new Session(auth));
   * for await (const search of pl.data.listSearches()) console.log(search.name);
   * ```
   */
  static fromOAuthM2M(options: M2MOptions): Auth {
    checkNames(options);
    const clientSecret = checkText(options.clientSecret, "clientSecret");
    return Auth.#forClient(options, "oidc_client_credentials_secret", { clientSecret });
  }

  /**
   * A session by API key; needs no sign-in and keeps no state.
   *
   * @throws {AuthError} `invalid_argument` for an empty key.
   *
   * @example An API key
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = Auth.fromKey("my-api-key");
   * const response = await auth.fetch("https://api.planet.com/data/v1/searches");
   * console.log(response.status); // 200
   * ```
   */
  static fromKey(key: string, options: SessionOptions = {}): Auth {
    const apiKey = checkKey(key);
    const checked = checkSessionOptions(options);
    return new Auth({
      profileName: "_pl_api_key",
      options,
      checked,
      client: { keyType: "static_apikey", prefix: "api-key", apiKey },
      writesClient: "never",
      origin: { chosenBy: "the program", overrode: [], notes: [], settings: "arguments" },
    });
  }

  /**
   * A session by the API key in an environment variable, by default `PL_API_KEY`.
   *
   * @throws {AuthError} `invalid_argument` where the variable is not set or may not be read.
   *
   * @example The key in PL_API_KEY
   * ```ts
   * import { Auth, Planet, Session } from "@planet-community/planet";
   *
   * const pl = new Planet(new Session(Auth.fromEnv()));
   * for await (const search of pl.data.listSearches({ limit: 3 })) console.log(search.name);
   * ```
   */
  static fromEnv(variableName: string = "PL_API_KEY", options: SessionOptions = {}): Auth {
    const key = requireEnvAccess(checkText(variableName, "variableName"));
    if (key === undefined || key === "") {
      throw new AuthError("invalid_argument", `Set ${variableName} to an API key: it is not set.`);
    }
    return Auth.fromKey(key, options);
  }

  /**
   * The session of a profile: one that the `planet` command line or a program has
   * stored, or a built-in one (`planet-user`, `legacy`).
   *
   * Reads the profile's `auth_client.json` and leaves it as it is. With
   * `saveStateToStorage: false` a stored session is neither read nor written, as in Python.
   *
   * @throws {AuthError} `storage_not_found` where there is no such profile; `invalid_argument`
   *   where its file is wrong; those of the store.
   *
   * @example What "planet auth login --auth-profile my-app" has stored
   * ```ts
   * import { Auth, Planet, Session } from "@planet-community/planet";
   *
   * const auth = await Auth.fromProfile("my-app");
   * const pl = new Planet(new Session(auth));
   * for await (const search of pl.data.listSearches()) console.log(search.name);
   * ```
   */
  static async fromProfile(profileName: string, options: SessionOptions = {}): Promise<Auth> {
    const { profileSetup } = await import("./profiles/profiles.ts");
    return new Auth(await profileSetup(profileName, options));
  }

  /**
   * The session that the user has chosen, by the environment or with the `planet` command line.
   *
   * The first of these that is there: the arguments `profileName`, `clientId` with
   * `clientSecret`, `apiKey`; then the same from `PL_AUTH_PROFILE`, `PL_AUTH_CLIENT_ID` with
   * `PL_AUTH_CLIENT_SECRET`, `PL_API_KEY`, `PL_AUTH_API_KEY`, each as a variable and then as a
   * member of `~/.planet.json`; the member `key` of that file; the built-in profile
   * `planet-user`. `explain()` tells which it was. Never causes a permission prompt.
   *
   * @throws {AuthError} where what was chosen is wrong: the message names the variable or file.
   *
   * @example The session of the command line
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = await Auth.fromUserDefaultSession();
   * const { profileName, chosenBy } = await auth.explain();
   * console.log(`${profileName}, chosen by ${chosenBy}`);
   * ```
   */
  static async fromUserDefaultSession(options: DefaultSessionOptions = {}): Promise<Auth> {
    const { defaultSetup } = await import("./profiles/profiles.ts");
    return new Auth(await defaultSetup(options));
  }

  /**
   * The profiles there are: the built-in ones, then those of the store, by name.
   *
   * @throws {AuthError} `unsupported_runtime` where the store cannot list its keys.
   */
  static async listProfiles(options: ListProfilesOptions = {}): Promise<ProfileEntry[]> {
    const { listProfiles } = await import("./profiles/profiles.ts");
    return await listProfiles(options);
  }

  static #forClient(
    options: AuthCodeOptions | DeviceCodeOptions | M2MOptions,
    clientType: ClientSettings["clientType"],
    extra: { callbackUrl?: string; clientSecret?: string },
  ): Auth {
    checkNames(options);
    const clientId = checkClientId(options.clientId);
    const { allowedOrigins, clock, environment } = checkSessionOptions(options);
    const { audiences, m2mAuthServer, userAuthServer } = environment;
    const service = clientType === "oidc_client_credentials_secret";
    const authServer = service ? m2mAuthServer : userAuthServer;
    const client: ClientSettings = {
      clientType,
      clientId,
      authServer,
      audiences,
      scopes: checkScopes(options.requestedScopes, service ? [] : USER_SCOPES),
      ...extra,
    };
    const profileName = normalizeProfileName(options.profileName ?? clientId);
    if (BUILTIN_NAMES.includes(profileName)) {
      throw invalid(
        `Choose another profileName, or use Auth.fromProfile("${profileName}"): it is the name of a built-in profile.`,
      );
    }
    // A service account may also call the APIs at its own issuer.
    const origins = service && options.allowedOrigins === undefined
      ? [...allowedOrigins, new URL(authServer).origin]
      : allowedOrigins;
    return new Auth({
      profileName,
      options,
      checked: { allowedOrigins: origins, clock, environment },
      client,
      writesClient: "always",
      origin: { chosenBy: "the program", overrode: [], notes: [], settings: "arguments" },
    });
  }

  /**
   * Signs in now, whatever session there is. Calls at the same time share one login.
   *
   * @throws {AuthError} `login_timeout`, `login_cancelled`, `access_denied` and those of the flow;
   *   `invalid_argument` where no interaction is allowed; after an abort, its reason.
   */
  async userLogin(options: LoginOptions = {}): Promise<void> {
    const keeper = this.#keeperFor("userLogin()");
    const { checkLoginOptions } = await import("./sign_in/sign_in.ts");
    checkLoginOptions(options);
    if (isService(keeper.client)) return await keeper.forceRefresh(options.signal);
    await (await this.#signIns("userLogin()")).userLogin(options);
  }

  /**
   * Starts a device login that the application shows itself (RFC 8628 §3.1).
   *
   * @returns What the server handed out, under its own names (RFC 8628 §3.2).
   *
   * @example An experience of your own
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = Auth.fromOAuthUserDeviceCode({ clientId: "my-client-id", profileName: "my-tv" });
   * const info = await auth.deviceUserLoginInitiate();
   * console.log(`Open ${info.verification_uri} and enter ${info.user_code}`);
   * await auth.deviceUserLoginComplete(info);
   * ```
   */
  async deviceUserLoginInitiate(
    options: { signal?: AbortSignal } = {},
  ): Promise<DeviceAuthorization> {
    return await (await this.#signIns("a device login")).deviceInitiate(options);
  }

  /**
   * Waits until the person confirms the login that `info` began, then stores the
   * tokens (RFC 8628 §3.4). Ends when the codes expire.
   *
   * @throws {AuthError} `access_denied`, `device_code_expired`; after an abort, its reason.
   */
  async deviceUserLoginComplete(
    info: DeviceAuthorization,
    options: Pick<LoginOptions, "onPending" | "signal"> = {},
  ): Promise<void> {
    await (await this.#signIns("a device login")).deviceComplete(info, options);
  }

  /**
   * Begins a sign-in whose answer comes to your own program: a server behind `https`, a private
   * scheme of a desktop application, or a listener of your own (RFC 8252 §7). Send the person's
   * browser to `authorization_url`, keep the rest, and complete it with what comes to `redirect_uri`.
   *
   * @param options `redirectUri` in place of the `callbackUrl` of this session, such as one with the
   *   port that you listen on; `signal` ends the request for the server's metadata, if one is needed.
   * @returns What to keep: it survives JSON and **holds a secret**, see {@linkcode AuthorizationRequest}.
   *
   * @example In a server of your own
   * ```ts
   * import { Auth, type AuthorizationRequest } from "@planet-community/planet";
   *
   * const auth = Auth.fromOAuthUserAuthCode({
   *   clientId: "my-client-id",
   *   callbackUrl: "https://my-app.example/callback",
   *   profileName: "user-42",
   * });
   * let kept: AuthorizationRequest; // in a store of yours, under the person's session cookie
   *
   * async function handle(request: Request): Promise<Response> {
   *   if (new URL(request.url).pathname === "/callback") {
   *     await auth.authCodeUserLoginComplete(kept, request);
   *     return new Response("Signed in.");
   *   }
   *   kept = await auth.authCodeUserLoginInitiate();
   *   return Response.redirect(kept.authorization_url);
   * }
   * ```
   */
  async authCodeUserLoginInitiate(
    options: { redirectUri?: string | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<AuthorizationRequest> {
    return await (await this.#signIns("a browser login")).authCodeInitiate(options);
  }

  /**
   * Completes a sign-in that was begun, with the answer that came to its redirect URI, and stores
   * the session. Another process may have begun it.
   *
   * Checks `state`, the issuer (RFC 9207), that no more than `expires_in` seconds have passed, and that
   * this process has not redeemed it before; that another one has, the server knows. What was
   * refused may be completed with the right answer.
   *
   * @param answer The request that came, its URL, or either as text. A code alone is not taken: it
   *   does not tell which sign-in it belongs to.
   * @throws {AuthError} `state_mismatch`, `issuer_mismatch`, `login_timeout`, `access_denied` and the
   *   codes of a token request; after an abort, its reason.
   */
  async authCodeUserLoginComplete(
    request: AuthorizationRequest,
    answer: string | URL | Request,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    await (await this.#signIns("a browser login")).authCodeComplete(request, answer, options);
  }

  /**
   * Tells whether the session can be used without a person, as far as that is
   * known without network. Service accounts and API keys always can.
   */
  async isInitialized(): Promise<boolean> {
    const keeper = this.#keeper;
    if (keeper === undefined) return await (await this.#apiKey()).isThere();
    if (isService(keeper.client)) return true;
    const { state, tokens } = await keeper.known();
    return state === "valid" || state === "refresh_due" ||
      (state === "expired" && tokens?.refreshToken !== undefined);
  }

  /**
   * Makes sure that the session can be used: does nothing with a valid token,
   * renews an expired one, and signs in where that is needed and `options` allow it.
   *
   * @throws {AuthError} `login_required`, `session_expired` or `storage_corrupt` where a person
   *   is needed and none may be asked; `network` and the like where renewing failed.
   */
  async ensureInitialized(options: LoginOptions = {}): Promise<void> {
    const keeper = this.#keeper;
    const since = performance.now();
    const limits = LOGIN_OPTIONS.some((name) => options[name] !== undefined)
      ? await import("./sign_in/sign_in.ts")
      : undefined;
    limits?.checkLoginOptions(options);
    if (keeper === undefined) return void await (await this.#apiKey()).authorization();
    if (isService(keeper.client)) return;
    try {
      if (limits === undefined) await keeper.ensure(options.signal);
      else await limits.inTime(options, (signal) => keeper.ensure(signal));
    } catch (error) {
      const needsPerson = ["login_required", "session_expired", "storage_corrupt"];
      if (!(error instanceof AuthError && needsPerson.includes(error.code))) throw error;
      const { isInteractive } = await import("./sign_in/sign_in.ts");
      if (!isInteractive(options)) throw error;
      const timeoutMs = options.timeoutMs &&
        Math.max(options.timeoutMs + since - performance.now(), 1);
      await (await this.#signIns("ensureInitialized()")).userLogin({ ...options, timeoutMs });
    }
  }

  /**
   * The access token, renewed where needed. `forceRefresh` asks for another one
   * than the one last handed out.
   *
   * @throws {AuthError} `login_required`, `session_expired` and the other codes of a renewal.
   */
  accessToken(options?: { forceRefresh?: boolean; signal?: AbortSignal }): Promise<string> {
    const keeper = this.#keeper;
    if (keeper === undefined || options !== undefined) return this.#accessToken(options ?? {});
    const token = keeper.accessToken();
    return typeof token === "string" ? Promise.resolve(token) : token;
  }

  async #accessToken(options: { forceRefresh?: boolean; signal?: AbortSignal }): Promise<string> {
    const keeper = this.#keeperFor("accessToken()");
    const { forceRefresh, signal } = options;
    signal?.throwIfAborted();
    if (forceRefresh === true) await keeper.forceRefresh(signal);
    return await keeper.accessToken(signal);
  }

  /**
   * Ends the session: revokes it at the server where the server offers that
   * (RFC 7009), and forgets the tokens, in any case.
   *
   * @throws {AuthError} where the server could not be told; the tokens are forgotten all the same.
   */
  async logout(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#keeperFor("logout()").logout(options.signal);
  }

  /**
   * Asks the authorization server who is signed in (OpenID Connect Core §5.3). The
   * session needs the scope `openid`.
   *
   * @returns The claims, as received.
   */
  async userinfo(options: { signal?: AbortSignal } = {}): Promise<JsonObject> {
    const token = await this.#accessToken(options);
    try {
      return await (await this.#oauth()).userinfo(token, options.signal);
    } catch (error) {
      const isRefused = error instanceof AuthError &&
        (error.oauthError !== undefined || error.code === "session_expired");
      if (!isRefused || this.#keeper?.client.scopes.includes("openid")) throw error;
      throw invalid(
        'Add "openid" to requestedScopes and sign in again: userinfo() needs it.',
        error,
      );
    }
  }

  /**
   * Asks the authorization server what it knows of the session's token, by default
   * the access token (RFC 7662).
   *
   * @returns Its answer; `active` tells whether the token is good.
   */
  async introspect(
    options: { token?: "access_token" | "refresh_token"; signal?: AbortSignal } = {},
  ): Promise<JsonObject> {
    const { signal, token: kind = "access_token" } = options;
    const token = kind === "access_token"
      ? await this.#accessToken(options)
      : await this.#stored("introspect()", "refreshToken", "refresh token");
    return await (await this.#oauth()).introspect(token, kind, signal);
  }

  /**
   * Checks the access token, if it is a JWT, against the authorization server's keys:
   * signature, issuer, audience, expiry, scopes (RFC 9068 §4).
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token` where it does not hold.
   */
  async validateAccessToken(options: TokenChecks = {}): Promise<JsonObject> {
    const token = await this.#accessToken(options);
    return await (await this.#oauth()).validateAccessToken(token, options);
  }

  /**
   * Checks the ID token against the authorization server's keys (OpenID Connect
   * Core §3.1.3.7). There is one where the scope `openid` was asked for.
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token` where it does not hold, or has expired.
   */
  async validateIdToken(options: { signal?: AbortSignal } = {}): Promise<JsonObject> {
    const what = "ID token (ask for the scope openid)";
    const token = await this.#stored("validateIdToken()", "idToken", what);
    return await (await this.#oauth()).validateIdToken(token, options.signal);
  }

  /**
   * Tells what this session is, where its state lies and how it stands; no secret, no network.
   *
   * @example Where the session lies, and how it stands
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = await Auth.fromProfile("my-app");
   * const { storage, location, state, canRefresh } = await auth.explain();
   * console.log(storage, location, state, canRefresh); // file /home/me valid true
   * ```
   */
  async explain(): Promise<SessionReport> {
    const { describeSession } = await import("./report.ts");
    const { client, origin, profileName } = this.#setup;
    if (this.#keeper !== undefined) {
      const known = await this.#keeper.known();
      return describeSession({
        profileName,
        client,
        origin,
        storage: await this.#storage(),
        known,
      });
    }
    const key = await this.#apiKey();
    const state = await key.isThere() ? "valid" : "none";
    const storage = key.isFixed ? undefined : await this.#storage();
    return describeSession({ profileName, client, origin, storage, known: { state, notes: [] } });
  }

  /**
   * Waits until what goes on behind the callers' backs is over, well or not: a renewal, or a save
   * that failed and is tried again. Call it before a program ends by `process.exit()`.
   *
   * @example At the end of a program
   * ```ts
   * import { Auth } from "@planet-community/planet";
   *
   * const auth = await Auth.fromProfile("my-app");
   * await auth.fetch("https://api.planet.com/data/v1/searches");
   * await auth.settled();
   * ```
   */
  async settled(): Promise<void> {
    await this.#keeper?.settled();
  }

  /** Waits as {@linkcode Auth.settled} does, then closes what this session opened itself: a default Deno KV. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled();
    const chosen = await this.#chosen;
    this.#chosen = undefined;
    chosen?.close?.();
  }

  /** A part of the stored tokens, `what` in words. */
  async #stored(call: string, part: "idToken" | "refreshToken", what: string): Promise<string> {
    const { tokens } = await this.#keeperFor(call).known();
    const value = tokens?.[part];
    if (value !== undefined) return value;
    const found = tokens === undefined ? await this.#session!.read() : undefined;
    throw this.#session!.needsPerson(
      found === undefined || found.kind === "own" ? `has no ${what}` : found,
    );
  }

  #keeperFor(call: string): Keeper<OAuthClient> {
    if (this.#keeper !== undefined) return this.#keeper;
    throw invalid(`Leave out ${call}: an API key needs no sign-in and has no access token.`);
  }

  #signIns(call: string): Promise<SignIn> {
    const keeper = this.#keeperFor(call);
    return this.#signIn ??= import("./sign_in/sign_in.ts").then(({ SignIn }) => new SignIn(keeper));
  }

  /** The client of the authorization server. */
  #oauth(): Promise<OAuthClient> {
    return this.#client ??= this.#openClient();
  }

  async #openClient(): Promise<OAuthClient> {
    const { OAuthClient } = await import("./oauth/client.ts");
    const { checked: { clock }, client, options } = this.#setup;
    if (isKey(client)) throw new TypeError("An API key has no authorization server.");
    const { audiences, authServer, issuer, privateKey, ...settings } = client;
    return new OAuthClient({
      ...settings,
      issuer: authServer,
      isServiceAccount: isService(client),
      metadata: this.#session!.metadata,
      clock,
      ...(issuer === undefined ? {} : { expectedIssuer: issuer }),
      ...(privateKey === undefined ? {} : { privateKey: () => loadPrivateKey(privateKey) }),
      ...(audiences.length === 0 ? {} : { audience: audiences.join(" ") }),
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    });
  }

  /** The fixed header of a profile without OAuth. */
  #apiKey(): Promise<ApiKey> {
    const { client, profileName } = this.#setup;
    const tokenKey = profileKey(profileName, "token");
    return this.#key ??= import("./profiles/profiles.ts").then(({ ApiKey }) =>
      new ApiKey(
        profileName,
        client as KeySettings,
        async () => await (await this.#storage()).storage.load(tokenKey),
      )
    );
  }

  async #keyHeader(): Promise<string> {
    return await (await this.#apiKey()).authorization();
  }

  #storage(): Promise<ChosenStorage> {
    return this.#chosen ??= this.#open().catch((error) => {
      this.#chosen = undefined;
      throw error;
    });
  }

  async #open(): Promise<ChosenStorage> {
    const { chosen, options, profileName } = this.#setup;
    const isKept = options.saveStateToStorage !== false;
    const opened = isKept && chosen !== undefined
      ? chosen
      : await openSessionStorage(options, profileName);
    if (options.storageProvider === undefined && isKept) {
      const { durable, kind: storage, reason } = opened;
      this.#session?.tell({ type: "storage_chosen", storage, durable, reason });
    }
    return opened;
  }
}

/** The text of a client's private key, from its file if it lies in one. */
async function loadPrivateKey({ file, password, pem }: PrivateKeySource): Promise<PrivateKeyPem> {
  const secret = password === undefined ? {} : { password };
  return file === undefined ? { name: "client_privkey", pem: pem!, ...secret } : {
    name: file,
    pem: await readNamedFile(file, "client_privkey_file", "private key"),
    ...secret,
  };
}
