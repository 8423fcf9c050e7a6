/**
 * Downloads: a link becomes a stream that outlives cuts and stalls, or a file that is whole.
 *
 * A file is written as `<name>.part` beside its place, by one writer among the processes of a machine, and
 * gets its name once length and digest are right and the disk has it. What an earlier run left in
 * `<name>.part` is gone on with; `<name>.part.json` says which version of the bytes that is. No link is
 * ever written down.
 *
 * @module
 */

import { AuthError, ClientError, DownloadError, PlanetError } from "../errors.ts";
import type { SessionLike } from "../http/requester.ts";
import { openFiles } from "../storage/file.ts";
import type { HeldFileLock } from "../storage/file_lock.ts";
import type { OpenFile } from "../storage/files.ts";
import { fileErrorCode } from "../storage/objects.ts";
import type { Digest, DigestAlgorithm } from "./digest.ts";
import {
  type DownloadSource,
  type ExpectedDigest,
  type OpenDownloadOptions,
  safeName,
  Transfer,
  type Version,
} from "./transfer.ts";

export type {
  DownloadProgress,
  DownloadSource,
  ExpectedDigest,
  OpenDownloadOptions,
} from "./transfer.ts";
export { safeName };

/**
 * Options of every download into a file: how it becomes one.
 *
 * @category Downloads
 */
export interface DownloadOptions extends OpenDownloadOptions {
  /** Name of the file, without folders; default: the one that the server gives. */
  filename?: string | undefined;
  /** Folder of the file, which is made if it is missing; default: the current one. */
  directory?: string | undefined;
  /**
   * What happens if the file is there already: a whole one is kept (default), any is replaced, or the
   * download fails. One that is not whole, by its length or digest, is not kept but replaced.
   */
  ifExists?: "keep" | "replace" | "fail" | undefined;
  /** Path below `directory`, with `/`, as an order's results have it; takes precedence over `filename`. */
  subPath?: string | undefined;
}

/**
 * What a download into a file answers, such as that of {@linkcode DataAPI.downloadAsset}.
 *
 * @category Downloads
 */
export interface DownloadedFile {
  /** Path: `directory` and the name. */
  path: string;
  /** Size in bytes. */
  bytes: number;
  /** MD5 in hexadecimal digits, if it was computed: the digest that was to be expected is. */
  md5?: string;
  /** SHA-256 in hexadecimal digits, if it was computed. */
  sha256?: string;
  /** Whether the download went on after a break, in this run or in an earlier one. */
  resumed: boolean;
  /** Whether the file was there already. */
  kept: boolean;
}

/**
 * What {@linkcode DataAPI.openAsset} answers: a download as a stream.
 *
 * @category Downloads
 */
export interface OpenedDownload {
  /** The bytes; it ends only at the full length, and fails if they have not the digest expected. */
  stream: ReadableStream<Uint8Array>;
  /** Name that the server gives, fit for a file. */
  name: string;
  /** Size in bytes, if it is known. */
  size?: number;
  /** Media type, if it is known. */
  type?: string;
}

/** Bytes that are read from a file at once. */
const READ_BYTES = 1 << 20;

/** Bytes that are written at once. */
const WRITE_BYTES = 1 << 19;

/** How long a lock is waited for: as long as its holder lives. */
const NO_END_MS = 0x7fffffff;

/**
 * Opens a download as a stream, on every runtime.
 *
 * @throws {ApiError} If the link is refused; `DownloadError`, `AuthError` as the session has them.
 */
export async function openDownload(
  session: SessionLike,
  source: DownloadSource,
  options: OpenDownloadOptions = {},
): Promise<OpenedDownload> {
  const transfer = new Transfer(session, source, options);
  const digest = await beginDigest(source.digest);
  await transfer.open();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const part = await transfer.read();
        if (part !== undefined) {
          await digest?.update(part);
          return controller.enqueue(part);
        }
        const found = await digest?.hex();
        if (!isRight(found, source.digest)) throw wrongDigest(transfer.name);
        controller.close();
      } catch (error) {
        transfer.close();
        throw error;
      }
    },
    cancel: () => transfer.close(),
  }, { highWaterMark: 0 });
  const { name, total, type } = transfer;
  return {
    stream,
    name,
    ...(total === undefined ? {} : { size: total }),
    ...(type === undefined ? {} : { type }),
  };
}

/**
 * Downloads into a file, which bears its name only once it is whole.
 *
 * @throws {ApiError} If the link is refused; `DownloadError`; `AuthError` as the session has them, and
 *   `unsupported_runtime` if there are no files; `ClientError` for options that cannot be.
 */
