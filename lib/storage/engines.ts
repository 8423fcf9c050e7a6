/**
 * The engines that `SharedStorage` comes with, each over the user's own client; loaded at the first
 * call. Redis, Postgres and Deno KV as stores that compare and set, nothing more: what follows from
 * that is in `shared_engine.ts`.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { systemClock } from "../runtime.ts";
import type { CompareAndSetStore } from "./objects.ts";

/**
 * A key of the database.
 *
 * @category Storage
 */
export type KvKey = readonly (string | number | bigint | boolean | Uint8Array | symbol)[];

/**
 * What the database holds under a key.
 *
 * @category Storage
 */
export interface KvEntry {
  /** The key. */
  readonly key: KvKey;
  /** The value; `null` where there is none. */
  readonly value: unknown;
  /** Version of the value; `null` where there is none. */
  readonly versionstamp: string | null;
}

/**
 * Several operations that happen together or not at all.
 *
 * @category Storage
 */
export interface KvAtomic {
  /** Goes on only if the entry has this version. */
  check(...checks: { key: KvKey; versionstamp: string | null }[]): KvAtomic;
  /** Writes an entry. */
  set(key: KvKey, value: unknown, options?: { expireIn?: number }): KvAtomic;
  /** Removes an entry. */
  delete(key: KvKey): KvAtomic;
  /** Does it; `ok` is `false` where a check failed. */
  commit(): Promise<{ ok: boolean; versionstamp?: string }>;
}

/**
 * The calls of a KV database that are used; what `openKv()` opens and `@deno/kv` fit.
 *
 * @category Storage
 */
export interface KvLike {
  /** Reads an entry. */
  get(key: KvKey): Promise<KvEntry>;
  /** Reads the entries under a prefix. */
  list(selector: { prefix: KvKey }): AsyncIterable<KvEntry>;
  /** Begins an atomic operation. */
  atomic(): KvAtomic;
}

/**
 * Sends one command to Redis, such as `send("GET", key)`.
 *
 * @category Storage
 */
export type RedisSend = (...words: string[]) => Promise<unknown>;

/**
 * What {@linkcode redisStore} takes: `Bun.redis`, a client of `redis` or `ioredis`, or a function.
 *
 * @category Storage
 */
export type RedisLike =
  | RedisSend
  | { call(command: string, ...words: string[]): Promise<unknown> }
  | { sendCommand(words: string[]): Promise<unknown> }
  | { send(command: string, words: string[]): Promise<unknown> };

/**
 * Runs one statement with the parameters `$1`, `$2`, … and resolves with its rows.
 *
 * @category Storage
 */
// deno-lint-ignore no-explicit-any
export type SqlQuery = (text: string, values: string[]) => Promise<readonly any[]>;

/**
 * What {@linkcode sqlStore} takes: `Bun.sql`, one of `postgres`, a pool of `pg`, or a function.
 *
 * @category Storage
 */
export type SqlLike =
  | SqlQuery
  | { unsafe(text: string, values: string[]): PromiseLike<unknown> }
  | { query(text: string, values: string[]): Promise<unknown> };

/** Writes if the value is still the same; "" stands for none, which no record is. */
const SWAP = `local now = redis.call('GET', KEYS[1])
if ARGV[1] == '' and now == false or now == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2]) return 1
end return 0`;

const DROP = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

