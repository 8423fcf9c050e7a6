// Storage in a KV namespace of Cloudflare Workers: the five methods that the library needs. The
// namespace takes up to a minute to tell other places what was written, and has no lock: isolates
// may sign in more than once, which a service account may.
import { AuthError, type JsonObject, type ObjectStorageProvider } from "../mod.ts";

/** The calls of a namespace that are used. */
export interface KvNamespace {
  getWithMetadata(
    key: string,
    type: "json",
  ): Promise<{ value: unknown; metadata: unknown }>;
  put(key: string, value: string, options: { metadata: { savedAt: number } }): Promise<void>;
  delete(key: string): Promise<void>;
}

/** Keeps session state in a KV namespace. */
export class WorkersKvStorage implements ObjectStorageProvider {
  readonly #namespace: KvNamespace;

  constructor(namespace: KvNamespace) {
    this.#namespace = namespace;
  }

  async load(key: string): Promise<JsonObject | undefined> {
    const { value } = await this.#namespace.getWithMetadata(key, "json");
    return value === null ? undefined : value as JsonObject;
  }

  async save(key: string, value: JsonObject): Promise<void> {
    const metadata = { savedAt: Date.now() };
    await this.#namespace.put(key, JSON.stringify(value), { metadata });
  }

  async exists(key: string): Promise<boolean> {
    return await this.load(key) !== undefined;
  }

  async mtime(key: string): Promise<number> {
    const { metadata } = await this.#namespace.getWithMetadata(key, "json");
    if (metadata === null) throw new AuthError("storage_not_found", `There is no ${key}.`);
    return (metadata as { savedAt: number }).savedAt;
  }

  async rename(from: string, to: string): Promise<void> {
    const value = await this.load(from);
    if (value === undefined) throw new AuthError("storage_not_found", `There is no ${from}.`);
    await this.save(to, value);
    await this.delete(from);
  }

  async delete(key: string): Promise<void> {
    await this.#namespace.delete(key);
  }
}
