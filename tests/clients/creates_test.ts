/**
 * What creates something is sent so that it is made exactly once, whatever becomes of the answer.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  ApiError,
  Auth,
  AuthError,
  BadGateway,
  Planet,
  Session,
  TooManyRequests,
} from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { listen } from "../sandbox/http_server.ts";

const ID = "00000000-0000-4000-8000-000000000001";
const GEOMETRY = { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };

const RESERVATION = { aoiRefs: ["pl:features/my/fields-abc/field-1"], productId: 1 };
const SUBSCRIPTION = {
  name: "n",
  source: { parameters: { id: "a", geometry: GEOMETRY, start_time: "2026-01-01T00:00:00Z" } },
};

/** Everything that creates or changes something by a POST. */
const CREATES: Readonly<Record<string, (pl: Planet) => Promise<unknown>>> = {
  "data.createSearch()": ({ data }) =>
    data.createSearch({
      name: "n",
      itemTypes: ["PSScene"],
      searchFilter: { type: "AndFilter", config: [] },
      geometry: GEOMETRY,
    }),
  "orders.createOrder()": ({ orders }) =>
    orders.createOrder({
      name: "n",
      products: [{ item_ids: ["a"], item_type: "PSScene", product_bundle: "visual" }],
    }),
  "orders.cancelOrders()": ({ orders }) => orders.cancelOrders([ID]),
  "subscriptions.createSubscription()": ({ subscriptions }) =>
    subscriptions.createSubscription(SUBSCRIPTION),
  "subscriptions.bulkCreateSubscriptions()": ({ subscriptions }) =>
    subscriptions.bulkCreateSubscriptions([SUBSCRIPTION]),
  "destinations.createDestination()": ({ destinations }) =>
    destinations.createDestination({
      type: "google_cloud_storage",
      parameters: { bucket: "b", credentials: "key" },
    }),
  "features.createCollection()": async ({ features }) => ({
    id: await features.createCollection("n"),
  }),
  "features.addItems()": async ({ features }) => ({
    id: (await features.addItems("fields", GEOMETRY))[0],
  }),
  "quota.createReservation()": ({ quota }) => quota.createReservation(RESERVATION),
  "quota.bulkCreateReservations()": ({ quota }) => quota.bulkCreateReservations(RESERVATION),
};

type Way = "answer lost" | "answer cut" | "502 after" | "429 before" | "kept connection closed";

/** A server that makes what it is asked for, and fails in a way. */
async function world(way: Way) {
  const made: string[] = [];
  const used = new WeakSet<object>();
  let refusals = 2;
  const server = await listen((request, response) => {
    const isPost = request.method === "POST";
    request.on("error", () => {});
    request.resume().on("end", () => {
      const answer = (status: number, body = "{}") => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(body);
      };
      if (!isPost) {
        used.add(request.socket);
        return answer(200);
      }
      if (way === "429 before" && refusals-- > 0) return answer(429);
      made.push(request.url!);
      if (way === "502 after") return answer(502);
      if (way === "answer lost") return void request.socket.destroy();
      if (way === "kept connection closed" && used.has(request.socket)) {
        return void request.socket.destroy();
      }
      if (way !== "answer cut") {
        return answer(200, JSON.stringify(/\/items$/.test(request.url!) ? [ID] : { id: ID }));
      }
      response.writeHead(200, { "content-length": 1_000 });
      response.write("{", () => setTimeout(() => request.socket.destroy(), 5));
    });
  });
  const auth = Auth.fromKey(secret("key"), {
    environment: {
      userAuthServer: "https://login.planet.com/",
      m2mAuthServer: "https://services.sentinel-hub.com/",
      audiences: [server.origin],
      apiBaseUrl: server.origin,
      allowedOrigins: [server.origin],
    },
  });
  const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
  const session = new Session(auth, { clock, requestsPerSecond: 0 });
  return { made, pl: new Planet(session), server, session };
}

const WAYS: Readonly<Record<Way, (outcome: unknown) => boolean>> = {
  "answer lost": (outcome) => outcome instanceof AuthError && outcome.code === "network",
  "answer cut": (outcome) => outcome instanceof AuthError && outcome.code === "network",
  "502 after": (outcome) => outcome instanceof BadGateway,
  "429 before": (outcome) => Object(outcome).id === ID,
  // Bun and Node may take the kept connection, and say that it broke.
  "kept connection closed": (outcome) =>
    Object(outcome).id === ID || (!("Deno" in globalThis) && outcome instanceof AuthError),
};

for (const [name, create] of Object.entries(CREATES)) {
  for (const [way, isRight] of Object.entries(WAYS) as [Way, (outcome: unknown) => boolean][]) {
    test(`${name} makes it once: ${way}`, async () => {
      const { made, pl, server, session } = await world(way);
      try {
        // Leaves a connection behind.
        await (await session.request("GET", "/")).text();
        const outcome = await create(pl).catch((error) => error);
        assert(isRight(outcome), String(outcome));
        assertEquals(made.length, 1);
        if (outcome instanceof ApiError || outcome instanceof AuthError) {
          const look = `Look with GET ${server.origin}${made[0]}`;
          assert(outcome.message.startsWith(look), outcome.message);
        }
      } finally {
        await server.close();
      }
    });
  }
}

test("orders.createOrder() with a 429 that never ends makes nothing, and speaks of the quota", async () => {
  const { made, pl, server } = await world("429 before");
  try {
    const request = { name: "n", products: [{ mosaic_name: "m" }] };
    const error = await pl.orders.createOrder(request, { maxRetries: 1 }).catch((error) => error);
    assert(error instanceof TooManyRequests && error.message.includes("quota"), String(error));
    assertEquals(made, []);
  } finally {
    await server.close();
  }
});
