/**
 * What makes a session: the servers, the client, the options and their checks, the names of profiles.
 *
 * Words that the rooms share. Every check happens before anything is read, sent or written.
 *
 * @module
 */

import { AuthError } from "./errors.ts";
import type { AuthEvent } from "./events.ts";
import type { FetchLike } from "./exchange.ts";
import type { ChosenStorage, JsonObject, ObjectStorageProvider } from "./storage/objects.ts";
import { type Clock, systemClock } from "./runtime.ts";

/**
 * Option `environment` of all constructors: the servers that one deployment of Planet's platform
 * consists of, or those of a sandbox.
 *
 * @category Environments
 */
export interface PlanetEnvironment {
  /** Issuer of the authorization server for people (RFC 8414 §2). */
  userAuthServer: string;
  /** Issuer of the authorization server for service accounts (RFC 8414 §2). */
  m2mAuthServer: string;
  /** `audience` asked for; several are joined with a space, as in Python. */
  audiences: readonly string[];
  /** Base of the Planet APIs, without a trailing slash. */
  apiBaseUrl: string;
  /** Origins that may receive a token; default: the origin of `apiBaseUrl`. */
  allowedOrigins?: readonly string[] | undefined;
}

/**
 * Planet's production servers, which are used if no `environment` is given.
 *
 * @category Environments
 */
export const PRODUCTION: PlanetEnvironment = Object.freeze({
  userAuthServer: "https://login.planet.com/",
  m2mAuthServer: "https://services.sentinel-hub.com/auth/realms/main",
  audiences: Object.freeze(["https://api.planet.com/"]),
  apiBaseUrl: "https://api.planet.com",
  allowedOrigins: Object.freeze(["https://api.planet.com"]),
});

/**
 * Scopes to ask for in `requestedScopes`, as Planet's authorization servers name them (RFC 6749
 * §3.3).
 *
 * @category Sign in
 */
export const PlanetOAuthScopes: {
  /** Calls to Planet's APIs. */
  readonly PLANET: "planet";
  /** A refresh token, so that signing in once is enough. */
  readonly OFFLINE_ACCESS: "offline_access";
  /** An ID token (OpenID Connect Core §3.1.2.1). */
  readonly OPENID: "openid";
  /** Profile claims of the user. */
  readonly PROFILE: "profile";
  /** E-mail claims of the user. */
  readonly EMAIL: "email";
} = Object.freeze({
  PLANET: "planet",
  OFFLINE_ACCESS: "offline_access",
  OPENID: "openid",
  PROFILE: "profile",
  EMAIL: "email",
});

/**
 * The origin of an address that a secret or token may go to: https, or http on
 * loopback, without user name, password or fragment. `undefined` for any other.
 */
export function serverOrigin(text: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const { hash, hostname, origin, password, protocol, username } = url;
  if (username !== "" || password !== "" || hash !== "") return undefined;
  const isLoopback = protocol === "http:" &&
    ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return protocol === "https:" || isLoopback ? origin : undefined;
}

/**
 * Version of this package, for the `User-Agent` header; a test keeps it equal to `deno.json`'s.
 *
 * @category Environments
 */
export const VERSION = "0.2.0";

/** How a client signs in, and how it proves who it is: with nothing, a secret or a key. */
export type ClientType =
  | `oidc_${"auth_code" | "device_code"}${"" | "_secret" | "_pubkey"}`
  | `oidc_client_credentials${"_secret" | "_pubkey"}`;

/** Types of a profile that sends a fixed header, or none. */
export type KeyType = "none" | "planet_legacy" | "static_apikey";

/** Private key of a client that signs its requests (RFC 7523 §2.2). */
export interface PrivateKeySource {
  /** The key itself, as PEM. */
  readonly pem?: string;
  /** File that holds it, as PEM. */
  readonly file?: string;
  /** Password of an encrypted one. */
  readonly password?: string;
}

/** A profile's page at the end of signing in with a browser, as HTML. */
export interface AcknowledgementSource {
  /** The page itself. */
  readonly html?: string;
  /** File that holds it. */
  readonly file?: string;
}

