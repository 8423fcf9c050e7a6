import { assert, assertEquals } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SharedStorage } from "../../mod.ts";
import {
  CLIENTS,
  type EngineName,
  missingEngine,
  openClient,
  type Proxy,
  type RunningEngine,
  startEngine,
  startProxy,
} from "../_support/engines.ts";
import { test } from "../_support/harness.ts";
import { holdFirstRenewal, type SharedSession, sharedSession, TOKEN_KEY } from "./session.ts";
import { COUNT_KEY } from "./shared.ts";
import {
  availableRuntimes,
  type EnginePlace,
  onceIsEnough,
  sendSignal,
  startCommand,
  startWorkers,
  type Worker,
} from "./workers.ts";

const { runtimes } = availableRuntimes();
const ENGINES: readonly EngineName[] = ["Redis", "Postgres"];
const skip = onceIsEnough ?? missingEngine("Redis") ?? missingEngine("Postgres");
const options = { timeoutMs: 400_000, skip, foreign: true };

/** One of each for all tests; it ends with this program. */
const running = new Map<EngineName, RunningEngine>();
if (skip === undefined) { for (const name of ENGINES) running.set(name, await startEngine(name)); }

/** A session in a database. */
interface World {
  readonly engine: RunningEngine;
  readonly session: SharedSession;
  readonly storage: SharedStorage;
  /** In front of the database. */
  readonly proxy: Proxy;
  /** Starts workers on it, through the proxy if wanted. */
  start(
    count: number,
    kind: "user" | "service",
    way?: "direct" | "proxy",
  ): Promise<Worker[]>;
  readonly place: EnginePlace;
}

async function withEngine(
  name: EngineName,
  body: (world: World) => Promise<void>,
  losing = 0,
): Promise<void> {
  const engine = running.get(name)!;
  const session = await sharedSession();
  const proxy = await startProxy(engine.port, losing);
  const { store, close } = await openClient(CLIENTS[name].at(-1)!, engine.port);
  const place = { name, port: engine.port, prefix: `${crypto.randomUUID()}/` };
  const started: Worker[] = [];
  try {
    await body({
      engine,
      session,
      proxy,
      place,
      storage: new SharedStorage(store, { prefix: place.prefix }),
      async start(count, kind, way = "direct") {
        const at = way === "proxy" ? { ...place, port: proxy.port } : place;
        const workers = await startWorkers(count, { ...session[kind], engine: at }, runtimes);
        started.push(...workers);
        return workers;
      },
    });
  } finally {
    await Promise.all(started.map((worker) => worker.kill()));
    await close();
    await proxy.close();
    await session.close();
  }
}

/** The same on every engine at once. */
async function onEach(
  body: (world: World, name: EngineName) => Promise<void>,
  losing?: number,
): Promise<void> {
  const all = ENGINES.map((name) => withEngine(name, (world) => body(world, name), losing));
  for (const result of await Promise.allSettled(all)) {
    if (result.status === "rejected") throw result.reason;
  }
}

async function askAll(workers: readonly Worker[], what?: "refresh"): Promise<void> {
  const outcomes = await Promise.all(workers.map((worker) => worker.ask(what)));
  assertEquals(outcomes.filter(({ code }) => code !== undefined), []);
  assertEquals(new Set(outcomes.map(({ token }) => token)).size, 1);
}

for (const name of ENGINES) {
  test(
    `60 processes of three runtimes on one expired session over ${name}: 1 token request`,
    () =>
      withEngine(name, async ({ session, storage, start }) => {
        await session.signIn(storage);
        await session.expire(storage);
        const workers = await start(60, "user");
        const since = performance.now();
        await askAll(workers);
        const ms = Math.round(performance.now() - since);
        assertEquals(session.sandbox.log.count("token"), 1);
        assertEquals(session.sandbox.counters.reuseDetections, 0);
        console.log(`60 processes over ${name}: 1 token request, the slowest after ${ms} ms`);
      }),
    options,
  );
}

test(
  "24 processes of a service account, nothing stored, over each engine: 1 token request",
  () =>
    onEach(async ({ session, start }) => {
      await askAll(await start(24, "service"));
      assertEquals(session.sandbox.log.count("token"), 1);
    }),
  options,
);

/** How a holder of the lock is lost while its token request is answered. */
const FATES = ["killed", "stopped", "black-holed"] as const;

test(
  "a holder over each engine that is killed, stopped or black-holed in its request: another takes " +
    "over, nothing is overwritten",
  async () => {
    // At once: nearly all of it is waiting for the lease.
    await Promise.all(
      FATES.map((fate) =>
        onEach(async ({ session, storage, start, proxy }, name) => {
          await session.signIn(storage);
          await session.expire(storage);
          const { asked, goOn } = holdFirstRenewal(session.sandbox);
          const [late] = await start(1, "user", "proxy");
          const others = await start(3, "user");
          try {
            const lateOutcome = late!.ask();
            await asked;
            if (fate === "killed") await late!.kill();
            else if (fate === "stopped") sendSignal(late!.child, "SIGSTOP");
            else proxy.hold(true);
            const since = performance.now();
            await askAll(others);
            const waited = Math.round(performance.now() - since);
            assert(waited > 8_500, `${waited} ms`);
            const stored = await storage.load(TOKEN_KEY);
            goOn();
            if (fate === "stopped") sendSignal(late!.child, "SIGCONT");
            else proxy.hold(false);
            const { code, token } = await lateOutcome;
            if (fate === "killed") assertEquals(code, "gone");
            else assertEquals(token, (await others[0]!.ask()).token, "the late one adopts");
            assertEquals(await storage.load(TOKEN_KEY), stored);
            console.log(`holder over ${name} ${fate}: the others after ${waited} ms`);
          } finally {
            goOn();
          }
        })
      ),
    );
  },
  options,
);

