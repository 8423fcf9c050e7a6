import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { AuthError } from "../../lib/errors.ts";
import { removePrepared, takeFileLock } from "../../lib/storage/file_lock.ts";
import { canRun, type Files, showsLock } from "../../lib/storage/files.ts";
import { fileErrorCode } from "../../lib/storage/objects.ts";
import { spawnSync } from "../_support/child_process.ts";
import { test } from "../_support/harness.ts";
import { FileStorage, openFiles } from "../../lib/storage/file.ts";
import { assertAuthError, storeContract } from "../_support/store_contract.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { RUN } from "./_deno.ts";

storeContract("FileStorage", async () => {
  const { path, remove } = await tempFolder();
  const storage = new FileStorage({ root: path });
  return {
    storage,
    sibling: new FileStorage({ root: path }),
    async spoil(key) {
      await storage.save(key, {});
      await writeFile(`${path}/${key}`, '{"half":');
    },
    close: remove,
  };
}, { dropsNulls: true });

const KEY = ".planet/my-app/token.json";
const isWindows = process.platform === "win32";
const noLinks = isWindows ? "links need a privilege here" : undefined;

async function inFolder(body: (root: string, storage: FileStorage) => Promise<void>) {
  const { path, remove } = await tempFolder();
  try {
    await body(path, new FileStorage({ root: path }));
  } finally {
    await remove();
  }
}

test(
  "FileStorage makes files of mode 0600 in folders of mode 0700",
  () =>
    inFolder(async (root, storage) => {
      await storage.save(KEY, { n: 1 });
      assertEquals((await stat(`${root}/${KEY}`)).mode & 0o777, 0o600);
      assertEquals((await stat(`${root}/.planet/my-app`)).mode & 0o777, 0o700);
      assertEquals((await stat(`${root}/.planet`)).mode & 0o777, 0o700);
    }),
  { skip: isWindows ? "no modes here" : undefined },
);

test("FileStorage writes the bytes that Python writes", () =>
  inFolder(async (root, storage) => {
    await storage.save(KEY, {
      z: 1,
      a: { "\u{1f30d}": [], "\uff5e": {}, "é": [1.5, 1e-7, 0.00012, -3] },
      gone: null,
      text: 'é\u007f\u2028 "q" \\ /\n\t\b\f\r\u0001',
    });
    assertEquals(
      await readFile(`${root}/${KEY}`, "utf8"),
      `{
  "a": {
    "\\u00e9": [
      1.5,
      1e-07,
      0.00012,
      -3
    ],
    "\\uff5e": {},
    "\\ud83c\\udf0d": []
  },
  "text": "\\u00e9\\u007f\\u2028 \\"q\\" \\\\ /\\n\\t\\b\\f\\r\\u0001",
  "z": 1
}`,
    );
  }));

test("FileStorage.load() calls what is no JSON object corrupt, without quoting it", () =>
  inFolder(async (root, storage) => {
    await storage.save(KEY, { n: 1 });
    for (const text of ["", '{"s3cr3t-value', "[]", "null", "\ufffd\ud800"]) {
      await writeFile(`${root}/${KEY}`, text);
      const error = await assertAuthError(() => storage.load(KEY), "storage_corrupt");
      assert(error.message.includes("token.json"));
    }
  }));

test("FileStorage.load() waits for a writer that writes in place, as Python does", () =>
  inFolder(async (root, storage) => {
    await storage.save(KEY, { n: 1 });
    await writeFile(`${root}/${KEY}`, '{"n"');
    const loading = storage.load(KEY);
    await writeFile(`${root}/${KEY}`, '{"n": 2}');
    assertEquals(await loading, { n: 2 });
  }));

test("FileStorage.save(), delete() and rename() do nothing once another took their lock", () =>
  inFolder(async (root, storage) => {
    const folder = `${root}/.planet/my-app`;
    await storage.withLock(KEY, async ({ signal }) => {
      await rm(`${folder}/token.json.lock`, { recursive: true });
      await mkdir(`${folder}/token.json.lock`);
      await writeFile(`${folder}/token.json.lock/${"0".repeat(32)}`, "");
      await writeFile(`${folder}/token.json`, '{"by": "the newer holder"}');
      await assertAuthError(() => storage.save(KEY, { by: "the late one" }), "storage_failed");
      assertEquals(signal.aborted, true);
      await assertAuthError(() => storage.delete(KEY), "storage_failed");
      await assertAuthError(() => storage.rename(KEY, "aside.json"), "storage_failed");
    });
    assertEquals(await storage.load(KEY), { by: "the newer holder" });
    assertEquals(await readdir(`${folder}/token.json.lock`), ["0".repeat(32)]);
  }));

