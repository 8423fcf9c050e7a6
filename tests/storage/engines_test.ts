import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { redisStore, SharedStorage, sqlStore } from "../../mod.ts";
import {
  CLIENTS,
  type EngineName,
  missingEngine,
  openClient,
  type RunningEngine,
  startEngine,
} from "../_support/engines.ts";
import { test } from "../_support/harness.ts";
import { assertAuthError, storeContract } from "../_support/store_contract.ts";

const KEY = ".planet/my-app/token.json";
const ENGINES: readonly EngineName[] = ["Redis", "Postgres"];

/** One of each for all tests; it ends with this program. */
const running = new Map<EngineName, RunningEngine>();
for (const name of ENGINES) {
  if (missingEngine(name) === undefined) running.set(name, await startEngine(name));
}

for (const engine of ENGINES) {
  const skip = missingEngine(engine);
  for (const name of CLIENTS[engine]) {
    const open = () => openClient(name, running.get(engine)!.port);
    storeContract(`SharedStorage over ${engine} by ${name}`, async () => {
      const [one, two] = [await open(), await open()];
      const prefix = `${crypto.randomUUID()}*/`;
      return {
        storage: new SharedStorage(one.store, { prefix }),
        sibling: new SharedStorage(two.store, { prefix }),
        spoil: async (key) => void await one.store.set(prefix + key, "no record", undefined),
        async close() {
          await one.close();
          await two.close();
        },
      };
    }, { skip, foreign: true });

    test(`${engine} by ${name}: versions never repeat, long keys, 64 kB and 1 MB`, async () => {
      const { store, close } = await open();
      try {
        const key = `${crypto.randomUUID()}/${"k".repeat(900)}`;
        assertEquals(await store.get(key), undefined);
        const id = () => JSON.stringify({ id: crypto.randomUUID() });
        const [a, b] = [id(), id()];
        const first = await store.set(key, a, undefined);
        assertEquals(await store.set(key, b, undefined), undefined);
        const second = await store.set(key, b, first);
        assertEquals(await store.set(key, a, first), undefined);
        assertEquals(await store.get(key), { value: b, version: second });
        assertEquals(await store.delete!(key, first!), false);
        let version = second;
        for (const size of [65_536, 1_000_000]) {
          const value = `é${"x".repeat(size)}${crypto.randomUUID()}`;
          version = await store.set(key, value, version);
          assertEquals((await store.get(key))!.value === value, true);
        }
        assertEquals(await store.delete!(key, version!), true);
        assertEquals(await store.get(key), undefined);
      } finally {
        await close();
      }
    }, { skip, foreign: true });
  }

  test(
    `${engine}: 10 clients × 100 increments by compare and set, all clients mixed: 1000 of 1000`,
    async () => {
      const { port } = running.get(engine)!;
      const names = CLIENTS[engine];
      const clients = await Promise.all(
        Array.from({ length: 10 }, (_, i) => openClient(names[i % names.length]!, port)),
      );
      const key = crypto.randomUUID();
      let conflicts = 0;
      try {
        await Promise.all(clients.map(async ({ store }) => {
          for (let done = 0; done < 100;) {
            const found = await store.get(key);
            const n = found === undefined ? 0 : JSON.parse(found.value).n;
            const next = JSON.stringify({ id: crypto.randomUUID(), n: n + 1 });
            if (await store.set(key, next, found?.version) === undefined) conflicts++;
            else done++;
          }
        }));
        assertEquals(JSON.parse((await clients[0]!.store.get(key))!.value).n, 1000);
        assert(conflicts > 0, "nobody came between: that was no race");
      } finally {
        await Promise.all(clients.map(({ close }) => close()));
      }
    },
    { skip, foreign: true, timeoutMs: 180_000 },
  );

  test(`SharedStorage over ${engine} tells in an error nothing of what is saved`, async () => {
    const { store, close } = await openClient(CLIENTS[engine].at(-1)!, running.get(engine)!.port);
    const token = "a-refresh-token-of-a-person-0123456789";
    // What a client says of a command that failed, `ioredis` above all.
    const failing = new SharedStorage({
      get: (key) => store.get(key),
      set: (_key, value) => {
        const error = new Error(`ERR unknown command 'EVAL', with args beginning with: ${value}`);
        return Promise.reject(Object.assign(error, { command: { name: "eval", args: [value] } }));
      },
    }, { prefix: `${crypto.randomUUID()}/` });
    try {
      // The probe of the store fails first; it is let through here.
      await store.set(`${failing.toJSON().prefix}probe.lock`, '{"kept":true}', undefined);
      const error = await assertAuthError(
        () => failing.save(KEY, { refresh_token: token }),
        "storage_failed",
      );
      for (let e: unknown = error; e instanceof Error; e = e.cause) {
        assert(!`${e}${JSON.stringify(e, Object.getOwnPropertyNames(e))}`.includes(token));
      }
    } finally {
      await close();
    }
  }, { skip, foreign: true });
}

test("redisStore() and sqlStore() refuse what is no client, and sqlStore() what is no table", async () => {
  for (const bad of [undefined, null, 1, "redis://"]) {
    assertThrows(() => redisStore(bad as never), TypeError);
    assertThrows(() => sqlStore(bad as never), TypeError);
  }
  await assertRejects(() => redisStore({} as never).get("k"), TypeError);
  await assertRejects(() => sqlStore({} as never).get("k"), TypeError);
  // The result of `pg` that was not opened: its rows are found; nothing at all is not.
  assertEquals(await sqlStore(() => Promise.resolve({ rows: [] }) as never).get("k"), undefined);
  await assertRejects(
    () => sqlStore(() => Promise.resolve(undefined) as never).get("k"),
    TypeError,
  );
  for (const table of ["", "a b", "a;DROP TABLE b", "a.b.c", "1"]) {
    assertThrows(() => sqlStore(() => Promise.resolve([]), { table }), TypeError);
  }
});
