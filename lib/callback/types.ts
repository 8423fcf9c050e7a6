/**
 * What a listener for the authorization response must do (RFC 8252 §7.3).
 *
 * @module
 */

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
  /** Name of the application, for the page that the browser shows. */
  applicationName?: string;
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
  /** Stops listening, at once and for good; the last page is still delivered. */
  close(): Promise<void>;
}

/**
 * Binds a listener on loopback.
 *
 * @throws {AuthError} `port_in_use`, `unsupported_runtime` (no server, or no permission).
 */
export type Listen = (expectation: CallbackExpectation) => Promise<CallbackListener>;
