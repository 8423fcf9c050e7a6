import { assertEquals } from "@std/assert";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_support/harness.ts";
import { approveDevice } from "../sandbox/person.ts";
import { PROFILE, sharedSession } from "./session.ts";
import { onceIsEnough as skip, startWorkers } from "./workers.ts";

test(
  "9 processes on one expired session in files: 1 token request, 9 successes, 2 expiries",
  async () => {
    const session = await sharedSession();
    await session.signIn();
    const workers = await startWorkers(9, session.user);
    try {
      for (const expected of [1, 2]) {
        await session.expire();
        // What they hold in memory is fresh; asking for another token makes them look.
        const outcomes = await Promise.all(
          workers.map((worker) => worker.ask(expected === 1 ? "token" : "refresh")),
        );
        assertEquals(new Set(outcomes.map(({ code, message }) => `${code} ${message}`)).size, 1);
        assertEquals(new Set(outcomes.map(({ token }) => token)).size, 1);
        assertEquals(session.sandbox.log.count("token"), expected);
      }
      assertEquals(session.sandbox.counters.reuseDetections, 0);
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
      await session.close();
    }
  },
  { timeoutMs: 120_000, skip },
);

test(
  "9 processes of a service account, nothing stored: 1 token request, nothing left over",
  async () => {
    const session = await sharedSession();
    const workers = await startWorkers(9, session.service);
    try {
      const outcomes = await Promise.all(workers.map((worker) => worker.ask()));
      assertEquals(outcomes.filter(({ code }) => code !== undefined), []);
      assertEquals(session.sandbox.log.count("token"), 1);
      const files = await readdir(join(session.root, ".planet", PROFILE));
      assertEquals(files.sort(), ["auth_client.json", "discovery.json", "token.json"]);
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
      await session.close();
    }
  },
  { timeoutMs: 120_000, skip },
);

test(
  "6 processes that all need a sign-in open one page; when its process is killed, another one does",
  async () => {
    const session = await sharedSession();
    const workers = await startWorkers(6, session.user);
    const opened = async (count: number) => {
      while (workers.flatMap((worker) => worker.opened).length < count) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    try {
      const asked = workers.map((worker) => worker.ask("login"));
      await opened(1);
      const first = workers.findIndex((worker) => worker.opened.length > 0);
      await workers[first]!.kill();
      await opened(2);
      const second = workers.findIndex((worker, i) => i !== first && worker.opened.length > 0);
      await approveDevice(workers[second]!.opened[0]!);
      const outcomes = await Promise.all(asked);
      assertEquals(outcomes[first]!.code, "gone");
      const others = outcomes.filter((_, i) => i !== first);
      assertEquals(others.filter(({ code }) => code !== undefined), []);
      assertEquals(new Set(others.map(({ token }) => token)).size, 1);
      assertEquals(workers.flatMap((worker) => worker.opened).length, 2);
      assertEquals(session.sandbox.log.count("device"), 2);
      // Nothing of the locks stays: not of the one who was killed either.
      const files = await readdir(join(session.root, ".planet", PROFILE));
      const kept = ["auth_client.json", "discovery.json", "refresh_state.json", "token.json"];
      assertEquals(files.sort(), kept);
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
      await session.close();
    }
  },
  { timeoutMs: 120_000, skip },
);
