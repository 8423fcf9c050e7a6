/**
 * What `KvStorage` does at its database, loaded at the first call: changes under a lock, and patience.
 *
 * Values are bytes of JSON, which Deno and `@deno/kv` under Bun and Node read
 * alike. A lock is an entry that its holder renews every second; it counts as
 * abandoned when it did not change for ten seconds of the waiter's own, steady
 * clock. `expireIn` of the database only tidies up. Every write under a lock
 * is one atomic operation that also checks that the lock is still held, so a
 * displaced holder cannot write. A client that never gives up, as Deno's own
 * over HTTP, is given up on after ten seconds.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { systemClock, unrefTimer } from "../runtime.ts";
import { type Lease, type LockOptions, lockTimeout, Turns } from "./objects.ts";

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

/** How long a lock may stand still before others take it, in milliseconds. */
const LEASE_MS = 10_000;

/** How long the database may take for an answer, in milliseconds. */
const ANSWER_MS = 10_000;

const BUSY_TRIES = 12;

interface HeldKvLock {
  readonly path: KvKey;
  /** Value of the lock's entry: random, so that it tells whose it is. */
  readonly id: string;
  versionstamp: string | null;
  lose(): AuthError;
  readonly signal: AbortSignal;
}

/** Waits for the database, but not for ever; what it was asked may still happen. */
async function answer<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)),
    ANSWER_MS,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The work at one database. */
export class KvEngine {
  readonly #kv: KvLike;
  readonly #prefix: readonly string[];
  readonly #turns = new Turns();
  readonly #held = new Map<string, HeldKvLock>();

  /** Works at `kv` under `prefix`; nothing is read or written yet. */
  constructor(kv: KvLike, prefix: readonly string[]) {
    this.#kv = kv;
    this.#prefix = prefix;
  }

