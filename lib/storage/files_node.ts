/**
 * The file operations of Bun and Node, by modules that are asked for, not imported: a bundler for
 * the edge would load them with the program.
 *
 * @module
 */

import {
  canRun,
  type FileInfo,
  type Files,
  type FolderEntry,
  type ProgramResult,
  showsLock,
} from "./files.ts";

/** What is known of a file, or the kind of a folder's entry. */
interface Kind {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

type Stats = Kind & Readonly<Record<"mtimeMs" | "uid" | "gid" | "dev" | "ino", number>>;

/** The calls of `node:fs` that are used. */
interface Fs {
  openSync(path: string, flags: string): number;
  writeFileSync(path: string, bytes: Uint8Array, options: { flag: string; mode: number }): void;
  fsync(file: number, done: (error: Error | null) => void): void;
  closeSync(file: number): void;
  statSync(path: string): Stats;
  readonly constants: { readonly W_OK: number; readonly X_OK: number };
  readonly promises: {
    access(path: string, mode: number): Promise<void>;
    chown(path: string, uid: number, gid: number): Promise<void>;
    mkdir(path: string, options: { mode: number }): Promise<void>;
    readdir(path: string, options: { withFileTypes: true }): Promise<({ name: string } & Kind)[]>;
    readFile(path: string): Promise<Uint8Array>;
    readFile(path: string, encoding: "utf8"): Promise<string>;
    readlink(path: string): Promise<string>;
    realpath(path: string): Promise<string>;
    rename(from: string, to: string): Promise<void>;
    rmdir(path: string): Promise<void>;
    stat(path: string): Promise<Stats>;
    unlink(path: string): Promise<void>;
    utimes(path: string, accessed: Date, written: Date): Promise<void>;
    writeFile(path: string, bytes: Uint8Array, options: { flag: string }): Promise<void>;
  };
}

/** How a program failed: its exit code, or the system's where it did not start. */
type Failure = Error & { readonly code?: number | string | null };

/** The calls of `node:child_process` that are used. */
interface Programs {
  spawn(
    command: string,
    args: readonly string[],
    options: { stdio: readonly (string | number)[]; timeout: number },
  ): { on(event: "error" | "close", heard: (outcome: unknown) => void): void };
  execFile(
    command: string,
    args: readonly string[],
    options: { timeout: number; maxBuffer: number },
    done: (error: Failure | null, output: string) => void,
  ): { readonly stdin: { on(event: "error", heard: () => void): void; end(input: string): void } };
}

const { process } = globalThis as unknown as {
  readonly process: {
    readonly pid: number;
    readonly platform: string;
    getBuiltinModule(name: string): unknown;
  };
};
const fs = process.getBuiltinModule("node:fs") as Fs;
const calls = fs.promises;
const programs = () => process.getBuiltinModule("node:child_process") as Programs;
const isWindows = process.platform === "win32";

function known(found: Stats): FileInfo {
  const { mtimeMs, uid, gid } = found;
  const [isFile, isFolder] = [found.isFile(), found.isDirectory()];
  return isWindows
    ? { isFile, isFolder, mtimeMs, uid: null, gid: null }
    : { isFile, isFolder, mtimeMs, uid, gid };
}

async function syncAt(path: string, flags: "r" | "r+"): Promise<void> {
  const file = fs.openSync(path, flags);
  try {
    // A number instead of a handle: each step of a handle, closing too, waits for another thread.
    await new Promise<void>((resolve, reject) =>
      fs.fsync(file, (error) => error ? reject(error) : resolve())
    );
  } finally {
    fs.closeSync(file);
  }
}

let askedAt = -Infinity;

/**
 * Whether no process holds the system's lock of a file, as the program `flock` sees it, which comes
 * with nearly every Linux; asks once a second at most, and says no if it cannot tell.
 */
async function isFree(path: string): Promise<boolean> {
  if (performance.now() - askedAt < 1_000) return false;
  askedAt = performance.now();
  // By number: by name, it would make the file anew if the holder has just removed it.
  const file = fs.openSync(path, "r+");
  try {
    const stdio = ["ignore", "ignore", "ignore", file];
    const child = programs().spawn("flock", ["-n", "3"], { stdio, timeout: 1_000 });
    return await new Promise((resolve) => {
      child.on("error", () => resolve(false));
      child.on("close", (code) => resolve(code === 0));
    });
  } finally {
    fs.closeSync(file);
  }
}

/** File operations of Bun and Node. */
export const files: Files = {
  read: (path: string): Promise<Uint8Array> => calls.readFile(path),
  // At once: the disk is not waited for, and another thread's help takes longer than the write.
  create: (path: string, bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => resolve(fs.writeFileSync(path, bytes, { flag: "wx", mode: 0o600 }))),
  sync: (path: string): Promise<void> => syncAt(path, "r+"),
  overwrite: (path: string, bytes: Uint8Array): Promise<void> =>
    calls.writeFile(path, bytes, { flag: "r+" }),
  rename: (from: string, to: string): Promise<void> => calls.rename(from, to),
  remove: (path: string, kind: "file" | "folder"): Promise<void> =>
    kind === "file" ? calls.unlink(path) : calls.rmdir(path),
  makeFolder: (path: string): Promise<void> => calls.mkdir(path, { mode: 0o700 }),
  async syncFolder(path: string): Promise<void> {
    // Windows opens no folders and needs no such call.
    if (!isWindows) await syncAt(path, "r");
  },
  exists: (path: string): Promise<boolean> =>
    calls.stat(path).then(() => true, (error) => {
      if (error.code === "ENOENT") return false;
      throw error;
    }),
  info: async (path: string): Promise<FileInfo> => known(await calls.stat(path)),
  atOnce: (path: string): FileInfo => known(fs.statSync(path)),
  mayLook: (): boolean => true,
  realPath: (path: string): Promise<string> => calls.realpath(path),
  readLink: (path: string): Promise<string> => calls.readlink(path),
  async entries(path: string): Promise<FolderEntry[]> {
    const found = await calls.readdir(path, { withFileTypes: true });
    return found.map((entry) => ({
      name: entry.name,
      isFile: entry.isFile(),
      isFolder: entry.isDirectory(),
      isLink: entry.isSymbolicLink(),
    }));
  },
  async touch(path: string): Promise<void> {
    const now = new Date();
    await calls.utimes(path, now, now);
  },
  canAdd: (folder: string): Promise<boolean> =>
    calls.access(folder, fs.constants.W_OK | fs.constants.X_OK).then(() => true, () => false),
  giveTo: (path: string, uid: number, gid: number): Promise<void> => calls.chown(path, uid, gid),
  pid: process.pid,
  async processSpace(): Promise<string | undefined> {
    if (process.platform !== "linux") return undefined;
    try {
      const boot = await calls.readFile("/proc/sys/kernel/random/boot_id", "utf8");
      return `${boot.trim()} ${await calls.readlink("/proc/self/ns/pid")}`;
    } catch {
      return undefined;
    }
  },
  async isAlive(pid: number): Promise<boolean | undefined> {
    try {
      return canRun(await calls.readFile(`/proc/${pid}/stat`, "utf8"));
    } catch (error) {
      if (!["ENOENT", "ESRCH"].includes((error as { code: string }).code)) return undefined;
    }
    // Where other users' processes are hidden (hidepid), the first one is too.
    return await calls.stat("/proc/1").then(() => false, () => undefined);
  },
  // Neither Bun nor Node has file locks of the system, but those of others can be seen.
  hold: (): Promise<undefined> => Promise.resolve(undefined),
  async isHeld(path: string, pid: number): Promise<boolean | undefined> {
    if (process.platform !== "linux") return undefined;
    try {
      const { dev, ino } = await calls.stat(path);
      if (showsLock(await calls.readFile("/proc/locks", "utf8"), pid, dev, ino)) return true;
      return await isFree(path) ? false : undefined;
    } catch {
      return undefined;
    }
  },
  run(
    command: string,
    args: readonly string[],
    input: string,
    timeoutMs: number,
  ): Promise<ProgramResult | undefined> {
    return new Promise((resolve, reject) => {
      const limits = { timeout: timeoutMs, maxBuffer: Infinity };
      const { stdin } = programs().execFile(command, args, limits, (error, output) => {
        if (error?.code === "ENOENT") resolve(undefined);
        else if (typeof error?.code === "string") reject(error);
        else resolve({ code: error === null ? 0 : error.code ?? 1, output });
      });
      // It may end without reading all of its input.
      stdin.on("error", () => {});
      stdin.end(input);
    });
  },
};
