/**
 * Downloads: a link becomes one stream that outlives cuts and stalls, or a file that is whole.
 *
 * @module
 */

import type { SessionLike } from "../http/requester.ts";

/** How far a download is. */
export interface DownloadProgress {
  /** Name of the file. */
  name: string;
  /** Bytes that are there, those of an earlier run too. */
  received: number;
  /** Size in bytes, if it is known. */
  total?: number;
  /** Whether it went on after a break, in this run or in an earlier one. */
  resumed: boolean;
}

/** Digest that bytes must have. */
export interface ExpectedDigest {
  /** How it is computed. */
  algorithm: "MD5" | "SHA256";
  /** The digest, in hexadecimal digits. */
  value: string;
}

/** Where the bytes of a download come from. */
export interface DownloadSource {
  /** The link to the bytes; `renew`: a new one, since the last one ran out. It is a secret. */
  link(renew: boolean, signal?: AbortSignal): Promise<string | URL>;
  /** Digest that the bytes must have, if it is known. */
  digest?: ExpectedDigest | undefined;
  /** Size in bytes, if it is known. */
  size?: number | undefined;
}

/** How a download is read as a stream. */
export interface OpenDownloadOptions {
  /** Most resumptions one after the other without a byte more; default 5. */
  maxResumes?: number | undefined;
  /** Ends the download; its promise, or the stream, fails with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Is told how far the download is: at most ten times a second, and at the end. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** How a download becomes a file. */
export interface DownloadOptions extends OpenDownloadOptions {
  /** Name of the file, without folders; default: the one that the server gives. */
  filename?: string | undefined;
  /** Folder of the file, which is made if it is missing; default: the current one. */
  directory?: string | undefined;
  /**
   * What happens if the file is there already: a whole one is kept (default), any is replaced, or the
   * download fails. One that is not whole (another length or digest) is not kept.
   */
  ifExists?: "keep" | "replace" | "fail" | undefined;
  /** Path below `directory`, with `/`, as an order's results have it; takes precedence over `filename`. */
  subPath?: string | undefined;
}

/** A file that was downloaded. */
export interface DownloadedFile {
  /** Absolute path. */
  path: string;
  /** Size in bytes. */
  bytes: number;
  /** MD5 in hexadecimal digits, if it was computed. */
  md5?: string;
  /** SHA-256 in hexadecimal digits, if it was computed. */
  sha256?: string;
  /** Whether the download went on after a break, in this run or in an earlier one. */
  resumed: boolean;
  /** Whether the file was there already. */
  kept: boolean;
}

/** A download as a stream. */
export interface OpenedDownload {
  /** The bytes; it ends only at the full length. */
  stream: ReadableStream<Uint8Array>;
  /** Name that the server gives, fit for a file. */
  name: string;
  /** Size in bytes, if it is known. */
  size?: number;
  /** Media type, if it is known. */
  type?: string;
}

/** Opens a download as a stream, on every runtime. */
export function openDownload(
  _session: SessionLike,
  _source: DownloadSource,
  _options: OpenDownloadOptions = {},
): Promise<OpenedDownload> {
  return Promise.reject(new Error("not there yet"));
}

/** Downloads into a file. */
export function downloadFile(
  _session: SessionLike,
  _source: DownloadSource,
  _options: DownloadOptions = {},
): Promise<DownloadedFile> {
  return Promise.reject(new Error("not there yet"));
}

/**
 * Does `work` on every item, on `concurrency` of them at once; the failure of one does not end the others.
 *
 * @returns What became of each, in the order of the items.
 */
export async function downloadMany<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  concurrency: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<PromiseSettledResult<Result>[]> {
  const iterator = Symbol.asyncIterator in items
    ? items[Symbol.asyncIterator]()
    : items[Symbol.iterator]();
  const results: PromiseSettledResult<Result>[] = [];
  let [count, ended] = [0, false];
  // One asks for the next item at a time: an iterator over pages may mind more.
  let asking: Promise<unknown> = Promise.resolve();
  const take = () => {
    const next = asking.then(async () => {
      const step = ended ? { done: true as const, value: undefined } : await iterator.next();
      ended = step.done === true;
      return step.done ? undefined : { item: step.value as Item, index: count++ };
    });
    asking = next.catch(() => ended = true);
    return next;
  };
  const worker = async () => {
    for (let next = await take(); next !== undefined; next = await take()) {
      const [settled] = await Promise.allSettled([work(next.item, next.index)]);
      results[next.index] = settled!;
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const one of workers) if (one.status === "rejected") throw one.reason;
  return results;
}
