/**
 * Keeps JSON objects in files, shared with the command line of the Python SDK.
 *
 * Files have mode 0600 from their first byte, folders that are made 0700. A
 * write goes to a neighbour that the disk has whole before it takes the file's
 * name. Symbolic links are followed, also if their target is not there yet: the
 * file that a link leads to is read and replaced, and the lock lies beside it.
 * A file keeps its owner; if the system does not let this program give it back,
 * nothing is written.
 *
 * Meant for local disks; a network file system may keep neither the order nor
 * the exclusiveness that this relies on.
 *
 * Reading a session that is there is all that a warm start needs. What the rest
 * stands on is loaded when it is first needed: the operations of the runtime
 * (`files.ts`) and the lock (`file_lock.ts`).
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { homeVariable, lookAt, readText, requireEnvAccess, runtime } from "../runtime.ts";
import type { HeldFileLock } from "./file_lock.ts";
import type { FileInfo, Files } from "./files.ts";
import {
  checkKey,
  checkObject,
  checkPrefix,
  corrupt,
  fileErrorCode,
  isAbsent,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
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

/**
 * Options of a {@linkcode FileStorage}: where it keeps its files.
 *
 * @category Storage
 */
export interface FileStorageOptions {
  /** Absolute path of the folder that keys start from; default: the home directory. */
  root?: string | undefined;
}

/** What the store works with. */
type Tools = typeof import("./files.ts") & typeof import("./file_lock.ts") & {
  readonly files: Files;
};

let opened: Promise<Tools> | undefined;

/** Loads what the store works with; asking for what is loaded already takes its time too. */
function open(): Promise<Tools> {
  return opened ??= Promise.all([openFiles(), import("./files.ts"), import("./file_lock.ts")])
    .then(([files, steps, lock]) => ({ files, ...steps, ...lock }));
}

/**
 * Loads the file operations of this runtime.
 *
 * @throws {AuthError} `unsupported_runtime` if there are no files.
 */
export async function openFiles(): Promise<Files> {
  if (runtime === "deno") return (await import("./files_deno.ts")).files;
  if (runtime !== "other") return (await import("./files_node.ts")).files;
  throw new AuthError(
    "unsupported_runtime",
    "Pass a storageProvider: this runtime has no files.",
  );
}

/** Finds the home directory, or says what is missing. */
function home(): string {
  const variable = homeVariable();
  let path: string | undefined;
  try {
    path = requireEnvAccess(variable);
  } catch (cause) {
    throw new AuthError(
      "storage_denied",
      `Run with --allow-env=${variable}, or pass a root to FileStorage: ` +
        `this program may not look up the home directory.`,
      { cause },
    );
  }
  if (path) return path;
  throw new AuthError(
    "storage_failed",
    `Set the variable ${variable}, or pass a root to FileStorage: there is no home directory.`,
  );
}

/**
 * Keeps each JSON object in a file of its own under one folder.
 *
 * For programs with a disk of their own; processes on Deno, Bun, Node and the Planet SDK for Python
 * may share it.
 *
 * - A holder of the lock that dies loses it at once if its death can be seen. On Linux that is always
 *   so, but for two cases: if Deno runs without all permissions, it sees the death of other Deno
 *   programs only; and its own death is seen by Bun and Node with the program `flock` (util-linux,
 *   BusyBox) or by waiting already. Else it loses the lock after 10 seconds, as does one that stands
 *   still that long; what it saves or deletes afterwards is refused, by the file system itself.
 *   `rename()` looks whether the lock is still held just before it acts.
 * - A full disk shows as `storage_failed` before anything is sent: the lock keeps room for the token.
 * - A symbolic link is followed, and its target replaced. A file keeps its owner; if that is another
 *   user, nothing is written (`storage_denied`), unless root does it.
 *
 * @category Storage
 *
 * @example A folder of your own
 * ```ts
 * import { Auth, FileStorage } from "@planet-community/planet";
 *
 * const auth = Auth.fromOAuthM2M({
 *   clientId: "my-client-id",
 *   clientSecret: "my-client-secret",
 *   storageProvider: new FileStorage({ root: "/srv/planet" }),
 * });
 * console.log(auth.profileName); // my-client-id
 * ```
 */
