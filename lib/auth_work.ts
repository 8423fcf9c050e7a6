/**
 * What `Auth` does beyond handing out the token it has: signing in and out,
 * asking the authorization server. Loaded when it is first needed.
 *
 * @module
 */

import { abandonable, linkedAbort } from "./waiting.ts";
import type { Setup } from "./auth.ts";
import { checkText, type SessionOptions } from "./auth_options.ts";
import type { SessionReport } from "./auth_report.ts";
import type { RenderCallbackPage } from "./callback/handler.ts";
import { AuthError } from "./errors.ts";
import type { InteractiveLogin, LoginOptions } from "./sign_in/person.ts";
import type { DeviceAuthorization } from "./sign_in/steps.ts";
import type { Keeper } from "./keeper/keeper.ts";
import type { OAuthClient, TokenChecks } from "./oauth/client.ts";
import type { PrivateKeyPem } from "./oauth/client_auth.ts";
import { ApiKey } from "./profiles/api_key.ts";
import {
  type AcknowledgementSource,
  type ClientSettings,
  isKey,
  isService,
  type KeySettings,
  type PrivateKeySource,
  profileKey,
} from "./client.ts";
import { isPermissionError } from "./runtime.ts";
import type { ChosenStorage } from "./storage/select.ts";
import type { JsonObject, ObjectStorageProvider } from "./storage/objects.ts";
import type { TokenSet } from "./token.ts";

/** Longest time for a login, in milliseconds. */
const LOGIN_TIMEOUT_MS = 300_000;

/** How long a login that is over may take to tidy up, in milliseconds. */
const GRACE_MS = 1_000;

/** What the work stands on. */
export interface AuthParts {
  /** What makes the session. */
  readonly setup: Setup;
  /** Keeps the session; absent where the profile sends a fixed header. */
  readonly keeper: Keeper | undefined;
  /** The session's store. */
  storage(): Promise<ChosenStorage>;
}

/** The work of one `Auth`; see there for what each call does. */
export class AuthWork {
  /** Sends the fixed header of a profile without OAuth. */
  readonly key: ApiKey | undefined;
  readonly #parts: AuthParts;
  #oauthClient: Promise<OAuthClient> | undefined;
  #login: { readonly done: Promise<void>; readonly signal?: AbortSignal } | undefined;

  /** Makes the work of `parts`; nothing is read or sent yet. */
  constructor(parts: AuthParts) {
    const { client, profileName } = parts.setup;
    this.#parts = parts;
    this.key = isKey(client)
      ? new ApiKey(
        profileName,
        client,
        async () => await (await parts.storage()).storage.load(profileKey(profileName, "token")),
      )
      : undefined;
  }

  /** The access token, renewed where needed. */
  async accessToken(
    { forceRefresh, signal }: { forceRefresh?: boolean; signal?: AbortSignal },
  ): Promise<string> {
    const keeper = this.#keeperFor("accessToken()");
    signal?.throwIfAborted();
    if (forceRefresh === true) await keeper.forceRefresh(signal);
    return await keeper.accessToken(signal);
  }

  /** Checks the options of a login. */
  checkLogin(options: LoginOptions): void {
    checkLoginOptions(options);
  }

  /** Signs in where `error` tells that a person is needed, and `options` allow to ask one. */
  async signInAfter(error: unknown, options: LoginOptions): Promise<void> {
    const needsPerson = ["login_required", "session_expired", "storage_corrupt"];
    const mendable = error instanceof AuthError && needsPerson.includes(error.code);
    if (!mendable || !isInteractive(options)) throw error;
    if (error.code === "storage_corrupt") await this.#parts.keeper!.setAside();
    await this.#sharedLogin(options);
  }

  /** Signs in now. */
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

  /** Starts a device login. */
  async deviceUserLoginInitiate(
    options: { signal?: AbortSignal } = {},
  ): Promise<DeviceAuthorization> {
    this.#checkDeviceFlow();
    const { initiateDeviceLogin } = await import("./sign_in/steps.ts");
    return await initiateDeviceLogin(
      await this.oauth(),
      this.#parts.setup.checked.clock,
      options.signal,
    );
  }

