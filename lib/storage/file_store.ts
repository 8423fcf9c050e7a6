/**
 * The work of `FileStorage`, loaded when it is first needed.
 *
 * Keeps JSON objects in files, shared with the command line of the Python SDK.
 *
 * Files have mode 0600 from their first byte, folders that are made 0700. A
 * write goes to a neighbour that the disk has whole before it takes the file's
 * name. Symbolic links are followed: the file that a link leads to is read and
 * replaced, and the lock lies beside it. A file keeps its owner; where the
 * system does not let this program give it back, nothing is written.
 *
 * Meant for local disks; a network file system may keep neither the order nor
 * the exclusiveness that this relies on.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { fileErrorCode, type FileInfo, type Files } from "./files.ts";
import type { HeldFileLock } from "./file_lock.ts";
import {
  checkKey,
  checkObject,
  checkPrefix,
  corrupt,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
  parseObject,
} from "./objects.ts";
import { openFiles } from "./select.ts";

/** Leftovers of dead writers may be removed after this many milliseconds. */
const LEFTOVER_MS = 60_000;

/** Python writes in place: a reader beside it looks again before it calls a file corrupt. */
const REREADS = 5;
const REREAD_MS = 20;

/** Locks that this process holds, by the file they belong to. */
const held = new Map<string, HeldFileLock>();

/** Splits a path into folder and name. */
function split(path: string): [folder: string, name: string] {
  const at = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return [path.slice(0, at) || "/", path.slice(at + 1)];
}

