/**
 * A program that signs in on a terminal, for the tests that look at one.
 *
 * Reads `LOGIN_ISSUER`, `LOGIN_API`, `LOGIN_CLIENT`, `LOGIN_FLOW` (`code` or `device`),
 * `LOGIN_BROWSER` and `LOGIN_ABORT_MS`. Its result is one line on stdout.
 *
 * @module
 */

import process from "node:process";
import { Auth, AuthError, type LoginOptions } from "../../mod.ts";

const { env } = process;
const common = {
  clientId: env.LOGIN_CLIENT ?? "",
  profileName: "my-app",
  saveStateToStorage: false,
  environment: {
    userAuthServer: env.LOGIN_ISSUER ?? "",
    m2mAuthServer: env.LOGIN_ISSUER ?? "",
    audiences: [`${env.LOGIN_API}/`],
    apiBaseUrl: env.LOGIN_API ?? "",
  },
};
const auth = env.LOGIN_FLOW === "device"
  ? Auth.fromOAuthUserDeviceCode(common)
  : Auth.fromOAuthUserAuthCode({ ...common, callbackUrl: "http://localhost:0/callback" });
const options: LoginOptions = {
  allowTtyPrompt: true,
  allowOpenBrowser: env.LOGIN_BROWSER === "yes",
  timeoutMs: Number(env.LOGIN_TIMEOUT_MS ?? 60_000),
};
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
  console.log(`RESULT ${code}`);
  process.exitCode = 3;
}
