/**
 * Waits for answers and reads them, never longer and never more than was said.
 *
 * Does not rely on `fetch` to heed its signal: one of the application's own may
 * not, and Deno's loses the signal of an answer whose head has come once the
 * garbage collector has run.
 *
 * @module
 */

import { abandonable } from "./abort.ts";

/** Waits for the head of an answer; one that comes too late is let go. */
export async function answered(sent: Promise<Response>, signal: AbortSignal): Promise<Response> {
  try {
    return await abandonable(sent, signal);
  } catch (error) {
    sent.then((response) => response.body?.cancel()).catch(() => {});
    throw error;
  }
}

/**
 * Reads a body, at most `most` bytes of it; then it is let go.
 *
 * @throws The reason of `signal`; what reading fails with.
 */
export async function readBody(
  response: Response,
  most: number,
  signal: AbortSignal,
): Promise<{ bytes: Uint8Array; isWhole: boolean }> {
  if (response.body === null) return { bytes: new Uint8Array(), isWhole: true };
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  let isWhole = false;
  try {
    while (size <= most) {
      const { done, value } = await abandonable(reader.read(), signal);
      isWhole = done;
      if (done) break;
      parts.push(value);
      size += value.byteLength;
    }
  } finally {
    if (!isWhole) reader.cancel().catch(() => {});
  }
  const bytes = new Uint8Array(Math.min(size, most));
  let at = 0;
  for (const part of parts) {
    const fitting = part.subarray(0, bytes.length - at);
    bytes.set(fitting, at);
    at += fitting.byteLength;
  }
  return { bytes, isWhole };
}
