import { assert, assertEquals } from "@std/assert";
import { chmod, writeFile } from "node:fs/promises";
import process from "node:process";
import { openFiles } from "../../lib/storage/file.ts";
import { makeFolders, replaceFile } from "../../lib/storage/files.ts";
import { fileErrorCode } from "../../lib/storage/objects.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";

const skip = process.platform === "win32" ? "needs sh" : undefined;

/** Runs `sh` with a script, by the port. */
async function run(script: string, input = "", timeoutMs = 10_000) {
  return await (await openFiles()).run("sh", ["-c", script], input, timeoutMs);
}

test("Files.run() hands a program its input and takes what it prints", async () => {
  assertEquals(await run("cat", 'é\u{1f30d} "quoted"'), { code: 0, output: 'é\u{1f30d} "quoted"' });
  // More than a pipe holds, both ways.
  const much = "0123456789abcdef".repeat(100_000);
  assertEquals(await run("cat", much), { code: 0, output: much });
}, { skip });

test("Files.run() tells the exit code, and leaves what goes to stderr alone", async () => {
  assertEquals(await run("echo out; echo err >&2; exit 3"), { code: 3, output: "out\n" });
  // It ends without reading its input.
  assertEquals((await run("exit 128", "x".repeat(1_000_000)))?.code, 128);
}, { skip });

test("Files.run() ends a program that takes too long", async () => {
  const since = performance.now();
  const result = await run("exec sleep 30", "", 100);
  assert(result !== undefined && result.code !== 0);
  assert(performance.now() - since < 10_000);
}, { skip });

test("Files.run() tells that there is no such program, or that it may not be run", async () => {
  const files = await openFiles();
  assertEquals(await files.run("no-such-program-here", [], "", 1_000), undefined);
  const { path, remove } = await tempFolder();
  try {
    await writeFile(`${path}/program`, "#!/bin/sh\n");
    await chmod(`${path}/program`, 0o600);
    const error = await files.run(`${path}/program`, [], "", 1_000).catch((error) => error);
    assert(error instanceof Error, String(error));
  } finally {
    await remove();
  }
}, { skip });

/** What the system says of a file that is open elsewhere. */
const inUse = (code: string) => Promise.reject(Object.assign(new Error("in use"), { code }));

test("replaceFile() waits on Windows for a reader to close the file, and nowhere else", async () => {
  const files = await openFiles();
  for (const code of ["EACCES", "EBUSY", "EPERM"]) {
    for (const isWindows of [true, false]) {
      const answers = [inUse, inUse, () => Promise.resolve()];
      const rename = () => answers.shift()!(code);
      const outcome = await replaceFile({ ...files, rename }, "a", "b", isWindows)
        .then(() => "replaced", fileErrorCode);
      assertEquals([outcome, answers.length], isWindows ? ["replaced", 0] : [code, 2]);
    }
  }
});

test("replaceFile() gives up on Windows if the file stays open, or what is wrong is something else", async () => {
  const files = await openFiles();
  for (const [code, tries] of [["EBUSY", 8], ["ENOSPC", 1]] as const) {
    let tried = 0;
    const rename = () => (tried++, inUse(code));
    const outcome = await replaceFile({ ...files, rename }, "a", "b", true).catch(fileErrorCode);
    assertEquals([outcome, tried], [code, tries]);
  }
});

test("makeFolders() says that a file lies in the place of a folder, as Windows does not", async () => {
  const { path, remove } = await tempFolder();
  try {
    const files = await openFiles();
    await writeFile(`${path}/file`, "");
    // On Windows what is below a file is simply not there.
    const info = (of: string) =>
      of.startsWith(`${path}/file/`)
        ? Promise.reject(Object.assign(new Error("none"), { code: "ENOENT" }))
        : files.info(of);
    const outcome = await makeFolders({ ...files, info }, `${path}/file/a/b`).catch(fileErrorCode);
    assertEquals(outcome, "ENOTDIR");
  } finally {
    await remove();
  }
});
