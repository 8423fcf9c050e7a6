/**
 * The profiles that need no file: `planet-user`, `planet-m2m`, `legacy`.
 *
 * The same as in the Planet SDK for Python, and like there a file under such a
 * name is not looked at.
 *
 * @module
 */

import type { PlanetEnvironment } from "../environment.ts";
import { AuthError } from "../errors.ts";
import type { ProfileClient } from "../client.ts";

/** The profile of last resort: a person's session, shared with the command line. */
export const DEFAULT_PROFILE = "planet-user";

/** Prefix of the profiles that a service account of the environment gets. */
export const SERVICE_PROFILE = "planet-m2m";

/** Names of all of them; whether a list shows them. */
export const BUILTINS: Readonly<Record<string, { readonly hidden: boolean }>> = {
  [DEFAULT_PROFILE]: { hidden: false },
  [SERVICE_PROFILE]: { hidden: true },
  legacy: { hidden: true },
};

/** Client of Planet's SDK and command line; public. */
const SDK_CLIENT_ID = "49lHVBYlXCdfIYqE1B9zeXt0iFHSXees";

/**
 * The client of the built-in profile `name`; `undefined` where it is none.
 *
 * @throws {AuthError} `invalid_argument` for `planet-m2m`, which is a pattern without a client.
 */
export function builtinClient(
  name: string,
  { audiences, userAuthServer }: PlanetEnvironment,
): ProfileClient | undefined {
  if (name === DEFAULT_PROFILE) {
    return {
      clientType: "oidc_device_code",
      clientId: SDK_CLIENT_ID,
      authServer: userAuthServer,
      audiences,
      scopes: ["planet", "offline_access"],
    };
  }
  if (name === "legacy") return { keyType: "planet_legacy", prefix: "api-key" };
  if (name === SERVICE_PROFILE) {
    throw new AuthError(
      "invalid_argument",
      `Use Auth.fromOAuthM2M(), or set PL_AUTH_CLIENT_ID and PL_AUTH_CLIENT_SECRET: ` +
        `the built-in profile "${SERVICE_PROFILE}" has no client of its own.`,
    );
  }
  return undefined;
}
