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
 * Reading a session that is there is all that a warm start needs. The rest
 * (`file_work.ts`) is loaded when it is first needed, with what it stands on: the
 * operations of the runtime (`files.ts`) and the lock (`file_lock.ts`).
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { homeVariable, lookAt, readText, requireEnvAccess, runtime } from "../runtime.ts";
import type { FileWork } from "./file_work.ts";
import type { Files } from "./files.ts";
import {
  checkKey,
  checkObject,
  checkPrefix,
  isAbsent,
  type JsonObject,
  type Lease,
  type LockOptions,
  notFound,
  type ObjectStorageProvider,
  parseObject,
} from "./objects.ts";

/**
 * Options of a {@linkcode FileStorage}: where it keeps its files.
 *
 * @category Storage
 */
export interface FileStorageOptions {
  /** Absolute path of the folder that keys start from; default: the home directory. */
  root?: string | undefined;
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
  #work: Promise<FileWork> | undefined;

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
    return await (await this.#open()).read(key);
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
    await (await this.#open()).save(key, value);
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    checkKey(key);
    const seen = await lookAt(this.#quickPath(key));
    return seen === undefined
      ? (await (await this.#open()).info(key))?.isFile === true
      : seen === "file";
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    checkKey(key);
    const info = await (await this.#open()).info(key);
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
    await (await this.#open()).rename(from, to);
  }

  /** Removes an object, if there is one; if the lock held for it is lost, nothing. */
  async delete(key: string): Promise<void> {
    checkKey(key);
    await (await this.#open()).delete(key);
  }

  /**
   * Lists the keys that begin with `prefix`; links are followed. Only the
   * folder that `prefix` names is searched, so name one if the root is the home
   * directory.
   */
  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix);
    yield* (await this.#open()).list(prefix);
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
    return await (await this.#open()).withLock(key, body, options);
  }

  /** What `JSON.stringify()` shows: where the files are. */
  toJSON(): JsonObject {
    return { storage: "file", root: this.#given ?? "home directory" };
  }

  /** A path without the module that knows paths: "/" is a separator on every system. */
  #quickPath(key: string): string {
    return `${this.root}/${key}`;
  }

  /** The rest of the store. */
  #open(): Promise<FileWork> {
    return this.#work ??= Promise.all([openFiles(), import("./file_work.ts")])
      .then(([files, { FileWork }]) =>
        new FileWork(files, this.root, this.#given ?? `${this.root}/.planet`)
      )
      .catch((error) => {
        this.#work = undefined;
        throw error;
      });
  }
}
