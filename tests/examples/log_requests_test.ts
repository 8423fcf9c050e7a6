/**
 * `examples/log_requests.ts` against the sandbox, with DEBUG and without.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { test } from "../_support/harness.ts";
import { exampleWorld, runExample } from "../sandbox/run_example.ts";

test("examples/log_requests.ts writes a line for each event, if DEBUG says so", async () => {
  const world = await exampleWorld();
  try {
    const run = (DEBUG?: string) =>
      runExample("log_requests", world, DEBUG === undefined ? {} : { variables: { DEBUG } });
    const silent = await run();
    assertEquals([silent.code, silent.stderr], [0, ""]);
    const listed = silent.stdout.trim().split("\n");
    assertEquals(listed.length, 7);

    world.sandbox.failNext("api", { status: 502, body: "" });
    const { code, stderr, stdout } = await run("other,planet*");
    assertEquals([code, stdout.trim().split("\n")], [0, listed]);
    const lines = stderr.trim().split("\n");
    assertEquals(
      lines.slice(0, 2),
      [
        "planet:auth login_started m2m-client",
        "planet:auth login_succeeded m2m-client",
      ].map((line) => line.replace("m2m-client", world.sandbox.m2m.clientId)),
    );
    const url = `${world.sandbox.url}/data/v1/searches`;
    const rest = lines.slice(2).filter((line) => !line.includes("throttling"));
    const expected = [
      /^planet #1\.1 GET (\S+) request {2}0 ms$/,
      /^planet #1\.1 GET (\S+) answer 502 \d+ ms$/,
      /^planet #1\.1 GET (\S+) pause 502 \d+ ms$/,
      /^planet #1\.2 GET (\S+) repetition 502 \d+ ms$/,
      /^planet #1\.2 GET (\S+) request {2}0 ms$/,
      /^planet #1\.2 GET (\S+) answer 200 \d+ ms$/,
      /^planet #2\.1 GET (\S+) request {2}0 ms$/,
      /^planet #2\.1 GET (\S+) answer 200 \d+ ms$/,
      /^planet the list ended at its limit of 7$/,
    ];
    assertEquals(rest.length, expected.length, stderr);
    rest.forEach((line, index) => {
      assertMatch(line, expected[index]!);
      const found = expected[index]!.exec(line)?.[1];
      if (found !== undefined) assertEquals(found, url);
    });
  } finally {
    await world.close();
  }
});
