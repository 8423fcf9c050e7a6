/**
 * A connection for one request under Deno.
 *
 * Deno sends a request a second time, whatever its method, where a kept
 * connection ends before the answer, even if the server has read it all
 * (2.9.6). What comes over a connection of its own is sent once.
 *
 * @module
 */

/** Opens connections that serve one request each; `undefined` where Deno has none to give. */
export function singleUse(): Deno.HttpClient | undefined {
  // Permissions, proxies and certificates are those of any other request. Deno Deploy lacks it.
  return Deno.createHttpClient?.({ poolMaxIdlePerHost: 0 });
}
