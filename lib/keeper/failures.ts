/**
 * What went wrong lately with a session, kept beside it for every process that shares it.
 *
 * Lies in an object of its own, so that the token object stays what the Planet
 * SDK for Python writes. Holds a fingerprint of the dead refresh token, never
 * the token. Whoever cannot write it goes on without.
 *
 * @module
 */

import type { JsonObject, ObjectStorageProvider } from "../storage/objects.ts";

/** What is remembered of failures. */
export interface Failures {
  /** Fingerprint of a refresh token that the server called invalid. */
  dead?: string;
  /** Until when the server wants no token request, in epoch milliseconds. */
  retryAt?: number;
  /** When that was noted, in epoch milliseconds. */
  notedAt?: number;
}

/** Longest time that a stored wish for a pause is believed, in milliseconds. */
const LONGEST_PAUSE_MS = 86_400_000;

/** Name of the object beside the token object at `tokenKey`. */
export function failuresKey(tokenKey: string): string {
  return tokenKey.replace(/[^/]*$/, "refresh_state.json");
}

/** Makes a fingerprint of a token: its SHA-256 as base64, which does not lead back to it. */
export async function fingerprint(token: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/** Reads what is remembered, if anything; what cannot be read counts as nothing. */
export async function readFailures(
  storage: ObjectStorageProvider,
  tokenKey: string,
  nowMs: number,
): Promise<Failures | undefined> {
  let stored: JsonObject | undefined;
  try {
    stored = await storage.load(failuresKey(tokenKey));
  } catch {
    return undefined;
  }
  if (typeof stored !== "object" || stored === null) return undefined;
  const { dead_refresh_token: dead, retry_at: retryAt, noted_at: notedAt } = stored;
  // Noted in the future: the clock was set back since, and the pause would have no end.
  const isSetBack = typeof notedAt === "number" && notedAt > nowMs;
  return {
    ...(typeof dead === "string" ? { dead } : {}),
    ...(typeof retryAt === "number" && !isSetBack && retryAt > nowMs &&
        retryAt <= nowMs + LONGEST_PAUSE_MS
      ? { retryAt, ...(typeof notedAt === "number" ? { notedAt } : {}) }
      : {}),
  };
}

/** Remembers `failures` in place of what was remembered; nothing to remember removes the object. */
export async function writeFailures(
  storage: ObjectStorageProvider,
  tokenKey: string,
  failures: Failures,
): Promise<void> {
  const key = failuresKey(tokenKey);
  const value: JsonObject = {};
  if (failures.dead !== undefined) value.dead_refresh_token = failures.dead;
  if (failures.retryAt !== undefined) value.retry_at = failures.retryAt;
  if (failures.notedAt !== undefined) value.noted_at = failures.notedAt;
  try {
    if (Object.keys(value).length > 0) return await storage.save(key, value);
    if (!await storage.exists(key)) return;
    await (storage.delete === undefined ? storage.save(key, {}) : storage.delete(key));
  } catch {
    // A memory of failures is a courtesy; the failure itself is reported anyway.
  }
}
