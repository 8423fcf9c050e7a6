/**
 * Names of profiles, the keys that lie under them, and the kinds of client they have.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { ClientSettings, KeySettings, ProfileClient } from "./client_settings.ts";

/** Longest name in UTF-8 bytes, so that a file system takes it as one directory. */
const LONGEST_NAME = 128;

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
  const problem = normalized.trim() === ""
    ? "it is empty"
    : /[/\\]/.test(normalized)
    ? "it holds a path separator"
    : normalized === "." || normalized === ".."
    ? 'it is "." or ".."'
    // deno-lint-ignore no-control-regex
    : /[\x00-\x1f\x7f]/.test(normalized)
    ? "it holds a control character"
    : /^[a-z]:/.test(normalized)
    ? "it begins with a drive letter"
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
  object: "auth_client" | "auth_client.sops" | "login" | "token" | "token.sops",
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
