/**
 * A storage on an origin of its own, as Planet's downloads lead to: signed links, ranges, and all that
 * can go wrong with a body.
 *
 * Holds no bytes: what lies at a place of a file is computed, so that large ones cost nothing.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { noteSecret } from "../_support/watch.ts";

/** A file whose bytes follow from its seed, unless it has a text. */
export interface StoredFile {
  /** What is in it. */
  readonly text?: string;
  /** Name that the storage gives it. */
  readonly name: string;
  /** Media type. */
  readonly type: string;
  /** Size in bytes. */
  readonly size: number;
  /** What its bytes follow from; another seed means that the file has changed. */
  readonly seed: number;
}

/** Breaks a body off after so many bytes of it: the connection ends, or nothing more comes. */
export interface BodyBreak {
  /** After how many bytes. */
  readonly after: number;
  /** How. */
  readonly how: "cut" | "stall";
}

/** How the storage behaves; may be changed at any time. */
export interface StorageSettings {
  /** How it names a file; `climbing` tries to leave the folder. */
  disposition: "quoted" | "bare" | "extended" | "climbing" | "none";
  /** Whether it says how long a body is. */
  hasLength: boolean;
  /** What it makes of `Range`: a part, the whole file, or 416. */
  ranges: "honoured" | "ignored" | "refused";
  /** How it tells whether a file is still the same. */
  validator: "etag" | "weak" | "date" | "none";
  /** Whether bodies are compressed, whoever asked for it. */
  gzip: boolean;
  /** What becomes of the next bodies, one each. */
  breaks: BodyBreak[];
  /** How long a link is good for, in milliseconds. */
  linkMs: number;
  /** What a link that has run out is answered with. */
  expiredStatus: number;
  /** Pause between two parts of a body, in milliseconds. */
  pauseMs: number;
}

/** Bytes of a part of a body. */
const PART = 64 << 10;

const MODIFIED = "Wed, 01 Jan 2025 00:00:00 GMT";

/** The bytes of a file from `start` on. */
export function bytesOf(file: StoredFile, start = 0, length = file.size): Uint8Array {
  const { seed, size, text } = file;
  const end = Math.min(start + length, size);
  if (text !== undefined) return new TextEncoder().encode(text).subarray(start, end);
  const first = start >> 2;
  const words = new Uint32Array(Math.max(((end + 3) >> 2) - first, 0));
  for (let index = 0; index < words.length; index++) {
    let word = Math.imul(first + index + 1, 0x9e3779b1) ^ seed;
    word = Math.imul(word ^ (word >>> 15), 0x85ebca6b);
    words[index] = word ^ (word >>> 13);
  }
  return new Uint8Array(words.buffer).subarray(start - first * 4, end - first * 4);
}

const digests = new Map<string, string>();

/** A digest of a file's bytes, in hexadecimal digits. */
export function digestOf(file: StoredFile, algorithm: "md5" | "sha256" = "md5"): string {
  const key = `${algorithm} ${file.seed} ${file.size}`;
  let digest = file.text === undefined ? digests.get(key) : undefined;
  if (digest === undefined) {
    const hash = createHash(algorithm);
    for (let at = 0; at < file.size; at += 1 << 20) hash.update(bytesOf(file, at, 1 << 20));
    digest = hash.digest("hex");
    if (file.text === undefined) digests.set(key, digest);
  }
  return digest;
}

/** What a storage remembers of itself. */
export interface StorageCounters {
  /** Requests that carried credentials, which no storage may see. */
  authorizations: number;
  /** Bytes of bodies that were written. */
  bytes: number;
  /** Bodies that were begun. */
  bodies: number;
  /** Most bodies at once. */
  mostAtOnce: number;
}

/** The storage. */
export class Storage {
  /** Settings. */
  readonly settings: StorageSettings = {
    disposition: "quoted",
    hasLength: true,
    ranges: "honoured",
    validator: "etag",
    gzip: false,
    breaks: [],
    linkMs: 3_600_000,
    expiredStatus: 403,
    pauseMs: 0,
  };
  /** What it saw. */
  readonly counters: StorageCounters = { authorizations: 0, bytes: 0, bodies: 0, mostAtOnce: 0 };
  /** What may answer in its place; `undefined`: it answers itself. */
  fault: ((url: URL) => number | undefined) | undefined;
  /** Whether a bit of the next body of a file flips on its way. */
  flips: ((path: string) => boolean) | undefined;
  readonly #links = new Map<string, { path: string; expiresAt: number }>();
  readonly #files: (path: string) => StoredFile | undefined;
  readonly #closing: AbortSignal;
  #atOnce = 0;

  /** Makes a storage for the files that `files` knows. */
  constructor(files: (path: string) => StoredFile | undefined, closing: AbortSignal) {
    this.#files = files;
    this.#closing = closing;
  }