export class FileStorage implements ObjectStorageProvider {
  readonly #given: string | undefined;
  #found: string | undefined;
  /** Where leftovers were last looked for, and when by the clock of `performance`. */
  #swept = { target: "", at: 0 };

  /** Uses the folder `root`; nothing is read or written yet. */
  constructor(options: FileStorageOptions = {}) {
    const { root } = options;
    if (root !== undefined) {
      if (typeof root !== "string") throw new TypeError("root must be a string.");
      if (!/^([/\\]|[A-Za-z]:[/\\])/.test(root) || root.includes("\0")) {
        throw new AuthError("invalid_argument", "Pass the root of FileStorage as absolute path.");
      }
    }
    this.#given = root;
  }

  /**
   * The folder that keys start from.
   *
   * @throws {AuthError} `storage_denied`, `storage_failed` if the home directory is unknown.
   */
  get root(): string {
    if (this.#found !== undefined) return this.#found;
    const path = this.#given ?? home();
    // Most have none of what the pattern takes away, which takes a start's time.
    const isPlain = !path.endsWith("/") && !path.endsWith("\\");
    return this.#found = isPlain ? path : path.replace(/(?<=[^:/\\])[/\\]+$/, "");
  }

  /** Reads an object; `undefined` if there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    checkKey(key);
    try {
      const path = this.#quickPath(key);
      const text = await readText(path);
      // This character stands for bytes that are no UTF-8.
      if (!text.includes("\uFFFD")) return parseObject(path, text);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      // A closer look says what is wrong, if anything is.
    }
    return await this.#guard("read", key, async ({ files, present }, path) => {
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
    checkKey(key);
    checkObject(key, value);
    await this.#guard("write", key, async (tools, path) => {
      const { dirname, files, makeFolders, resolveLinks, toPythonJson } = tools;
      const resolving = resolveLinks(files, path);
      const bytes = new TextEncoder().encode(toPythonJson(value));
      let target = await resolving;
      for (let attempt = 0;; attempt++) {
        try {
          await this.#replace(tools, target, bytes);
          break;
        } catch (error) {
          // The folder is missing, or somebody took the neighbour for a leftover, after a step of
          // the clock or a long pause.
          if (fileErrorCode(error) !== "ENOENT" || attempt === 3) throw error;
        }
        await makeFolders(files, dirname(target));
        target = await resolveLinks(files, path);
      }
      if (!held.has(target)) await this.#sweep(tools, target);
    });
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    checkKey(key);
    const seen = await lookAt(this.#quickPath(key));
    return seen === undefined ? (await this.#info(key))?.isFile === true : seen === "file";
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    checkKey(key);
    const info = await this.#info(key);
    if (info?.isFile !== true) throw notFound(key);
    return info.mtimeMs;
  }

  /**
   * Gives an object another key, replacing what was there; what it holds is not read, and a link
   * is moved itself. That the locks held for the two keys are not lost is looked at just before:
   * the one step that the system does whole is between the two names.
   */
  async rename(from: string, to: string): Promise<void> {
    checkKey(from);
    checkKey(to);
    await this.#guard("rename", from, async (tools, source) => {
      const { dirname, files, join, makeFolders, present, resolveLinks } = tools;
      const target = join(this.root, to);
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
    checkKey(key);
    await this.#guard("delete", key, async ({ dirname, files, present, resolveLinks }, path) => {
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

  /**
   * Lists the keys that begin with `prefix`; links are followed. Only the
   * folder that `prefix` names is searched, so name one if the root is the home
   * directory.
   */
  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    type Visit = [folder: string, above: readonly string[]];
    const visits: Visit[] = [[prefix.slice(0, prefix.lastIndexOf("/") + 1), []]];
    for (let visit = visits.pop(); visit !== undefined; visit = visits.pop()) {
      const [folder, above] = visit;
      const found = await this.#guard(
        "list",
        folder,
        ({ files, lookInto }, path) => lookInto(files, path),
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

  /**
   * Runs `body` while no other process of this machine, on Deno, Bun or Node,
   * runs one for `key`.
   *
   * Waits 30 seconds unless `timeoutMs` says otherwise. The lock of a process
   * that died is taken within a second where the system shows its death, and
   * else after 10 seconds, as is that of a process that stands still that
   * long. Its `lease.signal` aborts within a second of going on, and what it
   * saves or deletes then is refused. `rename()` looks whether the lock is
   * still held just before it acts.
   *
   * @throws {AuthError} `lock_timeout` naming the lock; `storage_denied` where none can be made.
   */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    checkKey(key);
    const { signal } = options;
    const target = await this.#guard(
      "lock",
      key,
      ({ files, resolveLinks }, path) => resolveLinks(files, path),
    );
    return await turns.run(target, `${target}.lock`, options, async (left) => {
      const lock = await this.#guard("lock", key, async (tools) => {
        const { checkOwner, files, removeLeftovers, takeFileLock } = tools;
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

  /** What `JSON.stringify()` shows: where the files are. */
  toJSON(): JsonObject {
    return { storage: "file", root: this.#given ?? "home directory" };
  }

  /** A path without the module that knows paths: "/" is a separator on every system. */
  #quickPath(key: string): string {
    return `${this.root}/${key}`;
  }

  async #info(key: string): Promise<FileInfo | undefined> {
    return await this.#guard(
      "look at",
      key,
      ({ files, present }, path) => present(() => files.info(path)),
    );
  }

  /**
   * Writes a neighbour and gives it the name `target`. A crash has to find the new content on the
   * disk before it bears the name, and the caller goes on only once the disk has the name too: two
   * waits for the disk, one after the other. What else has to be known is found out during the first.
   */
  async #replace(tools: Tools, target: string, bytes: Uint8Array): Promise<void> {
    const { all, dirname, files, keepOwner, randomName, replaceFile } = tools;
    const lock = held.get(target);
    let neighbour = `${target}.${randomName()}.tmp`;
    try {
      if (lock !== undefined) neighbour = await lock.scratch();
      await files.create(neighbour, bytes);
      await all(files.sync(neighbour), keepOwner(files, neighbour, target), lock?.confirm());
      if (lock?.signal.aborted) throw lock.lose();
      await replaceFile(files, neighbour, target);
    } catch (error) {
      await files.remove(neighbour, "file").catch(() => {});
      throw lock !== undefined && fileErrorCode(error) === "ENOENT" ? lock.lose(error) : error;
    }
    await files.syncFolder(dirname(target));
  }

  /** Removes leftovers beside a file, at most once a minute: none can be removed sooner. */
  async #sweep({ files, removeLeftovers }: Tools, target: string): Promise<void> {
    const at = performance.now();
    if (target === this.#swept.target && at - this.#swept.at < LEFTOVER_MS) return;
    this.#swept = { target, at };
    const written = async () => (await files.info(target)).mtimeMs;
    await written().then((since) => removeLeftovers(files, target, since - LEFTOVER_MS))
      .catch(() => {});
  }

  /** Does `work` on the file of a key; turns the system's errors into typed ones. */
  async #guard<T>(
    verb: "read" | "look at" | "list" | "write" | "rename" | "delete" | "lock",
    key: string,
    work: (tools: Tools, path: string) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const tools = await open();
    const path = tools.join(this.root, key);
    try {
      return await work(tools, path);
    } catch (cause) {
      if (cause instanceof AuthError || (signal?.aborted && cause === signal.reason)) throw cause;
      throw this.#failure(verb, verb === "lock" ? `${path}.lock` : path, cause);
    }
  }

  #failure(verb: string, path: string, cause: unknown): AuthError {
    const code = fileErrorCode(cause);
    if (code === "EISDIR") return corrupt(path, "a folder");
    if (code === "NotCapable") {
      const folder = this.#given ?? `${this.root}/.planet`;
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
