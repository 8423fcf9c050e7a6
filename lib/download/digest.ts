/**
 * Digests of bytes that stream by: by Node's `crypto` where there is one, by workerd's `DigestStream`,
 * else MD5 (RFC 1321) by the code below, since WebCrypto digests only what is in memory.
 *
 * @module
 */

import { builtinModule, runtime } from "../runtime.ts";

/** A digest that is being computed. */
export interface Digest {
  /** Takes the next bytes. */
  update(bytes: Uint8Array): void | Promise<void>;
  /** Ends it; the digest in hexadecimal digits. */
  hex(): string | Promise<string>;
}

/** What is computed. */
export type DigestAlgorithm = "MD5" | "SHA256";

interface NodeCrypto {
  createHash(name: string): { update(bytes: Uint8Array): void; digest(form: "hex"): string };
}

/** A `DigestStream` (Cloudflare Workers, "Web Crypto"). */
interface DigestStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>;
}

const toHex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Begins a digest; `undefined` if this runtime cannot compute it bit by bit. */
export function openDigest(algorithm: DigestAlgorithm): Digest | undefined {
  const node = runtime === "other" ? undefined : builtinModule<NodeCrypto>("node:crypto");
  try {
    const hash = node?.createHash(algorithm.toLowerCase());
    if (hash !== undefined) {
      return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
    }
  } catch {
    // Where the system is bound to FIPS 140, OpenSSL has no MD5.
  }
  const { DigestStream } = crypto as unknown as {
    DigestStream?: new (name: string) => DigestStream;
  };
  if (DigestStream !== undefined) {
    const stream = new DigestStream(algorithm === "MD5" ? "MD5" : "SHA-256");
    // Nobody asks for it after a failure.
    stream.digest.catch(() => {});
    const writer = stream.getWriter();
    return {
      update: (bytes) => writer.write(bytes),
      async hex() {
        await writer.close();
        return toHex(new Uint8Array(await stream.digest));
      },
    };
  }
  return algorithm === "MD5" ? new Md5() : undefined;
}

/** Constants of the 64 steps (RFC 1321 §3.4). */
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.abs(Math.sin(i + 1)) * 2 ** 32 | 0);
const SHIFTS = Uint8Array.of(7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21);
const WORDS = Uint8Array.from(
  { length: 64 },
  (_, i) => (i * [1, 5, 3, 7][i >> 4]! + [0, 1, 5, 0][i >> 4]!) % 16,
);

/** MD5 (RFC 1321). */
export class Md5 implements Digest {
  readonly #state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  readonly #block = new Uint8Array(64);
  readonly #words = new Int32Array(16);
  #size = 0;

  /** Takes the next bytes. */
  update(bytes: Uint8Array): void {
    let at = 0;
    const held = this.#size % 64;
    this.#size += bytes.length;
    if (held > 0) {
      at = Math.min(64 - held, bytes.length);
      this.#block.set(bytes.subarray(0, at), held);
      if (held + at < 64) return;
      this.#mix(this.#block, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) this.#mix(bytes, at);
    this.#block.set(bytes.subarray(at));
  }

  /** Ends it; the digest in hexadecimal digits. */
  hex(): string {
    const size = this.#size;
    const end = new Uint8Array((size % 64 < 56 ? 64 : 128) - size % 64);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, size * 8 >>> 0, true);
    view.setUint32(end.length - 4, size / 2 ** 29, true);
    this.update(end);
    const result = new DataView(new ArrayBuffer(16));
    this.#state.forEach((word, index) => result.setInt32(index * 4, word, true));
    return toHex(new Uint8Array(result.buffer));
  }

  #mix(bytes: Uint8Array, from: number): void {
    const words = this.#words;
    for (let i = 0, at = from; i < 16; i++, at += 4) {
      words[i] = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
    }
    let a = this.#state[0]!, b = this.#state[1]!, c = this.#state[2]!, d = this.#state[3]!;
    // Plain variables, since arrays for each step take ten times as long.
    for (let i = 0; i < 64; i++) {
      let mixed: number;
      if (i < 16) mixed = d ^ (b & (c ^ d));
      else if (i < 32) mixed = c ^ (d & (b ^ c));
      else if (i < 48) mixed = b ^ c ^ d;
      else mixed = c ^ (b | ~d);
      const sum = a + mixed + SINES[i]! + words[WORDS[i]!]! | 0;
      const shift = SHIFTS[(i >> 4 << 2) + (i & 3)]!;
      a = d;
      d = c;
      c = b;
      b = b + (sum << shift | sum >>> (32 - shift)) | 0;
    }
    this.#state[0]! += a;
    this.#state[1]! += b;
    this.#state[2]! += c;
    this.#state[3]! += d;
  }
}
