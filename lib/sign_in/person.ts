/**
 * A sign-in with a person at a screen: shows the page, opens the browser if it may, waits for the
 * answer, says how it ended. A loop over the two steps, with a browser, a listener and a keyboard
 * (RFC 8252, RFC 8628).
 *
 * @module
 */

import type {
  CallbackExpectation,
  CallbackListener,
  RenderCallbackPage,
} from "../callback/handler.ts";
import { type ClientSettings, parseCallbackUrl } from "../setup.ts";
import { AuthError } from "../errors.ts";
import type { LoginStep, UnnamedEvent } from "../events.ts";
import type { OAuthClient } from "../oauth/client.ts";
import {
  abandonable,
  type Clock,
  isPermissionError,
  type LinkedAbort,
  linkedAbort,
  readText,
  systemClock,
} from "../runtime.ts";
import type { Lease } from "../storage/objects.ts";
import type { LoginUI } from "../terminal/ui.ts";
import { readJwtClaims, type TokenSet } from "../token.ts";
import {
  type AuthorizationRequest,
  beginAuthorization,
  beginDevice,
  completeDevice,
  isAnswerTo,
  type LoginProgress,
  parametersOf,
  redeem,
} from "./steps.ts";

/**
 * Options of {@linkcode Auth.ensureInitialized} and {@linkcode Auth.userLogin}: what signing in
 * may do, and how the caller stops it.
 *
 * Callers at the same time share one attempt, on the screen of the first; each has its own `timeoutMs`
 * and `signal`, and the attempt ends with the last of them. While another program signs in to the same
 * profile, the person is told so and may take over by Enter; this program asks by itself at half of its
 * time. If there is neither a terminal, nor a browser that can open, nor a `ui.show`, it fails at once.
 *
 * @category Sign in
 */
export interface LoginOptions {
  /** Lets the login open a browser; default false. */
  allowOpenBrowser?: boolean | undefined;
  /**
   * Lets the login ask on the terminal; default false. The code, or the address that the browser ends
   * at, can then be pasted: if no browser opens here, if the callback's port is taken, and after 30 s.
   */
  allowTtyPrompt?: boolean | undefined;
  /** Ends the login for this caller; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Longest time that this caller waits, in milliseconds; default 5 minutes. */
  timeoutMs?: number | undefined;
  /** Screen and keyboard; default: the runtime's browser opener and terminal (stderr). */
  ui?: LoginUI | undefined;
  /** Name of the application for pages and messages; default: the profile's name. */
  applicationName?: string | undefined;
  /** Writes the HTML that the browser shows at the end; default: the library's own pages. */
  callbackPage?: RenderCallbackPage | undefined;
  /** Is told before each wait how a device login stands; what it throws is ignored. */
  onPending?: ((progress: LoginProgress) => void) | undefined;
}

/** What a sign-in needs of the session that it is for. */
export interface SessionToSignIn {
  /** Name of the profile. */
  readonly profileName: string;
  /** The client that signs in. */
  readonly client: ClientSettings;
  /** Time. */
  readonly clock: Clock;
  /** The client of the authorization server. */
  oauth(): Promise<OAuthClient>;
  /**
   * Runs `body` while nobody else who shares the store signs this profile in; `onWaiting` is
   * called once if somebody does.
   */
  alone<T>(
    body: (lease: Lease) => Promise<T>,
    options: { signal: AbortSignal; onWaiting?: () => void },
  ): Promise<T>;
  /** A mark of the last sign-in that was stored; a renewal does not change it. */
  signInMark(): Promise<unknown>;
  /** Takes over a living session that another program signed in to since `mark`, if there is one. */
  adoptSignIn(mark: unknown): Promise<boolean>;
  /** Stores tokens that a sign-in brought, and uses them. */
  signIn(tokens: TokenSet): Promise<void>;
  /** Tells the application what happened. */
  tell(event: UnnamedEvent): void;
  /** Where the session is kept, or why it is not and what would change that, in words for a person. */
  keptWhere(): Promise<{ durable: boolean; words: string }>;
}

/** One attempt, with all that it stands on. */
export interface Attempt {
  /** The session to sign in to. */
  readonly session: SessionToSignIn;
  /** What it may do. */
  readonly options: LoginOptions;
  /** Screen and keyboard. */
  readonly ui: LoginUI;
  /** Aborts when nobody waits for it any more. */
  readonly signal: AbortSignal;
  /** Shows how much time is left, until `signal` aborts; `mostMs`: the codes live no longer. */
  countDown(signal: AbortSignal, mostMs?: number): void;
  /** Why it is not over yet, for the error of a caller whose time is up. */
  late: { readonly what: string; readonly hint?: string; readonly cause?: AuthError };
}

/** Why an attempt is not over as long as nothing is known to be wrong. */
export const NOBODY = { what: "nobody finished it" } as const;

