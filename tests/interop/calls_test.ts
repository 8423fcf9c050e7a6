/**
 * Our calls are those of the Planet SDK for Python, but for a written list of differences.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Auth, Planet, Session } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { asking, type Call, type CallTable, compareCalls, ours } from "./_calls.ts";
import { DATA_CALLS, FEATURE, FILTER, ID, ITEM, POLYGON, TYPES } from "./_data_calls.ts";
import { CALL_DIFFERENCES } from "./_differences.ts";
import { ORDERS_CALLS } from "./_orders_calls.ts";
import { SKIP_BUT_DENO, withPython } from "./python.ts";

/** The tables, one for each API. */
const TABLES: readonly CallTable[] = [DATA_CALLS, ORDERS_CALLS];

/** How many calls, over all tables, send something that is equal. */
const LEAST = 59;

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