export async function downloadFile(
  session: SessionLike,
  source: DownloadSource,
  options: DownloadOptions = {},
): Promise<DownloadedFile> {
  const place = checkPlace(options);
  const [files, steps, locks] = await Promise.all([
    openFiles(),
    import("../storage/files.ts"),
    import("../storage/file_lock.ts"),
  ]);
  return await new FileDownload({ files, ...steps, ...locks }, session, source, options, place)
    .run();
}

/**
 * Does `work` on every item, on `concurrency` of them at once; the failure of one does not end the others.
 *
 * @returns What became of each, in the order of the items.
 * @throws What asking for the items fails with, once what was begun has ended.
 */
export async function downloadMany<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  concurrency: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<PromiseSettledResult<Result>[]> {
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new ClientError("Give concurrency a whole number from 1 on.");
  }
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
      const { item, index } = next;
      // Even a `work` that throws at once must not end the others.
      const [settled] = await Promise.allSettled([(async () => await work(item, index))()]);
      results[index] = settled!;
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const one of workers) if (one.status === "rejected") throw one.reason;
  return results;
}

/**
 * The digest of a file in hexadecimal digits, read in parts.
 *
 * @throws {ClientError} If there is no such file; `AuthError` `unsupported_runtime` if there are no files.
 */
export async function fileDigest(
  path: string,
  algorithm: DigestAlgorithm,
  signal?: AbortSignal,
): Promise<string> {
  const [files, { present }] = await Promise.all([openFiles(), import("../storage/files.ts")]);
  const file = await present(() => files.open(path, "read"));
  if (file === undefined) throw new ClientError(`Download ${path} first: it is not there.`);
  try {
    const digest = await beginDigest({ algorithm, value: "" });
    await hash(file, digest!, signal);
    return await digest!.hex();
  } finally {
    file.close();
  }
}

/**
 * The text of a file, read whole.
 *
 * @throws {ClientError} If there is no such file; `AuthError` `unsupported_runtime` if there are no files.
 */
export async function fileText(path: string): Promise<string> {
  const [files, { present }] = await Promise.all([openFiles(), import("../storage/files.ts")]);
  const bytes = await present(() => files.read(path));
  if (bytes === undefined) throw new ClientError(`Download ${path} first: it is not there.`);
  return new TextDecoder().decode(bytes);
}

/**
 * The path that a download with these options writes.
 *
 * @throws {DownloadError} `unsafe_name` for a path that is not safe below a folder.
 */
export async function pathBelow(directory: string, subPath: string): Promise<string> {
  const { segments } = checkPlace({ directory, subPath });
  const { join } = await import("../storage/files.ts");
  return join(directory, ...segments!);
}

/** Takes a file's bytes into a digest; the answer is how many there are. */
async function hash(file: OpenFile, digest: Digest, signal?: AbortSignal): Promise<number> {
  const buffer = new Uint8Array(READ_BYTES);
  let size = 0;
  for (let count = await file.read(buffer); count > 0; count = await file.read(buffer)) {
    signal?.throwIfAborted();
    await digest.update(buffer.subarray(0, count));
    size += count;
  }
  return size;
}

/** Where a file goes: the segments of its path below `directory`, if they are known. */
interface Place {
  readonly directory: string;
  readonly segments: readonly string[] | undefined;
}

function checkPlace(options: DownloadOptions): Place {
  const { directory = ".", filename, ifExists = "keep", subPath } = options;
  for (const [name, value] of Object.entries({ directory, filename, subPath })) {
    if (value !== undefined && typeof value !== "string") {
      throw new TypeError(`${name} must be a string.`);
    }
  }
  if (!["keep", "replace", "fail"].includes(ifExists)) {
    throw new ClientError('Give ifExists one of "keep", "replace", "fail".');
  }
  if (directory === "" || directory.includes("\0")) {
    throw new ClientError("Give directory the path of a folder.");
  }
  if (subPath !== undefined) {
    const segments = subPath.split("/");
    if (segments.every((segment) => segment !== "" && safeName(segment) === segment)) {
      return { directory, segments };
    }
    const message =
      `Report this to Planet: ${JSON.stringify(subPath)} is no path for a file that ` +
      `is safe below a folder on every system. Nothing was written.`;
    throw new DownloadError("unsafe_name", message);
  }
  // What the program itself says may be hidden, but it is one name in the folder.
  if (filename !== undefined && (/[/\\\0]/.test(filename) || /^\.{0,2}$/.test(filename))) {
    throw new ClientError("Give filename a name without folders, and the folder as directory.");
  }
  return { directory, segments: filename === undefined ? undefined : [filename] };
}

