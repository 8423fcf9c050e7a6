/**
 * What `SharedStorage` does at its store, loaded at the first call: lock, lease, fencing and
 * patience over one conditional write.
 *
 * Lock and data are one record under one key, so that the save itself is the fence: it names the
 * version that it replaces. A holder writes its record anew ten times in a lease. A waiter calls a
 * lock abandoned when the record did not change for a lease of the waiter's own, steady clock; no
 * clock is compared with another one. A holder gives its lock up, and every wait with it, one lease
 * after the beginning of its last write that is known to have worked.
 *
 * No answer of the store is believed that could be a lost one: after an error and after a refusal
 * the record is read, and looked at for the random `id` of the write in question, since clients
 * repeat requests whose answer was lost and are then refused by their own first try.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { systemClock, unrefTimer } from "../runtime.ts";
import {
  type CompareAndSetStore,
  corrupt,
  type JsonObject,
  type Lease,
  type LockOptions,
  lockTimeout,
  notFound,
  TRAITS,
  type Traits,
  Turns,
  type Versioned,
} from "./objects.ts";

/** What is stored under a key beside the lock: an object, text that is no record, or nothing. */
interface Content {
  /** Time of the last write that was no mere sign of life, in epoch milliseconds. */
  readonly at?: number;
  readonly value?: JsonObject;
  readonly raw?: string;
}

/** What is stored under a key. */
interface Stored extends Content {
  /** Random, of each write; what of a write is found by. */
  readonly id: string;
  /** Random, of each lock; absent where nobody holds it. */
  readonly lock?: string;
}

/** What was seen under a key; both `undefined`: nothing. */
interface Seen {
  readonly record?: Stored | undefined;
  readonly version?: string | undefined;
}

interface Held {
  readonly id: string;
  readonly signal: AbortSignal;
  /** What this program knows to be stored. */
  seen: Seen;
  /** The last trouble with the store. */
  cause?: unknown;
  /** Ends of the writes so far: one at a time, since each names the version of the one before. */
  tail: Promise<unknown>;
  lose(): AuthError;
  /** Counts the lease from `since`. */
  renewed(since: number): void;
  /** Stops counting. */
  end(): void;
}

/** How long a store that never answered is asked again, in milliseconds: it may not be set up. */
const FIRST_MS = 300;

/** How long a store that answered before is asked again after an error, in milliseconds. */
const PATIENCE_MS = 5_000;

/** How often others may come between before a change without a lock gives up. */
const MOST_TRIES = 100;

/** How often the probe starts over while other programs probe, too. */
const MOST_PROBES = 12;

/** Where it is noted that the store keeps to its conditions; `checkKey()` refuses it to others. */
const PROBE = "probe.lock";

const MEMBERS = ["id", "at", "lock", "value", "raw"];

function isRecord(value: unknown): value is Stored {
  if (typeof value !== "object" || value === null) return false;
  const { id, at, lock = "", value: object = {}, raw = "" } = value as Record<string, unknown>;
  return Object.keys(value).every((name) => MEMBERS.includes(name)) &&
    typeof id === "string" && id !== "" && typeof at === "number" && typeof lock === "string" &&
    typeof raw === "string" && typeof object === "object" && object !== null &&
    !Array.isArray(object);
}

/** Reads a record; text that is none is kept, so that it can be set aside. */
function see(found: Versioned | undefined): Seen {
  if (found === undefined || found === null) return {};
  const { value, version } = found;
  if (typeof value !== "string" || typeof version !== "string") {
    throw new TypeError("get() of a CompareAndSetStore must give strings: value and version.");
  }
  try {
    const record = JSON.parse(value);
    if (isRecord(record)) return { record, version };
  } catch { /* It is no JSON. */ }
  return { record: { id: "", raw: value }, version };
}

/** What is kept when the lock of a record changes hands. */
function contentOf({ at, value, raw }: Content = {}): Content {
  return {
    at: at ?? Date.now(),
    ...value !== undefined && { value },
    ...raw !== undefined && { raw },
  };
}

