/**
 * The fixed header of a profile without OAuth: an API key, or nothing at all.
 *
 * The key is the profile's own or, as the Planet SDK for Python stores it,
 * lies in the profile's token object.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";
import type { KeySettings } from "../client.ts";

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

  /** There is no other key. */
  replace(): Promise<undefined> {
    return Promise.resolve(undefined);
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
