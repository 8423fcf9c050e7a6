/**
 * Signs a person in: one attempt for all who ask for one, in this process and in others.
 *
 * Begins and completes for applications that own the screen themselves; `userLogin()` is a loop over
 * the two. Keeps nothing: the session that it is for does.
 *
 * @module
 */

import { checkText, invalid, parseCallbackUrl } from "../setup.ts";
import { AuthError } from "../errors.ts";
import type { LoginUI } from "../terminal/ui.ts";
import { abandonable, linkedAbort } from "../runtime.ts";
import {
  type Attempt,
  canType,
  checkWays,
  type LoginOptions,
  NOBODY,
  say,
  type SessionToSignIn,
  signInPerson,
  step,
} from "./person.ts";
import {
  type AuthorizationRequest,
  beginAuthorization,
  beginDevice,
  completeAuthorization,
  completeDevice,
  type DeviceAuthorization,
} from "./steps.ts";

/** Longest time that a caller waits, in milliseconds. */
const LOGIN_TIMEOUT_MS = 300_000;

/** How long an attempt that is over may take to tidy up, in milliseconds. */
const GRACE_MS = 1_000;

/** Why an attempt ends that another program has begun. */
const TAKEN_OVER = new AuthError("login_cancelled", "The sign-in goes on here.");

/** Members of a request that are texts. */
const REQUEST_TEXTS = [
  "authorization_url",
  "code_verifier",
  "issuer",
  "redirect_uri",
  "state",
] as const;

function checkSeconds(value: unknown): void {
  if (Number.isFinite(value) && Number(value) > 0) return;
  throw new TypeError("expires_in of the first argument must be a positive number of seconds.");
}

/** Checks the types of a login's options, before anything is opened or sent. */
export function checkLoginOptions(options: LoginOptions): void {
  const { applicationName, callbackPage, onPending, timeoutMs = LOGIN_TIMEOUT_MS } = options;
  if (typeof timeoutMs !== "number" || !(timeoutMs > 0)) {
    throw new TypeError("timeoutMs must be a positive number of milliseconds.");
  }
  if (applicationName !== undefined) checkText(applicationName, "applicationName");
  for (const [name, value] of Object.entries({ callbackPage, onPending })) {
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`${name} must be a function.`);
    }
  }
}

/** Tells whether a login has any way to reach the person. */
export function isInteractive(options: LoginOptions): boolean {
  return options.allowOpenBrowser === true || options.allowTtyPrompt === true ||
    options.ui?.show !== undefined;
}

/** An attempt, and those who wait for it. */
class SharedAttempt implements Attempt {
  readonly session: SessionToSignIn;
  readonly options: LoginOptions;
  readonly ui: LoginUI;
  /** How many wait. */
  callers = 0;
  /** Ends as the attempt does. */
  done: Promise<void> = Promise.resolve();
  late: Attempt["late"] = NOBODY;
  readonly #over = new AbortController();
  #untilMs = 0;
  #showTime: (() => void) | undefined;