/** How long a person looks at the browser before hearing that its errors are not heard, in milliseconds. */
const PATIENCE_MS = 30_000;

/** Pause after a line that is no answer: an application's own reader may answer at once. */
const AGAIN_MS = 100;

/** Tells the application how far an attempt is. */
export function step({ session }: Attempt, step: LoginStep): void {
  session.tell({ type: "login_step", step });
}

/** Whether the person can type. */
export function canType({ options, ui }: Attempt): boolean {
  return options.allowTtyPrompt === true && ui.readLine !== undefined;
}

/** Whether a browser may be opened, and why it cannot. */
function browserOf({ options, ui }: Attempt): { may: boolean; whyNot?: string | undefined } {
  const may = options.allowOpenBrowser === true && ui.openBrowser !== undefined;
  return { may, whyNot: may ? ui.whyNoBrowser?.() : "no browser may be opened" };
}

/** Fails if nobody sees what is shown, and no browser opens either. */
function checkSeen({ ui }: Attempt, noBrowser: string | undefined): void {
  const unseen = ui.show === undefined ? "nothing shows messages" : ui.whyNoTerminal?.();
  if (unseen === undefined || noBrowser === undefined) return;
  throw new AuthError(
    "unsupported_runtime",
    "Run this in a terminal, give a ui of your own, or use a service account, which needs no " +
      `person: nobody can be asked to sign in here (${unseen}; ${noBrowser}).`,
  );
}

/** The redirect URI of an attempt by authorization code: another one if the browser runs elsewhere. */
function redirectOf({ options, session: { client } }: Attempt): string | undefined {
  const { callbackUrl, remoteCallbackUrl } = client;
  return options.allowOpenBrowser === true ? callbackUrl : remoteCallbackUrl ?? callbackUrl;
}

/**
 * Fails at once if nobody can be reached, or an answer can come in no way.
 *
 * @throws {AuthError} `unsupported_runtime`, `invalid_argument`.
 */
export function checkWays(attempt: Attempt): void {
  checkSeen(attempt, browserOf(attempt).whyNot);
  const callbackUrl = redirectOf(attempt);
  if (callbackUrl === undefined || canType(attempt)) return;
  if (parseCallbackUrl(callbackUrl).loopback !== undefined) return;
  throw new AuthError(
    "invalid_argument",
    "Use authCodeUserLoginInitiate() and authCodeUserLoginComplete(), or set allowTtyPrompt, so that " +
      `the code can be pasted: userLogin() cannot listen on ${callbackUrl}.`,
  );
}

/** Signs a person in, stores that, and says so in one line. */
export async function signInPerson(attempt: Attempt): Promise<void> {
  const { session, signal } = attempt;
  const callbackUrl = redirectOf(attempt);
  const over = linkedAbort(signal);
  session.tell({ type: "login_started" });
  attempt.late = NOBODY;
  try {
    if (callbackUrl === undefined) await signInByDevice(attempt, over);
    else await signInByCode(attempt, callbackUrl, over);
  } finally {
    over.abort(new AuthError("login_cancelled", "The login is over."));
    over.release();
  }
}

async function finish(attempt: Attempt, tokens: TokenSet): Promise<void> {
  await attempt.session.signIn(tokens);
  await say(attempt, whoIs(tokens));
}

/** Says in one line that the person is signed in, and where that is kept. */
export async function say({ session, ui }: Attempt, who: string): Promise<void> {
  if (ui.show === undefined) return;
  const { durable, words } = await session.keptWhere();
  const kept = durable ? `kept ${words}` : `not kept for the next run (${words})`;
  ui.show(`Signed in${who}: profile ${session.profileName}, ${kept}.`);
}

/** Name and e-mail address of who signed in, as the ID token has them. */
function whoIs({ idToken = "" }: TokenSet): string {
  const { email, name } = readJwtClaims(idToken) ?? {};
  const known = [name, email].flatMap((claim) => {
    if (typeof claim !== "string" || claim === "") return [];
    // The claims were read byte by byte.
    return [new TextDecoder().decode(Uint8Array.from(claim, (char) => char.charCodeAt(0)))];
  });
  return known.length === 0 ? "" : ` as ${known.join(", ")}`;
}

/**
 * Opens `url` if it may, and says how that went; `false`: the person has to.
 *
 * @throws {AuthError} `unsupported_runtime` if then nobody is there to do so.
 */
