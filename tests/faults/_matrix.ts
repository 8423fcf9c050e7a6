/**
 * Runs cells of the fault matrix, each in a world of its own, and prints the table.
 *
 * @module
 */

import { Auth, AuthError, Planet, PlanetError, Session } from "../../mod.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import type { Clock } from "../../lib/runtime.ts";
import { Canaries } from "../_support/canaries.ts";
import { API_RETRIES, type Expected, type Fault, FAULTS, type Flow, FLOWS } from "./_faults.ts";
import { shortenTimers } from "./_timers.ts";
import { type FaultServer, startFaultServer, type Target } from "./_server.ts";

/** Time limit of the library for one request to the authorization server, in milliseconds. */
export const LIMIT_MS = 30_000;
/** What the tests shorten it to: a busy machine sends within that what it counts. */
export const SHORT_MS = 1_000;
/** Longest time for a cell, in milliseconds, beyond the time limits that it runs into. */
const SLACK_MS = 8_000;
/** After this a cell counts as one that hangs. */
const LONGEST_MS = 12_000;

const TARGET: Readonly<Record<Flow, Target>> = {
  discovery: "discovery",
  device: "device",
  poll: "token",
  code: "token",
  refresh: "token",
  m2m: "token",
  revoke: "revoke",
  api: "api",
  "api stream": "api",
};

const KEY = ".planet/p/token.json";

/** Time that passes by itself, and at once where it is slept. */
function elasticClock(): Clock {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      ahead += ms;
      await new Promise((resolve) => setTimeout(resolve, 1));
      signal?.throwIfAborted();
    },
  };
}

/** What came of a cell. */
export interface Result {
  readonly flow: Flow;
  readonly fault: string;
  readonly expected: Expected;
  /** The same as it was. */
  readonly seen: Expected;
  /** What differs, or is wrong besides; empty: nothing. */
  readonly wrong: readonly string[];
}

/** What a flow ends in, as a word. */
function nameOf(error: unknown): string {
  if (error instanceof AuthError) return error.code;
  if (error instanceof PlanetError) return error.name;
  return `untyped ${String(error)}`;
}

async function follow(url: URL, issuer: string, code: string): Promise<void> {
  const target = new URL(url.searchParams.get("redirect_uri")!);
  target.searchParams.set("code", code);
  target.searchParams.set("state", url.searchParams.get("state")!);
  target.searchParams.set("iss", issuer);
  const page = await fetch(target);
  await page.text();
}

