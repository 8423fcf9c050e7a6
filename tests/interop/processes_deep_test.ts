/**
 * Python and our processes on one session, at the same moments.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Auth } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { PROFILE, type SharedSession, sharedSession, TOKEN_KEY } from "../processes/session.ts";
import {
  availableRuntimes,
  type Outcome,
  startWorkers,
  type Worker,
} from "../processes/workers.ts";
import type { LoggedRequest } from "../sandbox/sandbox.ts";
import { PythonSession, pythonVariables, SKIP_BUT_DENO } from "./python.ts";

const options = {
  ...(SKIP_BUT_DENO === undefined ? {} : { skip: SKIP_BUT_DENO }),
  timeoutMs: 600_000,
};

/** How a refresh token was spent: by whom, in order. */
type Spending = Map<string, ("python" | "ours")[]>;

function spendings(entries: readonly LoggedRequest[]): Spending {
  const spent: Spending = new Map();
  for (const { form, grantType, headers } of entries) {
    const token = form.get("refresh_token");
    if (grantType !== "refresh_token" || token === null) continue;
    const who = String(headers["user-agent"]).includes("python") ? "python" : "ours";
    spent.set(token, [...spent.get(token) ?? [], who]);
  }
  return spent;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(ms, 0)));
}

interface Crowd {
  session: SharedSession;
  workers: Worker[];
  pythons: PythonSession[];
  /** Asks Python for a call of the API. */
  callPython(python: PythonSession, index: number): Promise<number>;
}

/** Asks one of our processes for a token. */
async function ask(worker: Worker): Promise<Outcome & { runtime: string }> {
  return { runtime: worker.runtime, ...await worker.ask() };
}

/** 6 processes of ours, the runtimes in turn, and 3 of Python, on one session. */
async function withCrowd(
  session: SharedSession,
  body: (crowd: Crowd) => Promise<void>,
): Promise<void> {
  await session.signIn();
  const pythons = [1, 2, 3].map(() => new PythonSession(pythonVariables(session.root)));
  const workers = await startWorkers(6, session.user, availableRuntimes().runtimes);
  try {
    await body({
      session,
      workers,
      pythons,
      async callPython(python, index) {
        const { status } = await python.ask({
          call: "call",
          home: session.root,
          keep: `python-${index}`,
          profile: PROFILE,
          url: `${session.sandbox.url}/data/v1/searches`,
        });
        return Number(status);
      },
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
    await Promise.all(pythons.map((python) => python.close()));
    await session.close();
  }
}

test(
  "3 Python processes read a session that 6 of ours renew 60 times: no broken file",
  async () => {
    await withCrowd(await sharedSession(), async ({ pythons, session, workers }) => {
      const { root } = session;
      const home = { home: root, profile: PROFILE };
      await Promise.all(pythons.map((python) => python.ask({ call: "is_initialized", ...home })));
      let renewed = false;
      const readers = pythons.map(async (python) => {
        let [reads, tokens] = [0, 0];
        while (!renewed) {
          const request = { call: "read_for", ...home, seconds: 0.5 };
          const found = await python.ask(request);
          assertEquals(found.broken, []);
          reads += Number(found.reads);
          tokens += Number(found.tokens);
        }
        return { reads, tokens };
      });
      for (let round = 0; round < 60; round++) {
        const { code, message } = await workers[round % 6]!.ask("refresh");
        assertEquals(code, undefined, message);
      }
      renewed = true;
      let sum = 0;
      for (const { reads, tokens } of await Promise.all(readers)) {
        assert(reads > 100 && tokens > 3, `${reads} reads of ${tokens} tokens`);
        sum += reads;
      }
      console.log(`${sum} reads by Python beside 60 renewals of ours: 0 broken`);
    });
  },
  options,
);

test(
  "3 Python and 6 of our processes over 30 expiries: none of ours ends signed out while the session lives",
  async () => {
    const session = await sharedSession({ accessTokenSeconds: 3, killFamilyOnReuse: false });
    await withCrowd(session, async ({ callPython, pythons, workers }) => {
      const { sandbox, storage } = session;
      let [refused, twice] = [0, 0];
      for (let expiry = 1; expiry <= 30; expiry++) {
        const { _exp } = (await storage.load(TOKEN_KEY))!;
        await pause(Number(_exp) * 1000 - Date.now() + 20);
        const [outcomes, statuses] = await Promise.all([
          Promise.all(workers.map(ask)),
          Promise.all(pythons.map(callPython)),
        ]);
        assertEquals(outcomes.filter(({ code }) => code !== undefined), [], `expiry ${expiry}`);
        refused += statuses.filter((status) => status !== 200).length;
      }
      for (const by of spendings(sandbox.log.entries).values()) {
        if (by.length > 1) twice++;
        assert(by.filter((who) => who === "ours").length <= 1, `spent by ${by.join(", ")}`);
      }
      console.log(
        `30 expiries, 6 processes of ours: 180 of 180 got a token; 3 of Python: ${refused} of 90 calls ` +
          `refused; ${twice} refresh tokens spent twice, never twice by us`,
      );
    });
  },
  options,
);

test(
  "where Python's spending a token twice ends the sign-in, ours say so, and go on after the next one",
  async () => {
    const session = await sharedSession({ accessTokenSeconds: 3, killFamilyOnReuse: true });
    await withCrowd(session, async ({ callPython, pythons, workers }) => {
      const { sandbox, storage } = session;
      let ends = 0;
      for (let expiry = 1; expiry <= 10; expiry++) {
        const { _exp } = (await storage.load(TOKEN_KEY))!;
        await pause(Number(_exp) * 1000 - Date.now() + 20);
        const before = sandbox.log.entries.length;
        const [outcomes] = await Promise.all([
          Promise.all(workers.map(ask)),
          Promise.all(pythons.map(callPython)),
        ]);
        const failed = outcomes.filter(({ code }) => code !== undefined);
        const spent = [...spendings(sandbox.log.entries.slice(before)).values()];
        for (const by of spent) {
          assert(by.filter((who) => who === "ours").length <= 1, `spent by ${by.join(", ")}`);
        }
        if (sandbox.liveRefreshTokens === 0) {
          assert(spent.some((by) => by.length > 1 && by.includes("python")), "ended for no reason");
          assertEquals(failed.filter(({ code }) => code !== "session_expired"), []);
          ends++;
          // A person signs in again, by whichever program; all go on with that session.
          await session.signIn();
          const again = await Promise.all(workers.map(ask));
          assertEquals(again.filter(({ code }) => code !== undefined), []);
        } else assertEquals(failed, []);
      }
      console.log(`10 expiries under reuse detection: ${ends} sign-ins ended by Python's spending`);
      const auth = await Auth.fromProfile(PROFILE, {
        environment: sandbox.environment,
        storageProvider: storage,
      });
      assert(await auth.isInitialized());
    });
  },
  options,
);
