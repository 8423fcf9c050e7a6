/**
 * Features, destinations and quota: each call against the sandbox, and what is refused before it is sent.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { inspect } from "node:util";
import {
  ApiError,
  BadQuery,
  ClientError,
  FeatureError,
  GeoJSONError,
  MissingResource,
  type Planet,
} from "../../mod.ts";
import { FakeResponse } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { all, fake, inWorld } from "./_world.ts";

const SQUARE = { type: "Polygon" as const, coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };
const AREA = { type: "Feature" as const, geometry: SQUARE, properties: { name: "north" } };
const REF = "pl:features/my/fields-abc/field-1";

test("pl.features: collections and features are made, listed, referred to, deleted", () =>
  inWorld(async ({ pl, sandbox: { log } }) => {
    const { data, features } = pl;
    const id = await features.createCollection("New fields", { description: "of 2026" });
    assertEquals((await features.getCollection(id)).description, "of 2026");
    assertEquals((await all(features.listCollections())).map(({ title }) => title), [
      "Fields",
      "New fields",
    ]);
    const [first] = await features.addItems(id, SQUARE);
    assertEquals(JSON.parse(log.entries.at(-1)!.body), { type: "Feature", geometry: SQUARE });
    const [named] = await features.addItems(id, AREA, { propertyId: "name" });
    assertEquals(named, `pl:features/my/${id}/north`);
    const collection = { type: "FeatureCollection" as const, features: Array(13).fill(AREA) };
    assertEquals((await features.addItems(id, collection)).length, 13);
    const listed = await all(features.listItems(id));
    assertEquals(listed.length, 15, "all, on two pages");
    assertEquals((await all(features.listItems(id, { limit: 3, pageSize: 2 }))).length, 3);
    assertEquals(listed[0]!.ref, first);
    const feature = await features.getItem(id, "north");
    assertEquals([feature.ref, feature.geometry], [named!, SQUARE]);
    assertEquals(JSON.parse(JSON.stringify(feature)).ref, undefined, "JSON is as the API has it");

    log.reset();
    await all(data.search({ itemTypes: ["PSScene"], geometry: feature, limit: 1 }));
    assertEquals(JSON.parse(log.entries[0]!.body).geometry, { type: "ref", content: named });

    await features.deleteItem(id, "north");
    await assertRejects(() => features.getItem(id, "north"), MissingResource);
    await features.deleteCollection(id);
    await assertRejects(() => all(features.listItems(id)), MissingResource);
  }));

test("a feature without a reference says so when it is asked for", async () => {
  const { pl } = fake({ api: [{ ...AREA, id: "a" }] });
  const feature = await pl.features.getItem("a", "b");
  let failed: unknown;
  try {
    void feature.ref;
  } catch (error) {
    failed = error;
  }
  assert(failed instanceof FeatureError);
  await assertRejects(
    () => all(pl.data.search({ itemTypes: ["PSScene"], geometry: feature })),
    FeatureError,
  );
});

const S3 = {
  bucket: "b",
  aws_region: "r",
  aws_access_key_id: "the access key",
  aws_secret_access_key: "the secret/key",
};

test("pl.destinations: created, listed, changed, made the default one", () =>
  inWorld(async ({ pl: { destinations }, sandbox: { log } }) => {
    const request = { name: "images", type: "amazon_s3" as const, parameters: S3 };
    const { id, parameters } = await destinations.createDestination(request);
    assertEquals(parameters.aws_secret_access_key, "<REDACTED>");
    assertEquals(JSON.parse(log.entries[0]!.body), request);
    assertEquals((await destinations.getDestination(id)).name, "images");
    await assertRejects(() => destinations.getDefaultDestination(), MissingResource);
    assertEquals((await destinations.setDefaultDestination(id)).default, true);
    assertEquals((await destinations.getDefaultDestination()).id, id);
    const list = await destinations.listDestinations({ isDefault: true, canWrite: false });
    assertEquals(list.destinations.map((one) => one["pl:ref"]), [`pl:destinations/${id}`]);
    assertEquals(log.entries.at(-1)!.url.search, "?can_write=false&is_default=true");
    assertEquals(await destinations.unsetDefaultDestination(), undefined);
    assertEquals((await destinations.patchDestination(id, { archive: true })).default, false);
    assertEquals((await destinations.listDestinations()).destinations, []);
    assertEquals((await destinations.listDestinations({ archived: true })).destinations.length, 1);
  }));

test("the credentials of a destination get into no error, and nothing that is printed", () =>
  inWorld(async ({ pl: { destinations }, sandbox }) => {
    sandbox.destinations.showsCredentials = true;
    const made = await destinations.createDestination({ type: "amazon_s3", parameters: S3 });
    const listed = await destinations.listDestinations();
    const again = await destinations.patchDestination(made.id, { parameters: S3 });
    for (const shown of [made, again, listed, listed.destinations]) {
      for (const text of [inspect(shown, { depth: 9 }), JSON.stringify(shown)]) {
        assert(!/the (access|secret)/.test(text) && text.includes("(secret)"), text);
      }
    }
    assertEquals(made.parameters.aws_access_key_id, S3.aws_access_key_id);
    const wrong = { type: 1, parameters: S3 } as never;
    const error = await assertRejects(() => destinations.createDestination(wrong), BadQuery);
    for (const text of [error.message, error.body, inspect(error), JSON.stringify(error)]) {
      assert(!/the (access|secret)/.test(text), text);
    }
    assert(error.body.includes("(secret)"), "the API had quoted them");
    const sent = JSON.parse(sandbox.log.entries.at(-2)!.body);
    assertEquals(sent.parameters, S3, "what is sent is whole");
    // What an answer is copied into may be sent again.
    await destinations.patchDestination(made.id, made as never);
    assertEquals(JSON.parse(sandbox.log.entries.at(-1)!.body).parameters, S3);
  }));

test("pl.quota: reservations, estimates, jobs and products", () =>
  inWorld(async ({ pl: { quota }, sandbox: { log } }) => {
    assertEquals((await all(quota.listReservations({ pageSize: 3 }))).length, 8);
    const filters = { product_id: 1, id__in: "1,2" };
    await all(quota.listReservations({ filters, fields: ["id", "state"], sort: "-id", limit: 2 }));
    const { pathname, search } = log.entries.at(-1)!.url;
    assertEquals(
      decodeURIComponent(pathname + search),
      "/account/v1/quota-reservations/?fields=id,state&sort=-id&product_id=1&id__in=1,2&limit=500",
    );
    assertEquals((await quota.getReservation(3)).id, 3);
    const [product] = await all(quota.listProducts({ supportsReservation: true, limit: 1 }));
    const request = { aoiRefs: [REF, "pl:features/my/fields-abc"], productId: product!.id };
    assertEquals((await quota.estimateReservation(request)).total_cost, 2);
    assertEquals((await quota.createReservation(request)).quota_used, 10);
    const { job_id } = await quota.bulkCreateReservations({ ...request, collectionId: "c" });
    assertEquals(JSON.parse(log.entries.at(-1)!.body).collection_id, "c");
    assertEquals((await quota.getJob(job_id)).percentage, 100);
    assertEquals((await all(quota.listJobs())).length, 1);
    await assertRejects(() => quota.getJob("none"), MissingResource);
  }));

const WRONG: [string, (pl: Planet) => Promise<unknown>, unknown][] = [
  ["collection", ({ features }) => features.deleteCollection(""), ClientError],
  ["feature's identifier", ({ features }) => features.deleteItem("a", ""), ClientError],
  ["title", ({ features }) => features.createCollection(1 as never), TypeError],
  ["feature", ({ features }) => features.addItems("a", "x" as never), TypeError],
  [
    "feature: a point",
    ({ features }) => features.addItems("a", { type: "Point", coordinates: [0, 0] }),
    GeoJSONError,
  ],
  [
    "feature without a geometry",
    ({ features }) => features.addItems("a", { type: "Feature", properties: {} }),
    GeoJSONError,
  ],
  [
    "collection of none",
    ({ features }) => features.addItems("a", { type: "FeatureCollection", features: [] }),
    GeoJSONError,
  ],
  [
    "size of a page",
    ({ features }) => all(features.listItems("a", { pageSize: 10_001 })),
    ClientError,
  ],
  ["destination", ({ destinations }) => destinations.createDestination(null as never), TypeError],
  ["default", ({ destinations }) => destinations.setDefaultDestination(""), ClientError],
  ["reservation", ({ quota }) => quota.getReservation("1" as never), TypeError],
  ["number of a reservation", ({ quota }) => quota.getReservation(-1), ClientError],
  ["job", ({ quota }) => quota.getJob(""), ClientError],
  [
    "list of areas",
    ({ quota }) => quota.createReservation({ aoiRefs: [], productId: 1 }),
    ClientError,
  ],
  [
    "reference",
    ({ quota }) => quota.createReservation({ aoiRefs: ["x"], productId: 1 }),
    FeatureError,
  ],
  [
    "areas of another type",
    ({ quota }) => quota.estimateReservation({ aoiRefs: REF as never, productId: 1 }),
    TypeError,
  ],
  [
    "product",
    ({ quota }) => quota.bulkCreateReservations({ aoiRefs: [REF], productId: undefined as never }),
    TypeError,
  ],
];
for (const [what, call, Class] of WRONG) {
  test(`a wrong ${what} is refused before anything is sent`, async () => {
    const { pl, server } = fake();
    await assertRejects(() => call(pl), Class as ErrorConstructor);
    assertEquals(server.requests, []);
  });
}

test("answers that are none are told, without being quoted", async () => {
  for (const body of ["<html>quoted", '{"id":1}', "[1]", ""]) {
    const { pl } = fake({ api: [new FakeResponse(200, body)] });
    const calls = [
      () => pl.features.addItems("a", SQUARE),
      () => pl.features.createCollection("a"),
    ];
    for (const call of calls) {
      const error = await assertRejects(call, ApiError);
      assert(!error.message.includes("quoted"), error.message);
    }
  }
});
