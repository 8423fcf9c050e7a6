/**
 * A session to sign in to, without a store: what a sign-in asks of it, and what it did with it.
 *
 * @module
 */

import type { ClientSettings } from "../../lib/setup.ts";
import { AuthError } from "../../lib/errors.ts";
import type { UnnamedEvent } from "../../lib/events.ts";
import type { OAuthClient, PendingAuthorization } from "../../lib/oauth/client.ts";
import type { LoginOptions, SessionToSignIn } from "../../lib/sign_in/person.ts";
import { TokenSet } from "../../lib/token.ts";
import { abandonable, type Clock } from "../../lib/runtime.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";

/** The tokens that a fake server gives. */
export const TOKENS: TokenSet = TokenSet.fromResponse({ access_token: secret("a") }, 0);

/** What programs that share a store share. */
export interface Shared {
  /** Who signs in at the moment. */
  holder?: Promise<unknown> | undefined;
  /** Sign-ins that were stored. */
  signIns: number;
  /** Renewals that were. */
  renewals: number;
}

/** A session, and what happened to it. */
export interface FakeSession extends SessionToSignIn {
  /** What was stored. */
  readonly stored: TokenSet[];
  /** What the application was told: the steps by their names, other events by their types. */
  readonly told: string[];
}

/** Makes a session. */
export function fakeSession(
  oauth: Partial<OAuthClient> | OAuthClient,
  options: {
    client?: Partial<ClientSettings>;
    clock?: Clock;
    shared?: Shared;
    kept?: { durable: boolean; words: string };
  } = {},
): FakeSession {
  const { client, clock = fakeClock({ now: 1_700_000_000_000 }), kept } = options;
  const shared = options.shared ?? { signIns: 0, renewals: 0 };
  const stored: TokenSet[] = [];
  const told: string[] = [];
  return {
    stored,
    told,
    profileName: "my-app",
    client: {
      clientType: "oidc_auth_code",
      clientId: "app",
      authServer: "https://login.test/",
      audiences: [],
      scopes: [],
      ...(client?.clientType === "oidc_device_code"
        ? {}
        : { callbackUrl: "http://127.0.0.1:0/cb" }),
      ...client,
    },
    clock,
    oauth: () => Promise.resolve(oauth as OAuthClient),
    async alone(body, { onWaiting, signal }) {
      if (shared.holder !== undefined) onWaiting?.();
      while (shared.holder !== undefined) await abandonable(shared.holder, signal);
      const done = Promise.withResolvers<void>();
      shared.holder = done.promise;
      try {
        return await body({ signal: new AbortController().signal });
      } finally {
        shared.holder = undefined;
        done.resolve();
      }
    },
    signInMark: () => Promise.resolve(shared.signIns),
    adoptSignIn: (mark) => Promise.resolve(mark !== shared.signIns),
    signIn: (tokens) => {
      stored.push(tokens);
      shared.signIns++;
      return Promise.resolve();
    },
    tell: (event: UnnamedEvent) => told.push(event.type === "login_step" ? event.step : event.type),
    keptWhere: () => Promise.resolve(kept ?? { durable: true, words: "in /home/me" }),
  };
}

/** A server that gives {@linkcode TOKENS} for every code, and what it was asked. */
export interface FakeCodeServer extends Partial<OAuthClient> {
  /** What was redeemed: the answer's parameters and the redirect URI. */
  readonly redeemed: Record<string, string>[];
}

/** Makes a server of the authorization code grant; `codes` are all that it knows. */
export function fakeCodeServer(
  options: { codes?: readonly string[]; fail?: unknown; pending?: Partial<PendingAuthorization> } =
    {},
): FakeCodeServer {
  const { codes, fail, pending } = options;
  const redeemed: Record<string, string>[] = [];
  return {
    redeemed,
    authorize: () =>
      Promise.resolve({
        state: "the-state",
        nonce: "the-nonce",
        code_verifier: secret("verifier"),
        issuer: "https://login.test/",
        issuerRequired: false,
        formPost: false,
        ...pending,
      }),
    authorizationUrl: (pending: PendingAuthorization, redirectUri: string) => {
      const url = new URL("https://login.test/authorize");
      const { state } = pending;
      url.search = String(
        new URLSearchParams({ client_id: "app", redirect_uri: redirectUri, state }),
      );
      return Promise.resolve(url);
    },
    redeem: (_pending: PendingAuthorization, response: URLSearchParams, redirectUri: string) => {
      redeemed.push({ ...Object.fromEntries(response), redirectUri });
      if (fail !== undefined) return Promise.reject(fail);
      if (codes !== undefined && !codes.includes(response.get("code") ?? "")) {
        return Promise.reject(
          new AuthError("login_required", "unknown code", { oauthError: "invalid_grant" }),
        );
      }
      return Promise.resolve(TOKENS);
    },
  };
}

/** A person's screen for tests. */
export interface FakeScreen {
  /** Options of a login on this screen. */
  readonly options: LoginOptions;
  /** Messages that were shown. */
  readonly shown: string[];
  /** Pages that a browser was asked to open. */
  readonly opened: string[];
  /** What was asked. */
  readonly prompts: string[];
  /** The page to open, once it is shown. */
  readonly page: Promise<URL>;
}

/** Makes a screen; the lines are typed in turn, then nothing until the wait is over. */
export function fakeScreen(
  options: LoginOptions = {},
  ...lines: (string | null | Error)[]
): FakeScreen {
  const shown: string[] = [];
  const opened: string[] = [];
  const prompts: string[] = [];
  const page = Promise.withResolvers<URL>();
  return {
    shown,
    opened,
    prompts,
    page: page.promise,
    options: {
      allowTtyPrompt: lines.length > 0,
      ...options,
      ui: {
        show(message) {
          shown.push(message);
          const url = /^ {2}(\S+:\/\S+)$/m.exec(message)?.[1];
          if (url !== undefined) page.resolve(new URL(url));
        },
        openBrowser: (url) => (opened.push(url.href), Promise.resolve(true)),
        readLine: (prompt) => {
          prompts.push(prompt);
          const line = lines.shift();
          if (line instanceof Error) return Promise.reject(line);
          // Does not even heed the signal.
          return line === undefined ? new Promise(() => {}) : Promise.resolve(line);
        },
        ...options.ui,
      },
    },
  };
}

/** The browser comes back from `page` with an answer; the status of what it is shown. */
export async function comeBack(page: URL, answer: Record<string, string>): Promise<number> {
  const back = new URL(page.searchParams.get("redirect_uri")!);
  const state = page.searchParams.get("state")!;
  back.search = String(new URLSearchParams({ state, ...answer }));
  const response = await fetch(back, { redirect: "manual" });
  await response.body?.cancel();
  return response.status;
}
