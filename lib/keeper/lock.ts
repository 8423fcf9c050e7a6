/**
 * One holder at a time for a stored object, whatever the store can do.
 *
 * A store with a lock of its own is asked; for one without, callers of this
 * process queue up here. Knows nothing of tokens.
 *
 * @module
 */

import { abandonable } from "../waiting.ts";
import type { Lease, LockOptions, ObjectStorageProvider } from "../storage/objects.ts";

/** Last holder in line for each key of each store that has no lock. */
const queues: WeakMap<ObjectStorageProvider, Map<string, Promise<void>>> = new WeakMap();

/**
 * Runs `body` while nobody else is in it for `key`: on this machine where the
 * store has a lock, in this process where it has none.
 *
 * @throws {AuthError} `lock_timeout`; what `body` throws; after an abort, the reason of the signal.
 */
export async function withStorageLock<T>(
  storage: ObjectStorageProvider,
  key: string,
  body: (lease: Lease) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  if (storage.withLock !== undefined) return await storage.withLock(key, body, options);
  let queue = queues.get(storage);
  if (queue === undefined) queues.set(storage, queue = new Map());
  const before = queue.get(key);
  const { promise: mine, resolve: done } = Promise.withResolvers<void>();
  const tail = before === undefined ? mine : before.then(() => mine);
  queue.set(key, tail);
  // Whoever gives up waiting stays in line until those before are done.
  tail.then(() => queue.get(key) === tail && queue.delete(key));
  try {
    if (before !== undefined) await abandonable(before, options.signal);
    return await body({ signal: new AbortController().signal });
  } finally {
    done();
  }
}
