/**
 * The examples with one session for all machines, over real databases, and over moto in the place of
 * Amazon: one token request whatever starts at once, and none for the next.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import process from "node:process";
import { dynamoStore, s3Store } from "../../examples/_aws_stores.ts";
import { SharedStorage } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { sender, SIGNED, startMoto } from "../_support/moto.ts";
import { missingExtra } from "../_tools/extra.ts";
import { missingMoto } from "../_tools/python.ts";
import { BESIDE } from "../sandbox/beside.ts";
import {
  type ExampleWorld,
  exampleWorld,
  runExample,
  startExample,
} from "../sandbox/run_example.ts";

const AT_ONCE = 3;
const KEY = ".planet/p/token.json";

/** Runs `body` with what the example needs. */
async function inWorld(
  name: string,
  body: (world: ExampleWorld, variables: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  const beside = await BESIDE[name]!.start();
  try {
    const world = { ...await exampleWorld(), hosts: beside.hosts ?? {} };
    try {
      await body(world, beside.variables);
    } finally {
      await world.close();
    }
  } finally {
    await beside.close();
  }
}

for (const name of ["shared_dynamodb", "shared_postgres", "shared_s3"]) {
  const skip = "Deno" in globalThis ? BESIDE[name]!.missing : "the example is for Deno";
  test(
    `examples/${name}.ts: ${AT_ONCE} at once, and a later one, cost one token request`,
    () =>
      inWorld(name, async (world, variables) => {
        const run = async () => {
          const { code, stderr, stdout } = await runExample(name, world, { variables });
          assertEquals(code, 0, stderr);
          assertMatch(stdout, /Field 12/);
        };
        await Promise.all(Array.from({ length: AT_ONCE }, run));
        await run();
        assertEquals(world.sandbox.log.count("token"), 1);
      }),
    { skip, timeoutMs: 180_000, breaks: name === "shared_postgres" ? [] : SIGNED },
  );
}

test(
  `examples/shared_redis_bun.ts: ${AT_ONCE} instances at once, and a later one, cost one token request`,
  () =>
    inWorld("shared_redis_bun", async (world, variables) => {
      const names = world.sandbox.api.searchNames.slice(-5).reverse();
      const serve = async () => {
        const { stop, url } = await startExample("shared_redis_bun", world, {
          runtime: "bun",
          variables,
        });
        try {
          const answers = Array.from({ length: 5 }, async () => await (await fetch(url)).json());
          for (const answer of await Promise.all(answers)) assertEquals(answer, names);
        } finally {
          await stop();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, serve));
      await serve();
      assertEquals(world.sandbox.log.count("token"), 1);
    }),
  {
    skip: process.versions.bun ? BESIDE.shared_redis_bun!.missing : "the example is for Bun",
    timeoutMs: 120_000,
  },
);

test(
  "s3Store() and dynamoStore() compare and set, and carry the lock of SharedStorage",
  async () => {
    const { close, host } = await startMoto();
    try {
      const s3 = () => s3Store(sender("s3"), `http://${host}/sessions`);
      const dynamo = () => dynamoStore(sender("dynamodb"), `http://${host}/`, "sessions");
      for (const open of [s3, dynamo]) {
        const store = open();
        assertEquals(await store.get("a/ü b"), undefined);
        const first = await store.set("a/ü b", "1", undefined);
        assertEquals(await store.set("a/ü b", "2", undefined), undefined);
        const second = await store.set("a/ü b", "2", first);
        assertEquals(await store.set("a/ü b", "3", first), undefined);
        assertEquals(await open().get("a/ü b"), { value: "2", version: second! });
        if (store.delete) {
          assertEquals(await store.delete("a/ü b", first!), false);
          assertEquals(await store.delete("a/ü b", second!), true);
          assertEquals(await store.get("a/ü b"), undefined);
        }
        const storages = [new SharedStorage(open()), new SharedStorage(open())];
        await storages[0]!.save(KEY, { n: 0 });
        const sections = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => {
          const storage = storages[i % 2]!;
          return storage.withLock(KEY, async () => {
            await storage.save(KEY, { n: Number((await storage.load(KEY))!.n) + 1 });
          }, { timeoutMs: 60_000 });
        }));
        assertEquals(sections.filter(({ status }) => status === "rejected"), []);
        assertEquals(await storages[1]!.load(KEY), { n: 10 });
      }
    } finally {
      await close();
    }
  },
  { skip: missingMoto() ?? missingExtra("aws4fetch"), timeoutMs: 120_000, breaks: SIGNED },
);