  /** Ends a device login. */
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
    const { pollDeviceLogin } = await import("./sign_in/steps.ts");
    const { clock } = this.#parts.setup.checked;
    const tokens = await pollDeviceLogin(await this.oauth(), info, { ...options, clock });
    await keeper.signIn(tokens);
  }

  /** Ends the session. */
  async logout(options: { signal?: AbortSignal } = {}): Promise<void> {
    const keeper = this.#keeperFor("logout()");
    // What a store does not end goes on without the caller.
    const tokens = await abandonable(keeper.forget(), options.signal);
    const token = tokens?.refreshToken ?? tokens?.accessToken;
    let revoked = false;
    try {
      if (token === undefined) return;
      const client = await this.oauth();
      if (!await client.canRevoke(options.signal)) return;
      const hint = token === tokens?.refreshToken ? "refresh_token" : "access_token";
      await client.revoke(token, hint, options.signal);
      revoked = true;
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      // A server need not offer it for access tokens (RFC 7009 §2, §2.2.1).
      const isOffered = error.oauthError !== "unsupported_token_type";
      if (!isOffered && tokens?.refreshToken === undefined) return;
      throw new AuthError(
        error.code,
        `Signed out on this machine, but the server could not be told; the session ends there by itself. ${error.message}`,
        { oauthError: error.oauthError },
      );
    } finally {
      this.#tell({ type: "logged_out", profileName: this.#parts.setup.profileName, revoked });
    }
  }

  /** Asks who is signed in. */
  async userinfo(options: { signal?: AbortSignal } = {}): Promise<JsonObject> {
    const token = await this.accessToken(options);
    return await (await this.oauth()).userinfo(token, options.signal);
  }

  /** Asks what is known of a token. */
  async introspect(
    options: { token?: "access_token" | "refresh_token"; signal?: AbortSignal } = {},
  ): Promise<JsonObject> {
    const { signal, token: kind = "access_token" } = options;
    const token = kind === "access_token"
      ? await this.accessToken(options)
      : (await this.#storedTokens("introspect()")).refreshToken;
    if (token === undefined) throw this.#lacks("refresh token");
    return await (await this.oauth()).introspect(token, kind, signal);
  }

  /** Checks the access token. */
  async validateAccessToken(options: TokenChecks = {}): Promise<JsonObject> {
    const token = await this.accessToken(options);
    return await (await this.oauth()).validateAccessToken(token, options);
  }

  /** Checks the ID token. */
  async validateIdToken(options: { signal?: AbortSignal } = {}): Promise<JsonObject> {
    const { idToken } = await this.#storedTokens("validateIdToken()");
    if (idToken === undefined) throw this.#lacks("ID token (ask for the scope openid)");
    return await (await this.oauth()).validateIdToken(idToken, options.signal);
  }

  /** Tells how the session stands. */
  async explain(): Promise<SessionReport> {
    const { describeSession } = await import("./auth_report.ts");
    const { client, origin, profileName } = this.#parts.setup;
    const keepsState = this.#parts.keeper !== undefined || !(isKey(client) && ownsKey(client));
    return describeSession({
      profileName,
      client,
      origin,
      ...(keepsState ? { storage: await this.#parts.storage() } : {}),
      known: this.#parts.keeper === undefined
        ? { state: await this.key!.isThere() ? "valid" : "none" }
        : await this.#parts.keeper.known(),
    });
  }

  async #storedTokens(call: string): Promise<TokenSet> {
    const { tokens } = await this.#keeperFor(call).known();
    if (tokens === undefined) throw this.#lacks("session");
    return tokens;
  }

  #lacks(what: string): AuthError {
    return new AuthError(
      "login_required",
      `Sign in first, with userLogin() or ensureInitialized(): profile "${this.#parts.setup.profileName}" has no ${what}.`,
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
    const done = this.#boundLogin(options).finally(() => this.#login = undefined);
    this.#login = { done, signal: options.signal };
    await done;
  }

  /** A login that ends in time, whatever it waits for. */
  async #boundLogin(options: LoginOptions): Promise<void> {
    const timeoutMs = options.timeoutMs ?? LOGIN_TIMEOUT_MS;
    const limit = linkedAbort(options.signal);
    const stuck = Promise.withResolvers<never>();
    // Real time, whatever the clock: the bound is for a person who may never come.
    let timer = setTimeout(() => {
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
      const login = this.#runLogin(options, timeoutMs, limit.signal);
      // What it waits for heeds the signal, but for a store or a screen that does not answer.
      limit.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        timer = setTimeout(() => stuck.reject(limit.signal.reason), GRACE_MS);
      }, { once: true });
      await Promise.race([login, stuck.promise]);
    } finally {
      clearTimeout(timer);
      limit.release();
    }
  }

  async #runLogin(options: LoginOptions, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const keeper = this.#keeperFor("userLogin()");
    const { clock } = this.#parts.setup.checked;
    const before = await keeper.stored();
    const { storage } = await this.#parts.storage();
    const { withStorageLock } = await import("./keeper/lock.ts");
    // One login at a time, over all processes: the others wait, and adopt its session.
    await withStorageLock(
      storage,
      profileKey(this.#parts.setup.profileName, "login"),
      async () => {
        if (await keeper.adoptSibling(before)) return;
        this.#tell({ type: "login_started", profileName: this.#parts.setup.profileName });
        const ui = options.ui ?? await (await import("./terminal/ui.ts")).defaultUI();
        const login: InteractiveLogin = {
          client: await this.oauth(),
          clock,
          ui,
          allowOpenBrowser: options.allowOpenBrowser === true,
          allowTtyPrompt: options.allowTtyPrompt === true,
          applicationName: options.applicationName ?? this.#parts.setup.profileName,
          signal,
          leftMs: timeoutMs,
          ...(options.onPending === undefined ? {} : { onPending: options.onPending }),
        };
        await keeper.signIn(await this.#signIn(login, options.callbackPage));
      },
      { signal, timeoutMs: timeoutMs + LOGIN_TIMEOUT_MS },
    );
  }

  async #signIn(login: InteractiveLogin, callbackPage: LoginOptions["callbackPage"]) {
    const client = this.#client();
    if (client.callbackUrl === undefined) {
      const { loginWithDeviceCode } = await import("./sign_in/person.ts");
      return await loginWithDeviceCode(login);
    }
    const { loginWithAuthorizationCode } = await import("./sign_in/person.ts");
    // Where no browser opens here, the page may be opened elsewhere, and the code pasted.
    const callbackUrl = login.allowOpenBrowser
      ? client.callbackUrl
      : client.remoteCallbackUrl ?? client.callbackUrl;
    const isLocal = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/]?/i.test(callbackUrl);
    const { listen } = isLocal ? await import("./callback/listener.ts") : { listen: cannotListen };
    const page = callbackPage ?? await acknowledgementPage(client.acknowledgement);
    return await loginWithAuthorizationCode({
      ...login,
      callbackUrl,
      listen,
      ...(page === undefined ? {} : { callbackPage: page }),
    });
  }

  /** The client of the authorization server. */
  oauth(): Promise<OAuthClient> {
    return this.#oauthClient ??= this.#loadClient();
  }

  async #loadClient(): Promise<OAuthClient> {
    const { OAuthClient } = await import("./oauth/client.ts");
    const { checked, options } = this.#parts.setup;
    const client = this.#client();
    const { audiences, authServer, clientId, clientSecret, privateKey, scopes } = client;
    const key = profileKey(this.#parts.setup.profileName, "discovery");
    return new OAuthClient({
      issuer: authServer,
      metadata: {
        load: async () => await (await this.#parts.storage()).storage.load(key),
        save: async (value) => await (await this.#parts.storage()).storage.save(key, value),
      },
      clientId,
      scopes,
      isServiceAccount: isService(client),
      clock: checked.clock,
      ...(client.issuer === undefined ? {} : { expectedIssuer: client.issuer }),
      ...(client.endpoints === undefined ? {} : { endpoints: client.endpoints }),
      ...(client.extra === undefined ? {} : { extra: client.extra }),
      ...(clientSecret === undefined ? {} : { clientSecret }),
      ...(privateKey === undefined ? {} : { privateKey: () => loadPrivateKey(privateKey) }),
      ...(audiences.length === 0 ? {} : { audience: audiences.join(" ") }),
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    });
  }

  /** Writes `auth_client.json`; the secret only where the command line needs it or the application said so. */
  async writeClient(storage: ObjectStorageProvider, client: ClientSettings): Promise<void> {
    const { options, profileName, writesClient } = this.#parts.setup;
    if (writesClient === "never") return;
    if (
      writesClient === "where_there_is_one" &&
      !await storage.exists(profileKey(profileName, "auth_client"))
    ) return;
    const { writeAuthClient } = await import("./profiles/auth_client_file.ts");
    const { clientSecret, ...shown } = client;
    let settings: ClientSettings = shown;
    if (clientSecret !== undefined) {
      if (options.saveClientSecret ?? await isFileStorage(storage)) settings = client;
    }
    await writeAuthClient(storage, profileName, settings);
  }

  #client(): ClientSettings {
    const { client } = this.#parts.setup;
    if (isKey(client)) throw this.#noClient("a sign-in");
    return client;
  }

  #isPerson(): boolean {
    const { client } = this.#parts.setup;
    return !isKey(client) && !isService(client);
  }

  #keeperFor(call: string): Keeper {
    if (this.#parts.keeper !== undefined) return this.#parts.keeper;
    throw this.#noClient(call);
  }

  #noClient(call: string): AuthError {
    return new AuthError(
      "invalid_argument",
      `Leave out ${call}: an API key needs no sign-in and has no access token.`,
    );
  }

  #checkDeviceFlow(): Keeper {
    const { client } = this.#parts.setup;
    const isDevice = !isKey(client) && client.clientType.startsWith("oidc_device_code");
    if (this.#parts.keeper !== undefined && isDevice) return this.#parts.keeper;
    throw new AuthError(
      "invalid_argument",
      "Use Auth.fromOAuthUserDeviceCode() for a device login: this session signs in another way.",
    );
  }

  #tell(event: Parameters<NonNullable<SessionOptions["onEvent"]>>[0]): void {
    try {
      this.#parts.setup.options.onEvent?.(event);
    } catch {
      // An observer's failure must not cost the session.
    }
  }
}

