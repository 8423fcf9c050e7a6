import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { type KvLike, KvStorage } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import {
  type KvServer,
  missingKv,
  missingKvServer,
  type OpenedKv,
  openKv,
  startKvServer,
} from "../_support/kv.ts";
import { assertAuthError } from "../_support/store_contract.ts";
import type { ExampleRuntime } from "../sandbox/run_example.ts";
import { holdFirstRenewal, type SharedSession, sharedSession, TOKEN_KEY } from "./session.ts";
import {
  availableRuntimes,
  onceIsEnough,
  sendSignal,
  startWorkers,
  type Worker,
  type WorkerSetup,
} from "./workers.ts";

const { runtimes } = availableRuntimes();
const embedded = { timeoutMs: 300_000, skip: onceIsEnough ?? missingKv };
const remote = { timeoutMs: 300_000, skip: onceIsEnough ?? missingKvServer };

/** A session in a database, and what its workers need. */
interface KvSession {
  readonly session: SharedSession;
  readonly storage: KvStorage;
  /** Starts workers on it, for the person's session or the service account's. */
  start(
    count: number,
    kind: "user" | "service",
    on: readonly ExampleRuntime[],
  ): Promise<Worker[]>;
}

async function withKv(
  where: "file" | "http",
  body: (world: KvSession) => Promise<void>,
  accessTokenSeconds = 300,
): Promise<void> {
  const session = await sharedSession({ accessTokenSeconds });
  const server: KvServer | undefined = where === "http" ? await startKvServer() : undefined;
  const kv: OpenedKv = await openKv(
    server?.url ?? join(session.root, "kv.db"),
    server?.accessToken,
  );
  const place: Partial<WorkerSetup> = server === undefined
    ? { kv: join(session.root, "kv.db") }
    : { kv: server.url, kvToken: server.accessToken };
  const started: Worker[] = [];
  try {
    await body({
      session,
      storage: new KvStorage(kv),
      async start(count, kind, on) {
        const workers = await startWorkers(count, { ...session[kind], ...place }, on);
        started.push(...workers);
        return workers;
      },
    });
  } finally {
    await Promise.all(started.map((worker) => worker.kill()));
    kv.close();
    await server?.close();
    await session.close();
  }
}

async function askAll(workers: readonly Worker[]): Promise<void> {
  const outcomes = await Promise.all(workers.map((worker) => worker.ask()));
  assertEquals(outcomes.filter(({ code }) => code !== undefined), []);
  assertEquals(new Set(outcomes.map(({ token }) => token)).size, 1);
}

const PLACES = [
  ["file", 60, ["deno"], embedded],
  ["http", 24, runtimes, remote],
] as const;

for (const [where, count, on, options] of PLACES) {
  const place = where === "file" ? "in one database file" : "on denokv";

  test(
    `${count} processes on one expired session ${place}: 1 token request`,
    () =>
      withKv(where, async ({ session, storage, start }) => {
        await session.signIn(storage);
        await session.expire(storage);
        await askAll(await start(count, "user", on));
        assertEquals(session.sandbox.log.count("token"), 1);
        assertEquals(session.sandbox.counters.reuseDetections, 0);
        console.log(`${count} processes (${on.join(", ")}) ${place}: 1 token request`);
      }),
    options,
  );

  test(
    `${count} processes of a service account ${place}, nothing stored: 1 token request`,
    () =>
      withKv(where, async ({ session, start }) => {
        await askAll(await start(count, "service", on));
        assertEquals(session.sandbox.log.count("token"), 1);
      }),
    options,
  );

  test(
    `a holder ${place} that is stopped beyond its lease overwrites nothing`,
    () =>
      withKv(where, async ({ session, storage, start }) => {
        await session.signIn(storage);
        await session.expire(storage);
        const { asked, goOn } = holdFirstRenewal(session.sandbox);
        const [late, other] = await start(2, "user", on.slice(0, 1));
        try {
          const lateOutcome = late!.ask();
          await asked;
          sendSignal(late!.child, "SIGSTOP");
          const since = performance.now();
          const outcome = await other!.ask();
          const waited = performance.now() - since;
          assertEquals(outcome.code, undefined, outcome.message);
          assert(waited > 9_000 && waited < 13_000, `${waited} ms`);
          const stored = await storage.load(TOKEN_KEY);
          goOn();
          sendSignal(late!.child, "SIGCONT");
          assertEquals((await lateOutcome).token, outcome.token, "the late one adopts");
          assertEquals(await storage.load(TOKEN_KEY), stored);
        } finally {
          goOn();
        }
      }),
    options,
  );
}

test(
  "6 processes over 30 real expiries of 4 s, in one database file and on denokv at once: " +
    "30 token requests each",
  async () => {
    const count = (where: "file" | "http", on: readonly ExampleRuntime[]) =>
      withKv(where, async ({ session, storage, start }) => {
        await session.signIn(storage);
        const workers = await start(6, "user", on);
        for (let expiry = 1; expiry <= 30; expiry++) {
          const { _exp } = (await storage.load(TOKEN_KEY))!;
          await new Promise((r) => setTimeout(r, Number(_exp) * 1000 - Date.now() + 5));
          await askAll(workers);
          assertEquals(session.sandbox.log.count("token"), expiry, where);
        }
        assertEquals(session.sandbox.counters.reuseDetections, 0);
      }, 4);
    await Promise.all(PLACES.map(([where, , on]) => count(where, on)));
  },
  { timeoutMs: 300_000, skip: embedded.skip ?? remote.skip },
);

test(
  "KvStorage gives up on a database that answers nothing: storage_failed, and the lease ends",
  async () => {
    const kv = await openKv(":memory:");
    let isSilent = false;
    const never = new Promise<never>(() => {});
    // As Deno's own client does over HTTP while the server is gone.
    const gone: KvLike = {
      get: (key) => isSilent ? never : kv.get(key),
      list: (selector) => kv.list(selector),
      atomic() {
        const atomic = kv.atomic();
        const commit = atomic.commit.bind(atomic);
        atomic.commit = () => isSilent ? never : commit();
        return atomic;
      },
    };
    const storage = new KvStorage(gone);
    try {
      const since = performance.now();
      await storage.withLock(TOKEN_KEY, async ({ signal }) => {
        isSilent = true;
        const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
        const save = () => storage.save(TOKEN_KEY, { n: 1 });
        const error = await assertAuthError(save, "storage_failed");
        assert(/can be reached|lost the lock/.test(error.message), error.message);
        await aborted;
      });
      const waited = performance.now() - since;
      assert(waited < 30_000, `${waited} ms`);
      await assertAuthError(() => storage.load(TOKEN_KEY), "storage_failed");
      isSilent = false;
      // What was left of the lock is taken after the lease.
      assertEquals(await storage.withLock(TOKEN_KEY, () => Promise.resolve(1)), 1);
    } finally {
      kv.close();
    }
  },
  embedded,
);