test("FileStorage takes the lock of a dead holder once it stood still for the lease", () =>
  inFolder(async (root) => {
    const files = await openFiles();
    await mkdir(`${root}/x.lock`);
    await writeFile(`${root}/x.lock/${"0".repeat(32)}`, "{}");
    await writeFile(`${root}/x.lock/${"0".repeat(32)}.1.new`, "unfinished");
    await mkdir(`${root}/x.lock/${"0".repeat(32)}.gone`);
    await writeFile(`${root}/x.lock/${"0".repeat(32)}.gone/1`, "deleted");
    const lock = await takeFileLock(files, `${root}/x`, { timeoutMs: 5_000, leaseMs: 100 });
    await lock.release();
    assertEquals(await readdir(root), []);
  }));

test("a displaced holder that does not know it yet neither writes nor deletes (fencing)", () =>
  inFolder(async (root) => {
    const files = await openFiles();
    await writeFile(`${root}/x`, "old");
    // It stands still for the others, and whatever it looks at, its lock seems to be there.
    const still: Files = { ...files, touch: () => Promise.resolve() };
    const late = await takeFileLock(still, `${root}/x`, { timeoutMs: 100, leaseMs: 100 });
    const scratch = await late.scratch();
    await writeFile(scratch, "of the late one");
    const newer = await takeFileLock(files, `${root}/x`, { timeoutMs: 5_000, leaseMs: 100 });
    await writeFile(`${root}/x`, "of the newer one");
    assertEquals(await late.remove(`${root}/x`), false);
    const error = await files.rename(scratch, `${root}/x`).catch((error) => error);
    assertEquals(fileErrorCode(error), "ENOENT");
    await late.release();
    await newer.confirm();
    assertEquals(await readFile(`${root}/x`, "utf8"), "of the newer one");
    assertEquals(await newer.remove(`${root}/x`), true);
    assertEquals(await newer.remove(`${root}/x`), false);
    await newer.release();
    assertEquals(await readdir(root), []);
  }));

test("FileStorage.save() names a file once the disk has it, and waits until the disk has the name", () =>
  inFolder(async (root, storage) => {
    await storage.save(KEY, { n: 1 });
    const files = await openFiles();
    const before = { ...files };
    const steps: string[] = [];
    const name = (path: string) => path.replace(/^.*[/\\]/, "").replace(/[0-9a-f]{32}/, "ID");
    const slowly = async (path: string, work: Promise<void>) => {
      steps.push(`${name(path)} begun`);
      await work;
      await new Promise((resolve) => setTimeout(resolve, 1));
      steps.push(`${name(path)} on the disk`);
    };
    try {
      files.sync = (path) => slowly(path, before.sync(path));
      files.syncFolder = (path) => slowly(path, before.syncFolder(path));
      files.rename = (from, to) => {
        steps.push(`${name(from)} is ${name(to)}`);
        return before.rename(from, to);
      };
      await storage.save(KEY, { n: 2 });
      files.sync = () => Promise.reject(Object.assign(new Error("bad disk"), { code: "EIO" }));
      await assertAuthError(() => storage.save(KEY, { n: 3 }), "storage_failed");
    } finally {
      Object.assign(files, before);
    }
    assertEquals(steps, [
      "token.json.ID.tmp begun",
      "token.json.ID.tmp on the disk",
      "token.json.ID.tmp is token.json",
      "my-app begun",
      "my-app on the disk",
    ]);
    assertEquals(await storage.load(KEY), { n: 2 });
    assertEquals(await readdir(`${root}/.planet/my-app`), ["token.json"]);
  }));

test("FileStorage.save() makes a folder anew that was removed meanwhile", () =>
  inFolder(async (root, storage) => {
    await storage.save(KEY, { n: 1 });
    await rm(`${root}/.planet`, { recursive: true });
    await storage.save(KEY, { n: 2 });
    assertEquals(await storage.load(KEY), { n: 2 });
  }));

