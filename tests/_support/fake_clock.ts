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