  constructor(session: SessionToSignIn, options: LoginOptions, ui: LoginUI) {
    this.session = session;
    this.options = options;
    this.ui = ui;
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Time until the last caller goes, in milliseconds. */
  get leftMs(): number {
    return Math.max(this.#untilMs - Date.now(), 0);
  }

  countDown(signal: AbortSignal, mostMs = Infinity): void {
    this.#showTime = () => this.ui.showWaiting?.({ leftMs: Math.min(this.leftMs, mostMs), signal });
    this.#showTime();
  }

  /** Has another caller wait until the attempt is over or `signal` aborts; the last one to go ends it. */
  async join(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const untilMs = Date.now() + timeoutMs;
    if (untilMs > this.#untilMs) {
      this.#untilMs = untilMs;
      this.#showTime?.();
    }
    this.callers++;
    try {
      await abandonable(this.done, signal);
    } finally {
      this.callers--;
      if (this.callers === 0 && signal.aborted) {
        this.#over.abort(signal.reason);
        // What it waits for heeds the signal, but for a store or a screen that does not answer.
        const grace = new AbortController();
        const timer = setTimeout(() => grace.abort(), GRACE_MS);
        await abandonable(this.done, grace.signal).catch(() => {});
        clearTimeout(timer);
      }
    }
  }

  /** Signs in, once no other program does, or with what that brought. */
  async run(): Promise<void> {
    const { session, signal } = this;
    checkWays(this);
    const mark = await session.signInMark();
    const wait = linkedAbort(signal);
    const question = linkedAbort(wait.signal);
    let hasBegun = false;
    try {
      return await session.alone(async () => {
        hasBegun = true;
        question.abort(TAKEN_OVER);
        // A renewal meanwhile is no sign-in: the person is asked all the same.
        if (!await session.adoptSignIn(mark)) return await signInPerson(this);
        step(this, "session_adopted");
        await say(this, " by another program");
      }, {
        signal: wait.signal,
        onWaiting: () =>
          this.#offerToTakeOver(question.signal, (reason) => hasBegun || wait.abort(reason)),
      });
    } catch (error) {
      const isLong = error instanceof AuthError && error.code === "lock_timeout";
      if (hasBegun || !(isLong || wait.signal.reason === TAKEN_OVER)) throw error;
    } finally {
      question.abort(TAKEN_OVER);
      question.release();
      wait.release();
    }
    step(this, "taken_over");
    await signInPerson(this);
  }

  /** Says that another program signs in, and ends that wait when the person says so or it takes long. */
  #offerToTakeOver(signal: AbortSignal, end: (reason: unknown) => void): void {
    const { session: { profileName }, ui } = this;
    const patienceMs = Math.min(this.leftMs / 2, LOGIN_TIMEOUT_MS);
    const timer = setTimeout(() => end(TAKEN_OVER), patienceMs);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    this.late = { what: `nobody finished the sign-in of another program (profile ${profileName})` };
    step(this, "waiting_for_other_process");
    ui.show?.(
      `Another program is signing in to profile ${profileName}. This one goes on when that is done, ` +
        `or asks by itself in ${Math.ceil(patienceMs / 1000)} s.`,
    );
    this.countDown(signal);
    if (!canType(this)) return;
    abandonable(ui.readLine!("Press Enter to sign in here instead: ", { signal }), signal)
      .then((line) => line !== null && end(TAKEN_OVER), (error) => signal.aborted || end(error));
  }
}

/**
 * Does `work` within the caller's time limit and for as long as the caller wants.
 *
 * @throws {AuthError} `login_timeout`, with what was waited for; after an abort, its reason.
 */
export async function inTime(
  { signal, timeoutMs = LOGIN_TIMEOUT_MS }: LoginOptions,
  work: (signal: AbortSignal) => Promise<void>,
  late: () => Attempt["late"] = () => ({ what: "the stored session was not there" }),
): Promise<void> {
  signal?.throwIfAborted();
  const limit = linkedAbort(signal);
  // Real time, whatever the clock: the limit is for a person who may never come.
  const timer = setTimeout(() => {
    const { cause, hint, what } = late();
    const seconds = Math.round(timeoutMs / 1000);
    const message = `Start signing in again: ${what} within ${seconds} s.`;
    limit.abort(new AuthError("login_timeout", hint ? `${message} ${hint}` : message, { cause }));
  }, Math.min(timeoutMs, 0x7fffffff));
  try {
    await work(limit.signal);
  } finally {
    clearTimeout(timer);
    limit.release();
  }
}

/** Signs people in to one session; see `Auth` for what each call does and throws. */
export class SignIn {
  readonly #session: SessionToSignIn;
  #shared: SharedAttempt | undefined;

  /** Signs in to `session`; nothing is sent or shown yet. */
  constructor(session: SessionToSignIn) {
    this.#session = session;
  }