test("FileStorage.delete() under a lock removes a link, or says that there is a folder", () =>
  inFolder(async (root, storage) => {
    await mkdir(`${root}/elsewhere`);
    await writeFile(`${root}/elsewhere/t.json`, "{}");
    if (!isWindows) await symlink(`${root}/elsewhere/t.json`, `${root}/link.json`);
    await mkdir(`${root}/folder.json`);
    await writeFile(`${root}/folder.json/x`, "");
    await storage.withLock("link.json", () => storage.delete("link.json"));
    await storage.withLock("folder.json", async () => {
      await assertRejects(() => storage.delete("folder.json"), AuthError);
    });
    await storage.withLock("absent.json", () => storage.delete("absent.json"));
    assertEquals((await readdir(root)).sort(), ["elsewhere", "folder.json"]);
    assertEquals(await readdir(`${root}/elsewhere`), ["t.json"]);
    assertEquals(await readdir(`${root}/folder.json`), ["x"]);
  }));

test("takeFileLock() takes no lock where the disk has no room, and leaves nothing", () =>
  inFolder(async (root) => {
    const files = await openFiles();
    const full = Object.assign(new Error("no room"), { code: "ENOSPC" });
    const small: Files = {
      ...files,
      create: (path, bytes) =>
        bytes.length > 4_096 ? Promise.reject(full) : files.create(path, bytes),
    };
    const error = await takeFileLock(small, `${root}/x`, { timeoutMs: 100 }).catch((e) => e);
    assert(error === full);
    assertEquals(await readdir(root), []);
    // A full disk that shows late: nothing stays open or behind either.
    const late: Files = { ...files, overwrite: () => Promise.reject(full) };
    assert(await takeFileLock(late, `${root}/x`, { timeoutMs: 100 }).catch((e) => e) === full);
    assertEquals(await readdir(root), []);
  }));

test("takeFileLock() prepares anew where its folder was taken for a leftover", () =>
  inFolder(async (root) => {
    const files = await openFiles();
    let removed = 0;
    const lock = await takeFileLock(
      {
        ...files,
        async rename(from, to) {
          if (removed++ < 2) await removePrepared(files, `${root}/x`, from);
          await files.rename(from, to);
        },
      },
      `${root}/x`,
      { timeoutMs: 5_000 },
    );
    await lock.confirm();
    assertEquals([removed, (await readdir(root)).length], [3, 1]);
    await lock.release();
    assertEquals(await readdir(root), []);
  }));

test("showsLock() finds the lock of one process on one file in /proc/locks", () => {
  const locks = `1: POSIX  ADVISORY  READ 70 fe:00:1234 128 128
2: FLOCK  ADVISORY  WRITE 71 fe:01:1234 0 EOF
2: -> FLOCK  ADVISORY  WRITE 72 fe:01:1234 0 EOF
3: FLOCK  ADVISORY  WRITE 73 103:10002:99 0 EOF
`;
  assertEquals(showsLock(locks, 71, 0xfe01, 1234), true);
  assertEquals(showsLock(locks, 73, 0x10010302, 99), true);
  for (
    const [pid, dev, ino] of [[70, 0xfe00, 1234], [72, 0xfe01, 1234], [71, 0xfe00, 1234], [
      71,
      0xfe01,
      123,
    ], [
      7,
      0xfe01,
      1234,
    ]] as const
  ) {
    assertEquals(showsLock(locks, pid, dev, ino), false, `${pid} ${dev} ${ino}`);
  }
});

test("canRun() tells a killed process that its parent has not asked for from one that runs", () => {
  assertEquals(canRun("17 (a) b) S 1 2 3"), true);
  assertEquals(canRun("17 (Z) R 1 2 3"), true);
  assertEquals(canRun("17 (deno) Z 1 2 3"), false);
});

test("takeFileLock() goes by its own steady clock, whatever time the files bear", () =>
  inFolder(async (root) => {
    const files = await openFiles();
    let step = 0;
    const stepping: Files = {
      ...files,
      touch: (path) => {
        const time = new Date(Date.now() + (step++ % 2 ? 1 : -1) * step * 3_600_000);
        return utimes(path, time, time);
      },
    };
    const lock = await takeFileLock(stepping, `${root}/x`, { timeoutMs: 1_000, leaseMs: 400 });
    // A holder whose clock is set to and fro is alive.
    const waiter = takeFileLock(files, `${root}/x`, { timeoutMs: 1_200, leaseMs: 400 });
    assertEquals((await waiter.catch((error) => error)).code, "lock_timeout");
    assertEquals(lock.signal.aborted, false);
    assert(step > 5, `${step}`);
    await lock.release();
    // One that is dead is so although its time lies ahead.
    const ahead = new Date(Date.now() + 86_400_000);
    await mkdir(`${root}/x.lock`);
    await writeFile(`${root}/x.lock/${"0".repeat(32)}`, "{}");
    await utimes(`${root}/x.lock/${"0".repeat(32)}`, ahead, ahead);
    await (await takeFileLock(files, `${root}/x`, { timeoutMs: 5_000, leaseMs: 100 })).release();
  }));

