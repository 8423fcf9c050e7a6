/**
 * Subscriptions: each call against the sandbox, CSV as lines, "all" that must be said, credentials that
 * nobody sees.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AuthError,
  BadQuery,
  ClientError,
  GeoJSONError,
  MissingResource,
  Planet,
  Session,
  type SubscriptionRequest,
} from "../../mod.ts";
import { inspect } from "node:util";
import { views } from "../_support/canaries.ts";
import { FakeResponse } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { all, fake, inWorld } from "./_world.ts";

const SQUARE = { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };
const REQUEST: SubscriptionRequest = {
  name: "Woods",
  source: {
    parameters: {
      item_types: ["PSScene"],
      asset_types: ["ortho_analytic_4b"],
      geometry: SQUARE,
      start_time: "2026-01-01T00:00:00Z",
    },
  },
};

test("pl.subscriptions: created, listed, changed, suspended, cancelled, summed up", () =>
  inWorld(async ({ pl: { subscriptions }, sandbox }) => {
    const { log } = sandbox;
    const made = await subscriptions.createSubscription({
      ...REQUEST,
      tools: [{ type: "clip", parameters: { aoi: { type: "Feature", geometry: SQUARE } } }],
      delivery: { type: "destination", parameters: { ref: "pl:destinations/default" } },
    });
    assertEquals(JSON.parse(log.entries[0]!.body).tools[0].parameters.aoi, SQUARE, "reduced");
    const { id } = made;
    assertEquals([made.name, made.status], ["Woods", "running"]);
    assertEquals((await all(subscriptions.listSubscriptions())).length, 7);
    log.reset();
    await all(subscriptions.listSubscriptions({ status: ["running", "failed"], pageSize: 3 }));
    assertEquals(log.entries.map(({ url }) => url.search.replace(/&_page=/, " page ")), [
      "?status=running&status=failed&page_size=3",
      "?status=running&status=failed&page_size=3 page 2",
      "?status=running&status=failed&page_size=3 page 3",
    ]);
    assertEquals((await subscriptions.suspendSubscription(id, { details: "x" })).details, "x");
    assertEquals((await subscriptions.getSubscription(id)).status, "suspended");
    await subscriptions.reactivateSubscription(id);
    assertEquals(
      (await subscriptions.updateSubscription(id, { ...REQUEST, name: "Trees" })).name,
      "Trees",
    );
    assertEquals((await subscriptions.patchSubscription(id, { name: "Wood" })).name, "Wood");
    await subscriptions.cancelSubscription(id);
    assertEquals((await subscriptions.getSummary()).subscriptions, { running: 6, cancelled: 1 });
    const [first] = await all(
      subscriptions.listSubscriptions({ sortBy: "created", limit: 1, status: ["running"] }),
    );
    const results = await all(subscriptions.getResults(first!.id, { limit: 0 }));
    assertEquals(results.length, 12);
    assertEquals(
      (await all(subscriptions.getResults(first!.id, { status: ["failed"] }))).length,
      3,
    );
    assertEquals((await subscriptions.getSubscriptionSummary(first!.id)).results, {
      created: 0,
      success: 9,
      failed: 3,
    });
    const { _links } = await subscriptions.bulkCreateSubscriptions([REQUEST]);
    assertEquals(typeof _links.list, "string");
    await assertRejects(() => subscriptions.getSubscription("none"), MissingResource);
  }));

test('"all" must be said to bulkSuspendSubscriptions() and bulkReactivateSubscriptions()', () =>
  inWorld(async ({ pl: { subscriptions }, sandbox: { log } }) => {
    const wrong: unknown[] = [
      undefined,
      null,
      [],
      {},
      { subscriptionIds: [] },
      { all: false },
      { all: true, allSubscriptions: true },
      { subscriptionIds: ["a"], all: true },
      { details: "why" },
    ];
    for (const which of wrong) {
      for (const method of ["bulkSuspendSubscriptions", "bulkReactivateSubscriptions"] as const) {
        const error = await assertRejects(() => subscriptions[method](which as never), ClientError);
        assert(error.message.includes("{ all: true }"), error.message);
      }
    }
    for (const which of [[1], "abc", { all: "yes" }]) {
      await assertRejects(() => subscriptions.bulkSuspendSubscriptions(which as never), Error);
    }
    assertEquals(log.entries, [], "nothing was sent");
    const [one, two] = await all(subscriptions.listSubscriptions());
    log.reset();
    await subscriptions.bulkSuspendSubscriptions([one!.id], { details: "why" });
    await subscriptions.bulkReactivateSubscriptions({ subscriptionIds: [one!.id, two!.id] });
    await subscriptions.bulkSuspendSubscriptions({ all: true, details: "d" });
    await subscriptions.bulkReactivateSubscriptions({ all: true });
    await subscriptions.bulkSuspendSubscriptions({ allSubscriptions: true });
    assertEquals(
      log.entries.map(({ body, url }) => `${url.pathname.split("/").at(-1)}${url.search} ${body}`),
      [
        `suspend {"subscription_ids":["${one!.id}"],"details":"why"}`,
        `reactivate {"subscription_ids":["${one!.id}","${two!.id}"]}`,
        'suspend {"details":"d"}',
        "reactivate ",
        "suspend?user_id=all ",
      ],
    );
  }));

/** Reads a CSV whose body comes in these parts, each once it is asked for; at most `most` lines of it. */
async function readCsv(parts: (Uint8Array | Error)[], most = Infinity) {
  const [lines, seen]: [string[], { asked: number; isCancelled: boolean }] = [[], {
    asked: 0,
    isCancelled: false,
  }];
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts[seen.asked++];
      if (part === undefined) controller.close();
      else if (part instanceof Error) controller.error(part);
      else controller.enqueue(part);
    },
    cancel: () => void (seen.isCancelled = true),
  }, { highWaterMark: 0 });
  const { subscriptions } = new Planet(
    new Session({ authorization: () => "" }, {
      requestsPerSecond: 0,
      fetch: () => Promise.resolve(new Response(body)),
    }),
  );
  let error: unknown;
  try {
    for await (const line of subscriptions.getResultsCsv("a")) {
      if (lines.push(line) >= most) break;
    }
  } catch (failure) {
    error = failure;
  }
  return { error, lines, ...seen };
}

