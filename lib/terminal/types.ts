/**
 * What signing in needs of the person's screen and keyboard.
 *
 * @module
 */

/** How a login talks to the person; replace what the application owns itself. */
export interface LoginUI {
  /** Opens `url` in a browser; `false` where that is not possible. The URL is shown in any case. */
  openBrowser?(url: URL): Promise<boolean>;
  /** Shows a message of one or more lines. */
  show?(message: string): void;
  /**
   * Asks for a line; `null` where there is no terminal or the input ended.
   * What is typed is not echoed. Rejects with the reason of `signal` when it aborts.
   */
  readLine?(prompt: string, options: { signal: AbortSignal }): Promise<string | null>;
}
