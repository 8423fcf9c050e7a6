/**
 * The edge, for real: `examples/edge_worker.ts` in workerd, its session in memory and in a KV
 * namespace, against the sandbox.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { signIn } from "../sandbox/person.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import {
  type Isolate,
  type IsolateOptions,
  nodeModules,
  noWorkerd,
  startIsolate,
} from "./workerd.ts";

const OPTIONS = {
  skip: "Deno" in globalThis ? noWorkerd() : "all happens in workerd, which Deno's turn starts",
};
/** Past 3/4 of the sandbox's hour, and before its end. */
const REFRESH_DUE = 2_900_000;

/** Runs `body` with a cold isolate. */
async function withIsolate(
  sandbox: Sandbox,
  body: (isolate: Isolate) => Promise<void>,
  more: Partial<IsolateOptions> = {},
): Promise<void> {
  const { clientId, clientSecret } = sandbox.m2m;
  const isolate = await startIsolate({
    bindings: {
      PL_CLIENT_ID: clientId,
      PL_CLIENT_SECRET: clientSecret,
      ENVIRONMENT: sandbox.environment,
    },
    ...more,
  });
  try {
    await body(isolate);
  } finally {
    await isolate.dispose();
  }
}

/** Sends `count` requests at once; every one of them must be answered with the searches. */
async function ask(isolate: Isolate, sandbox: Sandbox, count = 1, path = ""): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: count }, async () => {
      const response = await fetch(isolate.url + path);
      return { status: response.status, text: await response.text() };
    }),
  );
  const names = JSON.stringify(sandbox.api.searchNames.slice(-5).reverse());
  for (const { status, text } of answers) assertEquals([status, text], [200, names]);
}

/** What the isolate tells of itself. */
async function watch(isolate: Isolate, path = "watch"): Promise<Record<string, unknown>> {
  return await (await fetch(isolate.url + path)).json();
}

const tokenRequests = (sandbox: Sandbox) => sandbox.log.count("token", "client_credentials");

/** The credentials of the calls to the API, in order. */
function sent(sandbox: Sandbox): unknown[] {
  return sandbox.log.entries.filter(({ kind }) => kind === "api")
    .map(({ headers }) => headers.authorization);
}

/** Waits until something holds that another process brings about. */
async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  assert(holds(), "It did not come true within 10 s.");
}

test(
  "workerd: 100 requests at once on a cold isolate cost one token request",
  () =>
    withSandbox((sandbox) =>
      withIsolate(sandbox, async (isolate) => {
        await ask(isolate, sandbox, 100);
        assertEquals(tokenRequests(sandbox), 1);
        assertEquals(new Set(sent(sandbox)).size, 1);
        // No timer waits, and nothing but web standards is there.
        assertEquals(await watch(isolate), { waiting: 0, intervals: 0, foreign: [] });
      })
    ),
  OPTIONS,
);

