/**
 * `keychainKey()` of the examples over a real keychain, gnome-keyring, and over programs that behave
 * as bad ones do: sessions encrypted in files, one key whatever comes at once, no key in silence.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawn } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test, type TestOptions } from "../_support/harness.ts";
import { missingKeychain, startKeychain, type TestKeychain } from "../_support/keychain.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { LINKS_CONFIG, ROOT } from "../_tools/links.ts";
import {
  type ExampleRun,
  type ExampleRuntime,
  type ExampleWorld,
  exampleWorld,
  findRuntime,
  runExample,
} from "../sandbox/run_example.ts";

const WORKER = fileURLToPath(new URL("./_keychain_worker.ts", import.meta.url));

/** Under Deno all that there are; elsewhere the runtime's own, for Deno's turn covers the rest. */
const RUNTIMES =
  ("Deno" in globalThis
    ? ["deno", "bun", "node"] as const
    : [process.versions.bun ? "bun" as const : "node" as const])
    .filter((runtime) => "path" in findRuntime(runtime));

/** Those that reach the keychain in different ways: Node does as Deno does. */
const ASKING = RUNTIMES.slice(0, 2);

const OPTIONS: TestOptions = { skip: missingKeychain, timeoutMs: 120_000 };

/** Runs `body` with a world for examples, and a keychain. */
async function inWorld(
  body: (world: ExampleWorld, keychain: TestKeychain) => Promise<void>,
): Promise<void> {
  const world = await exampleWorld();
  try {
    const keychain = await startKeychain();
    try {
      await body(world, keychain);
    } finally {
      await keychain.close();
    }
  } finally {
    await world.close();
  }
}

/** Names and texts of the files of a folder, at any depth. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) =>
    name.endsWith(".json")
  );
  const read = async (name: string) => [name, await readFile(join(folder, name), "utf8")] as const;
  return Object.fromEntries(await Promise.all(names.sort().map(read)));
}

/** What the keychain holds of the example. */
const ITEM = ["service", "planet-example", "account", "storage-key"];

/** Asserts that an example did what it is for. */
function worked({ code, stderr, stdout }: ExampleRun): void {
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /Field 12/);
}