async function openPage(
  attempt: Attempt,
  url: string,
  otherwise: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { ui } = attempt;
  const { may, whyNot } = browserOf(attempt);
  if (!may) return false;
  let opened: boolean | void = false;
  if (whyNot === undefined) {
    try {
      opened = await abandonable(ui.openBrowser!(new URL(url), { signal }), signal);
    } catch {
      signal.throwIfAborted();
    }
  }
  // `undefined`, from an application's own opener, is no complaint.
  const isOpen = opened !== false;
  step(attempt, isOpen ? "browser_opened" : "browser_not_opened");
  if (!isOpen) checkSeen(attempt, whyNot ?? "no browser could be opened");
  const because = whyNot === undefined ? "" : ` (${whyNot})`;
  ui.show?.(
    isOpen
      ? "A browser was opened: go on there."
      : `No browser could be opened from here${because}: ${otherwise}.`,
  );
  return isOpen;
}

async function signInByCode(
  attempt: Attempt,
  callbackUrl: string,
  over: LinkedAbort,
): Promise<void> {
  const { options, session: { client, clock, profileName }, signal, ui } = attempt;
  const { applicationName = profileName, callbackPage } = options;
  const server = await attempt.session.oauth();
  const pending = await server.authorize(signal);
  const { formPost, issuer, issuerRequired, state } = pending;
  const listener = await hear(attempt, {
    callbackUrl,
    state,
    issuer,
    issuerRequired,
    formPost,
    applicationName,
    callbackPage: callbackPage ?? await acknowledgement(client),
  });
  const isHeard = "wait" in listener;
  let outcome: "success" | "failed" = "failed";
  let patience: ReturnType<typeof setTimeout> | undefined;
  try {
    const redirectUri = isHeard ? listener.redirectUri : callbackUrl.replace(/:0+(?=\/|$)/, "");
    const request = await beginAuthorization(server, pending, redirectUri, { clock, signal });
    const url = request.authorization_url;
    ui.show?.(
      `Sign in to Planet, for ${applicationName}: open this page in a browser.\n\n  ${url}\n`,
    );
    step(attempt, "page_shown");
    if (!isHeard) ui.show?.(`The browser's answer has to be pasted here. ${listener.message}`);
    const needsPaste = Promise.withResolvers<void>();
    const otherwise = canType(attempt)
      ? "open the page yourself. On another computer, the browser ends at an address that it " +
        "cannot reach: copy that address and paste it here"
      : "open the page yourself, on this computer";
    openPage(attempt, url, otherwise, over.signal)
      .then((isOpen) => isOpen && isHeard || needsPaste.resolve(), (error) => over.abort(error));
    attempt.countDown(over.signal);
    patience = setTimeout(() => {
      const hint = "If the browser shows an error, mend that first: it is not heard here. The " +
        `client ID ${client.clientId} and the redirect URI ${redirectUri} must be registered.`;
      attempt.late = { ...NOBODY, hint };
      ui.show?.(hint);
      needsPaste.resolve();
    }, PATIENCE_MS);
    const waits = { listener, needsPaste: needsPaste.promise, signal: over.signal };
    await finish(attempt, await redeemAnswer(attempt, request, waits));
    outcome = "success";
  } finally {
    clearTimeout(patience);
    if (isHeard) await listener.close(outcome);
  }
}

/** Binds the listener; an error says why there is none, which a person who may paste need not mind. */
async function hear(
  attempt: Attempt,
  expectation: CallbackExpectation,
): Promise<CallbackListener | AuthError> {
  try {
    const { listen } = await import("../callback/listener.ts");
    return await listen(expectation);
  } catch (error) {
    const isOptional = canType(attempt) && error instanceof AuthError &&
      (error.code === "unsupported_runtime" || error.code === "port_in_use");
    if (isOptional) return error;
    throw error;
  }
}

/** Takes the answer that is heard or pasted, whichever comes first, and redeems it. */
async function redeemAnswer(
  attempt: Attempt,
  request: AuthorizationRequest,
  { listener, needsPaste, signal: over }: {
    listener: CallbackListener | AuthError;
    needsPaste: Promise<void>;
    signal: AbortSignal;
  },
): Promise<TokenSet> {
  const { session, signal, ui } = attempt;
  const heard = "wait" in listener ? listener.wait(over) : undefined;
  let mayPaste = canType(attempt);
  for (;;) {
    const round = linkedAbort(over);
    const ways: Promise<{ response: URLSearchParams; isPasted: boolean } | null>[] = [];
    if (heard !== undefined) ways.push(heard.then((response) => ({ response, isPasted: false })));
    if (mayPaste) {
      ways.push(
        abandonable(needsPaste, round.signal)
          .then(() => readPaste(attempt, request, heard ? "Or paste" : "Paste", round.signal))
          .then((response) => response && { response, isPasted: true }),
      );
    }
    const answer = await Promise.race(ways).finally(() => {
      round.abort(new AuthError("login_cancelled", "The answer came another way."));
      round.release();
    });
    if (answer === null) {
      mayPaste = false;
      if (listener instanceof AuthError) throw listener;
      continue;
    }
    step(attempt, "answer_received");
    try {
      return await redeem(await session.oauth(), request, answer.response, signal);
    } catch (error) {
      const isTypo = answer.isPasted && error instanceof AuthError &&
        error.oauthError === "invalid_grant";
      if (!isTypo) throw error;
      step(attempt, "answer_refused");
      ui.show?.(
        "The server does not take that code. Open the page above again, and paste its result.",
      );
    }
  }
}

