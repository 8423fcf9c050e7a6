/**
 * Device authorization grant: sign in on a second screen (RFC 8628).
 *
 * Asks for a user code, shows it, opens the browser where it may, then polls.
 * Needs `fetch`, timers and `AbortSignal` only. Stores nothing.
 *
 * @module
 */

import { type Clock, linkedAbort } from "../waiting.ts";
import { AuthError } from "../errors.ts";
import type { OAuthClient } from "../oauth/client.ts";
import type { TokenSet } from "../token.ts";
import { openPage } from "./_page.ts";
import { forPerson } from "./_refusal.ts";
import type { DeviceAuthorization, InteractiveLogin, LoginProgress } from "./types.ts";

/** Pause between polls where the server names none, in seconds (RFC 8628 §3.2). */
const DEFAULT_INTERVAL = 5;

/** What each `slow_down` adds to the pause, in seconds (RFC 8628 §3.5). */
const SLOW_DOWN = 5;

/** Longest pause that trouble with the network leads to, in seconds. */
const LONGEST_PAUSE = 60;

/** How far this clock and the server's may drift apart while the codes live, in milliseconds. */
const MARGIN_MS = 5_000;

/** A wait that is longer by this is a suspended computer, or a clock that was set; milliseconds. */
const JUMP_MS = 30_000;

/** Failures that polling outlives (RFC 8628 §3.5): the next poll may get through. */
const PASSING: readonly string[] = ["network", "server_error", "throttled", "timeout"];

/** When the codes of this process were received, in epoch milliseconds. */
const receivedAt: WeakMap<DeviceAuthorization, number> = new WeakMap();

function withoutSecret(this: DeviceAuthorization): Record<string, unknown> {
  return { ...this, device_code: "(secret)", code_verifier: "(secret)" };
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
  /** Is told before each wait how the login stands; what it throws is ignored. */
  readonly onPending?: (progress: LoginProgress) => void;
}

/** Measures the age of the codes by a clock that may be set, and that stops with the computer. */
class Age {
  readonly #clock: Clock;
  #last: number;
  /** Age in milliseconds. */
  ms: number;

  constructor(clock: Clock, since: number | undefined) {
    this.#clock = clock;
    this.#last = clock.now();
    this.ms = Math.max(this.#last - (since ?? this.#last), 0);
  }

  /** Counts the time since the last call, at least `ms`; returns how much more it was. */
  pass(ms: number): number {
    const now = this.#clock.now();
    const passed = Math.max(now - this.#last, ms);
    this.#last = now;
    this.ms += passed;
    return passed - ms;
  }
}

/**
 * Waits until the person confirms, then returns the tokens.
 *
 * Asks every `interval` seconds and never sooner; each `slow_down` adds 5 seconds
 * to that pause and all later ones. Trouble with the network or the server
 * doubles the next pause, up to a minute, and ends nothing (RFC 8628 §3.5). The
 * last poll comes about when the codes expire, with 5 seconds of margin for the
 * clocks. After a suspended computer wakes, or its clock was set, it asks at once;
 * where the server still knows the codes, its word counts and not the clock.
 *
 * @throws {AuthError} `access_denied`, `device_code_expired`, `client_rejected`,
 *   `malformed_response`; after an abort, its reason.
 */
export async function pollDeviceLogin(
  client: OAuthClient,
  grant: DeviceAuthorization,
  { clock, onPending, signal }: PollOptions,
): Promise<TokenSet> {
  const lifeMs = grant.expires_in * 1000;
  const age = new Age(clock, receivedAt.get(grant));
  let interval = Math.max(grant.interval ?? DEFAULT_INTERVAL, 1) * 1000;
  let pause = interval;
  let notBefore = 0;
  let trouble: AuthError | undefined;
  let reason: LoginProgress["reason"] = "authorization_pending";
  for (let polls = 0;; polls++) {
    signal?.throwIfAborted();
    const asked = Math.max(notBefore - clock.now(), 0);
    const late = lifeMs - MARGIN_MS - age.ms;
    let wait = Math.max(pause, asked);
    // The last poll comes while the server still knows the codes.
    if (wait > late) wait = Math.max(interval, asked, Math.min(wait, late));
    const left = Math.max(lifeMs - age.ms, 0);
    if (age.ms + wait > lifeMs + MARGIN_MS) {
      if (left > 0) await clock.sleep(left, signal);
      throw new AuthError(
        "device_code_expired",
        trouble === undefined
          ? "Start signing in again and confirm the new code sooner: this one was not confirmed in time."
          : "Check the network, then start signing in again: the code expired while the server could not be asked.",
        { cause: trouble },
      );
    }
    tell(onPending, { polls, reason, nextPollMs: wait, leftMs: left });
    await clock.sleep(wait, signal);
    const jump = age.pass(wait);
    try {
      const answer = await client.pollDevice(grant, signal);
      if (typeof answer !== "string") return answer;
      if (answer === "slow_down") interval += SLOW_DOWN * 1000;
      if (jump > JUMP_MS) age.ms -= jump;
      pause = interval;
      notBefore = 0;
      trouble = undefined;
      reason = answer;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof AuthError) || !PASSING.includes(error.code)) {
        throw forPerson(error);
      }
      pause = Math.min(pause * 2, Math.max(LONGEST_PAUSE * 1000, interval));
      notBefore = error.retryAt ?? 0;
      trouble = error;
      reason = error.code as LoginProgress["reason"];
    }
    age.pass(0);
  }
}

function tell(onPending: PollOptions["onPending"], progress: LoginProgress): void {
  try {
    onPending?.(progress);
  } catch {
    // An observer's failure must not cost the login.
  }
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
