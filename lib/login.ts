/**
 * A person's login: one attempt for all who ask for one at the same time.
 *
 * @module
 */

import type { RenderCallbackPage } from "./callback/handler.ts";
import type { AcknowledgementSource, ClientSettings } from "./client.ts";
import { AuthError } from "./errors.ts";
import type { Keeper } from "./keeper/keeper.ts";
import type { OAuthClient } from "./oauth/client.ts";
import { checkText } from "./options.ts";
import type { InteractiveLogin, LoginOptions } from "./sign_in/person.ts";
import type { DeviceAuthorization } from "./sign_in/steps.ts";
import { readNamedFile } from "./storage/select.ts";
import { abandonable, linkedAbort } from "./waiting.ts";

/** Longest time for a login, in milliseconds. */
const LOGIN_TIMEOUT_MS = 300_000;

/** How long a login that is over may take to tidy up, in milliseconds. */
const GRACE_MS = 1_000;

/** The logins of one session. */
export class Login {
  readonly #keeper: Keeper<OAuthClient>;
  #login: { readonly done: Promise<void>; readonly signal?: AbortSignal | undefined } | undefined;

  /** Signs in to the session of `keeper`. */
  constructor(keeper: Keeper<OAuthClient>) {
    this.#keeper = keeper;
  }

  /** Starts a device login. */
  async deviceUserLoginInitiate(
    options: { signal?: AbortSignal } = {},
  ): Promise<DeviceAuthorization> {
    this.#checkDeviceFlow();
    const { initiateDeviceLogin } = await import("./sign_in/steps.ts");
    return await initiateDeviceLogin(
      await this.#keeper.oauth(),
      this.#keeper.clock,
      options.signal,
    );
  }

  /** Ends a device login. */
  async deviceUserLoginComplete(
    info: DeviceAuthorization,
    options: Pick<LoginOptions, "onPending" | "signal"> = {},
  ): Promise<void> {
    this.#checkDeviceFlow();
    checkLoginOptions(options);
    checkText(info?.device_code, "device_code of the first argument");
    if (!(Number.isFinite(info.expires_in) && info.expires_in > 0)) {
      throw new TypeError("expires_in of the first argument must be a positive number of seconds.");
    }
    const { pollDeviceLogin } = await import("./sign_in/steps.ts");
    const { clock } = this.#keeper;
    const tokens = await pollDeviceLogin(await this.#keeper.oauth(), info, { ...options, clock });
    await this.#keeper.signIn(tokens);
  }

  /** One login for all who ask for one at the same time. */
  async userLogin(options: LoginOptions): Promise<void> {
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
    const keeper = this.#keeper;
    const before = await keeper.signInMark();
    // One login at a time, over all processes: the others wait, and adopt its session.
    await keeper.alone(
      async () => {
        if (await keeper.adoptSignIn(before)) return;
        keeper.tell({ type: "login_started" });
        const ui = options.ui ?? await (await import("./terminal/ui.ts")).defaultUI();
        const login: InteractiveLogin = {
          client: await keeper.oauth(),
          clock: keeper.clock,
          ui,
          allowOpenBrowser: options.allowOpenBrowser === true,
          allowTtyPrompt: options.allowTtyPrompt === true,
          applicationName: options.applicationName ?? keeper.profileName,
          signal,
          leftMs: timeoutMs,
          ...(options.onPending === undefined ? {} : { onPending: options.onPending }),
        };
        await keeper.signIn(await this.#signIn(login, options.callbackPage));
      },
      { signal },
    );
  }

  async #signIn(login: InteractiveLogin, callbackPage: LoginOptions["callbackPage"]) {
    const { client } = this.#keeper;
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

  #checkDeviceFlow(): void {
    if (this.#keeper.client.clientType.startsWith("oidc_device_code")) return;
    throw new AuthError(
      "invalid_argument",
      "Use Auth.fromOAuthUserDeviceCode() for a device login: this session signs in another way.",
    );
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
export function checkLoginOptions(options: LoginOptions): void {
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
export function isInteractive(options: LoginOptions): boolean {
  return options.allowOpenBrowser === true || options.allowTtyPrompt === true ||
    options.ui?.show !== undefined;
}

/** The page of a profile for a sign-in that succeeded; the others stay the built-in ones. */
async function acknowledgementPage(
  source: AcknowledgementSource | undefined,
): Promise<RenderCallbackPage | undefined> {
  if (source === undefined) return undefined;
  const html = source.html ??
    await readNamedFile(source.file!, "authorization_callback_acknowledgement_file", "page");
  return ({ kind }) => kind === "success" ? html : undefined;
}
