/**
 * Authorization code grant with PKCE for a program on the person's own machine
 * (RFC 6749 §4.1, RFC 7636, RFC 8252).
 *
 * Shows the URL, opens the browser where it may, and takes the answer from the
 * loopback listener or from what the person pastes, whichever comes first.
 * Binds nothing itself, stores nothing.
 *
 * @module
 */

import { abandonable, linkedAbort } from "../waiting.ts";
import type { CallbackListener } from "../callback/types.ts";
import { AuthError } from "../errors.ts";
import type { PendingAuthorization } from "../oauth/client.ts";
import type { TokenSet } from "../token.ts";
import { openPage } from "./_page.ts";
import { forPerson } from "./_refusal.ts";
import type { AuthorizationCodeLogin } from "./types.ts";

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
