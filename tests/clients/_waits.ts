/**
 * Waits on a clock that is driven by hand, against an API that answers in turn.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Planet, Session } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { type HandClock, handClock } from "../_support/fake_clock.ts";

/** An answer: a state, a status, what the API describes, a whole answer; `hang` never comes. */
export type Answer = string | number | object | Response | ((clock: HandClock) => object);

/** When it begins. */
export const START = Date.parse("2026-01-01T00:00:00Z");

/** A world whose API answers in turn; `describe` makes what it describes of a state. */
export function waitWorld(
  describe: (state: string) => object,
  answers: Answer[],
  more: { maxRetries?: number } = {},
) {
  const clock = handClock(START);
  const asked: string[] = [];
  const session = new Session({ authorization: () => `Bearer ${secret("T1")}` }, {
    clock,
    requestsPerSecond: 0,
    ...more,
    fetch: (url, init) => {
      asked.push(new URL(String(url)).pathname);
      if (String(url).endsWith("/activate")) {
        return Promise.resolve(new Response(null, { status: 202 }));
      }
      const answer = answers.shift()!;
      if (answer === "hang") {
        return new Promise((_resolve, reject) =>
          init!.signal!.addEventListener("abort", () => reject(init!.signal!.reason))
        );
      }
      if (typeof answer === "function") return Promise.resolve(Response.json(answer(clock)));
      if (answer instanceof Response) return Promise.resolve(answer);
      if (typeof answer === "number") {
        return Promise.resolve(new Response("{}", { status: answer }));
      }
      return Promise.resolve(
        Response.json(typeof answer === "string" ? describe(answer) : answer),
      );
    },
  });
  return { asked, clock, pl: new Planet(session), left: answers };
}

/** Drives the clock until `work` ends; no timer of it is left then. */
export async function drive<T>(clock: HandClock, work: Promise<T>): Promise<T> {
  let ended = false;
  const end = () => ended = true;
  work.then(end, end);
  for (let steps = 0; steps < 300; steps++) {
    await clock.advance(0);
    if (ended) break;
    if (clock.sleeping > 0) await clock.step();
  }
  assert(ended, "the wait did not end");
  assertEquals(clock.sleeping, 0, "a timer is left");
  return await work;
}

/** What was slept, in seconds. */
export const seconds = (clock: HandClock): number[] => clock.sleeps.map((ms) => ms / 1000);
