/**
 * What the file store does beyond reading a session that is there: a closer look, writing, renaming,
 * deleting, listing, locking. Loaded when it is first needed.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { type HeldFileLock, randomName, removeLeftovers, takeFileLock } from "./file_lock.ts";
import {
  all,
  checkOwner,
  dirname,
  type FileInfo,
  type Files,
  join,
  keepOwner,
  lookInto,
  makeFolders,
  present,
  replaceFile,
  resolveLinks,
  toPythonJson,
} from "./files.ts";
import {
  checkKey,
  corrupt,
  fileErrorCode,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  parseObject,
  Turns,
} from "./objects.ts";

/** Leftovers of dead writers may be removed after this many milliseconds. */
const LEFTOVER_MS = 60_000;

/** Python writes in place: a reader beside it looks again before it calls a file corrupt. */
const REREADS = 5;
const REREAD_MS = 20;

/** Locks that this process holds, by the file they belong to, and those who wait for them. */
const held = new Map<string, HeldFileLock>();
const turns = new Turns();

/** The work of one store; `FileStorage` has checked keys and values. */
export class FileWork {
  readonly #files: Files;
  readonly #root: string;
  /** The folder that the program needs permissions for. */
  readonly #permitted: string;
  /** Where leftovers were last looked for, and when by the clock of `performance`. */
  #swept = { target: "", at: 0 };

  /** Works below `root`; `permitted` is the folder that the program needs permissions for. */
  constructor(files: Files, root: string, permitted: string) {
    this.#files = files;
    this.#root = root;
    this.#permitted = permitted;
  }

  /** Reads an object; one that Python is writing is read again before it is called corrupt. */
  async read(key: string): Promise<JsonObject | undefined> {
    return await this.#guard("read", key, async (files, path) => {
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

  /** What is known of an object's file; `undefined` if there is none. */
  async info(key: string): Promise<FileInfo | undefined> {
    return await this.#guard(
      "look at",
      key,
      (files, path) => present(() => files.info(path)),
    );
  }

