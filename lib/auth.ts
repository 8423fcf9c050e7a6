/**
 * `Auth`: one sign-in to Planet. Joins one profile, one flow, one store, one keeper.
 *
 * Constructors check their arguments and touch nothing; state is read at the
 * first use. What a warm start does not need (protocol, listener, terminal,
 * flows) is loaded when it is first used.
 *
 * @module
 */

import { abandonable, linkedAbort } from "./abort.ts";
import {
  type AuthCodeOptions,
  type CheckedOptions,
  checkKey,
  checkScopes,
  checkSessionOptions,
  checkText,
  type DefaultSessionOptions,
  type DeviceCodeOptions,
  type ListProfilesOptions,
  type M2MOptions,
  type SessionOptions,
} from "./auth_options.ts";
import type { SessionOrigin, SessionReport } from "./auth_report.ts";
import { parseCallbackUrl } from "./callback/callback_url.ts";
import type { PlanetEnvironment } from "./environment.ts";
import { AuthError } from "./errors.ts";
import type { DeviceAuthorization, InteractiveLogin, LoginOptions } from "./flows/types.ts";
import { authenticatedFetch, type Authorizer } from "./http/authenticated_fetch.ts";
import { Keeper } from "./keeper/keeper.ts";
import type { OAuthClient } from "./oauth/client.ts";
import { ApiKey } from "./profiles/api_key.ts";
import {
  type ClientSettings,
  isKey,
  isService,
  type KeySettings,
  type ProfileClient,
} from "./profiles/client_settings.ts";
import { normalizeProfileName, profileKey } from "./profiles/names.ts";
import type { ProfileEntry } from "./profiles/profile.ts";
import type { Chosen } from "./profiles/sources.ts";
import { requireEnvAccess } from "./runtime.ts";
import type { ChosenStorage } from "./storage/select.ts";
import type { ObjectStorageProvider } from "./storage/types.ts";

/** Scopes of a person's session: API calls, and a refresh token so that signing in once is enough. */
const USER_SCOPES: readonly string[] = ["planet", "offline_access"];

/** Longest time for a login, in milliseconds. */
const LOGIN_TIMEOUT_MS = 300_000;

/** What makes one session, checked. */
interface Setup {
  readonly profileName: string;
  readonly options: SessionOptions;
  readonly checked: CheckedOptions;
  readonly client: ProfileClient;
  /** When `auth_client.json` is written with the first tokens. */
  readonly writesClient: "always" | "where_there_is_one" | "never";
  /** The store where the profile was found. */
  readonly chosen?: ChosenStorage;
  /** What `explain()` tells of the choice. */
  readonly origin: SessionOrigin;
}

