/**
 * Comparing what an attacker may guess at; imports nothing.
 *
 * @module
 */

/** Compares `given` with `expected` without telling, by its time, where they differ. */
export function sameText(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= (given.charCodeAt(index) || 0) ^ expected.charCodeAt(index);
  }
  return difference === 0;
}
