/**
 * Stands in for `@std/assert` where JSR does not answer: the same names, over `node:assert`.
 *
 * Holds only what this repository uses. Messages differ from the real package's.
 *
 * @module
 */
import nodeAssert from "node:assert";
import { inspect } from "node:util";

/** A class, abstract or not. */
// deno-lint-ignore no-explicit-any
export type AnyConstructor = abstract new (...args: any[]) => any;
/** A class of errors. */
// deno-lint-ignore no-explicit-any
export type ErrorClass<E extends Error = Error> = abstract new (...args: any[]) => E;
/** Things that have a length and an index. */
export type ArrayLikeArg<T> = ArrayLike<T> & object;

/** An assertion does not hold. */
export class AssertionError extends Error {
  /** Creates an error. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

const show = (value: unknown): string =>
  inspect(value, { depth: 8, sorted: true, maxArrayLength: 200, breakLength: 100 });
const suffix = (message?: string): string => message ? `: ${message}` : ".";

/** Whether two values are equal in depth. `undefined` members count, as in `@std/assert`. */
export function equal(actual: unknown, expected: unknown): boolean {
  try {
    nodeAssert.deepStrictEqual(actual, expected);
    return true;
  } catch {
    return false;
  }
}

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, message = ""): asserts expr {
  if (!expr) throw new AssertionError(message);
}

/** Fails unless `expr` is falsy. */
export function assertFalse(expr: unknown, message = ""): asserts expr is false {
  if (expr) throw new AssertionError(message);
}

/** Fails unless both are equal in depth. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    `Values are not equal${suffix(message)}\n  actual:   ${show(actual)}\n  expected: ${
      show(expected)
    }`,
  );
}

/** Fails if both are equal in depth. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(`Expected a value other than ${show(actual)}${suffix(message)}`);
}

/** Fails unless both are the same (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  throw new AssertionError(
    `Values are not strictly equal${suffix(message)}\n  actual:   ${show(actual)}\n  expected: ${
      show(expected)
    }`,
  );
}

/** Fails if both are the same (`Object.is`). */
export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(`Expected not the same value as ${show(actual)}${suffix(message)}`);
}

/** Fails on `null` and `undefined`. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(`Expected neither null nor undefined${suffix(message)}`);
}

/** Fails unless `actual` matches. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  if (actual.search(expected) >= 0) return;
  throw new AssertionError(`Expected ${show(actual)} to match ${expected}${suffix(message)}`);
}

/** Fails if `actual` matches. */
export function assertNotMatch(actual: string, expected: RegExp, message?: string): void {
  if (actual.search(expected) < 0) return;
  throw new AssertionError(`Expected ${show(actual)} not to match ${expected}${suffix(message)}`);
}

/** Fails unless `actual` holds `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(`Expected ${show(actual)} to hold ${show(expected)}${suffix(message)}`);
}

/** Fails unless each of `expected` equals one of `actual`. */
export function assertArrayIncludes<T>(
  actual: ArrayLikeArg<T>,
  expected: ArrayLikeArg<T>,
  message?: string,
): void {
  const there = Array.from(actual);
  const missing = Array.from(expected).filter((value) => !there.some((one) => equal(one, value)));
  if (missing.length === 0) return;
  throw new AssertionError(`Expected ${show(actual)} to hold ${show(missing)}${suffix(message)}`);
}

type Keyed = Record<PropertyKey, unknown>;

/** Whether all of `expected` is in `actual`; arrays of the same length only. */
function holds(actual: unknown, expected: unknown, seen = new Map<unknown, unknown>()): boolean {
  if (expected instanceof RegExp || expected instanceof Date || expected instanceof Set) {
    return equal(actual, expected);
  }
  if (expected === null || typeof expected !== "object") return equal(actual, expected);
  if (actual === null || typeof actual !== "object") return false;
  if (seen.get(expected) === actual) return true;
  seen.set(expected, actual);
  if (expected instanceof Map) {
    return actual instanceof Map &&
      [...expected].every(([key, value]) => actual.has(key) && holds(actual.get(key), value, seen));
  }
  if (Array.isArray(expected) && (!Array.isArray(actual) || actual.length !== expected.length)) {
    return false;
  }
  return Reflect.ownKeys(expected).every((key) =>
    key in actual && holds((actual as Keyed)[key], (expected as Keyed)[key], seen)
  );
}

/** Fails unless `actual` has all members of `expected`, in depth. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  message?: string,
): void {
  if (holds(actual, expected)) return;
  throw new AssertionError(
    `Expected the members of the second in the first${suffix(message)}\n  actual:   ${
      show(actual)
    }\n  expected: ${show(expected)}`,
  );
}

/** Fails unless `actual` is of the class. */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  message?: string,
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  throw new AssertionError(
    `Expected an instance of ${expectedType.name}, got ${show(actual)}${suffix(message)}`,
  );
}

