/**
 * What the ways to sign in stand on and give back.
 *
 * @module
 */

import type { Listen, RenderCallbackPage } from "../callback/types.ts";
import type { Clock } from "../waiting.ts";
import type { OAuthClient } from "../oauth/client.ts";
import type { LoginUI } from "../terminal/types.ts";

export type { DeviceAuthorization } from "../oauth/client.ts";

/** What signing in may do, and how the caller stops it. */
export interface LoginOptions {
  /** Lets the login open a browser; default false. */
  allowOpenBrowser?: boolean;
  /** Lets the login ask on the terminal; default false. */
  allowTtyPrompt?: boolean;
  /** Ends the login; the promise rejects with its reason. */
  signal?: AbortSignal;
  /** Longest time for the whole login, in milliseconds; default 5 minutes. */
  timeoutMs?: number;
  /** Screen and keyboard; default: the runtime's browser opener and terminal (stderr). */
  ui?: LoginUI;
  /** Name of the application for pages and messages; default: the profile's name. */
  applicationName?: string;
  /** Writes the HTML that the browser shows at the end; default: the library's own pages. */
  callbackPage?: RenderCallbackPage;
  /** Is told before each wait how a device login stands; what it throws is ignored. */
  onPending?: (progress: LoginProgress) => void;
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

/** A login that needs a person, with all that it stands on. */
export interface InteractiveLogin {
  /** The client that signs the person in. */
  readonly client: OAuthClient;
  /** Time. */
  readonly clock: Clock;
  /** Screen and keyboard. */
  readonly ui: LoginUI;
  /** Whether a browser may be opened. */
  readonly allowOpenBrowser: boolean;
  /** Whether the person may be asked for input. */
  readonly allowTtyPrompt: boolean;
  /** Name of the application, for pages and messages. */
  readonly applicationName: string;
  /** Ends the login, by the caller's wish or by its time limit. */
  readonly signal: AbortSignal;
  /** Time that the login has, in milliseconds, for the person to see. */
  readonly leftMs: number;
  /** Is told how a device login stands. */
  readonly onPending?: (progress: LoginProgress) => void;
}

/** A login by authorization code. */
export interface AuthorizationCodeLogin extends InteractiveLogin {
  /** Redirect URI as registered; port 0 means any free port (RFC 8252 §7.3). */
  readonly callbackUrl: string;
  /** Binds the listener. */
  readonly listen: Listen;
  /** Replaces the pages that the browser shows. */
  readonly callbackPage?: RenderCallbackPage;
}
