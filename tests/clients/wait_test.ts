/**
 * Waiting for an asset on a clock that is driven by hand: every state, every end.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Asset,
  AuthError,
  ClientError,
  TooManyRequests,
  type WaitOptions,
} from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import type { HandClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";
import { type Answer, drive, seconds, waitWorld } from "./_waits.ts";

const SELF = "https://api.planet.com/data/v1/assets/a";

function asset(status: string, more: Record<string, unknown> = {}): Asset {
  return {
    _links: { _self: SELF, activate: `${SELF}/activate`, type: "t" },
    _permissions: ["download"],
    type: "visual",
    status,
    ...(status === "active"
      ? { location: `https://api.planet.com/download?token=${secret("link")}` }
      : {}),
    ...more,
  } as Asset;
}

/** A world whose API answers in turn. */
function world(answers: Answer[], more: { maxRetries?: number } = {}) {
  const made = waitWorld(asset, answers, more);
  return { ...made, data: made.pl.data };
}

async function wait(given: Asset, answers: Answer[], options: WaitOptions = {}) {
  const made = world(answers);
  const states: string[] = [];
  const work = made.data.waitAsset(given, { onState: (state) => states.push(state), ...options });
  const outcome = await drive(made.clock, work).then(
    (ready) => ({ ready }),
    (error) => ({ error }),
  );
  return { ...made, ...outcome, states } as typeof made & {
    states: string[];
    ready?: Asset;
    error?: Error;
  };
}

test("waitAsset() returns an active asset at once, and asks nothing", async () => {
  const given = asset("active");
  const { asked, ready, states } = await wait(given, []);
  assertEquals([ready, asked, states], [given, [], ["active"]]);
});

test("waitAsset() waits 5 s, growing by half to 30 s, and tells each state", async () => {
  const answers = [...Array(7).fill("activating"), "active"];
  const { asked, clock, ready, states } = await wait(asset("activating"), answers);
  assertEquals(ready?.status, "active");
  assertEquals(seconds(clock), [5, 7.5, 11.25, 16.875, 25.3125, 30, 30, 30]);
  assertEquals(asked.length, 8);
  assertEquals(states, [...Array(8).fill("activating"), "active"]);
});

test("waitAsset() takes a fixed delay", async () => {
  const answers = ["activating", "activating", "active"];
  const { clock } = await wait(asset("activating"), answers, { delayMs: 1_000 });
  assertEquals(seconds(clock), [1, 1, 1]);
});

test("waitAsset() counts the time of the last call into the delay", async () => {
  const slow = (clock: HandClock) => (clock.advance(2_000), asset("activating"));
  const { clock } = await wait(asset("activating"), [slow, "active"]);
  assertEquals(seconds(clock), [5, 5.5]);
});

test("waitAsset() gives up on an answer that does not come in time", async () => {
  const { clock, data } = world(["hang"]);
  // What is asked late in the wait has ten seconds by the system's own clock; the test has less.
  const timers: (() => void)[] = [];
  const { setTimeout: real } = globalThis;
  const work = data.waitAsset(asset("activating"), { timeoutMs: 6_000 });
  work.catch(() => {});
  await clock.advance(0);
  globalThis.setTimeout = ((call: () => void, ms?: number) => {
    if (ms === 10_000) timers.push(call);
    return real(call, ms);
  }) as typeof setTimeout;
  try {
    await clock.step();
  } finally {
    globalThis.setTimeout = real;
  }
  assertEquals(timers.length, 1);
  timers[0]!();
  const error = await assertRejects(() => work, AuthError);
  assertEquals(error.code, "timeout");
});

test("waitAsset() looks at the last answer: success on the last attempt counts", async () => {
  const answers = ["activating", "activating", "active"];
  const { ready, clock } = await wait(asset("activating"), answers, { maxAttempts: 3 });
  assertEquals([ready?.status, clock.sleeps.length], ["active", 3]);
});

test("waitAsset() ends after maxAttempts, and sleeps no more", async () => {
  const { asked, clock, error } = await wait(asset("activating"), ["activating", "activating"], {
    maxAttempts: 2,
  });
  assert(error instanceof ClientError);
  assertEquals([asked.length, clock.sleeps.length], [2, 2]);
});

test("waitAsset() ends after timeoutMs, and asks once more at its end", async () => {
  const answers = ["activating", "activating", "activating"];
  const { asked, clock, error } = await wait(asset("activating"), answers, { timeoutMs: 15_000 });
  assert(error instanceof AuthError && error.code === "timeout", String(error));
  assertEquals(seconds(clock), [5, 7.5, 2.5]);
  assertEquals(asked.length, 3);
  const lucky = await wait(asset("activating"), ["activating", "active"], { timeoutMs: 6_000 });
  assertEquals(lucky.ready?.status, "active", "success at the very end counts");
});

test("waitAsset() refuses an inactive asset at once, given or answered", async () => {
  const given = await wait(asset("inactive"), []);
  assert(given.error instanceof ClientError);
  assertEquals([given.asked, given.clock.sleeps, given.states], [[], [], ["inactive"]]);
  const answered = await wait(asset("activating"), ["inactive"]);
  assert(answered.error instanceof ClientError && /activateAsset/.test(answered.error.message));
  assertEquals(answered.clock.sleeps.length, 1);
});

