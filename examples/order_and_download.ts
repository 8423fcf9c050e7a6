// Orders images with a clear sky as reflectances, cut to an area, waits for them, and downloads the files
// into the folder orders, as a service account. The order is made once: a second run finds it by its name,
// keeps the files that are there, and goes on with what broke off.
// The storage that Planet's downloads lead to may be on another host: the error then names it.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com,storage.googleapis.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET --allow-read=orders --allow-write=orders examples/order_and_download.ts
import { Auth, collect, dataFilter, Planet, PlanetError, terminalProgress } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const auth = Auth.fromOAuthM2M({ ...serviceAccount(), saveStateToStorage: false, environment });
const pl = new Planet(auth);
const name = "Fields in spring";
const area = {
  type: "Polygon",
  coordinates: [[[13.3, 52.4], [13.5, 52.4], [13.5, 52.6], [13.3, 52.6], [13.3, 52.4]]],
};

/** The order of this name, the latest one; `undefined` if there is none. */
async function findOrder() {
  for await (const order of pl.orders.listOrders({ name, limit: 1 })) return order;
}

/** Orders the images that a search finds. */
async function makeOrder() {
  const { features } = await collect(pl.data.search({
    itemTypes: ["PSScene"],
    searchFilter: dataFilter.and([
      dataFilter.range("cloud_cover", { lt: 0.1 }),
      dataFilter.geometry(area),
    ]),
    limit: 3,
  }));
  return await pl.orders.createOrder({
    name,
    products: [{
      item_ids: features.map(({ id }) => id),
      item_type: "PSScene",
      product_bundle: "analytic_udm2",
    }],
    tools: [{ toar: {} }, { clip: { aoi: area } }],
  });
}

try {
  const { id } = await findOrder() ?? await makeOrder();
  const state = await pl.orders.wait(id, { onState: (state) => console.error(state) });
  console.error(`The order ended as ${state}.`);
  const files = await pl.orders.downloadOrder(id, {
    directory: "orders",
    onProgress: terminalProgress(),
  });
  for (const { bytes, kept, path } of files) console.log(path, bytes, kept ? "kept" : "new");
} catch (error) {
  // What these errors say is meant for the person, and holds no secret.
  if (!(error instanceof PlanetError)) throw error;
  console.error(error.message);
  Deno.exitCode = 1;
}
