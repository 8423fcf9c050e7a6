import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Auth } from "../../lib/auth.ts";
import type { AuthError } from "../../lib/errors.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import { spawnSync } from "../_support/child_process.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeAnswer, FakeResponse, HANG } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { shortenTimers } from "../faults/_timers.ts";
import { startCommand } from "../processes/workers.ts";
import {
  allMethods,
  FLOWS,
  inWorld,
  keyOf,
  outcome,
  STORES,
  tokens,
  type World,
} from "./_world.ts";

/** Runs `body` for every flow in every kind of store, with a token past 3/4 of its life. */
function inEveryStore(
  rule: string,
  body: (world: World, auth: Auth, isService: boolean) => Promise<void>,
): void {
  for (const store of Object.keys(STORES)) {
    test(`Ends: ${rule}, in ${store}`, () =>
      inWorld(store, async (world) => {
        const begun = world.clock.now();
        for (const flow of Object.values(FLOWS)) {
          world.clock.advance(begun - world.clock.now());
          const profile = crypto.randomUUID();
          const auth = await flow.make(world, profile);
          const token = tokens("due", 3_000);
          await world.seed(profile, { auth_client: flow.client(world), token });
          world.events.length = world.server.requests.length = 0;
          await body(world, auth, flow.isService);
        }
      }));
  }
}

const DUE = secret("AT-due");

inEveryStore("a program that has just started leaves a valid token alone", async (world, auth) => {
  const { clock, server } = world;
  const url = `${server.environment.apiBaseUrl}/data/v1/searches`;
  for (let second = 0; second < 30; second++) {
    assertEquals(await auth.accessToken(), DUE);
    await auth.fetch(url);
    await auth.isInitialized();
    await auth.ensureInitialized();
    clock.advance(1_000);
  }
  await auth.settled();
  assertEquals(server.to("/token").length, 0);
  // From now on it is in use.
  assertEquals(await auth.accessToken(), DUE);
  await auth.settled();
  assertEquals(server.to("/token").length, 1);
  assert(await auth.accessToken() !== DUE);
});

inEveryStore("with waitUntil a renewal begins at once", async (world, { profileName }) => {
  for (const flow of Object.values(FLOWS)) {
    const { seed, server } = world;
    const profile = `${profileName}-2`;
    const works: Promise<unknown>[] = [];
    const waitUntil = (work: Promise<unknown>) => void works.push(work);
    const auth = await flow.make(world, profile, { waitUntil });
    await seed(profile, { auth_client: flow.client(world), token: tokens("due", 3_000) });
    server.requests.length = 0;
    assertEquals(await auth.accessToken(), DUE);
    // What is read first is handed over too; the renewal begins with the next call.
    assertEquals(await auth.accessToken(), DUE);
    await Promise.all(works);
    assertEquals(server.to("/token").length, 1);
    assert(await auth.accessToken() !== DUE);
  }
});

inEveryStore("the end of `await using` waits for what is stored then", async (world, auth) => {
  const { clock, server, stored } = world;
  server.options.rotate = true;
  await auth.accessToken();
  clock.advance(30_000);
  assertEquals(await auth.accessToken(), DUE);
  // What `await using` calls; Node 22 has no word for it.
  await auth[Symbol.asyncDispose]();
  const { token } = await stored(auth.profileName);
  assertEquals(server.to("/token").length, 1);
  assert(token!.access_token !== DUE);
  assertEquals(await auth.accessToken(), token!.access_token);
  server.options.rotate = false;
});

inEveryStore("a lock that somebody else holds is left to them, quietly", async (world, auth) => {
  const { clock, events, server, storage } = world;
  if (storage.withLock === undefined) return;
  await auth.accessToken();
  clock.advance(30_000);
  const release = Promise.withResolvers<void>();
  const taken = Promise.withResolvers<void>();
  const holder = storage.withLock(keyOf(auth.profileName, "token"), () => {
    taken.resolve();
    return release.promise;
  });
  await taken.promise;
  assertEquals(await auth.accessToken(), DUE);
  await auth.settled();
  assertEquals([server.to("/token").length, events], [0, []]);
  // A caller who needs a token waits for the lock, also one who comes while it is tried behind.
  assertEquals(await auth.accessToken(), DUE);
  clock.advance(600_000);
  const waiting = auth.accessToken();
  await new Promise((resolve) => setTimeout(resolve, 5));
  release.resolve();
  await holder;
  assert(await waiting !== DUE);
  assertEquals(server.to("/token").length, 1);
});

