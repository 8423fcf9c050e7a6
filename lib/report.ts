/**
 * What `Auth.explain()` tells: which session it is, where it lies, how it stands.
 *
 * @module
 */

import {
  type ClientSettings,
  isKey,
  isService,
  type KeySettings,
  type ProfileClient,
  profileKey,
  type SessionOrigin,
} from "./setup.ts";
import type { KnownState, TokenState } from "./keeper/keeper.ts";
import type { ChosenStorage } from "./storage/objects.ts";

/**
 * How a session stands; times are epoch milliseconds. Holds no secret.
 *
 * @category Events and reports
 */
export interface SessionReport extends SessionOrigin {
  /** Name of the profile. */
  readonly profileName: string;
  /** How it is signed in to. */
  readonly flow: "authorization_code" | "device_code" | "client_credentials" | "api_key" | "none";
  /** `client_type` of the profile, as the Planet SDK for Python calls it. */
  readonly clientType: string;
  /** Client identifier, if there is one. */
  readonly clientId?: string;
  /** Authorization server, if there is one. */
  readonly authServer?: string;
  /** Where state is kept: `file`, `kv`, `memory`, `custom` or, for an API key, `none`. */
  readonly storage: string;
  /** Where exactly, as far as the store can tell. */
  readonly location?: string;
  /** Whether it outlives the program. */
  readonly durable: boolean;
  /** Why state is kept there. */
  readonly storageReason: string;
  /** Key of the token object. */
  readonly tokenKey?: string;
  /** How the token stands; `none` before the first sign-in. An API key is always `valid`. */
  readonly state: TokenState;
  /** Start of the access token's life. */
  readonly issuedAt?: number;
  /** End of the access token's life. */
  readonly expiresAt?: number;
  /** Whether the session can be renewed without a person. */
  readonly canRefresh: boolean;
  /** Granted scopes, if the server named them. */
  readonly scope?: string;
  /** Until when the authorization server is not asked. */
  readonly retryAt?: number;
}

/** What a report is made of. */
export interface ReportParts {
  /** Name of the profile. */
  readonly profileName: string;
  /** Its client. */
  readonly client: ProfileClient;
  /** Why it is this one. */
  readonly origin: SessionOrigin;
  /** The store; absent if none is needed. */
  readonly storage?: ChosenStorage | undefined;
  /** How the tokens stand. */
  readonly known: KnownState;
}

function flowOf({ clientType }: ClientSettings): SessionReport["flow"] {
  if (clientType.startsWith("oidc_auth_code")) return "authorization_code";
  return clientType.startsWith("oidc_device_code") ? "device_code" : "client_credentials";
}

function ofKey({ keyType }: KeySettings) {
  return { flow: keyType === "none" ? "none" : "api_key", clientType: keyType } as const;
}

function ofClient(client: ClientSettings, { state, tokens }: KnownState) {
  const { authServer, clientId, clientType } = client;
  return {
    flow: flowOf(client),
    clientType,
    clientId,
    authServer,
    ...(tokens === undefined ? {} : { issuedAt: tokens.issuedAt * 1000 }),
    ...(tokens?.expiresAt === undefined ? {} : { expiresAt: tokens.expiresAt * 1000 }),
    canRefresh: isService(client) || (tokens?.refreshToken !== undefined && state !== "dead"),
    ...(tokens?.scope === undefined ? {} : { scope: tokens.scope }),
  };
}

/** Puts the report together. */
export function describeSession(
  { client, known, origin, profileName, storage }: ReportParts,
): SessionReport {
  const { notes, retryAt, state } = known;
  return {
    profileName,
    ...origin,
    notes: [...origin.notes, ...notes],
    canRefresh: false,
    ...(isKey(client) ? ofKey(client) : ofClient(client, known)),
    storage: storage?.kind ?? "none",
    ...(storage?.location === undefined ? {} : { location: storage.location }),
    durable: storage?.durable ?? false,
    storageReason: storage?.reason ?? "an API key needs no state",
    ...(storage === undefined ? {} : { tokenKey: profileKey(profileName, "token") }),
    state,
    ...(retryAt === undefined ? {} : { retryAt }),
  };
}
