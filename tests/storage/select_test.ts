import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";

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
    const args = ["run", "--no-prompt", "--no-check", "-q", ...flags(home), "-"];
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