test(
  `keychainKey(): one key and one session for ${RUNTIMES.join(", ")}, encrypted in files`,
  () =>
    inWorld(async ({ home, sandbox, ...world }, { secretTool, variables }) => {
      const run = (runtime: ExampleRuntime) =>
        runExample("keychain_session", { home, sandbox, ...world }, { runtime, variables });
      for (const runtime of [...RUNTIMES, ...RUNTIMES]) worked(await run(runtime));
      assertEquals(sandbox.log.count("token"), 1);
      const key = await secretTool("lookup", ...ITEM);
      assertEquals(atob(key).length, 32);
      const files = await contents(join(home, ".planet-encrypted"));
      const note = join(".planet", "keychain-planet-example-storage-key.json");
      assertMatch(files[note]!, /^\{\s*"key_hash": ?"[0-9a-f]{16}"\s*\}\s*$/);
      const sealed = Object.keys(files).filter((name) => name !== note);
      assert(sealed.some((name) => name.endsWith("token.json")), sealed.join());
      for (const name of sealed) assertMatch(files[name]!, /^\{\s*"_sealed": ?"A256GCM\./, name);
    }),
  OPTIONS,
);

test(
  "keychainKey(): a locked keychain, a lost key and another's key are told, and nothing is replaced",
  () =>
    inWorld(async (world, { lock, secretTool, store, variables }) => {
      const folder = join(world.home, ".planet-encrypted");
      worked(await runExample("keychain_session", world, { runtime: RUNTIMES[0]!, variables }));
      const before = await contents(folder);
      world.sandbox.log.reset();
      /** All runtimes refuse, for this reason. */
      const refused = async (why: RegExp) => {
        for (const runtime of ASKING) {
          const run = await runExample("keychain_session", world, { runtime, variables });
          assertEquals([run.code, run.stdout], [1, ""], runtime);
          assertMatch(run.stderr, /^Unlock the keychain, or pass .*deriveStorageKey\(\)/, runtime);
          assertMatch(run.stderr, why, runtime);
        }
        assertEquals(await contents(folder), before);
        assertEquals(world.sandbox.log.toAuthorizationServers, 0);
      };
      const key = await secretTool("lookup", ...ITEM);
      await secretTool("clear", ...ITEM);
      await refused(/the key is gone \(then delete \.planet\/keychain-/);
      await store(btoa("another key of thirty-two bytes."), ...ITEM);
      await refused(/another key than the one that wrote the files/);
      await store(key, ...ITEM);
      await lock();
      await refused(/it is locked/);
    }),
  OPTIONS,
);

test(
  "keychainKey(): a keychain that is locked, or not there, gets no key and leaves no note",
  () =>
    inWorld(async (world, { lock, variables }) => {
      await lock();
      const nobody = { DBUS_SESSION_BUS_ADDRESS: `unix:path=${world.home}/nobody` };
      for (const runtime of ASKING) {
        // Locked, it says nothing to a question; what is put into it is refused.
        const places = [
          [variables, /Cannot create an item in a locked collection|locked/i],
          [nobody, /connect|D-Bus|socket/i],
        ] as const;
        for (const [place, why] of places) {
          const run = await runExample("keychain_session", world, { runtime, variables: place });
          assertEquals([run.code, run.stdout], [1, ""], runtime);
          assertMatch(run.stderr, /^Unlock the keychain, or pass/, runtime);
          assertMatch(run.stderr, why, runtime);
        }
      }
      assertEquals(await contents(world.home), {});
    }),
  OPTIONS,
);

const EACH = 4;
const ROUNDS = 5;

test(
  `keychainKey(): ${
    EACH * 3
  } processes of three runtimes at once on an empty keychain make one key`,
  async () => {
    const keychain = await startKeychain();
    const folder = await tempFolder();
    try {
      const env = { ...process.env, ...keychain.variables };
      const work = RUNTIMES.flatMap((runtime) => {
        const found = findRuntime(runtime);
        if ("missing" in found) throw new Error(found.missing);
        const flags = runtime === "deno"
          ? ["run", "--quiet", "--config", join(ROOT, LINKS_CONFIG), "-A"]
          : runtime === "node"
          ? ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"]
          : [];
        const args = [...flags, WORKER, folder.path, String(ROUNDS)];
        return Array.from({ length: EACH }, () => {
          const child = spawn(found.path, args, { env, stdio: ["ignore", "ignore", "pipe"] });
          let said = "";
          child.stderr!.setEncoding("utf8").on("data", (text: string) => said += text);
          return new Promise<string>((resolve, reject) => {
            child.once("error", reject);
            child.once("close", (code) => resolve(code === 0 ? "" : `${runtime} ${code}: ${said}`));
          });
        });
      });
      assertEquals((await Promise.all(work)).join(""), "");
      // One more of each kind finds what all of them wrote.
      const { EncryptedStorage, FileStorage } = await import("../../mod.ts");
      const text = await keychain.secretTool(
        "lookup",
        "service",
        "planet-test",
        "account",
        "storage-key",
      );
      const bytes = Uint8Array.from(atob(text), (unit) => unit.charCodeAt(0));
      const key = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, [
        "encrypt",
        "decrypt",
      ]);
      const storage = new EncryptedStorage(new FileStorage({ root: folder.path }), key);
      const { n } = (await storage.load(".planet/p/token.json"))!;
      assertEquals(n, EACH * RUNTIMES.length * ROUNDS);
    } finally {
      await folder.remove();
      await keychain.close();
    }
  },
  {
    ...OPTIONS,
    skip: missingKeychain ??
      (RUNTIMES.length < 3 ? "all three runtimes take part, which Deno's turn starts" : undefined),
  },
);

test(
  "keychainKey(): a secret-tool that cuts the key, keeps another or says what is wrong is not believed",
  async () => {
    const world = await exampleWorld();
    try {
      const bin = join(world.home, "bin");
      await mkdir(bin);
      for (
        const [store, lookup, why] of [
          ['echo "secret-tool: password is too long" >&2', "exit 1", /password is too long/],
          ["cat >/dev/null", "printf other", /did not keep the key/],
          ["exit 1", "exit 1", /secret-tool ended with 1/],
          ["exit 1", 'echo "secret-tool: no bus" >&2; exit 1', /no bus/],
        ] as const
      ) {
        const program = join(bin, "secret-tool");
        const seen = lookup.startsWith("printf") ? `[ -f ${bin}/made ] || exit 1; ` : "";
        await writeFile(
          program,
          `#!/bin/sh\ncase $1 in store) touch ${bin}/made; ${store};; *) ${seen}${lookup};; esac\n`,
        );
        await chmod(program, 0o755);
        for (const runtime of ASKING.filter((one) => one !== "bun")) {
          await rm(join(bin, "made"), { force: true });
          const variables = { PATH: `${bin}:${process.env.PATH}` };
          const run = await runExample("keychain_session", world, { runtime, variables });
          assertEquals([run.code, run.stdout], [1, ""], run.stderr);
          assertMatch(run.stderr, why);
        }
      }
      assertEquals(await contents(world.home), {});
    } finally {
      await world.close();
    }
  },
  {
    ...OPTIONS,
    skip: process.platform !== "linux"
      ? "secret-tool is of Linux"
      : RUNTIMES[0] === "bun"
      ? "Bun reaches the keychain by itself"
      : undefined,
  },
);

test(
  "examples/bun_cli.ts --keychain signs in, keeps it encrypted, and signs out",
  () =>
    inWorld(async (world, { variables }) => {
      const run = (...args: string[]) =>
        runExample("bun_cli", world, { runtime: "bun", args, variables });
      const done = async (...args: string[]) => {
        const result = await run("--keychain", ...args);
        assertEquals(result.code, 0, result.stderr);
        return result.stdout;
      };
      assertEquals(await done("login"), "");
      assertMatch(await done("searches"), /Field 12/);
      assertEquals(JSON.parse(await done("whoami")).state, "valid");
      assertEquals(world.sandbox.log.count("token"), 1);
      const files = await contents(join(world.home, ".my-planet"));
      const token = join(".planet", "example-bun-cli", "token.json");
      assertMatch(files[token]!, /^\{\s*"_sealed": ?"A256GCM\./);
      // Without the option there is another place, and nobody.
      assertEquals((await run("whoami")).code, 1);
      await done("logout");
      assertEquals((await run("--keychain", "whoami")).code, 1);
      assertEquals(world.sandbox.liveRefreshTokens, 0);
    }),
  {
    ...OPTIONS,
    skip: missingKeychain ?? (process.versions.bun ? undefined : "examples/bun_cli.ts is for Bun"),
  },
);
