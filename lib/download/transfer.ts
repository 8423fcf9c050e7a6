/**
 * One download on its way: a link becomes one row of bytes, over cuts, stalls and links that run out;
 * and the name that it may have as a file.
 *
 * After a break it asks for the rest by `Range` (RFC 9110 §14), with `If-Range` (§13.1.5) so that bytes of
 * two versions never mix. It ends only at the full length. Knows nothing of files.
 *
 * @module
 */

import { AuthError, DownloadError } from "../errors.ts";
import { readBody, retryAfterMs } from "../exchange.ts";
import { apiError, tell } from "../http/failures.ts";
import { planOf } from "../http/plan.ts";
import { type Part, type Parts, partsOf, type SessionLike } from "../http/requester.ts";
import { type Clock, runtime, systemClock } from "../runtime.ts";
import type { DigestAlgorithm } from "./digest.ts";

/**
 * What `onProgress` is told: how far a download is.
 *
 * @category Downloads
 */
export interface DownloadProgress {
  /** Name of the file; of the files of an order, with the folders. */
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
  algorithm: DigestAlgorithm;
  /** The digest, in hexadecimal digits. */
  value: string;
}

/** Where the bytes of a download come from. */
export interface DownloadSource {
  /** The link to the bytes, which is a secret; `renew`: another one, since the last one ran out. */
  link(renew: boolean, signal?: AbortSignal): Promise<string | URL>;
  /** Digest that the bytes must have, if it is known. */
  digest?: ExpectedDigest | undefined;
  /** Size in bytes, if it is known. */
  size?: number | undefined;
  /** Whether there is no other link: one that has run out is the end. */
  isFixed?: boolean | undefined;
}

/**
 * Options of {@linkcode DataAPI.openAsset}: how a download is read as a stream.
 *
 * @category Downloads
 */
export interface OpenDownloadOptions {
  /** Most resumptions, one after the other, that bring no byte more; default 5. */
  maxResumes?: number | undefined;
  /** Ends the download; its promise, or the stream, fails with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Is told how far the download is: at most ten times a second, and at the end. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Replaces the system's clock, for tests. */
  clock?: Clock | undefined;
}

/** What is known of a version of the bytes, so that the rest of it can be asked for. */
export interface Version {
  /** What `If-Range` says: a strong ETag, or else the time of the last change. */
  readonly validator?: string | undefined;
  /** Size in bytes. */
  readonly total?: number | undefined;
}

/** These say that a link ran out. */
const RAN_OUT: readonly number[] = [401, 403, 404, 410];

/** Longest refusal that is read, in bytes. */
const LONGEST_REFUSAL = 65_536;

/** Between two reports of the progress, in milliseconds. */
const PROGRESS_MS = 100;

const DEFAULT_RESUMES = 5;

/** A body that is being read. */
interface Body {
  readonly reader: Parts;
  /** Where it ends, if that is known. */
  readonly end: number | undefined;
  /** Whether its end may be a cut: nothing frames it but the connection (RFC 9112 §6.3, 8). */
  readonly isUnframed: boolean;
}

/** One download on its way. */
export class Transfer {
  /** Name that the server gives, fit for a file; known once it has answered. */
  name = "";
  /** Media type, if it is known. */
  type: string | undefined;
  /** Bytes that were handed out, those of an earlier run too. */
  at = 0;
  /** Which version of the bytes that is. */
  version: Version = {};
  /** Whether the body is encoded, so that its rest cannot be asked for. */
  isEncoded = false;
  /** Whether it went on after a break. */
  isResumed = false;

  readonly #session: SessionLike;
  readonly #source: DownloadSource;
  readonly #options: OpenDownloadOptions;
  readonly #onRestart: (() => Promise<void>) | undefined;
  #link: string | undefined;
  #body: Body | undefined;
  #isDone = false;
  /** Whether the link is a new one that has not brought anything yet. */
  #isRenewed = false;
  /** The furthest that it came, and the breaks since then. */
  #best = 0;
  #breaks = 0;
  /** Whether a body ended where nothing tells whether that was all. */
  #isConfirming = false;
  #toldAt = -Infinity;

