/**
 * Which session a name or the user's choice means: what the asynchronous
 * constructors of `Auth` look up. Loaded when one is called.
 *
 * @module
 */

import { openStorage, type Setup, withSops } from "./auth.ts";
import {
  type CheckedOptions,
  checkKey,
  checkSessionOptions,
  checkText,
  type DefaultSessionOptions,
  type ListProfilesOptions,
  type SessionOptions,
} from "./auth_options.ts";
import { AuthError } from "./errors.ts";
import { ApiKey } from "./profiles/api_key.ts";
import { isKey, normalizeProfileName } from "./client.ts";
import type { ProfileEntry } from "./profiles/profile.ts";
import type { Chosen } from "./profiles/sources.ts";
import type { ChosenStorage } from "./storage/select.ts";

/** What makes the session of a profile. */
export async function profileSetup(
  profileName: string,
  options: SessionOptions,
): Promise<Setup> {
  const checked = checkSessionOptions(options);
  const name = normalizeProfileName(profileName);
  const chosen = await openStorage(options);
  return await ofProfile(name, options, checked, chosen, {
    choice: { kind: "profile", profileName: name },
    chosenBy: "the program",
    overrode: [],
    notes: [],
  });
}

/** What makes the session that the user has chosen. */
export async function defaultSetup(options: DefaultSessionOptions): Promise<Setup> {
  const { apiKey, clientId, clientSecret, profileName, ...session } = options;
  const checked = checkSessionOptions(session);
  const given = {
    ...(profileName === undefined ? {} : { profileName: checkText(profileName, "profileName") }),
    ...(clientId === undefined ? {} : { clientId: checkText(clientId, "clientId") }),
    ...(clientSecret === undefined
      ? {}
      : { clientSecret: checkText(clientSecret, "clientSecret") }),
    ...(apiKey === undefined ? {} : { apiKey: checkKey(apiKey, "apiKey") }),
  };
  const opened = await openStorage(session);
  const { readSources } = await import("./profiles/select.ts");
  const { chooseSession } = await import("./profiles/sources.ts");
  const chosen = await chooseSession(readSources(given, opened));
  try {
    return await ofChoice(chosen, session, checked, opened);
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    throw new AuthError(error.code, `Check ${chosen.chosenBy}. ${error.message}`, {
      cause: error,
    });
  }
}

/** The profiles there are. */
export async function profilesOf(options: ListProfilesOptions): Promise<ProfileEntry[]> {
  const { environment } = checkSessionOptions(options);
  const { storage, kind, location } = await openStorage(options);
  const { listProfiles } = await import("./profiles/profile.ts");
  return await listProfiles({ storage, place: location ?? kind, environment });
}

/** Refuses a key that no header can hold. */
function checkHeader(setup: Setup): Setup {
  const { client, profileName } = setup;
  if (isKey(client)) new ApiKey(profileName, client, () => Promise.resolve(undefined));
  return setup;
}

async function ofChoice(
  chosen: Chosen,
  options: SessionOptions,
  checked: CheckedOptions,
  opened: ChosenStorage,
): Promise<Setup> {
  const { choice } = chosen;
  if (choice.kind === "profile") {
    const name = normalizeProfileName(choice.profileName);
    return await ofProfile(name, options, checked, opened, chosen);
  }
  const { chosenBy, notes, overrode } = chosen;
  const origin = { chosenBy, overrode, notes, settings: "arguments" };
  const common = { options, checked, writesClient: "never", chosen: opened, origin } as const;
  if (choice.kind === "key") {
    const apiKey = checkKey(choice.apiKey);
    const client = { keyType: "static_apikey", prefix: "api-key", apiKey } as const;
    return checkHeader({ ...common, profileName: "_pl_api_key", client });
  }
  const { SERVICE_PROFILE } = await import("./profiles/builtins.ts");
  const { audiences, m2mAuthServer } = checked.environment;
  const clientId = checkText(choice.clientId, "client ID");
  const profileName = normalizeProfileName(`${SERVICE_PROFILE}-${clientId}`);
  return checkHeader({
    ...common,
    profileName,
    chosen: await withSops(opened, profileName),
    client: {
      clientType: "oidc_client_credentials_secret",
      clientId,
      clientSecret: checkText(choice.clientSecret, "client secret"),
      authServer: m2mAuthServer,
      audiences,
      scopes: [],
    },
  });
}

async function ofProfile(
  profileName: string,
  options: SessionOptions,
  checked: CheckedOptions,
  opened: ChosenStorage,
  { chosenBy, notes, overrode }: Chosen,
): Promise<Setup> {
  const chosen = await withSops(opened, profileName);
  const { findProfile } = await import("./profiles/profile.ts");
  const { storage, kind, location } = chosen;
  const place = kind === "memory" ? `memory, because ${chosen.reason}` : location ?? kind;
  const { environment } = checked;
  const { client, settings } = await findProfile(profileName, { storage, place, environment });
  return checkHeader({
    profileName,
    options,
    checked,
    client,
    writesClient: settings === "built-in" ? "where_there_is_one" : "never",
    chosen,
    origin: { chosenBy, overrode, notes, settings },
  });
}