/** Where a lock is lost before the token request, and how many of those come without a sibling. */
const LOST_AT = { "/.well-known/openid-configuration": 0, "/token": 1 };

for (const [path, sent] of Object.entries(LOST_AT)) {
  for (const isFaster of [true, false]) {
    const who = isFaster ? "a sibling's tokens are adopted" : "the lock is taken again first";
    test(`Ends: a lock lost at ${path}: no token request goes out without it, ${who}`, async () => {
      for (const [name, flow] of Object.entries(FLOWS)) {
        const memory = new MemoryStorage();
        const locks: AbortController[] = [];
        const storage = allMethods(memory, {
          withLock: (_key, body) => {
            locks.push(new AbortController());
            return body({ signal: locks.at(-1)!.signal });
          },
        });
        await inWorld({ storage, spoil: () => Promise.resolve() }, async (world) => {
          const { seed, server } = world;
          const token = tokens("spent", 7_200);
          server.options.token = (_, index) =>
            path === "/token" && index === 0
              ? new FakeResponse(503, "", { "retry-after": "1" })
              : { access_token: secret("AT-new"), token_type: "Bearer", expires_in: 3600 };
          /** How many locks there had been when each token request went out. */
          const holders: number[] = [];
          const fetch = async (input: URL | RequestInfo, init?: RequestInit) => {
            const url = new URL(String(input));
            if (url.pathname === "/token") {
              assert(!locks.at(-1)!.signal.aborted, `${name}: sent without the lock`);
              holders.push(locks.length);
            }
            const response = await server.fetch(input, init);
            if (url.pathname === path && locks.length === 1) {
              locks[0]!.abort();
              if (isFaster) await seed("p", { token: tokens("sibling") });
            }
            return response;
          };
          const auth = await flow.make(world, "p", { fetch });
          await seed("p", { auth_client: flow.client(world), token });
          const came = await auth.accessToken();
          assertEquals(came, secret(isFaster ? "AT-sibling" : "AT-new"), name);
          assertEquals(holders, [...Array(sent).fill(1), ...(isFaster ? [] : [2])], name);
        });
      }
    });
  }
}

test("Ends: a renewal behind the callers' backs is over after 10 s", async () => {
  for (const [name, flow] of Object.entries(FLOWS)) {
    for (const endpoint of ["discovery", "token"] as const) {
      await inWorld("memory", async (world) => {
        const { clock, events, seed, server } = world;
        const auth = await flow.make(world, "p");
        await seed("p", { auth_client: flow.client(world), token: tokens("due", 3_000) });
        server.options[endpoint] = [HANG as FakeAnswer];
        await auth.accessToken();
        clock.advance(30_000);
        const timers = shortenTimers(10_000, 20);
        try {
          assertEquals(await auth.accessToken(), DUE);
          await auth.settled();
        } finally {
          timers.restore();
        }
        assertEquals(timers.asked, [10_000], name);
        assertEquals(events.map((event) => [event.type, "code" in event && event.code]), [
          ["refresh_failed", "timeout"],
        ]);
        assertEquals(await auth.accessToken(), DUE);
      });
    }
  }
});

test("Ends: who waits is not told that a renewal behind their backs gave up", async () => {
  await inWorld("memory", async (world) => {
    const { clock, seed, server } = world;
    const flow = FLOWS["device code"]!;
    const auth = await flow.make(world, "p");
    await seed("p", { auth_client: flow.client(world), token: tokens("due", 3_000) });
    server.options.token = (_request, index) =>
      index === 0 ? HANG : { access_token: secret("AT-new"), token_type: "Bearer" };
    await auth.accessToken();
    clock.advance(30_000);
    const timers = shortenTimers(10_000, 50);
    try {
      assertEquals(await auth.accessToken(), DUE);
      clock.advance(600_000);
      const many = await Promise.all(Array.from({ length: 20 }, () => auth.accessToken()));
      assertEquals(new Set(many), new Set([secret("AT-new")]));
    } finally {
      timers.restore();
    }
    assertEquals(server.to("/token").length, 2);
  });
});

