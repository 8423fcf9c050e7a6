/**
 * A storage that breaks off, stalls, lies and forgets in every way that a download can meet, below HTTP,
 * so that each byte that it sends is counted. It keeps connections open unless it breaks off: Node's fetch
 * ends the program if a server that says `connection: close` ends one while nobody reads
 * (nodejs/undici#5360, mended after undici 6.28.1).
 *
 * @module
 */
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { createHash } from "node:crypto";
import { Auth, Session, type SessionHttpOptions } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { noteServers } from "../_support/watch.ts";

/** How a body breaks off. */
export interface Break {
  /** Bytes of the body that are sent before. */
  readonly after: number;
  /** The connection ends, is reset, or nothing more comes. */
  readonly how: "end" | "reset" | "stall";
}

/** A request that came. */
export interface Seen {
  /** Path with its query. */
  readonly path: string;
  /** Headers, by their names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  /** Status that it was answered with. */
  status: number;
  /** Bytes of the body that were sent. */
  sent: number;
  /** Bytes of the body that the program was handed, where `sessionFor()` counts them. */
  read: number;
  /** Called as more of them were. */
  onRead?: () => void;
}

/** What a storage has and how it behaves; changed while it runs. */
export interface Behaviour {
  /** The file. */
  body: Uint8Array;
  /** `ETag`. */
  etag?: string | undefined;
  /** `Last-Modified`. */
  lastModified?: string | undefined;
  /** Whether it knows `Range`. */
  ranges: boolean;
  /** Whether it looks at `If-Range`. */
  ifRange: boolean;
  /** What tells where the body ends. */
  framing: "length" | "chunked" | "close";
  /** Whether it comes encoded, whatever was asked for. */
  gzip: boolean;
  /** More headers. */
  headers: Record<string, string>;
  /** How the next answers break off, one after the other. */
  breaks: (Break | undefined)[];
  /** Answers in place of the file; `undefined`: the file. */
  answer?: (
    seen: Seen,
    index: number,
  ) => { status: number; headers?: string[]; body?: string } | undefined;
  /**
   * How long the last bytes have to arrive before a break, in milliseconds; default: until the program was
   * handed them, since what nobody has read yet may be lost with the connection.
   */
  breakMs?: number;
  /** Bytes in a second; 0: no limit. */
  rate: number;
  /** Called as bytes of a body were sent. */
  onSent?: () => void;
}

/** A storage on loopback. */
export interface Storage extends Behaviour {
  /** Where it listens. */
  readonly origin: string;
  /** The requests that came. */
  readonly seen: Seen[];
  /** Bytes of all bodies that were sent. */
  readonly sent: number;
  /** Stops it. */
  close(): Promise<void>;
}

/** A time long ago, as `Last-Modified` has it. */
export const LONG_AGO = "Tue, 01 Apr 2025 10:00:00 GMT";

/** Header with the number of the request that is answered. */
const INDEX = "x-request-index";

/** The requests of the storages that run, by their origins. */
const storages = new Map<string, readonly Seen[]>();

/** `fetch` that counts for a storage what the program is handed of a body. */
async function countingFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  const one = storages.get(new URL(response.url).origin)?.[Number(response.headers.get(INDEX))];
  if (one === undefined || response.body === null) return response;
  const { body } = response;
  const getReader = body.getReader.bind(body) as (options?: unknown) => Reader;
  const counted = (options?: unknown) => {
    const reader = getReader(options);
    const read = reader.read.bind(reader);
    reader.read = async (view) => {
      const part = await read(view);
      one.read += part.value?.byteLength ?? 0;
      one.onRead?.();
      return part;
    };
    return reader;
  };
  return Object.defineProperty(response, "body", {
    value: Object.assign(body, { getReader: counted }),
  });
}

/** Either kind of reader. */
interface Reader {
  read(view?: Uint8Array): Promise<{ value?: Uint8Array | undefined; done: boolean }>;
}