test("FileStorage removes what dead writers left beside a file, and nothing else", () =>
  inFolder(async (root, storage) => {
    const folder = `${root}/.planet/my-app`;
    await mkdir(folder, { recursive: true });
    const id = "a".repeat(32);
    const old = new Date(Date.now() - 3_600_000);
    await mkdir(`${folder}/token.json.lock.${id}`);
    await writeFile(`${folder}/token.json.lock.${id}/${id}`, "");
    const names = [`token.json.${id}.tmp`, "token.json.bak", `other.json.${id}.tmp`];
    for (const name of names) {
      await writeFile(`${folder}/${name}`, "");
      await utimes(`${folder}/${name}`, old, old);
    }
    await utimes(`${folder}/token.json.lock.${id}`, old, old);
    await writeFile(`${folder}/token.json.${"b".repeat(32)}.tmp`, "of a live writer");
    await storage.save(KEY, { n: 1 });
    assertEquals((await readdir(folder)).sort(), [
      `other.json.${id}.tmp`,
      "token.json",
      "token.json.bak",
      `token.json.${"b".repeat(32)}.tmp`,
    ]);
  }));

test(
  "FileStorage follows links: the target is replaced, the link stays",
  () =>
    inFolder(async (root, storage) => {
      await mkdir(`${root}/elsewhere`);
      await mkdir(`${root}/.planet/my-app`, { recursive: true });
      await writeFile(`${root}/elsewhere/t.json`, '{"n": 1}');
      await symlink(`${root}/elsewhere/t.json`, `${root}/${KEY}`);
      await storage.withLock(KEY, async () => {
        assert((await readdir(`${root}/elsewhere`)).includes("t.json.lock"));
        await storage.save(KEY, { n: 2 });
      });
      assert((await lstat(`${root}/${KEY}`)).isSymbolicLink());
      assertEquals(JSON.parse(await readFile(`${root}/elsewhere/t.json`, "utf8")), { n: 2 });
    }),
  { skip: noLinks },
);

/** Links to a file that is not there yet, by what they say, from `.planet/my-app/token.json` on. */
const DANGLING: [what: string, links: [at: string, to: string][], target: string][] = [
  ["absolute", [[KEY, "ROOT/there/t.json"]], "there/t.json"],
  ["relative", [[KEY, "../../there/t.json"]], "there/t.json"],
  ["in a chain", [[KEY, "a.json"], [".planet/my-app/a.json", "../b.json"], [
    ".planet/b.json",
    "ROOT/there/t.json",
  ]], "there/t.json"],
  ["to a folder", [[".planet/my-app", "ROOT/there/p"]], "there/p/token.json"],
  ["of all profiles", [[".planet", "there/all"]], "there/all/my-app/token.json"],
];
for (const [what, links, target] of DANGLING) {
  test(
    `FileStorage follows a link whose target is not there yet (${what})`,
    () =>
      inFolder(async (root, storage) => {
        for (const [at, to] of links) {
          await mkdir(dirname(`${root}/${at}`), { recursive: true });
          await symlink(to.replace("ROOT", root), `${root}/${at}`);
        }
        assertEquals(await storage.load(KEY), undefined);
        assertEquals(await storage.exists(KEY), false);
        await assertAuthError(() => storage.mtime(KEY), "storage_not_found");
        await assertAuthError(() => storage.rename(KEY, "x.json"), "storage_not_found");
        await storage.withLock(KEY, async () => {
          assert((await lstat(`${root}/${target}.lock`)).isDirectory());
          // By its own name it is the same file, and so the same lock.
          await assertAuthError(
            () => storage.withLock(target, () => Promise.resolve(), { timeoutMs: 20 }),
            "lock_timeout",
          );
          await storage.save(KEY, { n: 1 });
        });
        for (const [at] of links) assert((await lstat(`${root}/${at}`)).isSymbolicLink());
        assertEquals(await readFile(`${root}/${target}`, "utf8"), '{\n  "n": 1\n}');
        assertEquals(await storage.load(KEY), { n: 1 });
      }),
    { skip: noLinks },
  );
}

