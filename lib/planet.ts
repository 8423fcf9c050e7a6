/**
 * `Planet`: the APIs, each as a property.
 *
 * @module
 */

import type { DataAPI } from "./clients/data.ts";
import { Session } from "./session.ts";

/**
 * Planet's APIs over one session.
 *
 * @example Saved searches
 * ```ts
 * import { Auth, Planet, Session } from "@planet-community/planet";
 *
 * const pl = new Planet(new Session(Auth.fromEnv()));
 * for await (const { id, name } of pl.data.listSearches()) console.log(id, name);
 * ```
 */
export class Planet {
  /** The Data API: saved searches, quick searches, items. */
  readonly data: DataAPI;

  /** Uses `session`, or else one of the user's default; nothing is read or sent yet. */
  constructor(session: Session = new Session()) {
    this.data = session.client("data");
  }
}