  /** Writes an object whole, or not at all. */
  async save(key: string, value: JsonObject): Promise<void> {
    await this.#guard("write", key, async (files, path) => {
      const resolving = resolveLinks(files, path);
      const bytes = new TextEncoder().encode(toPythonJson(value));
      let target = await resolving;
      for (let attempt = 0;; attempt++) {
        try {
          await this.#replace(target, bytes);
          break;
        } catch (error) {
          // The folder is missing, or somebody took the neighbour for a leftover, after a step of
          // the clock or a long pause.
          if (fileErrorCode(error) !== "ENOENT" || attempt === 3) throw error;
        }
        await makeFolders(files, dirname(target));
        target = await resolveLinks(files, path);
      }
      if (!held.has(target)) await this.#sweep(target);
    });
  }

  /** Gives an object another key, replacing what was there. */
  async rename(from: string, to: string): Promise<void> {
    await this.#guard("rename", from, async (files, source) => {
      const target = join(this.#root, to);
      if (await present(() => files.info(source)) === undefined) throw notFound(from);
      const [oldFolder, newFolder] = [dirname(source), dirname(target)];
      await makeFolders(files, await resolveLinks(files, newFolder));
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
    await this.#guard("delete", key, async (files, path) => {
      const lock = held.get(await resolveLinks(files, path));
      if (lock !== undefined && (await present(() => files.info(path)))?.isFile === true) {
        if (!await lock.remove(path)) return;
      } else {
        await lock?.confirm();
        const removing = () => files.remove(path, "file").then(() => true);
        if (await present(removing) === undefined) return;
      }
      await files.syncFolder(dirname(path));
    });
  }

  /** Lists the keys that begin with `prefix`. */
  async *list(prefix: string): AsyncIterable<string> {
    type Visit = [folder: string, above: readonly string[]];
    const visits: Visit[] = [[prefix.slice(0, prefix.lastIndexOf("/") + 1), []]];
    for (let visit = visits.pop(); visit !== undefined; visit = visits.pop()) {
      const [folder, above] = visit;
      const found = await this.#guard(
        "list",
        folder,
        (files, path) => lookInto(files, path),
      );
      // A link may lead to a folder that it lies in.
      if (found === undefined || above.includes(found.real)) continue;
      for (const { name, isFile, isFolder } of found.entries) {
        const key = folder + name;
        if (!isKey(key)) continue;
        if (isFolder && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) {
          visits.push([`${key}/`, [...above, found.real]]);
        } else if (isFile && key.startsWith(prefix)) yield key;
      }
    }
  }

  /** Runs `body` while no other process of this machine runs one for `key`. */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    const { signal } = options;
    const target = await this.#guard(
      "lock",
      key,
      (files, path) => resolveLinks(files, path),
    );
    return await turns.run(target, `${target}.lock`, options, async (left) => {
      const lock = await this.#guard("lock", key, async (files) => {
        const lock = await takeFileLock(files, target, { signal, timeoutMs: left() });
        try {
          // Told before the body: what it fetched to save could be lost otherwise.
          const takenAt = await checkOwner(files, target);
          await removeLeftovers(files, target, takenAt - LEFTOVER_MS).catch(() => {});
        } catch (error) {
          await lock.release();
          throw error;
        }
        return lock;
      }, signal);
      held.set(target, lock);
      try {
        return await body({ signal: lock.signal });
      } finally {
        held.delete(target);
        await lock.release();
      }
    });
  }

  /**
   * Writes a neighbour and gives it the name `target`. A crash has to find the new content on the
   * disk before it bears the name, and the caller goes on only once the disk has the name too: two
   * waits for the disk, one after the other. What else has to be known is found out during the first.
   */
  async #replace(target: string, bytes: Uint8Array): Promise<void> {
    const lock = held.get(target);
    let neighbour = `${target}.${randomName()}.tmp`;
    try {
      if (lock !== undefined) neighbour = await lock.scratch();
      await this.#files.create(neighbour, bytes);
      await all(
        this.#files.sync(neighbour),
        keepOwner(this.#files, neighbour, target),
        lock?.confirm(),
      );
      if (lock?.signal.aborted) throw lock.lose();
      await replaceFile(this.#files, neighbour, target);
    } catch (error) {
      await this.#files.remove(neighbour, "file").catch(() => {});
      throw lock !== undefined && fileErrorCode(error) === "ENOENT" ? lock.lose(error) : error;
    }
    await this.#files.syncFolder(dirname(target));
  }

  /** Removes leftovers beside a file, at most once a minute: none can be removed sooner. */
  async #sweep(target: string): Promise<void> {
    const at = performance.now();
    if (target === this.#swept.target && at - this.#swept.at < LEFTOVER_MS) return;
    this.#swept = { target, at };
    const written = async () => (await this.#files.info(target)).mtimeMs;
    await written().then((since) => removeLeftovers(this.#files, target, since - LEFTOVER_MS))
      .catch(() => {});
  }

  /** Does `work` on the file of a key; turns the system's errors into typed ones. */
  async #guard<T>(
    verb: "read" | "look at" | "list" | "write" | "rename" | "delete" | "lock",
    key: string,
    work: (files: Files, path: string) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const path = join(this.#root, key);
    try {
      return await work(this.#files, path);
    } catch (cause) {
      if (cause instanceof AuthError || (signal?.aborted && cause === signal.reason)) throw cause;
      throw this.#failure(verb, verb === "lock" ? `${path}.lock` : path, cause);
    }
  }

  #failure(verb: string, path: string, cause: unknown): AuthError {
    const code = fileErrorCode(cause);
    if (code === "EISDIR") return corrupt(path, "a folder");
    if (code === "NotCapable") {
      const folder = this.#permitted;
      const flags = `--allow-read=${folder} --allow-write=${folder}`;
      const message = `Run with ${flags}: the program may not use that folder.`;
      return new AuthError("storage_denied", message, { cause });
    }
    // Some read-only places, such as /proc, have no folder for a new name.
    if (["EACCES", "EPERM", "EROFS", "ENOENT"].includes(code)) {
      return new AuthError(
        "storage_denied",
        `Let this user ${verb} ${path}, or use another storage: the system refused (${code}).`,
        { cause },
      );
    }
    const advice = code === "ENOSPC" || code === "EDQUOT"
      ? "Make room on the disk for"
      : code === "ENOTDIR" || code === "EEXIST"
      ? "Move the file away that lies where a folder belongs, at or above"
      : code === "ELOOP"
      ? "Mend the symbolic links, which lead to each other, at or above"
      : "Check the disk and the folder of";
    const message = `${advice} ${path}: cannot ${verb} it (${code}).`;
    return new AuthError("storage_failed", message, { cause });
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
