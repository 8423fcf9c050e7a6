import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { crowd, killStorm } from "./_processes.ts";

const OPTIONS = {
  timeoutMs: 900_000,
  skip: !("Deno" in globalThis)
    ? "the processes are of all runtimes, and Deno's turn starts them"
    : process.platform === "win32"
    ? "Windows has no SIGKILL"
    : undefined,
};

test(
  "processes killed at random instants leave nothing that is not whole, and are gone on with (200 kills)",
  async () => {
    const storm = await killStorm(200, 77);
    console.log(JSON.stringify(storm));
    assert(storm.killed === 200 && storm.resumed > 20, JSON.stringify(storm));
  },
  OPTIONS,
);

test("8 processes that replace one file, one after the other: it is whole", async () => {
  assertEquals((await crowd("replace")).downloaded, 8);
}, OPTIONS);
