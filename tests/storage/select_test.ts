import { assert, assertEquals } from "@std/assert";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { FileStorage, openFiles } from "../../lib/storage/file.ts";
import { MemoryStorage, openSessionStorage } from "../../lib/storage/select.ts";
import { SopsStorage } from "../../lib/storage/sops.ts";
import { spawnSync } from "../_support/child_process.ts";
import { test } from "../_support/harness.ts";
import { assertAuthError } from "../_support/store_contract.ts";
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

/** Runs `body` with a home directory of its own, as far as this runtime needs no permission. */
async function inHome(body: (home: string) => Promise<void>): Promise<void> {
  const { path, remove } = await tempFolder();
  const before = process.env[VARIABLE];
  process.env[VARIABLE] = path;
  try {
    await body(path);
  } finally {
    if (before === undefined) delete process.env[VARIABLE];
    else process.env[VARIABLE] = before;
    await remove();
  }
}
const VARIABLE = process.platform === "win32" ? "USERPROFILE" : "HOME";

test("openSessionStorage() keeps nothing if saveStateToStorage is false", () =>
  inHome(async (home) => {
    await mkdir(`${home}/.planet`);
    for (const storageProvider of [undefined, new FileStorage({ root: home })]) {
      const options = { saveStateToStorage: false, storageProvider };
      const chosen = await openSessionStorage(options, "p");
      assert(chosen.storage instanceof MemoryStorage);
      assertEquals([chosen.kind, chosen.durable, chosen.reason], [
        "memory",
        false,
        "saveStateToStorage is false",
      ]);
      // A fresh one each time.
      assert((await openSessionStorage(options, "p")).storage !== chosen.storage);
    }
  }));

test("openSessionStorage() takes the given store, and tells whether it lasts", async () => {
  for (const saveStateToStorage of [true, undefined]) {
    const memory = new MemoryStorage();
    const chosen = await openSessionStorage({ saveStateToStorage, storageProvider: memory }, "p");
    assert(chosen.storage === memory);
    assertEquals([chosen.kind, chosen.durable], ["custom", false]);
    await inHome(async (root) => {
      const storageProvider = new FileStorage({ root });
      const chosen = await openSessionStorage({ saveStateToStorage, storageProvider }, "p");
      assert(chosen.storage === storageProvider);
      assertEquals([chosen.kind, chosen.durable], ["custom", true]);
    });
  }
});

test("openSessionStorage() takes files where there is a home directory", () =>
  inHome(async (home) => {
    for (const saveStateToStorage of [true, undefined]) {
      for (const made of ["", ".planet", ".planet/p", ".planet/p/token.json"]) {
        if (made.endsWith(".json")) await writeFile(`${home}/${made}`, "{}");
        else await mkdir(`${home}/${made}`, { recursive: true });
        const { kind, durable, location, storage } = await openSessionStorage(
          { saveStateToStorage },
          "p",
        );
        assertEquals([kind, durable, location], ["file", true, home], made);
        assert(storage instanceof FileStorage);
      }
    }
  }));

test("openSessionStorage() reads through sops what sops encrypts, in the given store too", () =>
  inHome(async (home) => {
    await mkdir(`${home}/.planet/p`, { recursive: true });
    for (const storageProvider of [undefined, new FileStorage({ root: home })]) {
      for (const name of ["auth_client.sops.json", "token.sops.json"]) {
        await writeFile(`${home}/.planet/p/${name}`, "{}");
        const chosen = await openSessionStorage({ storageProvider }, "p");
        assert(chosen.storage instanceof SopsStorage);
        assert(chosen.durable && chosen.reason.includes("sops"), chosen.reason);
        await rm(`${home}/.planet/p/${name}`);
        assert((await openSessionStorage({ storageProvider }, "p")).storage instanceof FileStorage);
      }
    }
  }));

/** What a Deno program with these permissions gets where it asks for state that lasts. */
async function openUnderDeno(
  flags: (home: string) => string[],
  env: Record<string, string> = {},
): Promise<{ line: string; home: string }> {
  const { path: home, remove } = await tempFolder();
  try {
    const input = `
      import { openSessionStorage } from ${JSON.stringify(SELECT)};
      const fallback = await openSessionStorage({}, "p");
      fallback.close?.();
      try {
        const { kind, close } = await openSessionStorage({ saveStateToStorage: true }, "p");
        close?.();
        console.log(kind, close !== undefined);
      } catch ({ code, message }) {
        console.log(fallback.kind, fallback.durable, code, message, "|", fallback.reason);
      }`;
    const { stdout, stderr } = spawnSync("deno", [...RUN, ...flags(home), "-"], {
      input,
      encoding: "utf8",
      env: { PATH: process.env.PATH ?? "", HOME: home, DENO_DIR: `${home}/cache`, ...env },
    });
    assert(stdout !== "", stderr);
    return { line: stdout.trim(), home };
  } finally {
    await remove();
  }
}

/** What is granted, and what the error must name and must not name. */
const DENIED: [
  what: string,
  flags: (home: string) => string[],
  names: (home: string) => string[],
  not: string[],
  env?: Record<string, string>,
][] = [
  ["nothing is granted", () => [], () => [
    "Run with --allow-env=HOME --allow-read=$HOME/.planet --allow-write=$HOME/.planet",
    "--unstable-kv",
  ], []],
  ["no folder is granted", () => ["--allow-env=HOME"], (home) => [
    `Run with --allow-read=${home}/.planet --allow-write=${home}/.planet, or `,
  ], ["--allow-env"]],
  ["the folder is only read", (home) => ["--allow-env=HOME", `--allow-read=${home}/.planet`], (
    home,
  ) => [`Run with --allow-write=${home}/.planet, or `], ["--allow-read", "--allow-env"]],
  [
    "the home directory is missing",
    () => ["-A"],
    () => [
      "Let this user write to the folder /no-such-folder",
    ],
    ["--allow"],
    { HOME: "/no-such-folder" },
  ],
  ["there is no home directory", () => ["-A"], () => ["Set the variable HOME"], ["--allow"], {
    HOME: "",
  }],
  ["Deno Deploy has no database", () => ["-A"], () => ["Attach a Deno KV database"], [
    "--allow",
    "--unstable-kv",
  ], { DENO_DEPLOYMENT_ID: "x" }],
];
for (const [what, flags, names, not, env] of DENIED) {
  test(`openSessionStorage() says what is missing where ${what}, if state must last`, async () => {
    const { line, home } = await openUnderDeno(flags, env);
    assert(line.startsWith("memory false storage_denied "), line);
    for (const name of names(home)) assert(line.includes(name), line);
    assert(line.includes("storageProvider"), line);
    for (const name of not) assert(!line.includes(name), line);
  });
}

test("openSessionStorage() opens Deno KV where there are no files, and can close it", async () => {
  assertEquals((await openUnderDeno(() => ["--unstable-kv"])).line, "kv true");
});

test("openSessionStorage() knows no flags where the runtime has none", () =>
  inHome(async () => {
    process.env[VARIABLE] = "/no-such-folder";
    const error = await assertAuthError(
      () => openSessionStorage({ saveStateToStorage: true }, "p"),
      "storage_denied",
    );
    assert(error.message.startsWith("Let this user write to the folder /no-such-folder"));
    assert(!/--\w/.test(error.message), error.message);
    const { kind, durable, reason } = await openSessionStorage({}, "p");
    assertEquals([kind, durable], ["memory", false]);
    assert(reason.includes("/no-such-folder"), reason);
  }), { skip: "Deno" in globalThis ? "Deno has flags, and Deno KV" : undefined });
