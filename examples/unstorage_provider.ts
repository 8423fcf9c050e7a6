// Storage in anything that unstorage has a driver for: Redis, Cloudflare KV, MongoDB, S3 and more.
//
//   import { createStorage } from "unstorage";
//   import redisDriver from "unstorage/drivers/redis";
//
//   const storage = createStorage({ driver: redisDriver({ url: "redis://localhost:6379" }) });
//   const auth = Auth.fromOAuthM2M({
//     clientId,
//     clientSecret,
//     storageProvider: new UnstorageProvider(storage),
//   });
//
// Its calls cannot compare and set, so a provider has no lock. With the Redis driver it can have one:
// `new SharedStorage(redisOf(storage))` goes past unstorage, to the driver's own client.
//
// As a program it shows that, over a Map in the place of an unstorage.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET examples/unstorage_provider.ts
//
// The driver decides who can read what it keeps: the files of "fs" are for every user of the
// machine. Put an EncryptedStorage around the provider there.
import {
  Auth,
  AuthError,
  type CompareAndSetStore,
  type JsonObject,
  type ObjectStorageProvider,
  Planet,
  type RedisLike,
  redisStore,
  Session,
} from "../mod.ts";

/** The calls of unstorage that are used. */
export interface UnstorageLike {
  getItem(key: string): Promise<unknown>;
  setItem(key: string, value: JsonObject): Promise<void>;
  hasItem(key: string): Promise<boolean>;
  removeItem(key: string): Promise<void>;
}

/** Keeps session state in an unstorage, each object with the time at which it was saved. */
export class UnstorageProvider implements ObjectStorageProvider {
  readonly #storage: UnstorageLike;

  constructor(storage: UnstorageLike) {
    this.#storage = storage;
  }

  async load(key: string): Promise<JsonObject | undefined> {
    return (await this.#read(key))?.object;
  }

  async save(key: string, object: JsonObject): Promise<void> {
    await this.#storage.setItem(key, { savedAt: Date.now(), object });
  }

  async exists(key: string): Promise<boolean> {
    return await this.#storage.hasItem(key);
  }

  async mtime(key: string): Promise<number> {
    return (await this.#require(key)).savedAt;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#storage.setItem(to, { ...await this.#require(from) });
    if (from !== to) await this.#storage.removeItem(from);
  }

  async delete(key: string): Promise<void> {
    await this.#storage.removeItem(key);
  }

  async #read(key: string): Promise<{ savedAt: number; object: JsonObject } | undefined> {
    const found = await this.#storage.getItem(key);
    return found === null ? undefined : found as { savedAt: number; object: JsonObject };
  }

  async #require(key: string): Promise<{ savedAt: number; object: JsonObject }> {
    const found = await this.#read(key);
    if (found === undefined) throw new AuthError("storage_not_found", `There is no ${key}.`);
    return found;
  }
}

/** The Redis behind an unstorage with the Redis driver. */
export function redisOf(
  storage: { getMount(key: string): { driver: { getInstance?(): unknown } } },
): CompareAndSetStore {
  return redisStore(storage.getMount("").driver.getInstance?.() as RedisLike);
}

if (import.meta.main) {
  const { environment, serviceAccount } = await import("./_environment.ts");
  const kept = new Map<string, JsonObject>();
  const storage: UnstorageLike = {
    getItem: (key) => Promise.resolve(kept.get(key) ?? null),
    setItem: (key, value) => Promise.resolve(void kept.set(key, value)),
    hasItem: (key) => Promise.resolve(kept.has(key)),
    removeItem: (key) => Promise.resolve(void kept.delete(key)),
  };
  const storageProvider = new UnstorageProvider(storage);
  const auth = Auth.fromOAuthM2M({ ...serviceAccount(), storageProvider, environment });
  for await (const search of new Planet(new Session(auth)).data.listSearches()) {
    console.log(search.name);
  }
  console.log(`Kept: ${[...kept.keys()].join(", ")}`);
}