async function beginDigest(expected: ExpectedDigest | undefined): Promise<Digest | undefined> {
  if (expected === undefined) return undefined;
  const { openDigest } = await import("./digest.ts");
  const digest = openDigest(expected.algorithm);
  if (digest !== undefined) return digest;
  const message =
    `Give the digest as MD5, or none: this runtime computes no ${expected.algorithm}` +
    " of a stream.";
  throw new AuthError("unsupported_runtime", message);
}

function isRight(found: string | undefined, expected: ExpectedDigest | undefined): boolean {
  return expected === undefined || found === expected.value.trim().toLowerCase();
}

function wrongDigest(name: string): DownloadError {
  const message = `Download ${JSON.stringify(name)} again: its bytes have not the digest expected.`;
  return new DownloadError("wrong_digest", message);
}

/** What the file side works with. */
type Tools =
  & typeof import("../storage/files.ts")
  & typeof import("../storage/file_lock.ts")
  & { readonly files: Awaited<ReturnType<typeof openFiles>> };

/** What `<name>.part.json` says of `<name>.part`. */
interface Note extends Version {
  /** The digest that was expected. */
  readonly digest?: string | undefined;
  /** The start of the machine: what the disk did not have before it may be zeros now. */
  readonly boot?: string | undefined;
}

/** One download into a file. */
class FileDownload {
  readonly #tools: Tools;
  readonly #source: DownloadSource;
  readonly #options: DownloadOptions;
  readonly #place: Place;
  readonly #transfer: Transfer;
  #path = "";
  #file: OpenFile | undefined;
  /** What waits to be written, and what is being written: one large write costs less than many. */
  #buffer = new Uint8Array(WRITE_BYTES);
  #spare = new Uint8Array(WRITE_BYTES);
  #held = 0;
  #writing: Promise<void> = Promise.resolve();
  #digest: Digest | undefined;
  /** The version that the note beside the part tells of. */
  #noted: Version | undefined;

  constructor(
    tools: Tools,
    session: SessionLike,
    source: DownloadSource,
    options: DownloadOptions,
    place: Place,
  ) {
    this.#tools = tools;
    this.#source = source;
    this.#options = options;
    this.#place = place;
    this.#transfer = new Transfer(session, source, options, () => this.#clear());
  }

