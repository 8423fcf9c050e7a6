/**
 * Picks the screen of this runtime, loaded when first used.
 *
 * @module
 */

import { runtime } from "../runtime.ts";
import type { LoginUI } from "./types.ts";

async function load(): Promise<LoginUI> {
  if (runtime === "other") return {};
  return (runtime === "deno" ? await import("./deno.ts") : await import("./node.ts")).ui;
}

/** The screen of this runtime. */
export function defaultUI(): LoginUI {
  return {
    openBrowser: async (url) => await (await load()).openBrowser?.(url) ?? false,
    show: (message) => void load().then((ui) => ui.show?.(message)),
    readLine: async (prompt, options) => await (await load()).readLine?.(prompt, options) ?? null,
  };
}
