/**
 * `Planet`: the APIs, each as a property.
 *
 * @module
 */

import type { DataClient } from "./clients/data.ts";
import { Session } from "./session.ts";

/** Planet's APIs over one session. */
export class Planet {
  /** The Data API: saved searches, quick searches, items. */
  readonly data: DataClient;

  /** Uses `session`, or else one of the user's default; nothing is read or sent yet. */
  constructor(session: Session = new Session()) {
    this.data = session.client("data");
  }
}
