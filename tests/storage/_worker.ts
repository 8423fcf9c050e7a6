// Changes one file under the lock, again and again: a process of the deep tests.
import { FileStorage } from "../../lib/storage/file.ts";

/** Not by `node:process`: a Deno program without all permissions is tested too. */
const { Deno: deno, process } = globalThis as unknown as {
  Deno?: { args: string[] };
  process: { argv: string[] };
};
const [mode, root, rounds] = (deno?.args ?? process.argv.slice(2)) as [string, string, string];
const KEY = ".planet/p/token.json";
const storage = new FileStorage({ root });

if (mode === "count") {
  for (let i = 0; i < Number(rounds); i++) {
    await storage.withLock(KEY, async () => {
      const { n } = (await storage.load(KEY))!;
      await storage.save(KEY, { n: Number(n) + 1, pad: "x".repeat(4000) });
    }, { timeoutMs: 60_000 });
  }
} else if (mode === "read") {
  let [broken, reads] = [0, 0];
  // Until there were as many reads as asked for, and as many writes as the test wants.
  for (; reads < Number(rounds) || !await storage.exists("enough.json"); reads++) {
    try {
      const value = await storage.load(KEY);
      if ((value?.pad as string)?.length !== 4000) broken++;
    } catch {
      broken++;
    }
  }
  console.log(broken, reads);
} else if (mode === "hold") {
  await storage.withLock(KEY, async () => {
    console.log("inside");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  });
} else if (mode === "take") {
  const cameAt = Date.now();
  console.log("waiting");
  await storage.withLock(KEY, () => Promise.resolve(console.log(`${cameAt} ${Date.now()}`)));
} else if (mode === "pause") {
  await storage.withLock(KEY, async ({ signal }) => {
    console.log("inside");
    // The test stops this process here, for longer than the lease.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    try {
      await storage.save(KEY, { by: "the late one" });
      console.log("saved");
    } catch (error) {
      console.log((error as { code?: string }).code, signal.aborted);
    }
  });
}
