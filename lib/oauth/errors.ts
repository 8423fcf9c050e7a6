/**
 * From what an authorization server says to what a caller can do about it.
 *
 * @module
 */

import { AuthError, type AuthErrorCode } from "../errors.ts";
import type { Answer } from "./transport.ts";

/** Codes of RFC 6749 §5.2, RFC 8628 §3.5, RFC 8707 §2 and their meaning for a session. */
const BY_OAUTH_ERROR: ReadonlyMap<string, AuthErrorCode> = new Map(Object.entries({
  access_denied: "access_denied",
  account_selection_required: "login_required",
  consent_required: "login_required",
  expired_token: "device_code_expired",
  interaction_required: "login_required",
  invalid_client: "client_rejected",
  invalid_grant: "session_expired",
  invalid_request: "client_rejected",
  invalid_scope: "client_rejected",
  invalid_target: "client_rejected",
  invalid_token: "session_expired",
  login_required: "login_required",
  server_error: "server_error",
  slow_down: "throttled",
  temporarily_unavailable: "server_error",
  unauthorized_client: "client_rejected",
  unsupported_grant_type: "client_rejected",
  unsupported_response_type: "client_rejected",
}));

const ADVICE: Readonly<Partial<Record<AuthErrorCode, string>>> = {
  access_denied: "Sign in again and choose Allow",
  client_rejected: "Check the client ID, client secret, scopes and callback URL",
  device_code_expired: "Start signing in again: the code was not confirmed in time",
  login_required: "Sign in again",
  server_error: "Try again later",
  session_expired: "Sign in again",
  throttled: "Wait before trying again",
};

/**
 * What can be an `error` code (RFC 6749 §5.2) as the registered ones look; anything else is not
 * shown: a server may put there what was sent to it, a token say.
 */
function shownCode(value: unknown): string | undefined {
  return typeof value === "string" && /^[a-z][a-z_]{0,63}$/.test(value) ? value : undefined;
}

/**
 * Whether no endpoint stands where the answer came from (RFC 9110 §15.5.5, §15.5.6, §15.5.11), so
 * that nothing has been done with what was sent. One that gives a registered `error` does stand.
 */
export function nobodyThere({ json, status }: Answer): boolean {
  const code = shownCode(json?.error);
  return [404, 405, 410].includes(status) && (code === undefined || !BY_OAUTH_ERROR.has(code));
}

/** Makes the error for an OAuth `error` code, as `what` (the refusing party) gave it. */
export function oauthError(code: unknown, what: string, retryAt?: number): AuthError {
  const shown = shownCode(code);
  const reason = BY_OAUTH_ERROR.get(shown ?? "") ?? "client_rejected";
  return new AuthError(
    reason,
    `${ADVICE[reason] ?? "Check the request"}: ${what} said "${shown ?? "(unreadable)"}".`,
    {
      ...(shown === undefined ? {} : { oauthError: shown }),
      ...(retryAt === undefined ? {} : { retryAt }),
    },
  );
}

/**
 * Throws for an answer that is not a success, by its OAuth `error` where it has
 * one and by its status else.
 */
export function throwForAnswer(answer: Answer, what: string): void {
  const { status, json, retryAt } = answer;
  if (status >= 200 && status < 300) return;
  const at = retryAt === undefined ? {} : { retryAt };
  if (status === 429) {
    throw new AuthError("throttled", `Wait before trying again: ${what} is throttling.`, at);
  }
  if (status >= 500) {
    throw new AuthError("server_error", `Try again later: ${what} answered ${status}.`, at);
  }
  if (status >= 400 && json?.error !== undefined) throw oauthError(json.error, what, retryAt);
  throw new AuthError(
    "malformed_response",
    `Check the address of the authorization server: ${what} answered ${status} without an OAuth error.`,
  );
}

/** Turns what oauth4webapi says about an answer into our error; its own cause quotes the answer. */
export function malformed(what: string, error: unknown): AuthError {
  if (error instanceof AuthError) return error;
  const detail = error instanceof Error ? error.message : "unknown reason";
  return new AuthError(
    "malformed_response",
    `Report this to the operator of the authorization server: ${what} is not as the standard has it (${detail}).`,
  );
}
