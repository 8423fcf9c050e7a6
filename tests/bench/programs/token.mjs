// How long a cached access token takes, in nanoseconds, over many awaited calls.
import { read } from "../peers/_files.mjs";
const [origin, file, count, cacheFile, ...names] = globalThis.Deno?.args ?? process.argv.slice(2);
const stored = await read(file);
const cache = JSON.stringify(await read(cacheFile));
const root = file.slice(0, file.indexOf("/.planet/"));
const peers = [];
for (const name of names) {
  const { open } = await import(new URL(`../peers/${name}.mjs`, import.meta.url).href);
  const secret = name === "msal" ? "bench-secret" : undefined;
  const peer = open({
    issuer: origin,
    api: origin,
    clientId: "bench",
    clientSecret: secret,
    stored,
    cache: secret && cache,
    root,
    profile: "bench",
  });
  await peer.token();
  peers.push({ name, peer, best: [] });
}
const measure = async (peer, calls) => {
  const since = performance.now();
  for (let i = 0; i < calls; i++) await peer.token();
  return (performance.now() - since) * 1e6 / calls;
};
for (let round = 0; round < 9; round++) {
  for (const entry of peers) {
    const calls = entry.name === "msal" ? Number(count) / 500 : Number(count);
    const time = await measure(entry.peer, calls);
    if (round > 0) entry.best.push(time);
  }
}
console.log(JSON.stringify(Object.fromEntries(peers.map(({ name, best }) => [name, best]))));
