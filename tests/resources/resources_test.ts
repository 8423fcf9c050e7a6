import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Auth, AuthError, FileStorage, type JsonObject } from "../../mod.ts";
import { execFileSync } from "../_support/child_process.ts";
import { secret } from "../_support/canaries.ts";
import { fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { openHandles, tally } from "./_counters.ts";
import { manyCalls, manyObjects } from "./_many.ts";

const KEY = ".planet/app/token.json";
const EXPIRED: JsonObject = {
  access_token: secret("A0"),
  refresh_token: secret("R0"),
  _iat: 1,
  _exp: 2,
};

/** Why no file system can be mounted here; `undefined`: one can. */
function whyNoMount(): string | undefined {
  if (process.platform !== "linux") return "a small disk is a tmpfs of Linux";
  if (process.getuid?.() !== 0) return "mounting a small disk needs root";
  try {
    execFileSync("mount", ["--version"]);
    const probe = "/tmp/planet-test-mount-probe";
    execFileSync("mkdir", ["-p", probe]);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("umount", [probe]);
    execFileSync("rmdir", [probe]);
  } catch {
    return "this system lets nobody mount";
  }
}

const skip = whyNoMount();
const options = skip === undefined ? {} : { skip };

/** A disk of 64 KiB with an expired session on it, and a way to fill it. */
async function smallDisk() {
  const folder = await tempFolder();
  const disk = join(folder.path, "disk");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", disk]);
  const storage = new FileStorage({ root: disk });
  await storage.save(KEY, EXPIRED);
  const server = fakeServer({ rotate: true });
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId: "app",
    environment: server.environment,
    storageProvider: storage,
    fetch: server.fetch,
  });
  const filler = join(disk, "filler");
  return {
    auth,
    disk,
    server,
    storage,
    fill: async () => {
      let name = 0;
      // Page by page, to the last one; the system takes its time to get back what was cut off.
      while (await writeFile(`${filler}${name++}`, "x").then(() => true, () => false));
    },
    empty: async () => {
      for (const name of await readdir(disk)) {
        if (name.startsWith("filler")) await rm(join(disk, name));
      }
    },
    remount: (how: "ro" | "rw") => void execFileSync("mount", ["-o", `remount,${how}`, disk]),
    close: async () => {
      execFileSync("umount", [disk]);
      await folder.remove();
    },
  };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((error) => error);
  assertInstanceOf(error, AuthError);
  return error.code;
}

/** Files of the session, without those of a lock that is held. */
async function filesOf(disk: string): Promise<string[]> {
  return (await readdir(join(disk, ".planet/app"))).sort();
}

test("FileStorage: a full disk costs no token: nothing is spent, the old state stays", async () => {
  const { auth, close, disk, empty, fill, server, storage } = await smallDisk();
  try {
    await fill();
    assertEquals(
      await codeOf(storage.save(KEY, { more: "x".repeat(5000) })),
      "storage_failed",
    );
    assertEquals(await codeOf(auth.accessToken()), "storage_failed");
    assertEquals(await storage.load(KEY), EXPIRED);
    assertEquals(
      server.to("/token").length,
      0,
      "no one-time token is sent that could not be replaced",
    );
    assertEquals(await filesOf(disk), ["token.json"]);
    await empty();
    assertEquals(await auth.accessToken(), secret("AT1"));
    assertEquals((await storage.load(KEY))?.refresh_token, secret("RT1"));
  } finally {
    await close();
  }
}, options);

test(
  "Keeper: a disk that fills while the server answers: the tokens are kept, and stored later",
  async () => {
    const { auth, close, disk, empty, fill, server, storage } = await smallDisk();
    try {
      server.options.token = async () => {
        await fill();
        return {
          access_token: secret("A1"),
          refresh_token: secret("R1"),
          token_type: "Bearer",
          expires_in: 3600,
          // More than the store sets aside before the server is asked.
          more: "x".repeat(30_000),
        };
      };
      assertEquals(await codeOf(auth.accessToken()), "storage_failed");
      assertEquals(await storage.load(KEY), EXPIRED);
      assertEquals(await codeOf(auth.accessToken()), "storage_failed");
      await empty();
      assertEquals(await auth.accessToken(), secret("A1"));
      assertEquals(server.to("/token").length, 1, "the refresh token was spent once");
      assertEquals((await storage.load(KEY))?.refresh_token, secret("R1"));
      assertEquals(await filesOf(disk), ["discovery.json", "token.json"]);
    } finally {
      await close();
    }
  },
  options,
);

