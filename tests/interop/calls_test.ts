/**
 * Our calls are those of the Planet SDK for Python, but for a written list of differences.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Auth, BadGateway, Planet, Session } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { asking, type Call, type CallTable, compareCalls, ours } from "./_calls.ts";
import { DATA_CALLS, FEATURE, FILTER, ID, ITEM, POLYGON, TYPES } from "./_data_calls.ts";
import { CALL_DIFFERENCES } from "./_differences.ts";
import { MORE_CALLS } from "./_more_calls.ts";
import { ORDERS_CALLS } from "./_orders_calls.ts";
import { SKIP_BUT_DENO, withPython } from "./python.ts";

/** The tables, one for each API. */
const TABLES: readonly CallTable[] = [DATA_CALLS, ORDERS_CALLS, ...MORE_CALLS];

/** How many calls, over all tables, send something that is equal. */
const LEAST = 200;

test(
  "the calls of all clients are those of Python: method, path, query, body, result, error",
  async () => {
    const equal = await compareCalls(TABLES);
    console.log(JSON.stringify({ equal }));
    assert(equal >= LEAST, `${equal} calls`);
  },
  { skip: SKIP_BUT_DENO, timeoutMs: 300_000 },
);

test("the Data API's calls differ from Python's as the written list says", async () => {
  await withPython(async ({ home, python, sandbox }) => {
    const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment });
    const pl = new Planet(new Session(auth, { requestsPerSecond: 0 }));
    const update: Call = ["update_search", [ID(1)], {
      item_types: TYPES,
      search_filter: FILTER,
      name: "n",
      geometry: FEATURE,
    }];
    const { asked } = await python({
      ...asking(sandbox, DATA_CALLS, update),
      call: "asked_before",
    });
    assertEquals(
      asked,
      Array(2).fill("https://api.planet.com/compute/ops/bundles/spec"),
      CALL_DIFFERENCES.spec.what,
    );
    assertEquals(sandbox.log.entries, []);
    await python(asking(sandbox, DATA_CALLS, update));
    await ours(pl, DATA_CALLS, update);
    assertEquals(
      sandbox.log.entries.map(({ body }) => JSON.parse(body).geometry),
      [FEATURE, POLYGON],
      CALL_DIFFERENCES.updateGeometry.what,
    );
    const download = (filename: string): Call => [
      "download_asset",
      [],
      { ready: ["PSScene", ITEM, "metadata_json"], directory: home, filename },
    ];
    sandbox.log.reset();
    await python(asking(sandbox, DATA_CALLS, download("theirs")));
    await ours(pl, DATA_CALLS, download("ours"));
    const codings = sandbox.log.entries.filter(({ kind }) => kind === "storage")
      .map(({ headers }) => headers["accept-encoding"] === "identity");
    assertEquals(codings, [false, true], CALL_DIFFERENCES.accept.what);
  });
}, { skip: SKIP_BUT_DENO, timeoutMs: 60_000 });

test("the calls of orders differ from Python's as the written list says", async () => {
  await withPython(async ({ home, python, sandbox }) => {
    const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment });
    const pl = new Planet(new Session(auth, { requestsPerSecond: 0 }));
    const sent = async (call: Call) => {
      const answers: unknown[] = [];
      for (
        const make of [
          () => python(asking(sandbox, ORDERS_CALLS, call)),
          () => ours(pl, ORDERS_CALLS, call).catch((error) => error.name),
        ]
      ) {
        sandbox.log.reset();
        answers.push(await make());
      }
      return answers;
    };
    const bodies = () => sandbox.log.entries.map(({ body }) => JSON.parse(body));
    const request = { name: "n", products: [{ item_ids: ["a"], item_type: "b" }] };

    sandbox.failNext("api", { status: 502 }, 2);
    await python(asking(sandbox, ORDERS_CALLS, ["create_order", [request], {}]));
    const counts = [sandbox.log.entries.length];
    sandbox.failNext("api", { status: 502 }, 1);
    sandbox.log.reset();
    await assertRejects(() => ours(pl, ORDERS_CALLS, ["create_order", [request], {}]), BadGateway);
    counts.push(sandbox.log.entries.length);
    assertEquals(counts, [3, 1], CALL_DIFFERENCES.once.what);

    const [theirs, refused] = await sent(["cancel_orders", [[]], {}]);
    assertEquals(
      [theirs, refused],
      [
        { result: { result: { succeeded: { count: 1 }, failed: { count: 0, failures: [] } } } },
        "ClientError",
      ],
      CALL_DIFFERENCES.cancelNone.what,
    );

    const tools = [{ tile: { tile_size: 1, origin_x: 0, conformal_x_scaling: false } }];
    const tile = {
      $: "order_request.tile_tool",
      args: [1],
      options: { origin_x: 0, conformal_x_scaling: false },
    };
    await python(
      asking(sandbox, ORDERS_CALLS, ["create_order", [{ ...request, tools: [tile] }], {}]),
    );
    const [dropped] = bodies().slice(-1);
    await ours(pl, ORDERS_CALLS, ["create_order", [{ ...request, tools }], {}]);
    assertEquals(
      [dropped.tools, bodies().at(-1).tools],
      [[{ tile: { tile_size: 1 } }], tools],
      CALL_DIFFERENCES.zeros.what,
    );

    const id = [...sandbox.orders.orders.keys()].at(-1)!;
    await pl.orders.wait(id, { delayMs: 1 });
    await sent(["download_asset", [], { result_of: id, directory: home, filename: "x" }]);
    const asked = async (make: () => Promise<unknown>) => {
      sandbox.log.reset();
      await make();
      return sandbox.log.count("download");
    };
    const again: Call = ["download_asset", [], { result_of: id, directory: home, filename: "x" }];
    assertEquals(
      [
        await asked(() => python(asking(sandbox, ORDERS_CALLS, again))),
        await asked(() => ours(pl, ORDERS_CALLS, again)),
      ],
      [1, 0],
      CALL_DIFFERENCES.there.what,
    );
  });
}, { skip: SKIP_BUT_DENO, timeoutMs: 60_000 });
