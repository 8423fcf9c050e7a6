/**
 * Just enough of DER (X.690) to take a private key's envelope apart. Strict:
 * what is not exactly as expected is refused.
 *
 * @module
 */

/** Tags that are used here. */
export const TAG = {
  integer: 0x02,
  octets: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
} as const;

/** Reads one value after the other. */
export class DerReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  /** Reads `bytes` from their beginning. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  /** Tag of the next value; `undefined` at the end. */
  get next(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** Content of the next value, which must have `tag`. */
  read(tag: number): Uint8Array<ArrayBuffer> {
    if (this.next !== tag) throw new RangeError("unexpected tag");
    let length = this.#bytes[this.#at + 1] ?? NaN;
    let start = this.#at + 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count === 0 || count > 3) throw new RangeError("unexpected length");
      length = 0;
      for (const end = start + count; start < end; start++) {
        length = length * 256 + (this.#bytes[start] ?? NaN);
      }
      if (length < 0x80) throw new RangeError("length is not minimal");
    }
    const end = start + length;
    if (!(end <= this.#bytes.length)) throw new RangeError("too short");
    this.#at = end;
    return this.#bytes.slice(start, end);
  }

  /** A reader of the next value, a sequence. */
  sequence(): DerReader {
    return new DerReader(this.read(TAG.sequence));
  }

  /** The next value, an object identifier, as hexadecimal digits. */
  oid(): string {
    return Array.from(this.read(TAG.oid), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** The next value, a number from 0 to 2^31 - 1. */
  integer(): number {
    const bytes = this.read(TAG.integer);
    const value = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    if (bytes.length === 0 || bytes[0]! >= 0x80 || value > 0x7fffffff) {
      throw new RangeError("number out of range");
    }
    return value;
  }

  /** Makes sure that nothing is left. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError("more than expected");
  }
}

/** Writes one value. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = [tag];
  if (length < 0x80) head.push(length);
  else {
    const digits: number[] = [];
    for (let rest = length; rest > 0; rest >>>= 8) digits.unshift(rest & 0xff);
    head.push(0x80 | digits.length, ...digits);
  }
  const whole = new Uint8Array(head.length + length);
  whole.set(head);
  let at = head.length;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** An object identifier from its hexadecimal digits. */
export function derOid(hex: string): Uint8Array<ArrayBuffer> {
  return der(TAG.oid, Uint8Array.from(hex.match(/../g)!, (digits) => parseInt(digits, 16)));
}
