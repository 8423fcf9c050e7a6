/**
 * What `Auth.explain()` tells: which session it is, where it lies, how it stands.
 *
 * @module
 */

import type { KnownState, TokenState } from "./keeper/types.ts";
import type { ClientSettings } from "./profiles/auth_client_file.ts";
import { profileKey } from "./profiles/names.ts";
import type { ChosenStorage } from "./storage/select.ts";

/** How a session stands; times are epoch seconds. Holds no secret. */
export interface SessionReport {
  /** Name of the profile. */
  readonly profileName: string;
  /** How it is signed in to. */
  readonly flow: "authorization_code" | "device_code" | "client_credentials" | "api_key";
  /** Client identifier, where there is one. */
  readonly clientId?: string;
  /** Authorization server, where there is one. */
  readonly authServer?: string;
  /** Where state is kept: `file`, `kv`, `memory`, `custom` or, for an API key, `none`. */
  readonly storage: string;
  /** Where exactly, as far as the store can tell. */
  readonly location?: string;
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
  /** Granted scopes, where the server named them. */
  readonly scope?: string;
  /** Until when the authorization server wants no token request. */
  readonly throttledUntil?: number;
}

const FLOWS = {
  oidc_auth_code: "authorization_code",
  oidc_device_code: "device_code",
  oidc_client_credentials_secret: "client_credentials",
} as const;

/** Puts the report together. */
export function describeSession(
  profileName: string,
  client: ClientSettings | undefined,
  chosen: ChosenStorage | undefined,
  known: KnownState | undefined,
): SessionReport {
  if (client === undefined || chosen === undefined || known === undefined) {
    return {
      profileName,
      flow: "api_key",
      storage: "none",
      storageReason: "an API key needs no state",
      state: "valid",
      canRefresh: false,
    };
  }
  const { tokens, retryAt } = known;
  const isService = client.clientType === "oidc_client_credentials_secret";
  return {
    profileName,
    flow: FLOWS[client.clientType],
    clientId: client.clientId,
    authServer: client.authServer,
    storage: chosen.kind,
    ...(chosen.location === undefined ? {} : { location: chosen.location }),
    storageReason: chosen.reason,
    tokenKey: profileKey(profileName, "token"),
    state: known.state,
    ...(tokens === undefined ? {} : tokens.toJSON()),
    canRefresh: isService || (tokens?.refreshToken !== undefined && known.state !== "dead"),
    ...(tokens?.scope === undefined ? {} : { scope: tokens.scope }),
    ...(retryAt === undefined ? {} : { throttledUntil: Math.ceil(retryAt / 1000) }),
  };
}