/** Stands for a listener where the redirect URI leads to another machine. */
function cannotListen(): Promise<never> {
  return Promise.reject(
    new AuthError(
      "unsupported_runtime",
      "Set allowTtyPrompt, so that the code can be pasted: the redirect URI leads elsewhere.",
    ),
  );
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

/** The text of a client's private key, from its file where it lies in one. */
async function loadPrivateKey({ file, password, pem }: PrivateKeySource): Promise<PrivateKeyPem> {
  const secret = password === undefined ? {} : { password };
  return file === undefined
    ? { name: "client_privkey", pem: pem!, ...secret }
    : { name: file, pem: await readNamed(file, "client_privkey_file", "private key"), ...secret };
}

/** The page of a profile for a sign-in that succeeded; the others stay the built-in ones. */
async function acknowledgementPage(
  source: AcknowledgementSource | undefined,
): Promise<RenderCallbackPage | undefined> {
  if (source === undefined) return undefined;
  const html = source.html ??
    await readNamed(source.file!, "authorization_callback_acknowledgement_file", "page");
  return ({ kind }) => kind === "success" ? html : undefined;
}

/** The text of the file that a member of a profile names. */
async function readNamed(file: string, member: string, what: string): Promise<string> {
  const { openFiles } = await import("./storage/select.ts");
  try {
    return new TextDecoder().decode(await (await openFiles()).read(file));
  } catch (cause) {
    const flag = isPermissionError(cause) ? `Run with --allow-read=${file}` : `Check ${file}`;
    throw new AuthError(
      "storage_failed",
      `${flag}: the ${what} that ${member} names cannot be read.`,
      { cause },
    );
  }
}

/** Tells whether a profile without OAuth needs no store. */
function ownsKey(client: KeySettings): boolean {
  return client.keyType === "none" || client.apiKey !== undefined;
}

/** Tells whether a store is that of files, encrypted by `sops` or not. */
async function isFileStorage(storage: ObjectStorageProvider): Promise<boolean> {
  // Loads nothing for a store that cannot be one of files.
  if (!("root" in storage)) return false;
  const { FileStorage } = await import("./storage/file.ts");
  if (storage instanceof FileStorage) return true;
  return storage instanceof (await import("./storage/sops.ts")).SopsStorage;
}
