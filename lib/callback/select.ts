/**
 * Picks the callback listener of this runtime.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { runtime } from "../runtime.ts";
import type { Listen } from "./types.ts";

/** Listens with what this runtime has. */
export const listen: Listen = async (expectation) => {
  if (runtime === "other") {
    throw new AuthError(
      "unsupported_runtime",
      "Sign in with a device code: this runtime cannot listen for the browser's answer.",
    );
  }
  const { listen } = runtime === "deno"
    ? await import("./deno.ts")
    : runtime === "bun"
    ? await import("./bun.ts")
    : await import("./node.ts");
  return await listen(expectation);
};