  /** Makes a link to a file: a path with a signature. */
  sign(path: string): string {
    const signature = `signature-${crypto.randomUUID()}`;
    noteSecret("link", signature);
    this.#links.set(signature, { path, expiresAt: Date.now() + this.settings.linkMs });
    return `/files/${path}?X-Signature=${signature}`;
  }

  /** Answers one request. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const refuse = (status: number, code: string) => {
      response.writeHead(status, { "content-type": "application/xml" });
      response.end(`<Error><Code>${code}</Code></Error>`);
    };
    if (request.headers.authorization !== undefined) {
      this.counters.authorizations++;
      return refuse(400, "OnlyOneAuthMechanismAllowed");
    }
    const fault = this.fault?.(url);
    if (fault !== undefined) return refuse(fault, "SlowDown");
    const path = url.pathname.replace(/^\/files\//, "");
    const link = this.#links.get(url.searchParams.get("X-Signature") ?? "");
    if (link === undefined || link.path !== path) return refuse(403, "SignatureDoesNotMatch");
    if (link.expiresAt <= Date.now()) return refuse(this.settings.expiredStatus, "ExpiredToken");
    const file = this.#files(path);
    if (file === undefined) return refuse(404, "NoSuchKey");
    await this.#send(request, response, file, this.flips?.(path) === true);
  }

  async #send(
    request: IncomingMessage,
    response: ServerResponse,
    file: StoredFile,
    flips: boolean,
  ): Promise<void> {
    const { disposition, gzip, hasLength, ranges, validator } = this.settings;
    const etag = `"${file.seed.toString(16)}-${file.size}"`;
    const headers: Record<string, string> = {
      "content-type": file.type,
      ...(ranges === "honoured" ? { "accept-ranges": "bytes" } : {}),
      ...(validator === "etag" ? { etag } : {}),
      ...(validator === "weak" ? { etag: `W/${etag}` } : {}),
      ...(validator === "none" ? {} : { "last-modified": MODIFIED }),
    };
    const named: Record<StorageSettings["disposition"], string | undefined> = {
      quoted: `attachment; filename="${file.name}"`,
      bare: `attachment; filename=${file.name}; size=${file.size}`,
      extended: `attachment; filename="x"; filename*=UTF-8''${encodeURIComponent(file.name)}`,
      climbing: `attachment; filename="../../${file.name}"`,
      none: undefined,
    };
    const name = named[disposition];
    if (name !== undefined) headers["content-disposition"] = name;
    let [start, end, status] = [0, file.size, 200];
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const isSame = [undefined, validator === "etag" ? etag : MODIFIED].includes(
      request.headers["if-range"] as string | undefined,
    ) && (validator !== "none" || request.headers["if-range"] === undefined);
    if (asked !== null && isSame && ranges !== "ignored" && !gzip) {
      start = Number(asked[1]);
      end = Math.min(asked[2] ? Number(asked[2]) + 1 : file.size, file.size);
      if (ranges === "refused" || start >= end) {
        response.writeHead(416, { "content-range": `bytes */${file.size}` });
        response.end();
        return;
      }
      status = 206;
      headers["content-range"] = `bytes ${start}-${end - 1}/${file.size}`;
    }
    if (gzip) {
      const body = gzipSync(bytesOf(file));
      headers["content-encoding"] = "gzip";
      if (hasLength) headers["content-length"] = String(body.length);
      response.writeHead(200, headers);
      response.end(body);
      return;
    }
    if (hasLength) headers["content-length"] = String(end - start);
    response.writeHead(status, headers);
    if (request.method === "HEAD") return void response.end();
    const broken = this.settings.breaks.shift();
    const until = broken === undefined ? end : Math.min(start + broken.after, end);
    this.counters.bodies++;
    this.counters.mostAtOnce = Math.max(this.counters.mostAtOnce, ++this.#atOnce);
    try {
      for (let at = start; at < until && !response.destroyed; at += PART) {
        const part = bytesOf(file, at, Math.min(PART, until - at));
        if (flips && at === start) part[0]! ^= 1;
        this.counters.bytes += part.length;
        if (!response.write(part)) await this.#drained(response);
        if (this.settings.pauseMs > 0) await this.#pause(this.settings.pauseMs);
      }
      if (until === end && broken === undefined) return void response.end();
      // What was written so far has to arrive.
      await this.#pause(20);
      if (broken?.how === "stall") await this.#gone(response);
      request.socket.destroy();
    } finally {
      this.#atOnce--;
    }
  }

  #drained(response: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        response.off("drain", done).off("close", done);
        resolve();
      };
      response.once("drain", done).once("close", done);
    });
  }

  #gone(response: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closing.aborted || response.destroyed) return resolve();
      this.#closing.addEventListener("abort", () => resolve(), { once: true });
      response.once("close", () => resolve());
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closing.aborted) return resolve();
      const timer = setTimeout(done, ms);
      const closing = this.#closing;
      function done() {
        clearTimeout(timer);
        closing.removeEventListener("abort", done);
        resolve();
      }
      closing.addEventListener("abort", done);
    });
  }
}
