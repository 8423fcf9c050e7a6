/**
 * Processes of all runtimes that download into one file, or are killed while they do.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { DownloadedFile } from "../../lib/download/download.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { startCommand } from "../processes/workers.ts";
import { bytesFrom, digestOf, randomFrom, startStorage } from "./_server.ts";
import type { WorkerSetup } from "./_worker.ts";

const RUNTIMES = ["deno", "bun", "node"] as const;
const WORKER = fileURLToPath(new URL("./_worker.ts", import.meta.url));

type Outcome = DownloadedFile & { readonly error?: string; readonly code?: string };

/** A process that has loaded. */
interface Worker {
  /** Lets it begin; what becomes of it, `undefined` if it is killed. */
  begin(): Promise<Outcome | undefined>;
  kill(): void;
}

async function startWorker(runtime: typeof RUNTIMES[number], setup: WorkerSetup): Promise<Worker> {
  const [path, flags] = startCommand(runtime);
  const env = { ...process.env, WORKER_SETUP: JSON.stringify(setup), NO_COLOR: "1" };
  const child = spawn(path, [...flags, WORKER], { env, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin!.on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  assertEquals((await lines.next()).value, "ready");
  return {
    async begin() {
      child.stdin!.write("go\n");
      const { done, value } = await lines.next();
      await ended;
      return done ? undefined : JSON.parse(value);
    },
    kill: () => void child.kill("SIGKILL"),
  };
}

/** Lets 8 processes download one file; tells how many downloaded, and how many bytes were sent. */
export async function crowd(
  ifExists: "keep" | "replace",
): Promise<{ downloaded: number; kept: number; sent: number; size: number }> {
  const body = bytesFrom(8, 3_000_000);
  const storage = await startStorage({ body, etag: '"one"', rate: 6_000_000 });
  const folder = await tempFolder();
  try {
    const digest = { algorithm: "MD5", value: digestOf("md5", body) } as const;
    const options = { directory: folder.path, filename: "scene.tif", ifExists };
    const workers = await Promise.all(
      Array.from(
        { length: 8 },
        (_, index) =>
          startWorker(RUNTIMES[index % 3]!, {
            link: `${storage.origin}/scene.tif`,
            digest,
            options,
          }),
      ),
    );
    const outcomes = await Promise.all(workers.map((worker) => worker.begin()));
    for (const one of outcomes) {
      assertEquals([one?.error, one?.bytes, one?.md5], [undefined, body.length, digest.value]);
    }
    assertEquals(await readdir(folder.path), ["scene.tif"]);
    assertEquals(digestOf("md5", await readFile(join(folder.path, "scene.tif"))), digest.value);
    const kept = outcomes.filter((one) => one!.kept).length;
    return { downloaded: 8 - kept, kept, sent: storage.sent, size: body.length };
  } finally {
    await storage.close();
    await folder.remove();
  }
}

/** What a storm of kills came to. */
export interface Storm {
  /** Processes that were killed before they were done. */
  killed: number;
  /** Files that were downloaded at last. */
  files: number;
  /** Runs that went on where a killed one had stopped. */
  resumed: number;
  /** Bytes of all files, and those that were sent. */
  size: number;
  sent: number;
}

/** Kills processes at random instants, `kills` in all, and runs them again. */
export async function killStorm(kills: number, seed: number): Promise<Storm> {
  const random = randomFrom(seed);
  const storm: Storm = { killed: 0, files: 0, resumed: 0, size: 0, sent: 0 };
  for (let file = 0; storm.killed < kills; file++) {
    const body = bytesFrom(seed + file, 200_000 + Math.floor(random() * 1_800_000));
    const isSlow = random() < 0.7;
    const storage = await startStorage({
      body,
      ...(random() < 0.7 ? { etag: '"one"' } : {}),
      rate: isSlow ? 5_000_000 : 0,
    });
    const folder = await tempFolder();
    try {
      const algorithm = random() < 0.5 ? "MD5" as const : "SHA256" as const;
      const value = digestOf(algorithm === "MD5" ? "md5" : "sha256", body);
      const isKnown = storage.etag === undefined || random() < 0.5;
      const setup: WorkerSetup = {
        link: `${storage.origin}/scene.tif`,
        ...(isKnown ? { digest: { algorithm, value } } : {}),
        options: { directory: folder.path, ...(random() < 0.8 ? { filename: "scene.tif" } : {}) },
      };
      const path = join(folder.path, "scene.tif");
      const isWhole = async () => {
        const found = await readFile(path).catch(() => undefined);
        if (found !== undefined) assertEquals(digestOf("md5", found), digestOf("md5", body));
        return found !== undefined;
      };
      const runMs = 60 + (isSlow ? body.length / 5_000 : 60);
      for (let attempt = 0; attempt < 4 && storm.killed < kills; attempt++) {
        const worker = await startWorker(RUNTIMES[(file + attempt) % 3]!, setup);
        const ended = worker.begin();
        // By the clock, or, as a busy machine may not have begun by then, by the bytes that were sent.
        const timer = setTimeout(() => worker.kill(), (random() < 0.5 ? random() : 10) * runMs);
        const enough = storage.sent + random() * body.length;
        storage.onSent = () => void (storage.sent > enough && worker.kill());
        const outcome = await ended;
        clearTimeout(timer);
        delete storage.onSent;
        if (outcome === undefined) storm.killed++;
        else assertEquals(outcome.error, undefined);
        if (outcome?.resumed) storm.resumed++;
        await isWhole();
      }
      const worker = await startWorker(RUNTIMES[file % 3]!, setup);
      const outcome = await worker.begin();
      assertEquals([outcome?.error, outcome?.bytes], [undefined, body.length]);
      assert(await isWhole(), "There is no file.");
      assertEquals(await readdir(folder.path), ["scene.tif"]);
      storm.files++;
      if (outcome!.resumed) storm.resumed++;
      storm.size += body.length;
      storm.sent += storage.sent;
    } finally {
      await storage.close();
      await folder.remove();
    }
  }
  return storm;
}
