// Finds images with a clear sky and downloads an asset of each into the folder images, as a service
// account. What is there already is not fetched again; a download that broke off goes on.
// The storage that Planet's downloads lead to may be on another host: the error then names it.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com,storage.googleapis.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET --allow-read=images --allow-write=images examples/download_assets.ts
import {
  Auth,
  dataFilter,
  IncompleteError,
  Planet,
  PlanetError,
  terminalProgress,
} from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({ ...serviceAccount(), saveStateToStorage: false, environment });
const { data } = new Planet(auth);
const items = data.search({
  itemTypes: ["PSScene"],
  searchFilter: dataFilter.and([
    dataFilter.range("cloud_cover", { lt: 0.1 }),
    dataFilter.asset(["ortho_analytic_4b"]),
    dataFilter.permission(),
  ]),
  sort: "acquired desc",
  limit: 3,
});

const show = terminalProgress();
try {
  const files = await data.fetchAssets(items, "ortho_analytic_4b", {
    directory: "images",
    onState: (state, item) => show(`${item.id} is ${state}`),
    onProgress: show,
  });
  for (const { kept, md5, path } of files) console.log(path, md5, kept ? "kept" : "new");
} catch (error) {
  // What these errors say is meant for the person, and holds no secret.
  if (!(error instanceof PlanetError)) throw error;
  console.error(error.message);
  if (error instanceof IncompleteError) console.error(`${error.results.length} are there.`);
  Deno.exitCode = 1;
}
