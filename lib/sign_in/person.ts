/**
 * A sign-in with a person at a screen: shows the page, opens the browser where it may, and waits for
 * the answer, by authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252) or by device
 * code (RFC 8628).
 *
 * Binds nothing itself, stores nothing.
 *
 * @module
 */

import type {
  CallbackExpectation,
  CallbackListener,
  RenderCallbackPage,
} from "../callback/handler.ts";
import { AuthError } from "../errors.ts";
import type { OAuthClient, PendingAuthorization } from "../oauth/client.ts";
import type { LoginUI } from "../terminal/ui.ts";
import type { TokenSet } from "../token.ts";
import { abandonable, type Clock, linkedAbort } from "../runtime.ts";
import { forPerson, initiateDeviceLogin, type LoginProgress, pollDeviceLogin } from "./steps.ts";

/** What signing in may do, and how the caller stops it. */
export interface LoginOptions {
  /** Lets the login open a browser; default false. */
  allowOpenBrowser?: boolean | undefined;
  /** Lets the login ask on the terminal; default false. */
  allowTtyPrompt?: boolean | undefined;
  /** Ends the login; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Longest time for the whole login, in milliseconds; default 5 minutes. */
  timeoutMs?: number | undefined;
  /** Screen and keyboard; default: the runtime's browser opener and terminal (stderr). */
  ui?: LoginUI | undefined;
  /** Name of the application for pages and messages; default: the profile's name. */
  applicationName?: string | undefined;
  /** Writes the HTML that the browser shows at the end; default: the library's own pages. */
  callbackPage?: RenderCallbackPage | undefined;
  /** Is told before each wait how a device login stands; what it throws is ignored. */
  onPending?: ((progress: LoginProgress) => void) | undefined;
}

/** A login that needs a person, with all that it stands on. */
export interface InteractiveLogin {
  /** The client that signs the person in. */
  readonly client: OAuthClient;
  /** Time. */
  readonly clock: Clock;
  /** Screen and keyboard. */
  readonly ui: LoginUI;
  /** Whether a browser may be opened. */
  readonly allowOpenBrowser: boolean;
  /** Whether the person may be asked for input. */
  readonly allowTtyPrompt: boolean;
  /** Name of the application, for pages and messages. */
  readonly applicationName: string;
  /** Ends the login, by the caller's wish or by its time limit. */
  readonly signal: AbortSignal;
  /** Time that the login has, in milliseconds, for the person to see. */
  readonly leftMs: number;
  /** Is told how a device login stands. */
  readonly onPending?: (progress: LoginProgress) => void;
}

/** A login by authorization code. */
export interface AuthorizationCodeLogin extends InteractiveLogin {
  /** Redirect URI as registered; port 0 means any free port (RFC 8252 §7.3). */
  readonly callbackUrl: string;
  /** Binds the listener. */
  readonly listen: (expectation: CallbackExpectation) => Promise<CallbackListener>;
  /** Replaces the pages that the browser shows. */
  readonly callbackPage?: RenderCallbackPage;
}

/**
 * Opens `url` where the login may, and says so where that does not work. Rejects
 * with the reason of `signal` when it aborts; fails in no other way.
 */
export async function openPage(
  { allowOpenBrowser, ui }: InteractiveLogin,
  url: URL,
  options: { signal: AbortSignal; otherwise: string },
): Promise<void> {
  if (!allowOpenBrowser || ui.openBrowser === undefined) return;
  const { otherwise, signal } = options;
  const why = ui.whyNoBrowser?.();
  let opened: boolean | void = false;
  if (why === undefined) {
    try {
      opened = await abandonable(ui.openBrowser(url, { signal }), signal);
    } catch {
      signal.throwIfAborted();
    }
  }
  // `undefined`, from an application's own opener, is no complaint.
  if (opened !== false) return;
  const because = why === undefined ? "" : ` (${why})`;
  ui.show?.(`No browser could be opened from here${because}: ${otherwise}.`);
}

/** How often a paste that cannot be right is asked for again. */
const MOST_PASTES = 5;

/**
 * Signs a person in.
 *
 * @throws {AuthError} `access_denied`, `state_mismatch`, `issuer_mismatch`, `port_in_use`,
 *   `unsupported_runtime`, `login_cancelled` and those of a token request; after an abort, its reason.
 */
export async function loginWithAuthorizationCode(login: AuthorizationCodeLogin): Promise<TokenSet> {
  const { client, ui, signal } = login;
  const pending = await client.authorize(signal);
  const bound = await bind(login, pending);
  const listener = bound instanceof AuthError ? undefined : bound;
  const over = linkedAbort(signal);
  let outcome: "success" | "failed" = "failed";
  try {
    const redirectUri = listener?.redirectUri ?? login.callbackUrl.replace(/:0(?=[/?]|$)/, "");
    const url = await client.authorizationUrl(pending, redirectUri, signal);
    ui.show?.(
      `To sign in to ${login.applicationName}, open this page in your browser:\n\n  ${url}\n`,
    );
    // The listener hears the answer while the browser still opens.
    openPage(login, url, { signal: over.signal, otherwise: adviceWithoutBrowser(login) })
      .catch(() => {});
    ui.showWaiting?.({ leftMs: login.leftMs, signal: over.signal });
    const response = await firstAnswer(login, pending, bound);
    const tokens = await client.redeem(pending, response, redirectUri, signal);
    outcome = "success";
    return tokens;
  } catch (error) {
    throw forPerson(error);
  } finally {
    over.abort(new AuthError("login_cancelled", "The login is over."));
    over.release();
    await listener?.close(outcome);
  }
}

