/**
 * Options of `Auth`: their shapes, defaults and checks.
 *
 * Every check happens before anything is read, sent or written.
 *
 * @module
 */

import type { ProfileClient } from "./client.ts";
import { type PlanetEnvironment, PRODUCTION, serverOrigin } from "./environment.ts";
import { AuthError } from "./errors.ts";
import type { AuthEvent } from "./events.ts";
import type { ObjectStorageProvider } from "./storage/objects.ts";
import type { ChosenStorage } from "./storage/select.ts";
import { type Clock, systemClock } from "./waiting.ts";

/** Where a session is kept and what it stands on. */
export interface SessionOptions {
  /** Name of the profile, one folder's name; default: the client ID. Normalised to lower case. */
  profileName?: string | undefined;
  /**
   * Whether state outlives the program; default: if there is a durable store. With `true`, a
   * runtime without one is an error (`storage_denied`); by default the session then stays in
   * memory, which the event `storage_chosen` tells.
   */
  saveStateToStorage?: boolean | undefined;
  /** Where state is kept; default: `defaultStorage()`. */
  storageProvider?: ObjectStorageProvider | undefined;
  /** Servers to talk to; default: `PRODUCTION`. */
  environment?: PlanetEnvironment | undefined;
  /** Origins that may receive a token; default: the environment's API origins. */
  allowedOrigins?: readonly string[] | undefined;
  /** Replaces the global `fetch`, for proxies and tests. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Replaces the system's clock, for tests. */
  clock?: Clock | undefined;
  /** Is told what happens to the session; what it throws is ignored. */
  onEvent?: ((event: AuthEvent) => void) | undefined;
  /**
   * Is handed every renewal, a promise that never rejects. On the edge, pass the platform's
   * `waitUntil`, so that a renewal behind a call's back outlives the request that began it. Renewals
   * then begin at 3/4 of a token's life from the first call on; else only once the session has been
   * in use for 30 seconds, so that short programs spend no one-time token.
   */
  waitUntil?: ((work: Promise<unknown>) => void) | undefined;
  /** Whether the client secret is stored; default: only in files shared with the command line. */
  saveClientSecret?: boolean | undefined;
}

/** Client of a person who signs in with a browser on this machine. */
export interface AuthCodeOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /**
   * Registered redirect URI on loopback, such as `http://localhost:8080`; port 0
   * means any free port (RFC 8252 §7.3).
   */
  callbackUrl: string;
  /** Scopes to ask for; default `planet` and `offline_access`. */
  requestedScopes?: readonly string[] | undefined;
}

/** Client of a person who signs in on a second screen (RFC 8628). */
export interface DeviceCodeOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /** Scopes to ask for; default `planet` and `offline_access`. */
  requestedScopes?: readonly string[] | undefined;
}

/** Client of a service account (RFC 6749 §4.4). */
export interface M2MOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /** Client secret (RFC 6749 §2.3.1). */
  clientSecret: string;
  /** Scopes to ask for; default: none, which leaves them to the server. */
  requestedScopes?: readonly string[] | undefined;
}

/** What a program may say about the session that the user has chosen; all of it may be left out. */
export interface DefaultSessionOptions extends SessionOptions {
  /** A profile, which then counts alone. */
  profileName?: string | undefined;
  /** A service account, with `clientSecret`. */
  clientId?: string | undefined;
  /** Secret of the service account. */
  clientSecret?: string | undefined;
  /** An API key. */
  apiKey?: string | undefined;
}

/** Where profiles are listed. */
export type ListProfilesOptions = Pick<SessionOptions, "environment" | "storageProvider">;

/** Options that hold for every kind of session, checked and complete. */
export interface CheckedOptions {
  /** Servers to talk to. */
  readonly environment: PlanetEnvironment;
  /** Origins that may receive a token. */
  readonly allowedOrigins: readonly string[];
  /** Time. */
  readonly clock: Clock;
}

/** Why it is this session and no other. */
export interface SessionOrigin {
  /** What named it: `the program`, `the variable PL_AUTH_PROFILE`, `"PL_AUTH_PROFILE" in …`. */
  readonly chosenBy: string;
  /** What named another one and lost, the strongest first. */
  readonly overrode: readonly string[];
  /** What could not be looked at, or did not count, and why. */
  readonly notes: readonly string[];
  /** Where the client is described: `arguments`, `built-in`, or the key of the object. */
  readonly settings: string;
}

/** What makes one session, checked. */
export interface Setup {
  /** Name of the profile, in lower case. */
  readonly profileName: string;
  /** What the program asked for. */
  readonly options: SessionOptions;
  /** The same, checked. */
  readonly checked: CheckedOptions;
  /** Who signs in, or which header is sent. */
  readonly client: ProfileClient;
  /** When `auth_client.json` is written with the tokens. */
  readonly writesClient: "always" | "if_present" | "never";
  /** The store where the profile was found. */
  readonly chosen?: ChosenStorage;
  /** What `explain()` tells of the choice. */
  readonly origin: SessionOrigin;
}

/** The error of an argument; `message` says what to do. */
export function invalid(message: string, cause?: unknown): AuthError {
  return new AuthError("invalid_argument", message, { cause });
}

