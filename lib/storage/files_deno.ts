/**
 * The file operations of Deno, by its own calls and `@std/fs`; loads no `node:` module.
 *
 * @module
 */

import { exists } from "@std/fs/exists";
import { isGranted } from "../runtime.ts";
import {
  canRun,
  type FileInfo,
  type Files,
  type FolderEntry,
  type LinkInfo,
  type OpenFile,
  type ProgramResult,
} from "./files.ts";

/** Deno opens `/proc` only to programs that may do everything. */
function mayDoAll(): boolean {
  const names = ["read", "write", "net", "env", "run", "sys", "ffi"] as const;
  return names.every((name) => isGranted({ name }));
}

const isWindows = Deno.build.os === "windows";

function known({ isFile, isDirectory, mtime, uid, gid }: Deno.FileInfo): FileInfo {
  return { isFile, isFolder: isDirectory, mtimeMs: mtime?.getTime() ?? 0, uid, gid };
}

/** File operations of Deno. */
export const files: Files = {
  read: (path: string): Promise<Uint8Array> => Deno.readFile(path),
  // At once: the disk is not waited for, and another thread's help takes longer than the write.
  create: (path: string, bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) =>
      resolve(Deno.writeFileSync(path, bytes, { createNew: true, mode: 0o600 }))
    ),
  async sync(path: string): Promise<void> {
    using file = Deno.openSync(path, { write: true });
    await file.sync();
  },
  overwrite: (path: string, bytes: Uint8Array): Promise<void> =>
    Deno.writeFile(path, bytes, { create: false }),
  rename: (from: string, to: string): Promise<void> => Deno.rename(from, to),
  remove: (path: string): Promise<void> => Deno.remove(path),
  makeFolder: (path: string, mode: number = 0o700): Promise<void> => Deno.mkdir(path, { mode }),
  async lookAt(path: string): Promise<LinkInfo> {
    const found = await Deno.lstat(path);
    return { ...known(found), isLink: found.isSymlink, size: found.size };
  },
  async open(path: string, how: "read" | "write" | "new", from: number = 0): Promise<OpenFile> {
    const file = await Deno.open(path, {
      read: true,
      write: how !== "read",
      createNew: how === "new",
    });
    if (from > 0) file.seekSync(from, Deno.SeekMode.Start);
    return {
      read: async (into: Uint8Array): Promise<number> => await file.read(into) ?? 0,
      async write(bytes: Uint8Array): Promise<void> {
        for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      },
      async clear(): Promise<void> {
        await file.truncate(0);
        await file.seek(0, Deno.SeekMode.Start);
      },
      sync: (): Promise<void> => file.sync(),
      close: (): void => file.close(),
    };
  },
  async syncFolder(path: string): Promise<void> {
    // Windows opens no folders and needs no such call.
    if (isWindows) return;
    using folder = Deno.openSync(path);
    await folder.sync();
  },
  exists: (path: string): Promise<boolean> => exists(path),
  info: async (path: string): Promise<FileInfo> => known(await Deno.stat(path)),
  atOnce: (path: string): FileInfo => known(Deno.statSync(path)),
  mayLook: (path: string): boolean => isGranted({ name: "read", path }),
  // At once, for the same reason.
  realPath: (path: string): Promise<string> =>
    new Promise((resolve) => resolve(Deno.realPathSync(path))),
  readLink: (path: string): Promise<string> => Deno.readLink(path),
  async entries(path: string): Promise<FolderEntry[]> {
    const found: FolderEntry[] = [];
    for await (const { name, isFile, isDirectory, isSymlink } of Deno.readDir(path)) {
      found.push({ name, isFile, isFolder: isDirectory, isLink: isSymlink });
    }
    return found;
  },
  async touch(path: string): Promise<void> {
    const now = new Date();
    await Deno.utime(path, now, now);
  },
  async canAdd(folder: string): Promise<boolean | undefined> {
    try {
      // There is no call that only asks.
      await Deno.remove(await Deno.makeTempFile({ dir: folder, prefix: ".planet-" }));
      return true;
    } catch (error) {
      return error instanceof Deno.errors.NotCapable ? undefined : false;
    }
  },
  giveTo: (path: string, uid: number, gid: number): Promise<void> => Deno.chown(path, uid, gid),
  pid: Deno.pid,
  async processSpace(): Promise<string | undefined> {
    if (Deno.build.os !== "linux" || !mayDoAll()) return undefined;
    try {
      const boot = await Deno.readTextFile("/proc/sys/kernel/random/boot_id");
      return `${boot.trim()} ${await Deno.readLink("/proc/self/ns/pid")}`;
    } catch {
      return undefined;
    }
  },
  async isAlive(pid: number): Promise<boolean | undefined> {
    try {
      return canRun(await Deno.readTextFile(`/proc/${pid}/stat`));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) return undefined;
    }
    // Where other users' processes are hidden (hidepid), the first one is too.
    return await Deno.stat("/proc/1").then(() => false, () => undefined);
  },
  async hold(path: string): Promise<{ close(): void } | undefined> {
    // Windows renames no folder while a file in it is open.
    if (isWindows) return undefined;
    const file = await Deno.open(path, { read: true, write: true });
    try {
      if (await file.tryLock(true)) return file;
    } catch { /* This file system has no such locks. */ }
    file.close();
  },
  async isHeld(path: string): Promise<boolean | undefined> {
    try {
      using file = await Deno.open(path, { read: true, write: true });
      return !(await file.tryLock(true));
    } catch {
      return undefined;
    }
  },
  async run(
    command: string,
    args: readonly string[],
    input: string,
    timeoutMs: number,
  ): Promise<ProgramResult | undefined> {
    const stdio = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(command, { args: [...args], ...stdio }).spawn();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    const timer = setTimeout(() => child.kill(), timeoutMs);
    try {
      // It may end without reading all of its input.
      const writing = new Blob([input]).stream().pipeTo(child.stdin).catch(() => {});
      const [{ code, stdout }] = await Promise.all([child.output(), writing]);
      return { code, output: new TextDecoder().decode(stdout) };
    } finally {
      clearTimeout(timer);
    }
  },
};