function randomName(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** Python's way of writing JSON; asking for a module that is loaded already takes its time too. */
let json: Promise<typeof import("./json.ts")> | undefined;

/** An object as Python writes it. */
async function toBytes(value: JsonObject): Promise<Uint8Array> {
  const { toPythonJson } = await (json ??= import("./json.ts"));
  return new TextEncoder().encode(toPythonJson(value));
}

/** Keeps each JSON object in a file of its own under one folder. */
export class FileStore implements ObjectStorageProvider {
  readonly #root: () => string;
  #files: Promise<Files> | undefined;
  /** Where leftovers were last looked for, and when by the clock of `performance`. */
  #swept = { target: "", at: 0 };

  /** Uses the folder `root()`; nothing is read or written yet. */
  constructor(root: () => string) {
    this.#root = root;
  }

  /** The folder that keys start from. */
  get root(): string {
    return this.#root();
  }

  /** Reads an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    const path = this.#path(key);
    return await this.#guard("read", path, async (files) => {
      for (let attempt = 0;; attempt++) {
        const bytes = await present(() => files.read(path));
        if (bytes === undefined) return undefined;
        try {
          return parseObject(path, bytes);
        } catch (error) {
          if (attempt === REREADS) throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, REREAD_MS));
      }
    });
  }

  /**
   * Writes an object whole, or not at all.
   *
   * While `withLock()` runs for the key in this process, the write is part of
   * that lock: if the lock is lost, nothing is written.
   */
  async save(key: string, value: JsonObject): Promise<void> {
    const path = this.#path(key);
    checkObject(key, value);
    await this.#guard("write", path, async (files) => {
      const [found, bytes] = await all(resolveLinks(files, path), toBytes(value));
      let target = found;
      for (let attempt = 0;; attempt++) {
        try {
          await this.#replace(files, target, bytes);
          break;
        } catch (error) {
          // The folder is missing, or somebody took the neighbour for a leftover, after a step of
          // the clock or a long pause.
          if (fileErrorCode(error) !== "ENOENT" || attempt === 3) throw error;
        }
        await makeFolder(files, split(path)[0]);
        target = await resolveLinks(files, path);
      }
      if (!held.has(target)) await this.#sweep(files, target);
    });
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    return (await this.#info(key))?.isFile === true;
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    const info = await this.#info(key);
    if (info?.isFile !== true) throw notFound(key);
    return info.mtimeMs;
  }

  /**
   * Gives an object another key, replacing what was there. That the locks held for the two are not
   * lost is looked at just before: the one step that the system does whole is between the two names.
   */
  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [this.#path(from), this.#path(to)];
    await this.#guard("rename", source, async (files) => {
      if ((await present(() => files.info(source)))?.isFile !== true) throw notFound(from);
      const [oldFolder] = split(source);
      const [newFolder] = split(target);
      await makeFolder(files, newFolder);
      for (const path of [source, target]) {
        await held.get(await resolveLinks(files, path))?.confirm();
      }
      try {
        await files.rename(source, target);
      } catch (error) {
        throw fileErrorCode(error) === "ENOENT" ? notFound(from) : error;
      }
      await files.syncFolder(newFolder);
      if (oldFolder !== newFolder) await files.syncFolder(oldFolder);
    });
  }

  /** Removes an object, if there is one; if the lock held for it is lost, nothing. */
  async delete(key: string): Promise<void> {
    const path = this.#path(key);
    await this.#guard("delete", path, async (files) => {
      const lock = held.get(await resolveLinks(files, path));
      if (lock !== undefined && (await present(() => files.info(path)))?.isFile === true) {
        if (!await lock.remove(path)) return;
      } else {
        await lock?.confirm();
        const removing = () => files.remove(path, "file").then(() => true);
        if (await present(removing) === undefined) return;
      }
      await files.syncFolder(split(path)[0]);
    });
  }

  /**
   * Lists the keys that begin with `prefix`, links to folders left out. Only
   * the folder that `prefix` names is searched, so name one where the root is
   * the home directory.
   */
  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    const files = await openFiles();
    const pending = [prefix.slice(0, prefix.lastIndexOf("/") + 1)];
    for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
      const path = `${this.root}/${folder}`;
      const entries = await this.#guard("list", path, () => present(() => files.entries(path)));
      for (const { name, isFile, isFolder } of entries ?? []) {
        const key = folder + name;
        if (!isKey(key)) continue;
        if (isFolder && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) {
          pending.push(`${key}/`);
        } else if (isFile && key.startsWith(prefix)) yield key;
      }
    }
  }

  /**
   * Runs `body` while no other process of this machine, on Deno, Bun or Node,
   * runs one for `key`.
   *
   * Waits 30 seconds unless `timeoutMs` says otherwise. The lock of a process
   * that died is taken within a second where the system shows its death, and
   * else after 10 seconds, as is that of a process that stands still that
   * long. Its `lease.signal` aborts within a second of going on, and what it
   * saves or deletes then is refused.
   *
   * @throws {AuthError} `lock_timeout` naming the lock; `storage_denied` where none can be made.
   */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    const path = this.#path(key);
    const { lockWaitMs, processTurns } = await import("./turns.ts");
    const { signal } = options;
    const timeoutMs = lockWaitMs(options);
    const target = await this.#guard("lock", path, async (files) => {
      await makeFolder(files, split(path)[0]);
      return await resolveLinks(files, path);
    });
    const since = performance.now();
    const next = await processTurns.take(target, { signal, timeoutMs }, `${target}.lock`);
    try {
      const lock = await this.#guard("lock", `${target}.lock`, async (files) => {
        const { takeFileLock } = await import("./file_lock.ts");
        const left = Math.max(timeoutMs - (performance.now() - since), 0);
        return await takeFileLock(files, target, { signal, timeoutMs: left });
      }, signal);
      held.set(target, lock);
      try {
        // Told before the body: what it fetched to save could be lost otherwise.
        await this.#guard("write", target, async (files) => {
          const since = await checkOwner(files, target);
          await removeLeftovers(files, target, since).catch(() => {});
        });
        return await body({ signal: lock.signal });
      } finally {
        held.delete(target);
        await lock.release();
      }
    } finally {
      next();
    }
  }

  #path(key: string): string {
    checkKey(key);
    return `${this.root === "/" ? "" : this.root}/${key}`;
  }

  async #info(key: string): Promise<FileInfo | undefined> {
    const path = this.#path(key);
    return await this.#guard("look at", path, (files) => present(() => files.info(path)));
  }

  /**
   * Writes a neighbour and gives it the name `target`. A crash has to find the new content on the
   * disk before it bears the name, and the caller goes on only once the disk has the name too: two
   * waits for the disk, one after the other. What else has to be known is found out during the first.
   */
  async #replace(files: Files, target: string, bytes: Uint8Array): Promise<void> {
    const lock = held.get(target);
    let neighbour = `${target}.${randomName()}.tmp`;
    try {
      if (lock !== undefined) neighbour = await lock.scratch();
      await files.create(neighbour, bytes);
      await all(files.sync(neighbour), keepOwner(files, neighbour, target), lock?.confirm());
      if (lock?.signal.aborted) throw lock.lose();
      await files.rename(neighbour, target);
    } catch (error) {
      await files.remove(neighbour, "file").catch(() => {});
      throw lock !== undefined && fileErrorCode(error) === "ENOENT" ? lock.lose(error) : error;
    }
    await files.syncFolder(split(target)[0]);
  }

  /** Removes leftovers beside a file, at most once a minute: none can be removed sooner. */
  async #sweep(files: Files, target: string): Promise<void> {
    const at = performance.now();
    if (target === this.#swept.target && at - this.#swept.at < LEFTOVER_MS) return;
    this.#swept = { target, at };
    const written = async () => (await files.info(target)).mtimeMs;
    await written().then((since) => removeLeftovers(files, target, since)).catch(() => {});
  }

  /** Does `work` on the files; turns the system's errors into typed ones. */
  async #guard<T>(
    verb: string,
    path: string,
    work: (files: Files) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    try {
      return await work(await (this.#files ??= openFiles()));
    } catch (cause) {
      if (cause instanceof AuthError || (signal?.aborted && cause === signal.reason)) throw cause;
      const code = fileErrorCode(cause);
      if (code === "NotCapable") {
        const flags = ["read", "look at", "list"].includes(verb)
          ? `--allow-read=${this.root}/.planet`
          : `--allow-read=${this.root}/.planet --allow-write=${this.root}/.planet`;
        throw new AuthError("storage_denied", `Run with ${flags}: may not ${verb} ${path}.`, {
          cause,
        });
      }
      if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
        throw new AuthError(
          "storage_denied",
          `Let this user ${verb} ${path}, or use another storage: the system refused (${code}).`,
          { cause },
        );
      }
      if (code === "EISDIR") throw corrupt(path, "a folder");
      const advice = code === "ENOSPC" || code === "EDQUOT"
        ? "Make room on the disk for"
        : code === "ENOTDIR" || code === "EEXIST"
        ? "Move the file away that lies where a folder belongs, at or above"
        : "Check the disk and the folder of";
      throw new AuthError("storage_failed", `${advice} ${path}: cannot ${verb} it (${code}).`, {
        cause,
      });
    }
  }
}