/** Endpoints that a profile names in place of those that the server announces. */
export interface EndpointOverrides {
  /** RFC 6749 §3.1. */
  readonly authorization_endpoint?: string;
  /** RFC 8628 §3.1. */
  readonly device_authorization_endpoint?: string;
  /** RFC 7662 §2. */
  readonly introspection_endpoint?: string;
  /** Keys of the server (RFC 7517). */
  readonly jwks_uri?: string;
  /** RFC 7009 §2. */
  readonly revocation_endpoint?: string;
  /** RFC 6749 §3.2. */
  readonly token_endpoint?: string;
  /** OpenID Connect Core §5.3. */
  readonly userinfo_endpoint?: string;
}

/** What a profile's client is. */
export interface ClientSettings {
  /** `client_type` of the file. */
  readonly clientType: ClientType;
  /** Client identifier (RFC 6749 §2.2). */
  readonly clientId: string;
  /** Client secret, where the file may hold it. */
  readonly clientSecret?: string;
  /** Private key, for the types that end in `_pubkey`. */
  readonly privateKey?: PrivateKeySource;
  /** Where the authorization server is found. */
  readonly authServer: string;
  /** Issuer, where it differs from `authServer`. */
  readonly issuer?: string;
  /** Endpoints that are not asked for. */
  readonly endpoints?: EndpointOverrides;
  /** Audiences to ask for. */
  readonly audiences: readonly string[];
  /** Scopes to ask for. */
  readonly scopes: readonly string[];
  /** Redirect URI, for the authorization code grant. */
  readonly callbackUrl?: string;
  /** Redirect URI where the browser runs elsewhere and the code is pasted; default `callbackUrl`. */
  readonly remoteCallbackUrl?: string;
  /** The page that says that signing in is done, where the profile brings its own. */
  readonly acknowledgement?: AcknowledgementSource;
  /** More parameters of a sign-in: `organization`, `project_id`. */
  readonly extra?: Readonly<Record<string, string>>;
}

/** What a profile without OAuth sends. */
export interface KeySettings {
  /** `client_type` of the file. */
  readonly keyType: KeyType;
  /** The key; absent: it lies in the profile's token object, or none is sent. */
  readonly apiKey?: string;
  /** What precedes the key in the header. */
  readonly prefix: string;
}

/** A profile's client: one of the two. */
export type ProfileClient = ClientSettings | KeySettings;

/** Longest name in UTF-8 bytes, so that a file system takes it as one directory. */
const LONGEST_NAME = 128;

/** Device names that Windows opens instead of a folder, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/;

/** Names that the file store gives to its own locks and unfinished files. */
const RESERVED = /\.lock(\.[0-9a-f]{32})?$|\.[0-9a-f]{32}\.tmp$/;

/** Names that need no closer look. */
const PLAIN_NAME = /^(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z\d_-]{1,60}$/;

/**
 * Brings a profile name to the form that is stored: lower case.
 *
 * @throws {AuthError} `invalid_argument` where it cannot be one directory's name.
 */
