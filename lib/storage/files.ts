/**
 * The few file operations that the file store stands on: a port with one implementation for Deno
 * and one for Bun and Node, and what is made of them alike for both; and JSON as Python writes it
 * into files.
 *
 * Operations throw the runtime's own errors; their code is read with `fileErrorCode()`. Paths are
 * absolute, in the form of the operating system.
 *
 * @module
 */

import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import { join } from "@std/path/join";
import { resolve } from "@std/path/resolve";
import { AuthError } from "../errors.ts";
import { operatingSystem, systemClock } from "../runtime.ts";
import { fileErrorCode, isAbsent, type JsonObject, type JsonValue } from "./objects.ts";

/** What is known of a file. */
export interface FileInfo {
  /** A regular file. */
  readonly isFile: boolean;
  /** A folder. */
  readonly isFolder: boolean;
  /** Time of the last write, in epoch milliseconds. */
  readonly mtimeMs: number;
  /** Owner; `null` if the system has none. */
  readonly uid: number | null;
  /** Group; `null` if the system has none. */
  readonly gid: number | null;
}

/** What lies at a path, which may be a link. */
export interface LinkInfo extends FileInfo {
  /** A symbolic link. */
  readonly isLink: boolean;
  /** Size in bytes. */
  readonly size: number;
}

/** An open file; each call goes on where the one before ended. */
export interface OpenFile {
  /** Reads the next bytes; 0 at the end. */
  read(into: Uint8Array): Promise<number>;
  /** Writes after what was read or written. */
  write(bytes: Uint8Array): Promise<void>;
  /** Takes all of it away; what is written next is its beginning. */
  clear(): Promise<void>;
  /** Waits until the disk has it. */
  sync(): Promise<void>;
  /** Closes it. */
  close(): void;
}

/** An entry of a folder. */
export interface FolderEntry {
  /** Its name within the folder. */
  readonly name: string;
  /** A regular file, not a link to one. */
  readonly isFile: boolean;
  /** A folder, not a link to one. */
  readonly isFolder: boolean;
  /** A symbolic link. */
  readonly isLink: boolean;
}

/** What a program that was run left. */
export interface ProgramResult {
  /** Exit code. */
  readonly code: number;
  /** What it printed. */
  readonly output: string;
}

