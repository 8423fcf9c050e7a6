/**
 * Device authorization grant: sign in on a second screen (RFC 8628).
 *
 * Asks for a user code, shows it, opens the browser where it may, then polls.
 * Needs `fetch`, timers and `AbortSignal` only. Stores nothing.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { AuthError } from "../errors.ts";
import type { OAuthClient } from "../oauth/client.ts";
import type { TokenSet } from "../token.ts";
import type { DeviceAuthorization, InteractiveLogin } from "./types.ts";

/** Pause between polls where the server names none, in seconds (RFC 8628 §3.2). */
const DEFAULT_INTERVAL = 5;

/** What each `slow_down` adds to the pause, in seconds (RFC 8628 §3.5). */
const SLOW_DOWN = 5;

/** Longest pause that trouble with the network leads to, in seconds. */
const LONGEST_PAUSE = 60;

/** Failures that polling outlives (RFC 8628 §3.5): the next poll may get through. */
const PASSING: readonly string[] = ["network", "server_error", "throttled", "timeout"];

/** When the codes of this process were received, in epoch milliseconds. */
const receivedAt: WeakMap<DeviceAuthorization, number> = new WeakMap();

function withoutSecret(this: DeviceAuthorization): Record<string, unknown> {
  return { ...this, device_code: "(secret)" };
}

/** Asks the server for a device and a user code (RFC 8628 §3.1); nothing is shown yet. */
export async function initiateDeviceLogin(
  client: OAuthClient,
  clock: Clock,
  signal?: AbortSignal,
): Promise<DeviceAuthorization> {
  const grant: DeviceAuthorization = { ...await client.authorizeDevice(signal) };
  for (const hook of ["Deno.customInspect", "nodejs.util.inspect.custom"]) {
    Object.defineProperty(grant, Symbol.for(hook), { value: withoutSecret });
  }
  receivedAt.set(grant, clock.now());
  return grant;
}

/** What polling stands on. */
export interface PollOptions {
  /** Time. */
  readonly clock: Clock;
  /** Ends the polling; the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Waits until the person confirms, then returns the tokens.
 *
 * Asks every `interval` seconds; each `slow_down` adds 5 seconds to that pause
 * and all later ones. Trouble with the network or the server doubles the next
 * pause, up to a minute, and ends nothing (RFC 8628 §3.5). The last poll is made
 * when the codes expire.
 *
 * @throws {AuthError} `access_denied`, `device_code_expired`, `client_rejected`,
 *   `malformed_response`; after an abort, its reason.
 */
export async function pollDeviceLogin(
  client: OAuthClient,
  grant: DeviceAuthorization,
  { clock, signal }: PollOptions,
): Promise<TokenSet> {
  const deadline = (receivedAt.get(grant) ?? clock.now()) + grant.expires_in * 1000;
  let interval = Math.max(grant.interval ?? DEFAULT_INTERVAL, 1);
  let pause = interval;
  let notBefore = 0;
  let trouble: unknown;
  for (;;) {
    signal?.throwIfAborted();
    const now = clock.now();
    if (now >= deadline) {
      throw new AuthError(
        "device_code_expired",
        "Start signing in again: the code was not confirmed in time.",
        { cause: trouble },
      );
    }
    const wait = Math.max(pause * 1000, notBefore - now);
    await clock.sleep(Math.min(wait, deadline - now), signal);
    try {
      const answer = await client.pollDevice(grant.device_code, signal);
      if (typeof answer !== "string") return answer;
      if (answer === "slow_down") interval += SLOW_DOWN;
      pause = interval;
      notBefore = 0;
      trouble = undefined;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof AuthError) || !PASSING.includes(error.code)) throw error;
      pause = Math.min(pause * 2, Math.max(LONGEST_PAUSE, interval));
      notBefore = error.retryAt ?? 0;
      trouble = error;
    }
  }
}

/** Signs a person in: shows the code, opens the browser where it may, polls. */
export async function loginWithDeviceCode(login: InteractiveLogin): Promise<TokenSet> {
  const { client, clock, signal, ui } = login;
  const grant = await initiateDeviceLogin(client, clock, signal);
  ui.show?.(
    `To sign in to ${login.applicationName}, open this page on any device:\n\n  ${grant.verification_uri}\n\n` +
      `and enter the code  ${grant.user_code}\n`,
  );
  if (login.allowOpenBrowser) {
    const url = new URL(grant.verification_uri_complete ?? grant.verification_uri);
    if (await ui.openBrowser?.(url) === false) {
      ui.show?.("No browser could be opened from here; please open the page yourself.");
    }
  }
  return await pollDeviceLogin(client, grant, { clock, signal });
}
