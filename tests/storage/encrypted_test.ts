import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { FileStorage } from "../../lib/storage/file.ts";
import type { ObjectStorageProvider } from "../../lib/storage/objects.ts";
import {
  deriveStorageKey,
  EncryptedStorage,
  KvStorage,
  MemoryStorage,
} from "../../lib/storage/select.ts";
import { secret } from "../_support/canaries.ts";
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

/** The methods of the Python SDK, without the rest. */
function withFiveMethods(all: MemoryStorage): ObjectStorageProvider {
  return {
    load: all.load.bind(all),
    save: all.save.bind(all),
    exists: all.exists.bind(all),
    mtime: all.mtime.bind(all),
    rename: all.rename.bind(all),
  };
}

storeContract("EncryptedStorage over MemoryStorage", async () => {
  const [inner, key] = [new MemoryStorage(), await newKey()];
  return {
    storage: new EncryptedStorage(inner, key),
    sibling: new EncryptedStorage(inner, key),
    spoil: (name) => inner.save(name, { "in": "clear" }),
    close: () => {},
  };
});

storeContract("EncryptedStorage over five methods", async () => {
  const [inner, key] = [withFiveMethods(new MemoryStorage()), await newKey()];
  return {
    storage: new EncryptedStorage(inner, key),
    spoil: (name) => inner.save(name, { "in": "clear" }),
    close: () => {},
  };
}, { fiveMethods: true });

storeContract("EncryptedStorage over FileStorage", async () => {
  const { path, remove } = await tempFolder();
  const key = await newKey();
  return {
    storage: new EncryptedStorage(new FileStorage({ root: path }), key),
    sibling: new EncryptedStorage(new FileStorage({ root: path }), key),
    async spoil(name) {
      await new FileStorage({ root: path }).save(name, {});
      await writeFile(`${path}/${name}`, "no JSON");
    },
    close: remove,
  };
});

storeContract("EncryptedStorage over KvStorage", async () => {
  const [kv, key] = [await openKv(":memory:"), await newKey()];
  return {
    storage: new EncryptedStorage(new KvStorage(kv), key),
    sibling: new EncryptedStorage(new KvStorage(kv), key),
    async spoil(name) {
      await new EncryptedStorage(new KvStorage(kv), await newKey()).save(name, { lost: "key" });
    },
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

/** The token object that the tests below hide. */
const TOKENS = { access_token: `a.${SECRET}.b`, refresh_token: SECRET, _exp: 1_700_000_000 };

/** Asserts that no run of 6 bytes of a token is in `bytes`, plain or as base64. */
function assertHidden(bytes: Uint8Array): void {
  const text = new TextDecoder("latin1").decode(bytes);
  for (const clear of [SECRET, btoa(SECRET), "access_token", "refresh_token", "1700000000"]) {
    for (let at = 0; at + 6 <= clear.length; at++) {
      assert(!text.includes(clear.slice(at, at + 6)), "clear text is stored");
    }
  }
}

test("EncryptedStorage over FileStorage: no clear byte in the file, every flipped bit is seen", async () => {
  const { path, remove } = await tempFolder();
  const { mkdir, readdir, readFile } = await import("node:fs/promises");
  try {
    const key = await newKey();
    const storage = new EncryptedStorage(new FileStorage({ root: path }), key);
    await storage.withLock!("a/token.json", () => storage.save("a/token.json", TOKENS));
    assertEquals(await readdir(`${path}/a`), ["token.json"]);
    const good = new Uint8Array(await readFile(`${path}/a/token.json`));
    assertHidden(good);
    // A copy for each bit, read at once: what is no JSON is read several times.
    await mkdir(`${path}/b`);
    let seen = 0;
    const one = async (bit: number) => {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      const root = `${path}/b/${bit}`;
      await mkdir(`${root}/a`, { recursive: true });
      await writeFile(`${root}/a/token.json`, bad);
      const copy = new EncryptedStorage(new FileStorage({ root }), key);
      await assertAuthError(() => copy.load("a/token.json"), "storage_corrupt");
      seen++;
    };
    for (let bit = 0; bit < good.length * 8; bit += 200) {
      const some = Array.from({ length: Math.min(200, good.length * 8 - bit) }, (_, i) => bit + i);
      await Promise.all(some.map(one));
    }
    assertEquals(seen, good.length * 8);
    await writeFile(`${path}/a/token.json`, good.slice(0, -4));
    await assertAuthError(() => storage.load("a/token.json"), "storage_corrupt");
  } finally {
    await remove();
  }
});

test(
  "EncryptedStorage over KvStorage: no clear byte in the value, every flipped bit is seen",
  async () => {
    const kv = await openKv(":memory:");
    try {
      const storage = new EncryptedStorage(new KvStorage(kv), await newKey());
      await storage.save(KEY, TOKENS);
      const path = ["planet", KEY];
      const good = (await kv.get(path)).value as Uint8Array;
      const text = new TextDecoder().decode(good);
      // The record's time of writing is not kept secret, and its random id is no clear text.
      assertHidden(new TextEncoder().encode(JSON.stringify(JSON.parse(text).value)));
      for (let bit = text.indexOf('"value"') * 8; bit < good.length * 8; bit++) {
        const bad = good.slice();
        bad[bit >> 3]! ^= 1 << (bit & 7);
        await kv.atomic().set(path, bad).commit();
        await assertAuthError(() => storage.load(KEY), "storage_corrupt");
      }
    } finally {
      kv.close();
    }
  },
  { skip: missingKv },
);

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
  const five = withFiveMethods(new MemoryStorage());
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
  const key = await deriveStorageKey(secret("correct horse"), salt);
  await new EncryptedStorage(inner, key).save(KEY, { n: 1 });
  const again = await deriveStorageKey(secret("correct horse"), salt, { iterations: 600_000 });
  assertEquals(await new EncryptedStorage(inner, again).load(KEY), { n: 1 });
  const other = await deriveStorageKey(secret("correct horsf"), salt);
  await assertAuthError(() => new EncryptedStorage(inner, other).load(KEY), "storage_corrupt");
  await assertAuthError(() => deriveStorageKey("", salt), "invalid_argument");
  await assertAuthError(() => deriveStorageKey(secret("p"), salt.slice(1)), "invalid_argument");
  await assertAuthError(
    () => deriveStorageKey(secret("p"), salt, { iterations: 1 }),
    "invalid_argument",
  );
  await assertRejects(() => deriveStorageKey(1 as unknown as string, salt), TypeError);
});
