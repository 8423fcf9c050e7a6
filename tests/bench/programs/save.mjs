// FileStorage.save(), a bare write + fsync + rename, and the same with an fsync of the folder, without
// which a crash may undo the rename; in turn. Prints their times in milliseconds.
const [storagePath, root, count, text] = globalThis.Deno?.args ?? process.argv.slice(2);
const { FileStorage } = await import(storagePath);
const { mkdir, open, rename } = await import("node:fs/promises");
const value = JSON.parse(text);
const storage = new FileStorage({ root });
const folder = `${root}/.planet/floor`;
await mkdir(folder, { recursive: true });
const bare = globalThis.Deno
  ? async () => {
    const file = await Deno.open(`${folder}/token.new`, { write: true, createNew: true });
    await file.write(new TextEncoder().encode(JSON.stringify(value)));
    await file.sync();
    file.close();
    await Deno.rename(`${folder}/token.new`, `${folder}/token.json`);
  }
  : async () => {
    const file = await open(`${folder}/token.new`, "wx");
    await file.writeFile(JSON.stringify(value));
    await file.sync();
    await file.close();
    await rename(`${folder}/token.new`, `${folder}/token.json`);
  };
const syncFolder = globalThis.Deno
  ? async () => {
    const opened = await Deno.open(folder);
    await opened.sync();
    opened.close();
  }
  : async () => {
    const opened = await open(folder);
    await opened.sync();
    await opened.close();
  };
const durable = async () => {
  await bare();
  await syncFolder();
};
const ours = () => storage.save(".planet/save/token.json", value);
const works = [["bare", bare], ["durable", durable], ["ours", ours]];
const times = { bare: [], durable: [], ours: [] };
for (let round = -10; round < Number(count); round++) {
  works.push(works.shift());
  for (const [name, work] of works) {
    const since = performance.now();
    await work();
    if (round >= 0) times[name].push(performance.now() - since);
  }
}
console.log(JSON.stringify(times));