/**
 * One sign-in to Planet, kept alive.
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
export class Auth {
  /** Name of the profile, in lower case. */
  readonly profileName: string;
  /** The servers that this session is for. */
  readonly environment: PlanetEnvironment;
  /**
   * `fetch` with the session's credentials. Bound, so it can be handed on.
   *
   * Refuses an origin outside the allow-list, drops the token on a redirect
   * that leaves it, and repeats a request once where a 401 can be mended by
   * renewing the token.
   *
   * @throws {AuthError} `untrusted_origin`; `login_required`, `session_expired` and the
   *   other codes of a renewal. Failures of the request itself are those of `fetch`.
   */
  readonly fetch: typeof globalThis.fetch;

  readonly #setup: Setup;
  readonly #keeper: Keeper | undefined;
  readonly #key: ApiKey | undefined;
  #chosen: Promise<ChosenStorage> | undefined;
  #oauthClient: Promise<OAuthClient> | undefined;
  #login: { readonly done: Promise<void>; readonly signal?: AbortSignal } | undefined;

  private constructor(setup: Setup) {
    const { profileName, checked, options, client } = setup;
    this.#setup = setup;
    this.profileName = profileName;
    this.environment = checked.environment;
    const tokenKey = profileKey(profileName, "token");
    const storage = async () => (await this.#storage()).storage;
    let authorizer: Authorizer;
    if (isKey(client)) {
      authorizer = this.#key = new ApiKey(
        profileName,
        client,
        async () => await (await storage()).load(tokenKey),
      );
    } else {
      authorizer = this.#keeper = new Keeper({
        profileName,
        tokenKey,
        storage,
        clock: checked.clock,
        ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
        ...(options.waitUntil === undefined ? {} : { waitUntil: options.waitUntil }),
        renewal: {
          refresh: async (current) => (await this.#oauth()).refresh(current),
          ...(isService(client)
            ? { login: async () => (await this.#oauth()).clientCredentials() }
            : {}),
        },
        prepareStorage: (storage) => this.#writeClient(storage, client),
        checkOwner: async (storage) => {
          const { checkAuthClient } = await import("./profiles/auth_client_file.ts");
          await checkAuthClient(storage, profileName, client);
        },
      });
    }
    this.fetch = authenticatedFetch(authorizer, {
      allowedOrigins: checked.allowedOrigins,
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
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
    const checked = checkSessionOptions(options);
    const name = normalizeProfileName(profileName);
    const chosen = await openStorage(options);
    return await Auth.#ofProfile(name, options, checked, chosen, {
      choice: { kind: "profile", profileName: name },
      chosenBy: "the program",
      overrode: [],
      notes: [],
    });
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
    const { apiKey, clientId, clientSecret, profileName, ...session } = options;
    const checked = checkSessionOptions(session);
    const given = {
      ...(profileName === undefined ? {} : { profileName: checkText(profileName, "profileName") }),
      ...(clientId === undefined ? {} : { clientId: checkText(clientId, "clientId") }),
      ...(clientSecret === undefined
        ? {}
        : { clientSecret: checkText(clientSecret, "clientSecret") }),
      ...(apiKey === undefined ? {} : { apiKey: checkKey(apiKey, "apiKey") }),
    };
    const opened = await openStorage(session);
    const { readSources } = await import("./profiles/select.ts");
    const { chooseSession } = await import("./profiles/sources.ts");
    const chosen = await chooseSession(readSources(given, opened));
    try {
      return await Auth.#ofChoice(chosen, session, checked, opened);
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      throw new AuthError(error.code, `Check ${chosen.chosenBy}. ${error.message}`, {
        cause: error,
      });
    }
  }

  /**
   * The profiles there are: the built-in ones, then those of the store, by name.
   *
   * @throws {AuthError} `unsupported_runtime` where the store cannot list its keys.
   */
  static async listProfiles(options: ListProfilesOptions = {}): Promise<ProfileEntry[]> {
    const { environment } = checkSessionOptions(options);
    const { storage, kind, location } = await openStorage(options);
    const { listProfiles } = await import("./profiles/profile.ts");
    return await listProfiles({ storage, place: location ?? kind, environment });
  }

  static async #ofChoice(
    chosen: Chosen,
    options: SessionOptions,
    checked: CheckedOptions,
    opened: ChosenStorage,
  ): Promise<Auth> {
    const { choice } = chosen;
    if (choice.kind === "profile") {
      const name = normalizeProfileName(choice.profileName);
      return await Auth.#ofProfile(name, options, checked, opened, chosen);
    }
    const { chosenBy, notes, overrode } = chosen;
    const origin = { chosenBy, overrode, notes, settings: "arguments" };
    const common = { options, checked, writesClient: "never", chosen: opened, origin } as const;
    if (choice.kind === "key") {
      const apiKey = checkKey(choice.apiKey);
      const client = { keyType: "static_apikey", prefix: "api-key", apiKey } as const;
      return new Auth({ ...common, profileName: "_pl_api_key", client });
    }
    const { SERVICE_PROFILE } = await import("./profiles/builtins.ts");
    const { audiences, m2mAuthServer } = checked.environment;
    const clientId = checkText(choice.clientId, "client ID");
    return new Auth({
      ...common,
      profileName: normalizeProfileName(`${SERVICE_PROFILE}-${clientId}`),
      client: {
        clientType: "oidc_client_credentials_secret",
        clientId,
        clientSecret: checkText(choice.clientSecret, "client secret"),
        authServer: m2mAuthServer,
        audiences,
        scopes: [],
      },
    });
  }

  static async #ofProfile(
    profileName: string,
    options: SessionOptions,
    checked: CheckedOptions,
    chosen: ChosenStorage,
    { chosenBy, notes, overrode }: Chosen,
  ): Promise<Auth> {
    const { findProfile } = await import("./profiles/profile.ts");
    const { storage, kind, location } = chosen;
    const place = kind === "memory" ? `memory, because ${chosen.reason}` : location ?? kind;
    const { environment } = checked;
    const { client, settings } = await findProfile(profileName, { storage, place, environment });
    return new Auth({
      profileName,
      options,
      checked,
      client,
      writesClient: settings === "built-in" ? "where_there_is_one" : "never",
      chosen,
      origin: { chosenBy, overrode, notes, settings },
    });
  }

  static #forClient(
    options: SessionOptions & { clientId: string; requestedScopes?: readonly string[] },
    clientType: ClientSettings["clientType"],
    extra: { callbackUrl?: string; clientSecret?: string },
  ): Auth {
    const clientId = checkText(options.clientId, "clientId");
    const checked = checkSessionOptions(options);
    const { audiences, m2mAuthServer, userAuthServer } = checked.environment;
    const service = clientType === "oidc_client_credentials_secret";
    const client: ClientSettings = {
      clientType,
      clientId,
      authServer: service ? m2mAuthServer : userAuthServer,
      audiences,
      scopes: checkScopes(options.requestedScopes, service ? [] : USER_SCOPES),
      ...extra,
    };
    const profileName = normalizeProfileName(options.profileName ?? clientId);
    return new Auth({
      profileName,
      options,
      checked,
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
    if (!this.#isPerson()) return await keeper.forceRefresh(options.signal);
    if (!isInteractive(options)) {
      throw new AuthError(
        "invalid_argument",
        "Set allowOpenBrowser or allowTtyPrompt: signing in needs one of them, or a ui of your own.",
      );
    }
    await this.#sharedLogin(options);
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
    this.#checkDeviceFlow();
    const { initiateDeviceLogin } = await import("./flows/device_code.ts");
    return await initiateDeviceLogin(
      await this.#oauth(),
      this.#setup.checked.clock,
      options.signal,
    );
  }

  /**
   * Waits until the person confirms the login that `info` began, then stores the
   * tokens (RFC 8628 §3.4). Ends when the codes expire.
   *
   * @throws {AuthError} `access_denied`, `device_code_expired`; after an abort, its reason.
   */
  async deviceUserLoginComplete(
    info: DeviceAuthorization,
    options: { signal?: AbortSignal } = {},
  ): Promise<void> {
    const keeper = this.#checkDeviceFlow();
    checkText(info?.device_code, "device_code of the first argument");
    if (!(Number.isFinite(info.expires_in) && info.expires_in > 0)) {
      throw new TypeError("expires_in of the first argument must be a positive number of seconds.");
    }
    const { pollDeviceLogin } = await import("./flows/device_code.ts");
    const { clock } = this.#setup.checked;
    const tokens = await pollDeviceLogin(await this.#oauth(), info, { ...options, clock });
    await keeper.signIn(tokens);
  }

  /**
   * Tells whether the session can be used without a person, as far as that is
   * known without network. Service accounts and API keys always can.
   */
  async isInitialized(): Promise<boolean> {
    if (this.#key !== undefined) return await this.#key.isThere();
    if (this.#keeper === undefined || !this.#isPerson()) return true;
    const { state, tokens } = await this.#keeper.known();
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
    await this.#key?.authorization();
    if (keeper === undefined || !this.#isPerson()) return;
    try {
      return await keeper.ensure(options.signal);
    } catch (error) {
      const needsPerson = ["login_required", "session_expired", "storage_corrupt"];
      const mendable = error instanceof AuthError && needsPerson.includes(error.code);
      if (!mendable || !isInteractive(options)) throw error;
      if (error.code === "storage_corrupt") await keeper.setAside();
    }
    await this.#sharedLogin(options);
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

  async #accessToken(
    { forceRefresh, signal }: { forceRefresh?: boolean; signal?: AbortSignal },
  ): Promise<string> {
    const keeper = this.#keeperFor("accessToken()");
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
    const keeper = this.#keeperFor("logout()");
    const tokens = await keeper.forget();
    const token = tokens?.refreshToken ?? tokens?.accessToken;
    let revoked = false;
    try {
      if (token === undefined) return;
      const client = await this.#oauth();
      if (!await client.canRevoke(options.signal)) return;
      const hint = token === tokens?.refreshToken ? "refresh_token" : "access_token";
      await client.revoke(token, hint, options.signal);
      revoked = true;
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      throw new AuthError(
        error.code,
        `Signed out on this machine, but the server could not be told; the session ends there by itself. ${error.message}`,
        { oauthError: error.oauthError },
      );
    } finally {
      this.#tell({ type: "logged_out", profileName: this.profileName, revoked });
    }
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
    const { describeSession } = await import("./auth_report.ts");
    const { client, origin, profileName } = this.#setup;
    const keepsState = this.#keeper !== undefined || !(isKey(client) && ownsKey(client));
    return describeSession({
      profileName,
      client,
      origin,
      ...(keepsState ? { storage: await this.#storage() } : {}),
      known: this.#keeper === undefined
        ? { state: await this.#key!.isThere() ? "valid" : "none" }
        : await this.#keeper.known(),
    });
  }

  /** One login for all who ask for one at the same time. */
  async #sharedLogin(options: LoginOptions): Promise<void> {
    for (let shared = this.#login; shared !== undefined; shared = this.#login) {
      try {
        return await abandonable(shared.done, options.signal);
      } catch (error) {
        // Another caller's change of mind is not this one's.
        if (!shared.signal?.aborted || options.signal?.aborted) throw error;
      }
    }
    const done = this.#runLogin(options).finally(() => this.#login = undefined);
    this.#login = { done, signal: options.signal };
    await done;
  }

  async #runLogin(options: LoginOptions): Promise<void> {
    const keeper = this.#keeperFor("userLogin()");
    const { clock } = this.#setup.checked;
    const timeoutMs = options.timeoutMs ?? LOGIN_TIMEOUT_MS;
    if (!(timeoutMs > 0)) {
      throw new TypeError("timeoutMs must be a positive number of milliseconds.");
    }
    const limit = linkedAbort(options.signal);
    // Real time, whatever the clock: the bound is for a person who may never come.
    const timer = setTimeout(() => {
      const seconds = Math.round(timeoutMs / 1000);
      limit.abort(
        new AuthError(
          "login_timeout",
          `Start signing in again: nobody finished it within ${seconds} s.`,
        ),
      );
    }, Math.min(timeoutMs, 0x7fffffff));
    try {
      limit.signal.throwIfAborted();
      const before = await keeper.stored();
      const { storage } = await this.#storage();
      const { withStorageLock } = await import("./keeper/lock.ts");
      // One login at a time, over all processes: the others wait, and adopt its session.
      await withStorageLock(storage, profileKey(this.profileName, "login"), async () => {
        if (await keeper.adoptSibling(before)) return;
        this.#tell({ type: "login_started", profileName: this.profileName });
        const ui = options.ui ?? (await import("./terminal/select.ts")).defaultUI();
        const login: InteractiveLogin = {
          client: await this.#oauth(),
          clock,
          ui,
          allowOpenBrowser: options.allowOpenBrowser === true,
          allowTtyPrompt: options.allowTtyPrompt === true,
          applicationName: this.profileName,
          signal: limit.signal,
        };
        await keeper.signIn(await this.#signIn(login));
      }, { signal: limit.signal, timeoutMs: timeoutMs + LOGIN_TIMEOUT_MS });
    } finally {
      clearTimeout(timer);
      limit.release();
    }
  }

  async #signIn(login: InteractiveLogin) {
    const { callbackUrl } = this.#client();
    if (callbackUrl === undefined) {
      const { loginWithDeviceCode } = await import("./flows/device_code.ts");
      return await loginWithDeviceCode(login);
    }
    const { loginWithAuthorizationCode } = await import("./flows/authorization_code.ts");
    const { listen } = await import("./callback/select.ts");
    return await loginWithAuthorizationCode({ ...login, callbackUrl, listen });
  }

  #oauth(): Promise<OAuthClient> {
    return this.#oauthClient ??= this.#loadClient();
  }

  async #loadClient(): Promise<OAuthClient> {
    const { OAuthClient } = await import("./oauth/client.ts");
    const { checked, options } = this.#setup;
    const { audiences, authServer, clientId, clientSecret, scopes } = this.#client();
    return new OAuthClient({
      issuer: authServer,
      clientId,
      scopes,
      clock: checked.clock,
      ...(clientSecret === undefined ? {} : { clientSecret }),
      ...(audiences.length === 0 ? {} : { audience: audiences.join(" ") }),
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    });
  }

  #storage(): Promise<ChosenStorage> {
    return this.#chosen ??= this.#chooseStorage().catch((error) => {
      this.#chosen = undefined;
      throw error;
    });
  }

  async #chooseStorage(): Promise<ChosenStorage> {
    const { chosen, options } = this.#setup;
    if (options.saveStateToStorage === false) {
      const { MemoryStorage } = await import("./storage/memory.ts");
      return {
        storage: new MemoryStorage(),
        kind: "memory",
        reason: "saveStateToStorage is false",
      };
    }
    return chosen ?? await openStorage(options);
  }

  /** Writes `auth_client.json`; the secret only where the command line needs it or the application said so. */
  async #writeClient(storage: ObjectStorageProvider, client: ClientSettings): Promise<void> {
    const { options, profileName, writesClient } = this.#setup;
    if (writesClient === "never") return;
    if (
      writesClient === "where_there_is_one" &&
      !await storage.exists(profileKey(profileName, "auth_client"))
    ) return;
    const { writeAuthClient } = await import("./profiles/auth_client_file.ts");
    const { clientSecret, ...shown } = client;
    let settings: ClientSettings = shown;
    if (clientSecret !== undefined) {
      const { FileStorage } = await import("./storage/file.ts");
      if (options.saveClientSecret ?? storage instanceof FileStorage) settings = client;
    }
    await writeAuthClient(storage, profileName, settings);
  }

  #client(): ClientSettings {
    const { client } = this.#setup;
    if (isKey(client)) throw this.#noClient("a sign-in");
    return client;
  }

  #isPerson(): boolean {
    const { client } = this.#setup;
    return !isKey(client) && !isService(client);
  }

  #keeperFor(call: string): Keeper {
    if (this.#keeper !== undefined) return this.#keeper;
    throw this.#noClient(call);
  }

  #noClient(call: string): AuthError {
    return new AuthError(
      "invalid_argument",
      `Leave out ${call}: an API key needs no sign-in and has no access token.`,
    );
  }

  #checkDeviceFlow(): Keeper {
    const { client } = this.#setup;
    const isDevice = !isKey(client) && client.clientType.startsWith("oidc_device_code");
    if (this.#keeper !== undefined && isDevice) return this.#keeper;
    throw new AuthError(
      "invalid_argument",
      "Use Auth.fromOAuthUserDeviceCode() for a device login: this session signs in another way.",
    );
  }

  #tell(event: Parameters<NonNullable<SessionOptions["onEvent"]>>[0]): void {
    try {
      this.#setup.options.onEvent?.(event);
    } catch {
      // An observer's failure must not cost the session.
    }
  }
}

/** Tells whether a login has any way to reach the person. */
function isInteractive(options: LoginOptions): boolean {
  return options.allowOpenBrowser === true || options.allowTtyPrompt === true ||
    options.ui?.show !== undefined;
}

/** Tells whether a profile without OAuth needs no store. */
function ownsKey(client: KeySettings): boolean {
  return client.keyType === "none" || client.apiKey !== undefined;
}

/** The store of the options, or the one that fits this runtime. */
async function openStorage({ storageProvider }: SessionOptions): Promise<ChosenStorage> {
  if (storageProvider !== undefined) {
    return { storage: storageProvider, kind: "custom", reason: "storageProvider was given" };
  }
  return await (await import("./storage/select.ts")).chooseStorage();
}
