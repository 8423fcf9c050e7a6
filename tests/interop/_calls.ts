/**
 * The same calls by us and by the Planet SDK for Python, each against a sandbox of its own that records
 * them: method, path, query and body are the same, and so is what the calls return or fail with.
 *
 * A table has the calls of one API, in Python's names; `calls_test.ts` lists the tables.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Auth, type Clients, type JsonObject, Planet, PlanetError, Session } from "../../mod.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { withPython } from "./python.ts";

/**
 * A call: Python's method, arguments by place and by name; and those of Python where they are others. In
 * the latter `{ "$": "order_request.product", args, options }` is what that function of Python makes.
 */
export type Call = readonly [
  method: string,
  args: readonly unknown[],
  options: JsonObject,
  theirs?: { readonly args?: readonly unknown[]; readonly options?: JsonObject },
];

/** The calls of one API. */
export interface CallTable {
  /** Which API. */
  readonly client: keyof Clients;
  /** Where it is. */
  readonly base: string;
  /** The calls, in order; files go into `directory`. */
  calls(directory: string): Call[];
  /** What our method is given, if that is more than the call's own. */
  prepare?(pl: Planet, call: Call): Promise<readonly [args: unknown[], options: JsonObject]>;
  /** What our method returned, as Python's returns it. */
  result?(method: string, value: unknown): unknown;
  /** Looks at the files of both. */
  check?(here: string, there: string): Promise<void>;
  /** How many of the calls send something, at least. */
  readonly least: number;
}

/** What Python is asked for a call. */
export const asking = ({ apiKey, url }: Sandbox, { base, client }: CallTable, ask: Call) => ({
  call: "client_call",
  client,
  key: apiKey,
  base: url + base,
  ask: [ask[0], ask[3]?.args ?? ask[1], ask[3]?.options ?? ask[2]],
});

const camel = (name: string) => name.replace(/_+(\w)/g, (_, letter) => letter.toUpperCase());

/** Makes a call as we do. */
export async function ours(pl: Planet, table: CallTable, call: Call): Promise<unknown> {
  const [method] = call;
  const [args, options] = await table.prepare?.(pl, call) ?? [[...call[1]], call[2]];
  if (Object.keys(options).length > 0) {
    args.push(
      Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value])),
    );
  }
  const client = pl[table.client] as unknown as Record<string, (...args: unknown[]) => unknown>;
  const made = client[camel(method)]!(...args);
  const value = Symbol.asyncIterator in Object(made)
    ? await Array.fromAsync(made as AsyncIterable<unknown>)
    : await made;
  return (table.result === undefined ? value : table.result(method, value)) ?? null;
}

/** A text without what differs from run to run: ports, tokens, times of the run. */
const leveled = (text: string) =>
  text.replace(/127\.0\.0\.1:\d+/g, "HOST").replace(/(token|signature)-[0-9a-f-]{36}/g, "SECRET")
    // `CALL_DIFFERENCES.credentials`.
    .replaceAll('"<REDACTED>"', '"(secret)"')
    .replace(
      /"(created|updated|created_on|last_modified|last_executed|expires_at)":"[^"]*"/g,
      '"$1":"NOW"',
    );

/** What a sandbox recorded; what was asked for at once comes in any order. */
function recorded(sandbox: Sandbox, isAtOnce: boolean) {
  const all = sandbox.log.entries.map(({ body, method, server, url }) => ({
    server,
    method,
    path: url.pathname,
    query: [...url.searchParams].map((pair) => leveled(pair.join("="))).sort(),
    body: body === "" ? null : JSON.parse(body),
  }));
  return isAtOnce ? all.sort((a, b) => a.path < b.path ? -1 : 1) : all;
}

/** Makes the calls of all tables in both languages and compares them; tells how many sent something. */
export async function compareCalls(tables: readonly CallTable[]): Promise<number> {
  let equal = 0;
  await withPython(async ({ home, python, sandbox: theirs }) => {
    await withSandbox(async (sandbox) => {
      const [here, there] = [join(home, "ours"), join(home, "theirs")];
      await mkdir(here);
      await mkdir(there);
      const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment });
      const pl = new Planet(new Session(auth, { requestsPerSecond: 0 }));
      for (const table of tables) {
        const mine = table.calls(here);
        let count = 0;
        for (const [index, call] of table.calls(there).entries()) {
          const what = `pl.${table.client}: ${JSON.stringify(call)}`;
          sandbox.log.reset();
          theirs.log.reset();
          let reply: JsonObject;
          try {
            reply = { result: JSON.parse(JSON.stringify(await ours(pl, table, mine[index]!))) };
          } catch (error) {
            assert(error instanceof PlanetError, `${what}: ${error}`);
            reply = { error: error.name };
          }
          const reference = await python(asking(theirs, table, call));
          const isAtOnce = /^download_(order|quads)$/.test(call[0]);
          const requests = recorded(sandbox, isAtOnce);
          assertEquals(requests, recorded(theirs, isAtOnce), what);
          const level = (one: JsonObject) => JSON.parse(leveled(JSON.stringify(one)));
          assertEquals(
            level(reply),
            level(JSON.parse(JSON.stringify(reference).replaceAll(there, here))),
            what,
          );
          if (requests.length > 0) count++;
        }
        await table.check?.(here, there);
        const { client, least } = table;
        const { length } = mine;
        console.log(
          JSON.stringify({ client, calls: length, equal: count, refused: length - count }),
        );
        assert(count >= least, `${count} calls of pl.${client} send something`);
        equal += count;
      }
      for (const one of [sandbox, theirs]) assertEquals(one.storage.counters.authorizations, 0);
    });
  });
  return equal;
}
