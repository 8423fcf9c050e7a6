import { assert, assertEquals } from "@std/assert";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { FileStorage } from "../../lib/storage/file.ts";
import { spawnSync } from "../_support/child_process.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { assertAuthError } from "../_support/store_contract.ts";
import { tempFolder } from "../_support/temp_folder.ts";

const KEY = ".planet/my-app/token.json";
const TOKENS = { refresh_token: secret("r"), pad: "x".repeat(7_000) };

function mount(...args: string[]): boolean {
  return spawnSync("mount", args, { stdio: "ignore" }).status === 0;
}

async function onSmallDisk(body: (root: string, storage: FileStorage) => Promise<void>) {
  const { path, remove } = await tempFolder();
  assert(mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", path));
  try {
    await body(path, new FileStorage({ root: path }));
  } finally {
    spawnSync("umount", [path]);
    await remove();
  }
}

/** Why no file system can be mounted here. */
async function whyNoMount(): Promise<string | undefined> {
  if (process.platform !== "linux") return "needs Linux and root, to mount a small disk";
  const { path, remove } = await tempFolder();
  const done = mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", path);
  if (done) spawnSync("umount", [path]);
  await remove();
  return done ? undefined : "needs root, to mount a small disk";
}
const skip = await whyNoMount();

/** Fills the disk until no more than `left` bytes are free. */
async function fill(root: string, left: number): Promise<void> {
  const page = 4_096;
  await rm(`${root}/filler`, { force: true });
  let size = 0;
  try {
    for (;; size += page) await writeFile(`${root}/filler`, new Uint8Array(page), { flag: "a" });
  } catch { /* Full. */ }
  await rm(`${root}/filler`);
  if (size > left) await writeFile(`${root}/filler`, new Uint8Array(size - left));
}

test(
  "FileStorage on a full disk: no lock, so that nothing is spent; readers read on",
  () =>
    onSmallDisk(async (root, storage) => {
      await storage.save(KEY, TOKENS);
      for (const left of [0, 4_096, 8_192, 12_288]) {
        await fill(root, left);
        const body = () => Promise.reject(new Error("ran"));
        const error = await assertAuthError(() => storage.withLock(KEY, body), "storage_failed");
        assert(error.message.includes("room on the disk"), error.message);
        assertEquals(await storage.load(KEY), TOKENS);
        assertEquals(await readdir(`${root}/.planet/my-app`), ["token.json"]);
      }
      await rm(`${root}/filler`);
      await storage.withLock(KEY, () => storage.save(KEY, { refresh_token: secret("r2") }));
      assertEquals(await storage.load(KEY), { refresh_token: secret("r2") });
    }),
  { skip },
);

test(
  "FileStorage.save() under a lock has its room, though the disk fills meanwhile",
  () =>
    onSmallDisk(async (root, storage) => {
      await storage.save(KEY, TOKENS);
      await storage.withLock(KEY, async () => {
        await fill(root, 0);
        await storage.save(KEY, { ...TOKENS, refresh_token: secret("r2") });
      });
      assertEquals((await storage.load(KEY))?.refresh_token, secret("r2"));
      // Without a lock there is none: the old state stays, whole, and nothing beside it.
      await fill(root, 0);
      const before = await readFile(`${root}/${KEY}`, "utf8");
      await assertAuthError(() => storage.save(KEY, { pad: "y".repeat(70_000) }), "storage_failed");
      assertEquals(await readFile(`${root}/${KEY}`, "utf8"), before);
      assertEquals(await readdir(`${root}/.planet/my-app`), ["token.json"]);
    }),
  { skip },
);

test(
  "FileStorage on a disk that is mounted read-only: readers read, writers are told",
  () =>
    onSmallDisk(async (root, storage) => {
      await storage.save(KEY, TOKENS);
      assert(mount("-o", "remount,ro", root));
      assertEquals(await storage.load(KEY), TOKENS);
      assertEquals(await storage.exists(KEY), true);
      const body = () => Promise.reject(new Error("ran"));
      await assertAuthError(() => storage.withLock(KEY, body), "storage_denied");
      await assertAuthError(() => storage.save(KEY, {}), "storage_denied");
      await assertAuthError(() => storage.delete(KEY), "storage_denied");
    }),
  { skip },
);