/** Redis. The record's random id makes each value one of a kind: it is its own version. */
export function redis(client: RedisLike): Required<CompareAndSetStore> {
  const send = senderOf(client);
  return {
    async get(key) {
      const value = await send("GET", key) as string | null;
      return value === null ? undefined : { value, version: value };
    },
    async set(key, value, expected) {
      const done = await send("EVAL", SWAP, "1", key, expected ?? "", value);
      return Number(done) === 1 ? value : undefined;
    },
    async delete(key, expected) {
      return Number(await send("EVAL", DROP, "1", key, expected)) === 1;
    },
    async *list(prefix) {
      const pattern = `${prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
      let cursor = "0";
      do {
        const [next, keys] = await send("SCAN", cursor, "MATCH", pattern, "COUNT", "1000") as [
          string,
          string[],
        ];
        yield* keys;
        cursor = String(next);
      } while (cursor !== "0");
    },
  };
}

function senderOf(client: RedisLike): RedisSend {
  // `ioredis` has sendCommand() as well, of another kind.
  if ("call" in client && typeof client !== "function") {
    return (command = "", ...words) => client.call(command, ...words);
  }
  if ("sendCommand" in client) return (...words) => client.sendCommand(words);
  if ("send" in client) return (command = "", ...words) => client.send(command, words);
  if (typeof client === "function") return client;
  throw new TypeError(
    "Pass a client of redis or ioredis, the built-in one, or a function to redisStore().",
  );
}

/** Postgres. */
export function sql(client: SqlLike, table: string): Required<CompareAndSetStore> {
  const query = queryOf(client);
  return {
    async get(key) {
      return (await query(`SELECT value, version FROM ${table} WHERE key = $1`, [key]))[0];
    },
    async set(key, value, expected) {
      const version = crypto.randomUUID();
      const rows = expected === undefined
        ? await query(
          `INSERT INTO ${table} (key, value, version) VALUES ($1, $2, $3) ` +
            "ON CONFLICT (key) DO NOTHING RETURNING version",
          [key, value, version],
        )
        : await query(
          `UPDATE ${table} SET value = $2, version = $3 ` +
            "WHERE key = $1 AND version = $4 RETURNING version",
          [key, value, version, expected],
        );
      return rows[0]?.version;
    },
    async delete(key, expected) {
      const text = `DELETE FROM ${table} WHERE key = $1 AND version = $2 RETURNING key`;
      return (await query(text, [key, expected])).length === 1;
    },
    async *list(prefix) {
      const start = "substr(key, 1, length(CAST($1 AS text))) = CAST($1 AS text)";
      for (const { key } of await query(`SELECT key FROM ${table} WHERE ${start}`, [prefix])) {
        yield key;
      }
    },
  };
}

function queryOf(client: SqlLike): SqlQuery {
  const run = "unsafe" in client
    ? (text: string, values: string[]) => client.unsafe(text, values)
    : "query" in client
    ? (text: string, values: string[]) => client.query(text, values)
    : client;
  if (typeof run !== "function") {
    throw new TypeError(
      "Pass a client of postgres, a pool of pg, the built-in one, or a function to sqlStore().",
    );
  }
  return async (text, values) => {
    const answer = await run(text, values);
    const rows = Array.isArray(answer) ? answer : (answer as { rows?: unknown } | undefined)?.rows;
    if (Array.isArray(rows)) return rows;
    throw new TypeError("The function of sqlStore() must resolve with an array of rows.");
  };
}

/** How often a database that says it is busy is asked; it did nothing then. */
const BUSY_TRIES = 12;

/** Asks Deno KV, again while it says that it is busy. */
async function unlessBusy<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await work();
    } catch (error) {
      const busy = /database is (locked|busy)|SQLITE_BUSY/i.test(String(error));
      if (!busy) throw error;
      if (attempt === BUSY_TRIES) {
        throw new AuthError(
          "storage_failed",
          "Try again when the Deno KV database is less busy.",
          { cause: error },
        );
      }
      await systemClock.sleep(Math.min(5 * 2 ** attempt, 500) * (0.5 + Math.random()));
    }
  }
}

/** Deno KV. Values are bytes of UTF-8, which Deno and `@deno/kv` under Bun and Node read alike. */
export function kv(kv: KvLike, prefix: readonly string[]): Required<CompareAndSetStore> {
  const swap = (key: string, versionstamp: string | null, change: (at: KvKey) => KvAtomic) => {
    const path = [...prefix, key];
    return unlessBusy(() => change(path).check({ key: path, versionstamp }).commit());
  };
  return {
    async get(key) {
      const { value, versionstamp } = await unlessBusy(() => kv.get([...prefix, key]));
      if (value === null || versionstamp === null) return undefined;
      return { value: textOf(value), version: versionstamp };
    },
    async set(key, value, expected) {
      const bytes = new TextEncoder().encode(value);
      const done = await swap(key, expected ?? null, (path) => kv.atomic().set(path, bytes));
      return done.ok ? done.versionstamp : undefined;
    },
    async delete(key, expected) {
      return (await swap(key, expected, (path) => kv.atomic().delete(path))).ok;
    },
    async *list(start) {
      for await (const { key } of kv.list({ prefix })) {
        const [name, ...more] = key.slice(prefix.length);
        if (more.length === 0 && typeof name === "string" && name.startsWith(start)) yield name;
      }
    },
  };
}

/** Text of a value; of another program's, text that is no record and from which it can be told. */
function textOf(value: unknown): string {
  if (!(value instanceof Uint8Array)) {
    const plain = (_: string, part: unknown) => typeof part === "bigint" ? `${part}n` : part;
    return `of another program: ${JSON.stringify(value, plain)}`;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return `bytes: ${Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }
}
