/**
 * `examples/order_and_download.ts` under Deno, with exactly the permissions of its header, and without
 * each of them: it orders once, downloads, keeps what is there, or names the flag.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import { runExample } from "../sandbox/run_example.ts";
import { inWorld, optionsFor, withoutEachFlag } from "./_downloads.ts";

const NAME = "order_and_download";

test(
  `examples/${NAME}.ts orders once, downloads, goes on after a cut, and keeps what is there`,
  () =>
    inWorld(async (world) => {
      const { orders, storage } = world.sandbox;
      orders.states = ["success"];
      storage.settings.breaks = [{ after: 50, how: "cut" }, { after: 50_000, how: "cut" }];
      const lines = async () => {
        const { code, stderr, stdout } = await runExample(NAME, world);
        assertEquals(code, 0, stderr);
        assertMatch(stderr, /The order ended as success\./);
        return stdout.trim().split("\n").map((line) => line.split(" "));
      };
      const first = await lines();
      assertEquals(first.map(([, , outcome]) => outcome), Array(7).fill("new"));
      for (const [path] of first) assertMatch(path!, /^orders\/[0-9a-f-]{36}\/(PSScene\/)?[\w.]+$/);
      await rm(join(world.home, first[1]![0]!));
      const second = await lines();
      assertEquals(second.filter(([, , outcome]) => outcome === "new"), [first[1]!]);
      assertEquals(orders.orders.size, 1, "it was ordered once");
      const [order] = [...orders.orders.values()];
      assertEquals((order!.request.tools as object[]).map((tool) => Object.keys(tool)[0]), [
        "toar",
        "clip",
      ]);
    }),
  optionsFor(NAME),
);

test(
  `examples/${NAME}.ts tells which files failed`,
  () =>
    inWorld(async (world) => {
      world.sandbox.orders.states = ["success"];
      world.sandbox.storage.fault = (url) => url.pathname.includes("0901") ? 403 : undefined;
      const { code, stderr } = await runExample(NAME, world);
      assertEquals(code, 1);
      assert(/2 of 7 failed/.test(stderr) && stderr.includes("0901"), stderr);
    }),
  optionsFor(NAME),
);

withoutEachFlag(NAME, "orders", ({ sandbox }) => {
  sandbox.orders.states = ["success"];
});
