// Reads and writes the peers' token file as a caller would: by the runtime's own calls.
const { Deno, Bun } = globalThis;
const node = Deno || Bun ? undefined : await import("node:fs/promises");

/** Reads the object in a file. */
export async function read(path) {
  const text = Deno
    ? await Deno.readTextFile(path)
    : Bun
    ? await Bun.file(path).text()
    : await node.readFile(path, "utf8");
  return JSON.parse(text);
}

/** Writes an object to a file. */
export async function write(path, value) {
  const text = JSON.stringify(value);
  if (Deno) await Deno.writeTextFile(path, text);
  else if (Bun) await Bun.write(path, text);
  else await node.writeFile(path, text);
}

/** The record of a token response. */
export function record({ access_token, refresh_token, expires_in }, before) {
  return {
    access_token,
    refresh_token: refresh_token ?? before?.refresh_token,
    _exp: Math.floor(Date.now() / 1000) + expires_in,
  };
}
