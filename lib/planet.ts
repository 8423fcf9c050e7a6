/**
 * `Planet`: the APIs, each as a property.
 *
 * @module
 */

import type { DataClient } from "./clients/data.ts";
import type { Session } from "./session.ts";

/** Planet's APIs over one session. */
export class Planet {
  /** The Data API: saved searches, quick searches, items. */
  readonly data: DataClient;

  /** Uses `session`; nothing is read or sent yet. */
  constructor(session: Session) {
    this.data = session.client("data");
  }
}
