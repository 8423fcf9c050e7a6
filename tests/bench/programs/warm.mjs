// Bare and authenticated calls in turn, each timed; prints both medians in microseconds. The bare
// call sends the same bytes: its header is written by hand, and nothing stands behind it.
import { read, write } from "../peers/_files.mjs";
const [name, origin, file, count, cacheFile] = globalThis.Deno?.args ?? process.argv.slice(2);
const { open } = await import(new URL(`../peers/${name}.mjs`, import.meta.url).href);
const root = file.slice(0, file.indexOf("/.planet/"));
const peer = open({
  issuer: origin,
  api: origin,
  clientId: "bench",
  clientSecret: cacheFile === undefined ? undefined : "bench-secret",
  stored: await read(file),
  save: (token) => write(file, token),
  cache: cacheFile === undefined ? undefined : JSON.stringify(await read(cacheFile)),
  root,
  profile: "bench",
});
const url = `${origin}/api`;
const headers = { authorization: `Bearer ${await peer.token()}` };
const bare = async () => {
  const answer = await fetch(url, { headers });
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  await answer.text();
};
const authenticated = async () => {
  const answer = await peer.fetch(url);
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  await answer.text();
};
const times = { bare: [], authenticated: [] };
for (let round = -200; round < Number(count); round++) {
  // In turn, and the first of a pair by turns.
  const pair = round % 2 === 0 ? [bare, authenticated] : [authenticated, bare];
  for (const call of pair) {
    const since = performance.now();
    await call();
    if (round >= 0) times[call === bare ? "bare" : "authenticated"].push(performance.now() - since);
  }
}
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1] * 1000;
console.log(JSON.stringify([median(times.bare), median(times.authenticated)]));
