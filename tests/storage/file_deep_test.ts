import { assert, assertEquals } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { FileStorage, openFiles } from "../../lib/storage/file.ts";
import { takeFileLock } from "../../lib/storage/file_lock.ts";
import type { Files } from "../../lib/storage/files.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import {
  availableRuntimes,
  onceIsEnough as skip,
  sendSignal,
  startCommand,
} from "../processes/workers.ts";

const KEY = ".planet/p/token.json";
const PAD = "x".repeat(4000);
const WORKER = fileURLToPath(new URL("./_worker.ts", import.meta.url));
const KILLS = Number(process.env.PLANET_TEST_KILLS ?? 150);

const { runtimes } = availableRuntimes();

function start(i: number, ...args: string[]): ChildProcess {
  return startWith(startCommand(runtimes[i % runtimes.length]!), ...args);
}

function startWith([command, flags]: [string, string[]], ...args: string[]): ChildProcess {
  const child = spawn(command, [...flags, WORKER, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  ends.set(child, once(child, "close"));
  child.stdout!.resume();
  return child;
}

const ends = new WeakMap<ChildProcess, Promise<unknown>>();

/** Waits until a process is gone and all that it wrote was read. */
async function exited(child: ChildProcess): Promise<void> {
  await ends.get(child);
}

async function inFolder(body: (root: string, storage: FileStorage) => Promise<void>) {
  const { path, remove } = await tempFolder();
  try {
    await body(path, new FileStorage({ root: path }));
  } finally {
    await remove();
  }
}

test(
  "FileStorage counts right in processes of every runtime",
  () =>
    inFolder(async (root, storage) => {
      await storage.save(KEY, { n: 0, pad: PAD });
      const children = Array.from({ length: 9 }, (_, i) => start(i, "count", root, "50"));
      await Promise.all(children.map(exited));
      assertEquals((await storage.load(KEY))!.n, 450);
      assertEquals(await readdir(`${root}/.planet/p`), ["token.json"]);
    }),
  { timeoutMs: 120_000, skip },
);

test(
  "FileStorage loses nothing and sticks nowhere in a kill loop",
  () =>
    inFolder(async (root, storage) => {
      await storage.save(KEY, { n: 0, pad: PAD });
      const alive = Array.from({ length: 4 }, (_, i) => start(i, "count", root, "1000000"));
      let [last, longest] = [0, 0];
      for (let kill = 0; kill < KILLS; kill++) {
        await new Promise((resolve) => setTimeout(resolve, 60 + Math.random() * 60));
        sendSignal(alive[kill % 4]!, "SIGKILL");
        await exited(alive[kill % 4]!);
        alive[kill % 4] = start(kill % runtimes.length, "count", root, "1000000");
        if (kill % 5) continue;
        const since = performance.now();
        await storage.withLock(KEY, async () => {
          longest = Math.max(longest, performance.now() - since);
          const value = (await storage.load(KEY))!;
          assertEquals(value.pad, PAD);
          assert(Number(value.n) >= last, "a write was undone");
          last = Number(value.n);
        }, { timeoutMs: 60_000 });
      }
      for (const child of alive) sendSignal(child, "SIGKILL");
      await Promise.all(alive.map(exited));
      console.log(`${KILLS} kills, ${last} writes, longest wait for the lock ${longest | 0} ms`);
      assert(last > 0, "nobody wrote");
      assert(longest < 12_000, `the lock was stuck for ${longest} ms`);
    }),
  { timeoutMs: 600_000, skip },
);

test(
  "FileStorage reads whole objects beside writers of the same process",
  () =>
    inFolder(async (_root, storage) => {
      await storage.save(KEY, { n: 0, pad: PAD });
      let writes = 0;
      let isDone = false;
      const write = async () => {
        while (!isDone) await storage.save(KEY, { n: ++writes, pad: PAD });
      };
      const writers = [write(), write(), write()];
      for (let read = 0; read < 5_000 || writes < 200; read++) {
        assertEquals((await storage.load(KEY))?.pad, PAD);
      }
      isDone = true;
      await Promise.all(writers);
      assert(writes > 100, `only ${writes} writes`);
    }),
  { timeoutMs: 120_000 },
);

for (const [i, name] of runtimes.entries()) {
  test(
    `FileStorage under ${name} reads whole files beside a busy writer`,
    () =>
      inFolder(async (root, storage) => {
        await storage.save(KEY, { n: 0, pad: PAD });
        const reader = start(i, "read", root, "50000");
        let [output, done, writes] = ["", false, 0];
        reader.stdout!.on("data", (chunk) => output += chunk);
        const end = exited(reader).then(() => done = true);
        while (!done) {
          await storage.save(KEY, { n: ++writes, pad: PAD });
          if (writes === 500) await storage.save("enough.json", {});
        }
        await end;
        const [broken, reads] = output.split(" ").map(Number);
        console.log(`${name}: ${reads} reads beside ${writes} writes, ${broken} broken`);
        assertEquals(broken, 0);
        assert(reads! >= 50_000, `${reads}`);
      }),
    { timeoutMs: 300_000, skip },
  );
}

async function pauseBeyondTheLease(i: number): Promise<void> {
  await inFolder(async (root, storage) => {
    const holder = start(i, "pause", root);
    let output = "";
    holder.stdout!.on("data", (chunk) => output += chunk);
    while (!output.includes("inside")) await new Promise((r) => setTimeout(r, 20));
    sendSignal(holder, "SIGSTOP");
    await storage.withLock(KEY, () => storage.save(KEY, { by: "the newer one" }), {
      timeoutMs: 30_000,
    });
    sendSignal(holder, "SIGCONT");
    await exited(holder);
    assertEquals(output.trim().split("\n"), ["inside", "storage_failed true"]);
    assertEquals(await storage.load(KEY), { by: "the newer one" });
    assertEquals(await readdir(`${root}/.planet/p`), ["token.json"]);
  });
}

test(
  "FileStorage writes nothing after a pause beyond the lease, on every runtime",
  async () => {
    // At once: nearly all of it is waiting for the lease.
    await Promise.all(runtimes.map((_, i) => pauseBeyondTheLease(i)));
  },
  { timeoutMs: 60_000, skip },
);

test(
  "a holder that is displaced while it deletes removes its own object or none (fencing)",
  () =>
    inFolder(async (root) => {
      const files = await openFiles();
      // Its beats do not arrive, and whatever it looks at, its lock seems to be there.
      const still: Files = { ...files, touch: () => Promise.resolve() };
      const outcomes = { inTime: 0, late: 0 };
      for (let round = 0; round < 300; round++) {
        const path = `${root}/${round}`;
        await writeFile(path, "old");
        const old = await takeFileLock(still, path, { timeoutMs: 1_000, leaseMs: 10 });
        const displacing = takeFileLock(files, path, { timeoutMs: 10_000, leaseMs: 10 })
          .then(async (newer) => {
            const scratch = await newer.scratch();
            await writeFile(scratch, "new");
            await files.rename(scratch, path);
            return newer;
          });
        await new Promise((resolve) => setTimeout(resolve, 8 + Math.random() * 16));
        const removed = await old.remove(path);
        outcomes[removed ? "inTime" : "late"]++;
        const newer = await displacing;
        assertEquals(await readFile(path, "utf8"), "new", `round ${round}`);
        await old.release();
        await newer.release();
      }
      assertEquals((await readdir(root)).length, 300);
      console.log(`deleted in time ${outcomes.inTime} times, refused ${outcomes.late} times`);
      assert(outcomes.inTime > 20 && outcomes.late > 20, "this was no race");
    }),
  { timeoutMs: 120_000 },
);

/** Waits until a process has printed a line that fits; the answer is that line. */
async function printed(child: ChildProcess, fits: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false })) {
    text += chunk;
    const line = text.split("\n").find((one) => fits.test(one));
    if (line !== undefined && text.endsWith("\n")) return line;
  }
  throw new Error(`it ended without ${fits}: ${text}`);
}

