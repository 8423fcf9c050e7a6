// Storage of the application's own: one file per object in ~/.planet-demo, each with the time at
// which it was saved. The five methods are all that the library needs of a store.
import { access, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import process from "node:process";
import { AuthError, type JsonObject, type ObjectStorageProvider } from "../mod.ts";

interface Envelope {
  savedAt: number;
  object: JsonObject;
}

/** Keeps session state where only this application looks for it. */
export class DemoStorage implements ObjectStorageProvider {
  readonly #folder = `${process.env.HOME ?? process.env.USERPROFILE}/.planet-demo`;

  async load(key: string): Promise<JsonObject | undefined> {
    return (await this.#read(key))?.object;
  }

  async save(key: string, object: JsonObject): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const envelope: Envelope = { savedAt: Date.now(), object };
    const neighbour = `${this.#path(key)}.${crypto.randomUUID()}.tmp`;
    await writeFile(neighbour, JSON.stringify(envelope), { mode: 0o600, flush: true });
    await rename(neighbour, this.#path(key));
  }

  exists(key: string): Promise<boolean> {
    return access(this.#path(key)).then(() => true, () => false);
  }

  async mtime(key: string): Promise<number> {
    const envelope = await this.#read(key);
    if (envelope === undefined) throw new AuthError("storage_not_found", `There is no ${key}.`);
    return envelope.savedAt;
  }

  async rename(from: string, to: string): Promise<void> {
    if (!await this.exists(from)) throw new AuthError("storage_not_found", `There is no ${from}.`);
    await rename(this.#path(from), this.#path(to));
  }

  async #read(key: string): Promise<Envelope | undefined> {
    try {
      return JSON.parse(await readFile(this.#path(key), "utf8"));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  #path(key: string): string {
    return `${this.#folder}/${encodeURIComponent(key)}.demo`;
  }
}
