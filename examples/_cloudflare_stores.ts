// Stores of Cloudflare Workers that can compare and set, for a SharedStorage: all isolates, wherever
// they run, share one session and one renewal. First choice is a Durable Object (2 MB a value), second
// a bucket of R2, which takes one write a second to a key: expect 2 to 3 seconds for a renewal. A KV
// namespace cannot compare; _workers_kv_storage.ts is for service accounts only.
// @ts-ignore: a module of Cloudflare's runtime, whose types wrangler brings along.
import { DurableObject } from "cloudflare:workers";
import type { CompareAndSetStore, Versioned } from "../mod.ts";

/** The calls of the storage of a Durable Object that are used. */
interface State {
  storage: {
    sql: { exec(text: string, ...values: string[]): { toArray(): Record<string, string>[] } };
  };
}

/** Keeps sessions in the SQLite of a Durable Object: what it does without `await` nobody interrupts. */
export class PlanetSessions extends DurableObject {
  readonly #sql: State["storage"]["sql"];

  constructor(state: State, env: unknown) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS sessions (key TEXT PRIMARY KEY, value TEXT, version TEXT)",
    );
  }

  get(key: string): Versioned | undefined {
    const [row] = this.#sql.exec("SELECT value, version FROM sessions WHERE key = ?", key)
      .toArray();
    return row && { value: row.value!, version: row.version! };
  }

  set(key: string, value: string, expected: string | undefined): string | undefined {
    if (this.get(key)?.version !== expected) return undefined;
    const version = crypto.randomUUID();
    this.#sql.exec("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", key, value, version);
    return version;
  }

  delete(key: string, expected: string): boolean {
    if (this.get(key)?.version !== expected) return false;
    this.#sql.exec("DELETE FROM sessions WHERE key = ?", key);
    return true;
  }
}

/** A namespace that is bound to {@linkcode PlanetSessions}. */
export interface SessionsNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): Required<Omit<CompareAndSetStore, "list">>;
}

/** The one object of all sessions; asked for anew each time, since a stub belongs to one request. */
export function durableObjectStore(namespace: SessionsNamespace): CompareAndSetStore {
  const object = () => namespace.get(namespace.idFromName("planet"));
  return {
    get: (key) => object().get(key),
    set: (key, value, expected) => object().set(key, value, expected),
    delete: (key, expected) => object().delete(key, expected),
  };
}

/** The calls of a bucket that are used. */
export interface SessionsBucket {
  get(key: string): Promise<{ etag: string; text(): Promise<string> } | null>;
  put(key: string, value: string, options: { onlyIf: object }): Promise<{ etag: string } | null>;
}

/** A bucket; it cannot remove on a condition, so an empty record stays. */
export function r2Store(bucket: SessionsBucket): CompareAndSetStore {
  return {
    async get(key) {
      const found = await bucket.get(key);
      return found === null ? undefined : { value: await found.text(), version: found.etag };
    },
    async set(key, value, expected) {
      const onlyIf = expected === undefined ? { etagDoesNotMatch: "*" } : { etagMatches: expected };
      return (await bucket.put(key, value, { onlyIf }))?.etag;
    },
  };
}
