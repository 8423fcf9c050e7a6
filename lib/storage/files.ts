/**
 * The few file operations that the file store stands on: a port with one
 * implementation for Deno and one for Bun and Node.
 *
 * Operations throw the runtime's own errors; `code` is read with
 * {@linkcode fileErrorCode}. Paths are absolute.
 *
 * @module
 */

/** What is known of a file. */
export interface FileInfo {
  /** A regular file. */
  readonly isFile: boolean;
  /** Time of the last write, in epoch milliseconds. */
  readonly mtimeMs: number;
  /** Owner; `null` where the system has none. */
  readonly uid: number | null;
  /** Group; `null` where the system has none. */
  readonly gid: number | null;
}

/** An entry of a folder. */
export interface FolderEntry {
  /** Its name within the folder. */
  readonly name: string;
  /** A regular file. */
  readonly isFile: boolean;
  /** A folder, not a link to one. */
  readonly isFolder: boolean;
}

/** File operations of one runtime. */
export interface Files {
  /** Reads a file whole. */
  read(path: string): Promise<Uint8Array>;
  /** Writes a new file of mode 0600; fails where the name is taken. */
  create(path: string, bytes: Uint8Array): Promise<void>;
  /** Waits until the disk has what a file holds. */
  sync(path: string): Promise<void>;
  /** Writes an existing file in place; for files that nobody reads yet. */
  overwrite(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives a file another name, replacing what was there. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or an empty folder. */
  remove(path: string, kind: "file" | "folder"): Promise<void>;
  /** Makes a folder of mode 0700, and those above it where they are missing. */
  makeFolder(path: string): Promise<void>;
  /** Waits until the disk has the names in a folder. */
  syncFolder(path: string): Promise<void>;
  /** What is known of a file; links are followed. */
  info(path: string): Promise<FileInfo>;
  /** The same without another thread's help: for a file whose folder has just answered. */
  atOnce(path: string): FileInfo;
  /** Whether a path may be looked at without asking anybody for it. */
  mayLook(path: string): boolean;
  /** The path without links. */
  realPath(path: string): Promise<string>;
  /** Entries of a folder. */
  entries(path: string): Promise<FolderEntry[]>;
  /** Sets the time of the last write to now. */
  touch(path: string): Promise<void>;
  /** Whether this program can add to a folder; `undefined`: cannot be told. Leaves nothing behind. */
  canAdd(folder: string): Promise<boolean | undefined>;
  /** Gives a file to another owner. */
  giveTo(path: string, uid: number, gid: number): Promise<void>;
  /** Number of this process. */
  readonly pid: number;
  /** Which processes `isAlive()` can speak of; `undefined`: of none. */
  processSpace(): Promise<string | undefined>;
  /** Whether a process of the same space lives and can still run; `undefined`: cannot be told. */
  isAlive(pid: number): Promise<boolean | undefined>;
  /** Holds a file with a lock of the system that ends with this process; `undefined`: there is none. */
  hold(path: string): Promise<{ close(): void } | undefined>;
  /** Whether the process `pid` holds the file by `hold()`; `undefined`: cannot be told. */
  isHeld(path: string, pid: number): Promise<boolean | undefined>;
}

/**
 * Reads from the content of `/proc/PID/stat` whether the process can still run: one that was
 * killed stays visible until its parent asks for it.
 */
export function canRun(stat: string): boolean {
  // The name before the state may hold anything, closing brackets too.
  const state = stat.slice(stat.lastIndexOf(")") + 1).trim()[0];
  return state !== "Z" && state !== "X";
}

/**
 * Reads from the content of Linux's `/proc/locks` whether the process `pid` is seen to hold a
 * file; `false` may also mean that it lives where one cannot see it.
 */
export function showsLock(locks: string, pid: number, dev: number, ino: number): boolean {
  const hex = (n: number) => n.toString(16).padStart(2, "0");
  const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
  return new RegExp(
    `^\\d+: FLOCK +ADVISORY +WRITE +${pid} ${hex(major)}:${hex(minor)}:${ino} `,
    "m",
  ).test(locks);
}

/** System error code such as `ENOENT`; `NotCapable` for Deno's missing permission. */
export function fileErrorCode(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if (error.name === "NotCapable") return "NotCapable";
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  return error.name === "NotFound" ? "ENOENT" : error.name;
}