  /**
   * Asks for nothing yet.
   *
   * @param onRestart Is called if the bytes begin anew after some were handed out. Without it, that is
   *   an error.
   * @throws {TypeError} For options of a wrong type.
   */
  constructor(
    session: SessionLike,
    source: DownloadSource,
    options: OpenDownloadOptions,
    onRestart?: () => Promise<void>,
  ) {
    const { maxResumes = DEFAULT_RESUMES, onProgress } = options;
    if (!Number.isInteger(maxResumes) || maxResumes < 0) {
      throw new TypeError("maxResumes must be a whole number from 0 on.");
    }
    if (onProgress !== undefined && typeof onProgress !== "function") {
      throw new TypeError("onProgress must be a function.");
    }
    this.#session = session;
    this.#source = source;
    this.#options = options;
    this.#onRestart = onRestart;
  }

  /** Size in bytes, as far as it is known. */
  get total(): number | undefined {
    return this.#source.size ?? (this.isEncoded ? undefined : this.version.total);
  }

  /** Waits until there is a body to read, or nothing more to come. */
  async open(): Promise<void> {
    while (this.#body === undefined && !this.#isDone) await this.#ask();
  }

  /** Goes on at `at`, behind the bytes that an earlier run left of `version`. */
  continueAt(at: number, version: Version): void {
    this.#drop();
    this.#isDone = false;
    this.at = this.#best = at;
    this.version = version;
    this.isResumed ||= at > 0;
  }

  /** The next bytes, in the memory of `into` if that can be; `undefined` at the full length. */
  async read(into?: Uint8Array): Promise<Uint8Array | undefined> {
    while (true) {
      if (this.#body === undefined) await this.open();
      const body = this.#body;
      if (body === undefined) {
        this.tell(true);
        return undefined;
      }
      let step: Part;
      try {
        step = await body.reader.read(into);
      } catch (error) {
        this.#body = undefined;
        this.#options.signal?.throwIfAborted();
        if (error instanceof AuthError && !["network", "timeout"].includes(error.code)) throw error;
        await this.#break(error);
        continue;
      }
      if (step.done) {
        this.#body = undefined;
        await this.#end(body);
        continue;
      }
      if (step.value.byteLength === 0) continue;
      this.at += step.value.byteLength;
      if (this.at > (body.end ?? Infinity)) {
        this.#drop();
        throw this.#malformed("more bytes came than it had said");
      }
      this.#isRenewed = false;
      if (this.at > this.#best) [this.#best, this.#breaks] = [this.at, 0];
      this.tell();
      return step.value;
    }
  }

  /** Begins anew: what was handed out is not what it should be. */
  async restart(why: string): Promise<void> {
    this.#drop();
    if (this.at > 0) {
      if (this.#onRestart === undefined) {
        const message = `Download ${this.#what} again: ${why}, after some of it was read.`;
        throw new DownloadError("changed", message);
      }
      await this.#onRestart();
    }
    [this.at, this.version, this.isEncoded, this.#isDone] = [0, {}, false, false];
    this.#isConfirming = false;
  }

  /** Lets the connection go. */
  close(): void {
    this.#drop();
    this.#isDone = true;
  }

  /** Tells how far it is, unless that was told just now. */
  tell(isLast: boolean = false): void {
    const { onProgress } = this.#options;
    if (onProgress === undefined) return;
    const now = performance.now();
    const { at, isResumed, name, total } = this;
    // The end is told once, when it is sure.
    if (!isLast && (now - this.#toldAt < PROGRESS_MS || at === total)) return;
    this.#toldAt = now;
    try {
      onProgress({
        name,
        received: at,
        ...(total === undefined ? {} : { total }),
        resumed: isResumed,
      });
    } catch {
      // An observer's failure must not cost the download.
    }
  }

  /** How messages call it. */
  get #what(): string {
    return this.name === "" ? "the file" : JSON.stringify(this.name);
  }

  #drop(): void {
    this.#body?.reader.cancel().catch(() => {});
    this.#body = undefined;
  }

  #malformed(found: string): DownloadError {
    const origin = URL.canParse(this.#link ?? "") ? new URL(this.#link!).origin : "the server";
    return new DownloadError(
      "malformed_response",
      `Report this to the operator of ${origin}: for ${this.#what}, ${found}.`,
    );
  }

  /** A body ended: at the full length, or it is a break. */
  async #end({ end, isUnframed }: Body): Promise<void> {
    const { at, total } = this;
    if (end !== undefined && at < end) return await this.#break();
    if (total !== undefined) {
      if (at === total) this.#isDone = true;
      // What was framed came whole; of a part, the next one is asked for.
      else if (end === undefined && !isUnframed) throw this.#wrongSize(at, total);
      else if (end === undefined) await this.#break();
    } else if (end === undefined) {
      // By a digest it is seen later whether that was all; else the answer must be 416 now.
      this.#isDone = !isUnframed || this.#source.digest !== undefined;
      this.#isConfirming = !this.#isDone;
      if (this.#isConfirming && this.version.validator === undefined) throw this.#unknown();
    }
  }

  #wrongSize(found: number, expected: number): DownloadError {
    const message = `Look at ${this.#what} again: it has ${found} bytes, and not ${expected}.`;
    return new DownloadError("wrong_size", message);
  }

  #unknown(): DownloadError {
    return this.#malformed("nothing says how long it is, so a part of it would be taken for all");
  }

  /** Counts a break, waits a moment if nothing came since the last one, and sees how to go on. */
  async #break(cause?: unknown): Promise<void> {
    const { clock = systemClock, maxResumes = DEFAULT_RESUMES, signal } = this.#options;
    if (++this.#breaks > maxResumes) {
      const of = this.total === undefined ? "" : ` of ${this.total}`;
      const message = `Try again: ${this.#what} broke off at ${this.at}${of} bytes, ` +
        `and ${maxResumes} resumptions brought no more.`;
      throw new DownloadError("incomplete", message, cause === undefined ? undefined : { cause });
    }
    this.isResumed = true;
    if (this.#breaks > 1) await clock.sleep(250 * 2 ** Math.min(this.#breaks, 5), signal);
    const isKnown = this.version.validator !== undefined || this.#source.digest !== undefined;
    if (this.isEncoded || !isKnown) await this.restart("it broke off, and cannot be resumed");
  }

  /** Sends one request and takes its answer for what it is. */
  async #ask(): Promise<void> {
    const { signal } = this.#options;
    const { at, version } = this;
    if (this.#link === undefined) {
      this.#link = String(await this.#source.link(this.#isRenewed, signal));
    }
    const link = this.#link;
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (at > 0) {
      headers.range = `bytes=${at}-`;
      if (version.validator !== undefined) headers["if-range"] = version.validator;
    }
    const response = await this.#session.open(link, { headers, signal });
    const { status } = response;
    if (RAN_OUT.includes(status) && !this.#isRenewed && this.#source.isFixed !== true) {
      discard(response);
      [this.#isRenewed, this.#link] = [true, undefined];
      return;
    }
    if (status === 200 || status === 206) {
      this.type ??= response.headers.get("content-type") ?? undefined;
      this.name ||= nameOf(response.headers, response.url || link);
    }
    if (status === 200) return await this.#take(response);
    if (at > 0 && status === 206) return await this.#takeRest(response);
    if (at > 0 && status === 416) return await this.#takeNothing(response);
    if (status < 400) {
      discard(response);
      throw this.#malformed(`the answer was ${status}`);
    }
    throw await refusal(response, link);
  }

  /** 200: all of it, from the beginning. */
  async #take(response: Response): Promise<void> {
    try {
      if (this.#isConfirming) throw this.#unknown();
      await this.restart("the server has another version of it, or sends no parts");
      const { headers } = response;
      const coding = headers.get("content-encoding")?.trim().toLowerCase() || "identity";
      const length = wholeNumber(headers.get("content-length"));
      this.isEncoded = coding !== "identity";
      const total = this.isEncoded ? undefined : length;
      const { size } = this.#source;
      if (total !== undefined && total !== (size ?? total)) throw this.#wrongSize(total, size!);
      this.version = this.isEncoded ? {} : { total, validator: validatorOf(headers) };
      const stream = response.body ?? new Blob([]).stream();
      this.#body = {
        reader: partsOf(this.isEncoded ? this.#decoded(stream, coding) : stream, true),
        end: total,
        isUnframed: length === undefined && !headers.has("transfer-encoding") &&
          (runtime === "node" || runtime === "bun" ||
            /\bclose\b/i.test(headers.get("connection") ?? "")),
      };
    } catch (error) {
      discard(response);
      throw error;
    }
  }

  /** Deno decodes nothing if asked for `identity`; the others do all the same. */
  #decoded(stream: ReadableStream<Uint8Array>, coding: string): ReadableStream<Uint8Array> {
    if (runtime !== "deno") return stream;
    const format = coding === "x-gzip" ? "gzip" : coding === "br" ? "brotli" : coding;
    try {
      const decoder = new DecompressionStream(format as CompressionFormat);
      return stream.pipeThrough(decoder as TransformStream<Uint8Array, Uint8Array>);
    } catch {
      throw this.#malformed("it comes in a coding that nobody asked for and nobody can decode");
    }
  }

  /** 206: the rest, if it is that. */
  async #takeRest(response: Response): Promise<void> {
    const { at, total, version: { validator } } = this;
    const { headers } = response;
    const [, from, to, of] =
      /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(headers.get("content-range") ?? "") ??
        [];
    const [first, end, size] = [Number(from), Number(to) + 1, of === "*" ? total : Number(of)];
    const length = wholeNumber(headers.get("content-length"));
    if (
      from !== String(at) || !(first < end) || (size !== undefined && end > size) ||
      (length !== undefined && length !== end - first)
    ) {
      discard(response);
      throw this.#malformed("it was asked for from one byte on and came from another");
    }
    // Some servers know Range and do not look at If-Range.
    const mark = headers.get(validator?.startsWith('"') ? "etag" : "last-modified");
    const isOther = validator !== undefined && mark !== null && mark !== validator;
    const isEncoded = !/^(identity)?$/i.test(headers.get("content-encoding")?.trim() ?? "");
    if (isOther || isEncoded || (total !== undefined && size !== total)) {
      discard(response);
      return await this.restart("the server has another version of it");
    }
    this.version = { ...this.version, total: size };
    const stream = response.body ?? new Blob([]).stream();
    this.#body = { reader: partsOf(stream, true), end, isUnframed: false };
  }