  /** Runs `body` while no other program that shares the database runs one for `key`. */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions,
  ): Promise<T> {
    return await this.#turns.run(key, `the lock of ${where(key)}`, options, async (left) => {
      const lock = await this.#take(key, left, options.signal);
      this.#held.set(key, lock);
      const stop = this.#renew(key, lock);
      try {
        return await body({ signal: lock.signal });
      } finally {
        await stop();
        this.#held.delete(key);
        await this.#release(key, lock);
      }
    });
  }

  async #take(
    key: string,
    left: () => number,
    signal?: AbortSignal,
  ): Promise<HeldKvLock> {
    const timeoutMs = left();
    const path = [...this.#prefix, "lock", key];
    const lock = makeLock(key, path);
    let seen: string | null = null;
    let stillMs = 0;
    let seenAt = performance.now();
    for (let wait = 10;; wait = Math.min(wait * 2, 200)) {
      signal?.throwIfAborted();
      const { value, versionstamp } = await this.guard("lock", key, () => this.#kv.get(path));
      // A try whose answer was lost may have succeeded.
      if (versionstamp !== null && isId(value, lock.id)) {
        lock.versionstamp = versionstamp;
        return lock;
      }
      const now = performance.now();
      // A pause of this program is no sign of the other's death.
      stillMs = versionstamp === seen ? stillMs + Math.min(now - seenAt, 1_000) : 0;
      seen = versionstamp;
      seenAt = now;
      if (versionstamp === null || stillMs >= LEASE_MS) {
        lock.versionstamp = versionstamp;
        try {
          if (await this.guard("lock", key, () => this.#write(lock))) return lock;
        } catch (error) {
          // The answer may be what got lost, and not the write.
          await this.#release(key, lock);
          throw error;
        }
      }
      const ms = left();
      if (ms <= 0) throw lockTimeout(`the lock of ${where(key)}`, timeoutMs);
      await systemClock.sleep(Math.min(wait * (0.5 + Math.random()), ms), signal);
    }
  }

  /** Writes the lock's entry where it still has the version that `lock` knows. */
  async #write(lock: HeldKvLock): Promise<boolean> {
    const { path, id, versionstamp } = lock;
    // The database drops the entry some time after nobody renews it; until then, waiters judge.
    const done = await this.#kv.atomic().check({ key: path, versionstamp })
      .set(path, new TextEncoder().encode(id), { expireIn: 60 * LEASE_MS }).commit();
    if (!done.ok || done.versionstamp === undefined) return false;
    lock.versionstamp = done.versionstamp;
    return true;
  }

  /** Tells whether the lock is still ours, and learns its version. */
  async #isOurs(verb: string, key: string, lock: HeldKvLock): Promise<boolean> {
    const { value, versionstamp } = await this.guard(verb, key, () => this.#kv.get(lock.path));
    if (!isId(value, lock.id)) return false;
    lock.versionstamp = versionstamp;
    return true;
  }

  /** Renews a lock until the function that it returns is called. */
  #renew(key: string, lock: HeldKvLock): () => Promise<void> {
    let renewedAt = performance.now();
    let ended = false;
    let beating: Promise<void> | undefined;
    const beat = async () => {
      const since = performance.now();
      try {
        const isOurs = await this.guard("lock", key, () => this.#write(lock)) ||
          await this.#isOurs("lock", key, lock);
        if (!isOurs) return void lock.lose();
        renewedAt = since;
      } catch {
        // The database may answer again, but others may have taken the lock by then.
        if (performance.now() - renewedAt >= LEASE_MS) return void lock.lose();
      }
      if (!ended) schedule();
    };
    let timer: ReturnType<typeof setTimeout>;
    const schedule = () => {
      timer = setTimeout(() => beating = beat(), LEASE_MS / 10);
      unrefTimer(timer);
    };
    schedule();
    return async () => {
      ended = true;
      clearTimeout(timer);
      await beating;
    };
  }

  async #release(key: string, lock: HeldKvLock): Promise<void> {
    try {
      const { path } = lock;
      const drop = () =>
        this.#kv.atomic().check({ key: path, versionstamp: lock.versionstamp }).delete(path)
          .commit();
      if ((await this.guard("unlock", key, drop)).ok) return;
      if (await this.#isOurs("unlock", key, lock)) await this.guard("unlock", key, drop);
    } catch { /* Others take the lock after the lease. */ }
  }

  /** Does a change that happens only while the locks held here for `keys` are still held. */
  async commit(
    verb: string,
    key: string,
    keys: readonly string[],
    change: (atomic: KvAtomic) => KvAtomic,
    checked = false,
  ): Promise<boolean> {
    const locks = keys.flatMap((name) => this.#held.get(name) ?? []);
    for (let attempt = 0; attempt < BUSY_TRIES; attempt++) {
      if (locks.some((lock) => lock.signal.aborted)) throw locks[0]!.lose();
      const { ok } = await this.guard(verb, key, () => {
        const atomic = this.#kv.atomic();
        for (const { path, versionstamp } of locks) atomic.check({ key: path, versionstamp });
        return change(atomic).commit();
      });
      if (ok || (checked && locks.length === 0)) return ok;
      // Our own renewal may have come between; then the lock is still ours in its new version.
      for (const lock of locks) {
        if (!await this.#isOurs(verb, key, lock)) throw lock.lose();
      }
      if (checked) return false;
    }
    throw new AuthError("storage_failed", `Try again: cannot ${verb} ${where(key)}.`);
  }

  /** Asks the database, again while it says that it is busy; its errors become typed ones. */
  async guard<T>(verb: string, key: string, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1;; attempt++) {
      try {
        return await answer(work());
      } catch (cause) {
        if (cause instanceof AuthError) throw cause;
        const text = cause instanceof Error ? cause.message : "";
        const busy = /database is (locked|busy)|SQLITE_BUSY/i.test(text);
        if (busy && attempt < BUSY_TRIES) {
          await systemClock.sleep(Math.min(5 * 2 ** attempt, 500) * (0.5 + Math.random()));
          continue;
        }
        const advice = /closed|BadResource/i.test(`${text} ${(cause as Error)?.name}`)
          ? "Keep the database open while the session is used"
          : busy
          ? "Try again when the database is less busy"
          : text.startsWith("no answer")
          ? `Check that the Deno KV database can be reached (${text})`
          : "Check the Deno KV database";
        throw new AuthError("storage_failed", `${advice}: cannot ${verb} ${where(key)}.`, {
          cause,
        });
      }
    }
  }
}

function where(key: string): string {
  return `"${key}" in Deno KV`;
}

/** Bytes are what every client of the database reads alike. */
function isId(value: unknown, id: string): boolean {
  return value instanceof Uint8Array && new TextDecoder().decode(value) === id;
}

function makeLock(key: string, path: KvKey): HeldKvLock {
  const controller = new AbortController();
  return {
    path,
    id: crypto.randomUUID(),
    versionstamp: null,
    signal: controller.signal,
    lose(): AuthError {
      const error = new AuthError(
        "storage_failed",
        `Read the state again: this program lost the lock of ${where(key)}, because it stood ` +
          `still for more than ${LEASE_MS / 1000} s or the lock was removed. Nothing was written.`,
      );
      controller.abort(error);
      return error;
    },
  };
}
