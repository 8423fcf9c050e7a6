import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { deriveStorageKey, EncryptedStorage } from "../../lib/storage/encrypted.ts";
import { FileStorage } from "../../lib/storage/file.ts";
import { KvStorage } from "../../lib/storage/kv.ts";
import { MemoryStorage } from "../../lib/storage/memory.ts";
import { test } from "../_support/harness.ts";
import { assertAuthError, storeContract } from "../_support/store_contract.ts";
import { missingKv, missingKvServer, openKv, startKvServer } from "../_support/kv.ts";
import { tempFolder } from "../_support/temp_folder.ts";

const KEY = ".planet/my-app/token.json";

/** One for all tests; it ends with this program. */
const server = missingKvServer === undefined ? await startKvServer() : undefined;
const SECRET = "a-refresh-token";

function newKey(length = 256): Promise<CryptoKey> {
  return crypto.subtle.generateKey({ name: "AES-GCM", length }, false, ["encrypt", "decrypt"]);
}

storeContract("EncryptedStorage over MemoryStorage", async () => {
  const [inner, key] = [new MemoryStorage(), await newKey()];
  return {
    storage: new EncryptedStorage(inner, key),
    sibling: new EncryptedStorage(inner, key),
    close: () => {},
  };
});

storeContract("EncryptedStorage over FileStorage", async () => {
  const { path, remove } = await tempFolder();
  const key = await newKey();
  return {
    storage: new EncryptedStorage(new FileStorage({ root: path }), key),
    sibling: new EncryptedStorage(new FileStorage({ root: path }), key),
    close: remove,
  };
});

storeContract("EncryptedStorage over KvStorage", async () => {
  const [kv, key] = [await openKv(":memory:"), await newKey()];
  return {
    storage: new EncryptedStorage(new KvStorage(kv), key),
    sibling: new EncryptedStorage(new KvStorage(kv), key),
    close: () => kv.close(),
  };
}, { skip: missingKv });

storeContract("EncryptedStorage over KvStorage over HTTP", async () => {
  const [kv, key] = [await openKv(server!.url, server!.accessToken), await newKey()];
  const prefix = [crypto.randomUUID()];
  return {
    storage: new EncryptedStorage(new KvStorage(kv, { prefix }), key),
    sibling: new EncryptedStorage(new KvStorage(kv, { prefix }), key),
    close: () => kv.close(),
  };
}, { skip: missingKvServer });

test("EncryptedStorage lets no byte of a token through, and sees every flipped bit", async () => {
  const { path, remove } = await tempFolder();
  const { readFile, writeFile } = await import("node:fs/promises");
  try {
    const storage = new EncryptedStorage(new FileStorage({ root: path }), await newKey());
    await storage.save(KEY, { refresh_token: SECRET });
    const bytes = new Uint8Array(await readFile(`${path}/${KEY}`));
    assert(!new TextDecoder().decode(bytes).includes(SECRET));
    // A corrupt file is read several times by FileStorage, so flip in what that store parsed.
    const inner = new MemoryStorage();
    const key = await newKey();
    const sealed = new EncryptedStorage(inner, key);
    await sealed.save(KEY, { refresh_token: SECRET });
    const good = new TextEncoder().encode(JSON.stringify(await inner.load(KEY)));
    let flips = 0;
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      let value;
      try {
        value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bad));
      } catch {
        flips++; // The inner store calls it corrupt.
        continue;
      }
      await inner.save(KEY, value);
      await assertAuthError(() => sealed.load(KEY), "storage_corrupt");
      flips++;
    }
    assertEquals(flips, good.length * 8);
    await writeFile(`${path}/${KEY}`, bytes.slice(0, -4));
    await assertAuthError(() => storage.load(KEY), "storage_corrupt");
  } finally {
    await remove();
  }
});

test("EncryptedStorage refuses a value moved to another storage key", async () => {
  const inner = new MemoryStorage();
  const storage = new EncryptedStorage(inner, await newKey());
  await storage.save("a.json", { n: 1 });
  await inner.rename("a.json", "b.json");
  await assertAuthError(() => storage.load("b.json"), "storage_corrupt");
});

test("EncryptedStorage reads with previous keys and writes with the new one", async () => {
  const inner = new MemoryStorage();
  const [oldKey, key] = [await newKey(), await newKey()];
  await new EncryptedStorage(inner, oldKey).save(KEY, { n: 1 });
  await assertAuthError(() => new EncryptedStorage(inner, key).load(KEY), "storage_corrupt");
  const both = new EncryptedStorage(inner, key, { previousKeys: [oldKey] });
  assertEquals(await both.load(KEY), { n: 1 });
  await both.save(KEY, { n: 2 });
  assertEquals(await new EncryptedStorage(inner, key).load(KEY), { n: 2 });
  await assertAuthError(() => new EncryptedStorage(inner, oldKey).load(KEY), "storage_corrupt");
});

test("EncryptedStorage calls a value in clear text corrupt", async () => {
  const inner = new MemoryStorage();
  await inner.save(KEY, { refresh_token: SECRET });
  const storage = new EncryptedStorage(inner, await newKey());
  const error = await assertAuthError(() => storage.load(KEY), "storage_corrupt");
  assert(!String(error).includes(SECRET));
});

test("EncryptedStorage refuses weak keys, and has no lock where the inner store has none", async () => {
  const weak = await newKey(128);
  assertThrows(() => new EncryptedStorage(new MemoryStorage(), weak), TypeError);
  assertThrows(() => new EncryptedStorage(new MemoryStorage(), {} as CryptoKey), TypeError);
  const m = new MemoryStorage();
  const five = {
    load: m.load.bind(m),
    save: m.save.bind(m),
    exists: m.exists.bind(m),
    mtime: m.mtime.bind(m),
    rename: m.rename.bind(m),
  };
  const storage = new EncryptedStorage(five, await newKey());
  assertEquals([storage.withLock, storage.delete, storage.list], [undefined, undefined, undefined]);
  await storage.save(KEY, { n: 1 });
  await storage.rename(KEY, "b.json");
  assertEquals(await storage.load("b.json"), { n: 1 });
  assertEquals(await storage.exists(KEY), false);
});

test("deriveStorageKey() gives the same key for the same passphrase and salt", async () => {
  const salt = new Uint8Array(16).fill(7);
  const inner = new MemoryStorage();
  const key = await deriveStorageKey("correct horse", salt);
  await new EncryptedStorage(inner, key).save(KEY, { n: 1 });
  const again = await deriveStorageKey("correct horse", salt, { iterations: 600_000 });
  assertEquals(await new EncryptedStorage(inner, again).load(KEY), { n: 1 });
  const other = await deriveStorageKey("correct horsf", salt);
  await assertAuthError(() => new EncryptedStorage(inner, other).load(KEY), "storage_corrupt");
  await assertAuthError(() => deriveStorageKey("", salt), "invalid_argument");
  await assertAuthError(() => deriveStorageKey("p", salt.slice(1)), "invalid_argument");
  await assertAuthError(() => deriveStorageKey("p", salt, { iterations: 1 }), "invalid_argument");
  await assertRejects(() => deriveStorageKey(1 as unknown as string, salt), TypeError);
});
