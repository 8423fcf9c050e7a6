/**
 * Keeps JSON objects in files, shared with the command line of the Python SDK.
 *
 * Reading a session that is there, all that a warm start needs, happens here;
 * everything else is that of `file_store.ts`, which is loaded when it is first
 * needed.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { homeVariable, lookAt, readText, requireEnvAccess } from "../runtime.ts";
import type { FileStore } from "./file_store.ts";
import type { JsonObject, Lease, LockOptions, ObjectStorageProvider } from "./objects.ts";

/** Where a {@linkcode FileStorage} keeps its files. */
export interface FileStorageOptions {
  /** Absolute path of the folder that keys start from; default: the home directory. */
  root?: string;
}

/** A key of a profile that needs no closer look: it fits every system and reserves nothing. */
const PLAIN_KEY =
  /^\.planet\/(?!(con|prn|aux|nul|com\d|lpt\d)\/)[a-z0-9_-]{1,100}\/[a-z_]{4,40}(\.sops)?\.json$/;

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
  #opened: Promise<FileStore> | undefined;

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
   * @throws {AuthError} `storage_denied`, `storage_failed` where the home directory is unknown.
   */
  get root(): string {
    return this.#found ??= (this.#given ?? home()).replace(/(?<=.)[/\\]+$/, "");
  }

  /** Reads an object; `undefined` where there is none. */
  async load(key: string): Promise<JsonObject | undefined> {
    if (PLAIN_KEY.test(key)) {
      try {
        const text = await readText(this.#path(key));
        // This character stands for bytes that are no UTF-8.
        const value = text.includes("\uFFFD") ? undefined : JSON.parse(text);
        if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
      } catch { /* The store looks again and says what is wrong, if anything is. */ }
    }
    return await (await this.#store()).load(key);
  }

  /**
   * Writes an object whole, or not at all.
   *
   * While `withLock()` runs for the key in this process, the write is part of
   * that lock: if the lock is lost, nothing is written.
   */
  async save(key: string, value: JsonObject): Promise<void> {
    await (await this.#store()).save(key, value);
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    const seen = PLAIN_KEY.test(key) ? await lookAt(this.#path(key)) : undefined;
    return seen === undefined ? await (await this.#store()).exists(key) : seen === "file";
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    return await (await this.#store()).mtime(key);
  }

  /** Gives an object another key, replacing what was there. */
  async rename(from: string, to: string): Promise<void> {
    await (await this.#store()).rename(from, to);
  }

  /** Removes an object, if there is one. */
  async delete(key: string): Promise<void> {
    await (await this.#store()).delete(key);
  }

  /**
   * Lists the keys that begin with `prefix`, links to folders left out. Only
   * the folder that `prefix` names is searched, so name one where the root is
   * the home directory.
   */
  async *list(prefix: string): AsyncIterable<string> {
    yield* (await this.#store()).list(prefix);
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
    return await (await this.#store()).withLock(key, body, options);
  }

  /** What `JSON.stringify()` shows: where the files are. */
  toJSON(): JsonObject {
    return { storage: "file", root: this.#given ?? "home directory" };
  }

  #path(key: string): string {
    return `${this.root === "/" ? "" : this.root}/${key}`;
  }

  #store(): Promise<FileStore> {
    return this.#opened ??= import("./file_store.ts")
      .then(({ FileStore }) => new FileStore(() => this.root));
  }
}
