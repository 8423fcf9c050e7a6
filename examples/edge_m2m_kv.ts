// An edge function for Deno Deploy: calls Planet's API as a service account. All isolates, wherever
// they run, share one session in Deno KV. On this machine it takes two arguments, a file for the
// database in a folder that is there, and a port; on Deno Deploy none. The folder should be yours
// alone (chmod 700): other users may read the files that Deno KV makes.
// deno run --unstable-kv --allow-net=services.sentinel-hub.com,api.planet.com,127.0.0.1:8000 --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET --allow-read=$HOME/.planet-edge --allow-write=$HOME/.planet-edge examples/edge_m2m_kv.ts
import { KvStorage } from "../mod.ts";
import { edgeHandler } from "./_edge_handler.ts";
import { environment, serviceAccount } from "./_environment.ts";

const handler = edgeHandler({
  ...serviceAccount(),
  profileName: "edge",
  storageProvider: new KvStorage(await Deno.openKv(Deno.args[0])),
  environment,
});
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[1] ?? 8000) }, handler);
