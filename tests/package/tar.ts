/**
 * Tar archives, as far as publishing and npm need them (POSIX ustar, and pax or GNU long names).
 *
 * @module
 */

const BLOCK = 512;

/** Reads the files of an archive; paths begin with a slash. */
export function readTar(archive: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const decoder = new TextDecoder();
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= archive.length;) {
    const text = (from: number, length: number) =>
      decoder.decode(archive.subarray(at + from, at + from + length)).replace(/\0[\s\S]*$/, "");
    if (archive[at] === 0) break;
    const size = parseInt(text(124, 12).trim() || "0", 8);
    const type = text(156, 1);
    const prefix = text(257, 5) === "ustar" ? text(345, 155) : "";
    const name = longName ?? (prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`);
    const body = archive.slice(at + BLOCK, at + BLOCK + size);
    longName = type === "x"
      ? /\d+ path=(.*)\n/.exec(decoder.decode(body))?.[1]
      : type === "L"
      ? decoder.decode(body).replace(/\0+$/, "")
      : undefined;
    if (type === "0" || type === "") files.set(`/${name.replace(/^\.?\/+/, "")}`, body);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

/** Makes an archive of files; their names have at most 100 bytes. */
export function writeTar(
  files: readonly (readonly [name: string, body: Uint8Array])[],
): Uint8Array {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  for (const [name, body] of files) {
    const header = new Uint8Array(BLOCK);
    const put = (value: string, from: number) => header.set(encoder.encode(value), from);
    if (encoder.encode(name).length > 100) throw new RangeError(`${name} is too long a name.`);
    put(name, 0);
    put("0000644\0", 100);
    put("0000000\0", 108);
    put("0000000\0", 116);
    put(`${body.length.toString(8).padStart(11, "0")}\0`, 124);
    put("14000000000\0", 136);
    put(" ".repeat(8), 148);
    put("0", 156);
    put("ustar\x0000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    parts.push(header, body, new Uint8Array((BLOCK - body.length % BLOCK) % BLOCK));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  const archive = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}
