/**
 * The lock of the file store: one holder among the processes of one machine.
 *
 * The lock of `token.json` is the folder `token.json.lock`; it is held while
 * it contains a file, whose name is the holder's own random one.
 *
 * - Taking: a private folder that already contains the holder's file is
 *   renamed to the lock's name. The system does that whole or, while the
 *   folder there is not empty, not at all.
 * - Letting go, and breaking a dead holder's lock: the file is removed by the
 *   holder's name, which nobody else ever has. So a late or mistaken removal
 *   cannot hit a newer holder.
 * - Writing under the lock: the new content is made inside the lock's folder
 *   and renamed to the data from there. A lock is only taken over once its
 *   folder is empty, so what a displaced holder had begun is gone, and its
 *   rename fails.
 * - Deleting under the lock: the data is renamed into a folder inside the
 *   lock's, which is there from the start and named for the holder; what is in
 *   there is gone. A displaced holder's folder is gone too, and its rename
 *   fails. Renaming the data to another name has no such way: by the lock's
 *   folder it would take two steps, and a kill between them would leave the
 *   object under both names or none. So it is one step, just after a look at
 *   the lock.
 * - A full disk: the lock's folder holds some room from the start, which the
 *   first write takes over. A lock that cannot have it is not taken, so a full
 *   disk shows before a one-time token is spent, and not after.
 *
 * A holder renews the time of its file every second. It counts as dead at once
 * where the system says so (its process is gone, or its system lock is), else
 * after the file stood still for ten seconds of the waiter's own, steady
 * clock. Times are compared for being equal only, so steps of the system's
 * clock do no harm.
 *
 * @module
 */

import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import { join } from "@std/path/join";
import { AuthError } from "../errors.ts";
import { systemClock, unrefTimer } from "../runtime.ts";
import { type Files, makeFolders, present } from "./files.ts";
import { fileErrorCode, lockTimeout } from "./objects.ts";

/** How long a holder may stand still before others take its lock, in milliseconds. */
export const LEASE_MS = 10_000;

/** A held lock. */
export interface HeldFileLock {
  /** Aborts once the lock is seen to be lost. */
  readonly signal: AbortSignal;
  /** A fresh name inside the lock, for content that must not outlive it; frees the room kept. */
  scratch(): Promise<string>;
  /** Removes a file under the lock; `false` where there is none. @throws {AuthError} where it is lost. */
  remove(path: string): Promise<boolean>;
  /** Makes sure that the lock is still held. @throws {AuthError} where it is not. */
  confirm(): Promise<void>;
  /** Ends the lock as lost; returns the error that says so. */
  lose(cause?: unknown): AuthError;
  /** Lets go; never fails. */
  release(): Promise<void>;
}

/** How to take a lock. */
export interface TakeOptions {
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
  /** Longest wait, in milliseconds. */
  readonly timeoutMs: number;
  /** Replaces `LEASE_MS`, in tests. */
  readonly leaseMs?: number | undefined;
}

/** What a holder writes about itself. */
interface Owner {
  pid?: number;
  space?: string;
  held?: boolean;
}

const OWNER = /^[0-9a-f]{32}$/;

/** How often a lock that is being prepared may be taken for a leftover before that is an error. */
const MAX_SWEPT = 5;

/** Room on the disk that a lock keeps for what is written under it, in bytes. */
const ROOM_BYTES = 16_384;

/** Name of the file inside the lock that keeps the room. */
const room = (id: string) => `${id}.0.new`;

/** Name of the folder inside the lock that takes what the holder removes. */
const bin = (id: string) => `${id}.gone`;

/** 128 random bits as 32 hexadecimal digits. */
export function randomName(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** Does `work`; an error with one of `codes` is no error. */
export async function tolerate(codes: readonly string[], work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (codes.includes(fileErrorCode(error))) return false;
    throw error;
  }
}

