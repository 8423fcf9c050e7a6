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
  checkScopes,
  checkSessionOptions,
  checkText,
  type DeviceCodeOptions,
  type M2MOptions,
  type SessionOptions,
} from "./auth_options.ts";
import type { SessionReport } from "./auth_report.ts";
import { parseCallbackUrl } from "./callback/callback_url.ts";
import type { PlanetEnvironment } from "./environment.ts";
import { AuthError } from "./errors.ts";
import type { DeviceAuthorization, InteractiveLogin, LoginOptions } from "./flows/types.ts";
import { authenticatedFetch, type Authorizer } from "./http/authenticated_fetch.ts";
import { Keeper } from "./keeper/keeper.ts";
import type { OAuthClient } from "./oauth/client.ts";
import type { ClientSettings } from "./profiles/auth_client_file.ts";
import { normalizeProfileName, profileKey } from "./profiles/names.ts";
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
  /** Absent: an API key, which needs no sign-in. */
  readonly client?: ClientSettings;
  readonly apiKey?: string;
}

/** One sign-in to Planet, kept alive. */
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
  #chosen: Promise<ChosenStorage> | undefined;
  #client: Promise<OAuthClient> | undefined;
  #login: { readonly done: Promise<void>; readonly signal?: AbortSignal } | undefined;

  private constructor(setup: Setup) {
    const { profileName, checked, options, client, apiKey } = setup;
    this.#setup = setup;
    this.profileName = profileName;
    this.environment = checked.environment;
    const isService = client?.clientType === "oidc_client_credentials_secret";
    this.#keeper = client && new Keeper({
      profileName,
      tokenKey: profileKey(profileName, "token"),
      storage: async () => (await this.#storage()).storage,
      clock: checked.clock,
      ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
      renewal: {
        refresh: async (current) => (await this.#oauth()).refresh(current),
        ...(isService ? { login: async () => (await this.#oauth()).clientCredentials() } : {}),
      },
      prepareStorage: (storage) => this.#writeClient(storage),
      checkOwner: async (storage) => {
        const { checkAuthClient } = await import("./profiles/auth_client_file.ts");
        await checkAuthClient(storage, profileName, client);
      },
    });
    const authorizer: Authorizer = this.#keeper ?? {
      authorization: () => `api-key ${apiKey}`,
      replace: () => Promise.resolve(undefined),
    };
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
   */
  static fromOAuthUserAuthCode(options: AuthCodeOptions): Auth {
    const callbackUrl = parseCallbackUrl(checkText(options.callbackUrl, "callbackUrl")).callbackUrl;
    return Auth.#forClient(options, "oidc_auth_code", { callbackUrl });
  }

  /**
   * A person's session, signed in to on a second screen: device code (RFC 8628).
   *
   * @throws {AuthError} `invalid_argument`; a `TypeError` for an argument of the wrong type.
   */
  static fromOAuthUserDeviceCode(options: DeviceCodeOptions): Auth {
    return Auth.#forClient(options, "oidc_device_code", {});
  }

  /**
   * A service account's session: client credentials (RFC 6749 §4.4). Signs in by
   * itself at the first use.
   *
   * @throws {AuthError} `invalid_argument`; a `TypeError` for an argument of the wrong type.
   */
  static fromOAuthM2M(options: M2MOptions): Auth {
    const clientSecret = checkText(options.clientSecret, "clientSecret");
    return Auth.#forClient(options, "oidc_client_credentials_secret", { clientSecret });
  }

  /**
   * A session by API key; needs no sign-in and keeps no state.
   *
   * @throws {AuthError} `invalid_argument` for an empty key.
   */
  static fromKey(key: string, options: SessionOptions = {}): Auth {
    const apiKey = checkText(key, "key");
    if (!/^[\x21-\x7e]+$/.test(apiKey)) {
      throw new AuthError("invalid_argument", "Check the key: it cannot be sent in a header.");
    }
    const checked = checkSessionOptions(options);
    return new Auth({ profileName: "_pl_api_key", options, checked, apiKey });
  }

  /**
   * A session by the API key in an environment variable, by default `PL_API_KEY`.
   *
   * @throws {AuthError} `invalid_argument` where the variable is not set or may not be read.
   */
  static fromEnv(variableName: string = "PL_API_KEY", options: SessionOptions = {}): Auth {
    const key = requireEnvAccess(checkText(variableName, "variableName"));
    if (key === undefined || key === "") {
      throw new AuthError("invalid_argument", `Set ${variableName} to an API key: it is not set.`);
    }
    return Auth.fromKey(key, options);
  }

  static #forClient(
    options: SessionOptions & { clientId: string; requestedScopes?: readonly string[] },
    clientType: ClientSettings["clientType"],
    extra: { callbackUrl?: string; clientSecret?: string },
  ): Auth {
    const clientId = checkText(options.clientId, "clientId");
    const checked = checkSessionOptions(options);
    const { audiences, m2mAuthServer, userAuthServer } = checked.environment;
    const isService = clientType === "oidc_client_credentials_secret";
    const client: ClientSettings = {
      clientType,
      clientId,
      authServer: isService ? m2mAuthServer : userAuthServer,
      audiences,
      scopes: checkScopes(options.requestedScopes, isService ? [] : USER_SCOPES),
      ...extra,
    };
    const profileName = normalizeProfileName(options.profileName ?? clientId);
    return new Auth({ profileName, options, checked, client });
  }

  /**
   * Signs in now, whatever session there is. Calls at the same time share one login.
   *
   * @throws {AuthError} `login_timeout`, `login_cancelled`, `access_denied` and those of the flow;
   *   `invalid_argument` where no interaction is allowed; after an abort, its reason.
   */
  async userLogin(options: LoginOptions = {}): Promise<void> {
    const keeper = this.#keeperFor("userLogin()");
    checkLoginOptions(options);
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
    options: Pick<LoginOptions, "onPending" | "signal"> = {},
  ): Promise<void> {
    const keeper = this.#checkDeviceFlow();
    checkLoginOptions(options);
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
    checkLoginOptions(options);
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

  /** Tells what this session is, where its state lies and how it stands; no secret, no network. */
  async explain(): Promise<SessionReport> {
    const { describeSession } = await import("./auth_report.ts");
    const { profileName, client } = this.#setup;
    return await describeSession(
      profileName,
      client,
      client && await this.#storage(),
      await this.#keeper?.known(),
    );
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
      const before = (await keeper.known()).tokens;
      const { storage } = await this.#storage();
      const { withStorageLock } = await import("./keeper/lock.ts");
      // One login at a time, over all processes: the others wait, and adopt its session.
      await withStorageLock(storage, profileKey(this.profileName, "login"), async () => {
        if (await keeper.adoptSibling(before)) return;
        this.#tell({ type: "login_started", profileName: this.profileName });
        const ui = options.ui ?? await (await import("./terminal/select.ts")).defaultUI();
        const login: InteractiveLogin = {
          client: await this.#oauth(),
          clock,
          ui,
          allowOpenBrowser: options.allowOpenBrowser === true,
          allowTtyPrompt: options.allowTtyPrompt === true,
          applicationName: options.applicationName ?? this.profileName,
          signal: limit.signal,
          leftMs: timeoutMs,
          ...(options.onPending === undefined ? {} : { onPending: options.onPending }),
        };
        await keeper.signIn(await this.#signIn(login, options.callbackPage));
      }, { signal: limit.signal, timeoutMs: timeoutMs + LOGIN_TIMEOUT_MS });
    } finally {
      clearTimeout(timer);
      limit.release();
    }
  }

  async #signIn(login: InteractiveLogin, callbackPage: LoginOptions["callbackPage"]) {
    const { callbackUrl } = this.#setup.client!;
    if (callbackUrl === undefined) {
      const { loginWithDeviceCode } = await import("./flows/device_code.ts");
      return await loginWithDeviceCode(login);
    }
    const { loginWithAuthorizationCode } = await import("./flows/authorization_code.ts");
    const { listen } = await import("./callback/select.ts");
    return await loginWithAuthorizationCode({
      ...login,
      callbackUrl,
      listen,
      ...(callbackPage === undefined ? {} : { callbackPage }),
    });
  }

  #oauth(): Promise<OAuthClient> {
    return this.#client ??= this.#loadClient();
  }

  async #loadClient(): Promise<OAuthClient> {
    const { OAuthClient } = await import("./oauth/client.ts");
    const { checked, client, options } = this.#setup;
    const { audiences, authServer, clientId, clientSecret, scopes } = client!;
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
    const { saveStateToStorage, storageProvider } = this.#setup.options;
    if (saveStateToStorage === false) {
      const { MemoryStorage } = await import("./storage/memory.ts");
      return {
        storage: new MemoryStorage(),
        kind: "memory",
        reason: "saveStateToStorage is false",
      };
    }
    if (storageProvider !== undefined) {
      return { storage: storageProvider, kind: "custom", reason: "storageProvider was given" };
    }
    return await (await import("./storage/select.ts")).chooseStorage();
  }

  /** Writes `auth_client.json`; the secret only where the command line needs it or the application said so. */
  async #writeClient(storage: ObjectStorageProvider): Promise<void> {
    const { writeAuthClient } = await import("./profiles/auth_client_file.ts");
    const { client, options, profileName } = this.#setup;
    const { clientSecret, ...shown } = client!;
    let settings: ClientSettings = shown;
    if (clientSecret !== undefined) {
      const { FileStorage } = await import("./storage/file.ts");
      if (options.saveClientSecret ?? storage instanceof FileStorage) settings = client!;
    }
    await writeAuthClient(storage, profileName, settings);
  }

  #isPerson(): boolean {
    return this.#setup.client?.clientType !== "oidc_client_credentials_secret";
  }

  #keeperFor(call: string): Keeper {
    if (this.#keeper !== undefined) return this.#keeper;
    throw new AuthError(
      "invalid_argument",
      `Leave out ${call}: an API key needs no sign-in and has no access token.`,
    );
  }

  #checkDeviceFlow(): Keeper {
    if (this.#keeper !== undefined && this.#setup.client?.clientType === "oidc_device_code") {
      return this.#keeper;
    }
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

/** Checks the types of a login's options, before anything is opened or sent. */
function checkLoginOptions(options: LoginOptions): void {
  const { applicationName, callbackPage, onPending, timeoutMs = LOGIN_TIMEOUT_MS } = options;
  if (typeof timeoutMs !== "number" || !(timeoutMs > 0)) {
    throw new TypeError("timeoutMs must be a positive number of milliseconds.");
  }
  if (applicationName !== undefined) checkText(applicationName, "applicationName");
  for (const [name, value] of Object.entries({ callbackPage, onPending })) {
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`${name} must be a function.`);
    }
  }
}

/** Tells whether a login has any way to reach the person. */
function isInteractive(options: LoginOptions): boolean {
  return options.allowOpenBrowser === true || options.allowTtyPrompt === true ||
    options.ui?.show !== undefined;
}
