/**
 * A program that signs in on a terminal, for the tests that look at one.
 *
 * Reads `LOGIN_ISSUER`, `LOGIN_API`, `LOGIN_CLIENT`, `LOGIN_FLOW` (`code` or `device`),
 * `LOGIN_CALLBACK`, `LOGIN_BROWSER`, `LOGIN_KEEP`, `LOGIN_SCOPES`, `LOGIN_TIMEOUT_MS`, `LOGIN_ABORT_MS`
 * `LOGIN_UI` (`lines`: for a program that reads its output) and `LOGIN_HURRY` (waits of 30 seconds end at
 * once). Its result is one line on stdout.
 *
 * @module
 */

import process from "node:process";
import { Auth, AuthError, type AuthEvent, type LoginOptions } from "../../mod.ts";

const { env } = process;
/** From the page on, no request needs its 30 seconds any more. */
function hurry(event: AuthEvent): void {
  if (env.LOGIN_HURRY !== "yes" || event.type !== "login_step" || event.step !== "page_shown") {
    return;
  }
  const { setTimeout } = globalThis;
  const fast = (run: () => void, ms?: number) => setTimeout(run, ms === 30_000 ? 0 : ms);
  globalThis.setTimeout = fast as unknown as typeof setTimeout;
}
const common = {
  clientId: env.LOGIN_CLIENT ?? "",
  profileName: "my-app",
  onEvent: hurry,
  saveStateToStorage: env.LOGIN_KEEP === "yes",
  requestedScopes: (env.LOGIN_SCOPES ?? "planet offline_access").split(" "),
  environment: {
    userAuthServer: env.LOGIN_ISSUER ?? "",
    m2mAuthServer: env.LOGIN_ISSUER ?? "",
    audiences: [`${env.LOGIN_API}/`],
    apiBaseUrl: env.LOGIN_API ?? "",
  },
};
const auth = env.LOGIN_FLOW === "device"
  ? Auth.fromOAuthUserDeviceCode(common)
  : Auth.fromOAuthUserAuthCode({
    ...common,
    callbackUrl: env.LOGIN_CALLBACK ?? "http://localhost:0/callback",
  });
const options: LoginOptions = {
  allowTtyPrompt: true,
  allowOpenBrowser: env.LOGIN_BROWSER === "yes",
  timeoutMs: Number(env.LOGIN_TIMEOUT_MS ?? 60_000),
};
// Its output is read, although it is no terminal.
if (env.LOGIN_UI === "lines") options.ui = { show: (message) => console.error(message) };
const stop = new AbortController();
if (env.LOGIN_ABORT_MS) {
  setTimeout(() => stop.abort(new Error("stopped")), Number(env.LOGIN_ABORT_MS));
  options.signal = stop.signal;
}
try {
  await auth.userLogin(options);
  console.log("RESULT signed in");
} catch (error) {
  const code = error instanceof AuthError
    ? error.code
    : error instanceof Error
    ? error.message
    : "";
  if (error instanceof AuthError) console.error(error.message);
  console.log(`RESULT ${code}`);
  process.exitCode = 3;
}
