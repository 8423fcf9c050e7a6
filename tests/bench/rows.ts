/**
 * The rows of the benchmark, each measured in one go, interleaved.
 *
 * @module
 */

import * as fs from "node:fs";
import * as path from "node:path";
import { delimiter } from "node:path";
import { createHash } from "node:crypto";
import process from "node:process";
import { Auth, type CompareAndSetStore, type FetchLike, SharedStorage } from "../../mod.ts";
import { CLIENTS, missingEngine, openClient, startEngine } from "../_support/engines.ts";
import { ROOT } from "../_tools/links.ts";
import { type SharedSession, sharedSession } from "../processes/session.ts";
import { startWorkers } from "../processes/workers.ts";
import type { ExampleRuntime } from "../sandbox/run_example.ts";
import { expired, type Outcome, runCrowd } from "./crowd.ts";
import { bundleSizes } from "./sizes.ts";
import { ADAPTERS, type Engine, ENVIRONMENT, launch, program, STAGE, start } from "./stage.ts";
import { quantile, ratio, show, spread } from "./statistics.ts";
import type { World } from "./world.ts";

/** What one row has found. */
export interface Result {
  /** What was measured. */
  readonly what: string;
  /** Where: a runtime, or empty. */
  readonly where: string;
  /** The finding, as text. */
  readonly found: string;
  /** What it should be, as text; empty for what has no target. */
  readonly target: string;
  /** Whether it is so. */
  readonly holds?: boolean;
  /** The others in the same run. */
  readonly others: string;
}

/** What a row stands on. */
export interface RowContext {
  /** Runtimes, and Python, that are there. */
  readonly engines: readonly Engine[];
  /** Whether it must be quick. */
  readonly quick: boolean;
  /** The servers. */
  readonly world: World;
}

/** One row, or several that are measured together. */
export type Row = (context: RowContext) => Promise<Result[]>;

const TOKEN_FILE = path.join(ENVIRONMENT.HOME!, ".planet/bench/token.json");
const MSAL_FILE = path.join(STAGE, "home/msal.json");

function label(name: string): string {
  return ADAPTERS[name] ?? name;
}

function runtimes(engines: readonly Engine[]): Engine[] {
  return engines.filter(({ name }) => name !== "python");
}

/** Starts the world afresh, with a valid token in the file, and one in that of msal. */
async function signedIn(
  { world, engines }: RowContext,
  options: { latencyMs?: number; expiresIn?: number } = {},
): Promise<void> {
  const token = await world.reset(options);
  fs.mkdirSync(path.dirname(TOKEN_FILE), { recursive: true });
  fs.writeFileSync(TOKEN_FILE, JSON.stringify(token, null, 2), { mode: 0o600 });
  // What lies beside a session that was signed in to: it says whose it is.
  const client = {
    audiences: ["https://api.bench.test/"],
    auth_server: world.origin,
    client_id: "bench",
    client_type: "oidc_device_code",
    scopes: ["planet", "offline_access"],
  };
  const clientFile = path.join(path.dirname(TOKEN_FILE), "auth_client.json");
  fs.writeFileSync(clientFile, JSON.stringify(client, null, 2), { mode: 0o600 });
  // Python's constructor writes a file of production's: it has a profile of its own.
  const other = path.join(path.dirname(TOKEN_FILE), "../bench-sdk");
  fs.mkdirSync(other, { recursive: true });
  fs.copyFileSync(TOKEN_FILE, path.join(other, "token.json"));
  await start(engines[0]!, [program(engines[0]!, "prepare_msal.mjs"), world.origin, MSAL_FILE]);
}

/** Makes what `signedIn()` wrote look as if it came long ago. */
function letExpire(): void {
  const token = JSON.parse(fs.readFileSync(TOKEN_FILE, "utf8"));
  fs.writeFileSync(TOKEN_FILE, JSON.stringify(expired(token)));
  const cache = JSON.parse(fs.readFileSync(MSAL_FILE, "utf8"));
  for (const entry of Object.values<Record<string, string>>(cache.AccessToken)) {
    entry.expires_on = entry.extended_expires_on = "1";
  }
  fs.writeFileSync(MSAL_FILE, JSON.stringify(cache));
}

/** Deno that loads what stands behind `import()` when it is called, and not before the program. */
function lazily(engine: Engine): Engine {
  return { ...engine, command: [...engine.command, "--unstable-lazy-dynamic-imports"] };
}

/** The package as one file, and more for what is loaded later. */
const BUNDLE = path.join(STAGE, "planet-bundle/mod.js");

