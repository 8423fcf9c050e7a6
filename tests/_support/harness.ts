/**
 * One `test()` for every runtime: `Deno.test` with its leak checks under Deno, that of
 * `node:test` in Bun and Node.
 *
 * Every test is watched: it fails where a secret can be seen (`watch.ts`).
 *
 * A skipped test prints one line, `SKIPPED <name>: <reason>`, which the test runner collects.
 *
 * @module
 */

import { type Break, watched } from "./watch.ts";
import "./watch_library.ts";

/** How a test runs. */
export interface TestOptions {
  /** Why the test cannot run here; absent: it runs. */
  skip?: string | undefined;
  /** How long the test may take, in milliseconds; default one minute. */
  timeoutMs?: number | undefined;
  /** Clients of others are at work, which close in their own time: no look at what is left open. */
  foreign?: boolean | undefined;
  /** Which rules of `watch.ts` the test breaks on purpose, where, and why. */
  breaks?: readonly Break[] | undefined;
  /** Told how the test ended, what the watch found included. */
  ended?: ((passed: boolean) => void) | undefined;
}

/** The calls of Deno that are used here. */
interface DenoTest {
  test(definition: {
    name: string;
    fn: () => Promise<void>;
    ignore: boolean;
    sanitizeOps: boolean;
    sanitizeResources: boolean;
    sanitizeExit: boolean;
  }): void;
}

const deno = (globalThis as { Deno?: DenoTest }).Deno;
const nodeTest = deno ? undefined : (await import("node:test")).test;

/** Runs `fn`, but no longer than `timeoutMs`. */
async function bounded(fn: () => void | Promise<void>, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`The test took longer than ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    await Promise.race([Promise.resolve().then(fn), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Registers a test.
 *
 * @param name The symbol, the behaviour, the rule.
 * @param fn The test.
 * @param options `skip` says why it cannot run here; `timeoutMs` bounds it; `breaks` names the
 *   rules of the watch that it breaks; `ended` is told how it ended.
 */
export function test(
  name: string,
  fn: () => void | Promise<void>,
  options: TestOptions = {},
): void {
  const { breaks, ended, foreign = false, skip, timeoutMs = 60_000 } = options;
  if (skip !== undefined) console.log(`SKIPPED ${name}: ${skip}`);
  const body = async () => {
    let passed = false;
    try {
      await watched(() => bounded(fn, timeoutMs), breaks);
      passed = true;
    } finally {
      ended?.(passed);
    }
  };
  if (deno) {
    deno.test({
      name,
      fn: body,
      ignore: skip !== undefined,
      sanitizeOps: !foreign,
      sanitizeResources: !foreign,
      sanitizeExit: true,
    });
  } else {
    nodeTest?.(name, { skip: skip !== undefined, timeout: timeoutMs + 1_000 }, body);
  }
}