/** What a header value may hold, without a space. */
const VISIBLE = /^[\x21-\x7e]+$/;

/** Checks that `value`, the option `name`, is a text that can be sent. */
export function checkText(value: unknown, name: string): string {
  if (typeof value !== "string") {
    throw new TypeError(`${name} must be a string, not ${value === null ? "null" : typeof value}.`);
  }
  if (VISIBLE.test(value)) return value;
  if (value.trim() === "") throw invalid(`Give a ${name}: it is empty.`);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(value) || value !== value.trim()) {
    throw invalid(`Check the ${name}: it has a space around it or a control character in it.`);
  }
  return value;
}

/** Checks an API key, the argument `name`. */
export function checkKey(value: unknown, name = "key"): string {
  const key = checkText(value, name);
  if (!VISIBLE.test(key)) throw invalid(`Check the ${name}: it cannot be sent in a header.`);
  return key;
}

/** Checks a client identifier (RFC 6749 §2.2) for what gets into it by copying. */
export function checkClientId(value: unknown): string {
  const clientId = checkText(value, "clientId");
  if (VISIBLE.test(clientId) && !/["'<>]/.test(clientId)) return clientId;
  throw invalid(
    "Copy the clientId again, as it is registered: it has a space, quote, angle bracket or " +
      "special character in it.",
  );
}

/** Scopes of Planet's server, for those who nearly wrote one. */
const KNOWN_SCOPES = ["planet", "offline_access", "openid", "profile", "email"];

/** Checks scopes (RFC 6749 §3.3); an empty list means the default, as in Python. */
export function checkScopes(
  scopes: readonly string[] | undefined,
  standard: readonly string[],
): readonly string[] {
  if (scopes === undefined) return standard;
  if (!Array.isArray(scopes)) throw new TypeError("requestedScopes must be an array of strings.");
  for (const scope of scopes) {
    if (typeof scope !== "string") throw new TypeError("requestedScopes must hold strings only.");
    const meant = scope.toLowerCase().replace(/[- ]/g, "_");
    if (meant !== scope && KNOWN_SCOPES.includes(meant)) {
      throw invalid(`Write ${meant} in requestedScopes: ${JSON.stringify(scope)} is another name.`);
    }
    if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope) || scope.includes(",")) {
      throw invalid(
        `Check requestedScopes, one name per entry: ${JSON.stringify(scope)} is no scope.`,
      );
    }
  }
  return scopes.length === 0 ? standard : [...scopes];
}

/** The origin of an option that tokens or secrets will be sent to: https, or http on loopback. */
function checkServer(value: unknown, name: string): string {
  const origin = serverOrigin(checkText(value, name));
  if (origin !== undefined) return origin;
  throw invalid(
    `Check ${name}: it must be an https URL, or an http URL on loopback for tests, ` +
      "without user name, password or fragment.",
  );
}

/** Checks an environment; the answer holds what this library knows of it, and nothing else. */
function checkEnvironment(environment: PlanetEnvironment): PlanetEnvironment {
  if (typeof environment !== "object" || environment === null) {
    throw new TypeError("environment must be a PlanetEnvironment.");
  }
  const { allowedOrigins, apiBaseUrl, audiences, m2mAuthServer, userAuthServer } = environment;
  checkServer(userAuthServer, "environment.userAuthServer");
  checkServer(m2mAuthServer, "environment.m2mAuthServer");
  checkServer(apiBaseUrl, "environment.apiBaseUrl");
  if (!Array.isArray(audiences)) {
    throw new TypeError("environment.audiences must be an array of strings.");
  }
  for (const audience of audiences) checkText(audience, "environment.audiences");
  const origins = allowedOrigins === undefined ? {} : { allowedOrigins };
  return { userAuthServer, m2mAuthServer, audiences, apiBaseUrl, ...origins };
}

/** Checks what all kinds of session share. */
export function checkSessionOptions(options: SessionOptions): CheckedOptions {
  const { clock = systemClock, saveStateToStorage, storageProvider } = options;
  const environment = options.environment === undefined || options.environment === PRODUCTION
    ? PRODUCTION
    : checkEnvironment(options.environment);
  const origins = options.allowedOrigins ?? environment.allowedOrigins ?? [environment.apiBaseUrl];
  if (!Array.isArray(origins)) throw new TypeError("allowedOrigins must be an array of strings.");
  for (const name of ["fetch", "onEvent", "waitUntil"] as const) {
    const value = options[name];
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`${name} must be a function.`);
    }
  }
  if (saveStateToStorage !== undefined && typeof saveStateToStorage !== "boolean") {
    throw new TypeError("saveStateToStorage must be true or false.");
  }
  if (storageProvider !== undefined) {
    for (const method of ["load", "save", "exists", "mtime", "rename"] as const) {
      if (typeof storageProvider?.[method] !== "function") {
        throw new TypeError(`storageProvider must have the method ${method}().`);
      }
    }
  }
  return {
    clock,
    environment,
    allowedOrigins: origins === PRODUCTION.allowedOrigins
      ? origins
      : origins.map((origin) => checkServer(origin, "allowedOrigins")),
  };
}