test("Ends: use counts from when a clock was set back to", async () => {
  await inWorld("memory", async (world) => {
    const { clock, seed, server } = world;
    const flow = FLOWS["device code"]!;
    const auth = await flow.make(world, "p");
    await seed("p", { auth_client: flow.client(world), token: tokens("due", 3_000) });
    await auth.accessToken();
    clock.advance(-20_000);
    await auth.accessToken();
    clock.advance(29_999);
    await auth.accessToken();
    await auth.settled();
    assertEquals(server.to("/token").length, 0);
    clock.advance(1);
    await auth.accessToken();
    await auth.settled();
    assertEquals(server.to("/token").length, 1);
  });
});

test("Ends: a sign-in during a renewal counts, and a renewal during a sign-out does not", async () => {
  for (const store of Object.keys(STORES)) {
    for (const what of ["signs in", "signs out"]) {
      await inWorld(store, async (world) => {
        const { clock, seed, server, stored } = world;
        const flow = FLOWS["device code"]!;
        const auth = await flow.make(world, "p");
        await seed("p", { auth_client: flow.client(world), token: tokens("due", 3_000) });
        const info = await auth.deviceUserLoginInitiate();
        await auth.accessToken();
        clock.advance(30_000);
        const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        server.options.token = async ({ form }) => {
          const isRefresh = form.get("grant_type") === "refresh_token";
          if (isRefresh) {
            asked.resolve();
            await answer.promise;
          }
          const name = isRefresh ? "renewed" : "signed-in";
          const { access_token, refresh_token } = tokens(name);
          return { access_token, refresh_token, token_type: "Bearer", expires_in: 3_600 };
        };
        await auth.accessToken();
        await asked.promise;
        const work = what === "signs in" ? auth.deviceUserLoginComplete(info) : auth.logout();
        answer.resolve();
        await work;
        await auth.settled();
        if (what === "signs in") {
          assertEquals(await auth.accessToken(), secret("AT-signed-in"));
          assertEquals((await stored("p")).token?.refresh_token, secret("RT-signed-in"));
        } else {
          assertEquals((await outcome(auth.accessToken()) as AuthError).code, "login_required");
          const revoked = server.to("/revoke").map(({ form }) => form.get("token"));
          assertEquals(revoked, [secret("RT-renewed")], "what the renewal brought is revoked");
        }
      });
    }
  }
});

const runtime = "Deno" in globalThis ? "deno" : process.versions.bun ? "bun" : "node";

/** Runs `_ending.ts` to its end; what it says, and how long it lived after its work. */
function runEnding(mode: string, root: string): Record<string, unknown> {
  const [path, flags] = startCommand(runtime);
  const script = fileURLToPath(new URL("./_ending.ts", import.meta.url));
  const options = { encoding: "utf8", timeout: 60_000 } as const;
  const { status, stderr, stdout } = spawnSync(path, [...flags, script, mode, root], options);
  assertEquals(status, 0, `${stdout}${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

test("Ends: a program that exits after settled() leaves no spent refresh token behind", async () => {
  const { path, remove } = await tempFolder();
  try {
    for (const mode of ["settled", "disposed"]) {
      const { spent, stored } = runEnding(mode, path);
      assertEquals([spent, stored], [["refresh-1-of-program"], "refresh-2-of-program"], mode);
    }
  } finally {
    await remove();
  }
});

for (const endpoint of ["token", "discovery"]) {
  test(`Ends: a program ends soon after its work though a server is silent: ${endpoint}`, async () => {
    const { path, remove } = await tempFolder();
    try {
      const { livedMs } = runEnding(`silent ${endpoint}`, path);
      assert((livedMs as number) < 15_000, `${livedMs} ms`);
    } finally {
      await remove();
    }
  });
}
