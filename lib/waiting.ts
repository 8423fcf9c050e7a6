/**
 * Time and waiting: a clock that tests can replace, and waits that a signal ends.
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

/**
 * Waits for `work`, or goes at once when `signal` aborts; the work itself goes
 * on for whoever else waits for it.
 *
 * @throws The reason of `signal`, or what `work` rejects with.
 */
export function abandonable<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** A signal that follows another one and can be aborted by itself, until it is let go. */
export interface LinkedAbort {
  /** Aborts with the other signal, or by `abort`. */
  readonly signal: AbortSignal;
  /** Aborts the signal. */
  abort(reason: unknown): void;
  /** Stops following; nothing stays attached to the other signal. */
  release(): void;
}

/** Makes a signal that aborts when `parent` does. */
export function linkedAbort(parent?: AbortSignal): LinkedAbort {
  const controller = new AbortController();
  const follow = () => controller.abort(parent?.reason);
  if (parent?.aborted) follow();
  else parent?.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    abort: (reason: unknown): void => controller.abort(reason),
    release: (): void => parent?.removeEventListener("abort", follow),
  };
}