/** What two records have in common that hold the same. */
function textOf({ value, raw }: Content = {}): string {
  return JSON.stringify([value, raw]);
}

function isEmpty(content: Content | undefined): boolean {
  return content?.value === undefined && content?.raw === undefined;
}

function write(content: Content | undefined, lock: string | undefined): Stored {
  const { at = Date.now(), ...rest } = contentOf(content);
  return { id: crypto.randomUUID(), at, ...lock !== undefined && { lock }, ...rest };
}

/** Waits for the store, but neither for ever nor beyond an abort; what it was asked may still happen. */
async function answer<T>(
  work: () => Promise<T> | T,
  ms: number,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  const onAbort = () => reject(signal!.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([(async () => await work())(), ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** The error of a client without what it may show of the value: some add the command to it. */
function harmless(cause: unknown, text = ""): Error {
  const { name, message = "", code } = (cause ?? {}) as Error & { code?: unknown };
  let shows = false;
  for (let at = 0; at + 16 <= message.length && !shows; at++) {
    shows = text.includes(message.slice(at, at + 16));
  }
  const error = new Error(shows ? "the message is left out, since it shows the value" : message);
  if (typeof name === "string") error.name = name;
  return Object.assign(error, typeof code === "string" && { code });
}

/** The work at one store. */
export class SharedEngine {
  readonly #store: CompareAndSetStore;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #traits: Traits;
  readonly #turns = new Turns();
  readonly #held = new Map<string, Held>();
  /** IDs of locks that were done with while the store did not answer: they may still stand there. */
  readonly #leftBehind = new Set<string>();
  #answered = false;
  #trusted: Promise<void> | undefined;

  /** Works at `store` under `prefix`; nothing is read or written yet. */
  constructor(store: CompareAndSetStore, prefix: string, leaseMs: number) {
    this.#store = store;
    this.#prefix = prefix;
    this.#leaseMs = leaseMs;
    this.#traits = (store as { [TRAITS]?: Traits })[TRAITS] ?? { name: "the store" };
  }

  /** Reads an object. */
  async load(key: string): Promise<JsonObject | undefined> {
    const { record } = await this.#read("read", key);
    if (record?.raw !== undefined) throw corrupt(this.#where(key), "no record of SharedStorage");
    return record?.value;
  }

  /** Writes an object. */
  async save(key: string, value: JsonObject): Promise<void> {
    const { name, maxBytes = Infinity } = this.#traits;
    // With room for a lock, so that what is saved can be locked.
    const whole = JSON.stringify(write({ value }, crypto.randomUUID()));
    const bytes = maxBytes === Infinity ? 0 : new TextEncoder().encode(whole).length;
    if (bytes > maxBytes) {
      throw new AuthError(
        "storage_failed",
        `Ask for fewer scopes, or use files: ${this.#where(key)} would take ${bytes} bytes, ` +
          `and ${name} holds at most ${maxBytes} in one value. Nothing was written.`,
      );
    }
    await this.#change("write", key, () => ({ value }));
  }

  /** Tells whether something is stored, readable or not. */
  async exists(key: string): Promise<boolean> {
    return !isEmpty((await this.#read("read", key)).record);
  }

  /** Time of the last write. */
  async mtime(key: string): Promise<number> {
    const { record } = await this.#read("read", key);
    if (isEmpty(record)) throw notFound(key);
    if (record!.at === undefined) throw corrupt(this.#where(key), "no record of SharedStorage");
    return record!.at;
  }

  /** Writes under `to`, then removes from `from` what was written. */
  async rename(from: string, to: string): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { record } = await this.#read("rename", from);
      if (isEmpty(record)) throw notFound(from);
      if (from === to) return;
      await this.#change("rename", to, () => contentOf(record));
      let same = true;
      await this.#change("rename", from, (now) => {
        same = isEmpty(now) || textOf(now) === textOf(record);
        return same ? {} : now;
      });
      if (same) return;
    }
    throw this.#busy("rename", from);
  }

  /** Removes an object. */
  async delete(key: string): Promise<void> {
    await this.#change("delete", key, () => ({}));
  }

  /** Lists the keys that hold something. */
  async *list(prefix: string): AsyncIterable<string> {
    const since = performance.now();
    let keys: Set<string> | undefined;
    for (let wait = 20; keys === undefined; wait *= 2) {
      try {
        keys = await answer(async () => {
          const found = new Set<string>();
          for await (const key of this.#store.list!(this.#prefix + prefix)) {
            found.add(key.slice(this.#prefix.length));
          }
          return found;
        }, this.#leaseMs);
      } catch (cause) {
        await this.#again("list", prefix, cause, since, wait);
      }
    }
    keys.delete(PROBE);
    for (const key of keys) if (await this.exists(key)) yield key;
  }

  /** Runs `body` while no other program that shares the store runs one for `key`. */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions,
  ): Promise<T> {
    return await this.#turns.run(key, `the lock of ${this.#where(key)}`, options, async (left) => {
      const held = await this.#take(key, left, options.signal);
      this.#held.set(key, held);
      const stop = this.#beat(key, held);
      try {
        return await body({ signal: held.signal });
      } finally {
        stop();
        await this.#release(key, held);
        held.end();
        this.#held.delete(key);
      }
    });
  }

  async #take(key: string, left: () => number, signal?: AbortSignal): Promise<Held> {
    const timeoutMs = left();
    const id = crypto.randomUUID();
    let [stillMs, seenAt] = [0, 0];
    let known: string | undefined;
    for (let wait = 10;; wait = Math.min(wait * 2, 200)) {
      const asked = performance.now();
      let [seen] = await Promise.all([this.#read("lock", key, signal), this.#trust()]);
      if (seen.version === known) {
        // A pause of this program is no sign of the other's death.
        stillMs += Math.min(asked - seenAt, this.#leaseMs / 10);
        seenAt = asked;
      } else {
        [known, stillMs, seenAt] = [seen.version, 0, performance.now()];
      }
      let since = asked;
      const lock = seen.record?.lock;
      if (lock === undefined || this.#leftBehind.has(lock) || stillMs >= this.#leaseMs) {
        since = performance.now();
        // Not cut short by an abort: its outcome has to be known.
        ({ seen } = await this.#swap("lock", key, write(seen.record, id), seen));
      }
      // Also where the answer of a try was lost, and another's save came after it.
      if (seen.record?.lock === id) {
        const held = this.#hold(key, id, seen, since);
        if (signal?.aborted) {
          await this.#release(key, held);
          held.end();
          throw signal.reason;
        }
        return held;
      }
      const ms = left();
      if (ms <= 0) throw lockTimeout(`the lock of ${this.#where(key)}`, timeoutMs);
      await systemClock.sleep(Math.min(wait * (0.5 + Math.random()), ms), signal);
    }
  }

  #hold(key: string, id: string, seen: Seen, since: number): Held {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const held: Held = {
      id,
      signal: controller.signal,
      seen,
      tail: Promise.resolve(),
      lose: () => {
        const error = new AuthError(
          "storage_failed",
          `Read the state again: this program lost the lock of ${this.#where(key)}, because it ` +
            `stood still, or the store did not answer, for ${this.#leaseMs / 1000} s, or the ` +
            "lock was removed. Nothing was written, as far as is known.",
          { cause: held.cause },
        );
        controller.abort(error);
        return controller.signal.reason;
      },
      renewed: (at) => {
        clearTimeout(timer);
        timer = setTimeout(held.lose, Math.max(at + this.#leaseMs - performance.now(), 0));
        unrefTimer(timer);
      },
      end: () => clearTimeout(timer),
    };
    held.renewed(since);
    return held;
  }

  /** Writes the record anew until the function that it returns is called. */
  #beat(key: string, held: Held): () => void {
    let timer: ReturnType<typeof setTimeout>;
    let ended = false;
    const schedule = () => {
      timer = setTimeout(beat, this.#leaseMs / 10);
      unrefTimer(timer);
    };
    const beat = async () => {
      // What fails here has ended the lease, whose signal tells.
      await this.#underLock("lock", key, held, (now) => now).catch(() => {});
      if (!ended && !held.signal.aborted) schedule();
    };
    schedule();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }

  async #release(key: string, held: Held): Promise<void> {
    try {
      await held.tail;
      for (let { seen } = held; seen.record?.lock === held.id;) {
        const next = isEmpty(seen.record) && this.#store.delete
          ? undefined
          : write(seen.record, undefined);
        const swapped = await this.#swap("unlock", key, next, seen, held);
        if (swapped.done) return;
        seen = swapped.seen;
      }
    } catch {
      // Others take the lock after the lease, and this program at once.
      this.#leftBehind.add(held.id);
    }
  }

  /** Changes what is stored under a key, as part of the lock if this program holds it. */
  async #change(
    verb: string,
    key: string,
    edit: (now: Content | undefined) => Content | undefined,
  ): Promise<void> {
    const held = this.#held.get(key);
    if (held !== undefined) return await this.#underLock(verb, key, held, edit);
    let [seen] = await Promise.all([this.#read(verb, key), this.#trust()]);
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const content = edit(seen.record);
      // Nothing is where nothing shall be, or it is as it shall be.
      if (content === seen.record || isEmpty(content) && isEmpty(seen.record)) return;
      const lock = seen.record?.lock;
      const next = isEmpty(content) && lock === undefined && this.#store.delete
        ? undefined
        : write(content, lock);
      const swapped = await this.#swap(verb, key, next, seen);
      if (swapped.done) return;
      seen = swapped.seen;
    }
    throw this.#busy(verb, key);
  }

  /** The same under a lock that is held: nothing is written once it is lost. */
  async #underLock(
    verb: string,
    key: string,
    held: Held,
    edit: (now: Content | undefined) => Content | undefined,
  ): Promise<void> {
    const work = held.tail.then(async () => {
      for (;;) {
        if (held.signal.aborted) throw held.lose();
        const since = performance.now();
        const next = write(edit(held.seen.record), held.id);
        const { done, seen } = await this.#swap(verb, key, next, held.seen, held);
        // Somebody may have saved without a lock, and kept ours.
        if (seen.record?.lock !== held.id) throw held.lose();
        held.seen = seen;
        if (!done) continue;
        return held.renewed(since);
      }
    });
    held.tail = work.catch(() => {});
    await work;
  }

  /**
   * Writes `next`, or removes, if what is stored is still what was `seen`; tells whether it did, and
   * what is stored now. Whether it did is known: the record that is there says so.
   */
  async #swap(
    verb: string,
    key: string,
    next: Stored | undefined,
    before: Seen,
    held?: Held,
  ): Promise<{ done: boolean; seen: Seen }> {
    const since = performance.now();
    const name = this.#prefix + key;
    const text = next && JSON.stringify(next);
    for (let wait = 20;; wait = Math.min(wait * 2, 500)) {
      let failure: unknown;
      try {
        const version = await answer(
          async () =>
            text === undefined
              ? await this.#store.delete!(name, before.version!) ? "" : undefined
              : await this.#store.set(name, text, before.version),
          this.#leaseMs,
          held?.signal,
        );
        if (version !== undefined) {
          return { done: true, seen: next === undefined ? {} : { record: next, version } };
        }
      } catch (cause) {
        if (held?.signal.aborted) throw cause;
        failure = cause;
      }
      const seen = await this.#read(verb, key, held?.signal, held);
      const done = next === undefined ? seen.version === undefined : seen.record?.id === next.id;
      if (done || seen.version !== before.version) return { done, seen };
      // Not applied, or not yet: the same condition makes the repetition harmless.
      await this.#again(
        verb,
        key,
        failure ?? new Error("refused, although nothing had changed"),
        since,
        wait,
        held?.signal,
        held,
        text,
      );
    }
  }

  async #read(verb: string, key: string, signal?: AbortSignal, held?: Held): Promise<Seen> {
    const since = performance.now();
    for (let wait = 20;; wait = Math.min(wait * 2, 500)) {
      try {
        const found = await answer(
          () => this.#store.get(this.#prefix + key),
          this.#leaseMs,
          signal,
        );
        this.#answered = true;
        return see(found);
      } catch (cause) {
        await this.#again(verb, key, cause, since, wait, signal, held);
      }
    }
  }

  /** Waits before the store is asked again, or throws what there is to tell. */
  async #again(
    verb: string,
    key: string,
    cause: unknown,
    since: number,
    wait: number,
    signal?: AbortSignal,
    held?: Held,
    text?: string,
  ): Promise<void> {
    signal?.throwIfAborted();
    if (cause instanceof AuthError) throw cause;
    const shown = harmless(cause, text);
    if (held !== undefined) held.cause = shown;
    const most = held !== undefined ? this.#leaseMs : this.#answered ? PATIENCE_MS : FIRST_MS;
    if (performance.now() - since + wait > most) {
      const { name } = this.#traits;
      const said = `${shown.name} ${shown.message}`;
      const advice = /closed|BadResource/i.test(said)
        ? `Keep ${name} open while the session is used`
        : shown.message.startsWith("no answer")
        ? `Check that ${name} can be reached (${shown.message})`
        : `Check ${name}`;
      throw new AuthError("storage_failed", `${advice}: cannot ${verb} ${this.#where(key)}.`, {
        cause: shown,
      });
    }
    await systemClock.sleep(wait * (0.5 + Math.random()), signal);
  }

  /** Finds out, once for a store, whether it keeps to the conditions of a write. */
  #trust(): Promise<void> {
    return this.#trusted ??= this.#probe().catch((error) => {
      this.#trusted = undefined;
      throw error;
    });
  }

  async #probe(): Promise<void> {
    const key = this.#prefix + PROBE;
    const since = performance.now();
    for (let round = 0, wait = 20; round < MOST_PROBES; round++) {
      try {
        const ask = <T>(work: () => Promise<T>) => answer(work, this.#leaseMs);
        const get = () => ask(() => this.#store.get(key));
        const set = (note: JsonObject, expected: string | undefined) => {
          const text = JSON.stringify({ id: crypto.randomUUID(), ...note });
          return ask(() => this.#store.set(key, text, expected));
        };
        const found = await get();
        this.#answered = true;
        let note: { stale?: string; kept?: boolean } = {};
        try {
          note = found === undefined ? {} : JSON.parse(found.value);
        } catch { /* Of another program: it is replaced. */ }
        if (note.kept === true) return;
        if (found === undefined || typeof note.stale !== "string") {
          // Makes a version that is over, of the form that this store gives to versions.
          await set(found === undefined ? {} : { stale: found.version }, found?.version);
          continue;
        }
        const { stale } = note;
        const taken = [await set({ stale }, undefined), await set({ stale }, stale)];
        if (taken.some((version) => version !== undefined)) break;
        // A store may refuse in words and write all the same; so may another program's probe.
        if ((await get())?.version !== found.version) continue;
        await set({ stale, kept: true }, found.version);
        return;
      } catch (cause) {
        await this.#again("lock", PROBE, cause, since, wait);
        wait = Math.min(wait * 2, 500);
      }
    }
    throw new AuthError(
      "storage_failed",
      `Use another store, or correct its set(): ${this.#traits.name} wrote a value although ` +
        "the condition of the write did not hold. Sessions over it would overwrite each other. " +
        "Nothing of the session was written.",
    );
  }

  #busy(verb: string, key: string): AuthError {
    return new AuthError(
      "storage_failed",
      `Try again: others kept changing ${
        this.#where(key)
      }, so that this program could not ${verb} it.`,
    );
  }

  #where(key: string): string {
    return `"${key}" in ${this.#traits.name}`;
  }
}