/** What a person does who must open the page on their own, perhaps on another computer. */
function adviceWithoutBrowser({ allowTtyPrompt, ui }: AuthorizationCodeLogin): string {
  return allowTtyPrompt && ui.readLine !== undefined
    ? "open the page yourself. On another computer, the browser ends at an address that it " +
      "cannot reach: copy that address and paste it here"
    : "open the page yourself, on this computer";
}

/** Binds the listener, or says why none can be had: a person who may paste needs none. */
async function bind(
  login: AuthorizationCodeLogin,
  { formPost, issuer, issuerRequired, state }: PendingAuthorization,
): Promise<CallbackListener | AuthError> {
  const { allowTtyPrompt, applicationName, callbackPage, callbackUrl, listen, ui } = login;
  try {
    return await listen({
      callbackUrl,
      state,
      issuer,
      issuerRequired,
      applicationName,
      formPost,
      ...(callbackPage === undefined ? {} : { callbackPage }),
    });
  } catch (error) {
    const canPaste = allowTtyPrompt && ui.readLine !== undefined;
    if (canPaste && error instanceof AuthError && error.code === "unsupported_runtime") {
      return error;
    }
    throw error;
  }
}

/** The authorization response, from the listener or from the keyboard; the other wait is ended. */
async function firstAnswer(
  login: AuthorizationCodeLogin,
  pending: PendingAuthorization,
  bound: CallbackListener | AuthError,
): Promise<URLSearchParams> {
  const waits = linkedAbort(login.signal);
  const heard = bound instanceof AuthError ? undefined : bound.wait(waits.signal);
  const typed = login.allowTtyPrompt && login.ui.readLine !== undefined
    ? readPaste(login, pending, waits.signal)
    : undefined;
  const answers = [heard, typed].filter((answer) => answer !== undefined);
  try {
    const answer = await Promise.race(answers) ?? await heard;
    if (answer) return answer;
    throw new AuthError(
      "login_cancelled",
      "Start signing in again and finish it in the browser, or paste the code or address that it " +
        "ends at: neither came." +
        (bound instanceof AuthError ? ` Or mend the wait for the browser. ${bound.message}` : ""),
    );
  } finally {
    waits.abort(new AuthError("login_cancelled", "The answer came another way."));
    waits.release();
    await Promise.allSettled(answers);
  }
}

/** Asks for the code or the redirect URL; `null` where nobody can or will give one. */
async function readPaste(
  { ui }: AuthorizationCodeLogin,
  pending: PendingAuthorization,
  signal: AbortSignal,
): Promise<URLSearchParams | null> {
  for (let round = 1; round <= MOST_PASTES; round++) {
    const prompt = "Or paste the code, or the address that the browser ended at: ";
    // An application's own reader may not heed the signal.
    const line = await abandonable(ui.readLine!(prompt, { signal }), signal);
    if (line === null) return null;
    const pasted = parsePaste(line, pending);
    if (typeof pasted !== "string") return pasted;
    ui.show?.(pasted);
  }
  return null;
}

/** Reads a pasted code, query or URL; a text says what is wrong with it. */
function parsePaste(
  line: string,
  { state, issuer }: PendingAuthorization,
): URLSearchParams | string {
  const text = line.trim();
  const query = /^https?:\/\//i.test(text)
    ? text.replace(/#.*$/, "").replace(/^[^?]*\??/, "")
    : /(^|[?&])(code|error|state)=/.test(text)
    ? text.replace(/^\?/, "")
    : undefined;
  if (query === undefined) {
    if (!/^[\x21-\x7e]{1,4096}$/.test(text)) return "That is no code; please paste it whole.";
    return new URLSearchParams({ code: text, state, iss: issuer });
  }
  const parameters = new URLSearchParams(query);
  if (!parameters.has("code") && !parameters.has("error")) {
    return "That address holds no code; please paste the one that the browser ended at.";
  }
  if (parameters.get("state") !== state) {
    return "That address belongs to another sign-in; please open the page above and paste its result.";
  }
  return parameters;
}

/** A code in groups that the eye can hold; separators of the server's own stay as they are. */
function grouped(code: string): string {
  if (code.length < 6 || /[^A-Za-z0-9]/.test(code)) return code;
  return code.match(new RegExp(`.{1,${code.length % 3 === 0 ? 3 : 4}}`, "g"))!.join(" ");
}

/** Signs a person in: shows the code, opens the browser where it may, polls. */
export async function loginWithDeviceCode(login: InteractiveLogin): Promise<TokenSet> {
  const { client, clock, onPending, signal, ui } = login;
  const grant = await initiateDeviceLogin(client, clock, signal);
  const { user_code, verification_uri, verification_uri_complete } = grant;
  const complete = verification_uri_complete ?? verification_uri;
  const over = linkedAbort(signal);
  try {
    const drawn = await ui.showQrCode?.(complete).catch(() => false) ?? false;
    ui.show?.(
      `To sign in to ${login.applicationName}, ${
        drawn ? "scan the square with a phone, or " : ""
      }open this page on any device:\n\n  ${verification_uri}\n\n` +
        `and enter this code, or check that the page shows it:\n\n  ${grouped(user_code)}\n`,
    );
    openPage(login, new URL(complete), {
      signal: over.signal,
      otherwise: "open the page yourself, on this or another device",
    }).catch(() => {});
    const leftMs = Math.min(login.leftMs, grant.expires_in * 1000);
    ui.showWaiting?.({ leftMs, signal: over.signal });
    return await pollDeviceLogin(client, grant, {
      clock,
      signal,
      ...(onPending === undefined ? {} : { onPending }),
    });
  } finally {
    over.abort(new AuthError("login_cancelled", "The login is over."));
    over.release();
  }
}
