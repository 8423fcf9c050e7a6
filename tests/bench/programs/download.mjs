// Downloads into a file: the runtime's own way, or the library's; prints time and memory.
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
