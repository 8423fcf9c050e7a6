/**
 * `Planet`: the APIs, each as a property.
 *
 * @module
 */

import type { Auth } from "./auth.ts";
import type { DataAPI } from "./clients/data.ts";
import type { Authorizer } from "./http/plan.ts";
import { Session } from "./session.ts";

/**
 * Planet's APIs over one session.
 *
 * @example Saved searches
 * ```ts
 * import { Auth, Planet } from "@planet-community/planet";
 *
 * const pl = new Planet(Auth.fromEnv());
 * for await (const { id, name } of pl.data.listSearches()) console.log(id, name);
 * ```
 */
export class Planet {
  /** The Data API: saved searches, quick searches, items. */
  readonly data: DataAPI;

  /**
   * Uses `session`, or one over an `Auth`, or else one of the user's default; nothing is read or sent
   * yet.
   */
  constructor(session?: Session | Auth | Authorizer) {
    const isSession = session !== undefined && "client" in Object(session);
    this.data = (isSession ? session as Session : new Session(session as Auth)).client("data");
  }
}
