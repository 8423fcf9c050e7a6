/**
 * What a listener for the authorization response must do (RFC 8252 §7.3).
 *
 * @module
 */

/** Which page the browser shows. */
export type CallbackPageKind =
  | "success"
  | "denied"
  | "failed"
  | "received"
  | "wrong"
  | "not_found";

/** A page that the browser shows, in words. */
export interface CallbackPage {
  /**
   * Which page: signed in (`success`), refused by the person (`denied`), not
   * finished (`failed`), answer taken while the rest still goes on (`received`),
   * an answer of another or an expired sign-in (`wrong`), another address (`not_found`).
   */
  kind: CallbackPageKind;
  /** Name of the application, as text: escape it before it goes into HTML. */
  applicationName: string;
  /** Heading of the built-in page, as text. */
  title: string;
  /** Sentences below the heading of the built-in page, as text. */
  message: string;
}

/**
 * Writes the HTML of a page; `undefined` leaves it to the built-in one. Scripts and outside
 * resources are blocked in any case, and what it throws brings the built-in page back.
 */
export type RenderCallbackPage = (page: CallbackPage) => string | undefined;

/** What the listener waits for. */
export interface CallbackExpectation {
  /**
   * Registered redirect URI: `http`, host `localhost`, `127.0.0.1` or `[::1]`.
   * Port 0 means any free port (RFC 8252 §7.3).
   */
  callbackUrl: string;
  /** `state` of the request; compared in constant time (RFC 6749 §10.12). */
  state: string;
  /** Issuer that the answer must name, if it names one (RFC 9207 §2.4). */
  issuer: string;
  /** Whether an answer without `iss` is refused (RFC 9207 §2.4). */
  issuerRequired: boolean;
  /** Whether the answer comes as a form by POST (`response_mode=form_post`); default: by GET. */
  formPost?: boolean;
  /** Name of the application, for the page that the browser shows. */
  applicationName?: string;
  /** Replaces the built-in pages. */
  callbackPage?: RenderCallbackPage;
}

/** A listener that is bound and accepts the authorization response. */
export interface CallbackListener {
  /** The redirect URI to send, with the port that was bound. */
  readonly redirectUri: string;
  /**
   * Resolves with the query of the one right answer, `state` and `iss` checked.
   * It holds either `code` or `error`.
   *
   * @throws {AuthError} `issuer_mismatch`; after an abort, the reason of `signal`.
   */
  wait(signal: AbortSignal): Promise<URLSearchParams>;
  /**
   * Stops listening, at once and for good. A browser that waits for its last
   * page still gets it: how the sign-in ended, by default well.
   */
  close(outcome?: "success" | "failed"): Promise<void>;
}

/**
 * Binds a listener on loopback.
 *
 * @throws {AuthError} `port_in_use`, `unsupported_runtime` (no server, or no permission).
 */
export type Listen = (expectation: CallbackExpectation) => Promise<CallbackListener>;
