// An edge function for Cloudflare Workers: calls Planet's API as a service account. State stays in
// the isolate's memory, or, with a KV namespace bound as SESSIONS, is shared by all isolates.
// Variables and secrets: PL_CLIENT_ID, PL_CLIENT_SECRET.
// npx wrangler dev examples/edge_worker.ts --compatibility-date 2025-09-01
// @ts-ignore: a module of Cloudflare's runtime, whose types wrangler brings along.
import { waitUntil } from "cloudflare:workers";
import type { PlanetEnvironment } from "../mod.ts";
import { edgeHandler } from "./_edge_handler.ts";
import { type KvNamespace, WorkersKvStorage } from "./_workers_kv_storage.ts";

interface Bindings {
  PL_CLIENT_ID: string;
  PL_CLIENT_SECRET: string;
  SESSIONS?: KvNamespace;
  /** Servers other than Planet's, for tests. */
  ENVIRONMENT?: PlanetEnvironment;
}

let handler: (() => Promise<Response>) | undefined;

export default {
  fetch(_request: Request, bindings: Bindings): Promise<Response> {
    handler ??= edgeHandler({
      clientId: bindings.PL_CLIENT_ID,
      clientSecret: bindings.PL_CLIENT_SECRET,
      profileName: "edge",
      saveStateToStorage: bindings.SESSIONS !== undefined,
      storageProvider: bindings.SESSIONS && new WorkersKvStorage(bindings.SESSIONS),
      environment: bindings.ENVIRONMENT,
      // The renewal goes on when the request that began it has its answer, or has gone.
      waitUntil,
    });
    return handler();
  },
};
