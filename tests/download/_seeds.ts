/**
 * Downloads of random files from a storage that breaks off at random bytes, in random ways: what arrives
 * is one version of the file, or a typed error.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PlanetError } from "../../lib/errors.ts";
import { downloadFile, type DownloadSource, openDownload } from "../../lib/download/download.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import {
  type Break,
  bytesFrom,
  digestOf,
  LONG_AGO,
  QUICK,
  randomFrom,
  sessionFor,
  startStorage,
} from "./_server.ts";

/** What may be lost with a break: what the runtime holds. */
const BUFFER = 256 << 10;

/** What became of many downloads. */
export interface Tally {
  /** How many arrived whole. */
  whole: number;
  /** How many ended in which error. */
  errors: Record<string, number>;
  /** Breaks there were. */
  breaks: number;
  /** Bytes that had to be sent, and those that were, of those whose rest can be asked for. */
  size: number;
  sent: number;
  /** Most bytes that were sent beyond the size for each break. */
  mostBeyond: number;
}

/** Downloads once for each seed. */
export async function downloadSeeds(first: number, count: number): Promise<Tally> {
  const tally: Tally = { whole: 0, errors: {}, breaks: 0, size: 0, sent: 0, mostBeyond: 0 };
  for (let seed = first; seed < first + count; seed++) {
    try {
      await downloadSeed(seed, tally);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error}`, { cause: error });
    }
  }
  return tally;
}

async function downloadSeed(seed: number, tally: Tally): Promise<void> {
  const random = randomFrom(seed);
  const chance = (part: number) => random() < part;
  const size = Math.floor(random() ** 2 * 700_000);
  const body = bytesFrom(seed, size);
  const other = bytesFrom(seed + 1e6, chance(0.5) ? size : Math.floor(random() * 700_000));
  const etag = chance(0.5) ? `"v${seed}"` : chance(0.2) ? `W/"v${seed}"` : undefined;
  const lastModified = chance(0.4) ? LONG_AGO : undefined;
  const hasDigest = chance(0.5);
  const [isFile, isGzip, ranges, isChanging] = [
    chance(0.6),
    chance(0.1),
    chance(0.8),
    chance(0.25),
  ];
  let stalls = 0;
  const breaks: Break[] = Array.from({ length: Math.floor(random() * 6) }, () => {
    const how = chance(0.7) ? "end" : chance(0.7) || stalls++ > 0 ? "reset" : "stall";
    return { after: Math.floor(random() * (size + 1)), how };
  });
  const changesAt = isChanging ? 1 + Math.floor(random() * 3) : Infinity;
  const storage = await startStorage({
    body,
    etag,
    lastModified,
    ranges,
    ifRange: chance(0.8),
    framing: chance(0.8) ? "length" : "chunked",
    gzip: isGzip,
    breaks,
    breakMs: chance(0.5) ? 0 : 15,
  });
  let isChanged = false;
  storage.answer = (_, index) => {
    if (index < changesAt || isChanged) return undefined;
    isChanged = true;
    storage.body = other;
    if (etag !== undefined) storage.etag = etag.replace("v", "w");
    if (lastModified !== undefined) storage.lastModified = "Tue, 01 Apr 2025 11:00:00 GMT";
    return undefined;
  };
  const folder = await tempFolder();
  try {
    const session = sessionFor(storage.origin, { timeoutMs: 500 });
    const digest = { algorithm: "SHA256", value: digestOf("sha256", body) } as const;
    const source: DownloadSource = {
      link: () => Promise.resolve(`${storage.origin}/scene.tif`),
      ...(hasDigest ? { digest } : {}),
    };
    const options = { clock: QUICK, maxResumes: 12 };
    let found: Uint8Array | undefined;
    let failed: unknown;
    try {
      if (isFile) {
        const place = { ...options, directory: folder.path, filename: "a.tif" };
        // Half of them in two runs.
        if (chance(0.5)) {
          await downloadFile(session, source, { ...place, maxResumes: 0 }).catch((error) => {
            assert(error instanceof PlanetError, String(error));
          });
        }
        const { bytes, path } = await downloadFile(session, source, place);
        found = await readFile(path);
        assertEquals(bytes, found.length);
      } else {
        const { stream } = await openDownload(session, source, options);
        found = new Uint8Array(await new Response(stream).arrayBuffer());
      }
    } catch (error) {
      if (!(error instanceof PlanetError)) throw error;
      failed = error;
      const { code = error.name } = error as { code?: string };
      tally.errors[code] = (tally.errors[code] ?? 0) + 1;
    }
    const isResumable = ranges && !isGzip &&
      (etag?.startsWith('"') || lastModified !== undefined || hasDigest);
    tally.breaks += breaks.length - storage.breaks.length;
    if (found !== undefined) {
      tally.whole++;
      const wanted = isChanged && !hasDigest ? [body, other] : [body];
      const sums = wanted.map((one) => digestOf("sha256", one));
      assert(sums.includes(digestOf("sha256", found)), `${found.length} other bytes arrived`);
    } else {
      assert(
        !(await readFile(join(folder.path, "a.tif")).catch(() => undefined)),
        "It bears its name.",
      );
      assert(isChanged || !(isFile || isResumable), String(failed));
    }
    // With a reset the system drops what it holds for the reader, and that may be all.
    const isReset = breaks.slice(0, breaks.length - storage.breaks.length)
      .some(({ how }) => how === "reset");
    if (isResumable && !isChanged && !isReset) {
      const beyond = storage.sent - size;
      tally.size += size;
      tally.sent += storage.sent;
      const each = beyond / Math.max(storage.seen.length - 1, 1);
      tally.mostBeyond = Math.max(tally.mostBeyond, each);
      assert(
        each <= BUFFER,
        `${storage.sent} of ${size} bytes were sent, in ${storage.seen.length}`,
      );
    }
  } finally {
    await storage.close();
    await folder.remove();
  }
}
