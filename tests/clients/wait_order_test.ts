/**
 * Waiting for an order on a clock that is driven by hand: every state, every end.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AuthError,
  ClientError,
  MissingResource,
  TooManyRequests,
  type WaitOrderOptions,
} from "../../mod.ts";
import type { HandClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";
import { type Answer, drive, seconds, waitWorld } from "./_waits.ts";

const ID = "00000000-0000-4000-8000-000000000001";
const PATH = `/compute/ops/orders/v2/${ID}`;

const order = (state: string) => ({ id: ID, name: "Fields", state, _links: { _self: PATH } });

const world = (answers: Answer[], more: { maxRetries?: number } = {}) =>
  waitWorld(order, answers, more);

async function wait(answers: Answer[], options: WaitOrderOptions = {}) {
  const made = world(answers);
  const states: string[] = [];
  const work = made.pl.orders.wait(ID, { onState: (state) => states.push(state), ...options });
  const outcome = await drive(made.clock, work).then(
    (state) => ({ state }),
    (error) => ({ error }),
  );
  return { ...made, ...outcome, states } as typeof made & {
    states: string[];
    state?: string;
    error?: Error;
  };
}

for (const final of ["success", "partial", "failed", "cancelled"]) {
  test(`orders.wait() returns "${final}", at once too, and sleeps no more`, async () => {
    const late = await wait(["queued", "running", final]);
    assertEquals(late.state, final);
    assertEquals(late.states, ["queued", "running", final]);
    assertEquals(seconds(late.clock), [5, 7.5]);
    const early = await wait([final]);
    assertEquals([early.state, early.asked, early.clock.sleeps], [final, [PATH], []]);
  });
}

test("orders.wait() waits 5 s, growing by half to 30 s; a number means a fixed delay", async () => {
  const answers = [...Array(7).fill("running"), "success"];
  assertEquals(seconds((await wait([...answers])).clock), [
    5,
    7.5,
    11.25,
    16.875,
    25.3125,
    30,
    30,
  ]);
  const fixed = await wait(["queued", "queued", "success"], { delayMs: 1_000 });
  assertEquals(seconds(fixed.clock), [1, 1]);
});

test("orders.wait() counts the time of the last call into the delay", async () => {
  const slow = (clock: HandClock) => (clock.advance(2_000), order("running"));
  assertEquals(seconds((await wait([slow, "success"])).clock), [3]);
});

test("orders.wait() is content with an earlier state, and with those that follow it", async () => {
  const running = await wait(["queued", "running"], { state: "running" });
  assertEquals([running.state, running.clock.sleeps.length], ["running", 1]);
  const queued = await wait(["queued"], { state: "queued" });
  assertEquals([queued.state, queued.clock.sleeps], ["queued", []]);
  const passed = await wait(["queued", "failed"], { state: "running" });
  assertEquals(passed.state, "failed");
  const other = await wait([], { state: "done" as never });
  assert(other.error instanceof ClientError && other.error.message.includes('"partial"'));
  assertEquals(other.asked, []);
});

test("orders.wait() looks at the last answer: success on the last attempt counts", async () => {
  const last = await wait(["queued", "running", "success"], { maxAttempts: 3 });
  assertEquals([last.state, last.asked.length], ["success", 3]);
  const none = await wait(["queued", "running"], { maxAttempts: 2 });
  assert(none.error instanceof ClientError && /running/.test(none.error.message));
  assertEquals([none.asked.length, none.clock.sleeps.length], [2, 1], "no sleep after the last");
});

test("orders.wait() ends after timeoutMs, and asks once more at its end", async () => {
  const { asked, clock, error } = await wait(Array(4).fill("running"), { timeoutMs: 15_000 });
  assert(error instanceof AuthError && error.code === "timeout", String(error));
  assertEquals([seconds(clock), asked.length], [[5, 7.5, 2.5], 4]);
  const lucky = await wait(["running", "running", "partial"], { timeoutMs: 6_000 });
  assertEquals(lucky.state, "partial", "an end at the very end counts");
});

test("orders.wait() waits on in a state that it does not know, and tells it", async () => {
  for (const options of [{}, { state: "running" } as const]) {
    const { state, states } = await wait(["archiving", "thinking", "success"], options);
    assertEquals([state, states], ["success", ["archiving", "thinking", "success"]]);
  }
});

test("orders.wait() outlives 429 and 502 in between, and a 429 that never ends is one", async () => {
  const asks = new Response("{}", { status: 429, headers: { "retry-after": "20" } });
  const { asked, clock, state } = await wait(["queued", asks, 502, 502, "success"]);
  assertEquals([state, asked.length], ["success", 5]);
  assertEquals(seconds(clock).slice(0, 2), [5, 20], "as Retry-After says");
  const never = world([429, 429, 429], { maxRetries: 2 });
  const error = await assertRejects(
    () => drive(never.clock, never.pl.orders.wait(ID)),
    TooManyRequests,
  );
  assert(error.message.includes("quota"), error.message);
});

test("orders.wait() ends if there is no such order, or what comes is none", async () => {
  assert((await wait([404])).error instanceof MissingResource);
  const { asked, error } = await wait([{ id: ID }]);
  assert(error instanceof ClientError && error.message.includes('"state"'), String(error));
  assertEquals(asked.length, 1);
});

test("orders.wait() ends with the signal's reason while it sleeps and while it asks", async () => {
  const asleep = world(["queued"]);
  const [one, two] = [new AbortController(), new AbortController()];
  const work = asleep.pl.orders.wait(ID, { signal: one.signal });
  work.catch(() => {});
  while (asleep.clock.sleeping === 0) await asleep.clock.advance(0);
  one.abort(new Error("enough"));
  await assertRejects(() => work, Error, "enough");
  assertEquals(asleep.clock.sleeping, 0, "no timer is left");
  const asking = world(["hang"]);
  const other = asking.pl.orders.wait(ID, { signal: two.signal });
  other.catch(() => {});
  while (asking.asked.length === 0) await asking.clock.advance(0);
  two.abort(new Error("enough too"));
  await assertRejects(() => other, Error, "enough too");
  assertEquals(asking.clock.sleeping, 0);
  const never = world([]);
  await assertRejects(() => never.pl.orders.wait(ID, { signal: two.signal }), Error, "enough too");
  assertEquals(never.asked, []);
});

test("orders.wait() passes on what onState throws", async () => {
  const { error, clock } = await wait(["queued"], {
    onState() {
      throw new RangeError("mine");
    },
  });
  assertEquals([error?.message, clock.sleeps], ["mine", []]);
});

const WRONG: [string, unknown, new (...args: never[]) => Error][] = [
  ["delayMs", { delayMs: -1 }, ClientError],
  ["maxAttempts", { maxAttempts: 1.5 }, ClientError],
  ["timeoutMs", { timeoutMs: "5" }, TypeError],
  ["onState", { onState: 1 }, TypeError],
  ["state", { state: 1 }, TypeError],
];
for (const [name, options, Class] of WRONG) {
  test(`orders.wait() refuses ${JSON.stringify(options)}, and names the option`, async () => {
    const { error, asked } = await wait([], options as WaitOrderOptions);
    assert(error instanceof Class && error.message.includes(name), String(error));
    assertEquals(asked, []);
  });
}
