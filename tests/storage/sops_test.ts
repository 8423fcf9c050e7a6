import { assert, assertEquals, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { AuthError } from "../../lib/errors.ts";
import { FileStorage } from "../../lib/storage/file.ts";
import type { Files } from "../../lib/storage/files.ts";
import { SopsStorage } from "../../lib/storage/sops.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";

const KEY = ".planet/p/token.json";
const ENCRYPTED = ".planet/p/token.sops.json";

interface World {
  files: FileStorage;
  runs: string[][];
  /** A store whose `sops` gives these answers in turn. */
  storage(...answers: (JsonObject | string | number)[]): SopsStorage;
}

async function withFiles(body: (world: World) => Promise<void>): Promise<void> {
  const folder = await tempFolder();
  const runs: string[][] = [];
  const files = new FileStorage({ root: folder.path });
  try {
    await body({
      files,
      runs,
      storage: (...answers) => {
        const run: Files["run"] = (_command, args, input) => {
          runs.push([...args.map((arg) => arg.replace(folder.path, "")), input]);
          const answer = answers.shift();
          if (answer === undefined) return Promise.resolve(undefined);
          if (typeof answer === "number") return Promise.resolve({ code: answer, output: "" });
          const output = typeof answer === "string" ? answer : JSON.stringify(answer);
          return Promise.resolve({ code: 0, output });
        };
        return new SopsStorage(files, run);
      },
    });
  } finally {
    await folder.remove();
  }
}

test("SopsStorage leaves an object without an encrypted file alone", async () => {
  await withFiles(async ({ files, runs, storage }) => {
    const store = storage();
    await store.save(KEY, { a: 1 });
    assertEquals(await store.load(KEY), { a: 1 });
    assertEquals(await files.load(KEY), { a: 1 });
    assertEquals(runs, []);
  });
});

test("SopsStorage takes the encrypted file before the one in clear, for every call, as Python does", async () => {
  await withFiles(async ({ files, runs, storage }) => {
    await files.save(KEY, { clear: true });
    await files.save(ENCRYPTED, { a: "ENC" });
    const store = storage({ a: 1 }, { a: "ENC2", sops: {} });
    assertEquals(await store.load(KEY), { a: 1 });
    await store.save(KEY, { b: 2 });
    assertEquals(await files.load(ENCRYPTED), { a: "ENC2", sops: {} });
    assertEquals(await files.load(KEY), { clear: true });
    assertEquals(runs.map((run) => [run[0], run.at(-1)]), [["-d", ""], [
      "encrypt",
      '{\n  "b": 2\n}',
    ]]);
    assertEquals(await store.mtime(KEY), await files.mtime(ENCRYPTED));
    await store.rename(KEY, `${KEY}.corrupt`);
    assertEquals(await files.exists(`${ENCRYPTED}.corrupt`), true);
    assertEquals(await store.exists(KEY), true);
    await store.delete(KEY);
    assertEquals(await store.exists(KEY), false);
  });
});

test("SopsStorage encrypts for the keys that the file names, or leaves that to .sops.yaml", async () => {
  const cases: [JsonObject, string[]][] = [
    [{ age: [{ recipient: "age1a" }, { recipient: "age1b" }], pgp: [{ fp: "F" }] }, [
      "--age",
      "age1a,age1b",
      "--pgp",
      "F",
    ]],
    [{ kms: [{ arn: "A" }], gcp_kms: [{ resource_id: "R" }], encrypted_regex: "^access" }, [
      "--kms",
      "A",
      "--gcp-kms",
      "R",
      "--encrypted-regex",
      "^access",
    ]],
    [{ kms: [{ arn: "A", role: "r" }] }, []],
    [{ age: [{ recipient: "age1a" }], hc_vault: [{ vault_address: "x" }] }, []],
    [{ key_groups: [{ age: [{ recipient: "age1a" }] }] }, []],
    [{ age: [], pgp: null, lastmodified: "now" }, []],
  ];
  for (const [sops, expected] of cases) {
    await withFiles(async ({ files, runs, storage }) => {
      await files.save(ENCRYPTED, { a: "ENC", sops });
      await storage({ sops: {} }).save(KEY, {});
      const args = runs[0]!;
      assertEquals(args.slice(5, args.indexOf("--filename-override")), expected);
      assertEquals(args.slice(args.indexOf("--filename-override") + 1, -1), [`/${ENCRYPTED}`]);
    });
  }
});

const FAILURES: [string, JsonObject | string | number | undefined, string][] = [
  ["there is no sops", undefined, "storage_failed"],
  ["sops fails", 128, "storage_failed"],
  ["sops gives no JSON", "SECRET", "storage_corrupt"],
  ["sops gives a list", "[1]", "storage_corrupt"],
];
for (const [what, answer, code] of FAILURES) {
  test(`SopsStorage fails where ${what}, and writes nothing`, async () => {
    await withFiles(async ({ files, storage }) => {
      await files.save(ENCRYPTED, { a: "ENC" });
      const answers = answer === undefined ? [] : [answer, answer];
      const store = storage(...answers);
      const error = await assertRejects(() => store.load(KEY), AuthError);
      assertEquals(error.code, code);
      assert(error.message.includes("sops") && !error.message.includes("SECRET"), error.message);
      assertEquals(error.cause, undefined);
      const other = await assertRejects(
        () => store.save(KEY, { access_token: "SECRET" }),
        AuthError,
      );
      assertEquals(other.code, "storage_failed");
      assert(!other.message.includes("SECRET"), other.message);
      assertEquals(await files.load(ENCRYPTED), { a: "ENC" });
    });
  });
}

test("SopsStorage.rename() moves what cannot be read as it is, without sops", async () => {
  await withFiles(async ({ files, runs, storage }) => {
    await files.save(ENCRYPTED, {});
    await writeFile(`${files.root}/${ENCRYPTED}`, "no JSON");
    const store = storage();
    await store.rename(KEY, `${KEY}.corrupt`);
    assertEquals([await store.exists(KEY), await files.exists(`${ENCRYPTED}.corrupt`)], [
      false,
      true,
    ]);
    assertEquals(runs, []);
  });
});

test("SopsStorage locks the encrypted file, and refuses a write that lost its lock", async () => {
  await withFiles(async ({ files, storage }) => {
    await files.save(ENCRYPTED, { a: "ENC" });
    const store = storage({ a: "ENC2", sops: {} });
    await store.withLock(KEY, async () => {
      await assertRejects(
        () => files.withLock(ENCRYPTED, () => Promise.resolve(), { timeoutMs: 50 }),
        AuthError,
        "did not come free",
      );
      await store.save(KEY, {});
    });
    assertEquals(await files.load(ENCRYPTED), { a: "ENC2", sops: {} });
  });
});
