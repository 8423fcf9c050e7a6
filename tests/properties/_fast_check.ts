/**
 * The part of npm:fast-check that is used here, and how many cases are tried.
 *
 * `PLANET_TEST_SEED` repeats a run; a failure prints the seed that it needs.
 *
 * @module
 */

import process from "node:process";
import type { Break } from "../_support/watch.ts";
import { loadExtra, missingExtra } from "../_tools/extra.ts";

/** Makes values. */
export interface Arbitrary<T> {
  map<U>(change: (value: T) => U): Arbitrary<U>;
  filter(wanted: (value: T) => boolean): Arbitrary<T>;
}

/** Something that holds for all values, whatever they are. */
export interface Property {
  readonly __property?: never;
}

type Values<A extends Arbitrary<unknown>[]> = {
  [I in keyof A]: A[I] extends Arbitrary<infer T> ? T : never;
};

/** The part of the module that is used here. */
export interface FastCheck {
  assert(property: Property, options: { numRuns: number; seed: number }): Promise<void>;
  property<A extends Arbitrary<unknown>[]>(
    ...given: [...A, (...values: Values<A>) => void]
  ): Property;
  asyncProperty<A extends Arbitrary<unknown>[]>(
    ...given: [...A, (...values: Values<A>) => Promise<void>]
  ): Property;
  string(
    options?: {
      unit?: "grapheme" | "binary" | "binary-ascii";
      minLength?: number;
      maxLength?: number;
    },
  ): Arbitrary<string>;
  constantFrom<T>(...values: T[]): Arbitrary<T>;
  constant<T>(value: T): Arbitrary<T>;
  oneof<A extends Arbitrary<unknown>[]>(...given: A): Arbitrary<Values<A>[number]>;
  array<T>(of: Arbitrary<T>, options?: { minLength?: number; maxLength?: number }): Arbitrary<T[]>;
  integer(options?: { min?: number; max?: number }): Arbitrary<number>;
  double(): Arbitrary<number>;
  boolean(): Arbitrary<boolean>;
  jsonValue(options?: { maxDepth?: number }): Arbitrary<unknown>;
  uint8Array(options?: { maxLength?: number }): Arbitrary<Uint8Array>;
  option<T>(of: Arbitrary<T>, options?: { nil: undefined }): Arbitrary<T | undefined>;
  dictionary<T>(key: Arbitrary<string>, value: Arbitrary<T>): Arbitrary<Record<string, T>>;
  record<T>(of: { [K in keyof T]: Arbitrary<T[K]> }, options?: { requiredKeys: [] }): Arbitrary<T>;
  tuple<A extends Arbitrary<unknown>[]>(...given: A): Arbitrary<Values<A>>;
}

/** Why there are no property tests; `undefined`: there are. */
export const missing: string | undefined = missingExtra("fast-check");

/** What the properties break: tokens of any text are their point. */
export const ANY_TEXT: Break = {
  rule: "short secret",
  where: "",
  why: "Random texts are no secrets, whatever member they are under; made-up ones are looked for.",
};

/** The module. */
export const fc: FastCheck = missing === undefined
  ? loadExtra<FastCheck>("fast-check")
  : undefined as unknown as FastCheck;

const given = process.env.PLANET_TEST_SEED;
const seed = given === undefined ? Date.now() & 0x7fffffff : Number(given);

/** Checks a property; a failure names the seed. */
export async function check(property: Property, numRuns: number): Promise<void> {
  try {
    await fc.assert(property, { numRuns, seed });
  } catch (error) {
    console.log(`Repeat with PLANET_TEST_SEED=${seed}`);
    throw error;
  }
}