/** File operations of one runtime, and the few calls beside them. */
export interface Files {
  /** Reads a file whole. */
  read(path: string): Promise<Uint8Array>;
  /** Writes a new file of mode 0600; fails if the name is taken. */
  create(path: string, bytes: Uint8Array): Promise<void>;
  /** Waits until the disk has what a file holds. */
  sync(path: string): Promise<void>;
  /** Writes an existing file in place; for files that nobody reads yet. */
  overwrite(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives a file another name, replacing what was there. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or an empty folder. */
  remove(path: string, kind: "file" | "folder"): Promise<void>;
  /** Makes a folder, of mode 0700 unless told another; the one above it is there. */
  makeFolder(path: string, mode?: number): Promise<void>;
  /** What lies at a path; a link is not followed. */
  lookAt(path: string): Promise<LinkInfo>;
  /** Opens a file to read or write it from a byte on, or a new one, whose mode the umask decides. */
  open(path: string, how: "read" | "write" | "new", from?: number): Promise<OpenFile>;
  /** Waits until the disk has the names in a folder. */
  syncFolder(path: string): Promise<void>;
  /** Whether something is there; links are followed. */
  exists(path: string): Promise<boolean>;
  /** What is known of a file; links are followed. */
  info(path: string): Promise<FileInfo>;
  /** The same without another thread's help: for a file whose folder has just answered. */
  atOnce(path: string): FileInfo;
  /** Whether a path may be looked at without asking anybody for it. */
  mayLook(path: string): boolean;
  /** The path without links. */
  realPath(path: string): Promise<string>;
  /** Where a link leads, as it says; fails if there is none. */
  readLink(path: string): Promise<string>;
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
  /**
   * Runs a program with `input` in its pipe, for `timeoutMs` at most; `undefined`: there is no such
   * program.
   */
  run(
    command: string,
    args: readonly string[],
    input: string,
    timeoutMs: number,
  ): Promise<ProgramResult | undefined>;
}

// The file store takes them from here, with the rest that it needs.
export { dirname, join };

/** Most links that lead from one to another; as on Linux. */
const MAX_LINKS = 40;

/** The answer, or `undefined` if there is no such file. */
export async function present<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** The answers, or the first error, once all have ended. */
export async function all<T extends readonly unknown[]>(
  ...work: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}

/**
 * The file that `path` leads to, whether it is there or not: all names of one file share one lock.
 * Follows links whose target is not there yet. What may not be looked at is taken as it is called.
 */
export async function resolveLinks(files: Files, path: string, links = 0): Promise<string> {
  const real = await present(() => files.realPath(path));
  if (real !== undefined) return real;
  const parent = dirname(path);
  const folder = parent === path || !files.mayLook(parent)
    ? parent
    : await resolveLinks(files, parent, links);
  const place = join(folder, basename(path));
  const target = await files.readLink(place).catch(() => undefined);
  if (target === undefined) return place;
  // Links that lead to each other fail above; here, others keep making new ones.
  if (links === MAX_LINKS) throw Object.assign(new Error("too many links"), { code: "ELOOP" });
  return await resolveLinks(files, resolve(folder, target), links + 1);
}

/** Makes a folder and those above it that are missing, and has the disk keep their names. */
export async function makeFolders(files: Files, folder: string, mode?: number): Promise<void> {
  const missing: string[] = [];
  for (let at = folder; at !== dirname(at); at = dirname(at)) {
    // What may not be looked at, above the folders that are permitted, is there.
    if (at !== folder && !files.mayLook(at)) break;
    const there = await present(() => files.info(at));
    // Windows says of what is below a file that it is not there.
    if (there?.isFolder === false) {
      throw Object.assign(new Error("not a folder"), { code: "ENOTDIR" });
    }
    if (there !== undefined) break;
    missing.unshift(at);
  }
  for (const one of missing) {
    await files.makeFolder(one, mode).catch((error) => {
      // Somebody else may have made it meanwhile.
      if (fileErrorCode(error) !== "EEXIST") throw error;
    });
    if (files.mayLook(dirname(one))) await files.syncFolder(dirname(one)).catch(() => {});
  }
}

/**
 * Gives a file the name of another one, which it replaces. Windows refuses that while a program such
 * as Python, or a virus scanner, has the other one open: there it is tried again for a second.
 */
export async function replaceFile(
  files: Files,
  from: string,
  to: string,
  isWindows: boolean = operatingSystem() === "windows",
): Promise<void> {
  for (let wait = 10;; wait *= 2) {
    try {
      return await files.rename(from, to);
    } catch (error) {
      const mayPass = isWindows && ["EACCES", "EBUSY", "EPERM"].includes(fileErrorCode(error));
      if (!mayPass || wait > 640) throw error;
    }
    await systemClock.sleep(wait);
  }
}

/** The real path of a folder, and its entries, links as what they lead to; `undefined`: there is none. */
export async function lookInto(
  files: Files,
  folder: string,
): Promise<{ real: string; entries: FolderEntry[] } | undefined> {
  const real = await present(() => files.realPath(folder));
  const found = real === undefined ? undefined : await present(() => files.entries(real));
  if (real === undefined || found === undefined) return undefined;
  const entries = found.map(async (entry) => {
    if (!entry.isLink) return entry;
    // One that leads nowhere, or to where this program may not look, is neither.
    const { isFile, isFolder } = await files.info(join(real, entry.name)).catch(() => entry);
    return { ...entry, isFile, isFolder };
  });
  return { real, entries: await Promise.all(entries) };
}

/** Gives `neighbour` to the owner of `target`, so that replacing locks nobody out. */
export async function keepOwner(files: Files, neighbour: string, target: string): Promise<void> {
  const old = await present(() => files.atOnce(target));
  if (old === undefined || old.uid === null || old.gid === null) return;
  if (files.atOnce(neighbour).uid === old.uid) return;
  try {
    await files.giveTo(neighbour, old.uid, old.gid);
  } catch (cause) {
    throw foreign(target, cause);
  }
}

/**
 * Refuses a locked file that `keepOwner()` will refuse; only root may give files away. The answer
 * is when the lock was taken, by the clock of the file system.
 */
export async function checkOwner(files: Files, target: string): Promise<number> {
  const old = await present(() => files.info(target));
  const ours = await present(() => files.info(`${target}.lock`));
  // Lost already; the first write under it says so.
  if (ours === undefined) return 0;
  if (typeof old?.uid !== "number" || ours.uid === null) return ours.mtimeMs;
  if (old.uid !== ours.uid && ours.uid !== 0) throw foreign(target);
  return ours.mtimeMs;
}

function foreign(target: string, cause?: unknown): AuthError {
  return new AuthError(
    "storage_denied",
    `Run as the owner of ${target}: it belongs to another user.`,
    { cause },
  );
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

/** A string of ASCII characters; JSON's own short forms are Python's too. */
function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whole numbers as integers; others as Python's `repr()` of a float. */
function number(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  if (Number.isInteger(value) || Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-(\d)$/, "e-0$1");
}

/** Order of code points, as Python's; JavaScript's own order is that of UTF-16 units. */
function byCodePoint(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  // A pair is one code point, also where only its second half differs.
  if (at > 0 && /[\ud800-\udbff]/.test(a.charAt(at - 1))) at--;
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

function write(value: JsonValue, indent: string): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return number(value);
  if (value === null || typeof value === "boolean") return String(value);
  const deeper = `${indent}  `;
  const [open, close, items] = Array.isArray(value)
    ? ["[", "]", value.map((item) => write(item, deeper))]
    : ["{", "}", members(value, deeper)];
  if (items.length === 0) return open + close;
  return `${open}${deeper}${items.join(`,${deeper}`)}${indent}${close}`;
}

function members(value: JsonObject, indent: string): string[] {
  return Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .sort(byCodePoint)
    .map((name) => `${quote(name)}: ${write(value[name]!, indent)}`);
}

/**
 * Writes an object as Python's `json.dumps(value, indent=2, sort_keys=True)`
 * does, without the members of the top level that are `null`, as the Python
 * SDK leaves them out of its files.
 */
export function toPythonJson(value: JsonObject): string {
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return write(Object.fromEntries(kept), "\n");
}