test(
  "FileStorage says that links lead to each other",
  () =>
    inFolder(async (root, storage) => {
      await mkdir(`${root}/.planet/my-app`, { recursive: true });
      await symlink("other.json", `${root}/${KEY}`);
      await symlink("token.json", `${root}/.planet/my-app/other.json`);
      for (
        const work of [
          () => storage.load(KEY),
          () => storage.exists(KEY),
          () => storage.save(KEY, { n: 1 }),
          () => storage.withLock(KEY, () => Promise.reject(new Error("ran"))),
        ]
      ) {
        const error = await assertAuthError(work, "storage_failed");
        assert(error.message.startsWith("Mend the symbolic links"), error.message);
      }
    }),
  { skip: noLinks },
);

async function listed(storage: FileStorage, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const key of storage.list(prefix)) found.push(key);
  return found.sort();
}

test(
  "FileStorage.list() follows links to folders and files, and goes round in no circle",
  () =>
    inFolder(async (root, storage) => {
      await storage.save("elsewhere/p/token.json", {});
      await storage.save(".planet/a/token.json", {});
      const links = [
        ["../elsewhere/p", ".planet/linked"],
        ["../../elsewhere/p/token.json", ".planet/a/also.json"],
        ["nowhere", ".planet/dangling"],
        ["itself", ".planet/itself"],
        ["..", ".planet/a/up"],
        ["../../.planet", "elsewhere/p/around"],
      ];
      for (const [to, at] of links) await symlink(to!, `${root}/${at}`);
      const found = [
        ".planet/a/also.json",
        ".planet/a/token.json",
        ".planet/linked/token.json",
      ];
      assertEquals(await listed(storage, ".planet/"), found);
      assertEquals(await listed(storage, ".planet/linked/"), [
        ".planet/linked/around/a/also.json",
        ".planet/linked/around/a/token.json",
        ".planet/linked/token.json",
      ]);
    }),
  { skip: noLinks },
);

/** Places that take nothing new, from anybody: what the runtimes are told differs. */
for (const place of ["/sys", "/proc"]) {
  test(
    `FileStorage says that the system refuses to write where ~/.planet is ${place}`,
    () =>
      inFolder(async (root, storage) => {
        await symlink(place, `${root}/.planet`);
        assertEquals(await storage.load(KEY), undefined);
        assertEquals(await storage.exists(KEY), false);
        await assertAuthError(() => storage.save(KEY, { n: 1 }), "storage_denied");
        const body = () => Promise.reject(new Error("ran"));
        await assertAuthError(() => storage.withLock(KEY, body), "storage_denied");
        await storage.delete(KEY);
      }),
    { skip: process.platform === "linux" ? undefined : "needs /sys and /proc of Linux" },
  );
}

test("FileStorage.rename() moves a folder that lies where a file belongs out of the way", () =>
  inFolder(async (root, storage) => {
    await mkdir(`${root}/${KEY}`, { recursive: true });
    await assertAuthError(() => storage.load(KEY), "storage_corrupt");
    await storage.rename(KEY, `${KEY}.corrupt`);
    await storage.save(KEY, { n: 1 });
    assertEquals(await storage.load(KEY), { n: 1 });
  }));

test("FileStorage names the flag where Deno refuses", () => {
  const script = `
    import { FileStorage } from ${
    JSON.stringify(new URL("../../lib/storage/file.ts", import.meta.url).href)
  };
    for (const options of [{}, { root: "/nowhere" }]) {
      try {
        await new FileStorage(options).load("a.json");
      } catch (error) {
        console.log(error.code, error.message);
      }
    }`;
  const { stdout } = spawnSync("deno", [...RUN, "-"], {
    input: script,
    encoding: "utf8",
  });
  const [home, root] = stdout.trim().split("\n") as [string, string];
  assert(/^storage_denied .*--allow-env=/.test(home), stdout);
  assert(/^storage_denied .*--allow-read=\/nowhere/.test(root), stdout);
});

