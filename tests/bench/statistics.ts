/**
 * Medians, spreads and ratios.
 *
 * @module
 */

/** A middle value and the quarters around it. */
export interface Spread {
  /** Median. */
  readonly median: number;
  /** First quartile. */
  readonly low: number;
  /** Third quartile. */
  readonly high: number;
}

/** The value below which the share `q` of `values` lies, interpolated. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN];
  return below + (above - below) * (at - Math.floor(at));
}

/** Median and quartiles. */
export function spread(values: readonly number[]): Spread {
  return {
    median: quantile(values, 0.5),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
  };
}

/** Spread of the quotients of what was measured in the same round. */
export function ratio(values: readonly number[], floors: readonly number[]): Spread {
  return spread(values.map((value, round) => value / floors[round]!));
}

/** As text, such as `1.03 (1.01–1.06)`. */
export function show({ median, low, high }: Spread, digits = 2, unit = ""): string {
  const text = (value: number) => value.toFixed(digits);
  return `${text(median)}${unit} (${text(low)}–${text(high)})`;
}