test("waitAsset() goes on from what activateAsset() was called with", async () => {
  const { asked, clock, data } = world(["activating", "active"]);
  const given = asset("inactive");
  assertEquals(await data.activateAsset(given), true);
  const ready = await drive(clock, data.waitAsset(given));
  assertEquals([ready.status, asked], ["active", [
    "/data/v1/assets/a/activate",
    "/data/v1/assets/a",
    "/data/v1/assets/a",
  ]]);
  assertEquals(await data.activateAsset(ready), false, "nothing is sent for an active one");
  assertEquals(await data.activateAsset(asset("activating")), false);
  assertEquals(asked.length, 3);
});

test("waitAsset() waits on in a state that it does not know, and tells it", async () => {
  const { ready, states } = await wait(asset("queued"), ["thinking", "active"]);
  assertEquals([ready?.status, states], ["active", ["queued", "thinking", "active"]]);
});

test("waitAsset() outlives 429 and 502 in between", async () => {
  const asks = new Response("{}", { status: 429, headers: { "retry-after": "20" } });
  const { asked, clock, ready } = await wait(asset("activating"), [asks, 502, 502, "active"]);
  assertEquals([ready?.status, asked.length], ["active", 4]);
  assertEquals(seconds(clock).slice(0, 2), [5, 20], "as Retry-After says");
});

test("waitAsset() ends if the API goes on refusing", async () => {
  const { clock, data } = world([429, 429, 429], { maxRetries: 2 });
  await assertRejects(() => drive(clock, data.waitAsset(asset("activating"))), TooManyRequests);
});

test("waitAsset() asks for another link if the one of an active asset has run out", async () => {
  const old = asset("active", { expires_at: "2025-12-31T23:59:59Z" });
  const fresh = asset("active", { expires_at: "2026-01-01T01:00:00Z" });
  const { asked, clock, ready } = await wait(old, [fresh]);
  assertEquals([ready, asked.length, clock.sleeps], [fresh, 1, []]);
  const gone = await wait(old, ["inactive"]);
  assert(gone.error instanceof ClientError);
});

test("waitAsset() ends with the signal's reason while it sleeps and while it asks", async () => {
  const asleep = world([]);
  const [one, two] = [new AbortController(), new AbortController()];
  const work = asleep.data.waitAsset(asset("activating"), { signal: one.signal });
  await asleep.clock.advance(0);
  assertEquals(asleep.clock.sleeping, 1);
  one.abort(new Error("enough"));
  await assertRejects(() => work, Error, "enough");
  assertEquals(asleep.clock.sleeping, 0, "no timer is left");
  const asking = world(["hang"]);
  const other = asking.data.waitAsset(asset("activating"), { signal: two.signal, delayMs: 0 });
  other.catch(() => {});
  await asking.clock.step();
  assertEquals(asking.asked.length, 1);
  two.abort(new Error("enough too"));
  await assertRejects(() => other, Error, "enough too");
  assertEquals(asking.clock.sleeping, 0);
});

test("waitAsset() passes on what onState throws", async () => {
  const { error, asked } = await wait(asset("activating"), [], {
    onState() {
      throw new RangeError("mine");
    },
  });
  assertEquals([error?.message, asked], ["mine", []]);
});

const WRONG: [string, unknown, new (...args: never[]) => Error][] = [
  ["delayMs", { delayMs: -1 }, ClientError],
  ["delayMs", { delayMs: "5" }, TypeError],
  ["maxAttempts", { maxAttempts: 1.5 }, ClientError],
  ["timeoutMs", { timeoutMs: NaN }, ClientError],
  ["onState", { onState: 1 }, TypeError],
];
for (const [name, options, Class] of WRONG) {
  test(`waitAsset() refuses ${JSON.stringify(options)}, and names the option`, async () => {
    const { error, asked } = await wait(asset("activating"), [], options as WaitOptions);
    assert(error instanceof Class && error.message.includes(name), String(error));
    assertEquals(asked, []);
  });
}

const LACKING: [string, string, (data: ReturnType<typeof world>["data"]) => Promise<unknown>][] = [
  ["status", "waitAsset()", (data) => data.waitAsset({} as Asset)],
  ["_links._self", "waitAsset()", (data) => data.waitAsset({ status: "activating" } as Asset)],
  ["status", "activateAsset()", (data) => data.activateAsset({} as Asset)],
  ["_links.activate", "activateAsset()", (data) => data.activateAsset({ status: "x" } as never)],
  ["location", "downloadAsset()", (data) => data.downloadAsset(asset("activating"))],
  ["location", "openAsset()", (data) => data.openAsset(asset("inactive"))],
];
for (const [member, name, call] of LACKING) {
  test(`${name} names ${member} if an asset lacks it`, async () => {
    const { asked, clock, data } = world([]);
    const error = await assertRejects(() => drive(clock, call(data)), ClientError);
    assert(error.message.includes(`"${member}"`), error.message);
    assertEquals(asked, []);
  });
}
