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
  checkClientId,
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
import type { AuthWork } from "./auth_work.ts";
import { parseCallbackUrl } from "./callback/callback_url.ts";
import type { PlanetEnvironment } from "./environment.ts";
import { AuthError } from "./errors.ts";
import type { DeviceAuthorization, LoginOptions } from "./flows/types.ts";
import { authenticatedFetch } from "./http/fetch.ts";
import type { Authorizer } from "./http/plan.ts";
import { Keeper } from "./keeper/keeper.ts";
import type { TokenChecks } from "./oauth/client.ts";
import {
  type ClientSettings,
  isKey,
  isService,
  normalizeProfileName,
  type ProfileClient,
  profileKey,
} from "./client.ts";
import type { ProfileEntry } from "./profiles/profile.ts";
import { requireEnvAccess, runtime } from "./runtime.ts";
import { FileStorage } from "./storage/file.ts";
import { MemoryStorage } from "./storage/memory.ts";
import { chooseStorage, type ChosenStorage, profileFiles } from "./storage/select.ts";
import type { JsonObject } from "./storage/objects.ts";

/** Scopes of a person's session: API calls, and a refresh token so that signing in once is enough. */
const USER_SCOPES: readonly string[] = ["planet", "offline_access"];

/** Files of a profile that tell how its session is kept. */
const SESSION_FILES = ["auth_client.sops.json", "token.json", "token.sops.json"] as const;

/** Options of a login that take a closer look. */
const LOGIN_OPTIONS = ["applicationName", "callbackPage", "onPending", "timeoutMs"] as const;

/** What makes one session, checked. */
export interface Setup {
  /** Name of the profile, in lower case. */
  readonly profileName: string;
  /** What the program asked for. */
  readonly options: SessionOptions;
  /** The same, checked. */
  readonly checked: CheckedOptions;
  /** Who signs in, or which header is sent. */
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
  #chosen: Promise<ChosenStorage> | undefined;
  #opened: Promise<AuthWork> | undefined;

