/**
 * A clock that tests set.
 *
 * @module
 */

import type { Clock } from "../../lib/runtime.ts";

/** A clock that moves when it is told to, or slept on. */
export interface FakeClock extends Clock {
  /** What was slept, in seconds, in order. */
  readonly waits: number[];
  /** Moves the time on. */
  advance(ms: number): void;
}

/** Makes a clock; sleeping ends in the next turn and moves the time by as much. */
export function fakeClock(options: { now?: number } = {}): FakeClock {
  let now = options.now ?? 0;
  const waits: number[] = [];
  return {
    waits,
    now: () => now,
    advance(ms: number): void {
      now += ms;
    },
    async sleep(ms: number, signal?: AbortSignal): Promise<void> {
      signal?.throwIfAborted();
      waits.push(ms / 1000);
      now += ms;
      await Promise.resolve();
      signal?.throwIfAborted();
    },
  };
}

/** A clock that stands still until a test moves it. */
export interface HandClock extends Clock {
  /** How long each sleep that began was to be, in milliseconds. */
  readonly sleeps: number[];
  /** How many sleep now. */
  readonly sleeping: number;
  /** Moves the time on by `ms`, waking whoever has slept enough; returns when they have had a turn. */
  advance(ms: number): Promise<void>;
  /** Waits until somebody sleeps, then moves the time on by as much as that one wants. */
  step(): Promise<number>;
}

/** Makes a clock that is driven by hand. */
export function handClock(now = 0): HandClock {
  const sleeps: number[] = [];
  const waiting = new Set<{ at: number; wake: () => void }>();
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  };
  const advance = async (ms: number) => {
    now += ms;
    for (const one of [...waiting]) if (one.at <= now) one.wake();
    await turns();
  };
  return {
    sleeps,
    get sleeping() {
      return waiting.size;
    },
    now: () => now,
    sleep: (ms, signal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        sleeps.push(ms);
        const end = (settle: () => void) => {
          waiting.delete(one);
          signal?.removeEventListener("abort", onAbort);
          settle();
        };
        const onAbort = () => end(() => reject(signal!.reason));
        const one = { at: now + ms, wake: () => end(resolve) };
        waiting.add(one);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    advance,
    async step() {
      for (let turn = 0; waiting.size === 0; turn++) {
        if (turn > 50) throw new Error("Nobody sleeps.");
        await turns();
      }
      const ms = Math.min(...[...waiting].map(({ at }) => at)) - now;
      await advance(ms);
      return ms;
    },
  };
}

/** Runs `body` while the library's waits of 30 seconds end at once. */
export async function impatiently<T>(body: () => Promise<T>): Promise<T> {
  const { setTimeout } = globalThis;
  const fast = (run: () => void, ms?: number) => setTimeout(run, ms === 30_000 ? 0 : ms);
  globalThis.setTimeout = fast as unknown as typeof setTimeout;
  try {
    return await body();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}
