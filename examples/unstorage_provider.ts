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
// The driver decides who can read what it keeps: the files of "fs" are for every user of the
// machine. Put an EncryptedStorage around the provider there.
import { AuthError, type JsonObject, type ObjectStorageProvider } from "../mod.ts";

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
