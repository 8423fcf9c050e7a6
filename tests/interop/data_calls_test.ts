/**
 * The same calls of the Data API by us and by the Planet SDK for Python, each against a sandbox of its
 * own that records them: method, path, query and body are the same, and so is what the calls return.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Auth, type JsonObject, Planet, PlanetError, Session } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { CALL_DIFFERENCES } from "./_differences.ts";
import { SKIP_BUT_DENO, withPython } from "./python.ts";

/** A call: Python's method, arguments by place, and by name. */
type Call = readonly [method: string, args: readonly unknown[], options: JsonObject];

const ITEM = "20260101_100000_psscene";
const POINT = { type: "Point", coordinates: [13.4, 52.5] };
const POLYGON = { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };
const FEATURE = { type: "Feature", properties: { a: 1 }, geometry: POLYGON };
const REF = "pl:features/my/fields-abc/1";
const FILTER = { type: "RangeFilter", field_name: "cloud_cover", config: { lt: 0.5 } };
const ID = (number: number) => number.toString(16).padStart(32, "0");
const TYPES = ["PSScene"];

/** The calls, in order: searches that are made get the numbers from 13 on. */
function calls(directory: string): Call[] {
  const request = { item_types: TYPES, search_filter: FILTER, name: "Fields" };
  const area = (geometry: unknown) => ({ ...request, geometry }) as JsonObject;
  const asset = (type: string, item = ITEM) => ["PSScene", item, type];
  const file = (filename: string) => ({ directory, filename });
  return [
    ["list_searches", [], {}],
    ["list_searches", [], { limit: 0 }],
    ["list_searches", [], { limit: 7 }],
    ["list_searches", [], { sort: "created asc" }],
    ["list_searches", [], { sort: "Created Desc", search_type: "saved" }],
    ["list_searches", [], { search_type: "quick", limit: 3 }],
    ["list_searches", [], { search_type: "ANY" }],
    ["list_searches", [], { sort: "name asc" }],
    ["list_searches", [], { search_type: "other" }],
    ["create_search", [], request],
    ["create_search", [], { ...request, enable_email: true }],
    ["create_search", [], area(POINT)],
    ["create_search", [], area(FEATURE)],
    ["create_search", [], area({ type: "FeatureCollection", features: [FEATURE] })],
    ["create_search", [], area(REF)],
    ["create_search", [], area({ type: "ref", content: REF })],
    ["create_search", [], area({ type: "Circle", coordinates: [0, 0] })],
    ["create_search", [], area({ type: "Polygon", coordinates: [[[0, 0], [1, 1]]] })],
    ["create_search", [], area("fields/1")],
    ["get_search", [ID(13)], {}],
    ["get_search", [ID(999)], {}],
    ["update_search", [ID(13)], { ...request, name: "Woods" }],
    ["update_search", [ID(13)], { ...request, enable_email: true, geometry: POINT }],
    ["update_search", [ID(999)], request],
    ["run_search", [ID(13)], {}],
    ["run_search", [ID(13)], { limit: 3, sort: "acquired asc" }],
    ["run_search", [ID(13)], { sort: "published desc", limit: 0 }],
    ["run_search", [ID(13)], { sort: "acquired DESC" }],
    ["run_search", ["mine"], {}],
    ["run_search", [ID(13)], { sort: "name" }],
    ["delete_search", [ID(13)], {}],
    ["delete_search", [ID(13)], {}],
    ["search", [], { item_types: TYPES }],
    ["search", [], { item_types: ["PSScene", "SkySatScene"], limit: 0 }],
    ["search", [], { item_types: TYPES, search_filter: FILTER, limit: 2, name: "Quick" }],
    ["search", [], { item_types: TYPES, sort: "acquired asc", limit: 6 }],
    ["search", [], { item_types: TYPES, geometry: FEATURE, limit: 1 }],
    ["search", [], { item_types: TYPES, geometry: REF, limit: 1 }],
    ["search", [], { item_types: TYPES, sort: "size" }],
    ...["hour", "day", "week", "month", "year", "Month", "second"].map((interval): Call => [
      "get_stats",
      [],
      { item_types: TYPES, search_filter: FILTER, interval },
    ]),
    ["get_item", ["PSScene", ITEM], {}],
    ["get_item", ["PSScene", "none"], {}],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: POLYGON }],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: FEATURE, mode: "UDM2" }],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: REF, mode: "estimate", band: "haze" }],
    ["get_item_coverage", ["PSScene", ITEM], { geometry: "x" }],
    ["list_item_assets", ["PSScene", ITEM], {}],
    ["list_item_assets", ["PSScene", "none"], {}],
    ["get_asset", ["PSScene", ITEM, "ortho_analytic_4b"], {}],
    ["get_asset", ["PSScene", ITEM, "visual"], {}],
    ["activate_asset", [], { asset: asset("ortho_analytic_4b") }],
    ["activate_asset", [], { asset: asset("ortho_analytic_4b") }],
    ["activate_asset", [{}], {}],
    ["activate_asset", [{ status: "inactive" }], {}],
    ["wait_asset", [], { asset: asset("ortho_analytic_4b") }],
    ["wait_asset", [{}], {}],
    ["download_asset", [], { ready: asset("ortho_analytic_4b"), ...file("one.tif") }],
    ["download_asset", [], { ready: asset("ortho_udm2"), directory }],
    ["download_asset", [], { ready: asset("metadata_json"), directory }],
    ["download_asset", [{}], { directory }],
    ["validate_checksum", [join(directory, "one.tif")], { ready: asset("ortho_analytic_4b") }],
    ["validate_checksum", [join(directory, "one.tif")], { ready: asset("ortho_udm2") }],
    ["validate_checksum", [join(directory, "none")], { ready: asset("ortho_udm2") }],
    ["validate_checksum", [{}, join(directory, "one.tif")], {}],
  ];
}

