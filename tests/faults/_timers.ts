/**
 * Makes the library's long time limits short, so that a test can see them end.
 *
 * The limits are real timers on purpose: a clock of the application's own must not be able to
 * stop them. So it is `setTimeout` that is replaced here, for the waits named and no others.
 *
 * @module
 */

/** Long waits that were asked for and shortened, in milliseconds. */
export interface ShortTimers {
  /** Each wait, as it was asked for. */
  readonly asked: number[];
  /** Puts the real `setTimeout` back. */
  restore(): void;
}

/** Shortens every wait of exactly `fromMs` to `toMs`. */
export function shortenTimers(fromMs: number, toMs: number): ShortTimers {
  const real = globalThis.setTimeout;
  const asked: number[] = [];
  const short = (...[work, ms, ...rest]: Parameters<typeof setTimeout>) => {
    if (ms !== fromMs) return real(work, ms, ...rest);
    asked.push(ms);
    return real(work, toMs, ...rest);
  };
  globalThis.setTimeout = Object.assign(short, real) as unknown as typeof setTimeout;
  return { asked, restore: () => void (globalThis.setTimeout = real) };
}
