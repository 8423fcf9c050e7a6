// The same with a peer, or with the floor as an adapter; the token file is read by the caller.
import { read, write } from "../peers/_files.mjs";
const [file, url, name, cacheFile] = globalThis.Deno?.args ?? process.argv.slice(2);
const [stored, cache, { open }] = await Promise.all([
  read(file),
  cacheFile === undefined ? undefined : read(cacheFile),
  import(new URL(`../peers/${name}.mjs`, import.meta.url).href),
]);
const peer = open({
  issuer: new URL(url).origin,
  clientId: "bench",
  clientSecret: cacheFile === undefined ? undefined : "bench-secret",
  stored,
  save: (token) => write(file, token),
  cache: cache && JSON.stringify(cache),
});
const answer = await peer.fetch(url);
console.log(answer.status, (await answer.text()).length);