/** Process start to the first authenticated answer. */
async function startRow(context: RowContext): Promise<Result[]> {
  const { engines, quick, world } = context;
  await signedIn(context, { latencyMs: 20 });
  const url = `${world.origin}/api`;
  const runs: { engine: Engine; name: string; args: string[] }[] = [];
  for (const engine of runtimes(engines)) {
    const once = (name: string, file: string, ...more: string[]) =>
      runs.push({ engine, name, args: [program(engine, file), TOKEN_FILE, url, ...more] });
    const onceLazily = (name: string, file: string) => {
      if (engine.name !== "deno") return;
      const args = [program(engine, file), TOKEN_FILE, url];
      runs.push({ engine: lazily(engine), name, args });
    };
    once("empty", "once_empty.mjs");
    once("floor", "once_floor.mjs");
    once("planet", "once_planet.mjs");
    once("session", "once_session.mjs");
    onceLazily("lazy-dynamic-imports", "once_planet.mjs");
    if (fs.existsSync(BUNDLE)) {
      once("bundled", "bundle_once_planet.mjs");
      onceLazily("bundled, lazy-dynamic-imports", "bundle_once_planet.mjs");
    }
    once("floor_adapter", "once_peer.mjs", "floor");
    for (const name of Object.keys(ADAPTERS)) {
      once(name, "once_peer.mjs", name, ...(name === "msal" ? [MSAL_FILE] : []));
    }
  }
  for (const engine of engines.filter(({ name }) => name === "python")) {
    for (const name of ["planet_auth", "planet_sdk"]) {
      runs.push({ engine, name, args: [program(engine, `once_${name}.py`), TOKEN_FILE, url] });
    }
  }
  const times = new Map<string, number[]>();
  const of = (engine: string, name: string) => times.get(`${engine} ${name}`) ?? [];
  for (let round = -1; round < (quick ? 5 : 21); round++) {
    for (const { engine, name, args } of runs) {
      const { line, ms } = await start(engine, args);
      if (!line.startsWith("200")) throw new Error(`${engine.name} ${name}: ${line}`);
      const key = `${engine.name} ${name}`;
      if (round < 0) times.set(key, []);
      else times.get(key)!.push(ms);
    }
  }
  const results: Result[] = [];
  const targets: Record<string, number> = { deno: 1.25, bun: 1.45, node: 1.1 };
  for (const { name: where } of runtimes(engines)) {
    const floor = of(where, "floor");
    const ours = ratio(of(where, "planet"), floor);
    const target = targets[where];
    const names = ["empty", "session", "lazy-dynamic-imports", "bundled"];
    names.push("bundled, lazy-dynamic-imports", "floor_adapter", ...Object.keys(ADAPTERS));
    const others = names.filter((name) => of(where, name).length > 0).map((name) =>
      `${label(name)} ${show(ratio(of(where, name), floor))}`
    );
    results.push({
      what: "start to first response, valid saved token, ÷ floor",
      where,
      found: show(ours),
      target: target === undefined ? "" : `≤ ${target}`,
      ...(target === undefined ? {} : { holds: ours.median <= target }),
      others: `floor ${show(spread(floor), 1, " ms")}, ${others.join(", ")}`,
    });
  }
  const pythons: Record<string, number> = { deno: 0.22, bun: 0.11 };
  for (const [where, target] of Object.entries(pythons)) {
    const [ours, python] = [of(where, "planet"), of("python", "planet_auth")];
    if (ours.length === 0 || python.length === 0) continue;
    const found = ratio(ours, python);
    results.push({
      what: "the same ÷ planet_auth (Python)",
      where,
      found: show(found, 3),
      target: `≤ ${target}`,
      holds: found.median <= target,
      others: `floor ${show(ratio(of(where, "floor"), python), 3)}, ÷ planet SDK ${
        show(ratio(ours, of("python", "planet_sdk")), 3)
      }, planet_auth ${show(spread(python), 0, " ms")}`,
    });
  }
  return results;
}