  private constructor(setup: Setup) {
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
      const oauth = async () => await (await this.#work()).oauth();
      authorizer = this.#keeper = new Keeper({
        profileName,
        tokenKey: profileKey(profileName, "token"),
        storage: async () => (await this.#storage()).storage,
        clock: checked.clock,
        ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
        ...(options.waitUntil === undefined
          ? { endsWithCaller: runtime === "other" }
          : { waitUntil: options.waitUntil }),
        renewal: {
          refresh: async (current) => await (await oauth()).refresh(current),
          ...(isService(client)
            ? { login: async () => await (await oauth()).clientCredentials() }
            : {}),
        },
        prepareStorage: async (storage) => await (await this.#work()).writeClient(storage, client),
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
    const { profileSetup } = await import("./auth_profiles.ts");
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
    const { defaultSetup } = await import("./auth_profiles.ts");
    return new Auth(await defaultSetup(options));
  }

  /**
   * The profiles there are: the built-in ones, then those of the store, by name.
   *
   * @throws {AuthError} `unsupported_runtime` where the store cannot list its keys.
   */
  static async listProfiles(options: ListProfilesOptions = {}): Promise<ProfileEntry[]> {
    const { profilesOf } = await import("./auth_profiles.ts");
    return await profilesOf(options);
  }

  static #forClient(
    options: SessionOptions & { clientId: string; requestedScopes?: readonly string[] },
    clientType: ClientSettings["clientType"],
    extra: { callbackUrl?: string; clientSecret?: string },
  ): Auth {
    const clientId = checkClientId(options.clientId);
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
    await (await this.#work()).userLogin(options);
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
    return await (await this.#work()).deviceUserLoginInitiate(options);
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
    await (await this.#work()).deviceUserLoginComplete(info, options);
  }

  /**
   * Tells whether the session can be used without a person, as far as that is
   * known without network. Service accounts and API keys always can.
   */
  async isInitialized(): Promise<boolean> {
    if (this.#keeper === undefined) return await (await this.#work()).key!.isThere();
    if (!this.#isPerson()) return true;
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
    for (const name of LOGIN_OPTIONS) {
      if (options[name] !== undefined) (await this.#work()).checkLogin(options);
    }
    if (keeper === undefined) return void await this.#keyHeader();
    if (!this.#isPerson()) return;
    try {
      await keeper.ensure(options.signal);
    } catch (error) {
      await (await this.#work()).signInAfter(error, options);
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
    return await (await this.#work()).accessToken(options);
  }

  /**
   * Ends the session: revokes it at the server where the server offers that
   * (RFC 7009), and forgets the tokens, in any case.
   *
   * @throws {AuthError} where the server could not be told; the tokens are forgotten all the same.
   */
  async logout(options: { signal?: AbortSignal } = {}): Promise<void> {
    await (await this.#work()).logout(options);
  }

  /**
   * Asks the authorization server who is signed in (OpenID Connect Core §5.3). The
   * session needs the scope `openid`.
   *
   * @returns The claims, as received.
   */
  async userinfo(options: { signal?: AbortSignal } = {}): Promise<JsonObject> {
    return await (await this.#work()).userinfo(options);
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
    return await (await this.#work()).introspect(options);
  }

  /**
   * Checks the access token, if it is a JWT, against the authorization server's keys:
   * signature, issuer, audience, expiry, scopes (RFC 9068 §4).
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token` where it does not hold.
   */
  async validateAccessToken(options: TokenChecks = {}): Promise<JsonObject> {
    return await (await this.#work()).validateAccessToken(options);
  }

  /**
   * Checks the ID token against the authorization server's keys (OpenID Connect
   * Core §3.1.3.7). There is one where the scope `openid` was asked for.
   *
   * @returns Its claims.
   * @throws {AuthError} `invalid_token` where it does not hold, or has expired.
   */
  async validateIdToken(options: { signal?: AbortSignal } = {}): Promise<JsonObject> {
    return await (await this.#work()).validateIdToken(options);
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
    return await (await this.#work()).explain();
  }

  #work(): Promise<AuthWork> {
    return this.#opened ??= import("./auth_work.ts").then(({ AuthWork }) =>
      new AuthWork({
        setup: this.#setup,
        keeper: this.#keeper,
        storage: () => this.#storage(),
      })
    );
  }

  async #keyHeader(): Promise<string> {
    return await (await this.#work()).key!.authorization();
  }

  #isPerson(): boolean {
    const { client } = this.#setup;
    return !isKey(client) && !isService(client);
  }

  #storage(): Promise<ChosenStorage> {
    return this.#chosen ??= this.#chooseStorage().catch((error) => {
      this.#chosen = undefined;
      throw error;
    });
  }

  async #chooseStorage(): Promise<ChosenStorage> {
    const { chosen, options, profileName } = this.#setup;
    if (options.saveStateToStorage === false) {
      return {
        storage: new MemoryStorage(),
        kind: "memory",
        reason: "saveStateToStorage is false",
      };
    }
    return chosen ?? await openFor(options, profileName);
  }
}

/** The store of the options, or the one that fits this runtime. */
export async function openStorage({ storageProvider }: SessionOptions): Promise<ChosenStorage> {
  if (storageProvider !== undefined) {
    return { storage: storageProvider, kind: "custom", reason: "storageProvider was given" };
  }
  return await chooseStorage();
}

/** The store of a profile's session. */
async function openFor(options: SessionOptions, profileName: string): Promise<ChosenStorage> {
  const seen = options.storageProvider === undefined
    ? await profileFiles(profileName, SESSION_FILES)
    : undefined;
  if (seen?.names.every((name) => !name.endsWith(".sops.json"))) return seen.chosen;
  return await withSops(await openStorage(options), profileName);
}

/** The store, reading and writing through `sops` where the profile has files of it. */
export async function withSops(
  chosen: ChosenStorage,
  profileName: string,
): Promise<ChosenStorage> {
  const { storage } = chosen;
  if (!(storage instanceof FileStorage)) return chosen;
  const there = await Promise.all(
    (["auth_client.sops", "token.sops"] as const)
      .map((object) => storage.exists(profileKey(profileName, object))),
  );
  if (!there.includes(true)) return chosen;
  const { SopsStorage } = await import("./storage/sops.ts");
  const reason = `${chosen.reason}; sops encrypts the profile's files`;
  return { ...chosen, storage: new SopsStorage(storage), reason };
}
