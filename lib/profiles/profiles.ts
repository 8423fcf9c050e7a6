/**
 * Which session a name or the user's choice means: built-in profiles, those of the store, API keys.
 * What the asynchronous constructors of `Auth` look up; loaded when one is called.
 *
 * Never causes a permission prompt: what is not allowed is left out, with the reason.
 *
 * @module
 */

import {
  BUILTIN_NAMES,
  type CheckedOptions,
  checkKey,
  checkSessionOptions,
  checkText,
  type DefaultSessionOptions,
  isKey,
  type KeySettings,
  type ListProfilesOptions,
  normalizeProfileName,
  type PlanetEnvironment,
  type ProfileClient,
  profileKey,
  type SessionOptions,
  type Setup,
} from "../setup.ts";
import { AuthError } from "../errors.ts";
import { readClientObject } from "../keeper/stored_session.ts";
import { isGranted, readEnv } from "../runtime.ts";
import type { ChosenStorage, JsonObject } from "../storage/objects.ts";
import { openStorage, withSops } from "../storage/select.ts";
import { readClient } from "./client_file.ts";
import {
  chooseSession,
  type Chosen,
  DEFAULT_PROFILE,
  type SourceArguments,
  type Sources,
  USER_CONFIG_KEY,
} from "./sources.ts";

/** Prefix of the profiles that a service account of the environment gets. */
const SERVICE_PROFILE = "planet-m2m";

/** Client of Planet's SDK and command line; public. */
const SDK_CLIENT_ID = "49lHVBYlXCdfIYqE1B9zeXt0iFHSXees";

/**
 * The client of the built-in profile `name`; `undefined` where it is none.
 *
 * @throws {AuthError} `invalid_argument` for `planet-m2m`, which is a pattern without a client.
 */
function builtinClient(
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
  const { settings, ...found } = await findProfile(profileName, chosen, checked.environment);
  return checkHeader({
    profileName,
    options,
    checked,
    ...found,
    writesClient: settings === "built-in" ? "if_present" : "never",
    chosen,
    origin: { chosenBy, overrode, notes, settings },
  });
}

/** Finds the client of the profile `name`, which is in its stored form, and where that is written. */
async function findProfile(
  name: string,
  { kind, location, reason, storage }: ChosenStorage,
  environment: PlanetEnvironment,
): Promise<{ client: ProfileClient; members?: JsonObject; settings: string }> {
  const builtin = builtinClient(name, environment);
  if (builtin !== undefined) return { client: builtin, settings: "built-in" };
  const place = kind === "memory" ? `memory, because ${reason}` : location ?? kind;
  const key = profileKey(name, "auth_client");
  const members = await readClientObject(storage, name);
  if (members === undefined) {
    throw new AuthError(
      "storage_not_found",
      `Sign in with "planet auth login" first, or check the name: there is no profile "${name}" (no ${key} in ${place}).`,
    );
  }
  return { client: readClient(members, `${key} in ${place}`), members, settings: key };
}

/** The sources: what the program says, the environment, and the file in `opened`. */
function readSources(given: SourceArguments, opened: ChosenStorage): Sources {
  const { kind, location, storage } = opened;
  const path = kind === "file" && location !== undefined
    ? `${location}/${USER_CONFIG_KEY}`
    : undefined;
  return {
    given,
    env: readEnv,
    envDenied: (variable) =>
      isGranted({ name: "env", variable }) ? undefined : `--allow-env=${variable} is not granted`,
    fileName: path ?? USER_CONFIG_KEY,
    file: async () => {
      if (path !== undefined && !isGranted({ name: "read", path })) return undefined;
      return await storage.load(USER_CONFIG_KEY);
    },
    fileDenied: path === undefined || isGranted({ name: "read", path })
      ? undefined
      : `--allow-read=${path} is not granted`,
  };
}

/**
 * What {@linkcode Auth.listProfiles} tells of a profile.
 *
 * @category Profiles
 */
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
 * The profiles there are: the built-in ones, then those of the store by name.
 *
 * @throws {AuthError} `unsupported_runtime` if the store cannot list its keys.
 */
export async function listProfiles(options: ListProfilesOptions): Promise<ProfileEntry[]> {
  const { environment } = checkSessionOptions(options);
  const { storage } = await openStorage(options);
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
    if (name !== undefined && isProfileName(name) && !BUILTIN_NAMES.includes(name)) names.add(name);
  }
  const builtins = BUILTIN_NAMES.map((profileName) => ({
    profileName,
    clientType: typeOfBuiltin(profileName, environment),
    builtin: true,
    hidden: profileName !== DEFAULT_PROFILE,
  }));
  const stored = await Promise.all(
    [...names].sort().map(async (profileName) => {
      const members = await readClientObject(storage, profileName).catch(() => undefined);
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
  if (name === SERVICE_PROFILE) return "oidc_client_credentials_secret";
  const client = builtinClient(name, environment)!;
  return isKey(client) ? client.keyType : client.clientType;
}

/** Tells whether a folder's name is a profile's: a name in other letters can never be asked for. */
function isProfileName(name: string): boolean {
  try {
    return normalizeProfileName(name) === name;
  } catch {
    return false;
  }
}

/** What a header value may hold. */
const SENDABLE = /^[\x21-\x7e]+$/;

/** Sends a fixed header. */
export class ApiKey {
  readonly #settings: KeySettings;
  readonly #profileName: string;
  readonly #load: () => Promise<JsonObject | undefined>;
  #header: string | undefined;

  /** Uses the key of `settings`, or else that of the object that `load` reads; nothing is read yet. */
  constructor(
    profileName: string,
    settings: KeySettings,
    load: () => Promise<JsonObject | undefined>,
  ) {
    this.#profileName = profileName;
    this.#settings = settings;
    this.#load = load;
    if (settings.keyType === "none") this.#header = "";
    else if (settings.apiKey !== undefined) this.#header = this.#checked(settings.apiKey);
  }

  /** The header's value; empty: none is sent. */
  authorization(): string | Promise<string> {
    return this.#header ?? this.#read();
  }

  /** Whether the header is known without the store. */
  get isFixed(): boolean {
    return this.#settings.keyType === "none" || this.#settings.apiKey !== undefined;
  }

  /** Tells whether there is a key, or none is needed. */
  async isThere(): Promise<boolean> {
    if (this.#header !== undefined) return true;
    return keyOf(await this.#load()) !== undefined;
  }

  async #read(): Promise<string> {
    const stored = await this.#load();
    const key = keyOf(stored);
    if (key === undefined) {
      throw new AuthError(
        "login_required",
        `Use Auth.fromKey(), or store the key with the planet command line: profile "${this.#profileName}" has no API key.`,
      );
    }
    return this.#header = this.#checked(key, stored);
  }

  #checked(key: string, stored?: JsonObject): string {
    const named = stored?.bearer_token_prefix;
    const prefix = typeof named === "string" && named !== "" ? named : this.#settings.prefix;
    if (!SENDABLE.test(key) || !SENDABLE.test(prefix)) {
      throw new AuthError(
        "invalid_argument",
        `Check the API key of profile "${this.#profileName}": it cannot be sent in a header.`,
      );
    }
    return `${prefix} ${key}`;
  }
}

/** The key in a token object: `key` in those of old accounts, `api_key` in the others. */
function keyOf(stored: JsonObject | undefined): string | undefined {
  const key = stored?.api_key ?? stored?.key;
  return typeof key === "string" && key !== "" ? key : undefined;
}