/** Watches the holders of a lock from outside: the answer tells whether the holder `id` is dead. */
function watch(files: Files, folder: string, leaseMs: number): (id: string) => Promise<boolean> {
  const none = { id: "", mark: 0, stillMs: 0, seenAt: 0, askedAt: -Infinity, missed: Infinity };
  let seen = none;
  return async (id) => {
    const path = join(folder, id);
    const mark = (await present(() => files.info(path)))?.mtimeMs;
    if (mark === undefined) return false;
    const now = performance.now();
    if (id !== seen.id) seen = { ...none, id };
    // A pause of this process is no sign of the other's death.
    seen.stillMs = mark === seen.mark ? seen.stillMs + Math.min(now - seen.seenAt, 500) : 0;
    [seen.mark, seen.seenAt] = [mark, now];
    if (seen.stillMs >= leaseMs) return true;
    if (now - seen.askedAt < 200) return false;
    seen.askedAt = now;
    const owner: Owner = await files.read(path)
      .then((bytes) => JSON.parse(new TextDecoder().decode(bytes))).catch(() => ({}));
    if (typeof owner.pid !== "number") return false;
    if (owner.held === true) {
      const held = await files.isHeld(path, owner.pid);
      if (held === false) return true;
      // Whose lock was seen once is no process of another container. A list that changes while
      // it is read may lack an entry, so one look in vain is not enough.
      seen.missed = held === true ? 0 : seen.missed + 1;
      if (Number.isFinite(seen.missed) && seen.missed >= 2) return true;
    }
    return typeof owner.space === "string" && owner.space === await files.processSpace() &&
      await files.isAlive(owner.pid) === false;
  };
}

/** Takes the lock of the file `target`. */
export async function takeFileLock(
  files: Files,
  target: string,
  options: TakeOptions,
): Promise<HeldFileLock> {
  const { signal, timeoutMs, leaseMs = LEASE_MS } = options;
  const folder = `${target}.lock`;
  const id = randomName();
  const prepared = `${folder}.${id}`;
  const isDead = watch(files, folder, leaseMs);
  const since = performance.now();
  let system: { close(): void } | undefined;
  let ready = false;
  let taken = false;
  let [swept, wait] = [0, 4];
  try {
    while (true) {
      signal?.throwIfAborted();
      const names = await namesIn(files, folder);
      const owner = names.find((name) => OWNER.test(name));
      if (owner === undefined) {
        // What lies here without its holder was begun by one that is displaced.
        await empty(files, folder, names);
        if (!ready) {
          system?.close();
          system = undefined;
          try {
            system = await prepare(files, prepared, id);
            ready = true;
          } catch (error) {
            // Somebody took it for a leftover while it was being made.
            if (fileErrorCode(error) !== "ENOENT" || ++swept > MAX_SWEPT) throw error;
            continue;
          }
        }
        const outcome = await move(files, prepared, folder);
        if (outcome === "done") {
          taken = true;
          return hold(files, folder, id, leaseMs, system);
        }
        if (outcome === "gone") ready = false;
      } else if (await isDead(owner)) {
        await remove(files, join(folder, owner));
        continue;
      }
      const left = timeoutMs - (performance.now() - since);
      if (left <= 0) throw lockTimeout(folder, timeoutMs);
      await systemClock.sleep(Math.min(wait * (0.5 + Math.random()), left), signal);
      wait = Math.min(wait * 2, 80);
    }
  } finally {
    if (!taken) {
      system?.close();
      if (ready) await discard(files, prepared);
    }
  }
}

async function namesIn(files: Files, folder: string): Promise<string[]> {
  try {
    return (await files.entries(folder)).map(({ name }) => name);
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Removes `names` in a folder, and what is in those that are folders. */
async function empty(files: Files, folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, name);
    if (!name.endsWith(bin(""))) await remove(files, path);
    else {
      await empty(files, path, await namesIn(files, path));
      // It fills again while its holder, alive after all, removes something in time.
      await tolerate(["ENOENT", "ENOTEMPTY", "EEXIST"], files.remove(path, "folder"));
    }
  }
}

/** Removes a folder that no other process uses, as far as that goes. */
async function discard(files: Files, folder: string): Promise<void> {
  try {
    await empty(files, folder, await namesIn(files, folder));
    await files.remove(folder, "folder");
  } catch { /* It is taken for a leftover later. */ }
}

/**
 * Removes the folder that a waiter which died had prepared. Renamed first: should the waiter be
 * alive after all, it finds its folder gone and makes another one.
 */
export async function removePrepared(files: Files, target: string, path: string): Promise<void> {
  const aside = `${target}.lock.${randomName()}`;
  await files.rename(path, aside);
  await discard(files, aside);
}

/** Removes what writers and waiters that died left beside a file, before the time `since`. */
export async function removeLeftovers(
  files: Files,
  target: string,
  since: number,
): Promise<void> {
  const [folder, name] = [dirname(target), basename(target)];
  for (const entry of await files.entries(folder)) {
    if (!entry.name.startsWith(`${name}.`)) continue;
    const rest = entry.name.slice(name.length);
    const isFile = entry.isFile && /^\.[0-9a-f]{32}\.tmp$/.test(rest);
    const isFolder = entry.isFolder && /^\.lock\.[0-9a-f]{32}$/.test(rest);
    if (!isFile && !isFolder) continue;
    const path = join(folder, entry.name);
    const written = (await present(() => files.info(path)))?.mtimeMs;
    if (written === undefined || written > since) continue;
    const removing = isFile ? files.remove(path, "file") : removePrepared(files, target, path);
    await removing.catch(() => {});
  }
}

