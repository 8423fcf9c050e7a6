/**
 * Reads the token object of a session.
 *
 * @module
 */

import type { ObjectStorageProvider } from "../storage/types.ts";
import { TokenSet } from "../token.ts";

/** Member that marks an emptied token object in a store that cannot delete. */
export const LOGGED_OUT = "_logged_out";

/**
 * Reads the tokens under `tokenKey`; `undefined` where there are none.
 *
 * @throws {AuthError} `storage_corrupt` where what lies there is no token object.
 */
export async function readTokens(
  storage: ObjectStorageProvider,
  tokenKey: string,
  nowMs: number,
): Promise<TokenSet | undefined> {
  const stored = await storage.load(tokenKey);
  // A store of the application's own may say null for what is not there.
  if (stored === undefined || stored === null || stored[LOGGED_OUT] === true) return undefined;
  return TokenSet.fromStored(stored, nowMs, tokenKey);
}
