// Fills the cache file of msal by one sign-in.
import { write } from "../peers/_files.mjs";
const { open } = await import(new URL("../peers/msal.mjs", import.meta.url).href);
const [issuer, file] = globalThis.Deno?.args ?? process.argv.slice(2);
const saveCache = (text) => write(file, JSON.parse(text));
await open({ issuer, clientId: "bench", clientSecret: "bench-secret", saveCache }).token();
console.log("ready");
