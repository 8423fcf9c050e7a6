// One of many processes that share a token file, which the caller reads and writes by the runtime's
// own calls, without a lock. Prints `ready`, waits for a line, then makes one authenticated call.
import { read, write } from "../peers/_files.mjs";
const [name, origin, file, kind] = globalThis.Deno?.args ?? process.argv.slice(2);
const { open } = await import(new URL(`../peers/${name}.mjs`, import.meta.url).href);
const input = globalThis.Deno
  ? globalThis.Deno.stdin.readable
  : globalThis.Bun
  ? globalThis.Bun.stdin.stream()
  : process.stdin;
console.log("ready");
for await (const _ of input) break;
const missing = (error) => {
  if (error.code === "ENOENT") return undefined;
  throw error;
};
try {
  const stored = await read(file).catch(missing);
  const secret = kind === "service" ? "bench-secret" : undefined;
  const peer = open({
    issuer: origin,
    api: origin,
    clientId: "bench",
    clientSecret: secret,
    stored: name === "msal" ? undefined : stored,
    save: (token) => write(file, token),
    cache: name === "msal" && stored !== undefined ? JSON.stringify(stored) : undefined,
    saveCache: (text) => write(file, JSON.parse(text)),
  });
  const answer = await peer.fetch(`${origin}/api`);
  await answer.text();
  console.log(answer.status);
} catch (error) {
  console.log(`failed: ${String(error).split("\n")[0]}`);
}
if (!globalThis.Deno) process.exit(0);
globalThis.Deno.exit(0);
