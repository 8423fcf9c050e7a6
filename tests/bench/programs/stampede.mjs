// Many first calls at once; prints how many failed.
import { write } from "../peers/_files.mjs";
const [name, origin, count, storedText] = globalThis.Deno?.args ?? process.argv.slice(2);
const { open } = await import(new URL(`../peers/${name}.mjs`, import.meta.url).href);
const peer = open({
  issuer: origin,
  api: origin,
  clientId: "bench",
  clientSecret: "bench-secret",
  stored: storedText === undefined ? undefined : JSON.parse(storedText),
  save: () => {},
});
void write;
const calls = Array.from({ length: Number(count) }, () => peer.token());
const outcomes = await Promise.allSettled(calls);
console.log(outcomes.filter(({ status }) => status === "rejected").length);
