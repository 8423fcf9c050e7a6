/**
 * The steps of a sign-in, without a person's screen: begin, and complete (RFC 8628).
 *
 * Needs `fetch`, timers and `AbortSignal` only. Shows, opens and stores nothing.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { OAuthClient } from "../oauth/client.ts";
import type { TokenSet } from "../token.ts";
import type { Clock } from "../runtime.ts";

/**
 * What the server handed out for a device login (RFC 8628 §3.2), as received.
 * Survives JSON, so that another process can finish the login; `device_code` is
 * a secret and is not shown by `console.log`.
 */
export interface DeviceAuthorization {
  /** Secret that the device presents when it asks for the tokens. */
  device_code: string;
  /** What the person types at `verification_uri`. */
  user_code: string;
  /** Where the person confirms. */
  verification_uri: string;
  /** The same with the code in it, where the server offers it. */
  verification_uri_complete?: string;
  /** Life of both codes, in seconds. */
  expires_in: number;
  /** Least pause between two polls, in seconds; 5 where absent. */
  interval?: number;
}

/** How a device login stands, before the next poll. */
export interface LoginProgress {
  /** Polls so far. */
  polls: number;
  /** What the last poll met: the server's word, or trouble that polling outlives. */
  reason:
    | "authorization_pending"
    | "slow_down"
    | "network"
    | "server_error"
    | "throttled"
    | "timeout";
  /** Time until the next poll, in milliseconds. */
  nextPollMs: number;
  /** Time until the codes expire, in milliseconds. */
  leftMs: number;
}

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
  readonly signal?: AbortSignal | undefined;
  /** Is told before each wait how the login stands; what it throws is ignored. */
  readonly onPending?: ((progress: LoginProgress) => void) | undefined;
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
