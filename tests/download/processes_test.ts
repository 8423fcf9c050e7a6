import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { crowd, killStorm } from "./_processes.ts";

const OPTIONS = {
  timeoutMs: 120_000,
  skip: !("Deno" in globalThis)
    ? "the processes are of all runtimes, and Deno's turn starts them"
    : process.platform === "win32"
    ? "Windows has no SIGKILL"
    : undefined,
};

test("8 processes that download one file: it is sent once, and is whole", async () => {
  const { downloaded, kept, sent, size } = await crowd("keep");
  assertEquals([downloaded, kept, sent], [1, 7, size]);
}, OPTIONS);

test(
  "processes killed at random instants leave nothing that is not whole, and are gone on with (10 kills)",
  async () => {
    const storm = await killStorm(10, 1);
    assert(storm.killed === 10, JSON.stringify(storm));
  },
  OPTIONS,
);
