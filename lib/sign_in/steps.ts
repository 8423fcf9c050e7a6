/**
 * The two steps of a sign-in, begin and complete, without a person's screen: authorization code with
 * PKCE (RFC 6749 §4.1, RFC 7636) and device code (RFC 8628).
 *
 * Needs `fetch`, timers and `AbortSignal` only. Shows, opens and stores nothing.
 *
 * @module
 */

import { readRequest } from "../callback/handler.ts";
import { AuthError } from "../errors.ts";
import { sameText } from "../exchange.ts";
import type { DeviceAuthorization, OAuthClient, PendingAuthorization } from "../oauth/client.ts";
import type { JsonObject } from "../storage/objects.ts";
import type { TokenSet } from "../token.ts";
import type { Clock } from "../runtime.ts";

/**
 * What {@linkcode Auth.authCodeUserLoginInitiate} hands out: a browser login that was begun and
 * waits for its answer.
 *
 * Survives JSON, so that another process can complete it. **It holds a secret**, `code_verifier`, which
 * `console.log` does not show: keep it where the person's browser cannot read it, such as a session
 * on the server, and for that person alone. Whoever has it and the answer is signed in.
 *
 * @category Sign in
 */
export interface AuthorizationRequest extends JsonObject {
  /** Where the person's browser must go (RFC 6749 §4.1.1). */
  authorization_url: string;
  /** Where the answer comes (RFC 6749 §3.1.2). */
  redirect_uri: string;
  /** What the answer must bring along (RFC 6749 §10.12). */
  state: string;
  /** Secret that redeems the code (RFC 7636 §4.1). */
  code_verifier: string;
  /** What the ID token must bring along, if there is one (OpenID Connect Core §3.1.2.1). */
  nonce?: string;
  /** Authorization server that the answer must name, if it names one (RFC 9207 §2.4). */
  issuer: string;
  /** Whether the server announced that it names itself (RFC 9207 §3). */
  issuer_required: boolean;
  /** When this was begun, in epoch seconds. */
  issued_at: number;
  /** How long it may be completed, in seconds. */
  expires_in: number;
}

/** How long a sign-in may be completed, in seconds. */
const REQUEST_LIFE = 600;

/** States that were redeemed in this process, and when they expire by themselves, in epoch milliseconds. */
const redeemed = new Map<string, number>();

/** Keeps the members `secrets` of `value` out of what `console.log` shows. */
function hiding<T extends object>(value: T, ...secrets: (keyof T)[]): T {
  const shown = () => {
    const there = secrets.filter((name) => value[name] !== undefined);
    return { ...value, ...Object.fromEntries(there.map((name) => [name, "(secret)"])) };
  };
  return Object.defineProperty(value, Symbol.for("nodejs.util.inspect.custom"), { value: shown });
}

/** Begins a sign-in by authorization code whose answer comes to `redirectUri`. */
export async function beginAuthorization(
  client: OAuthClient,
  pending: PendingAuthorization,
  redirectUri: string,
  { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined },
): Promise<AuthorizationRequest> {
  const { code_verifier, issuer, issuerRequired, nonce, state } = pending;
  const url = await client.authorizationUrl(pending, redirectUri, signal);
  return hiding({
    authorization_url: url.href,
    redirect_uri: redirectUri,
    state,
    code_verifier,
    nonce,
    issuer,
    issuer_required: issuerRequired,
    issued_at: Math.floor(clock.now() / 1000),
    expires_in: REQUEST_LIFE,
  }, "code_verifier");
}

