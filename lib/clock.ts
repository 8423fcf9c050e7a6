/**
 * Time as the library sees it: one small port, so that tests can replace it.
 *
 * @module
 */

/** A source of time. Tests pass their own; everybody else uses the system's. */
export interface Clock {
  /** Returns the time in epoch milliseconds. */
  now(): number;
  /** Waits `ms` milliseconds; rejects with the reason of `signal` when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The system's clock. */
export const systemClock: Clock = {
  now: (): number => Date.now(),
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      // Longer waits than a 32-bit count of milliseconds would fire at once.
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, Math.min(Math.max(ms, 0), 0x7fffffff));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};
