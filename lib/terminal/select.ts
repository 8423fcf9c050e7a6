/**
 * Picks the screen of this runtime, loaded when first used.
 *
 * @module
 */

import { runtime } from "../runtime.ts";
import type { LoginUI } from "./types.ts";

/** The screen of this runtime; where there is none, one that shows and asks nothing. */
export async function defaultUI(): Promise<LoginUI> {
  if (runtime === "other") return {};
  const { createUI } = runtime === "deno" ? await import("./deno.ts") : await import("./node.ts");
  return createUI();
}
