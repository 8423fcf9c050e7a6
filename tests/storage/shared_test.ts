import { assert, assertEquals, assertThrows } from "@std/assert";
import type { CompareAndSetStore, Versioned } from "../../lib/storage/objects.ts";
import { EncryptedStorage, SharedStorage } from "../../lib/storage/select.ts";
import { test } from "../_support/harness.ts";
import { assertAuthError, storeContract } from "../_support/store_contract.ts";

const KEY = ".planet/my-app/token.json";

/** A store in a map, that can compare and set. */
class MapStore implements CompareAndSetStore {
  readonly entries = new Map<string, Versioned>();
  #version = 0;

  get(key: string): Promise<Versioned | undefined> {
    return Promise.resolve(this.entries.get(key));
  }

  async set(key: string, value: string, expected?: string): Promise<string | undefined> {
    await Promise.resolve();
    if (this.entries.get(key)?.version !== expected) return undefined;
    const version = `v${++this.#version}`;
    this.entries.set(key, { value, version });
    return version;
  }

  async delete(key: string, expected: string): Promise<boolean> {
    await Promise.resolve();
    return this.entries.get(key)?.version === expected && this.entries.delete(key);
  }

  async *list(prefix: string): AsyncIterable<string> {
    for (const key of [...this.entries.keys()]) {
      if (key.startsWith(prefix)) yield await Promise.resolve(key);
    }
  }
}

/** The same without a delete() that keeps to its condition, as over plain HTTP. */
function undeletable(store: MapStore): CompareAndSetStore {
  return {
    get: (key) => store.get(key),
    set: (...write) => store.set(...write),
    list: (prefix) => store.list(prefix),
  };
}

storeContract("SharedStorage over a map", () => {
  const store = new MapStore();
  return {
    storage: new SharedStorage(store, { prefix: "my/" }),
    sibling: new SharedStorage(store, { prefix: "my/" }),
    spoil: async (key) => void await store.set(`my/${key}`, "no record", undefined),
    close: () => {},
  };
});

storeContract("SharedStorage over a map without delete()", () => {
  const store = undeletable(new MapStore());
  return { storage: new SharedStorage(store), sibling: new SharedStorage(store), close: () => {} };
});

storeContract("EncryptedStorage over SharedStorage", async () => {
  const store = new MapStore();
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, [
    "encrypt",
    "decrypt",
  ]);
  return {
    storage: new EncryptedStorage(new SharedStorage(store), key),
    sibling: new EncryptedStorage(new SharedStorage(store), key),
    spoil: (name) => new SharedStorage(store).save(name, { "in": "clear" }),
    close: () => {},
  };
});

test("SharedStorage refuses what is no store, and wrong options", () => {
  const store = new MapStore();
  for (const bad of [undefined, {}, { get: () => {} }]) {
    assertThrows(() => new SharedStorage(bad as unknown as CompareAndSetStore), TypeError);
  }
  for (const options of [{ leaseMs: 999 }, { leaseMs: NaN }, { prefix: 1 as unknown as string }]) {
    assertThrows(() => new SharedStorage(store, options), TypeError);
  }
});

