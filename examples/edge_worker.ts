// An edge function for Cloudflare Workers: calls Planet's API as a service account. State stays in
// the isolate's memory, or all isolates share it: in a Durable Object of the class PlanetSessions,
// bound as SESSIONS_OBJECT; in a bucket of R2, bound as SESSIONS_BUCKET; or in a KV namespace, bound
// as SESSIONS, which has no lock and is for service accounts only.
// Variables and secrets: PL_CLIENT_ID, PL_CLIENT_SECRET. For the Durable Object, wrangler.toml has
//
//   durable_objects.bindings = [{ name = "SESSIONS_OBJECT", class_name = "PlanetSessions" }]
//   migrations = [{ tag = "v1", new_sqlite_classes = ["PlanetSessions"] }]
//
// npx wrangler dev examples/edge_worker.ts --compatibility-date 2025-09-01
// @ts-ignore: a module of Cloudflare's runtime, whose types wrangler brings along.
import { waitUntil } from "cloudflare:workers";
import { type ObjectStorageProvider, type PlanetEnvironment, SharedStorage } from "../mod.ts";
import {
  durableObjectStore,
  r2Store,
  type SessionsBucket,
  type SessionsNamespace,
} from "./_cloudflare_stores.ts";
import { edgeHandler } from "./_edge_handler.ts";
import { type KvNamespace, WorkersKvStorage } from "./_workers_kv_storage.ts";

export { PlanetSessions } from "./_cloudflare_stores.ts";

interface Bindings {
  PL_CLIENT_ID: string;
  PL_CLIENT_SECRET: string;
  SESSIONS_OBJECT?: SessionsNamespace;
  SESSIONS_BUCKET?: SessionsBucket;
  SESSIONS?: KvNamespace;
  /** Servers other than Planet's, for tests. */
  ENVIRONMENT?: PlanetEnvironment;
}

/** The best store that is bound. */
function storageOf(bindings: Bindings): ObjectStorageProvider | undefined {
  const { SESSIONS, SESSIONS_BUCKET, SESSIONS_OBJECT } = bindings;
  if (SESSIONS_OBJECT) return new SharedStorage(durableObjectStore(SESSIONS_OBJECT));
  if (SESSIONS_BUCKET) return new SharedStorage(r2Store(SESSIONS_BUCKET));
  return SESSIONS && new WorkersKvStorage(SESSIONS);
}

let handler: (() => Promise<Response>) | undefined;

export default {
  fetch(_request: Request, bindings: Bindings): Promise<Response> {
    if (handler === undefined) {
      const storageProvider = storageOf(bindings);
      handler = edgeHandler({
        clientId: bindings.PL_CLIENT_ID,
        clientSecret: bindings.PL_CLIENT_SECRET,
        profileName: "edge",
        saveStateToStorage: storageProvider !== undefined,
        storageProvider,
        environment: bindings.ENVIRONMENT,
        // The renewal goes on when the request that began it has its answer, or has gone.
        waitUntil,
      });
    }
    return handler();
  },
};
