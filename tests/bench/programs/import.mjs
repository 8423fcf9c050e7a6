// How long one import takes in a fresh process, in milliseconds.
const [what] = globalThis.Deno?.args ?? process.argv.slice(2);
const since = performance.now();
await import(what);
console.log(performance.now() - since);