/** The parameters of an answer, in an address or a query. */
export function parametersOf(text: string): URLSearchParams {
  return new URLSearchParams(text.trim().replace(/#.*$/s, "").replace(/^[^?]*\?/, ""));
}

/** Whether an answer belongs to the sign-in with `state` (RFC 6749 §10.12), and says each thing once. */
export function isAnswerTo(answer: URLSearchParams, state: string): boolean {
  return ["state", "code", "error", "iss"].every((name) => answer.getAll(name).length < 2) &&
    sameText(answer.get("state") ?? "", state);
}

/**
 * Completes a sign-in with the answer that came to its redirect URI (RFC 6749 §4.1.2).
 *
 * Refuses an answer of another sign-in or server, one that comes too late, and a request that was
 * redeemed already. The last is known in this process; elsewhere it is the server that takes no code twice.
 *
 * @throws {AuthError} `state_mismatch`, `issuer_mismatch`, `login_timeout`, `access_denied` and the
 *   codes of a token request.
 */
export async function completeAuthorization(
  client: OAuthClient,
  request: AuthorizationRequest,
  answer: string | URL | Request,
  { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined },
): Promise<TokenSet> {
  const { expires_in, issued_at, state } = request;
  const { form, target = String(answer) }: { form?: string; target?: string } =
    typeof answer === "object" && "method" in answer ? await readRequest(answer) : {};
  const response = form === undefined ? parametersOf(target) : new URLSearchParams(form);
  if (!isAnswerTo(response, state)) {
    throw new AuthError(
      "state_mismatch",
      "Start signing in again: the answer does not belong to this sign-in (state differs).",
    );
  }
  const now = clock.now();
  const until = (issued_at + expires_in) * 1000;
  if (!(now < until)) {
    throw new AuthError(
      "login_timeout",
      `Start signing in again: this sign-in was not completed within ${expires_in} s.`,
    );
  }
  for (const [other, end] of redeemed) if (end <= now) redeemed.delete(other);
  if (redeemed.has(state)) {
    throw new AuthError(
      "state_mismatch",
      "Start signing in again: this sign-in was completed already, or its code is being redeemed.",
    );
  }
  redeemed.set(state, until);
  try {
    return await redeem(client, request, response, signal);
  } catch (error) {
    // What the server has not refused may still be completed, with the right answer or a better network.
    if (!(error instanceof AuthError && error.oauthError !== undefined)) redeemed.delete(state);
    throw error;
  }
}

/** Redeems the code of an answer whose `state` was compared. */
export async function redeem(
  client: OAuthClient,
  request: AuthorizationRequest,
  response: URLSearchParams,
  signal?: AbortSignal,
): Promise<TokenSet> {
  const { code_verifier, issuer, issuer_required, nonce = "", redirect_uri, state } = request;
  const pending = { code_verifier, formPost: false, issuer, issuerRequired: issuer_required };
  try {
    return await client.redeem({ ...pending, nonce, state }, response, redirect_uri, signal);
  } catch (error) {
    throw forPerson(error);
  }
}

export type { DeviceAuthorization };

/**
 * What `onPending` of a login is told: how a device login stands, before the next poll.
 *
 * @category Sign in
 */
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

/** Pause between polls if the server names none, in seconds (RFC 8628 §3.2). */
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

/** Asks the server for a device and a user code (RFC 8628 §3.1); nothing is shown yet. */
export async function beginDevice(
  client: OAuthClient,
  { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined },
): Promise<DeviceAuthorization> {
  const grant: DeviceAuthorization = { ...await client.authorizeDevice(signal) };
  receivedAt.set(grant, clock.now());
  return hiding(grant, "device_code", "code_verifier");
}

/** What polling stands on. */
export interface PollOptions {
  /** Time. */
  readonly clock: Clock;
  /** Ends the polling; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Is told before each wait how the login stands; what it throws is ignored. */
  readonly onPending?: ((progress: LoginProgress) => void) | undefined;
  /** Is told of trouble that polling outlives, and that it is over. */
  readonly onTrouble?: (trouble: AuthError | undefined) => void;
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
 * if the server still knows the codes, its word counts and not the clock.
 *
 * @throws {AuthError} `access_denied`, `device_code_expired`, `client_rejected`,
 *   `malformed_response`; after an abort, its reason.
 */
export async function completeDevice(
  client: OAuthClient,
  grant: DeviceAuthorization,
  { clock, onPending, onTrouble, signal }: PollOptions,
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
          : `Start signing in again later: the code expired while the server could not be asked. ${trouble.message}`,
        { cause: trouble },
      );
    }
    try {
      onPending?.({ polls, reason, nextPollMs: wait, leftMs: left });
    } catch {
      // An observer's failure must not cost the login.
    }
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
      onTrouble?.(undefined);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof AuthError) || !PASSING.includes(error.code)) {
        throw forPerson(error);
      }
      pause = Math.min(pause * 2, Math.max(LONGEST_PAUSE * 1000, interval));
      notBefore = error.retryAt ?? 0;
      trouble = error;
      reason = error.code as LoginProgress["reason"];
      onTrouble?.(error);
    }
    age.pass(0);
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
