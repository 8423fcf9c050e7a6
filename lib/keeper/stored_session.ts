/**
 * One session as it is stored and as it is known here: whose it is, what it holds.
 *
 * The only module that reads and writes the objects of a profile: `token.json`,
 * `auth_client.json`, `refresh_state.json`, `discovery.json`. It knows who asks,
 * and compares at every read. Decides nothing about when to renew, and sends nothing.
 *
 * @module
 */

import { type ClientSettings, isService, profileKey, type ProfileObject } from "../setup.ts";
import { AuthError, PlanetError } from "../errors.ts";
import type { AuthEvent, UnnamedEvent } from "../events.ts";
import {
  type ChosenStorage,
  corrupt,
  type JsonObject,
  type ObjectStorageProvider,
} from "../storage/objects.ts";
import { TokenSet } from "../token.ts";
import type { Clock } from "../runtime.ts";

/** Longest time for what is done behind the callers' backs, in milliseconds. */
export const BACKGROUND_MS = 10_000;

/** What precedes the token in the header (RFC 6750 §2.1). */
export const SCHEME = "Bearer ";

/** Member that marks an emptied token object in a store that cannot delete. */
const LOGGED_OUT = "_logged_out";

/** Longest time that a stored pause is believed, in milliseconds: a day. */
const LONGEST_PAUSE_MS = 86_400_000;

/** Who asks for a session, and where it is stored. */
export interface SessionParts {
  /** Name of the profile, in its stored form. */
  readonly profileName: string;
  /** The client that asks. */
  readonly client: ClientSettings;
  /** When `auth_client.json` is written with the tokens. */
  readonly writesClient: "always" | "if_present" | "never";
  /** The object that the client was read from, if it was: what is written if another one takes its place. */
  readonly members?: JsonObject | undefined;
  /** Whether the client secret is written; default: only to files shared with the command line. */
  readonly saveClientSecret?: boolean | undefined;
  /** Opens the store; asked at each use, so it remembers. */
  readonly open: () => Promise<ChosenStorage>;
  /** Time. */
  readonly clock: Clock;
  /** Is told what happens; what it throws is ignored. */
  readonly onEvent?: ((event: AuthEvent) => void) | undefined;
}

/**
 * What lies in the store, as it concerns the client that asks: nothing, its own
 * session, one that is not its own (`words` says whose, or which scope it lacks),
 * or something that cannot be read.
 */
export type Found =
  | { readonly kind: "none" }
  | { readonly kind: "own"; readonly tokens: TokenSet }
  | { readonly kind: "narrow"; readonly words: string; readonly tokens: TokenSet }
  | { readonly kind: "other"; readonly words: string }
  | { readonly kind: "unreadable"; readonly error: AuthError };

/** What reading an object gives: nothing, the object, or why it cannot be read. */
type Loaded = JsonObject | AuthError | undefined;

/** What is remembered of failures, for everybody who shares the store. */
export interface Trouble {
  /** Fingerprint of a refresh token that the server called invalid. */
  dead?: string | undefined;
  /** Until when the server wants no token request, in epoch milliseconds. */
  retryAt?: number | undefined;
  /** Mark of the last sign-in; a renewal keeps it. */
  signedIn?: string | undefined;
  /** Whether something is stored that a success ends. */
  isStored?: boolean | undefined;
}

function isFailure(loaded: Loaded): loaded is AuthError {
  // What a store holds is no error of any kind; the look at our own classes takes a start's time.
  return loaded instanceof Error;
}

/** The part of an event that tells a token's life. */
export function lifeOf({ expiresAt }: TokenSet): { expiresAt?: number } {
  return expiresAt === undefined ? {} : { expiresAt: expiresAt * 1000 };
}

/** The error of a store of the application's own, which may be any. */
export function typed(error: unknown): PlanetError {
  return error instanceof PlanetError ? error : new AuthError(
    "storage_failed",
    "Check the store of the session: it failed with an error of its own.",
    { cause: error },
  );
}

