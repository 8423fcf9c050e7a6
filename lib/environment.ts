/**
 * Where Planet's servers are, the scopes they know, and the version of this package.
 *
 * @module
 */

/** The servers that one deployment of Planet's platform consists of. */
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
  allowedOrigins?: readonly string[];
}

/** Planet's production servers. */
export const PRODUCTION: PlanetEnvironment = Object.freeze({
  userAuthServer: "https://login.planet.com/",
  m2mAuthServer: "https://services.sentinel-hub.com/auth/realms/main",
  audiences: Object.freeze(["https://api.planet.com/"]),
  apiBaseUrl: "https://api.planet.com",
  allowedOrigins: Object.freeze(["https://api.planet.com"]),
});

/** OAuth 2.0 scopes of Planet's authorization servers (RFC 6749 §3.3). */
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

/** Addresses that need no closer look: a plain https host, or http on loopback. */
const PLAIN_SERVER =
  /^(https:\/\/(?:[a-z\d]+\.)+[a-z]{2,}|http:\/\/(?:localhost|127\.0\.0\.1)(?::[1-9]\d{3}|:[1-5]\d{4})?)(?:\/[\w/-]*)?$/;

/**
 * The origin of an address that a secret or token may go to: https, or http on
 * loopback, without user name, password or fragment. `undefined` for any other.
 */
export function serverOrigin(text: string): string | undefined {
  const plain = PLAIN_SERVER.exec(text)?.[1];
  if (plain !== undefined || !URL.canParse(text)) return plain;
  const { hash, hostname, origin, password, protocol, username } = new URL(text);
  if (username !== "" || password !== "" || hash !== "") return undefined;
  const loopback = protocol === "http:" && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
  return protocol === "https:" || loopback ? origin : undefined;
}

/** Version of this package, for the `User-Agent` header; a test keeps it equal to `deno.json`'s. */
export const VERSION = "0.1.0";