/** Authenticated and bare calls in turn. */
async function callRow(context: RowContext): Promise<Result[]> {
  const { engines, quick, world } = context;
  const names = ["planet", "floor", ...Object.keys(ADAPTERS)];
  const targets: Record<string, number> = { deno: 1.025, bun: 1.02, node: 1.03 };
  const count = quick ? 800 : 3000;
  const found = new Map<string, number[]>();
  await signedIn(context);
  for (let round = 0; round < (quick ? 3 : 7); round++) {
    for (const engine of runtimes(engines)) {
      for (const name of names) {
        if (quick && !["planet", "floor", "badgateway", "oauth4webapi"].includes(name)) continue;
        if (!["planet", "floor"].includes(name) && round > 2) continue;
        const more = name === "msal" ? [MSAL_FILE] : [];
        const args = [program(engine, "warm.mjs"), name, world.origin, TOKEN_FILE, `${count}`];
        const { line } = await start(engine, [...args, ...more]);
        const [bare, authenticated] = JSON.parse(line);
        const key = `${engine.name} ${name}`;
        found.set(key, [...found.get(key) ?? [], authenticated / bare]);
      }
    }
  }
  return runtimes(engines).map(({ name: where }) => {
    const ours = spread(found.get(`${where} planet`)!);
    const target = targets[where]!;
    const others = names.slice(1).filter((name) => found.has(`${where} ${name}`))
      .map((name) => `${label(name)} ${show(spread(found.get(`${where} ${name}`)!), 3)}`);
    return {
      what: "authenticated ÷ bare call",
      where,
      found: show(ours, 3),
      target: `≤ ${target}`,
      holds: ours.median <= target,
      others: others.join(", "),
    };
  });
}

/** `accessToken()` with a fresh token. */
async function tokenRow(context: RowContext): Promise<Result[]> {
  const { engines, quick, world } = context;
  const names = ["floor", "planet", ...Object.keys(ADAPTERS)];
  const results: Result[] = [];
  for (const engine of runtimes(engines)) {
    await signedIn(context);
    const count = `${quick ? 200_000 : 500_000}`;
    const args = [program(engine, "token.mjs"), world.origin, TOKEN_FILE, count, MSAL_FILE];
    const { line } = await start(engine, [...args, ...names]);
    const times = JSON.parse(line) as Record<string, number[]>;
    const ours = spread(times.planet!);
    const toFloor = ratio(times.planet!, times.floor!);
    const others = names.filter((name) => name !== "planet")
      .map((name) => `${label(name)} ${show(spread(times[name]!), 0, " ns")}`);
    results.push({
      what: "accessToken() with a fresh token",
      where: engine.name,
      found: `${show(ours, 0, " ns")}, ÷ floor ${show(toFloor)}`,
      target: "≤ 100 ns or ≤ 1.3 × floor",
      holds: ours.median <= 100 || toFloor.median <= 1.3,
      others: others.join(", "),
    });
  }
  return results;
}

/** Import of this package and of oauth4webapi alone. */
async function importRow({ engines, quick }: RowContext): Promise<Result[]> {
  const results: Result[] = [];
  for (const engine of runtimes(engines)) {
    const runs: { name: string; engine: Engine; specifier: string }[] = [];
    const once = (name: string, specifier: string, by = engine) =>
      runs.push({ name, specifier, engine: by });
    const bundle = fs.existsSync(BUNDLE);
    const ours = engine.name === "deno" ? "../planet-ts/mod.ts" : "../planet-js/mod.js";
    once("ours", ours);
    once("oauth4webapi", "oauth4webapi");
    once("badgateway", ADAPTERS.badgateway!);
    if (bundle) once("bundled", BUNDLE);
    if (engine.name === "deno") {
      const lazy = lazily(engine);
      once("lazy-dynamic-imports", ours, lazy);
      if (bundle) once("bundled, lazy-dynamic-imports", BUNDLE, lazy);
    }
    const times = new Map<string, number[]>(runs.map(({ name }) => [name, []]));
    for (let round = -1; round < (quick ? 7 : 25); round++) {
      for (const { name, engine, specifier } of runs) {
        const { line } = await start(engine, [program(engine, "import.mjs"), specifier]);
        if (round >= 0) times.get(name)!.push(Number(line));
      }
    }
    const floor = times.get("oauth4webapi")!;
    const found = ratio(times.get("ours")!, floor);
    const others = runs.map(({ name }) => name).filter((name) =>
      name !== "ours" && name !== "oauth4webapi"
    );
    results.push({
      what: "import of mod.ts ÷ import of oauth4webapi alone",
      where: engine.name,
      found: show(found),
      target: "≤ 0.8",
      holds: found.median <= 0.8,
      others: [
        `oauth4webapi ${show(spread(floor), 1, " ms")}`,
        ...others.map((name) => `${label(name)} ${show(ratio(times.get(name)!, floor))}`),
      ].join(", "),
    });
  }
  return results;
}