test("SharedStorage takes a lock at once that it could not give back, and others wait for its lease", async () => {
  const store = new MapStore();
  let gone = false;
  const unlucky: CompareAndSetStore = {
    get: (key) => gone ? Promise.reject(new Error("gone")) : store.get(key),
    set: (...write) => gone ? Promise.reject(new Error("gone")) : store.set(...write),
  };
  const storage = new SharedStorage(unlucky, { leaseMs: 1_000 });
  await storage.save(KEY, { n: 1 });
  await storage.withLock(KEY, async ({ signal }) => {
    gone = true;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  gone = false;
  const other = new SharedStorage(store, { leaseMs: 1_000 });
  const body = () => Promise.resolve("held");
  await assertAuthError(() => other.withLock(KEY, body, { timeoutMs: 0 }), "lock_timeout");
  assertEquals(await storage.withLock(KEY, body, { timeoutMs: 0 }), "held");
  assertEquals(await other.withLock(KEY, body, { timeoutMs: 0 }), "held");
  assertEquals(await storage.load(KEY), { n: 1 });
});

test("SharedStorage.save() under a lock that was lost writes nothing", async () => {
  const store = new MapStore();
  const [late, other] = [new SharedStorage(store), new SharedStorage(store)];
  await late.withLock(KEY, async ({ signal }) => {
    store.entries.delete(KEY);
    await other.save(KEY, { by: "the newer holder" });
    const { version } = (await store.get(KEY))!;
    for (const work of [() => late.save(KEY, { by: "the late one" }), () => late.delete(KEY)]) {
      const error = await assertAuthError(work, "storage_failed");
      assert(error.message.startsWith("Read the state again"), error.message);
    }
    assertEquals(signal.aborted, true);
    assertEquals((await store.get(KEY))!.version, version);
  });
  assertEquals(await late.load(KEY), { by: "the newer holder" });
});

/** What a store does to writes: `undefined` lets it through. */
type Mischief = (
  apply: () => Promise<string | undefined>,
) => Promise<string | undefined> | undefined;

/** A store whose writes go wrong as `next` says; its probe is done. */
function troubled(store: MapStore, next: () => Mischief | undefined): CompareAndSetStore {
  store.entries.set("probe.lock", { value: '{"kept":true}', version: "v0" });
  return {
    get: (key) => store.get(key),
    delete: (...drop) => store.delete(...drop),
    set: (...write) => {
      const apply = () => store.set(...write);
      return next()?.(apply) ?? apply();
    },
  };
}

/** Writes that are applied after their error. */
const late: Promise<unknown>[] = [];

const MISCHIEF: Record<string, Mischief> = {
  "applies and rejects": async (apply) => {
    await apply();
    throw new Error("connection reset");
  },
  "applies and says that it did not": async (apply) => {
    await apply();
    return undefined;
  },
  "rejects and applies late": (apply) => {
    late.push(new Promise<void>((resolve) => setTimeout(resolve, 5)).then(apply));
    return Promise.reject(new Error("connection reset"));
  },
  "rejects": () => Promise.reject(new Error("too many requests")),
  "refuses what it should not": () => Promise.resolve(undefined),
};
for (const [what, mischief] of Object.entries(MISCHIEF)) {
  test(
    `SharedStorage: 6 programs × 10 locked increments over a store that at times ${what}: 60`,
    async () => {
      const store = new MapStore();
      let [inside, mischiefs] = [0, 0];
      await Promise.all(
        Array.from({ length: 6 }, async () => {
          const one = new SharedStorage(
            troubled(store, () => Math.random() < 0.3 ? (mischiefs++, mischief) : undefined),
          );
          for (let i = 0; i < 10; i++) {
            await one.withLock(KEY, async () => {
              assertEquals(++inside, 1);
              const n = Number((await one.load(KEY))?.n ?? 0);
              await one.save(KEY, { n: n + 1 });
              inside--;
            });
          }
        }),
      );
      assertEquals(await new SharedStorage(store).load(KEY), { n: 60 });
      assertEquals(JSON.parse((await store.get(KEY))!.value).lock, undefined);
      assert(mischiefs > 10, `${mischiefs}`);
      await Promise.all(late.splice(0));
    },
    { timeoutMs: 120_000 },
  );
}

/** Stores that cannot be trusted. */
const UNTRUSTED: Record<string, (store: MapStore) => CompareAndSetStore["set"]> = {
  "ignores every condition": (store) => (key, value) =>
    store.set(key, value, store.entries.get(key)?.version),
  "ignores the version, as some do with If-Match": (store) => (key, value, expected) =>
    store.set(key, value, expected === undefined ? undefined : store.entries.get(key)?.version),
  "ignores that something is there, as some do with If-None-Match":
    (store) => (key, value, expected) =>
      store.set(key, value, expected ?? store.entries.get(key)?.version),
  "says that it refused, and writes": (store) => async (key, value, expected) => {
    const is = store.entries.get(key)?.version;
    const version = await store.set(key, value, is);
    return is === expected ? version : undefined;
  },
};
for (const [what, make] of Object.entries(UNTRUSTED)) {
  test(`SharedStorage does not trust a store that ${what}`, async () => {
    const store = new MapStore();
    const storage = new SharedStorage({ get: (key) => store.get(key), set: make(store) });
    for (
      const work of [
        () => storage.save(KEY, { n: 1 }),
        () => storage.withLock(KEY, () => Promise.resolve(assert(false, "it ran"))),
      ]
    ) {
      const error = await assertAuthError(work, "storage_failed");
      assert(error.message.startsWith("Use another store"), error.message);
    }
    assertEquals([...store.entries.keys()], ["probe.lock"]);
  });
}

test("SharedStorage asks a store once whether it can be trusted: later programs read the note", async () => {
  const store = new MapStore();
  const all = Array.from({ length: 20 }, () => new SharedStorage(store));
  await Promise.all(all.map((one, n) => one.save(KEY, { n })));
  const { version } = store.entries.get("probe.lock")!;
  await new SharedStorage(store).save(KEY, { n: 20 });
  assertEquals(store.entries.get("probe.lock")!.version, version);
  const found: string[] = [];
  for await (const key of new SharedStorage(store).list!("")) found.push(key);
  assertEquals(found, [KEY]);
});

test("SharedStorage over a store that takes one write a second of a key: each lock comes through", async () => {
  const store = new MapStore();
  let [open, refused] = [0, 0];
  const slow = troubled(store, () => {
    if (performance.now() < open) return () => (refused++, Promise.reject(new Error("429")));
    open = performance.now() + 1_000;
  });
  const [one, two] = [new SharedStorage(slow), new SharedStorage(slow)];
  await Promise.all([one, two].map((storage) =>
    storage.withLock(KEY, async ({ signal }) => {
      const n = Number((await storage.load(KEY))?.n ?? 0);
      await storage.save(KEY, { n: n + 1 });
      assertEquals(signal.aborted, false);
    })
  ));
  assertEquals(await one.load(KEY), { n: 2 });
  assert(refused > 0);
});

test("SharedStorage.withLock() takes over where a holder does not write for the lease; its lease ends", async () => {
  const store = new MapStore();
  let isHeldUp = false;
  const never = new Promise<never>(() => {});
  const gone: CompareAndSetStore = {
    get: (key) => isHeldUp ? never : store.get(key),
    set: (...write) => isHeldUp ? never : store.set(...write),
  };
  const late = new SharedStorage(gone, { leaseMs: 1_000 });
  const other = new SharedStorage(store, { leaseMs: 1_000 });
  await late.withLock(KEY, async ({ signal }) => {
    isHeldUp = true;
    // It is told, and every wait of its ends, although its store never answers.
    const error = await assertAuthError(() => late.save(KEY, { by: "late" }), "storage_failed");
    assert(error.message.startsWith("Read the state again"), error.message);
    assertEquals(signal.aborted, true);
    await other.withLock(KEY, () => other.save(KEY, { by: "other" }));
    isHeldUp = false;
    await assertAuthError(() => late.save(KEY, { by: "late" }), "storage_failed");
  });
  assertEquals(await late.load(KEY), { by: "other" });
  assertEquals(await other.withLock(KEY, () => Promise.resolve(1), { timeoutMs: 5_000 }), 1);
});

test("SharedStorage.save() without a lock keeps the lock of another program, which goes on", async () => {
  const store = new MapStore();
  const [holder, other] = [new SharedStorage(store), new SharedStorage(store)];
  await holder.withLock(KEY, async ({ signal }) => {
    await other.save(KEY, { by: "other" });
    assertEquals(await holder.load(KEY), { by: "other" });
    const wait = { timeoutMs: 0 };
    await assertAuthError(() => other.withLock(KEY, () => Promise.resolve(), wait), "lock_timeout");
    await holder.save(KEY, { by: "holder" });
    await other.delete(KEY);
    assertEquals(await holder.exists(KEY), false);
    await holder.save(KEY, { by: "holder again" });
    assertEquals(signal.aborted, false);
  });
  assertEquals(await other.load(KEY), { by: "holder again" });
});

test("SharedStorage.withLock() is its own where the answer was lost and another saved meanwhile", async () => {
  const store = new MapStore();
  const other = new SharedStorage(store);
  let tries = 0;
  const one = new SharedStorage(troubled(store, () => {
    if (++tries > 1) return undefined;
    return async (apply) => {
      await apply();
      await other.save(KEY, { by: "other" });
      throw new Error("connection reset");
    };
  }));
  const since = performance.now();
  await one.withLock(KEY, async () => assertEquals(await one.load(KEY), { by: "other" }));
  assert(performance.now() - since < 10_000, "it waited for its own lock");
});