/** Asks for the code or the redirect URL, again and again; `null` if the input ended. */
async function readPaste(
  attempt: Attempt,
  request: AuthorizationRequest,
  either: string,
  signal: AbortSignal,
): Promise<URLSearchParams | null> {
  const { ui } = attempt;
  for (;;) {
    const prompt = `${either} the code, or the address that the browser ended at: `;
    // An application's own reader may not heed the signal.
    const line = await abandonable(ui.readLine!(prompt, { signal }), signal);
    if (line === null) return null;
    const pasted = parsePaste(line, request);
    if (typeof pasted !== "string") return pasted;
    step(attempt, "answer_refused");
    ui.show?.(pasted);
    await systemClock.sleep(AGAIN_MS, signal);
  }
}

/** Reads a pasted code, query or URL; a text says what is wrong with it. */
function parsePaste(line: string, request: AuthorizationRequest): URLSearchParams | string {
  const { issuer, issuer_required, state } = request;
  // Messages and shells put addresses into quotes.
  const text = line.replace(/^[\s"'`<]+|[\s"'`>]+$/g, "");
  if (!/^[a-z][\w+.-]*:\//i.test(text) && !/(^|[?&])(code|error|state)=/.test(text)) {
    if (!/^[\x21-\x7e]{1,4096}$/.test(text)) return "That is no code; please paste it whole.";
    return new URLSearchParams({ code: text, state, iss: issuer });
  }
  const answer = parametersOf(text);
  if (answer.has("code") === answer.has("error")) {
    return "That address holds no code; please paste the one that the browser ended at.";
  }
  if (!isAnswerTo(answer, state)) {
    return "That address belongs to another sign-in; please open the page above and paste its result.";
  }
  const iss = answer.get("iss");
  if (iss === null ? issuer_required : iss !== issuer) {
    return "That address comes from another server, or is not whole; please open the page above and paste its result.";
  }
  return answer;
}

/** A code in groups that the eye can hold; separators of the server's own stay as they are. */
function grouped(code: string): string {
  if (code.length < 6 || /[^A-Za-z0-9]/.test(code)) return code;
  return code.match(new RegExp(`.{1,${code.length % 3 === 0 ? 3 : 4}}`, "g"))!.join(" ");
}

async function signInByDevice(attempt: Attempt, over: LinkedAbort): Promise<void> {
  const { options: { applicationName, onPending }, session, ui } = attempt;
  const { clock, profileName } = session;
  const { signal } = over;
  const server = await session.oauth();
  const grant = await beginDevice(server, { clock, signal });
  const { expires_in, user_code, verification_uri, verification_uri_complete } = grant;
  const complete = verification_uri_complete ?? verification_uri;
  const isDrawn = await ui.showQrCode?.(complete).catch(() => false) ?? false;
  ui.show?.(
    `Sign in to Planet, for ${applicationName ?? profileName}: ${
      isDrawn ? "scan the square with a phone, or " : ""
    }open this page on any device.\n\n  ${verification_uri}\n\n` +
      `Enter this code, or check that the page shows it:\n\n  ${grouped(user_code)}\n`,
  );
  step(attempt, "page_shown");
  openPage(attempt, complete, "open the page yourself, on this or another device", signal)
    .catch((error) => over.abort(error));
  attempt.countDown(signal, expires_in * 1000);
  const onTrouble = (cause: AuthError | undefined) => {
    const what = "the authorization server could not be asked to the end";
    attempt.late = cause === undefined ? NOBODY : { what, hint: cause.message, cause };
  };
  const poll = { clock, signal, onTrouble, ...(onPending === undefined ? {} : { onPending }) };
  await finish(attempt, await completeDevice(server, grant, poll));
}

/** The page of a profile for a sign-in that succeeded; the others stay the built-in ones. */
async function acknowledgement(
  { acknowledgement: source }: ClientSettings,
): Promise<RenderCallbackPage | undefined> {
  const { file = "", html = source && await readPage(file) } = source ?? {};
  return html === undefined ? undefined : ({ kind }) => kind === "success" ? html : undefined;
}

async function readPage(file: string): Promise<string> {
  try {
    return await readText(file);
  } catch (cause) {
    const flag = isPermissionError(cause) ? `Run with --allow-read=${file}` : `Check ${file}`;
    throw new AuthError(
      "storage_failed",
      `${flag}: the page that authorization_callback_acknowledgement_file names cannot be read.`,
      { cause },
    );
  }
}
