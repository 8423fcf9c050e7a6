/**
 * `examples/bun_cli.ts` under Bun, as a script and as one file, against the sandbox.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Auth, Planet } from "../../mod.ts";
import { spawnSync } from "../_support/child_process.ts";
import { test, type TestOptions } from "../_support/harness.ts";
import {
  type ExampleRun,
  type ExampleWorld,
  exampleWorld,
  runExample,
} from "../sandbox/run_example.ts";

const FILE = fileURLToPath(new URL("../../examples/bun_cli.ts", import.meta.url));
const OPTIONS: TestOptions = {
  breaks: [{
    rule: "console",
    where: "bun_cli",
    why: 'The command "token" prints the access token, for a pipe.',
  }],
  ...(process.versions.bun ? {} : { skip: "examples/bun_cli.ts is for Bun" }),
  timeoutMs: 120_000,
};

type Run = (...args: string[]) => Promise<ExampleRun>;

/** Goes through all commands, from nobody to nobody. */
async function useAll(run: Run, { home, sandbox }: ExampleWorld): Promise<void> {
  const done = async (...args: string[]) => {
    const result = await run(...args);
    assertEquals(result.code, 0, result.stderr);
    return result;
  };
  const nobody = await run("token");
  assertEquals([nobody.code, nobody.stdout], [1, ""]);
  assertMatch(nobody.stderr, /^Sign in first/);
  assertEquals(JSON.parse((await run("whoami")).stdout).state, "none");

  assertEquals((await done("login")).stdout, "");
  const token = (await done("token")).stdout.trim();
  assertMatch(token, /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/);
  const { clientId, profileName, state, storage } = JSON.parse((await done("whoami")).stdout);
  assertEquals(
    { clientId, profileName, state, storage },
    {
      clientId: sandbox.clientId,
      profileName: "example-bun-cli",
      state: "valid",
      storage: "file",
    },
  );
  const listed = (await done("searches")).stdout.trim().split("\n");
  assertEquals(
    listed.map((line) => line.replace(/^[0-9a-f]{32} {2}/, "")).sort(),
    [...sandbox.api.searchNames].sort(),
  );
  assertEquals((await done("token")).stdout.trim(), token);

  const [found = ""] = (await done("search", "PSScene")).stdout.split("\n");
  assertMatch(found, /^\d{8}_100000_psscene {2}2026-\d\d-01T10:00:00.000Z$/);
  const what = ["PSScene", found.split(" ")[0]!, "ortho_udm2", "out"];
  const { stderr, stdout } = await done("download", ...what);
  assertMatch(stderr, /activating\nactive\n[^]*_udm2\.tif {2}200 kB\n/);
  const path = join(home, stdout.trim());
  assertEquals(statSync(path).size, 200_000);
  assertEquals((await done("download", ...what)).stdout, stdout);
  assertEquals(readdirSync(join(home, "out")).length, 1);
  const refused = await run("download", "PSScene", "none", "ortho_udm2");
  assertEquals(refused.code, 1);
  assertMatch(refused.stderr, /No such item/);
  assertEquals([(await run("download", "PSScene")).code, (await run("search")).code], [2, 2]);

  const { orders } = new Planet(Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment }));
  sandbox.orders.states = ["success"];
  const { id } = await orders.createOrder({
    name: "Fields",
    products: [{ item_ids: ["a"], item_type: "PSScene", product_bundle: "visual" }],
  });
  await orders.getOrder(id);
  assertEquals((await done("orders")).stdout, `${id}  success  Fields\n`);
  const ordered = await done("orders", id, "out");
  assertMatch(ordered.stderr, /^success\n[^]*PSScene\/a_udm2\.tif {2}100 kB\n/);
  for (const path of ordered.stdout.trim().split("\n")) assert(statSync(join(home, path)).isFile());
  assertEquals((await run("orders", "mine")).code, 1);
  assertEquals(sandbox.log.count("token"), 1);

  await done("logout");
  assertEquals(sandbox.liveRefreshTokens, 0);
  assertEquals((await run("token")).code, 1);
  assert(!readdirSync(join(home, ".planet", "example-bun-cli")).includes("token.json"));

  await done("login", "--device");
  assert((await done("token")).stdout.trim() !== token);
  assertEquals([(await run()).code, (await run("dance")).code], [2, 2]);
}

/** Runs `body` in a world of its own. */
async function inWorld(body: (world: ExampleWorld) => Promise<void>): Promise<void> {
  const world = await exampleWorld();
  try {
    await body(world);
  } finally {
    await world.close();
  }
}

test(
  "examples/bun_cli.ts signs in, tells who it is, calls the API and signs out",
  () =>
    inWorld((world) =>
      useAll((...args) => runExample("bun_cli", world, { runtime: "bun", args }), world)
    ),
  OPTIONS,
);

test(
  "examples/bun_cli.ts does the same as one file (bun build --compile)",
  () =>
    inWorld(async (world) => {
      const program = join(world.home, "my-planet");
      const { status, stderr } = spawnSync(
        process.execPath,
        ["build", "--compile", "--outfile", program, FILE],
        { cwd: world.home, encoding: "utf8" },
      );
      assertEquals(status, 0, stderr);
      console.log(`one file: ${(statSync(program).size / 1e6).toFixed(0)} MB`);
      await useAll((...args) => runExample("bun_cli", world, { command: [program], args }), world);
    }),
  OPTIONS,
);