test(
  "6 processes over 30 expiries through a proxy that loses answers, over each engine: 30 token " +
    "requests each",
  () =>
    onEach(async ({ session, storage, start, proxy }, name) => {
      await session.signIn(storage);
      const workers = await start(6, "user", "proxy");
      await askAll(workers);
      for (let expiry = 1; expiry <= 30; expiry++) {
        // By hand, so that no life can end by itself on a slow machine; what they hold is refused.
        await session.expire(storage);
        await askAll(workers, "refresh");
        assertEquals(session.sandbox.log.count("token"), expiry, name);
      }
      assertEquals(session.sandbox.counters.reuseDetections, 0);
      assert(proxy.lost > 0, "no answer was lost");
      console.log(`30 expiries over ${name}: 30 token requests, ${proxy.lost} answers lost`);
    }, 0.04),
  options,
);

/** Programs that lock, count and save, and what they told. */
class Lockers {
  readonly acknowledged: number[] = [];
  failed = 0;
  readonly #running = new Set<ChildProcess>();
  /** Those that have got so far as to tell something. */
  readonly #busy = new Set<ChildProcess>();
  readonly #ends: Promise<void>[] = [];

  constructor(readonly place: EnginePlace) {}

  start(number: number): void {
    const [path, flags] = startCommand(runtimes[number % runtimes.length]!);
    const script = fileURLToPath(new URL("shared.ts", import.meta.url));
    const child = spawn(path, [...flags, script], {
      env: { ...process.env, NO_COLOR: "1", LOCKER: JSON.stringify(this.place) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.on("error", () => {});
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      if (this.#running.has(child)) this.#busy.add(child);
      if (line.startsWith("failed")) return void this.failed++;
      assert(/^\d+$/.test(line), line);
      this.acknowledged.push(Number(line));
    });
    this.#running.add(child);
    this.#ends.push(
      new Promise((resolve) =>
        child.once("close", () => {
          this.#running.delete(child);
          this.#busy.delete(child);
          resolve();
        })
      ),
    );
  }

  /** Kills a busy one at any line of its program. */
  kill(): void {
    const all = [...this.#busy];
    const child = all[Math.floor(Math.random() * all.length)]!;
    this.#busy.delete(child);
    this.#running.delete(child);
    sendSignal(child, "SIGKILL");
  }

  /** Waits for this many more sections, by several programs. */
  async more(count: number): Promise<void> {
    const target = this.acknowledged.length + count;
    while (this.acknowledged.length < target || this.#busy.size < 3) {
      await new Promise((r) => setTimeout(r, 20));
    }
  }

  async end(): Promise<void> {
    for (const child of this.#running) child.stdin!.end();
    await Promise.all(this.#ends);
  }
}

/** Nothing acknowledged was done twice, or lost; `unknown` sections may or may not have counted. */
async function assertCounted(
  { acknowledged, place }: Lockers,
  storage: SharedStorage,
  unknown: number,
): Promise<void> {
  const twice = acknowledged.filter((n, at) => acknowledged.indexOf(n) !== at);
  assertEquals(twice, [], `came twice over ${place.name}`);
  const { n } = (await storage.load(COUNT_KEY))!;
  const surplus = Number(n) - acknowledged.length;
  assert(surplus >= 0 && surplus <= unknown, `${n} stored, ${acknowledged.length} acknowledged`);
}

test(
  "36 SIGKILLs in 6 busy lockers over each engine: no acknowledged section twice, none lost",
  () =>
    onEach(async ({ storage, place }, name) => {
      const lockers = new Lockers({ ...place, leaseMs: 1_000 });
      let number = 0;
      try {
        while (number < 6) lockers.start(number++);
        for (let kills = 0; kills < 36; kills++) {
          await lockers.more(5);
          lockers.kill();
          lockers.start(number++);
        }
        await lockers.more(5);
      } finally {
        await lockers.end();
      }
      await assertCounted(lockers, storage, 36 + lockers.failed + 6);
      const { length } = lockers.acknowledged;
      console.log(`36 SIGKILLs over ${name}: ${length} acknowledged, ${lockers.failed} failed`);
    }),
  options,
);

test(
  "each engine is killed and started again 3 times under 6 busy lockers: nothing acknowledged is lost",
  () =>
    onEach(async ({ engine, storage, place }, name) => {
      const lockers = new Lockers({ ...place, leaseMs: 3_000 });
      try {
        for (let number = 0; number < 6; number++) lockers.start(number);
        for (let restarts = 0; restarts < 3; restarts++) {
          await lockers.more(50);
          await engine.restart();
        }
        await lockers.more(50);
      } finally {
        await lockers.end();
      }
      await assertCounted(lockers, storage, lockers.failed + 6);
      const { length } = lockers.acknowledged;
      console.log(`3 restarts of ${name}: ${length} acknowledged, ${lockers.failed} failed`);
    }),
  options,
);