/** The answer, or `undefined` where there is no such file. */
async function present<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(fileErrorCode(error))) return undefined;
    throw error;
  }
}

/** The answers, or the first error, once all have ended. */
async function all<T extends readonly unknown[]>(
  ...work: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}

/** Makes a folder, and has the disk keep the names of those that were missing. */
async function makeFolder(files: Files, folder: string): Promise<void> {
  const parents: string[] = [];
  for (let at = folder; at !== split(at)[0]; at = split(at)[0]) {
    // What may not be looked at, above the folders that are permitted, is there.
    if (at !== folder && !files.mayLook(at)) break;
    if (await files.info(at).then(() => true, (e) => fileErrorCode(e) !== "ENOENT")) break;
    parents.unshift(split(at)[0]);
  }
  if (parents.length === 0) return;
  await files.makeFolder(folder);
  for (const parent of parents) {
    if (files.mayLook(parent)) await files.syncFolder(parent).catch(() => {});
  }
}

function isKey(key: string): boolean {
  try {
    checkKey(key);
    return true;
  } catch {
    return false;
  }
}

/** The file that `path` leads to; all names of one file share one lock. */
async function resolveLinks(files: Files, path: string): Promise<string> {
  const real = await present(() => files.realPath(path));
  if (real !== undefined) return real;
  const [folder, name] = split(path);
  const realFolder = await present(() => files.realPath(folder));
  return `${realFolder ?? folder}/${name}`;
}

/** Gives `neighbour` to the owner of `target`, so that replacing locks nobody out. */
async function keepOwner(files: Files, neighbour: string, target: string): Promise<void> {
  const old = await present(() => files.atOnce(target));
  if (old === undefined || old.uid === null || old.gid === null) return;
  if (files.atOnce(neighbour).uid === old.uid) return;
  try {
    await files.giveTo(neighbour, old.uid, old.gid);
  } catch (cause) {
    throw foreign(target, cause);
  }
}

function foreign(target: string, cause?: unknown): AuthError {
  return new AuthError(
    "storage_denied",
    `Run as the owner of ${target}: it belongs to another user.`,
    { cause },
  );
}

/**
 * Refuses a locked file that `keepOwner()` will refuse; only root may give files away. The answer
 * is when the lock was taken, by the clock of the file system.
 */
async function checkOwner(files: Files, target: string): Promise<number> {
  const old = await present(() => files.info(target));
  const ours = await present(() => files.info(`${target}.lock`));
  // Lost already; the first write under it says so.
  if (ours === undefined) return 0;
  if (typeof old?.uid !== "number" || ours.uid === null) return ours.mtimeMs;
  if (old.uid !== ours.uid && ours.uid !== 0) throw foreign(target);
  return ours.mtimeMs;
}

/** Removes what writers and waiters that died left beside a file, long before `since`. */
async function removeLeftovers(files: Files, target: string, since: number): Promise<void> {
  const [folder, name] = split(target);
  for (const entry of await files.entries(folder)) {
    if (!entry.name.startsWith(`${name}.`)) continue;
    const rest = entry.name.slice(name.length);
    const path = `${folder}/${entry.name}`;
    const isFile = entry.isFile && /^\.[0-9a-f]{32}\.tmp$/.test(rest);
    const isFolder = entry.isFolder && /^\.lock\.[0-9a-f]{32}$/.test(rest);
    if (!isFile && !isFolder) continue;
    const written = (await present(() => files.info(path)))?.mtimeMs;
    if (written === undefined || since - written < LEFTOVER_MS) continue;
    if (isFile) {
      await files.remove(path, "file").catch(() => {});
      continue;
    }
    const { removePrepared } = await import("./file_lock.ts");
    await removePrepared(files, target, path).catch(() => {});
  }
}