/** Waits for `work`, but not for ever: then the outcome says that it hangs. */
async function bounded(work: Promise<string>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("HANGS"), LONGEST_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs one cell. */
export async function runCell(flow: Flow, fault: Fault, expected: Expected): Promise<Result> {
  const canaries = new Canaries();
  const handed = {
    accessToken: canaries.make("new access token"),
    refreshToken: canaries.make("new refresh token"),
    deviceCode: canaries.make("device code"),
    code: canaries.make("authorization code"),
  };
  const old = {
    access_token: canaries.make("old access token"),
    refresh_token: canaries.make("old refresh token"),
  };
  const clientSecret = canaries.make("client secret");
  const times = flow === "poll" && fault.misdeed.does !== "refuse" ? { times: 1 } : {};
  const server = await startFaultServer(
    { target: TARGET[flow], misdeed: fault.misdeed, ...times },
    handed,
  );
  const started = performance.now();
  const wrong: string[] = [];
  try {
    const clock = elasticClock();
    const storage = new MemoryStorage();
    const now = Math.floor(Date.now() / 1000);
    const isExpired = flow === "refresh" || flow === "discovery";
    if (["refresh", "discovery", "revoke", "api", "api stream"].includes(flow)) {
      const life = isExpired
        ? { _iat: now - 7200, _exp: now - 3600 }
        : { _iat: now, _exp: now + 3600 };
      await storage.save(KEY, { ...old, ...life, kept: true });
    }
    const before = JSON.stringify(await storage.load(KEY) ?? null);
    const common = {
      profileName: "p",
      environment: server.environment,
      storageProvider: storage,
      clock,
      onEvent: (event: unknown) => canaries.look("an event", event),
    };
    let outcome: string;
    try {
      outcome = await bounded(act(flow, common, clientSecret, server, handed.code, expected.late));
    } catch (error) {
      outcome = nameOf(error);
      canaries.look("the error", error);
      if (outcome.startsWith("untyped")) wrong.push(outcome);
    }
    const stored = await storage.load(KEY);
    const refresh = stored?.refresh_token;
    const seen: Expected = {
      outcome,
      requests: server.count(TARGET[flow]),
      elsewhere: server.elsewhere.length,
      stored: refresh === undefined
        ? "none"
        : refresh === handed.refreshToken
        ? "new"
        : refresh === old.refresh_token
        ? "old"
        : "none",
      late: performance.now() - started >= SHORT_MS,
    };
    // A time limit is a matter of the clock on the wall; everything else is not.
    for (const name of ["outcome", "requests", "elsewhere", "stored"] as const) {
      if (seen[name] !== expected[name]) {
        wrong.push(`${name}: ${seen[name]}, not ${expected[name]}`);
      }
    }
    if (expected.late && !seen.late) wrong.push("ended before the time limit");
    const limit = (expected.late ? SHORT_MS * Math.max(seen.requests, 1) : 0) + SLACK_MS;
    const took = performance.now() - started;
    if (took > limit) wrong.push(`took ${Math.round(took)} ms, not ${limit}`);
    // A failure leaves what is stored as it was, to the letter; a sign-out leaves nothing.
    const after = JSON.stringify(stored ?? null);
    if (flow === "revoke" ? after !== "null" : expected.outcome !== "ok" && seen.stored === "old") {
      if (after !== (flow === "revoke" ? "null" : before)) wrong.push("the stored state changed");
    }
    if (seen.stored === "new" && flow !== "api" && stored?.access_token !== handed.accessToken) {
      wrong.push("the access token is another one");
    }
    if ((flow === "refresh") && outcome === "ok" && stored?.kept !== true) {
      wrong.push("an unknown member was lost");
    }
    checkSecrets(flow, server, canaries);
    for (const { form, secret, where } of canaries.sightings) {
      wrong.push(`leak: ${secret} in ${where} (${form})`);
    }
    return { flow, fault: fault.name, expected, seen, wrong };
  } finally {
    await server.close();
  }
}

/** Looks at what was sent for secrets that the receiver has no business to know. */
function checkSecrets(flow: Flow, server: FaultServer, canaries: Canaries): void {
  for (const { path, headers, body, target } of [...server.seen, ...server.elsewhere]) {
    canaries.search(`the address of a request (${target})`, path);
    const all = [...headers].join("\n");
    const api = target === "api";
    canaries.search(
      `the headers of a request (${target})`,
      all,
      api ? ["old access token", "new access token"] : [],
    );
    const sent = target === "token"
      ? ["old refresh token", "client secret", "device code", "authorization code"]
      : target === "revoke"
      ? ["old refresh token"]
      : target === "device" || flow === "discovery"
      ? []
      : [];
    canaries.search(`the body of a request (${target})`, body, sent);
  }
}

/** Options that all flows share. */
interface Common {
  profileName: string;
  environment: FaultServer["environment"];
  storageProvider: MemoryStorage;
  clock: Clock;
}

/** Does what the flow is about; returns `ok`, or the status that was handed on. */
async function act(
  flow: Flow,
  common: Common,
  clientSecret: string,
  server: FaultServer,
  code: string,
  isLate: boolean,
): Promise<string> {
  const device = () => Auth.fromOAuthUserDeviceCode({ clientId: "app", ...common });
  switch (flow) {
    case "discovery":
    case "refresh":
      await device().accessToken();
      return "ok";
    case "device":
      await device().deviceUserLoginInitiate();
      return "ok";
    case "poll": {
      const auth = device();
      await auth.deviceUserLoginComplete(await auth.deviceUserLoginInitiate());
      return "ok";
    }
    case "code": {
      const auth = Auth.fromOAuthUserAuthCode({
        clientId: "app",
        callbackUrl: "http://127.0.0.1:0/cb",
        ...common,
      });
      let browser: Promise<void> | undefined;
      const openBrowser = (url: URL) => {
        browser = follow(url, server.environment.userAuthServer, code);
        return Promise.resolve(true);
      };
      try {
        await auth.userLogin({ allowOpenBrowser: true, ui: { openBrowser, show: () => {} } });
      } finally {
        await browser?.catch(() => {});
      }
      return "ok";
    }
    case "m2m":
      await Auth.fromOAuthM2M({ clientId: "app", clientSecret, ...common }).accessToken();
      return "ok";
    case "revoke":
      await device().logout();
      return "ok";
    case "api":
    case "api stream": {
      const session = new Session(device(), {
        clock: common.clock,
        maxRetries: API_RETRIES,
        requestsPerSecond: 0,
        timeoutMs: isLate ? SHORT_MS : LIMIT_MS,
      });
      if (flow === "api") {
        for await (const _search of new Planet(session).data.listSearches()) { /* Only read. */ }
        return "ok";
      }
      const base = common.environment.apiBaseUrl;
      const response = await session.fetch(`${base}/data/v1/searches`);
      for await (const _part of response.body ?? []) { /* Only read. */ }
      return response.ok ? "ok" : `status ${response.status}`;
    }
  }
}

/** A flow, what goes wrong in it, and what must come of that. */
export interface Cell {
  readonly flow: Flow;
  readonly fault: Fault;
  readonly expected: Expected;
}

/** The cells of `faults`. */
export function cells(faults: readonly Fault[] = FAULTS): Cell[] {
  return faults.flatMap((fault) =>
    FLOWS.flatMap((flow) => {
      const expected = fault.expect(flow);
      return expected === undefined ? [] : [{ flow, fault, expected }];
    })
  );
}

/** Results, and the library's own time limits that were at work. */
export interface Matrix {
  readonly results: readonly Result[];
  /** How many waits of {@linkcode LIMIT_MS} were shortened. */
  readonly limits: number;
}

/** Runs cells, some at a time; long ones alone; those that run into a time limit, with short ones. */
export async function runMatrix(all: readonly Cell[], atOnce = 8): Promise<Matrix> {
  const results: Result[] = [];
  const run = async (some: readonly Cell[], width: number) => {
    let next = 0;
    const worker = async () => {
      for (let at = next++; at < some.length; at = next++) {
        const { expected, fault, flow } = some[at]!;
        results.push(await runCell(flow, fault, expected));
      }
    };
    await Promise.all(Array.from({ length: width }, worker));
  };
  const prompt = all.filter(({ expected }) => !expected.late);
  await run(prompt.filter(({ fault }) => fault.long === true), 1);
  await run(prompt.filter(({ fault }) => fault.long !== true), atOnce);
  const timers = shortenTimers(LIMIT_MS, SHORT_MS);
  try {
    await run(all.filter(({ expected }) => expected.late), 2 * atOnce);
  } finally {
    timers.restore();
  }
  const order = new Map(all.map(({ fault, flow }, at) => [`${flow} ${fault.name}`, at]));
  const at = ({ fault, flow }: Result) => order.get(`${flow} ${fault}`) ?? 0;
  return {
    results: results.sort((one, other) => at(one) - at(other)),
    limits: timers.asked.length,
  };
}

/** The table: a line for each fault, a column for each flow, outcome and requests in the cell. */
export function table(results: readonly Result[]): string {
  const faults = [...new Set(results.map(({ fault }) => fault))];
  const head = `| fault | ${FLOWS.join(" | ")} |\n|${" --- |".repeat(FLOWS.length + 1)}`;
  const lines = faults.map((fault) => {
    const row = FLOWS.map((flow) => {
      const found = results.find((one) => one.flow === flow && one.fault === fault);
      if (found === undefined) return "";
      const { outcome, requests } = found.seen;
      return `${outcome} ${requests}${found.wrong.length > 0 ? " **unexplained**" : ""}`;
    });
    return `| ${fault} | ${row.join(" | ")} |`;
  });
  return [head, ...lines].join("\n");
}

/** What is wrong, a line for each cell; empty: nothing. */
export function unexplained(results: readonly Result[]): string {
  return results.filter(({ wrong }) => wrong.length > 0)
    .map(({ fault, flow, wrong }) => `${flow}, ${fault}: ${wrong.join("; ")}`).join("\n");
}

/** How many cells ended in what. */
export function counts(results: readonly Result[]): string {
  const by = new Map<string, number>();
  for (const { seen } of results) by.set(seen.outcome, (by.get(seen.outcome) ?? 0) + 1);
  const unexplained = results.filter(({ wrong }) => wrong.length > 0).length;
  const shown = [...by].sort(([, a], [, b]) => b - a).map(([name, count]) => `${count} ${name}`);
  return `${results.length} cells, ${unexplained} unexplained: ${shown.join(", ")}`;
}
