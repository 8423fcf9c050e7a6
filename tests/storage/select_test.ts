import { assert, assertEquals } from "@std/assert";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import process from "node:process";
import { openFiles } from "../../lib/storage/file.ts";
import { spawnSync } from "../_support/child_process.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { CONFIG, RUN } from "./_deno.ts";

const SELECT = new URL("../../lib/storage/select.ts", import.meta.url).href;

/** What `chooseStorage()` answers in a program with these permissions. */
async function choose(
  flags: (home: string) => string[],
  env: Record<string, string> = {},
): Promise<{ kind: string; location?: string; reason: string; home: string }> {
  const { path: home, remove } = await tempFolder();
  try {
    const script = `
      import { chooseStorage } from ${JSON.stringify(SELECT)};
      const { kind, location, reason } = await chooseStorage();
      console.log(JSON.stringify({ kind, location, reason }));`;
    const args = [...RUN, ...flags(home), "-"];
    const { stdout, stderr } = spawnSync("deno", args, {
      input: script,
      encoding: "utf8",
      env: { PATH: process.env.PATH ?? "", HOME: home, DENO_DIR: `${home}/cache`, ...env },
    });
    assert(stdout !== "", stderr);
    return { ...JSON.parse(stdout), home };
  } finally {
    await remove();
  }
}

test("chooseStorage() takes files where they may be read and written", async () => {
  const chosen = await choose((home) => [
    "--allow-env=HOME",
    `--allow-read=${home}/.planet`,
    `--allow-write=${home}/.planet`,
  ]);
  assertEquals([chosen.kind, chosen.location], ["file", chosen.home]);
});

test("chooseStorage() without permissions takes memory, and names the flags", async () => {
  const { kind, reason } = await choose(() => []);
  assertEquals(kind, "memory");
  assert(reason.includes("--allow-env=HOME") && reason.includes("--unstable-kv"), reason);
  const readOnly = await choose((home) => ["--allow-env=HOME", `--allow-read=${home}/.planet`]);
  assertEquals(readOnly.kind, "memory");
  assert(readOnly.reason.includes("--allow-write="), readOnly.reason);
});

test("chooseStorage() takes Deno KV where there are no files", async () => {
  assertEquals((await choose(() => ["--unstable-kv"])).kind, "kv");
});

test("chooseStorage() takes Deno KV first on Deno Deploy", async () => {
  const chosen = await choose(() => ["-A", "--unstable-kv"], { DENO_DEPLOYMENT_ID: "x" });
  assertEquals(chosen.kind, "kv");
});

test("chooseStorage() takes no files where the home directory is missing", async () => {
  const { kind, reason } = await choose(() => ["-A"], { HOME: "/no-such-folder" });
  assertEquals(kind, "memory");
  assert(reason.includes("/no-such-folder"), reason);
});

test("chooseStorage() leaves nothing behind in the home directory", async () => {
  const { path, remove } = await tempFolder();
  try {
    assertEquals((await choose(() => ["-A"], { HOME: path })).kind, "file");
    assertEquals((await readdir(path)).filter((name) => name.startsWith(".planet")), []);
    assertEquals(await (await openFiles()).canAdd(path), true);
    assertEquals(await (await openFiles()).canAdd(`${path}/nowhere`), false);
    assertEquals((await readdir(path)).filter((name) => name.startsWith(".planet")), []);
  } finally {
    await remove();
  }
});

const noTerminal = process.platform !== "linux" || spawnSync("script", ["--version"]).status !== 0
  ? "needs script(1) of util-linux, which makes a terminal"
  : undefined;

/** What a Deno program prints on a terminal, where a question would wait until the time is up. */
async function onTerminal(
  source: string,
  flags: (home: string) => string[] = () => [],
): Promise<string> {
  const { path, remove } = await tempFolder();
  try {
    const mod = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
    await writeFile(`${path}/program.ts`, source.replace('"mod.ts"', mod));
    const home = `${path}/home`;
    await mkdir(home);
    const command = ["deno run -q --no-check --config", CONFIG, ...flags(home)]
      .concat(`${path}/program.ts`).join(" ");
    const { stdout, status } = spawnSync("script", ["-qec", command, "/dev/null"], {
      encoding: "utf8",
      env: { ...process.env, HOME: home, DENO_DIR: process.env.DENO_DIR ?? `${path}/cache` },
      timeout: 20_000,
    });
    assertEquals(status, 0, stdout);
    assert(!/requests|Allow\?/.test(stdout), stdout);
    return stdout;
  } finally {
    await remove();
  }
}

test(
  "chooseStorage() and Auth.explain() ask nobody on a terminal (nothing is granted)",
  async () => {
    const printed = await onTerminal(`
    import { Auth, defaultStorage } from "mod.ts";
    await defaultStorage();
    const { storage, storageReason } =
      await Auth.fromOAuthUserDeviceCode({ clientId: "x" }).explain();
    console.log("CHOSEN", storage, storageReason);`);
    assert(/CHOSEN memory .*--allow-env=HOME/.test(printed), printed);
  },
  { skip: noTerminal },
);

test("FileStorage asks nobody on a terminal (the flags of the README are granted)", async () => {
  const printed = await onTerminal(
    `
    import { defaultStorage } from "mod.ts";
    const storage = await defaultStorage();
    const key = ".planet/my-app/token.json";
    await storage.withLock(key, () => storage.save(key, { n: 1 }));
    for await (const found of storage.list(".planet/")) console.log("FOUND", found);
    await storage.rename(key, ".planet/other/token.json");
    await storage.delete(".planet/other/token.json");`,
    (home) => [
      "--allow-env=HOME",
      `--allow-read=${home}/.planet`,
      `--allow-write=${home}/.planet`,
    ],
  );
  assert(printed.includes("FOUND .planet/my-app/token.json"), printed);
}, { skip: noTerminal });