export function normalizeProfileName(name: string): string {
  if (typeof name !== "string") {
    throw new TypeError(`profileName must be a string, not ${typeof name}.`);
  }
  const normalized = name.toLowerCase();
  if (PLAIN_NAME.test(normalized)) return normalized;
  const problem = normalized.trim() === ""
    ? "it is empty"
    : /[/\\]/.test(normalized)
    ? "it holds a path separator"
    : normalized === "." || normalized === ".."
    ? 'it is "." or ".."'
    // deno-lint-ignore no-control-regex
    : /[\x00-\x1f\x7f-\x9f]/.test(normalized)
    ? "it holds a control character"
    : !normalized.isWellFormed()
    ? "it holds half a surrogate pair"
    : /[<>:"|?*]/.test(normalized)
    ? 'it holds one of the characters < > : " | ? *'
    : /[. ]$/.test(normalized)
    ? "it ends in a dot or a space"
    : DEVICE.test(normalized) || RESERVED.test(normalized)
    ? "a system or a store has another use for it"
    // A character takes at most three bytes for each of its units.
    : normalized.length > LONGEST_NAME / 3 &&
        new TextEncoder().encode(normalized).length > LONGEST_NAME
    ? `it is longer than ${LONGEST_NAME} bytes`
    : undefined;
  if (problem !== undefined) {
    throw new AuthError(
      "invalid_argument",
      `Choose another profileName, such as "my-app": ${problem}.`,
    );
  }
  return normalized;
}

/** Names of the profiles that need no file; a program's own session cannot have one of them. */
export const BUILTIN_NAMES: readonly string[] = ["planet-user", "planet-m2m", "legacy"];

/** What is stored under a profile. Under `login` nothing is: it is the name of a lock. */
export type ProfileObject =
  | "auth_client"
  | "auth_client.sops"
  | "discovery"
  | "login"
  | "refresh_state"
  | "token"
  | "token.sops";

/** Key of an object of a profile, such as `.planet/my-app/token.json`. */
export function profileKey(profileName: string, object: ProfileObject): string {
  return `.planet/${profileName}/${object}.json`;
}

/** Tells whether a client signs in by itself. */
export function isService({ clientType }: ClientSettings): boolean {
  return clientType.startsWith("oidc_client_credentials");
}

/** Tells whether a profile sends a fixed header, or none. */
export function isKey(client: ProfileClient): client is KeySettings {
  return "keyType" in client;
}

/** A redirect URI that was checked. */
export interface ParsedCallbackUrl {
  /** The URI as it was registered, spelling preserved. */
  callbackUrl: string;
  /** What a listener binds; absent: it is `https` or a private scheme, which nobody listens on here. */
  loopback?: Loopback;
}

/** Where a listener on this computer is. */
export interface Loopback {
  /** Host: `localhost`, `127.0.0.1` or `[::1]`. */
  host: string;
  /** Port to bind; 0 means any free one, and a URL without a port means 80. */
  port: number;
  /** Exact path of the callback. */
  pathname: string;
}

const LOOPBACK = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?(\/[^?#\\\s]*)?$/i;

/** A server of the application's own, or a private scheme, which is a domain name in reverse (RFC 8252 §7.1). */
const ELSEWHERE =
  /^(https:\/\/[^/?#@\\\s]+(?:[/?][^#\\\s]*)?|[a-z][\w+-]*(?:\.[\w+-]+)+:\/[^#\\\s]*)$/i;

/** What is wrong with a text that is no such URI; the text itself may hold a password. */
function faultOf(text: string): string {
  if (/\s/.test(text)) return "it has a space in it";
  if (text.includes("#")) return "it has a fragment (#) in it";
  if (/^https?:\/\/[^/?#]*@/i.test(text)) return "it has a user name in it";
  if (!/^http:\/\//i.test(text)) {
    return "it begins with none of http://, https:// and a private scheme such as com.example.app:/";
  }
  if (text.includes("?")) return "it has a query (?) in it";
  const [, host, port] = /^http:\/\/(\[[^\]]*\]|[^:/]*)(?::([^/]*))?/i.exec(text) ?? [];
  if (!/^(localhost|127\.0\.0\.1|\[::1\])$/i.test(host ?? "")) {
    return "its host is none of localhost, 127.0.0.1, [::1]; for others, use https";
  }
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535)) {
    return "its port is no number from 0 to 65535";
  }
  return "its path cannot be used";
}

/**
 * Checks `text`, a redirect URI: loopback, `https`, or a private scheme (RFC 8252 §7).
 *
 * @throws {AuthError} `invalid_argument`, naming the field `name`.
 */
export function parseCallbackUrl(text: string, name = "callbackUrl"): ParsedCallbackUrl {
  const match = LOOPBACK.exec(text);
  const port = Number(match?.[2] ?? 80);
  const isUsable = match === null ? ELSEWHERE.test(text) : port <= 65535;
  if (!isUsable || !URL.canParse(text)) {
    throw new AuthError(
      "invalid_argument",
      `Set ${name} to http://localhost:PORT/PATH (or 127.0.0.1, [::1]), https://… or ` +
        `com.example.app:/PATH, as it is registered: ${faultOf(text)}.`,
    );
  }
  if (match === null) return { callbackUrl: text };
  const { pathname } = new URL(text);
  return { callbackUrl: text, loopback: { host: match[1]!.toLowerCase(), port, pathname } };
}

/**
 * Options that all constructors take: where a session is kept and what it stands on.
 *
 * @category Sign in
 */
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
  fetch?: FetchLike | undefined;
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

/**
 * Options of {@linkcode Auth.fromOAuthUserAuthCode}: a person signs in with a browser on this
 * machine.
 *
 * @category Sign in
 */
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

/**
 * Options of {@linkcode Auth.fromOAuthUserDeviceCode}: a person signs in on a second screen (RFC
 * 8628).
 *
 * @category Sign in
 */
export interface DeviceCodeOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /** Scopes to ask for; default `planet` and `offline_access`. */
  requestedScopes?: readonly string[] | undefined;
}

/**
 * Options of {@linkcode Auth.fromOAuthM2M}: a service account signs in, without a person (RFC 6749
 * §4.4).
 *
 * @category Sign in
 */
export interface M2MOptions extends SessionOptions {
  /** Client identifier (RFC 6749 §2.2). */
  clientId: string;
  /** Client secret (RFC 6749 §2.3.1). */
  clientSecret: string;
  /** Scopes to ask for; default: none, which leaves them to the server. */
  requestedScopes?: readonly string[] | undefined;
}

/**
 * Options of {@linkcode Auth.fromProfile} and {@linkcode Auth.fromUserDefaultSession}; all of them
 * may be left out.
 *
 * @category Profiles
 */
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

/**
 * Options of {@linkcode Auth.listProfiles}: where profiles are listed.
 *
 * @category Profiles
 */
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

/**
 * Why it is this session and no other.
 *
 * @category Profiles
 */
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
  /** The object that the client was read from, if it was. */
  readonly members?: JsonObject;
  /** The store where the profile was found. */
  readonly chosen?: ChosenStorage;
  /** What `explain()` tells of the choice. */
  readonly origin: SessionOrigin;
}

/** The error of an argument; `message` says what to do. */
export function invalid(message: string, cause?: unknown): AuthError {
  return new AuthError("invalid_argument", message, { cause });
}

/** Every option that a constructor of `Auth` takes. */
const OPTION_NAMES = ("allowedOrigins apiKey callbackUrl clientId clientSecret clock environment " +
  "fetch onEvent profileName requestedScopes saveClientSecret saveStateToStorage storageProvider " +
  "waitUntil").split(" ");

/** Checks that `options` is an object that has options of `Auth` only, and names the right one. */
export function checkNames(options: object): void {
  if (Object(options) !== options) {
    throw new TypeError('Pass the options as one object, such as { clientId: "…" }.');
  }
  for (const name in options) {
    if (OPTION_NAMES.includes(name)) continue;
    const plain = name.toLowerCase().replace(/[_-]/g, "");
    if (/^allow[ot]/.test(plain)) {
      throw new TypeError(
        `Pass ${name} to ensureInitialized() or userLogin(): no constructor has it.`,
      );
    }
    const like = (fits: (known: string) => boolean) =>
      OPTION_NAMES.find((known) => fits(known.toLowerCase()));
    const meant = like((known) => known === plain) ?? like((known) => known.includes(plain)) ??
      (/^redirect/.test(plain)
        ? "callbackUrl"
        : like((known) => known.slice(0, 5) === plain.slice(0, 5)));
    throw new TypeError(
      `${meant ? `Write ${meant}` : "Leave it out"}: there is no option ${JSON.stringify(name)}.`,
    );
  }
}

/** What a header value may hold, without a space. */
const VISIBLE = /^[\x21-\x7e]+$/;

/** The same without quotes and angle brackets, which come with what is copied. */
const CLIENT_ID = /^[\x21\x23-\x26\x28-\x3b\x3d\x3f-\x7e]+$/;

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
  if (CLIENT_ID.test(clientId)) return clientId;
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
  checkNames(options);
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
