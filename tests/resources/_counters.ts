/**
 * Counts what a program may leave behind: memory, open files, timers, listeners.
 *
 * @module
 */

import { readdirSync } from "node:fs";
import process from "node:process";

/** The garbage collector, where one can be had. */
export async function garbageCollector(): Promise<(() => void) | undefined> {
  const { Bun, gc } = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
  if (gc !== undefined) return gc;
  if (Bun !== undefined) return () => Bun.gc(true);
  try {
    const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([
      import("node:v8"),
      import("node:vm"),
    ]);
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc") as () => void;
  } catch {
    return undefined;
  }
}

/** Collects garbage, and tells the heap in MiB. */
export async function heapMiB(): Promise<number> {
  const collect = await garbageCollector();
  for (let times = 0; times < 2; times++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect?.();
  }
  return process.memoryUsage().heapUsed / (1 << 20);
}

/** How many files, sockets and the like are open; `undefined` where the system does not say. */
export function openHandles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

/** Timers and listeners that are there, from the moment that this is called. */
export interface Tally {
  /** Timers that wait. */
  readonly timers: number;
  /** Listeners of abort signals. */
  readonly listeners: number;
  /** Ends the counting. */
  stop(): void;
}

/** Counts the timers and listeners that come and go. */
export function tally(): Tally {
  const { clearInterval, clearTimeout, setInterval, setTimeout } = globalThis;
  const { addEventListener, removeEventListener } = AbortSignal.prototype;
  const timers = new Set<unknown>();
  const listeners = new Map<AbortSignal, Set<unknown>>();
  globalThis.setTimeout =
    ((work: (...args: unknown[]) => void, ms?: number, ...rest: unknown[]) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        work(...rest);
      }, ms);
      timers.add(timer);
      return timer;
    }) as typeof setTimeout;
  globalThis.setInterval = ((work: () => void, ms?: number) => {
    const timer = setInterval(work, ms);
    timers.add(timer);
    return timer;
  }) as typeof setInterval;
  globalThis.clearTimeout = (timer) => {
    timers.delete(timer);
    clearTimeout(timer);
  };
  globalThis.clearInterval = (timer) => {
    timers.delete(timer);
    clearInterval(timer);
  };
  type Listen = (this: AbortSignal, type: string, listener: unknown, options?: unknown) => void;
  AbortSignal.prototype.addEventListener = function (
    this: AbortSignal,
    type: string,
    listener: unknown,
    options: unknown,
  ) {
    const own = listeners.get(this) ?? new Set();
    listeners.set(this, own.add(listener));
    return (addEventListener as Listen).call(this, type, listener, options);
  } as typeof addEventListener;
  AbortSignal.prototype.removeEventListener = function (
    this: AbortSignal,
    type: string,
    listener: unknown,
    options: unknown,
  ) {
    const own = listeners.get(this);
    own?.delete(listener);
    if (own?.size === 0) listeners.delete(this);
    return (removeEventListener as Listen).call(this, type, listener, options);
  } as typeof removeEventListener;
  return {
    get timers() {
      return timers.size;
    },
    get listeners() {
      return [...listeners.values()].reduce((sum, own) => sum + own.size, 0);
    },
    stop() {
      Object.assign(globalThis, { clearInterval, clearTimeout, setInterval, setTimeout });
      Object.assign(AbortSignal.prototype, { addEventListener, removeEventListener });
    },
  };
}
