/**
 * Names of profiles, the keys that lie under them, and the kinds of client they have.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { ClientSettings, KeySettings, ProfileClient } from "./client_settings.ts";

/** Longest name in UTF-8 bytes, so that a file system takes it as one directory. */
const LONGEST_NAME = 128;

/** Device names that Windows opens instead of a folder, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/;

/** Names that the file store gives to its own locks and unfinished files. */
const RESERVED = /\.lock(\.[0-9a-f]{32})?$|\.[0-9a-f]{32}\.tmp$/;

/** Names that need no closer look. */
const PLAIN_NAME = /^(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z\d_-]{1,60}$/;

/**
 * Brings a profile name to the form that is stored: lower case.
 *
 * @throws {AuthError} `invalid_argument` where it cannot be one directory's name.
 */
export function normalizeProfileName(name: string): string {
  if (typeof name !== "string") {
    throw new TypeError(`profileName must be a string, not ${typeof name}.`);
  }
  const normalized = name.toLowerCase();
  if (PLAIN_NAME.test(normalized)) return normalized;
  const problem = normalized.trim() === ""
    ? "it is empty"
    : /[/\\]/.test(normalized)
    ? "it holds a path separator"
    : normalized === "." || normalized === ".."
    ? 'it is "." or ".."'
    // deno-lint-ignore no-control-regex
    : /[\x00-\x1f\x7f-\x9f]/.test(normalized)
    ? "it holds a control character"
    : !normalized.isWellFormed()
    ? "it holds half a surrogate pair"
    : /[<>:"|?*]/.test(normalized)
    ? 'it holds one of the characters < > : " | ? *'
    : /[. ]$/.test(normalized)
    ? "it ends in a dot or a space"
    : DEVICE.test(normalized) || RESERVED.test(normalized)
    ? "a system or a store has another use for it"
    // A character takes at most three bytes for each of its units.
    : normalized.length > LONGEST_NAME / 3 &&
        new TextEncoder().encode(normalized).length > LONGEST_NAME
    ? `it is longer than ${LONGEST_NAME} bytes`
    : undefined;
  if (problem !== undefined) {
    throw new AuthError(
      "invalid_argument",
      `Choose another profileName, such as "my-app": ${problem}.`,
    );
  }
  return normalized;
}

/**
 * Key of an object of a profile, such as `.planet/my-app/token.json`. Under
 * `login` nothing is stored: it is the name of a lock.
 */
export function profileKey(
  profileName: string,
  object: "auth_client" | "auth_client.sops" | "discovery" | "login" | "token" | "token.sops",
): string {
  return `.planet/${profileName}/${object}.json`;
}

/** Tells whether a client signs in by itself. */
export function isService({ clientType }: ClientSettings): boolean {
  return clientType.startsWith("oidc_client_credentials");
}

/** Tells whether a profile sends a fixed header, or none. */
export function isKey(client: ProfileClient): client is KeySettings {
  return "keyType" in client;
}