test("getResultsCsv() yields the lines as they come, whatever ends them", () =>
  inWorld(async ({ pl: { subscriptions }, sandbox }) => {
    const [one] = await all(subscriptions.listSubscriptions({ limit: 1 }));
    const { id } = one!;
    for (const lineEnd of ["\n", "\r\n", "\r"]) {
      sandbox.subscriptions.lineEnd = lineEnd;
      const lines = await all(subscriptions.getResultsCsv(id, { status: ["failed"] }));
      assertEquals(lines.length, 4, JSON.stringify(lineEnd));
      assertEquals(lines[0], "id,status,created,updated,item_datetime");
      assert(lines.every((line) => line.split(",").length === 5));
    }
    assertEquals(sandbox.log.entries.at(-1)!.url.search, "?format=csv&status=failed");
    await assertRejects(() => all(subscriptions.getResultsCsv("none")), MissingResource);
  }));

test("getResultsCsv() splits at every place of a part alike, and reads no further than it is read", async () => {
  const text = "a,ü\r\nb,\n\nc,🌍\rlast";
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at <= bytes.length; at++) {
    const { lines } = await readCsv([bytes.subarray(0, at), bytes.subarray(at)]);
    assertEquals(lines, ["a,ü", "b,", "", "c,🌍", "last"], `cut at ${at}`);
  }
  const parts = Array.from({ length: 100 }, (_, index) => new TextEncoder().encode(`${index}\n`));
  const { asked, isCancelled, lines } = await readCsv(parts, 3);
  assertEquals(lines, ["0", "1", "2"]);
  assert(asked <= 4 && isCancelled, `${asked} parts were read`);
});

test("getResultsCsv() tells a refusal in its class, and a break in the middle", async () => {
  const { pl } = fake({ api: [new FakeResponse(400, { message: "no such status" })] });
  const error = await assertRejects(() => all(pl.subscriptions.getResultsCsv("a")), BadQuery);
  assert(error.message.includes("no such status"), error.message);
  const [whole, half] = ["a\nb\n", "c"].map((text) => new TextEncoder().encode(text));
  const broken = await readCsv([whole!, half!, new TypeError("connection reset")]);
  assert(broken.error instanceof AuthError);
  assertEquals([broken.error.code, broken.lines], ["network", ["a", "b"]]);
});