  async run(): Promise<DownloadedFile> {
    const transfer = this.#transfer;
    const { files, join, makeFolders, present, removeLeftovers, takeFileLock } = this.#tools;
    const { directory, segments } = this.#place;
    const { signal } = this.#options;
    let lock: HeldFileLock | undefined;
    try {
      signal?.throwIfAborted();
      if (segments === undefined) await transfer.open();
      else transfer.name = segments.join("/");
      const path = this.#path = join(directory, ...segments ?? [transfer.name]);
      await this.#subFolders(false);
      const seen = await this.#existing();
      if (seen !== undefined) {
        // A run that was killed may have left something beside a whole file.
        const names = [this.#part, this.#side, `${this.#part}.lock`];
        const left = await Promise.all(names.map((name) => present(() => files.lookAt(name))));
        if (left.every((one) => one === undefined)) return this.#kept(seen);
      }
      await makeFolders(files, directory, 0o777);
      await this.#subFolders(true);
      lock = await takeFileLock(files, this.#part, { signal, timeoutMs: NO_END_MS });
      const found = await this.#existing();
      let hex: string | undefined;
      if (found !== undefined) await this.#remove(this.#part);
      else {
        hex = await this.#write();
        await lock.confirm();
        // Somebody else's program may have made it meanwhile.
        if (this.#options.ifExists === "fail") await this.#existing();
        await files.rename(this.#part, path);
        await files.syncFolder(this.#tools.dirname(path));
      }
      await this.#remove(this.#side);
      await removeLeftovers(files, this.#part, Infinity).catch(() => {});
      if (found !== undefined) return this.#kept(found);
      const { at, isResumed } = transfer;
      return { path, bytes: at, ...this.#named(hex), resumed: isResumed, kept: false };
    } catch (error) {
      throw this.#explain(error);
    } finally {
      transfer.close();
      await this.#writing.catch(() => {});
      this.#file?.close();
      if (lock !== undefined) await this.#tidy(lock).catch(() => {});
      await lock?.release();
    }
  }

  /** Takes a part away in which nothing is to be gone on with. */
  async #tidy(lock: HeldFileLock): Promise<void> {
    const { files, present } = this.#tools;
    const left = await present(() => files.lookAt(this.#part));
    if (left?.isFile && left.size === 0) await lock.remove(this.#part);
  }

  get #part(): string {
    return `${this.#path}.part`;
  }

  get #side(): string {
    return `${this.#path}.part.json`;
  }

  /** Makes the folders of an order's result below `directory`, or only looks; no link is followed. */
  async #subFolders(areMade: boolean): Promise<void> {
    const { dirname, files, join, present } = this.#tools;
    const { directory, segments = [] } = this.#place;
    for (let count = 1; count < segments.length; count++) {
      const path = join(directory, ...segments.slice(0, count));
      if (areMade && await present(() => files.lookAt(path)) === undefined) {
        await files.makeFolder(path, 0o777).catch((error) => {
          // Another download may have made it meanwhile.
          if (fileErrorCode(error) !== "EEXIST") throw error;
        });
        await files.syncFolder(dirname(path));
      }
      const found = await present(() => files.lookAt(path));
      if (found === undefined && !areMade) return;
      if (found?.isFolder === true && !found.isLink) continue;
      const message = `Move ${path} away: a folder belongs there, and links are not followed.`;
      throw new DownloadError("file_failed", message);
    }
  }

  /** What is there already, if that will do. */
  async #existing(): Promise<{ bytes: number; hex: string | undefined } | undefined> {
    const { files, present } = this.#tools;
    const { ifExists = "keep" } = this.#options;
    const found = await present(() => files.lookAt(this.#path));
    if (found === undefined) return undefined;
    if (ifExists === "fail" || !(found.isFile || found.isLink)) {
      const message = `Move ${this.#path} away, or give another name: it is there already.`;
      throw new DownloadError("file_exists", message);
    }
    if (ifExists === "replace" || found.isLink) return undefined;
    if (found.size !== (this.#transfer.total ?? found.size)) return undefined;
    const digest = await beginDigest(this.#source.digest);
    if (digest !== undefined) {
      const file = await files.open(this.#path, "read");
      try {
        await hash(file, digest, this.#options.signal);
      } finally {
        file.close();
      }
    }
    const hex = await digest?.hex();
    return isRight(hex, this.#source.digest) ? { bytes: found.size, hex } : undefined;
  }

  #kept({ bytes, hex }: { bytes: number; hex: string | undefined }): DownloadedFile {
    this.#transfer.at = bytes;
    this.#transfer.tell(true);
    return { path: this.#path, bytes, ...this.#named(hex), resumed: false, kept: true };
  }

  #named(hex: string | undefined): { md5?: string; sha256?: string } {
    if (hex === undefined) return {};
    return this.#source.digest?.algorithm === "MD5" ? { md5: hex } : { sha256: hex };
  }

  /** Writes the part until it is whole and right and on the disk; the answer is its digest. */
  async #write(): Promise<string | undefined> {
    const { files, present } = this.#tools;
    const expected = this.#source.digest;
    const transfer = this.#transfer;
    const found = await present(() => files.lookAt(this.#part));
    if (found !== undefined && !found.isFile) {
      throw new DownloadError("file_failed", `Move ${this.#part} away: it is no regular file.`);
    }
    const size = found?.size ?? 0;
    const note = size > 0 ? await this.#readNote() : undefined;
    const goesOn = size > 0 && this.#mayContinue(note, size);
    const from = goesOn && expected === undefined ? size : 0;
    this.#file = await files.open(this.#part, found === undefined ? "new" : "write", from);
    if (goesOn) {
      this.#digest = await beginDigest(expected);
      const at = this.#digest === undefined
        ? size
        : await hash(this.#file, this.#digest, this.#options.signal);
      transfer.continueAt(at, note ?? {});
      this.#noted = transfer.version;
    } else await this.#clear();
    for (let isAgain = false;; isAgain = true) {
      // Whose digest is known need not be asked for once it is all there.
      if (expected === undefined || transfer.at === 0 || transfer.at !== transfer.total) {
        await this.#fill();
      }
      const hex = await this.#digest?.hex();
      if (isRight(hex, expected)) {
        await this.#file.sync();
        this.#file.close();
        this.#file = undefined;
        return hex;
      }
      // Parts of two versions may have met, if only once.
      if (isAgain || !transfer.isResumed) {
        await this.#clear();
        this.#file.close();
        this.#file = undefined;
        await this.#remove(this.#part);
        throw wrongDigest(transfer.name);
      }
      await transfer.restart("its bytes have not the digest expected");
    }
  }

  /** Writes what comes, while the next bytes are on their way; after a failure too, what has come. */
  async #fill(): Promise<void> {
    const transfer = this.#transfer;
    try {
      let into: Uint8Array = new Uint8Array(WRITE_BYTES);
      for (;;) {
        const bytes = await transfer.read(into);
        if (bytes === undefined) break;
        if (transfer.version !== this.#noted) await this.#writeNote();
        for (let at = 0; at < bytes.length;) {
          const part = bytes.subarray(at, at + WRITE_BYTES - this.#held);
          this.#buffer.set(part, this.#held);
          this.#held += part.length;
          at += part.length;
          if (this.#held === WRITE_BYTES) await this.#flush();
        }
        const taken = this.#digest?.update(bytes);
        if (taken !== undefined) await taken;
        if (into.byteLength === 0) into = new Uint8Array(bytes.buffer);
      }
    } finally {
      await this.#flush();
      await this.#writing;
    }
  }

  /** Begins to write what is held, once what was begun before is written. */
  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#held === 0) return;
    const writing = this.#file!.write(this.#buffer.subarray(0, this.#held));
    [this.#buffer, this.#spare, this.#held] = [this.#spare, this.#buffer, 0];
    this.#writing = writing;
    // It is waited for later, and may have failed by then.
    writing.catch(() => {});
  }

  /** Empties the part; first the note, which would be of something else. */
  async #clear(): Promise<void> {
    this.#held = 0;
    await this.#writing;
    await this.#remove(this.#side);
    this.#noted = undefined;
    await this.#file!.clear();
    this.#digest = await beginDigest(this.#source.digest);
  }

  /** Whether the part may be gone on with: by its digest, or else by its version. */
  #mayContinue(note: Note | undefined, size: number): boolean {
    const { total, version } = this.#transfer;
    if (size > (total ?? note?.total ?? Infinity)) return false;
    if (version.validator !== undefined && version.validator !== note?.validator) return false;
    const expected = this.#source.digest;
    if (expected !== undefined) return note !== undefined && note.digest === expected.value;
    return note?.validator !== undefined;
  }

  async #readNote(): Promise<Note | undefined> {
    const { files } = this.#tools;
    try {
      const { boot, digest, total, validator } = JSON.parse(
        new TextDecoder().decode(await files.read(this.#side)),
      ) as Record<string, unknown>;
      // After the machine stopped, bytes are only believed if a digest speaks for them.
      if (boot !== await this.#boot() && this.#source.digest === undefined) return undefined;
      return {
        ...(typeof digest === "string" ? { digest } : {}),
        ...(typeof total === "number" ? { total } : {}),
        ...(typeof validator === "string" ? { validator } : {}),
      };
    } catch {
      return undefined;
    }
  }

  async #writeNote(): Promise<void> {
    const version = this.#noted = this.#transfer.version;
    await this.#remove(this.#side);
    // The rest of an encoded body cannot be asked for.
    if (this.#transfer.isEncoded) return;
    const digest = this.#source.digest?.value;
    const note: Note = { ...version, digest, boot: await this.#boot() };
    await this.#tools.files.create(this.#side, new TextEncoder().encode(JSON.stringify(note)));
  }

  async #boot(): Promise<string | undefined> {
    return (await this.#tools.files.processSpace())?.split(" ")[0];
  }

  async #remove(path: string): Promise<void> {
    const { files, present } = this.#tools;
    await present(() => files.remove(path, "file"));
  }

  /** Makes the system's errors typed ones; the rest stays as it is. */
  #explain(cause: unknown): unknown {
    if (cause instanceof PlanetError || cause === this.#options.signal?.reason) return cause;
    const code = fileErrorCode(cause);
    const { directory } = this.#place;
    if (code === "NotCapable") {
      const flags = `--allow-read=${directory} --allow-write=${directory}`;
      const message = `Run with ${flags}: this program may not write ${this.#path || directory}.`;
      return new DownloadError("file_denied", message, { cause });
    }
    if (!/^E[A-Z0-9]+$/.test(code)) return cause;
    const isDenied = ["EACCES", "EPERM", "EROFS"].includes(code);
    const advice = isDenied
      ? "Let this user write"
      : code === "ENOSPC" || code === "EDQUOT"
      ? "Make room on the disk for"
      : "Check the disk and the folder of";
    const message = `${advice} ${this.#path || directory}: the system refused (${code}).`;
    return new DownloadError(isDenied ? "file_denied" : "file_failed", message, { cause });
  }
}
