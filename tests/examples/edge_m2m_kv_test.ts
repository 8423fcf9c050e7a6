/**
 * `examples/edge_m2m_kv.ts` under Deno, several of them at once on one database, each with exactly
 * the permissions of its header, against the sandbox.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import { openKv } from "../_support/kv.ts";
import {
  exampleCommand,
  exampleEnvironment,
  type ExampleWorld,
  exampleWorld,
} from "../sandbox/run_example.ts";

const ISOLATES = 4;
const REQUESTS = 10;

const skip = "Deno" in globalThis ? undefined : "Deno.serve and Deno KV are Deno's";

interface Isolate {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts the example; resolves when it listens. */
async function start(world: ExampleWorld, database: string): Promise<Isolate> {
  const [program, ...flags] = await exampleCommand("edge_m2m_kv", "deno", world);
  // Quiet, it does not tell its port.
  const args = [...flags.filter((flag) => flag !== "--quiet"), database, "0"];
  const child: ChildProcess = spawn(program!, args, {
    cwd: world.home,
    env: exampleEnvironment(world),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = () => {
    child.kill("SIGKILL");
    return ended;
  };
  let output = "";
  const url = await new Promise<string>((resolve, reject) => {
    const read = (text: string) => {
      output += text;
      const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(output)?.[0];
      if (/Listening on/.test(output) && found !== undefined) resolve(found);
    };
    child.stdout!.setEncoding("utf8").on("data", read);
    child.stderr!.setEncoding("utf8").on("data", read);
    ended.then(() => reject(new Error(`It did not listen: ${output}`)));
  });
  return { url, stop };
}

test(
  "examples/edge_m2m_kv.ts: many isolates at once sign in once, and so do later ones",
  async () => {
    const world = await exampleWorld();
    const isolates: Isolate[] = [];
    try {
      const folder = join(world.home, ".planet-edge");
      await mkdir(folder, { mode: 0o700 });
      const database = join(folder, "kv.sqlite");
      // Programs that make one database at the same moment may find it locked.
      (await openKv(database)).close();
      const begin = async (count: number) => {
        const started = Array.from({ length: count }, () => start(world, database));
        const settled = await Promise.allSettled(started);
        for (const one of settled) if (one.status === "fulfilled") isolates.push(one.value);
        for (const one of settled) if (one.status === "rejected") throw one.reason;
      };
      const ask = async () => {
        const expected = world.sandbox.api.searchNames.slice(-5).reverse();
        const answers = isolates.flatMap(({ url }) =>
          Array.from({ length: REQUESTS }, async () => await (await fetch(url)).json())
        );
        for (const names of await Promise.all(answers)) assertEquals(names, expected);
      };
      await begin(ISOLATES);
      await ask();
      assertEquals(world.sandbox.log.count("token"), 1);
      await begin(1);
      await ask();
      assertEquals(world.sandbox.log.count("token"), 1);
      assert(world.sandbox.log.count("api") >= ISOLATES * REQUESTS);
    } finally {
      await Promise.all(isolates.map((isolate) => isolate.stop()));
      await world.close();
    }
  },
  { skip },
);
