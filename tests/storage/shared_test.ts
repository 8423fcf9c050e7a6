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
