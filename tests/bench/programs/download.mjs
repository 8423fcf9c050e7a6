// Downloads into a file: the runtime's own way, by hand, or the library's; or only computes as long an
// MD5. Prints time and memory.
import process from "node:process";

const MOD = "../../../mod.ts";
const [way, url, folder, md5] = process.argv.slice(2);
const { Session } = await import(MOD);
const { downloadFile } = await import(MOD.replace(/mod\.(ts|js)$/, "lib/download/download.$1"));
const path = `${folder}/scene.tif`;

async function bare() {
  const response = await fetch(url);
  if (globalThis.Bun) return await Bun.write(path, response);
  if (globalThis.Deno) {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    return await response.body.pipeTo(file.writable);
  }
  const { Readable, promises } = process.getBuiltinModule("node:stream");
  const { createWriteStream } = process.getBuiltinModule("node:fs");
  await promises.pipeline(Readable.fromWeb(response.body), createWriteStream(path));
}

/** Part by part, as whatever counts bytes must. */
async function hand() {
  const reader = (await fetch(url)).body.getReader();
  const { createWriteStream } = process.getBuiltinModule("node:fs");
  const file = globalThis.Deno
    ? (await Deno.open(path, { write: true, create: true, truncate: true })).writable.getWriter()
    : createWriteStream(path);
  const write = globalThis.Deno
    ? (bytes) => file.write(bytes)
    : (bytes) => new Promise((resolve) => file.write(bytes, resolve));
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    await write(part.value);
  }
  await (globalThis.Deno ? file.close() : new Promise((resolve) => file.end(resolve)));
}

/** The digest alone. */
function md5Alone() {
  const hash = process.getBuiltinModule("node:crypto").createHash("md5");
  const block = new Uint8Array(1 << 16);
  for (let left = Number(url.split("/").at(-1)); left > 0; left -= block.length) hash.update(block);
  hash.digest();
}

async function planet(digest) {
  const session = new Session({ authorization: () => "" }, {
    allowedOrigins: [new URL(url).origin],
  });
  const source = { link: () => Promise.resolve(url), digest };
  await downloadFile(session, source, { directory: folder, ifExists: "replace" });
}

const rss = () => (globalThis.Deno ? Deno.memoryUsage() : process.memoryUsage()).rss;
const before = rss();
let most = before;
const timer = setInterval(() => most = Math.max(most, rss()), 20);
const cpu = process.cpuUsage();
const since = performance.now();
if (way === "bare") await bare();
else if (way === "hand") await hand();
else if (way === "md5") md5Alone();
else await planet(way === "digest" ? { algorithm: "MD5", value: md5 } : undefined);
const ms = performance.now() - since;
clearInterval(timer);
const { system, user } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    ms,
    cpu: (system + user) / 1000,
    mib: (Math.max(most, rss()) - before) / 2 ** 20,
  }),
);