test(
  "FileStorage: a disk that fills while the server answers: what was set aside holds the tokens",
  async () => {
    const { auth, close, fill, server, storage } = await smallDisk();
    try {
      server.options.token = async () => {
        await fill();
        return {
          access_token: secret("A1"),
          refresh_token: secret("R1"),
          token_type: "Bearer",
          expires_in: 3600,
        };
      };
      assertEquals(await auth.accessToken(), secret("A1"));
      assertEquals((await storage.load(KEY))?.refresh_token, secret("R1"));
    } finally {
      await close();
    }
  },
  options,
);

test(
  "FileStorage: a read-only disk: valid tokens are used, an expired one costs nothing",
  async () => {
    const { auth, close, remount, server, storage } = await smallDisk();
    try {
      remount("ro");
      assertEquals(await codeOf(auth.accessToken()), "storage_denied");
      assertEquals(server.requests.length, 0);
      assertEquals(await codeOf(auth.logout()), "storage_denied");
      assertEquals([server.to("/token").length, server.to("/revoke").length], [0, 1]);
      remount("rw");
      const now = Math.floor(Date.now() / 1000);
      const living = { ...EXPIRED, access_token: secret("A1"), _iat: now, _exp: now + 3600 };
      await storage.save(KEY, living);
      remount("ro");
      assertEquals(await auth.accessToken(), secret("A1"));
    } finally {
      remount("rw");
      await close();
    }
  },
  options,
);

test("FileStorage: a folder of another user: storage_denied, nothing spent", async () => {
  const folder = await tempFolder();
  try {
    const storage = new FileStorage({ root: folder.path });
    await storage.save(KEY, EXPIRED);
    await chmod(join(folder.path, ".planet/app/token.json"), 0o644);
    await chmod(join(folder.path, ".planet/app"), 0o755);
    await chmod(join(folder.path, ".planet"), 0o755);
    await chmod(folder.path, 0o755);
    const server = fakeServer({ rotate: true });
    const auth = Auth.fromOAuthUserDeviceCode({
      clientId: "app",
      environment: server.environment,
      storageProvider: storage,
      fetch: server.fetch,
    });
    // Loads what it needs while it may still read it.
    await codeOf(
      Auth.fromOAuthUserDeviceCode({ clientId: "b", storageProvider: storage }).accessToken(),
    );
    const { seteuid } = process as { seteuid?: (id: number) => void };
    seteuid!(65_534);
    try {
      assertEquals(await codeOf(auth.accessToken()), "storage_denied");
      assertEquals(server.requests.length, 0);
    } finally {
      seteuid!(0);
    }
    assertEquals(await storage.load(KEY), EXPIRED);
  } finally {
    await folder.remove();
  }
}, {
  breaks: [{
    rule: "file mode",
    where: ".planet/app/token.json",
    why: "Another user can see the folder, and must be told that it is not theirs.",
  }],
  ..."Deno" in globalThis || "Bun" in globalThis
    ? { skip: "only Node can be another user for a while" }
    : process.getuid?.() === 0
    ? {}
    : { skip: "being another user needs root" },
});

test("FileStorage leaves no open file, timer or listener behind, locks included", async () => {
  const folder = await tempFolder();
  const storage = new FileStorage({ root: folder.path });
  await storage.withLock(KEY, () => storage.save(KEY, { a: 0 }));
  const counted = tally();
  const before = openHandles();
  try {
    const { signal } = new AbortController();
    for (let number = 0; number < 50; number++) {
      await Promise.all([1, 2, 3].map(() =>
        storage.withLock(KEY, async () => {
          await storage.save(KEY, { a: number });
          await storage.load(KEY);
        }, { signal })
      ));
      await storage.exists(KEY);
      await storage.mtime(KEY);
      await storage.rename(KEY, "b.json");
      await storage.rename("b.json", KEY);
      await storage.load("none.json");
      for await (const _key of storage.list("")) { /* Only listed. */ }
      await storage.withLock(KEY, () => Promise.reject(new Error("x"))).catch(() => {});
    }
    assertEquals([counted.timers, counted.listeners], [0, 0]);
    const after = openHandles();
    assert(after === undefined || after <= before!, `${before} and then ${after} handles`);
  } finally {
    counted.stop();
    await folder.remove();
  }
});

test("Auth: 300 objects leave nothing behind", () => manyObjects(300));
test("Auth: 3,000 calls of each kind leave nothing behind", () => manyCalls(3_000));
