/**
 * `KvStorage` over denokv, Deno's own server for its databases: many processes, a server that stops,
 * hangs, comes back, and dies between the answer of a renewal and its save.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Auth, type AuthEvent, KvStorage } from "../../mod.ts";
import { type KvServer, missingKvServer, openKv, startKvServer } from "../_support/kv.ts";
import { assertAuthError } from "../_support/store_contract.ts";
import { SERVERS } from "../_tools/servers.ts";
import { PROFILE, type SharedSession, sharedSession, TOKEN_KEY } from "../processes/session.ts";
import { onceIsEnough, startWorkers, type Worker } from "../processes/workers.ts";
import { cell } from "./_suite.ts";

const TITLE = `${SERVERS.denokv.title} ${SERVERS.denokv.version}`;

/** A session in the database of a server, with workers on it. */
interface World {
  readonly session: SharedSession;
  readonly server: KvServer;
  readonly storage: KvStorage;
  /** Starts workers of every runtime in turn. */
  start(count: number): Promise<Worker[]>;
}

function check(name: string, body: (world: World) => Promise<void>): void {
  cell(TITLE, name, undefined, async () => {
    const session = await sharedSession();
    const server = await startKvServer();
    const kv = await openKv(server.url, server.accessToken);
    const workers: Worker[] = [];
    const storage = new KvStorage(kv);
    try {
      await session.signIn(storage);
      const place = { kv: server.url, kvToken: server.accessToken };
      await body({
        session,
        server,
        storage,
        async start(count) {
          workers.push(...await startWorkers(count, { ...session.user, ...place }));
          return workers;
        },
      });
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
      kv.close();
      await server.close();
      await session.close();
    }
  }, { skip: onceIsEnough ?? missingKvServer, timeoutMs: 180_000 });
}

/** All get one token; how many token requests that took. */
async function askAll({ session }: World, workers: readonly Worker[]): Promise<number> {
  const before = session.sandbox.log.count("token");
  const outcomes = await Promise.all(workers.map((worker) => worker.ask()));
  assertEquals(outcomes.filter(({ code }) => code !== undefined), []);
  assertEquals(new Set(outcomes.map(({ token }) => token)).size, 1);
  assertEquals(session.sandbox.counters.reuseDetections, 0);
  return session.sandbox.log.count("token") - before;
}

/** A session of this process. */
function sessionOf(
  { session: { user: { clientId, environment } }, storage }: World,
  onEvent: (event: AuthEvent) => void = () => {},
): Auth {
  const common = { environment, profileName: PROFILE, storageProvider: storage };
  return Auth.fromOAuthUserDeviceCode({ clientId, ...common, onEvent });
}

check("10 processes on one expired session: 1 request", async (world) => {
  const workers = await world.start(10);
  await world.session.expire(world.storage);
  assertEquals(await askAll(world, workers), 1);
});

check("it stops and comes back: storage_failed, then all go on", async (world) => {
  const { server, session, storage } = world;
  const workers = await world.start(3);
  await session.expire(storage);
  await server.stop();
  const outcomes = await Promise.all(workers.map((worker) => worker.ask()));
  // Without the store nobody may spend the one-time token.
  assertEquals(outcomes.map(({ code }) => code), workers.map(() => "storage_failed"));
  assertEquals(session.sandbox.log.count("token"), 0);
  await server.start();
  assertEquals(await askAll(world, workers), 1);
});

check("it hangs and goes on: storage_failed within its time, then all go on", async (world) => {
  const { server, session, storage } = world;
  await session.expire(storage);
  server.signal("SIGSTOP");
  try {
    await assertAuthError(() => storage.load(TOKEN_KEY), "storage_failed");
  } finally {
    server.signal("SIGCONT");
  }
  assertEquals(await askAll(world, await world.start(3)), 1);
});

check("a token in use outlives it: no call needs the store", async (world) => {
  const auth = sessionOf(world);
  const token = await auth.accessToken();
  await world.server.stop();
  assertEquals(await auth.accessToken(), token);
  await world.server.start();
});

check("it dies between the answer and the save: saved again by itself", async (world) => {
  const { server, session, storage } = world;
  await session.expire(storage);
  const events: string[] = [];
  const auth = sessionOf(world, ({ type }) => events.push(type));
  const old = await storage.load(TOKEN_KEY);
  // The server of the tokens answers only when the one of the store is gone.
  session.sandbox.settings.fault = async ({ kind }) => {
    if (kind === "token") await server.stop();
    return undefined;
  };
  // A person's one-time token is not used before it is stored.
  await assertAuthError(() => auth.accessToken(), "storage_failed");
  session.sandbox.settings.fault = undefined;
  await server.start();
  // No call of this process: the tokens in its memory get there by themselves.
  // That takes its pauses, and what was left of the lock ends with its lease.
  const until = performance.now() + 100_000;
  for (let saved = false; !saved;) {
    assert(performance.now() < until, events.join(", "));
    await new Promise((resolve) => setTimeout(resolve, 200));
    saved = (await storage.load(TOKEN_KEY))?.refresh_token !== old?.refresh_token;
  }
  await auth.settled();
  assertEquals(session.sandbox.log.count("token"), 1);
  assertEquals(await askAll(world, await world.start(3)), 0);
});

check("a holder that is killed: the others go on after its lease", async (world) => {
  const { session, storage } = world;
  await session.expire(storage);
  const asked = Promise.withResolvers<void>();
  let requests = 0;
  session.sandbox.settings.fault = async ({ kind }) => {
    // The first is answered by nothing, until its process is gone.
    if (kind !== "token" || ++requests > 1) return undefined;
    asked.resolve();
    await gone.promise;
    return { status: 503 };
  };
  const gone = Promise.withResolvers<void>();
  const [holder, ...others] = await world.start(4);
  void holder!.ask();
  await asked.promise;
  await holder!.kill();
  gone.resolve();
  assertEquals(await askAll(world, others), 1);
});
