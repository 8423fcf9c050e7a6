/**
 * The classes that stand in for the clients until they are loaded: the same methods, lists and calls, and
 * nothing that makes an object look like something else.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { inspect } from "node:util";
import { type Clients, Planet, Session } from "../../mod.ts";
import { DataAPI } from "../../lib/clients/data.ts";
import { OrdersAPI } from "../../lib/clients/orders.ts";
import { DestinationsAPI } from "../../lib/clients/destinations.ts";
import { FeaturesAPI } from "../../lib/clients/features.ts";
import { MosaicsAPI } from "../../lib/clients/mosaics.ts";
import { QuotaAPI } from "../../lib/clients/quota.ts";
import { SubscriptionsAPI } from "../../lib/clients/subscriptions.ts";
import { test } from "../_support/harness.ts";

/** Every method of a client: those that return a list, and the others. */
type Methods<Client> = {
  readonly [Name in keyof Client]: Client[Name] extends (...args: never) => AsyncIterable<unknown>
    ? "list"
    : "call";
};

/** The compiler holds this against the classes. */
const CLIENTS: {
  readonly [Name in keyof Clients]: readonly [
    new (...args: never) => Clients[Name],
    Methods<Clients[Name]>,
  ];
} = {
  data: [DataAPI, {
    activateAsset: "call",
    createSearch: "call",
    deleteSearch: "call",
    downloadAsset: "call",
    fetchAssets: "call",
    getAsset: "call",
    getItem: "call",
    getItemCoverage: "call",
    getSearch: "call",
    getStats: "call",
    listItemAssets: "call",
    listSearches: "list",
    openAsset: "call",
    runSearch: "list",
    search: "list",
    updateSearch: "call",
    validateChecksum: "call",
    waitAsset: "call",
  }],
  orders: [OrdersAPI, {
    aggregatedOrderStats: "call",
    cancelOrder: "call",
    cancelOrders: "call",
    createOrder: "call",
    downloadAsset: "call",
    downloadOrder: "call",
    getOrder: "call",
    listOrders: "list",
    openAsset: "call",
    validateChecksum: "call",
    wait: "call",
  }],
  destinations: [DestinationsAPI, {
    createDestination: "call",
    getDefaultDestination: "call",
    getDestination: "call",
    listDestinations: "call",
    patchDestination: "call",
    setDefaultDestination: "call",
    unsetDefaultDestination: "call",
  }],
  features: [FeaturesAPI, {
    addItems: "call",
    createCollection: "call",
    deleteCollection: "call",
    deleteItem: "call",
    getCollection: "call",
    getItem: "call",
    listCollections: "list",
    listItems: "list",
  }],
  mosaics: [MosaicsAPI, {
    downloadQuad: "call",
    downloadQuads: "call",
    getMosaic: "call",
    getQuad: "call",
    getQuadContributions: "call",
    getSeries: "call",
    listMosaics: "list",
    listQuads: "list",
    listSeries: "list",
    listSeriesMosaics: "list",
    openQuad: "call",
    summarizeQuads: "call",
  }],
  quota: [QuotaAPI, {
    bulkCreateReservations: "call",
    createReservation: "call",
    estimateReservation: "call",
    getJob: "call",
    getReservation: "call",
    listJobs: "list",
    listProducts: "list",
    listReservations: "list",
  }],
  subscriptions: [SubscriptionsAPI, {
    bulkCreateSubscriptions: "call",
    bulkReactivateSubscriptions: "call",
    bulkSuspendSubscriptions: "call",
    cancelSubscription: "call",
    createSubscription: "call",
    getResults: "list",
    getResultsCsv: "list",
    getSubscription: "call",
    getSubscriptionSummary: "call",
    getSummary: "call",
    listSubscriptions: "list",
    patchSubscription: "call",
    reactivateSubscription: "call",
    suspendSubscription: "call",
    updateSubscription: "call",
  }],
};

const refused = new Error("no network here");
const session = () =>
  new Session({ authorization: () => "" }, {
    maxRetries: 0,
    requestsPerSecond: 0,
    fetch: () => Promise.reject(refused),
  });

for (const [name, [Class, methods]] of Object.entries(CLIENTS)) {
  test(`pl.${name} has the methods of its class before that is loaded: lists and calls`, async () => {
    const own = Object.getOwnPropertyNames(Class.prototype).filter((one) => one !== "constructor");
    assertEquals(own.sort(), Object.keys(methods).sort());
    const client = new Planet(session())[name as keyof Clients] as object;
    for (const [method, kind] of Object.entries(methods)) {
      assert(method in client, method);
      const value = client[method as keyof typeof client] as (...args: unknown[]) => unknown;
      assertEquals(value, client[method as keyof typeof client], "the same each time");
      const result = value.call(client, null, null, null);
      assertEquals(
        Symbol.asyncIterator in Object(result) ? "list" : "call",
        kind,
        `${name}.${method}`,
      );
      if (kind === "call") await assertRejects(() => result as Promise<unknown>);
    }
  });

  test(`pl.${name} is no promise, and looks like an object`, async () => {
    const client = new Planet(session())[name as keyof Clients] as object as Record<
      string,
      unknown
    >;
    assert(await client === client, "await leaves it as it is");
    for (const other of ["then", "toJSON", "catch", "nodetype", "length"]) {
      assertEquals(client[other], undefined, other);
      assert(!(other in client), other);
    }
    assertEquals(String(client), "[object Object]");
    assertEquals(JSON.stringify(client), "{}");
    assertEquals(Object.keys(client), []);
    for (const text of [inspect(client), inspect(client, { depth: 9, showHidden: true })]) {
      assert(text.length < 40, text);
    }
    const fake = () => "mine";
    client.getSearch = fake;
    assertEquals(client.getSearch, fake, "it can be replaced in a test");
  });
}

test("two clients share no method that one of them replaced", () => {
  const [one, other] = [new Planet(session()).data, new Planet(session()).data];
  one.getSearch = () => Promise.reject(refused);
  assert(one.getSearch !== other.getSearch);
});
