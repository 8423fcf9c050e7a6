/**
 * File operations by `node:fs/promises`, for Bun and Node.
 *
 * @module
 */

import { closeSync, fsync, open as openFile, openSync, type Stats, statSync, write } from "node:fs";
import {
  access,
  chown,
  constants,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rmdir,
  stat,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";
import { canRun, type FileInfo, type Files, type FolderEntry, showsLock } from "./files.ts";

// Numbers instead of handles: each step of a handle, closing too, waits for another thread.
const [openNumber, writeTo, syncNumber] = [promisify(openFile), promisify(write), promisify(fsync)];

const isWindows = process.platform === "win32";

function known(found: Stats): FileInfo {
  const { mtimeMs, uid, gid } = found;
  return isWindows
    ? { isFile: found.isFile(), mtimeMs, uid: null, gid: null }
    : { isFile: found.isFile(), mtimeMs, uid, gid };
}

async function syncAt(path: string, flags: "r" | "r+"): Promise<void> {
  const file = openSync(path, flags);
  try {
    await syncNumber(file);
  } finally {
    closeSync(file);
  }
}

let askedAt = -Infinity;

/**
 * Whether no process holds the system's lock of a file, as the program `flock` sees it, which comes
 * with nearly every Linux; asks once a second at most, and says no where it cannot tell.
 */
async function isFree(path: string): Promise<boolean> {
  if (performance.now() - askedAt < 1_000) return false;
  askedAt = performance.now();
  const { spawn } = await import("node:child_process");
  // By number: by name, it would make the file anew where the holder has just removed it.
  const file = openSync(path, "r+");
  try {
    const child = spawn("flock", ["-n", "3"], {
      stdio: ["ignore", "ignore", "ignore", file],
      timeout: 1_000,
    });
    return await new Promise((resolve) => {
      child.on("error", () => resolve(false)).on("exit", (code) => resolve(code === 0));
    });
  } finally {
    closeSync(file);
  }
}

/** File operations of Bun and Node. */
export const files: Files = {
  read: async (path: string): Promise<Uint8Array> => await readFile(path),
  async create(path: string, bytes: Uint8Array): Promise<void> {
    const file = await openNumber(path, "wx", 0o600);
    try {
      for (let done = 0; done < bytes.length;) {
        done += (await writeTo(file, bytes, done, bytes.length - done)).bytesWritten;
      }
    } finally {
      closeSync(file);
    }
  },
  sync: (path: string): Promise<void> => syncAt(path, "r+"),
  overwrite: (path: string, bytes: Uint8Array): Promise<void> =>
    writeFile(path, bytes, { flag: "r+" }),
  rename: (from: string, to: string): Promise<void> => rename(from, to),
  remove: (path: string, kind: "file" | "folder"): Promise<void> =>
    kind === "file" ? unlink(path) : rmdir(path),
  async makeFolder(path: string): Promise<void> {
    // Alone first: with those above it, Node calls a read-only disk a missing folder.
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if ((error as { code?: string }).code === "EROFS") throw error;
      await mkdir(path, { recursive: true, mode: 0o700 });
    }
  },
  async syncFolder(path: string): Promise<void> {
    // Windows opens no folders and needs no such call.
    if (!isWindows) await syncAt(path, "r");
  },
  info: async (path: string): Promise<FileInfo> => known(await stat(path)),
  atOnce: (path: string): FileInfo => known(statSync(path)),
  mayLook: (): boolean => true,
  realPath: (path: string): Promise<string> => realpath(path),
  async entries(path: string): Promise<FolderEntry[]> {
    const found = await readdir(path, { withFileTypes: true });
    return found.map((e) => ({ name: e.name, isFile: e.isFile(), isFolder: e.isDirectory() }));
  },
  async touch(path: string): Promise<void> {
    const now = new Date();
    await utimes(path, now, now);
  },
  canAdd: (folder: string): Promise<boolean> =>
    access(folder, constants.W_OK | constants.X_OK).then(() => true, () => false),
  giveTo: (path: string, uid: number, gid: number): Promise<void> => chown(path, uid, gid),
  pid: process.pid,
  async processSpace(): Promise<string | undefined> {
    if (process.platform !== "linux") return undefined;
    try {
      const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
      return `${boot.trim()} ${await readlink("/proc/self/ns/pid")}`;
    } catch {
      return undefined;
    }
  },
  async isAlive(pid: number): Promise<boolean | undefined> {
    try {
      return canRun(await readFile(`/proc/${pid}/stat`, "utf8"));
    } catch (error) {
      if (!["ENOENT", "ESRCH"].includes((error as { code: string }).code)) return undefined;
    }
    // Where other users' processes are hidden (hidepid), the first one is too.
    return await stat("/proc/1").then(() => false, () => undefined);
  },
  // Neither Bun nor Node has file locks of the system, but those of others can be seen.
  hold: (): Promise<undefined> => Promise.resolve(undefined),
  async isHeld(path: string, pid: number): Promise<boolean | undefined> {
    if (process.platform !== "linux") return undefined;
    try {
      const { dev, ino } = await stat(path);
      if (showsLock(await readFile("/proc/locks", "utf8"), pid, dev, ino)) return true;
      return await isFree(path) ? false : undefined;
    } catch {
      return undefined;
    }
  },
};
