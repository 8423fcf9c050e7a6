import { assert, assertEquals } from "@std/assert";
import type { KvAtomic, KvEntry, KvLike } from "../../lib/storage/engines.ts";
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
      await kv.atomic().set(["planet", key], new Uint8Array(3)).commit();
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
      await kv.atomic().set(["planet", key], "of another program").commit();
    },
    close: () => {},
  };
});

test("KvStorage asks again while the database is locked, and after an error once it answered", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  kv.failures = Array.from({ length: 6 }, () => new TypeError("database is locked"));
  await storage.save(KEY, { n: 1 });
  kv.failures = [new TypeError("other trouble")];
  assertEquals(await storage.load(KEY), { n: 1 });
});

test("KvStorage tells of a closed database and of other trouble what to do", async () => {
  const kv = new FakeKv();
  for (
    const [trouble, advice] of [
      [new Error("other trouble"), 'Check Deno KV: cannot read "'],
      [Object.assign(new Error("closed"), { name: "BadResource" }), "Keep Deno KV open while"],
    ] as const
  ) {
    kv.failures = Array.from({ length: 99 }, () => trouble);
    const error = await assertAuthError(() => new KvStorage(kv).load(KEY), "storage_failed");
    assert(error.message.startsWith(advice), error.message);
    assertEquals((error.cause as Error).message, trouble.message);
  }
});

test("KvStorage tells the limit of 64 KiB before it writes, and what fits can be locked", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  const error = await assertAuthError(
    () => storage.save(KEY, { pad: "x".repeat(65_536) }),
    "storage_failed",
  );
  assert(error.message.includes("65472"), error.message);
  assertEquals(kv.entries.size, 0);
  const bytes = () => (kv.entries.get(JSON.stringify(["planet", KEY]))!.value as Uint8Array).length;
  await storage.save(KEY, { pad: "" });
  const pad = "x".repeat(65_472 - bytes() - '"lock":"",'.length - 36);
  await storage.save(KEY, { pad });
  await storage.withLock(KEY, () => Promise.resolve(assertEquals(bytes(), 65_472)));
  await assertAuthError(() => storage.save(KEY, { pad: `${pad}x` }), "storage_failed");
});

test("KvStorage calls a value of another program corrupt", async () => {
  const kv = new FakeKv();
  const storage = new KvStorage(kv);
  for (const value of ["text", 1n, new Uint8Array([0xff]), new TextEncoder().encode("[1]")]) {
    await kv.atomic().set(["planet", KEY], value).commit();
    await assertAuthError(() => storage.load(KEY), "storage_corrupt");
  }
});