const WRONG: [string, (s: Planet["subscriptions"]) => Promise<unknown>, unknown][] = [
  ["identifier", (s) => s.getSubscription(""), ClientError],
  ["identifier that climbs", (s) => s.cancelSubscription(".."), ClientError],
  ["identifier of another type", (s) => s.suspendSubscription(1 as never), TypeError],
  ["status as text", (s) => all(s.listSubscriptions({ status: "running" as never })), TypeError],
  ["size of a page", (s) => all(s.listSubscriptions({ pageSize: -1 })), ClientError],
  ["limit", (s) => all(s.getResults("a", { limit: -1 })), ClientError],
  ["request", (s) => s.createSubscription(undefined as never), TypeError],
  ["name", (s) => s.createSubscription({ ...REQUEST, name: 1 as never }), TypeError],
  ["source", (s) => s.updateSubscription("a", { name: "n" } as never), TypeError],
  ["empty bulk", (s) => s.bulkCreateSubscriptions([]), ClientError],
  [
    "order of tools",
    (s) =>
      s.createSubscription({
        ...REQUEST,
        tools: [{ type: "file_format", parameters: { format: "COG" } }, {
          type: "toar",
          parameters: {},
        }],
      }),
    ClientError,
  ],
  ["tool", (s) => s.patchSubscription("a", { tools: [{} as never] }), ClientError],
  [
    "geometry",
    (s) => {
      const ring = Array.from({ length: 1_502 }, (_, index) => [index % 1_501, 0]);
      const geometry = { type: "Polygon", coordinates: [ring] };
      const parameters = { ...REQUEST.source.parameters, geometry };
      return s.createSubscription({ ...REQUEST, source: { parameters } } as SubscriptionRequest);
    },
    GeoJSONError,
  ],
];
for (const [what, call, Class] of WRONG) {
  test(`pl.subscriptions refuses a wrong ${what} before anything is sent`, async () => {
    const { pl, server } = fake();
    await assertRejects(() => call(pl.subscriptions), Class as ErrorConstructor);
    assertEquals(server.requests, []);
  });
}

/** A service account's key, as a text of JSON, which an API may quote in parts. */
const KEY = JSON.stringify({
  type: "service_account",
  private_key: "-----BEGIN PRIVATE KEY-----\nthe+private/key+of+the+account\n-----END",
});
const DELIVERIES: Record<string, SubscriptionRequest["delivery"]> = {
  amazon_s3: {
    type: "amazon_s3",
    parameters: {
      bucket: "b",
      aws_region: "r",
      aws_access_key_id: "the access key",
      aws_secret_access_key: "the secret/key",
    },
  },
  azure_blob_storage: {
    type: "azure_blob_storage",
    parameters: { account: "a", container: "c", sas_token: "sv=1&sig=the%2Fsignature" },
  },
  google_cloud_storage: {
    type: "google_cloud_storage",
    parameters: { bucket: "b", credentials: KEY },
  },
  google_earth_engine: {
    type: "google_earth_engine",
    parameters: { project: "p", collection: "c", credentials: KEY },
  },
  oracle_cloud_storage: {
    type: "oracle_cloud_storage",
    parameters: {
      bucket: "b",
      region: "r",
      namespace: "n",
      customer_access_key_id: "the customer key",
      customer_secret_key: "the customer secret",
    },
  },
  s3_compatible: {
    type: "s3_compatible",
    parameters: {
      endpoint: "https://s3.example",
      bucket: "b",
      region: "r",
      access_key_id: "the other key",
      secret_access_key: "the other secret",
    },
  },
};
const SECRETS = /the.(access|secret|%2Fsig|private|customer|other|signature)|the\+private/;

for (const [kind, delivery] of Object.entries(DELIVERIES)) {
  test(`the credentials of a delivery get into no error, and nothing that is printed: ${kind}`, async () => {
    const quoted = JSON.stringify(delivery!.parameters);
    const key = "credentials" in delivery!.parameters ? JSON.parse(KEY).private_key : "";
    const request = { ...REQUEST, delivery };
    for (
      const body of [
        { message: `cannot use ${quoted}` },
        { general: [{ message: quoted }], field: { delivery: [delivery!.parameters, key] } },
        quoted,
        encodeURIComponent(quoted),
        key,
        `a line of it: ${key.split("\n")[1]}`,
      ]
    ) {
      const { pl } = fake({ api: [new FakeResponse(400, body as never)] });
      const error = await assertRejects(
        () => pl.subscriptions.createSubscription(request as SubscriptionRequest),
        BadQuery,
      );
      for (const [way, text] of views(error)) {
        assert(!SECRETS.test(text), `${way}: ${text}`);
      }
    }
    // An API that shows what it was told: who prints the answer does not show it.
    const answer = { id: "a", name: "n", delivery };
    const { pl } = fake({
      api: ({ path }) => path.endsWith("/v1") ? { subscriptions: [answer] } : answer,
    });
    const [listed] = await all(pl.subscriptions.listSubscriptions());
    const one = await pl.subscriptions.getSubscription("a");
    for (const shown of [one, listed, { nested: [one] }]) {
      for (const text of [JSON.stringify(shown), inspect(shown, { depth: 9 })]) {
        assert(!SECRETS.test(text) && text.includes("(secret)"), text);
      }
    }
    assertEquals({ ...one }.delivery as unknown, delivery, "the program itself can read it");
  });
}