  /** 416: there is no more, which is right at the full length only. */
  async #takeNothing(response: Response): Promise<void> {
    discard(response);
    const said = /^bytes \*\/(\d{1,15})$/i.exec(response.headers.get("content-range") ?? "")?.[1];
    const total = said === undefined ? this.total : Number(said);
    if (total === this.at && (this.total ?? total) === total) {
      this.version = { ...this.version, total };
      this.#isDone = true;
    } else await this.restart("the server has another version of it");
  }
}

/** Lets an answer's connection go. */
function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}

function wholeNumber(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}

/** What `If-Range` may say: a strong ETag, else a time that is surely one version's (RFC 9110 §8.8.2.2). */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get("etag")?.trim();
  if (tag !== undefined && /^"[^"]*"$/.test(tag)) return tag;
  const changed = headers.get("last-modified") ?? undefined;
  const age = Date.parse(headers.get("date") ?? "") - Date.parse(changed ?? "");
  // Within one second there may have been two versions.
  return age < 1000 || Number.isNaN(Date.parse(changed ?? "")) ? undefined : changed;
}

/** The error for a refusal; what a storage says of a link may quote parts of it, so only JSON is kept. */
async function refusal(response: Response, link: string): Promise<Error> {
  const addresses = [response.url, link].filter((text) => URL.canParse(text));
  const told = tell("GET", addresses[0] ?? "https://api.planet.com", planOf({}), true);
  const { bytes } = await readBody(response, LONGEST_REFUSAL, new AbortController().signal)
    .catch(() => ({ bytes: new Uint8Array() }));
  let text = new TextDecoder().decode(bytes);
  try {
    JSON.parse(text);
  } catch {
    text = "";
  }
  for (const address of addresses) {
    for (const value of new URL(address).searchParams.values()) {
      if (value.length < 8) continue;
      text = text.replaceAll(value, "(secret)").replaceAll(encodeURIComponent(value), "(secret)");
    }
  }
  const wait = retryAfterMs(response.headers, Date.now());
  const retryAt = wait === undefined ? undefined : Date.now() + wait;
  return apiError(told, response, text, retryAt, undefined);
}

