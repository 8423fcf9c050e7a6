/**
 * Limits how many requests start in a second and how many run at once.
 *
 * Waiters go in the order of asking. No polling: a free place or the next start
 * wakes exactly one of them.
 *
 * @module
 */

import { abandonable, type Clock } from "../waiting.ts";

/** Limits of a {@linkcode Limiter}; 0 means none. */
export interface Limits {
  /** Starts in a second, evenly spaced, since the API minds two close together. */
  readonly requestsPerSecond: number;
  /** Requests at once. */
  readonly maxConcurrent: number;
}

/** Lets callers in, one by one. */
export class Limiter {
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #nextStartMs = 0;

  /** Makes a limiter; `clock` is asked for the time and waited with. */
  constructor(limits: Limits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Runs `work` when it may start.
   *
   * @throws After an abort during the wait, the reason of `signal`.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    await this.#takePlace(signal);
    try {
      await this.#takeStart(signal);
      signal?.throwIfAborted();
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #takePlace(signal?: AbortSignal): Promise<void> {
    const { maxConcurrent } = this.#limits;
    if (maxConcurrent === 0 || this.#running < maxConcurrent) {
      this.#running++;
      return;
    }
    // Whoever leaves hands the place on, so it is counted already.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await abandonable(promise, signal);
    } catch (error) {
      const at = this.#waiting.indexOf(resolve);
      if (at >= 0) this.#waiting.splice(at, 1);
      else this.#leave();
      throw error;
    }
  }

  async #takeStart(signal?: AbortSignal): Promise<void> {
    const { requestsPerSecond } = this.#limits;
    if (requestsPerSecond === 0) return;
    const now = this.#clock.now();
    const space = 1000 / requestsPerSecond;
    // A clock that was set back must not hold the next start up for hours.
    const start = Math.max(now, Math.min(this.#nextStartMs, now + space * (this.#running + 1)));
    this.#nextStartMs = start + space;
    if (start > now) await this.#clock.sleep(start - now, signal);
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