function remove(files: Files, path: string): Promise<boolean> {
  return tolerate(["ENOENT"], files.remove(path, "file"));
}

async function prepare(
  files: Files,
  prepared: string,
  id: string,
): Promise<{ close(): void } | undefined> {
  await makeFolders(files, prepared);
  const path = join(prepared, id);
  let system: { close(): void } | undefined;
  try {
    await files.makeFolder(join(prepared, bin(id)));
    await files.create(join(prepared, room(id)), new Uint8Array(ROOM_BYTES));
    const space = await files.processSpace();
    await files.create(path, new Uint8Array());
    system = await files.hold(path);
    const owner: Owner = { pid: files.pid };
    if (space !== undefined) owner.space = space;
    if (system !== undefined) owner.held = true;
    await files.overwrite(path, new TextEncoder().encode(JSON.stringify(owner)));
    return system;
  } catch (error) {
    system?.close();
    await discard(files, prepared);
    throw error;
  }
}

/** Renames the prepared folder to the lock's name, where that is free. */
async function move(
  files: Files,
  prepared: string,
  folder: string,
): Promise<"done" | "taken" | "gone"> {
  for (let attempt = 0;; attempt++) {
    try {
      await files.rename(prepared, folder);
      return "done";
    } catch (error) {
      const code = fileErrorCode(error);
      if (code === "ENOENT") return "gone";
      if (!["ENOTEMPTY", "EEXIST", "EPERM", "EACCES", "EBUSY"].includes(code)) throw error;
      // Windows replaces no folder, even an empty one; one that is not empty stays.
      const removed = await tolerate(
        ["ENOENT", "ENOTEMPTY", "EEXIST", "EPERM", "EACCES", "EBUSY"],
        files.remove(folder, "folder"),
      );
      if (removed && attempt < 3) continue;
      if (code === "EPERM" || code === "EACCES") {
        if ((await namesIn(files, folder)).length === 0) throw error;
      }
      return "taken";
    }
  }
}

/** Holds a lock that was just taken, and renews it until it is let go or lost. */
function hold(
  files: Files,
  folder: string,
  id: string,
  leaseMs: number,
  system: { close(): void } | undefined,
): HeldFileLock {
  const controller = new AbortController();
  const path = join(folder, id);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let beating: Promise<void> | undefined;
  let renewedAt = performance.now();
  let [scratches, removed, released] = [0, 0, false];

  const schedule = () => {
    timer = setTimeout(() => beating = beat(), leaseMs / 10);
    unrefTimer(timer);
  };
  const beat = async () => {
    try {
      await lock.confirm();
      renewedAt = performance.now();
    } catch (error) {
      // It may pass, but others may have taken the lock by then.
      if (performance.now() - renewedAt >= leaseMs) lock.lose(error);
    }
    if (!released && !controller.signal.aborted) schedule();
  };
  const lock: HeldFileLock = {
    signal: controller.signal,
    async scratch() {
      if (scratches === 0) await remove(files, join(folder, room(id)));
      return `${path}.${++scratches}.new`;
    },
    async remove(target) {
      if (controller.signal.aborted) throw lock.lose();
      const gone = join(folder, bin(id), String(++removed));
      try {
        await files.rename(target, gone);
      } catch (error) {
        await lock.confirm();
        if (fileErrorCode(error) === "ENOENT") return false;
        // A link lies on one disk, and its target with the lock on another.
        if (fileErrorCode(error) !== "EXDEV") throw error;
        return await remove(files, target);
      }
      await remove(files, gone);
      return true;
    },
    async confirm() {
      if (controller.signal.aborted) throw lock.lose();
      if (!await tolerate(["ENOENT"], files.touch(path))) throw lock.lose();
    },
    lose(cause) {
      const error = new AuthError(
        "storage_failed",
        `Read the state again: this program lost the lock ${folder}, because it stood still ` +
          `for more than ${leaseMs / 1000} s or the lock was removed. Nothing was written.`,
        { cause },
      );
      controller.abort(error);
      return error;
    },
    async release() {
      released = true;
      clearTimeout(timer);
      await beating;
      system?.close();
      // A scratch file is left only by a save that nobody waited for.
      for (let n = 0; n <= scratches; n++) {
        await files.remove(`${path}.${n}.new`, "file").catch(() => {});
      }
      await discard(files, join(folder, bin(id)));
      await files.remove(path, "file").catch(() => {});
      await files.remove(folder, "folder").catch(() => {});
    },
  };
  schedule();
  return lock;
}
