/**
 * What signing in needs of the person's screen and keyboard.
 *
 * @module
 */

/** How a login talks to the person; replace what the application owns itself. */
export interface LoginUI {
  /**
   * Opens `url` in a browser; `false` where that is not possible. The URL is shown
   * in any case, and the login goes on meanwhile. `signal` aborts when it is over.
   */
  openBrowser?(url: URL, options: { signal: AbortSignal }): Promise<boolean>;
  /** Says why no browser can open here, without trying; `undefined` where one may. */
  whyNoBrowser?(): string | undefined;
  /** Shows a message of one or more lines. */
  show?(message: string): void;
  /**
   * Shows `text` as a QR code; `false` where there is no room for it, or no screen.
   */
  showQrCode?(text: string): Promise<boolean>;
  /**
   * Shows that the login waits and how much time is left, until `signal` aborts.
   * For screens that change; a log has no use for it.
   */
  showWaiting?(options: { leftMs: number; signal: AbortSignal }): void;
  /**
   * Asks for a line; `null` where there is no terminal or the input ended.
   * What is typed is not echoed. Rejects with the reason of `signal` when it aborts.
   */
  readLine?(prompt: string, options: { signal: AbortSignal }): Promise<string | null>;
}
