/**
 * The version of this package, for the `User-Agent` header and reports.
 *
 * Needs nothing. A test keeps it equal to the one in `deno.json`.
 *
 * @module
 */

/** Version of this package. */
export const VERSION = "0.1.0";
