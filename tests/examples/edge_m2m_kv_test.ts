/**
 * `examples/edge_m2m_kv.ts` under Deno, several of them at once on one database, each with exactly
 * the permissions of its header, against the sandbox.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import { openKv } from "../_support/kv.ts";
import { exampleWorld, type ServingExample, startExample } from "../sandbox/run_example.ts";

const ISOLATES = 4;
const REQUESTS = 10;

const skip = "Deno" in globalThis ? undefined : "Deno.serve and Deno KV are Deno's";

test(
  "examples/edge_m2m_kv.ts: many isolates at once sign in once, and so do later ones",
  async () => {
    const world = await exampleWorld();
    const isolates: ServingExample[] = [];
    try {
      const folder = join(world.home, ".planet-edge");
      await mkdir(folder, { mode: 0o700 });
      const database = join(folder, "kv.sqlite");
      // Programs that make one database at the same moment may find it locked.
      (await openKv(database)).close();
      const begin = async (count: number) => {
        const started = Array.from(
          { length: count },
          () => startExample("edge_m2m_kv", world, { args: [database, "0"] }),
        );
        const settled = await Promise.allSettled(started);
        for (const one of settled) if (one.status === "fulfilled") isolates.push(one.value);
        for (const one of settled) if (one.status === "rejected") throw one.reason;
      };
      const ask = async () => {
        const expected = world.sandbox.api.searchNames.slice(-5).reverse();
        const answers = isolates.flatMap(({ url }) =>
          Array.from({ length: REQUESTS }, async () => await (await fetch(url)).json())
        );
        for (const names of await Promise.all(answers)) assertEquals(names, expected);
      };
      await begin(ISOLATES);
      await ask();
      assertEquals(world.sandbox.log.count("token"), 1);
      await begin(1);
      await ask();
      assertEquals(world.sandbox.log.count("token"), 1);
      assert(world.sandbox.log.count("api") >= ISOLATES * REQUESTS);
    } finally {
      await Promise.all(isolates.map((isolate) => isolate.stop()));
      await world.close();
    }
  },
  { skip },
);