/** Starts a storage. */
export async function startStorage(given: Partial<Behaviour> = {}): Promise<Storage> {
  const sockets = new Set<Socket>();
  const seen: Seen[] = [];
  const storage: Behaviour = {
    body: new Uint8Array(),
    ranges: true,
    ifRange: true,
    framing: "length",
    gzip: false,
    headers: {},
    breaks: [],
    rate: 0,
    ...given,
  };
  storage.breaks = [...storage.breaks];
  const write = (socket: Socket, bytes: Uint8Array | string) =>
    new Promise<boolean>((resolve) => {
      if (socket.destroyed) return resolve(false);
      const gone = () => resolve(false);
      socket.once("close", gone);
      socket.write(bytes, (error) => {
        socket.removeListener("close", gone);
        resolve(!error);
      });
    });
  /** Waits until the program was handed all that was sent, or is gone. */
  const handedOut = (socket: Socket, one: Seen) =>
    new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      one.onRead = () => one.read >= one.sent && resolve();
      one.onRead();
    });
  const serve = async (socket: Socket, head: string) => {
    const [first = "", ...lines] = head.split("\r\n");
    const path = first.split(" ")[1] ?? "";
    const headers = Object.fromEntries(
      lines.map((
        line,
      ) => [line.split(":")[0]!.toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const one: Seen = { path, headers, status: 0, sent: 0, read: 0 };
    const index = seen.push(one) - 1;
    const other = storage.answer?.(one, index);
    if (other !== undefined) {
      one.status = other.status;
      const body = other.body ?? "";
      const more = [`content-length: ${body.length}`, ...other.headers ?? []].join("\r\n");
      await write(
        socket,
        `HTTP/1.1 ${other.status} X\r\n${more}\r\n\r\n${body}`,
      );
      return;
    }
    const { body: plain, etag, framing, gzip, ifRange, lastModified, ranges } = storage;
    const body = gzip ? gzipSync(plain) : plain;
    const wanted = /^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1];
    const isSame = headers["if-range"] === undefined || !ifRange ||
      [etag, lastModified].includes(headers["if-range"]);
    const from = ranges && wanted !== undefined && isSame ? Number(wanted) : 0;
    const isPart = ranges && wanted !== undefined && isSame;
    one.status = !isPart ? 200 : from < body.length ? 206 : 416;
    const out = [
      `HTTP/1.1 ${one.status} X`,
      `date: ${new Date().toUTCString()}`,
      `${INDEX}: ${index}`,
    ];
    if (etag !== undefined) out.push(`etag: ${etag}`);
    if (lastModified !== undefined) out.push(`last-modified: ${lastModified}`);
    if (gzip) out.push("content-encoding: gzip");
    for (const [name, value] of Object.entries(storage.headers)) out.push(`${name}: ${value}`);
    if (one.status === 416) {
      await write(
        socket,
        [...out, `content-range: bytes */${body.length}`, "content-length: 0", "", ""].join("\r\n"),
      );
      return;
    }
    if (isPart) out.push(`content-range: bytes ${from}-${body.length - 1}/${body.length}`);
    if (framing === "length") out.push(`content-length: ${body.length - from}`);
    if (framing === "chunked") out.push("transfer-encoding: chunked");
    if (framing === "close") out.push("connection: close");
    await write(socket, [...out, "", ""].join("\r\n"));
    const broken = storage.breaks.shift();
    const end = Math.min(body.length, from + (broken?.after ?? Infinity));
    const since = Date.now();
    for (let at = from; at < end;) {
      const part = body.subarray(at, Math.min(at + 32_768, end));
      const sent = framing === "chunked"
        ? await write(socket, `${part.length.toString(16)}\r\n`) && await write(socket, part) &&
          await write(socket, "\r\n")
        : await write(socket, part);
      if (!sent) return;
      at += part.length;
      one.sent += part.length;
      storage.onSent?.();
      const early = storage.rate > 0 ? (at - from) / storage.rate * 1000 - (Date.now() - since) : 0;
      if (early > 1) await new Promise((resolve) => setTimeout(resolve, early));
    }
    if (broken !== undefined && end < body.length) {
      if (broken.how === "stall") return;
      if (storage.breakMs !== undefined || gzip) {
        await new Promise((resolve) => setTimeout(resolve, storage.breakMs ?? 20));
      } else await handedOut(socket, one);
      return broken.how === "end" ? void socket.end() : void socket.resetAndDestroy();
    }
    if (framing === "chunked") await write(socket, "0\r\n\r\n");
    if (framing === "close") socket.end();
  };
  const server = createServer((socket) => {
    let head = "";
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", (data: Uint8Array) => {
      head += new TextDecoder("latin1").decode(data);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0 || head.length > 65_536) return;
      const request = head.slice(0, end);
      head = "";
      serve(socket, request).catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  storages.set(origin, seen);
  return Object.defineProperties(storage as Storage, {
    origin: { value: origin },
    seen: { value: seen },
    sent: { get: () => seen.reduce((sum, one) => sum + one.sent, 0) },
    close: {
      value: async () => {
        storages.delete(origin);
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    },
  });
}

/** A clock that never waits. */
export const QUICK = { now: () => Date.now(), sleep: () => Promise.resolve() };

/** A session whose key goes to `trusted` alone. */
export function sessionFor(trusted: string, more: SessionHttpOptions = {}): Session {
  noteServers({ authorization: [], api: [trusted] });
  const auth = Auth.fromKey(secret("key"), { allowedOrigins: [trusted], fetch: countingFetch });
  return new Session(auth, { clock: QUICK, requestsPerSecond: 0, maxRetries: 1, ...more });
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Bytes that tell one place from another. */
export function bytesFrom(seed: number, size: number): Uint8Array {
  const random = randomFrom(seed);
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let at = 0; at < words.length; at++) words[at] = random() * 2 ** 32;
  return new Uint8Array(words.buffer, 0, size);
}

/** A digest in hexadecimal digits. */
export function digestOf(name: "md5" | "sha256", bytes: Uint8Array): string {
  return createHash(name).update(bytes).digest("hex");
}