/**
 * How long a waiter waits for the lock of a holder that is killed, in milliseconds: one that was
 * waiting already, or one that comes later.
 */
async function afterKill(
  holding: [string, string[]],
  i: number,
  comes: "before" | "after",
): Promise<number> {
  const { path: root, remove } = await tempFolder();
  const [command, flags] = holding;
  const holder = startWith([command, flags.map((f) => f.replace("ROOT", root))], "hold", root);
  let waiter: ChildProcess | undefined;
  try {
    await printed(holder, /inside/);
    if (comes === "before") {
      waiter = start(i, "take", root);
      await printed(waiter, /waiting/);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
    const killedAt = Date.now();
    sendSignal(holder, "SIGKILL");
    await exited(holder);
    waiter ??= start(i, "take", root);
    const [cameAt, tookAt] = (await printed(waiter, /^\d+ \d+$/)).split(" ").map(Number);
    return tookAt! - Math.max(cameAt!, killedAt);
  } finally {
    for (const child of [holder, waiter]) if (child) sendSignal(child, "SIGKILL");
    await Promise.all([holder, waiter].map((child) => child && exited(child)));
    await remove();
  }
}

test(
  "FileStorage takes a killed holder's lock within 1 s, on and from every runtime",
  async () => {
    const [deno, all] = startCommand("deno");
    const few = all.map((flag) => flag === "-A" ? "--allow-read=ROOT,." : flag)
      .concat("--allow-write=ROOT");
    const holders: [string, [string, string[]]][] = [
      ...runtimes.map((name): [string, [string, string[]]] => [name, startCommand(name)]),
      ["deno without -A", [deno, few]],
    ];
    for (const [name, holding] of holders) {
      for (const comes of ["before", "after"] as const) {
        const waits = await Promise.all(runtimes.map((_, i) => afterKill(holding, i, comes)));
        for (const [i, waited] of waits.entries()) {
          console.log(`holder ${name}, waiter ${runtimes[i]}, come ${comes}: ${waited} ms`);
          assert(waited >= 0, `${name}, ${runtimes[i]}: taken from a living holder`);
          assert(waited < 1_000, `${name}, ${runtimes[i]}: ${waited} ms`);
        }
      }
    }
  },
  { timeoutMs: 120_000, skip },
);
