/**
 * What a client is, and the names that profiles have: words that the rooms share.
 *
 * @module
 */

import { AuthError } from "./errors.ts";

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
