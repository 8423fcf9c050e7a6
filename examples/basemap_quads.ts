// Downloads the part of a basemap that covers an area into the folder quads, as a service account. What
// is there already is not asked for again, since each download counts; one that broke off goes on.
// The storage that Planet's downloads lead to may be on another host: the error then names it.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com,storage.googleapis.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET --allow-read=quads --allow-write=quads examples/basemap_quads.ts
// bun run examples/basemap_quads.ts
import process from "node:process";
import { Auth, IncompleteError, Planet, PlanetError, terminalProgress } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({ ...serviceAccount(), saveStateToStorage: false, environment });
const { mosaics } = new Planet(auth);
const bbox = [13.4, 52.4, 14.1, 52.5] as const;

try {
  for await (const mosaic of mosaics.listMosaics({ nameContains: "global_monthly", limit: 1 })) {
    const { total_quads } = await mosaics.summarizeQuads(mosaic, { bbox });
    console.error(`${total_quads} quads of ${mosaic.name}`);
    const files = await mosaics.downloadQuads(mosaic, {
      bbox,
      directory: "quads",
      onProgress: terminalProgress(),
    });
    for (const { bytes, kept, path } of files) console.log(path, bytes, kept ? "kept" : "new");
  }
} catch (error) {
  // What these errors say is meant for the person, and holds no secret.
  if (!(error instanceof PlanetError)) throw error;
  console.error(error.message);
  if (error instanceof IncompleteError) console.error(`${error.results.length} are there.`);
  process.exitCode = 1;
}