/** Makes a fingerprint of a token: its SHA-256 as base64, which does not lead back to it. */
export async function fingerprint(token: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/** Reads the client that a profile is for; `undefined` if there is no such profile. */
export async function readClientObject(
  storage: ObjectStorageProvider,
  profileName: string,
): Promise<JsonObject | undefined> {
  return await storage.load(profileKey(profileName, "auth_client")) ?? undefined;
}

/** A server by its address; a slash at its end makes no other server. */
function sameServer(stored: string, asked: string): boolean {
  return stored === asked || stored.replace(/\/$/, "") === asked.replace(/\/$/, "");
}

/** One stored session, seen by one client. */
export class StoredSession {
  /** The client that asks. */
  readonly client: ClientSettings;
  /** Name of the profile. */
  readonly profileName: string;
  /** Key of the token object. */
  readonly tokenKey: string;
  /** Time. */
  readonly clock: Clock;
  /** Whether the client signs in by itself. */
  readonly isService: boolean;
  /** The tokens in use. */
  tokens: TokenSet | undefined;
  /** The header's value; empty if there is no access token. */
  header = "";
  /** When a renewal begins behind the callers' backs, in epoch milliseconds. */
  refreshAtMs = 0;
  /** When the access token ends, in epoch milliseconds. */
  expiresAtMs = 0;
  /** How often the tokens in use were replaced: what was read before that, without a lock, is old. */
  changes = 0;
  /** Why this session is not kept, if its store could not be written. */
  notKept: AuthError | undefined;
  readonly #parts: SessionParts;
  /** How far the server's clock is ahead, as its last answer showed. */
  #aheadMs = 0;
  /** When there were tokens to use first. */
  #inUseSinceMs: number | undefined;
  /** What `logout()` ended, which is not taken up again; `all`: whatever the store still holds. */
  #ended: TokenSet | "all" | undefined;
  /** Whether `auth_client.json` was set aside: tokens without one would be anybody's. */
  #lacksClient = false;

  /** Knows who asks; nothing is read yet. */
  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.client = parts.client;
    this.profileName = parts.profileName;
    this.tokenKey = profileKey(parts.profileName, "token");
    this.clock = parts.clock;
    this.isService = isService(parts.client);
  }

  /** The store, and why it is this one. */
  place(): Promise<ChosenStorage> {
    return this.#parts.open();
  }

  /** The store. */
  async store(): Promise<ObjectStorageProvider> {
    return (await this.place()).storage;
  }

  /** Tells the application what happened; its failure must not cost the session. */
  tell(event: UnnamedEvent): void {
    try {
      this.#parts.onEvent?.({ ...event, profileName: this.profileName } as AuthEvent);
    } catch {
      // An observer's own fault.
    }
  }

  /**
   * Reads what is stored, and compares whose it is: the rule *Owner*. The times are those of
   * the server's clock.
   *
   * @throws {PlanetError} if the store fails; what it holds is no reason.
   */
  async read(): Promise<Found> {
    const { storage } = await this.place();
    const [client, stored] = await this.#loadBoth(storage);
    return this.#judge(client, stored);
  }

  #loadBoth(storage: ObjectStorageProvider): Promise<[client: Loaded, token: Loaded]> {
    return Promise.all([this.#load(storage, "auth_client"), this.#load(storage, "token")]);
  }

  /** Tells what two objects are to the client that asks: the rules *Owner* and *Recovery*. */
  #judge(client: Loaded, stored: Loaded): Found {
    if (stored === undefined || (!isFailure(stored) && stored[LOGGED_OUT] === true)) {
      if (this.#ended === "all") this.#ended = undefined;
      return { kind: "none" };
    }
    if (isFailure(client)) return { kind: "unreadable", error: client };
    const whose = this.#whose(client);
    if (whose?.kind === "other") return whose;
    if (isFailure(stored)) return { kind: "unreadable", error: stored };
    try {
      const read = TokenSet.fromStored(stored, this.clock.now(), this.tokenKey);
      const tokens = this.#aheadMs === 0 ? read : read.byClockAhead(this.#aheadMs);
      if (this.#ended === "all" || tokens.sameAs(this.#ended)) return { kind: "none" };
      return whose === undefined ? { kind: "own", tokens } : { ...whose, tokens };
    } catch (error) {
      return { kind: "unreadable", error: error as AuthError };
    }
  }

  /** Reads one object; what cannot be read is an answer, and not a failure. */
  async #load(storage: ObjectStorageProvider, object: ProfileObject): Promise<Loaded> {
    const key = profileKey(this.profileName, object);
    try {
      // A store of the application's own may say null for what is not there.
      const loaded = await storage.load(key) ?? undefined;
      if (loaded === undefined) return undefined;
      const { auth_server, client_id, client_type } = loaded;
      const isRubbish = typeof loaded !== "object" || Array.isArray(loaded) || isFailure(loaded) ||
        (object === "auth_client" &&
          ![auth_server, client_id, client_type].some((value) => typeof value === "string"));
      return isRubbish ? corrupt(`"${key}"`, "something else") : withoutMarks(loaded);
    } catch (error) {
      const failure = typed(error);
      if (failure instanceof AuthError && failure.code === "storage_corrupt") return failure;
      throw failure;
    }
  }

  /** Says why the session beside `stored`, an `auth_client.json`, is not the asker's. */
  #whose(
    stored: JsonObject | undefined,
  ): { kind: "other"; words: string } | { kind: "narrow"; words: string } | undefined {
    if (stored === undefined) return undefined;
    const { authServer, clientId, scopes } = this.client;
    const { auth_server: server, client_id: id, client_type: type, scopes: asked } = stored;
    if (typeof type === "string" && !type.startsWith("oidc_")) {
      return { kind: "other", words: `belongs to an API key (${shown(type)})` };
    }
    const isOther = (typeof id === "string" && id !== clientId) ||
      (typeof server === "string" && !sameServer(server, authServer));
    if (isOther) {
      return { kind: "other", words: `belongs to the client ${shown(id)} at ${shown(server)}` };
    }
    if (!Array.isArray(asked)) return undefined;
    const missing = scopes.filter((scope) => !asked.includes(scope));
    if (missing.length === 0) return undefined;
    return { kind: "narrow", words: `was not asked for the scope ${missing.join(", ")}` };
  }

  /** Since when this session is in use, in epoch milliseconds; a clock that was set back starts anew. */
  inUseSinceMs(now: number): number {
    return this.#inUseSinceMs = Math.min(this.#inUseSinceMs ?? now, now);
  }

  /** Uses `tokens` from now on; `undefined`: there are none. */
  use(tokens: TokenSet | undefined): void {
    this.changes++;
    this.notKept = undefined;
    this.inUseSinceMs(this.clock.now());
    if (tokens !== undefined) this.#aheadMs = tokens.aheadMs;
    this.tokens = tokens;
    this.header = tokens?.accessToken === undefined ? "" : SCHEME + tokens.accessToken;
    this.refreshAtMs = tokens?.refreshAtMs ?? 0;
    this.expiresAtMs = tokens?.expiresAtMs ?? 0;
  }

  /** Uses tokens that were found in the store. */
  adopt(tokens: TokenSet): void {
    const before = this.tokens;
    this.use(tokens);
    if (before === undefined || tokens.sameAs(before)) return;
    this.tell({ type: "token_adopted", ...lifeOf(tokens) });
  }

  /** The error for a session that only a person can begin: `found` says what is there. */
  needsPerson(found: Exclude<Found, { kind: "own" }> | string): AuthError {
    if (typeof found !== "string" && found.kind === "unreadable") return found.error;
    const words = typeof found === "string"
      ? `profile "${this.profileName}" ${found}`
      : found.kind === "none"
      ? `profile "${this.profileName}" has no session`
      : `the session of profile "${this.profileName}" ${found.words}`;
    const advice = typeof found !== "string" && found.kind === "other"
      ? "Choose another profileName, or sign in with userLogin() or ensureInitialized()"
      : "Sign in first, with userLogin() or ensureInitialized()";
    return new AuthError("login_required", `${advice}: ${words}.`);
  }

  /**
   * Stores tokens in the place of `base`, and beside them the client that they are for. What
   * is there of somebody else, or cannot be read, is set aside first.
   *
   * @param signedIn Whether the tokens come from a sign-in, and not from a renewal.
   */
  async save(tokens: TokenSet, base: TokenSet | undefined, signedIn: boolean): Promise<void> {
    const storage = await this.store();
    const narrow = signedIn && base === undefined ? await this.setAside() : undefined;
    // No kill may leave tokens beside a client that they are not of, or that asked for more.
    if (signedIn && narrow === undefined) await this.#writeClient(true);
    await storage.save(this.tokenKey, tokens.toStored(base ?? narrow));
    if (narrow !== undefined) await this.#writeClient(true);
    // The tokens are what must not be lost: what tells of their client can wait for the next time.
    if (!signedIn) await this.#writeClient(false).catch(() => {});
    this.#ended = undefined;
  }

  /**
   * Puts what cannot be read, or is somebody else's, under another name, without reading it: the
   * rule *Recovery*. Another's tokens go first, so that no kill leaves them beside our client.
   *
   * @returns The tokens that stay, if they are ours and were asked for with fewer scopes.
   */
  async setAside(): Promise<TokenSet | undefined> {
    const storage = await this.store();
    const [client, stored] = await this.#loadBoth(storage);
    const found = this.#judge(client, stored);
    if (found.kind === "narrow") return found.tokens;
    // Nobody's tokens may lie beside a client that is another's or cannot be read.
    const isOthers = !isFailure(client) && this.#whose(client)?.kind === "other";
    const movesClient = isOthers || isFailure(client);
    if (!movesClient && found.kind !== "unreadable") return undefined;
    const objects: ProfileObject[] = movesClient ? ["token", "auth_client"] : ["token"];
    for (const object of objects) {
      const key = profileKey(this.profileName, object);
      try {
        await storage.rename(key, `${key}.${isOthers ? "replaced" : "corrupt"}`);
      } catch (error) {
        const failure = typed(error);
        if (!(failure instanceof AuthError) || failure.code !== "storage_not_found") throw failure;
      }
    }
    this.#lacksClient ||= movesClient;
    if (this.#ended === "all") this.#ended = undefined;
    const reason = isOthers ? "other_client" : "unreadable";
    this.tell({ type: "session_set_aside", reason });
    return undefined;
  }

  /** Forgets the tokens, which are not taken up again: `ended`, or else whatever is stored. */
  forget(ended: TokenSet | undefined): void {
    this.#ended = ended ?? "all";
    this.use(undefined);
  }

  /** Removes the tokens, which were forgotten, from the store. */
  async remove(): Promise<void> {
    const storage = await this.store();
    if (await storage.exists(this.tokenKey)) {
      await (storage.delete === undefined
        ? storage.save(this.tokenKey, { [LOGGED_OUT]: true })
        : storage.delete(this.tokenKey));
    }
    if (this.#ended === "all") this.#ended = undefined;
    await this.writeTrouble({});
  }

  /** Writes `auth_client.json` if it says something else, keeping the members that it alone has. */
  async #writeClient(signedIn: boolean): Promise<void> {
    const { members, saveClientSecret, writesClient } = this.#parts;
    if (writesClient === "never" && !this.#lacksClient) return;
    const { sharesWithCommandLine = false, storage } = await this.place();
    const key = profileKey(this.profileName, "auth_client");
    const stored = await this.#load(storage, "auth_client");
    const isWanted = this.#lacksClient || (signedIn && writesClient === "always");
    if (stored === undefined && !isWanted) return;
    const kept = isFailure(stored) ? undefined : stored ?? members;
    const { audiences, authServer, callbackUrl, clientId, clientSecret, clientType } = this.client;
    const wanted: JsonObject = {
      ...kept,
      _comment: "OIDC/OAuth server used by Planet Public API endpoints",
      audiences: [...audiences],
      auth_server: authServer,
      client_id: clientId,
      client_type: clientType,
      // A renewal asks for no scopes: what the session was asked for at its sign-in stays true.
      scopes: signedIn ? [...this.client.scopes] : kept?.scopes ?? [...this.client.scopes],
    };
    if (callbackUrl !== undefined) {
      wanted.redirect_uri = wanted.local_redirect_uri = callbackUrl;
    }
    if (this.isService) wanted._hidden = true;
    // The command line reads files, and cannot do without the secret there. A secret that somebody
    // else stored stays: a client may have several.
    const savesSecret = saveClientSecret ?? (sharesWithCommandLine && writesClient === "always");
    if (clientSecret !== undefined && savesSecret) wanted.client_secret = clientSecret;
    if (JSON.stringify(stored) !== JSON.stringify(wanted)) await storage.save(key, wanted);
    this.#lacksClient = false;
  }

  /** What failed lately; what cannot be read, or is another server's, counts as nothing. */
  async readTrouble(): Promise<Trouble> {
    const storage = await this.store();
    const stored = await storage.load(profileKey(this.profileName, "refresh_state"))
      .catch(() => undefined);
    if (typeof stored !== "object" || stored === null) return {};
    const { dead_refresh_token, issuer, noted_at, retry_at, signed_in } = stored;
    if (typeof issuer === "string" && !sameServer(issuer, this.client.authServer)) return {};
    const trouble: Trouble = {
      isStored: dead_refresh_token !== undefined || retry_at !== undefined,
    };
    if (typeof dead_refresh_token === "string") trouble.dead = dead_refresh_token;
    if (typeof signed_in === "string") trouble.signedIn = signed_in;
    const now = this.clock.now();
    // Noted in the future: the clock was set back since, and the pause would have no end.
    const isSetBack = typeof noted_at === "number" && noted_at > now;
    if (
      typeof retry_at === "number" && !isSetBack && retry_at > now &&
      retry_at <= now + LONGEST_PAUSE_MS
    ) trouble.retryAt = retry_at;
    return trouble;
  }

  /**
   * Remembers `trouble` in place of what was remembered; with none the object goes. A memory of
   * failures is a courtesy: that it cannot be written is no failure, unless `mustBeWritten`, which
   * finds out whether the store takes anything at all.
   */
  async writeTrouble(trouble: Trouble, mustBeWritten = false): Promise<void> {
    const { dead, retryAt, signedIn } = trouble;
    const key = profileKey(this.profileName, "refresh_state");
    const value: JsonObject = {
      ...(dead === undefined ? {} : { dead_refresh_token: dead }),
      ...(retryAt === undefined ? {} : { retry_at: retryAt, noted_at: this.clock.now() }),
      ...(signedIn === undefined ? {} : { signed_in: signedIn }),
    };
    try {
      const storage = await this.store();
      if (await this.#isOthers(storage)) return;
      if (mustBeWritten || Object.keys(value).length > 0) {
        return await storage.save(key, { ...value, issuer: this.client.authServer });
      }
      if (!await storage.exists(key)) return;
      await (storage.delete === undefined ? storage.save(key, {}) : storage.delete(key));
    } catch (error) {
      if (mustBeWritten) throw error;
    }
  }

  /** Keeps what is known of the authorization server, `discovery.json`. */
  readonly metadata = {
    /** Reads the object; `undefined` if there is none. */
    load: async (): Promise<JsonObject | undefined> =>
      await (await this.store()).load(profileKey(this.profileName, "discovery")),
    /** Replaces the object. */
    save: async (value: JsonObject): Promise<void> => {
      const storage = await this.store();
      if (await this.#isOthers(storage)) return;
      await storage.save(profileKey(this.profileName, "discovery"), value);
    },
  };

  /** Whether the profile is somebody else's: what lies there beside the tokens is left alone too. */
  async #isOthers(storage: ObjectStorageProvider): Promise<boolean> {
    const client = await this.#load(storage, "auth_client");
    return !isFailure(client) && this.#whose(client)?.kind === "other";
  }
}

/** A stored text for a message: short, and without what a terminal would act on. */
function shown(value: unknown): string {
  if (typeof value !== "string") return "(unnamed)";
  const url = URL.canParse(value) ? new URL(value) : undefined;
  // An address may hold a password.
  const text = url === undefined ? value : `${url.origin}${url.pathname}`;
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
}

/** Marks that the Planet SDK for Python (2.3.1 on) leaves in objects of a store that is shared with it. */
function withoutMarks(stored: JsonObject): JsonObject {
  const marks = Object.keys(stored).filter((name) => name.startsWith("___SOPSAware"));
  if (marks.length === 0) return stored;
  const kept = { ...stored };
  for (const mark of marks) delete kept[mark];
  return kept;
}
