/**
 * Options of `Auth`: their shapes, defaults and checks.
 *
 * Every check happens before anything is read, sent or written.
 *
 * @module
 */

import { type Clock, systemClock } from "./waiting.ts";
import { type PlanetEnvironment, PRODUCTION, serverOrigin } from "./environment.ts";
import { AuthError } from "./errors.ts";
import type { AuthEvent } from "./events.ts";
import type { ObjectStorageProvider } from "./storage/objects.ts";

/** Where a session is kept and what it stands on. */
export interface SessionOptions {
  /** Name of the profile, one directory's name; default: the client ID. Normalised to lower case. */
  profileName?: string;
  /** Whether state outlives the program; default true. */
  saveStateToStorage?: boolean;
  /** Where state is kept; default: `defaultStorage()`. */
  storageProvider?: ObjectStorageProvider;
  /** Servers to talk to; default: `PRODUCTION`. */
  environment?: PlanetEnvironment;
  /** Origins that may receive a token; default: the environment's API origins. */
  allowedOrigins?: readonly string[];
  /** Replaces the global `fetch`, for proxies and tests. */
  fetch?: typeof globalThis.fetch;
  /** Replaces the system's clock, for tests. */
  clock?: Clock;
  /** Is told what happens to the session; what it throws is ignored. */
  onEvent?: (event: AuthEvent) => void;
  /**
   * Is handed every renewal, a promise that never rejects. On the edge, pass the platform's
   * `waitUntil`, so that a renewal behind a call's back outlives the request that began it; where there is none,
   * that request waits for it.
   */
  waitUntil?: (work: Promise<unknown>) => void;
  /** Whether the client secret is stored; default: only in files shared with the command line. */
  saveClientSecret?: boolean;
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
  requestedScopes?: readonly string[];
}

/** Client of a person who signs in on a second screen (RFC 8628). */
export interface DeviceCodeOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /** Scopes to ask for; default `planet` and `offline_access`. */
  requestedScopes?: readonly string[];
}

/** Client of a service account (RFC 6749 §4.4). */
export interface M2MOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /** Client secret (RFC 6749 §2.3.1). */
  clientSecret: string;
  /** Scopes to ask for; default: none, which leaves them to the server. */
  requestedScopes?: readonly string[];
}

/** What a program may say about the session that the user has chosen; all of it may be left out. */
export interface DefaultSessionOptions extends SessionOptions {
  /** A profile, which then counts alone. */
  profileName?: string;
  /** A service account, with `clientSecret`. */
  clientId?: string;
  /** Secret of the service account. */
  clientSecret?: string;
  /** An API key. */
  apiKey?: string;
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

function invalid(message: string, cause?: unknown): AuthError {
  return new AuthError("invalid_argument", message, { cause });
}

/** Texts that need no closer look; each further expression takes a start's time. */
const PLAIN_TEXT = /^[\w.:/@+-]+$/;

/** Checks that `value`, the option `name`, is a text that can be sent. */
export function checkText(value: unknown, name: string): string {
  if (typeof value === "string" && PLAIN_TEXT.test(value)) return value;
  if (typeof value !== "string") {
    throw new TypeError(`${name} must be a string, not ${value === null ? "null" : typeof value}.`);
  }
  if (value.trim() === "") throw invalid(`Give a ${name}: it is empty.`);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(value) || value !== value.trim()) {
    throw invalid(`Check the ${name}: it has a space around it or a control character in it.`);
  }
  return value;
}

/** What a header value may hold. */
const SENDABLE = /^[\x21-\x7e]+$/;

/** Checks an API key, the argument `name`. */
export function checkKey(value: unknown, name = "key"): string {
  const key = checkText(value, name);
  if (!SENDABLE.test(key)) throw invalid(`Check the ${name}: it cannot be sent in a header.`);
  return key;
}

/** Checks a client identifier (RFC 6749 §2.2) for what gets into it by copying. */
export function checkClientId(value: unknown): string {
  const clientId = checkText(value, "clientId");
  if (PLAIN_TEXT.test(clientId)) return clientId;
  if (!/^[\x21-\x7e]+$/.test(clientId) || /["'<>]/.test(clientId)) {
    throw invalid(
      "Copy the clientId again, as it is registered: it has a space, quote, angle bracket or " +
        "special character in it.",
    );
  }
  return clientId;
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

function checkEnvironment(environment: PlanetEnvironment): void {
  if (typeof environment !== "object" || environment === null) {
    throw new TypeError("environment must be a PlanetEnvironment.");
  }
  checkServer(environment.userAuthServer, "environment.userAuthServer");
  checkServer(environment.m2mAuthServer, "environment.m2mAuthServer");
  checkServer(environment.apiBaseUrl, "environment.apiBaseUrl");
  const { audiences } = environment;
  if (!Array.isArray(audiences)) {
    throw new TypeError("environment.audiences must be an array of strings.");
  }
  for (const audience of audiences) checkText(audience, "environment.audiences");
}

function checkFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`${name} must be a function.`);
  }
}

function checkProvider(provider: ObjectStorageProvider | null): void {
  for (const method of ["load", "save", "exists", "mtime", "rename"] as const) {
    if (typeof provider?.[method] !== "function") {
      throw new TypeError(`storageProvider must have the method ${method}().`);
    }
  }
}

/** Checks what all kinds of session share. */
export function checkSessionOptions(options: SessionOptions): CheckedOptions {
  const { clock = systemClock, environment = PRODUCTION, storageProvider } = options;
  const { fetch, onEvent, waitUntil } = options;
  if (environment !== PRODUCTION) checkEnvironment(environment);
  const origins = options.allowedOrigins ?? environment.allowedOrigins ?? [environment.apiBaseUrl];
  if (!Array.isArray(origins)) throw new TypeError("allowedOrigins must be an array of strings.");
  checkFunction(fetch, "fetch");
  checkFunction(onEvent, "onEvent");
  checkFunction(waitUntil, "waitUntil");
  if (storageProvider !== undefined) checkProvider(storageProvider);
  return {
    clock,
    environment,
    allowedOrigins: environment === PRODUCTION && options.allowedOrigins === undefined
      ? origins
      : origins.map((origin) => checkServer(origin, "allowedOrigins")),
  };
}