test("FileStorage takes an absolute root only", () => {
  for (const root of ["", "relative", "./x"]) {
    assertThrows(() => new FileStorage({ root }), AuthError, "absolute");
  }
});

test(
  "FileStorage refuses another user's file before the body of withLock() runs",
  () =>
    inFolder(async (root, storage) => {
      await storage.save(KEY, { n: 1 });
      await chmod(root, 0o777);
      await chmod(`${root}/.planet`, 0o777);
      await chmod(`${root}/.planet/my-app`, 0o777);
      await chmod(`${root}/${KEY}`, 0o666);
      process.seteuid!(65534);
      let ran = false;
      try {
        await assertAuthError(() =>
          storage.withLock(KEY, () => {
            ran = true;
            return Promise.resolve();
          }), "storage_denied");
        await assertAuthError(() => storage.save(KEY, { n: 2 }), "storage_denied");
        assertEquals(await storage.load(KEY), { n: 1 });
      } finally {
        process.seteuid!(0);
      }
      assertEquals(ran, false);
      assertEquals(await readdir(`${root}/.planet/my-app`), ["token.json"]);
    }),
  {
    skip: "Deno" in globalThis || process.getuid?.() !== 0
      ? "needs root, and a runtime that can change its user"
      : undefined,
  },
);

/** Runs `body` as a user without rights. */
async function asNobody(body: () => Promise<void>): Promise<void> {
  process.seteuid!(65534);
  try {
    await body();
  } finally {
    process.seteuid!(0);
  }
}

const needsRoot = "Deno" in globalThis || process.getuid?.() !== 0
  ? "needs root, and a runtime that can change its user"
  : undefined;

test(
  "FileStorage serves readers in a folder where no lock can be made",
  () =>
    inFolder(async (root, storage) => {
      await storage.save(KEY, { n: 1 });
      await chmod(`${root}/${KEY}`, 0o644);
      for (const folder of ["", "/.planet", "/.planet/my-app"]) {
        await chmod(root + folder, 0o755);
      }
      await asNobody(async () => {
        assertEquals(await storage.load(KEY), { n: 1 });
        assertEquals(await storage.exists(KEY), true);
        const body = () => Promise.reject(new Error("ran"));
        const error = await assertAuthError(() => storage.withLock(KEY, body), "storage_denied");
        assert(error.message.includes("token.json.lock"), error.message);
        await assertAuthError(() => storage.save(KEY, { n: 2 }), "storage_denied");
      });
      assertEquals(await readdir(`${root}/.planet/my-app`), ["token.json"]);
    }),
  { skip: needsRoot },
);

test("FileStorage says what to move away where a file lies in the place of a folder", () =>
  inFolder(async (root, storage) => {
    await mkdir(`${root}/.planet/my-app`, { recursive: true });
    await writeFile(`${root}/.planet/my-app/token.json.lock`, "of another program");
    const locked = await assertAuthError(
      () => storage.withLock(KEY, () => Promise.resolve()),
      "storage_failed",
    );
    assert(/^Move .*token\.json\.lock/.test(locked.message), locked.message);
    const blocked = await assertAuthError(
      () =>
        storage.save(".planet/my-app/token.json.lock2/x.json", {}).then(() => {
          return storage.save(".planet/my-app/token.json.lock2/x.json/y.json", {});
        }),
      "storage_failed",
    );
    assert(blocked.message.startsWith("Move "), blocked.message);
  }));

test("FileStorage under Deno reads without the permission to write, and names it for the lock", () =>
  inFolder(async (root, storage) => {
    await storage.save(KEY, { n: 1 });
    const script = `
      import { FileStorage } from ${
      JSON.stringify(new URL("../../lib/storage/file.ts", import.meta.url).href)
    };
      const storage = new FileStorage({ root: ${JSON.stringify(root)} });
      console.log(JSON.stringify(await storage.load(${JSON.stringify(KEY)})));
      await storage.withLock(${JSON.stringify(KEY)}, () => console.log("ran"))
        .catch((error) => console.log(error.code, error.message));`;
    const flags = [...RUN, `--allow-read=${root}/.planet`, "-"];
    const { stdout, stderr } = spawnSync("deno", flags, { input: script, encoding: "utf8" });
    const [read, locked] = stdout.split("\n");
    assertEquals(read, '{"n":1}', stderr);
    assert(/^storage_denied .*--allow-write=/.test(locked!), stdout);
  }));