  /**
   * Asks the person to sign in, whatever session there is. Callers share one attempt, which goes
   * on as the first of them asked for as long as one of them waits.
   *
   * @throws {AuthError} `access_denied`, `login_cancelled`, `login_timeout` and the other codes of
   *   signing in; after an abort, the reason of the caller's signal.
   */
  async userLogin(options: LoginOptions = {}): Promise<void> {
    checkLoginOptions(options);
    if (!isInteractive(options)) {
      throw invalid(
        "Set allowOpenBrowser or allowTtyPrompt: signing in needs one of them, or a ui of your own.",
      );
    }
    let shared: SharedAttempt | undefined;
    try {
      await inTime(options, async (signal) => {
        const ui = options.ui ?? await (await import("../terminal/ui.ts")).defaultUI();
        while (this.#shared?.signal.aborted) {
          await abandonable(this.#shared.done.catch(() => {}), signal);
        }
        const joined = this.#shared ??= this.#start(new SharedAttempt(this.#session, options, ui));
        await (shared = joined).join(options.timeoutMs ?? LOGIN_TIMEOUT_MS, signal);
      }, () => shared?.late ?? NOBODY);
    } finally {
      if (shared?.signal.aborted) this.#forget(shared);
    }
  }

  #start(attempt: SharedAttempt): SharedAttempt {
    attempt.done = attempt.run().finally(() => this.#forget(attempt));
    attempt.done.catch(() => {});
    return attempt;
  }

  #forget(attempt: SharedAttempt): void {
    if (this.#shared === attempt) this.#shared = undefined;
  }

  /** Asks the server for a device and a user code (RFC 8628 §3.1); nothing is shown. */
  async deviceInitiate(
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<DeviceAuthorization> {
    const { clock } = this.#flow("device_code");
    return await beginDevice(await this.#session.oauth(), { clock, ...options });
  }

  /** Waits until the person has confirmed the device, and stores the session. */
  async deviceComplete(
    info: DeviceAuthorization,
    options: Pick<LoginOptions, "onPending" | "signal"> = {},
  ): Promise<void> {
    const { clock } = this.#flow("device_code");
    checkLoginOptions(options);
    checkText(info?.device_code, "device_code of the first argument");
    checkSeconds(info.expires_in);
    const server = await this.#session.oauth();
    await this.#session.signIn(await completeDevice(server, info, { ...options, clock }));
  }

  /** Begins a sign-in by authorization code whose answer comes to the application itself. */
  async authCodeInitiate(
    options: { redirectUri?: string | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<AuthorizationRequest> {
    const { client: { callbackUrl }, clock } = this.#flow("auth_code");
    const { redirectUri, signal } = options;
    const name = redirectUri === undefined ? "callbackUrl" : "redirectUri";
    const uri = checkText(redirectUri ?? callbackUrl, name);
    if (parseCallbackUrl(uri, name).loopback?.port === 0) {
      throw invalid("Give a redirectUri with the port that you listen on: port 0 is none.");
    }
    const server = await this.#session.oauth();
    const pending = await server.authorize(signal);
    const request = await beginAuthorization(server, pending, uri, { clock, signal });
    this.#session.tell({ type: "login_started" });
    return request;
  }

  /** Completes such a sign-in with the answer that came to its redirect URI, and stores the session. */
  async authCodeComplete(
    request: AuthorizationRequest,
    answer: string | URL | Request,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { client: { clientId }, clock } = this.#flow("auth_code");
    for (const name of REQUEST_TEXTS) checkText(request?.[name], `${name} of the first argument`);
    checkSeconds(request.expires_in);
    if (
      !URL.canParse(request.authorization_url) ||
      new URL(request.authorization_url).searchParams.get("client_id") !== clientId
    ) {
      throw invalid(
        `Complete a sign-in as the client that began it: this one was not begun by ${clientId}.`,
      );
    }
    const server = await this.#session.oauth();
    const tokens = await completeAuthorization(server, request, answer, { ...options, clock });
    await this.#session.signIn(tokens);
  }

  /** The session, if its client signs in by `flow`. */
  #flow(flow: "auth_code" | "device_code"): SessionToSignIn {
    if (this.#session.client.clientType.startsWith(`oidc_${flow}`)) return this.#session;
    const make = flow === "auth_code" ? "fromOAuthUserAuthCode" : "fromOAuthUserDeviceCode";
    throw invalid(`Use Auth.${make}() for this: this session signs in another way.`);
  }
}