/** Fails if `actual` is of the class. */
export function assertNotInstanceOf<A, T>(
  actual: A,
  // deno-lint-ignore no-explicit-any
  unexpectedType: abstract new (...args: any[]) => T,
  message?: string,
): asserts actual is Exclude<A, T> {
  if (!(actual instanceof unexpectedType)) return;
  throw new AssertionError(`Expected no instance of ${unexpectedType.name}${suffix(message)}`);
}

/** Fails unless `error` is of the class and its message holds the text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  messageMatches?: string | RegExp,
  message?: string,
): asserts error is E {
  if (!(error instanceof Error)) {
    throw new AssertionError(`Expected an Error, got ${show(error)}${suffix(message)}`);
  }
  if (errorClass && !(error instanceof errorClass)) {
    throw new AssertionError(
      `Expected an error of ${errorClass.name}, got ${error.constructor.name} "${error.message}"${
        suffix(message)
      }`,
      { cause: error },
    );
  }
  if (messageMatches === undefined) return;
  const fits = typeof messageMatches === "string"
    ? error.message.includes(messageMatches)
    : error.message.search(messageMatches) >= 0;
  if (!fits) {
    throw new AssertionError(
      `Expected a message with ${show(messageMatches)}, got ${show(error.message)}${
        suffix(message)
      }`,
      { cause: error },
    );
  }
}

/** What `assertThrows()` and `assertRejects()` were asked for. */
interface Expected {
  errorClass?: ErrorClass | undefined;
  text?: string | undefined;
  message?: string | undefined;
}

function expectation(args: unknown[]): Expected {
  const [first, second, third] = args;
  if (typeof first === "string") return { message: first };
  return {
    errorClass: first as ErrorClass | undefined,
    text: second as string | undefined,
    message: third as string | undefined,
  };
}

function checkThrown(error: unknown, { errorClass, text, message }: Expected): void {
  if (errorClass) assertIsError(error, errorClass, text, message);
}

/** Fails unless `fn` throws; returns what it threw. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
/** Fails unless `fn` throws an error of the class whose message holds the text. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): E;
export function assertThrows(fn: () => unknown, ...args: unknown[]): unknown {
  const expected = expectation(args);
  let thrown: { error: unknown } | undefined;
  try {
    fn();
  } catch (error) {
    thrown = { error };
  }
  if (!thrown) throw new AssertionError(`Expected function to throw${suffix(expected.message)}`);
  checkThrown(thrown.error, expected);
  return thrown.error;
}

/** Fails unless the promise of `fn` rejects; returns the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  message?: string,
): Promise<unknown>;
/** Fails unless the promise rejects with an error of the class whose message holds the text. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...args: unknown[]
): Promise<unknown> {
  const expected = expectation(args);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(
      `Expected a rejection, but the function threw at once${suffix(expected.message)}`,
      { cause: error },
    );
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(`Expected a promise, got ${show(promise)}${suffix(expected.message)}`);
  }
  let thrown: { error: unknown } | undefined;
  try {
    await promise;
  } catch (error) {
    thrown = { error };
  }
  if (!thrown) throw new AssertionError(`Expected function to reject${suffix(expected.message)}`);
  checkThrown(thrown.error, expected);
  return thrown.error;
}

function compare<T>(holds: boolean, actual: T, how: string, expected: T, message?: string): void {
  if (holds) return;
  throw new AssertionError(`Expected ${show(actual)} ${how} ${show(expected)}${suffix(message)}`);
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  compare(actual > expected, actual, ">", expected, message);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void {
  compare(actual >= expected, actual, ">=", expected, message);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  compare(actual < expected, actual, "<", expected, message);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void {
  compare(actual <= expected, actual, "<=", expected, message);
}

/** Fails unless both differ by no more than `tolerance`; default: a 1e-7th of `expected`. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  message?: string,
): void {
  if (Object.is(actual, expected)) return;
  const most = tolerance ?? (isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const near = Math.abs(expected - actual) <= most;
  compare(near, actual, `within ${most} of`, expected, message);
}

/** Fails. */
export function fail(message?: string): never {
  throw new AssertionError(`Failed assertion${suffix(message)}`);
}

/** Fails: this was never to be reached. */
export function unreachable(reason?: string): never {
  throw new AssertionError(`Unreachable${suffix(reason)}`);
}

/** Fails: this is yet to be written. */
export function unimplemented(message?: string): never {
  throw new AssertionError(`Unimplemented${suffix(message)}`);
}