/** 1,000 first calls at once in one process. */
async function stampedeRow({ engines, world }: RowContext): Promise<Result[]> {
  const engine = engines[0]!;
  const counted = async (name: string) => {
    const token = await world.reset({ latencyMs: 20 });
    // Those that cannot sign in as a service account renew a person's session.
    const stored = name === "google" ? [JSON.stringify({ ...token, _exp: 1 })] : [];
    const args = [program(engine, "stampede.mjs"), name, world.origin, "1000", ...stored];
    const { line: failed } = await start(engine, args);
    const { discovery, token: tokens } = await world.counts();
    return { text: `${discovery} + ${tokens}`, failed: Number(failed) };
  };
  const ours = await counted("planet");
  const others: string[] = [];
  for (const name of ["floor", ...Object.keys(ADAPTERS)]) {
    const { text, failed } = await counted(name);
    others.push(`${label(name)} ${text}${failed > 0 ? `, ${failed} failed` : ""}`);
  }
  return [{
    what: "1,000 concurrent first calls: discovery + token requests",
    where: engine.name,
    found: ours.failed === 0 ? ours.text : `${ours.text}, ${ours.failed} failed`,
    target: "1 + 1",
    holds: ours.text === "1 + 1" && ours.failed === 0,
    others: others.join(", "),
  }];
}

/** Lets the programs of the process tests find the same Node as the benchmarks. */
function nodeOnPath(engines: readonly Engine[]): void {
  const node = engines.find(({ name }) => name === "node");
  if (node === undefined) return;
  const folder = path.dirname(node.command[0]!);
  if (process.env.PATH?.startsWith(folder)) return;
  process.env.PATH = `${folder}${delimiter}${process.env.PATH ?? ""}`;
  process.env.NODE_OPTIONS = "--experimental-transform-types --disable-warning=ExperimentalWarning";
}

function names(engines: readonly Engine[]): ExampleRuntime[] {
  return runtimes(engines).map(({ name }) => name as ExampleRuntime);
}

/** Many processes, released together, against the real authorization server. */
async function released(
  count: number,
  engines: readonly Engine[],
  kind: "user" | "service",
): Promise<{ failed: number; session: SharedSession; close(): Promise<void> }> {
  const session = await sharedSession();
  if (kind === "user") {
    await session.signIn();
    await session.expire();
  }
  const workers = await startWorkers(count, session[kind], names(engines));
  const outcomes = await Promise.all(workers.map((worker) => worker.ask()));
  return {
    failed: outcomes.filter(({ code }) => code !== undefined).length,
    session,
    close: async () => {
      await Promise.all(workers.map((worker) => worker.kill()));
      await session.close();
    },
  };
}

/** What peers cannot do: sign in as a service account; renew what another program signed in. */
const CANNOT = { service: "google", user: "msal" } as const;

/** A file without a lock, by hand and by each peer: how the runs of one crowd end. */
async function crowds(
  { engines, quick, world }: RowContext,
  kind: "service" | "user",
  count: number,
  rounds: number,
  tell: (outcomes: readonly Outcome[]) => string,
): Promise<string> {
  const told: string[] = [];
  const peers = quick ? ["badgateway"] : Object.keys(ADAPTERS);
  for (const name of ["floor", ...peers, "planet_auth"]) {
    const own = engines.filter((engine) => (engine.name === "python") === (name === "planet_auth"));
    if (own.length === 0 || name === CANNOT[kind]) continue;
    const outcomes: Outcome[] = [];
    for (let round = 0; round < rounds; round++) {
      outcomes.push(await runCrowd(world, { name, kind, count, engines: own }));
    }
    told.push(`${name === "floor" ? "by hand without a lock" : label(name)} ${tell(outcomes)}`);
  }
  return told.join("; ");
}

function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? `${least}` : `${least}–${most}`;
}

/** Cold store, and expired one-time refresh token. */
async function processesRow(context: RowContext): Promise<Result[]> {
  const { engines, quick } = context;
  nodeOnPath(engines);
  const where = names(engines).join(", ");
  const results: Result[] = [];
  const cold = await released(60, engines, "service");
  const { log } = cold.session.sandbox;
  const counts = `${log.count("discovery")} + ${log.count("token")}`;
  await cold.close();
  results.push({
    what: "60 processes released together, cold shared store: discovery + token requests, failures",
    where,
    found: `${counts}, ${cold.failed}`,
    target: "1 + 1, 0",
    holds: counts === "1 + 1" && cold.failed === 0,
    others: await crowds(
      context,
      "service",
      60,
      1,
      ([found]) => `${found!.discovery} + ${found!.token}, ${found!.failed}`,
    ),
  });
  const rounds = quick ? 1 : 5;
  const peerRounds = quick ? 1 : 3;
  const found = { requests: [] as number[], failed: 0, reused: 0, alive: 0 };
  for (let round = 0; round < rounds; round++) {
    const crowd = await released(20, engines, "user");
    const { sandbox, storage, user } = crowd.session;
    found.requests.push(sandbox.log.count("token"));
    found.failed += crowd.failed;
    found.reused += sandbox.counters.reuseDetections;
    // Signed in is who can renew once more.
    await crowd.session.expire(storage);
    const [again] = await startWorkers(1, user, ["deno"]);
    if ((await again!.ask()).code === undefined) found.alive++;
    await again!.kill();
    await crowd.close();
  }
  const requests = [...new Set(found.requests)].join(" or ");
  results.push({
    what:
      "20 processes, expired, one-time refresh token, reuse detection: token requests, failures, runs signed in",
    where,
    found: `${requests}, ${found.failed}, ${found.alive} of ${rounds}`,
    target: `1, 0, ${rounds} of ${rounds}`,
    holds: requests === "1" && found.failed === 0 && found.alive === rounds && found.reused === 0,
    others: await crowds(
      context,
      "user",
      20,
      peerRounds,
      (outcomes) =>
        `${range(outcomes.map(({ token }) => token))}, ${
          range(outcomes.map(({ failed }) => failed))
        }, ${outcomes.filter(({ signedIn }) => signedIn).length} of ${peerRounds}`,
    ),
  });
  return results;
}