test(
  "workerd: isolates share a session in a KV namespace, which never sees the client secret",
  () =>
    withSandbox(async (sandbox) => {
      // How miniflare keeps a namespace on the disk is not for production.
      const folder = await tempFolder({ unwatched: /^SESSIONS\// });
      const more = { kvNamespaces: ["SESSIONS"], kvPersist: folder.path };
      try {
        await withIsolate(sandbox, async (isolate) => {
          await ask(isolate, sandbox, 100);
          assertEquals(tokenRequests(sandbox), 1);
          assertEquals(await watch(isolate), { waiting: 0, intervals: 0, foreign: [] });
          const client = await isolate.get("SESSIONS", ".planet/edge/auth_client.json");
          assert(client !== null && client.includes(sandbox.m2m.clientId), `There is ${client}.`);
          assert(!client.includes(sandbox.m2m.clientSecret), "The secret was stored.");
          assert(await isolate.get("SESSIONS", ".planet/edge/token.json"), "There is no token.");
        }, more);
        await withIsolate(sandbox, async (isolate) => {
          await ask(isolate, sandbox, 10);
          assertEquals(tokenRequests(sandbox), 1);
        }, more);
      } finally {
        await folder.remove();
      }
    }),
  OPTIONS,
);

const OBJECT = {
  durableObjects: { SESSIONS_OBJECT: { className: "PlanetSessions", useSQLite: true } },
};

for (
  const [name, bound] of [
    ["a Durable Object", OBJECT],
    ["a bucket of R2", { r2Buckets: ["SESSIONS_BUCKET"] }],
  ] as const
) {
  test(
    `workerd: isolates share a session in ${name}, with its lock, after one token request`,
    () =>
      withSandbox(async (sandbox) => {
        // How miniflare keeps things on the disk is not for production.
        const folder = await tempFolder({ unwatched: /./ });
        const persist = { durableObjectsPersist: folder.path, r2Persist: folder.path };
        const more = { ...structuredClone(bound) as Partial<IsolateOptions>, ...persist };
        try {
          await withIsolate(sandbox, async (isolate) => {
            await ask(isolate, sandbox, 50);
            assertEquals(tokenRequests(sandbox), 1);
            await ask(isolate, sandbox, 1, "eight");
            assertEquals(tokenRequests(sandbox), 2);
          }, more);
          await withIsolate(sandbox, async (isolate) => {
            await ask(isolate, sandbox, 10);
            await ask(isolate, sandbox, 1, "eight");
            assertEquals(tokenRequests(sandbox), 2);
          }, more);
        } finally {
          await folder.remove();
        }
      }),
    OPTIONS,
  );
}

test(
  "workerd: a person signs in in two steps, in two isolates, and what is no right answer is refused",
  () =>
    withSandbox(async (sandbox) => {
      const folder = await tempFolder({ unwatched: /^SESSIONS\// });
      const { clientId, environment } = sandbox;
      const more = {
        bindings: { PL_CLIENT_ID: clientId, ENVIRONMENT: environment },
        kvNamespaces: ["SESSIONS"],
        kvPersist: folder.path,
      };
      const answers = new Map<string, string>();
      try {
        await withIsolate(sandbox, async (isolate) => {
          for (const user of ["alice", "bob"]) {
            const page = await (await fetch(`${isolate.url}begin?user=${user}`)).text();
            const { callback } = await signIn(page, { login: user, deliver: false });
            answers.set(user, callback!.href);
          }
        }, more);
        await withIsolate(sandbox, async (isolate) => {
          const complete = async (body: string, more = "") => {
            const url = `${isolate.url}complete?user=alice${more}`;
            const response = await fetch(url, { method: "POST", body });
            return [response.status, await response.text()];
          };
          const right = answers.get("alice")!;
          const changed = (name: string, value: string) => {
            const url = new URL(right);
            url.searchParams.set(name, value);
            if (value === "") url.searchParams.delete(name);
            return url.href;
          };
          assertEquals(await complete(answers.get("bob")!), [400, "state_mismatch"]);
          assertEquals(await complete(changed("state", "guessed")), [400, "state_mismatch"]);
          assertEquals(await complete(changed("iss", "https://x.test")), [400, "issuer_mismatch"]);
          assertEquals(await complete(changed("iss", "")), [400, "issuer_mismatch"]);
          assertEquals(await complete(right, "&age=600"), [400, "login_timeout"]);
          assertEquals(await complete(right), [
            200,
            JSON.stringify(sandbox.api.searchNames.slice(-2).reverse()),
          ]);
          assertEquals(await complete(right), [400, "state_mismatch"]);
          assertEquals(sandbox.log.count("token", "authorization_code"), 1);
          assert(await isolate.get("SESSIONS", ".planet/alice/token.json"), "There is no token.");
          assertEquals(await isolate.get("SESSIONS", ".planet/bob/token.json"), null);
          assertEquals((await watch(isolate)).foreign, []);
        }, more);
      } finally {
        await folder.remove();
      }
    }),
  {
    ...OPTIONS,
    breaks: [{
      rule: "request",
      where: "POST http://127.0.0.1",
      why: "The isolate is the application, whose browser brings it the answer.",
    }],
  },
);

test(
  "workerd: a renewal behind a request goes on after its answer (waitUntil)",
  () =>
    withSandbox((sandbox) =>
      withIsolate(sandbox, async (isolate) => {
        await ask(isolate, sandbox);
        const [first] = sent(sandbox);
        sandbox.settings.tokenLatencyMs = 500;
        await watch(isolate, `ahead?ms=${REFRESH_DUE}`);
        await ask(isolate, sandbox);
        const answered = sandbox.log.entries.filter(({ kind, status }) =>
          kind === "token" && status !== undefined
        ).length;
        assertEquals(answered, 1, "The caller waited for the renewal.");
        assertEquals(sent(sandbox)[1], first);
        await until(() =>
          sandbox.log.entries.filter((entry) => entry.kind === "token")[1]?.status === 200
        );
        // The new token's life begins at the real time.
        await watch(isolate, "ahead?ms=0");
        await ask(isolate, sandbox, 10);
        assertEquals(tokenRequests(sandbox), 2);
        assert(sent(sandbox).at(-1) !== first, "The new token is not used.");
        assertEquals((await watch(isolate)).waiting, 0);
      })
    ),
  OPTIONS,
);

test(
  "workerd: without waitUntil the request that begins a renewal waits for it",
  () =>
    withSandbox((sandbox) =>
      withIsolate(sandbox, async (isolate) => {
        await ask(isolate, sandbox, 10, "plain");
        sandbox.settings.tokenLatencyMs = 300;
        await watch(isolate, `ahead?ms=${REFRESH_DUE}`);
        await ask(isolate, sandbox, 1, "plain");
        const statuses = sandbox.log.entries.filter(({ kind }) => kind === "token")
          .map(({ status }) => status);
        assertEquals(statuses, [200, 200]);
        // Nothing was left hanging: a later expiry is renewed as well.
        await watch(isolate, `ahead?ms=${3 * REFRESH_DUE}`);
        await ask(isolate, sandbox, 10, "plain");
        assertEquals(tokenRequests(sandbox), 3);
      })
    ),
  OPTIONS,
);

test(
  "workerd: a request that is cut off leaves the sign-in that it began to the others",
  () =>
    withSandbox((sandbox) =>
      withIsolate(sandbox, async (isolate) => {
        sandbox.settings.tokenLatencyMs = 300;
        const stop = new AbortController();
        const gone = fetch(isolate.url, { signal: stop.signal }).catch(() => {});
        await until(() => tokenRequests(sandbox) === 1);
        stop.abort();
        await gone;
        await ask(isolate, sandbox, 10);
        assertEquals(tokenRequests(sandbox), 1);
      })
    ),
  OPTIONS,
);

test("workerd: no module of lib/ imports one of Node", () => {
  assertEquals(nodeModules(), []);
});