/** Longest name, in bytes of UTF-8: names of our own beside it must fit into 255. */
const LONGEST_NAME = 180;

/** Names that are devices on Windows, whatever follows the first dot. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)/i;

/** What no file name may hold: control characters, those that turn or hide text, and Windows' own. */
const FORBIDDEN =
  // deno-lint-ignore no-control-regex
  /[\x00-\x1f\x7f-\x9f<>:"|?*\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]/g;

/**
 * A name that is safe in any folder on any system: the last segment of what was given, without
 * forbidden characters; empty if nothing is left of it.
 */
export function safeName(given: string): string {
  const segment = given.toWellFormed().split(/[/\\]/).at(-1)!;
  // A drive, or a stream of a file.
  let name = segment.replace(/^[a-z]:/i, "").replace(FORBIDDEN, "_").replace(/[\s.]+$/u, "").trim();
  if (/^[._]*$/.test(name)) return "";
  // Hidden files are settings of programs; the last ones are our own.
  if (name.startsWith(".") || DEVICE.test(name)) name = `_${name}`;
  if (/\.(part|part\.json|part\.lock(\..*)?)$/i.test(name)) name += "_";
  return shortened(name);
}

/** Cuts a name that is too long before its extension. */
function shortened(name: string): string {
  const size = (text: string) => new TextEncoder().encode(text).length;
  if (size(name) <= LONGEST_NAME) return name;
  const extension = /\.[^.]{1,16}$/.exec(name)?.[0] ?? "";
  const letters = [...name.slice(0, name.length - extension.length)];
  while (size(letters.join("") + extension) > LONGEST_NAME) letters.pop();
  return letters.join("") + extension;
}

/** A parameter of `Content-Disposition` (RFC 6266 §4.1), by its name in small letters. */
function parametersOf(header: string): Map<string, string> {
  const found = new Map<string, string>();
  const parameter =
    /;\s*([!#$%&'*+.^_`|~0-9a-z-]+)\s*=\s*(?:"((?:\\[\s\S]|[^"\\])*)"|([^;\s"]*))/gi;
  for (const [, name, quoted, token] of header.matchAll(parameter)) {
    // Backslashes of Windows' paths are common, those of quoted pairs are not.
    const value = quoted?.replace(/\\(["\\])/g, "$1") ?? token ?? "";
    if (!found.has(name!.toLowerCase())) found.set(name!.toLowerCase(), value);
  }
  return found;
}

/** A value with its charset (RFC 8187 §3.2); `undefined` if it is none. */
function extended(value: string | undefined): string | undefined {
  const [, charset, text] = /^([^']*)'[^']*'(.*)$/s.exec(value ?? "") ?? [];
  if (charset === undefined || !/^(utf-8|iso-8859-1)$/i.test(charset)) return undefined;
  const bytes = text!.replace(
    /%([0-9a-f]{2})/gi,
    (_, hex) => String.fromCharCode(parseInt(hex, 16)),
  );
  if (/^iso/i.test(charset)) return bytes;
  return utf8(bytes);
}

/** The text that bytes, one a character, are in UTF-8; `undefined` if they are none. */
function utf8(bytes: string): string | undefined {
  if (/[\u0100-\uffff]/.test(bytes)) return undefined;
  try {
    const codes = Uint8Array.from(bytes, (one) => one.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(codes);
  } catch {
    return undefined;
  }
}

/** Endings by media type, for what has no name at all. */
const ENDINGS: Readonly<Record<string, string>> = {
  "application/geo+json": ".geojson",
  "application/json": ".json",
  "application/zip": ".zip",
  "image/jpeg": ".jpg",
  "image/png": ".png",
  "image/tiff": ".tif",
  "text/csv": ".csv",
  "text/xml": ".xml",
};

/** The name of what was answered: by `Content-Disposition` (RFC 6266), by its address, or a new one. */
export function nameOf(headers: Headers, url: string): string {
  const given = parametersOf(`;${headers.get("content-disposition") ?? ""}`);
  // Headers come as Latin-1; servers write UTF-8 into them all the same.
  const plain = given.get("filename");
  const candidates = [extended(given.get("filename*")), plain && (utf8(plain) ?? plain)];
  const segment = URL.canParse(url) ? new URL(url).pathname.split("/").at(-1)! : "";
  try {
    candidates.push(decodeURIComponent(segment));
  } catch {
    candidates.push(segment);
  }
  for (const candidate of candidates) {
    const name = safeName(candidate ?? "");
    if (name !== "") return name;
  }
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  return `planet-${crypto.randomUUID().slice(0, 8)}${ENDINGS[type] ?? ""}`;
}
