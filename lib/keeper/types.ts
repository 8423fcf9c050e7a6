/**
 * What a keeper stands on; `auth.ts` supplies it.
 *
 * @module
 */

import type { Clock } from "../waiting.ts";
import type { AuthEvent } from "../events.ts";
import type { ObjectStorageProvider } from "../storage/objects.ts";
import type { TokenSet } from "../token.ts";

/** Gets new tokens without a person. */
export interface Renewal {
  /**
   * Spends the refresh token of `current` (RFC 6749 §6).
   *
   * @throws {AuthError} `session_expired` with `oauthError` `invalid_grant` where it is dead.
   */
  refresh(current: TokenSet): Promise<TokenSet>;
  /** Signs in unattended (RFC 6749 §4.4); absent where a person must. */
  login?(): Promise<TokenSet>;
}

/** What a keeper stands on. */
export interface KeeperOptions {
  /** Profile that events and messages name. */
  readonly profileName: string;
  /** Key of the token object. */
  readonly tokenKey: string;
  /** The store; asked for at the first use. */
  readonly storage: () => Promise<ObjectStorageProvider>;
  /** Gets new tokens. */
  readonly renewal: Renewal;
  /** Time. */
  readonly clock: Clock;
  /** Is told what happens; what it throws is ignored. */
  readonly onEvent?: (event: AuthEvent) => void;
  /** Is handed every renewal, which others may wait for when its first caller has gone. */
  readonly waitUntil?: (work: Promise<unknown>) => void;
  /** Whether what a caller began ends when it has its answer, as on the edge; default false. */
  readonly endsWithCaller?: boolean;
  /** Writes what must lie beside the first tokens; called before they are saved. */
  readonly prepareStorage: (storage: ObjectStorageProvider) => Promise<void>;
  /**
   * Checks that what is stored belongs to this client, before any of it is sent.
   *
   * @throws {AuthError} `login_required` where it does not.
   */
  readonly checkOwner: (storage: ObjectStorageProvider) => Promise<void>;
}

/**
 * How a session's tokens stand. `none`: there are no tokens. `valid`, `refresh_due` (past 3/4 of
 * its life), `expired`: the access token. `dead`: expired, and the refresh token was refused.
 * `corrupt`: what is stored cannot be read.
 */
export type TokenState = "none" | "valid" | "refresh_due" | "expired" | "dead" | "corrupt";

/** What is known of a session without asking the authorization server. */
export interface KnownState {
  /** How the tokens stand. */
  readonly state: TokenState;
  /** The tokens, where there are any. */
  readonly tokens?: TokenSet;
  /** Until when the server wants no token request, in epoch milliseconds. */
  readonly retryAt?: number;
}