/** A holder is killed in the middle of its renewal. */
async function deadHolderRow({ engines, quick }: RowContext): Promise<Result[]> {
  nodeOnPath(engines);
  const results: Result[] = [];
  for (const holder of names(engines)) {
    const delays: number[] = [];
    for (let round = 0; round < (quick ? 1 : 5); round++) {
      const session = await sharedSession();
      await session.signIn();
      await session.expire();
      const asked = Promise.withResolvers<void>();
      let requests = 0;
      session.sandbox.settings.fault = async ({ kind }) => {
        if (kind !== "token" || ++requests > 1) return undefined;
        asked.resolve();
        return await new Promise(() => {});
      };
      const [dying] = await startWorkers(1, session.user, [holder]);
      const [next] = await startWorkers(1, session.user, ["deno"]);
      dying!.ask().catch(() => {});
      await asked.promise;
      await dying!.kill();
      const since = performance.now();
      const { code, message } = await next!.ask();
      delays.push(performance.now() - since);
      if (code !== undefined) throw new Error(`${code}: ${message}`);
      await next!.kill();
      await session.close();
    }
    const found = spread(delays);
    results.push({
      what: "lock left by a killed holder: next refresh, request included",
      where: `holder ${holder}`,
      found: show(found, 0, " ms"),
      target: "≤ 1000 ms",
      holds: found.median <= 1000,
      others: "",
    });
  }
  return results;
}

/** Requests of a second process. */
async function secondProcessRow(context: RowContext): Promise<Result[]> {
  const { engines, world } = context;
  nodeOnPath(engines);
  const session = await sharedSession();
  await session.signIn();
  const { log } = session.sandbox;
  const counts: string[] = [];
  // The first process of the profile has renewed once, so what it found lies beside the session.
  for (const what of ["first", "valid", "expired"]) {
    if (what !== "valid") await session.expire();
    log.reset();
    const [worker] = await startWorkers(1, session.user, ["deno"]);
    const { code, message } = await worker!.ask();
    if (code !== undefined) throw new Error(`${code}: ${message}`);
    await worker!.kill();
    counts.push(`${log.toAuthorizationServers}`);
  }
  await session.close();
  const found = counts.slice(1).join(" / ");
  const others: string[] = [];
  for (const name of ["floor", ...Object.keys(ADAPTERS), "planet_auth"]) {
    const engine = name === "planet_auth"
      ? engines.find((engine) => engine.name === "python")
      : engines[0];
    if (engine === undefined) continue;
    const asked = async (what: "valid" | "expired") => {
      await signedIn(context);
      if (what === "expired") letExpire();
      const before = await world.counts();
      const args = name === "planet_auth"
        ? [program(engine, "once_planet_auth.py"), TOKEN_FILE, `${world.origin}/api`]
        : [program(engine, "once_peer.mjs"), TOKEN_FILE, `${world.origin}/api`, name];
      const { line } = await start(engine, name === "msal" ? [...args, MSAL_FILE] : args);
      if (!line.startsWith("200")) throw new Error(`${name}: ${line}`);
      const { discovery, token } = await world.counts();
      return discovery - before.discovery + token - before.token;
    };
    others.push(`${label(name)} ${await asked("valid")} / ${await asked("expired")}`);
  }
  return [{
    what: "second process, valid / expired token: requests to the authorization server",
    where: "deno",
    found,
    target: "0 / 1",
    holds: found === "0 / 1",
    others: others.join(", "),
  }];
}

