/**
 * `auth_client.json`: which client a profile signs in with, as the Planet SDK
 * for Python and its command line write and read it.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { JsonObject, ObjectStorageProvider } from "../storage/objects.ts";
import { type ClientSettings, isService, profileKey } from "../client.ts";

/** The members that Python's constructors write. */
function membersOf(settings: ClientSettings): JsonObject {
  const { audiences, authServer, callbackUrl, clientId, clientSecret, clientType } = settings;
  return {
    _comment: "OIDC/OAuth server used by Planet Public API endpoints",
    audiences: [...audiences],
    auth_server: authServer,
    client_id: clientId,
    client_type: clientType,
    scopes: [...settings.scopes],
    ...(callbackUrl === undefined
      ? {}
      : { redirect_uri: callbackUrl, local_redirect_uri: callbackUrl }),
    ...(isService(settings) ? { _hidden: true } : {}),
    ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
  };
}

/** Writes the file where it says something else, keeping the members that it alone has. */
export async function writeAuthClient(
  storage: ObjectStorageProvider,
  profileName: string,
  settings: ClientSettings,
): Promise<void> {
  const key = profileKey(profileName, "auth_client");
  const stored = await storage.load(key).catch(async (error) => {
    if (!(error instanceof AuthError) || error.code !== "storage_corrupt") throw error;
    await storage.rename(key, `${key}.corrupt`);
    return undefined;
  });
  const wanted: JsonObject = { ...stored, ...membersOf(settings) };
  // A secret of another client must not stay beside this one's identifier.
  if (stored?.client_id !== settings.clientId && settings.clientSecret === undefined) {
    delete wanted.client_secret;
  }
  if (JSON.stringify(stored) !== JSON.stringify(wanted)) await storage.save(key, wanted);
}

/**
 * Checks that the stored session of a profile was made by this client at this server.
 *
 * @throws {AuthError} `login_required` where another one made it.
 */
export async function checkAuthClient(
  storage: ObjectStorageProvider,
  profileName: string,
  settings: ClientSettings,
): Promise<void> {
  const stored = await storage.load(profileKey(profileName, "auth_client"));
  const other = stored === undefined || stored === null
    ? undefined
    : differs(stored.client_id, settings.clientId)
    ? "another client ID"
    : differs(stored.auth_server, settings.authServer)
    ? "another authorization server"
    : undefined;
  if (other !== undefined) {
    throw new AuthError(
      "login_required",
      `Sign in again, or choose another profileName: the session of profile "${profileName}" was made with ${other}.`,
    );
  }
}

function differs(stored: unknown, wanted: string): boolean {
  return typeof stored === "string" && stored !== wanted;
}
