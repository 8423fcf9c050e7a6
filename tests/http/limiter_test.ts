import { assertEquals, assertRejects } from "@std/assert";
import { Limiter } from "../../lib/http/requester.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";

const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

test("Limiter spaces starts evenly, the first one at once", async () => {
  const clock = fakeClock({ now: 1_000 });
  const limiter = new Limiter({ requestsPerSecond: 10, maxConcurrent: 0 }, clock);
  const starts: number[] = [];
  for (let i = 0; i < 4; i++) await limiter.run(() => Promise.resolve(starts.push(clock.now())));
  assertEquals(starts, [1_000, 1_100, 1_200, 1_300]);
  clock.advance(5_000);
  await limiter.run(() => Promise.resolve(starts.push(clock.now())));
  assertEquals(starts.at(-1), 6_300);
});

test("Limiter gives callers at the same time starts one after the other", async () => {
  const waits: number[] = [];
  const clock = {
    now: () => 0,
    sleep: (ms: number) => Promise.resolve(void waits.push(ms)),
  };
  const limiter = new Limiter({ requestsPerSecond: 4, maxConcurrent: 0 }, clock);
  await Promise.all([1, 2, 3, 4].map(() => limiter.run(() => Promise.resolve())));
  assertEquals(waits, [250, 500, 750]);
});

test("Limiter tells of a wait only where there was one, however long a start takes by the clock", async () => {
  let now = 0;
  const clock = { now: () => now++, sleep: (ms: number) => Promise.resolve(void (now += ms)) };
  const told: number[] = [];
  const free = new Limiter({ requestsPerSecond: 1_000, maxConcurrent: 1 }, clock);
  for (let i = 0; i < 3; i++) {
    await free.run(() => Promise.resolve(), undefined, (ms) => told.push(ms));
  }
  assertEquals(told, []);
  const full = new Limiter({ requestsPerSecond: 0, maxConcurrent: 1 }, clock);
  const run = () => full.run(() => Promise.resolve(), undefined, (ms) => told.push(ms));
  await Promise.all([run(), run()]);
  assertEquals(told.length, 1);
});

test("Limiter does not wait for hours after the clock was set back", async () => {
  const clock = fakeClock({ now: 86_400_000 });
  const limiter = new Limiter({ requestsPerSecond: 10, maxConcurrent: 0 }, clock);
  await limiter.run(() => Promise.resolve());
  clock.advance(-80_000_000);
  await limiter.run(() => Promise.resolve());
  assertEquals(clock.waits.every((seconds) => seconds <= 0.2), true);
});

test("Limiter lets no more run than it may, and the others in order", async () => {
  const limiter = new Limiter({ requestsPerSecond: 0, maxConcurrent: 2 }, fakeClock());
  const ends: (() => void)[] = [];
  const begun: number[] = [];
  const all = [0, 1, 2, 3, 4].map((number) =>
    limiter.run(() => {
      begun.push(number);
      return new Promise<void>((resolve) => ends.push(resolve));
    })
  );
  for (const expected of [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]) {
    await tick();
    assertEquals(begun, expected);
    ends.shift()!();
  }
  ends.forEach((end) => end());
  await tick();
  ends.forEach((end) => end());
  await Promise.all(all);
});

test("Limiter gives the place of one that fails or gives up to the next", async () => {
  const limiter = new Limiter({ requestsPerSecond: 0, maxConcurrent: 1 }, fakeClock());
  await assertRejects(() => limiter.run(() => Promise.reject(new Error("x"))), Error, "x");
  const end = Promise.withResolvers<void>();
  const first = limiter.run(() => end.promise);
  const controller = new AbortController();
  const second = limiter.run(() => Promise.resolve("second"), controller.signal);
  const third = limiter.run(() => Promise.resolve("third"));
  controller.abort(new Error("enough"));
  await assertRejects(() => second, Error, "enough");
  end.resolve();
  await first;
  assertEquals(await third, "third");
  await assertRejects(
    () => limiter.run(() => Promise.resolve(), AbortSignal.abort(new Error("late"))),
    Error,
    "late",
  );
  assertEquals(await limiter.run(() => Promise.resolve("fourth")), "fourth");
});