/** What Python is asked for a call. */
const asking = ({ apiKey, url }: Sandbox, ask: Call) => ({
  call: "data_call",
  key: apiKey,
  base: `${url}/data/v1`,
  ask,
});

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/** Makes a call as we do. */
async function ours(data: Planet["data"], [method, args, options]: Call): Promise<unknown> {
  const given: unknown[] = [...args];
  const { asset, ready, ...rest } = options;
  if (asset !== undefined) given.unshift(await data.getAsset(...asset as [string, string, string]));
  if (ready !== undefined) {
    const found = await data.getAsset(...ready as [string, string, string]);
    await data.activateAsset(found);
    given.unshift(await data.waitAsset(found, { delayMs: 0 }));
  }
  if (Object.keys(rest).length > 0) {
    given.push(
      Object.fromEntries(Object.entries(rest).map(([name, value]) => [camel(name), value])),
    );
  }
  const call = data[camel(method) as keyof typeof data] as (...args: unknown[]) => unknown;
  const result = call.apply(data, given);
  if (Symbol.asyncIterator in Object(result)) {
    return await Array.fromAsync(result as AsyncIterable<unknown>);
  }
  const value = await result;
  if (method === "download_asset") return (value as { path: string }).path;
  return method === "activate_asset" ? null : value ?? null;
}

/** A text without what differs from run to run: ports, tokens, times of the run. */
const leveled = (text: string) =>
  text.replace(/127\.0\.0\.1:\d+/g, "HOST").replace(/(token|signature)-[0-9a-f-]{36}/g, "SECRET")
    .replace(/"(created|updated|last_executed|expires_at)":"[^"]*"/g, '"$1":"NOW"');

/** What a sandbox recorded. */
const recorded = (sandbox: Sandbox) =>
  sandbox.log.entries.map(({ body, method, server, url }) => ({
    server,
    method,
    path: url.pathname,
    query: [...url.searchParams].map((pair) => leveled(pair.join("="))).sort(),
    body: body === "" ? null : JSON.parse(body),
  }));

test(
  "the Data API's calls are those of Python: method, path, query, body, result, error",
  async () => {
    await withPython(async ({ home, python, sandbox: theirs }) => {
      await withSandbox(async (sandbox) => {
        // Both start with the same numbers.
        const [here, there] = [join(home, "ours"), join(home, "theirs")];
        await mkdir(here);
        await mkdir(there);
        const session = new Session(
          Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment }),
        );
        const { data } = new Planet(session);
        const list = calls(here);
        const replies: JsonObject[] = [];
        const requests: ReturnType<typeof recorded>[] = [];
        for (const call of list) {
          sandbox.log.reset();
          try {
            replies.push({ result: JSON.parse(JSON.stringify(await ours(data, call))) });
          } catch (error) {
            assert(error instanceof PlanetError, `${JSON.stringify(call)}: ${error}`);
            replies.push({ error: error.name });
          }
          requests.push(recorded(sandbox));
        }
        let equal = 0;
        for (const [index, call] of calls(there).entries()) {
          theirs.log.reset();
          const reply = await python(asking(theirs, call));
          const what = JSON.stringify(call);
          assertEquals(requests[index], recorded(theirs), what);
          const text = (one: JsonObject) => JSON.parse(leveled(JSON.stringify(one)));
          assertEquals(
            text(replies[index]!),
            text(JSON.parse(JSON.stringify(reply).replaceAll(there, here))),
            what,
          );
          equal += requests[index]!.length === 0 ? 0 : 1;
        }
        assertEquals(theirs.storage.counters.authorizations, 0);
        assertEquals(sandbox.storage.counters.authorizations, 0);
        assertEquals(await readFile(join(here, "one.tif")), await readFile(join(there, "one.tif")));
        console.log(
          JSON.stringify({ calls: list.length, equal, refusedBeforeSending: list.length - equal }),
        );
        assert(equal >= 45, `${equal} calls that send something`);
      });
    });
  },
  { skip: SKIP_BUT_DENO, timeoutMs: 120_000 },
);

test("the Data API's calls differ from Python's as the written list says", async () => {
  await withPython(async ({ home, python, sandbox }) => {
    const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment });
    const session = new Session(auth, { requestsPerSecond: 0 });
    const { data } = new Planet(session);
    const update: Call = ["update_search", [ID(1)], {
      item_types: TYPES,
      search_filter: FILTER,
      name: "n",
      geometry: FEATURE,
    }];
    const { asked } = await python({ ...asking(sandbox, update), call: "asked_before" });
    assertEquals(
      asked,
      Array(2).fill("https://api.planet.com/compute/ops/bundles/spec"),
      CALL_DIFFERENCES.spec.what,
    );
    assertEquals(sandbox.log.entries, []);
    await python(asking(sandbox, update));
    await ours(data, update);
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
    await python(asking(sandbox, download("theirs")));
    await ours(data, download("ours"));
    const codings = sandbox.log.entries.filter(({ kind }) => kind === "storage")
      .map(({ headers }) => headers["accept-encoding"] === "identity");
    assertEquals(codings, [false, true], CALL_DIFFERENCES.accept.what);
  });
}, { skip: SKIP_BUT_DENO, timeoutMs: 60_000 });