/** API calls in some stretch of time. */
interface Calls {
  /** How many. */
  readonly count: number;
  /** Median, 99th percentile and slowest, in microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** API calls during one renewal, and around it for as long. */
interface Renewal {
  readonly during: Calls;
  readonly outside: Calls;
}

/** API calls while the token is renewed behind them. */
async function backgroundRow({ engines, quick, world }: RowContext): Promise<Result[]> {
  const results: Result[] = [];
  for (const engine of runtimes(engines)) {
    const token = await world.reset({ latencyMs: 500, expiresIn: 4 });
    const root = path.join(STAGE, "home/background");
    fs.rmSync(root, { recursive: true, force: true });
    fs.mkdirSync(path.join(root, ".planet/bench"), { recursive: true });
    fs.writeFileSync(path.join(root, ".planet/bench/token.json"), JSON.stringify(token));
    const module = engine.name === "deno" ? "../planet-ts/mod.ts" : "../planet-js/mod.js";
    const { line } = await start(engine, [
      program(engine, "background.mjs"),
      module,
      world.origin,
      world.apiOrigin,
      root,
      quick ? "1" : "8",
    ]);
    const { first, ...lives } = JSON.parse(line) as
      & Record<"planet" | "floor" | "nothing", Renewal[]>
      & { first: Calls };
    const { refused, reused, tokenAtOnce } = await world.counts();
    const of = (kind: keyof typeof lives, part: keyof Renewal, what: keyof Calls) =>
      lives[kind].map((life) => life[part][what]);
    const found = (kind: keyof typeof lives, what: keyof Calls = "p99") =>
      ratio(of(kind, "during", what), of(kind, "outside", what));
    const both = (what: keyof Calls, divisor: number, digits: number) =>
      (["during", "outside"] as const)
        .map((part) => (spread(of("planet", part, what)).median / divisor).toFixed(digits))
        .join(" and ");
    const others = [
      `renewed by hand ${show(found("floor"))}`,
      lives.nothing.length > 0 ? `no renewal ${show(found("nothing"))}` : "",
      `medians ${both("p50", 1, 0)} µs, 99th percentiles ${both("p99", 1, 0)} µs`,
      `slowest ${both("max", 1000, 1)} ms, around the first renewal ${
        (first.max / 1000).toFixed(1)
      } ms`,
      `${both("count", 1, 0)} calls in each of ${lives.planet.length} lives`,
    ];
    const ours = found("planet");
    results.push({
      what: "API latency, 99th percentile, during background refresh ÷ around it",
      where: engine.name,
      found: `${show(ours)}, at most ${tokenAtOnce} refresh at once`,
      target: "≤ 1.10, 1",
      holds: ours.median <= 1.1 && tokenAtOnce === 1 && refused === 0 && reused === 0,
      others: others.filter((text) => text !== "").join(", "),
    });
  }
  return results;
}

/** Connections that a program opens: sign-in, two renewals, six calls. */
async function connectionsRow({ engines, world }: RowContext): Promise<Result[]> {
  const results: Result[] = [];
  for (const engine of runtimes(engines)) {
    const counted = async (name: string) => {
      const found: string[] = [];
      for (const api of [world.origin, world.apiOrigin]) {
        await world.reset();
        await start(engine, [program(engine, "connections.mjs"), name, world.origin, api]);
        const { connections, apiConnections, token, accepted } = await world.counts();
        if (token !== 3 || accepted !== 6) throw new Error(`${name}: ${token} + ${accepted}`);
        found.push(api === world.origin ? `${connections}` : `${connections} + ${apiConnections}`);
      }
      return found.join(" / ");
    };
    results.push({
      what: "connections of one process, discovery + 3 token requests + 6 calls: " +
        "one origin / authorization server + API",
      where: engine.name,
      found: await counted("planet"),
      target: "",
      others: `floor ${await counted("floor")}`,
    });
  }
  return results;
}

/** Saving a token file. */
async function saveRow({ engines, quick, world }: RowContext): Promise<Result[]> {
  const results: Result[] = [];
  const token = await world.reset();
  for (const engine of runtimes(engines)) {
    const root = path.join(STAGE, "home/save");
    fs.rmSync(root, { recursive: true, force: true });
    const module = engine.name === "deno" ? "../planet-ts/mod.ts" : "../planet-js/mod.js";
    const count = `${quick ? 60 : 300}`;
    const args = [program(engine, "save.mjs"), module, root, count, JSON.stringify(token)];
    const times = JSON.parse((await start(engine, args)).line);
    const found = ratio(times.ours, times.durable);
    results.push({
      what: "FileStorage.save() ÷ bare write + fsync + rename + fsync of the folder",
      where: engine.name,
      found: show(found),
      target: "≤ 1.1",
      holds: found.median <= 1.1,
      others: `bare ${show(spread(times.durable), 2, " ms")}, ours ÷ bare without the folder ${
        show(ratio(times.ours, times.bare))
      }, 90th percentiles ${quantile(times.ours, 0.9).toFixed(2)} and ${
        quantile(times.durable, 0.9).toFixed(2)
      } ms`,
    });
  }
  return results;
}

/** Sizes of the bundles. */
async function sizesRow({ engines }: RowContext): Promise<Result[]> {
  const bun = engines.find(({ name }) => name === "bun")?.command[0];
  if (bun === undefined) return [];
  const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  const { atOnce, everything } = await bundleSizes(bun, path.join(ROOT, "mod.ts"));
  const peers: string[] = [];
  for (const name of ["badgateway", "openid_client"]) {
    const entry = path.join(STAGE, "node_modules", label(name));
    const size = await bundleSizes(bun, import.meta.resolve(`file://${entry}`).slice(7));
    peers.push(`${label(name)} ${kilobytes(size.everything)}`);
  }
  return [{
    what: "bundle, minified + gzip: static graph of mod.ts / everything",
    where: "bun build",
    found: `${kilobytes(atOnce)} / ${kilobytes(everything)}`,
    target: "≤ 8 kB / ≤ 26 kB",
    holds: atOnce <= 8000 && everything <= 26_000,
    others: peers.join(", "),
  }];
}

/** An authorization server that answers at once, in this process. */
function instantServer(issuer: string): FetchLike {
  let count = 0;
  return (input) => {
    const isDiscovery = String(input instanceof Request ? input.url : input).includes("well-known");
    const body = isDiscovery
      ? { issuer, token_endpoint: `${issuer}/token`, authorization_endpoint: `${issuer}/authorize` }
      : { access_token: `token-${count++}`, token_type: "Bearer", expires_in: 3600 };
    return Promise.resolve(Response.json(body));
  };
}

/** Renewals of a service account over shared stores, and what they ask the store, asked by hand. */
async function storesRow({ quick }: RowContext): Promise<Result[]> {
  const results: Result[] = [];
  const issuer = "https://auth.bench.test";
  for (const engine of ["Redis", "Postgres"] as const) {
    const missing = missingEngine(engine);
    if (missing !== undefined) {
      console.log(`SKIPPED stores: ${missing}`);
      continue;
    }
    const running = await startEngine(engine);
    for (const client of CLIENTS[engine]) {
      const { store, close } = await openClient(client, running.port);
      let asked: [name: "get" | "set", value?: string][] = [];
      const counting: CompareAndSetStore = {
        ...store,
        get: (key) => (asked.push(["get"]), store.get(key)),
        set: (...write) => (asked.push(["set", write[1]]), store.set(...write)),
      };
      const auth = Auth.fromOAuthM2M({
        clientId: "bench",
        clientSecret: "of-the-bench",
        environment: {
          userAuthServer: issuer,
          m2mAuthServer: issuer,
          audiences: [],
          apiBaseUrl: "https://api.bench.test",
        },
        fetch: instantServer(issuer),
        storageProvider: new SharedStorage(counting, { prefix: `${client}/` }),
      });
      const [ours, bare, counts]: [number[], number[], Set<string>] = [[], [], new Set()];
      for (let round = -3; round < (quick ? 100 : 400); round++) {
        asked = [];
        let since = performance.now();
        await auth.accessToken({ forceRefresh: true });
        const took = performance.now() - since;
        const replay = asked;
        const key = `bare-${client}`;
        let version = (await store.get(key))?.version;
        since = performance.now();
        for (const [name, value] of replay) {
          if (name === "get") await store.get(key);
          // A version of its own, where the value is the version.
          else version = await store.set(key, `${value!.slice(36)}${crypto.randomUUID()}`, version);
        }
        const byHand = performance.now() - since;
        if (round < 0) continue;
        ours.push(took);
        bare.push(byHand);
        counts.add(`${replay.length}`);
      }
      await close();
      results.push({
        what: "a renewal under the lock, request left out, ÷ its bare round trips",
        where: `${engine} by ${client}`,
        found: show(ratio(ours, bare)),
        target: "",
        others: `${[...counts].join(" or ")} round trips, ${show(spread(ours), 2, " ms")}, bare ${
          show(spread(bare), 2, " ms")
        }`,
      });
    }
    await running.close();
  }
  return results;
}

/** Downloads into files: the runtime's own way, the library, curl, the SDK for Python. */
async function downloadRow({ engines, quick }: RowContext): Promise<Result[]> {
  const size = quick ? 1 << 28 : 2 ** 32;
  const block = new Uint8Array(1 << 20).map((_, at) => at * 31 + (at >> 8));
  const hash = createHash("md5");
  for (let left = size; left > 0; left -= block.length) hash.update(block);
  const md5 = hash.digest("hex");
  const [node] = runtimes(engines).filter(({ name }) => name === "node");
  if (node === undefined) return [];
  const server = await launch(node, [program(node, "download_server.mjs")]);
  // In memory where that can be: what is measured is not the disk.
  const root = fs.existsSync("/dev/shm") ? "/dev/shm" : STAGE;
  const folder = fs.mkdtempSync(path.join(root, "planet-bench-"));
  const times = new Map<string, { ms: number; mib: number }[]>();
  try {
    const url = `http://127.0.0.1:${await server.line()}/${size}`;
    const runs: [name: string, run: () => Promise<{ ms: number; mib: number }>][] = [];
    for (const engine of runtimes(engines)) {
      for (const way of ["bare", "hand", "planet", "digest", "md5"]) {
        const args = [program(engine, "download.mjs"), way, url, folder, md5];
        runs.push([
          `${engine.name} ${way}`,
          async () => JSON.parse((await start(engine, args)).line),
        ]);
      }
    }
    const timed = async (work: () => Promise<unknown>) => {
      const since = performance.now();
      await work();
      return { ms: performance.now() - since, mib: NaN };
    };
    const curl = { name: "node", version: "", command: ["curl"] } as const;
    const args = ["-s", "-w", "ok\\n", "-o", path.join(folder, "scene.tif"), url];
    runs.push(["curl", () => timed(() => start(curl, args))]);
    const python = engines.find(({ name }) => name === "python");
    if (python !== undefined) {
      const args = [program(python, "download_planet_sdk.py"), url, folder];
      runs.push(["python", async () => JSON.parse((await start(python, args)).line)]);
    }
    for (let round = 0; round < (quick ? 3 : 5); round++) {
      for (const [name, run] of runs) {
        for (const left of fs.readdirSync(folder)) fs.rmSync(path.join(folder, left));
        const found = await run().catch((error) => {
          if (name !== "curl") throw error;
          return { ms: NaN, mib: NaN };
        });
        if (!times.has(name)) times.set(name, []);
        times.get(name)!.push(found);
      }
    }
  } finally {
    await server.release();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  const ms = (name: string) => (times.get(name) ?? []).map((one) => one.ms);
  return runtimes(engines).flatMap(({ name }) => {
    const most = (...ways: string[]) =>
      Math.max(...ways.flatMap((way) => times.get(`${name} ${way}`)!).map((one) => one.mib));
    const mib = most("planet", "digest");
    const others = ["curl", "python"].filter((one) => times.has(one))
      .map((one) => `÷ ${one} ${show(ratio(ms(`${name} planet`), ms(one)))}`).join(", ");
    const what = `${size / 2 ** 20} MiB over loopback into a file, ÷ the runtime's own way`;
    const row = (way: string, target: number): Result => {
      const to = (way: string) => ratio(ms(`${name} ${way}`), ms(`${name} bare`));
      const found = to(way);
      const floor = way === "digest"
        ? `MD5 alone ${show(to("md5"))}`
        : `by hand ${show(to("hand"))}`;
      return {
        what: way === "digest" ? `${what}, with MD5` : what,
        where: name,
        found: show(found),
        target: `≤ ${target}`,
        holds: found.median <= target,
        others: [`own way ${show(spread(ms(`${name} bare`)), 0, " ms")}`, floor, others]
          .filter(Boolean).join(", "),
      };
    };
    return [row("planet", 1.1), row("digest", 1.3), {
      what: "memory of these downloads, above that at their start",
      where: name,
      found: `${mib.toFixed(0)} MiB`,
      target: "≤ 64 MiB",
      holds: mib <= 64,
      others: `own way ${most("bare").toFixed(0)} MiB, by hand ${most("hand").toFixed(0)} MiB`,
    }];
  });
}

/** All rows, in the order of the table. */
export const ROWS: Readonly<Record<string, Row>> = {
  start: startRow,
  call: callRow,
  token: tokenRow,
  import: importRow,
  stampede: stampedeRow,
  processes: processesRow,
  dead_holder: deadHolderRow,
  second_process: secondProcessRow,
  background: backgroundRow,
  connections: connectionsRow,
  save: saveRow,
  download: downloadRow,
  sizes: sizesRow,
  stores: storesRow,
};
