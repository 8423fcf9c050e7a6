/**
 * What an application may be told about its session. Events hold no secret.
 *
 * @module
 */

import type { AuthErrorCode } from "./errors.ts";

/**
 * How far a person's sign-in is: it waits for another program that signs in to the same profile
 * (`waiting_for_other_process`), and has that program's session (`session_adopted`) or goes on
 * without (`taken_over`); its page was shown, its browser was opened or not; an answer of the
 * server came (`answer_received`), or something that is none (`answer_refused`), which is asked for again.
 *
 * @category Events and reports
 */
export type LoginStep =
  | "waiting_for_other_process"
  | "session_adopted"
  | "taken_over"
  | "page_shown"
  | "browser_opened"
  | "browser_not_opened"
  | "answer_received"
  | "answer_refused";

/**
 * What `onEvent` of a constructor of {@linkcode Auth} is told: something happened to the session;
 * tell apart by `type`. Times are epoch milliseconds.
 *
 * @category Events and reports
 */
export type AuthEvent =
  | {
    /** A person is asked to sign in, or a service account signs in. */
    readonly type: "login_started";
    /** Profile that it happened to. */
    readonly profileName: string;
  }
  | {
    /** A person's sign-in came a step further. */
    readonly type: "login_step";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** How far it is. */
    readonly step: LoginStep;
  }
  | {
    /** Tokens were received by signing in, and stored. */
    readonly type: "login_succeeded";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** End of the access token's life. */
    readonly expiresAt?: number;
  }
  | {
    /** Tokens were renewed, and stored. */
    readonly type: "token_refreshed";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** End of the access token's life. */
    readonly expiresAt?: number;
    /** Whether nobody waited for it. */
    readonly background: boolean;
  }
  | {
    /** Newer tokens were found in the storage; a sibling had renewed them. */
    readonly type: "token_adopted";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** End of the access token's life. */
    readonly expiresAt?: number;
  }
  | {
    /** Renewing failed; callers get the old token as long as it lives. */
    readonly type: "refresh_failed";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** Why; as in the error that a waiting caller gets. */
    readonly code: AuthErrorCode;
    /** Whether nobody waited for it. */
    readonly background: boolean;
    /** When it is tried again at the earliest. */
    readonly retryAt?: number;
  }
  | {
    /** The default store was chosen; told once, when it is opened. */
    readonly type: "storage_chosen";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** Which store: `file`, `kv` or `memory`. */
    readonly storage: string;
    /** Whether it outlives the program. */
    readonly durable: boolean;
    /** Why it is this one. */
    readonly reason: string;
  }
  | {
    /** The store cannot be written; a service account's session goes on in memory. */
    readonly type: "session_not_kept";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** Why. */
    readonly code: AuthErrorCode;
  }
  | {
    /** What was stored under the profile was put under another name, so that a sign-in can be stored. */
    readonly type: "session_set_aside";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** Whether it could not be read, or belongs to another client. */
    readonly reason: "unreadable" | "other_client";
  }
  | {
    /** The session was ended by `logout()`. */
    readonly type: "logged_out";
    /** Profile that it happened to. */
    readonly profileName: string;
    /** Whether the authorization server confirmed the revocation (RFC 7009). */
    readonly revoked: boolean;
  };

/** `Omit` over each member of a union. */
type DistributedOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** An event before the session that tells it names its profile. */
export type UnnamedEvent = DistributedOmit<AuthEvent, "profileName">;

/**
 * What every {@linkcode SessionEvent} tells of its request.
 *
 * @category Events and reports
 */
export interface RequestEvent {
  /** Number of the request in its session, from 1 on; its repetitions have the same. */
  readonly id: number;
  /** Method of the request. */
  readonly method: string;
  /** Origin and path, without the query; of a link of an API the origin alone. */
  readonly url: string;
  /** How often it was sent by now, from 1 on. */
  readonly attempt: number;
  /** How long it took or takes, in milliseconds; 0 of a request that is just sent. */
  readonly ms: number;
}

/**
 * What `onEvent` of a {@linkcode Session} is told: something happened to a request; tell apart by
 * `type`. Holds no secret.
 *
 * @category Events and reports
 */
export type SessionEvent =
  | RequestEvent & {
    /** It is sent, with credentials. */
    readonly type: "request";
  }
  | RequestEvent & {
    /** It was answered; `ms` counts from the request. */
    readonly type: "answer";
    /** HTTP status. */
    readonly status: number;
  }
  | RequestEvent & {
    /** It was not answered, or the answer broke off; `ms` counts from the request. */
    readonly type: "failure";
    /** Why: an `AuthErrorCode`, or the name of another error. */
    readonly code: string;
  }
  | RequestEvent & {
    /** It will be sent again in `ms`. */
    readonly type: "pause";
    /** When, in epoch milliseconds. */
    readonly retryAt: number;
    /** Status that it was answered with. */
    readonly status?: number;
    /** Why it was not answered. */
    readonly code?: string;
  }
  | RequestEvent & {
    /** It is sent again, `ms` after the attempt before. */
    readonly type: "repetition";
    /** Status that it was answered with. */
    readonly status?: number;
    /** Why it was not answered. */
    readonly code?: string;
  }
  | RequestEvent & {
    /** It waited for `ms`, since the session sends no more at once or in a second. */
    readonly type: "throttling";
  }
  | {
    /** A list ended at its limit, and there is more. */
    readonly type: "limit";
    /** Method of the list's request. */
    readonly method: string;
    /** Origin and path of its last page. */
    readonly url: string;
    /** The limit. */
    readonly limit: number;
  };
