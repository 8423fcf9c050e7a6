import { assert, assertEquals } from "@std/assert";
import type { KvAtomic, KvEntry, KvLike } from "../../lib/storage/kv_engine.ts";
import { KvStorage } from "../../lib/storage/select.ts";
import { test } from "../_support/harness.ts";
import { assertAuthError, storeContract } from "../_support/store_contract.ts";
import { missingKv, missingKvServer, openKv, startKvServer } from "../_support/kv.ts";
import { tempFolder } from "../_support/temp_folder.ts";

const KEY = ".planet/my-app/token.json";

/** One for all tests; it ends with this program. */
const server = missingKvServer === undefined ? await startKvServer() : undefined;

storeContract("KvStorage in memory", async () => {
  const kv = await openKv(":memory:");
  return {
    storage: new KvStorage(kv),
    sibling: new KvStorage(kv),
    async spoil(key) {
      await kv.atomic().set(["planet", "data", key], new Uint8Array(3)).commit();
    },
    close: () => kv.close(),
  };
}, { skip: missingKv });

storeContract("KvStorage in a file", async () => {
  const { path, remove } = await tempFolder({ unwatched: /^kv\.db/ });
  const [one, two] = [await openKv(`${path}/kv.db`), await openKv(`${path}/kv.db`)];
  return {
    storage: new KvStorage(one),
    sibling: new KvStorage(two),
    async close() {
      one.close();
      two.close();
      await remove();
    },
  };
}, { skip: missingKv });

storeContract("KvStorage over HTTP", async () => {
  const { url, accessToken } = server!;
  const [one, two] = [await openKv(url, accessToken), await openKv(url, accessToken)];
  const prefix = [crypto.randomUUID()];
  return {
    storage: new KvStorage(one, { prefix }),
    sibling: new KvStorage(two, { prefix }),
    close() {
      one.close();
      two.close();
    },
  };
}, { skip: missingKvServer });

/** A database in a map, with the rules of Deno KV that matter here. */
class FakeKv implements KvLike {
  readonly entries = new Map<string, KvEntry & { versionstamp: string }>();
  /** Errors that the next calls throw. */
  failures: Error[] = [];
  #version = 0;

  get(key: KvEntry["key"]): Promise<KvEntry> {
    const error = this.failures.shift();
    if (error) return Promise.reject(error);
    const none = { key, value: null, versionstamp: null };
    return Promise.resolve(this.entries.get(JSON.stringify(key)) ?? none);
  }

  async *list({ prefix }: { prefix: KvEntry["key"] }): AsyncIterable<KvEntry> {
    for (const entry of [...this.entries.values()]) {
      if (prefix.every((part, i) => part === entry.key[i])) yield await Promise.resolve(entry);
    }
  }

  atomic(): KvAtomic {
    const checks: { key: KvEntry["key"]; versionstamp: string | null }[] = [];
    const steps: ((versionstamp: string) => void)[] = [];
    const atomic: KvAtomic = {
      check: (...more) => {
        checks.push(...more);
        return atomic;
      },
      set: (key, value) => {
        steps.push((versionstamp) =>
          this.entries.set(JSON.stringify(key), { key, value, versionstamp })
        );
        return atomic;
      },
      delete: (key) => {
        steps.push(() => this.entries.delete(JSON.stringify(key)));
        return atomic;
      },
      commit: async () => {
        await Promise.resolve();
        const error = this.failures.shift();
        if (error) throw error;
        const current = (key: KvEntry["key"]) =>
          this.entries.get(JSON.stringify(key))?.versionstamp ?? null;
        if (checks.some((c) => current(c.key) !== c.versionstamp)) return { ok: false };
        const versionstamp = String(++this.#version).padStart(20, "0");
        for (const step of steps) step(versionstamp);
        return { ok: true, versionstamp };
      },
    };
    return atomic;
  }
}

storeContract("KvStorage over a KvLike", () => {
  const kv = new FakeKv();
  return {
    storage: new KvStorage(kv),
    sibling: new KvStorage(kv),
    async spoil(key) {
      await kv.atomic().set(["planet", "data", key], "of another program").commit();
    },
    close: () => {},
  };
});

test("KvStorage asks again while the database is locked", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  kv.failures = [new TypeError("database is locked"), new TypeError("database is locked")];
  await storage.save(KEY, { n: 1 });
  kv.failures = [new TypeError("database is locked")];
  assertEquals(await storage.load(KEY), { n: 1 });
  kv.failures = [new TypeError("other trouble")];
  await assertAuthError(() => storage.load(KEY), "storage_failed");
});

test("KvStorage tells the limit of 64 KiB before it writes", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  const error = await assertAuthError(
    () => storage.save(KEY, { pad: "x".repeat(65_536) }),
    "storage_failed",
  );
  assert(error.message.includes("65536"), error.message);
  assertEquals(kv.entries.size, 0);
});

test("KvStorage calls a value of another program corrupt", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  const path = ["planet", "data", KEY];
  for (const value of ["text", new Uint8Array(3), new TextEncoder().encode("12345678[1]")]) {
    await kv.atomic().set(path, value).commit();
    await assertAuthError(() => storage.load(KEY), "storage_corrupt");
  }
});

test("KvStorage.save() writes nothing once another took its lock", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  await storage.withLock(KEY, async ({ signal }) => {
    await kv.atomic().set(["planet", "lock", KEY], new Uint8Array([2])).commit();
    await new KvStorage(kv).save(KEY, { by: "the newer holder" });
    await assertAuthError(() => storage.save(KEY, { by: "the late one" }), "storage_failed");
    assertEquals(signal.aborted, true);
    await assertAuthError(() => storage.delete(KEY), "storage_failed");
  });
  assertEquals(await storage.load(KEY), { by: "the newer holder" });
  assert(kv.entries.has(JSON.stringify(["planet", "lock", KEY])), "the other's lock is gone");
});

test("KvStorage.withLock() leaves no lock behind where only the answer of taking it was lost", async () => {
  const kv = new FakeKv();
  const unlucky: KvLike = {
    get: (key) => kv.get(key),
    list: (selector) => kv.list(selector),
    atomic() {
      const atomic = kv.atomic();
      const commit = atomic.commit;
      atomic.commit = async () => {
        const done = await commit();
        atomic.commit = commit;
        unlucky.atomic = () => kv.atomic();
        assertEquals(done.ok, true);
        throw new TypeError("connection lost");
      };
      return atomic;
    },
  };
  const storage = new KvStorage(unlucky);
  await assertAuthError(() => storage.withLock(KEY, () => Promise.resolve()), "storage_failed");
  assertEquals(kv.entries.size, 0);
  assertEquals(await storage.withLock(KEY, () => Promise.resolve(1), { timeoutMs: 0 }), 1);
});

test("KvStorage goes on with its lock where the answer of renewing it was lost", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  await storage.withLock(KEY, async ({ signal }) => {
    // What a renewal whose answer was lost leaves: our lock, in a version that we do not know.
    const path = ["planet", "lock", KEY];
    const { value } = await kv.get(path);
    await kv.atomic().set(path, value).commit();
    await storage.save(KEY, { n: 1 });
    assertEquals(signal.aborted, false);
  });
  assertEquals([...kv.entries.keys()], [JSON.stringify(["planet", "data", KEY])]);
});
