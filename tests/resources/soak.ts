/**
 * Soak: many callers on one session, short tokens that rotate, and a share of faults.
 *
 * ```sh
 * deno task run tests/resources/soak.ts [SECONDS] [CALLERS]
 * ```
 *
 * Runs against the sandbox: a real authorization server with one-time refresh tokens, 5-second
 * access tokens, and an API that checks them. 5 % of all requests are answered with 429, 500, 502
 * or 503; the token endpoint's answers are never lost after they were made, because no client can
 * get back a one-time token that went down with the connection.
 *
 * @module
 */

import { garbageCollector } from "./_counters.ts";
import process from "node:process";
import { ApiError, Auth, AuthError, MemoryStorage, Session } from "../../mod.ts";
import { approveDevice } from "../sandbox/person.ts";
import { type Sandbox, startSandbox } from "../sandbox/sandbox.ts";

/** What came of a soak. */
export interface SoakReport {
  readonly seconds: number;
  readonly callers: number;
  readonly calls: number;
  readonly faults: number;
  readonly refreshes: number;
  readonly refreshFailures: number;
  /**
   * Calls that failed for a passing reason: the server was throttling or failing, or the token ran out on
   * the way to the API while a failed renewal rested.
   */
  readonly passing: number;
  /** `session_expired` or `login_required`. */
  readonly signOuts: number;
  /** Answers that are not what was asked for, and errors that have no business here. */
  readonly wrong: readonly string[];
  /** One-time tokens that were sent twice, as the server saw it. */
  readonly reuses: number;
  /** Memory in MiB at the first and the last fifth of the time, after the garbage collector where there is one. */
  readonly memoryMiB: readonly [first: number, last: number];
}

const collect = await garbageCollector();

function memoryMiB(): number {
  collect?.();
  return process.memoryUsage().heapUsed / (1 << 20);
}

/** Runs a soak. */
export async function soak(seconds: number, callers: number): Promise<SoakReport> {
  const sandbox = await startSandbox({ accessTokenSeconds: 5, deviceInterval: 1 });
  try {
    return await run(sandbox, seconds, callers);
  } finally {
    await sandbox.close();
  }
}

async function run(sandbox: Sandbox, seconds: number, callers: number): Promise<SoakReport> {
  const storage = new MemoryStorage();
  let refreshes = 0;
  let refreshFailures = 0;
  /** Until when no token is asked for, in epoch milliseconds. */
  let restsUntil = 0;
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId: sandbox.clientId,
    environment: sandbox.environment,
    storageProvider: storage,
    profileName: "soak",
    onEvent: (event) => {
      if (event.type === "token_refreshed") refreshes++;
      if (event.type !== "refresh_failed") return;
      refreshFailures++;
      restsUntil = Math.max(restsUntil, event.retryAt ?? 0);
    },
  });
  const info = await auth.deviceUserLoginInitiate();
  await approveDevice(info.verification_uri_complete!);
  await auth.deviceUserLoginComplete(info);

  let faults = 0;
  sandbox.settings.fault = ({ kind }) => {
    if (!["api", "token", "discovery"].includes(kind) || Math.random() >= 0.05) return undefined;
    faults++;
    const statuses = kind === "api" ? [429, 502] : [429, 500, 502, 503];
    const status = statuses[Math.floor(Math.random() * statuses.length)]!;
    return status === 429
      ? { status, headers: { "retry-after": "1" }, body: "" }
      : { status, body: "" };
  };
  const session = new Session(auth, { requestsPerSecond: 0, maxConcurrent: callers });
  const expected = await (await session.request("GET", "/data/v1/searches")).json();
  const ids = (body: unknown) =>
    JSON.stringify((body as { searches?: { id: string }[] }).searches?.map(({ id }) => id));
  const wanted = ids(expected);

  const wrong: string[] = [];
  let calls = 0;
  let passing = 0;
  let signOuts = 0;
  const memory: [number, number][] = [];
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const caller = async () => {
    while (elapsed() < seconds) {
      calls++;
      try {
        const answer = await session.request("GET", "/data/v1/searches");
        if (ids(await answer.json()) !== wanted) wrong.push("another answer");
      } catch (error) {
        const code = error instanceof AuthError ? error.code : String(error);
        if (code === "session_expired" || code === "login_required") signOuts++;
        else if (["throttled", "server_error"].includes(code)) passing++;
        // What was decided during the rest is told a moment later.
        else if (
          error instanceof ApiError && error.status === 401 && Date.now() < restsUntil + 250
        ) {
          passing++;
        } else wrong.push(code);
      }
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 100));
      // The sandbox keeps all requests; that is its memory, not the library's.
      if (sandbox.log.entries.length > 2_000) sandbox.log.reset();
    }
  };
  const sampler = setInterval(() => memory.push([elapsed(), memoryMiB()]), 1000);
  try {
    await Promise.all(Array.from({ length: callers }, caller));
  } finally {
    clearInterval(sampler);
  }
  const median = (some: number[]) => some.sort((a, b) => a - b)[some.length >> 1] ?? 0;
  const part = (from: number, to: number) =>
    median(
      memory.filter(([at]) => at >= from * seconds && at <= to * seconds).map(([, size]) => size),
    );
  return {
    seconds,
    callers,
    calls,
    faults,
    refreshes,
    refreshFailures,
    passing,
    signOuts,
    wrong,
    reuses: sandbox.counters.reuseDetections,
    memoryMiB: [part(0.2, 0.4), part(0.8, 1)],
  };
}

if (import.meta.main) {
  const [seconds = "600", callers = "50"] = process.argv.slice(2);
  const report = await soak(Number(seconds), Number(callers));
  console.log(JSON.stringify({ ...report, wrong: [...new Set(report.wrong)] }, undefined, 2));
  process.exit(report.signOuts + report.wrong.length + report.reuses === 0 ? 0 : 1);
}
