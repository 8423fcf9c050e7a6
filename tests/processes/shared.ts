/**
 * A store over a database that many processes share; as a program, one of them that locks, counts
 * and saves until its input ends.
 *
 * Prints each number once its save was acknowledged, and `failed` and a code where one was not.
 *
 * @module
 */

import process from "node:process";
import { AuthError, SharedStorage } from "../../mod.ts";
import { CLIENTS, openClient } from "../_support/engines.ts";
import type { EnginePlace } from "./workers.ts";

/** Key of what is counted. */
export const COUNT_KEY = "count.json";

/** Opens the store, by the client that falls to this process. */
export async function openShared({ name, port, ...options }: EnginePlace): Promise<SharedStorage> {
  const clients = CLIENTS[name];
  const { store } = await openClient(clients[process.pid % clients.length]!, port);
  return new SharedStorage(store, options);
}

const { LOCKER } = process.env;
if (LOCKER !== undefined) {
  const storage = await openShared(JSON.parse(LOCKER));
  process.stdin.on("end", () => process.exit(0)).resume();
  for (;;) {
    try {
      await storage.withLock(COUNT_KEY, async () => {
        const n = Number((await storage.load(COUNT_KEY))?.n ?? 0) + 1;
        await storage.save(COUNT_KEY, { n });
        console.log(n);
      });
    } catch (error) {
      console.log(`failed ${error instanceof AuthError ? error.code : error}`);
    }
    // Nobody hammers: others shall have their turn.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
