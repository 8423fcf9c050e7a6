/**
 * `Planet`: the APIs, each as a property; and how far its downloads are, for a terminal.
 *
 * @module
 */

import type { Auth } from "./auth.ts";
import type { DataAPI } from "./clients/data.ts";
import type { DownloadProgress } from "./download/transfer.ts";
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

/**
 * Makes an `onProgress` for downloads that shows on stderr how far they are: a bar, speed and time left for
 * each file under way, in colour unless `NO_COLOR` is set; plain lines if stderr is no terminal. One serves
 * several files at once.
 *
 * @example
 * ```ts
 * import { terminalProgress } from "@planet-community/planet";
 *
 * const onProgress = terminalProgress();
 * onProgress({ name: "scene.tif", received: 500, total: 1000, resumed: false });
 * ```
 */
export function terminalProgress(): (progress: DownloadProgress) => void {
  // What comes until the screen is loaded; of each file the last is enough.
  let waiting: Map<string, DownloadProgress> | undefined = new Map();
  let show = ({ ...progress }: DownloadProgress): void =>
    void waiting?.set(progress.name, progress);
  import("./terminal/progress.ts").then(({ openProgress }) => openProgress()).then((opened) => {
    show = opened;
    waiting?.forEach(opened);
    waiting = undefined;
  }).catch(() => waiting = undefined);
  return (progress) => show(progress);
}
