/**
 * Says to a person what a refusal of the server means for the sign-in that they made.
 *
 * @module
 */

import { AuthError } from "../errors.ts";

/** The error to throw for `error`: the same code, in words for the person who signs in. */
export function forPerson(error: unknown): unknown {
  if (!(error instanceof AuthError)) return error;
  const { code, oauthError } = error;
  const details = oauthError === undefined ? {} : { oauthError };
  if (code === "access_denied") {
    return new AuthError(
      code,
      "Sign in again and choose Allow: sign-in was denied in the browser, by you or by a rule of " +
        "your organisation.",
      details,
    );
  }
  if (code === "device_code_expired" && oauthError !== undefined) {
    return new AuthError(
      code,
      "Start signing in again and confirm the new code sooner: this one was not confirmed in time.",
      details,
    );
  }
  return error;
}
