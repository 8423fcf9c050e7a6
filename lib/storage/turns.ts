/**
 * One at a time within this process, in the order of asking.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { LockOptions } from "./objects.ts";

/** Longest wait for a lock where the caller names none, in milliseconds. */
export const DEFAULT_LOCK_TIMEOUT_MS = 30_000;

/** The error of a wait that took too long; `what` names what is locked. */
export function lockTimeout(what: string, waitedMs: number): AuthError {
  return new AuthError(
    "lock_timeout",
    `Try again, or end the program that holds ${what}: it did not come free in ${
      Math.round(waitedMs)
    } ms.`,
  );
}

/** Longest wait that a timer can count, in milliseconds; longer ones would end at once. */
const LONGEST_TIMER_MS = 0x7fffffff;

/**
 * Reads how long to wait for a lock.
 *
 * @throws {TypeError} where `timeoutMs` is no number, or below 0.
 */
export function lockWaitMs({ timeoutMs = DEFAULT_LOCK_TIMEOUT_MS }: LockOptions): number {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw new TypeError("timeoutMs must be a number of milliseconds, 0 or more.");
  }
  return Math.min(timeoutMs, LONGEST_TIMER_MS);
}

/** Lines of waiters, one for each name. */
export class Turns {
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Waits until it is the caller's turn for `name`; call what it returns when done.
   *
   * @throws {AuthError} `lock_timeout` naming `what`; after an abort, the reason of the signal.
   */
  async take(name: string, options: LockOptions, what: string): Promise<() => void> {
    const { signal } = options;
    const timeoutMs = lockWaitMs(options);
    signal?.throwIfAborted();
    const before = this.#tails.get(name);
    const { promise: mine, resolve: done } = Promise.withResolvers<void>();
    const tail = before === undefined ? mine : before.then(() => mine);
    this.#tails.set(name, tail);
    tail.then(() => this.#tails.get(name) === tail && this.#tails.delete(name));
    if (before === undefined) return done;
    // Whoever gives up stays in line as one who is done at once.
    const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
    const onAbort = () => giveUp(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => giveUp(lockTimeout(what, timeoutMs)), timeoutMs);
    try {
      await Promise.race([before, given]);
      return done;
    } catch (error) {
      done();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** Lines for what all stores of this process share, such as files. */
export const processTurns: Turns = new Turns();
