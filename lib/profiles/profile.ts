/**
 * Finds a profile by its name: one of the built-in ones, or the one whose
 * `auth_client.json` is in the store. Lists them all.
 *
 * @module
 */

import type { PlanetEnvironment } from "../environment.ts";
import { AuthError } from "../errors.ts";
import type { JsonObject, ObjectStorageProvider } from "../storage/objects.ts";
import { builtinClient, BUILTINS } from "./builtins.ts";
import { normalizeProfileName, type ProfileClient, profileKey } from "../client.ts";
import { readClient } from "./client_file.ts";

/** A profile that was found. */
export interface FoundProfile {
  /** Its client. */
  readonly client: ProfileClient;
  /** Where that is written: the key of a file, or `built-in`. */
  readonly settings: string;
}

/** Where profiles are looked for. */
export interface ProfilePlace {
  /** The store. */
  readonly storage: ObjectStorageProvider;
  /** What a message calls it. */
  readonly place: string;
  /** The servers of the built-in profiles. */
  readonly environment: PlanetEnvironment;
}

/**
 * Finds the profile `name`, which is in its stored form.
 *
 * @throws {AuthError} `storage_not_found` where there is none; `invalid_argument` where its file is wrong.
 */
export async function findProfile(
  name: string,
  { environment, place, storage }: ProfilePlace,
): Promise<FoundProfile> {
  const builtin = builtinClient(name, environment);
  if (builtin !== undefined) return { client: builtin, settings: "built-in" };
  const key = profileKey(name, "auth_client");
  const members = await storage.load(key);
  if (members === undefined || members === null) {
    throw new AuthError(
      "storage_not_found",
      `Sign in with "planet auth login" first, or check the name: there is no profile "${name}" (no ${key} in ${place}).`,
    );
  }
  return { client: readClient(members, `${key} in ${place}`), settings: key };
}

/** A profile in a list. */
export interface ProfileEntry {
  /** Its name. */
  readonly profileName: string;
  /** `client_type` of its client; absent where the file is encrypted, or cannot be read. */
  readonly clientType?: string;
  /** Whether it needs no file. */
  readonly builtin: boolean;
  /** Whether the command line leaves it out of its list: `_hidden`. */
  readonly hidden: boolean;
}

const PROFILE_KEY = /^\.planet\/([^/]+)\/auth_client(\.sops)?\.json$/;

/**
 * Lists the profiles: the built-in ones, then those of the store by name.
 *
 * @throws {AuthError} `unsupported_runtime` where the store cannot list its keys.
 */
export async function listProfiles(
  { environment, storage }: ProfilePlace,
): Promise<ProfileEntry[]> {
  if (storage.list === undefined) {
    throw new AuthError(
      "unsupported_runtime",
      "Name the profile, or give the storageProvider a method list(): this one cannot list its keys.",
    );
  }
  const names = new Set<string>();
  for await (const key of storage.list(".planet/")) {
    const [, name, sops] = PROFILE_KEY.exec(key) ?? [];
    // Only files are encrypted by sops.
    if (sops !== undefined && !("root" in storage)) continue;
    if (name !== undefined && isProfileName(name) && !Object.hasOwn(BUILTINS, name)) {
      names.add(name);
    }
  }
  const builtins = Object.entries(BUILTINS).map(([profileName, { hidden }]) => ({
    profileName,
    clientType: typeOfBuiltin(profileName, environment),
    builtin: true,
    hidden,
  }));
  const stored = await Promise.all(
    [...names].sort().map(async (profileName) => {
      const members: JsonObject | undefined = await storage
        .load(profileKey(profileName, "auth_client")).catch(() => undefined);
      const type = members?.client_type;
      return {
        profileName,
        ...(typeof type === "string" ? { clientType: type } : {}),
        builtin: false,
        hidden: members?._hidden === true,
      };
    }),
  );
  return [...builtins, ...stored];
}

function typeOfBuiltin(name: string, environment: PlanetEnvironment): string {
  if (name === "planet-m2m") return "oidc_client_credentials_secret";
  const client = builtinClient(name, environment)!;
  return "keyType" in client ? client.keyType : client.clientType;
}

/** Tells whether a folder's name is a profile's: a name in other letters can never be asked for. */
function isProfileName(name: string): boolean {
  try {
    return normalizeProfileName(name) === name;
  } catch {
    return false;
  }
}
