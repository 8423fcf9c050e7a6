/**
 * Takes the person to a page: by a browser where one may and can be opened.
 *
 * @module
 */

import { abandonable } from "../waiting.ts";
import type { InteractiveLogin } from "./types.ts";

/**
 * Opens `url` where the login may, and says so where that does not work. Rejects
 * with the reason of `signal` when it aborts; fails in no other way.
 */
export async function openPage(
  { allowOpenBrowser, ui }: InteractiveLogin,
  url: URL,
  options: { signal: AbortSignal; otherwise: string },
): Promise<void> {
  if (!allowOpenBrowser || ui.openBrowser === undefined) return;
  const { otherwise, signal } = options;
  const why = ui.whyNoBrowser?.();
  let opened: boolean | void = false;
  if (why === undefined) {
    try {
      opened = await abandonable(ui.openBrowser(url, { signal }), signal);
    } catch {
      signal.throwIfAborted();
    }
  }
  // `undefined`, from an application's own opener, is no complaint.
  if (opened !== false) return;
  const because = why === undefined ? "" : ` (${why})`;
  ui.show?.(`No browser could be opened from here${because}: ${otherwise}.`);
}
