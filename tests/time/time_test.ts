import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { setImmediate } from "node:timers";
import { Auth, AuthError, type Clock, MemoryStorage, Session } from "../../mod.ts";
import { retryAfterMs } from "../../lib/exchange.ts";
import { secret } from "../_support/canaries.ts";
import { fakeServer, type FakeServerOptions } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const START = 1_700_000_000_000;
const DAY = 86_400_000;
const TOKEN_KEY = ".planet/app/token.json";

/** A clock that can be set, also in the middle of a wait. */
function wallClock(): Clock & { ms: number; onSleep: (() => void) | undefined; slept: number } {
  return {
    ms: START,
    slept: 0,
    onSleep: undefined,
    now() {
      return this.ms;
    },
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      this.slept += ms;
      this.ms += ms;
      this.onSleep?.();
      await new Promise((resolve) => setTimeout(resolve, 0));
      signal?.throwIfAborted();
    },
  };
}

function jwt(claims: Record<string, unknown>): string {
  const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "");
  return `${encode({ alg: "none" })}.${encode(claims)}.c2ln`;
}

/** A session whose server's clock is `aheadMs` ahead, with JWTs that live for `life` seconds. */
async function world(
  options: { aheadMs?: number; life?: number; date?: boolean; server?: FakeServerOptions } = {},
) {
  const { aheadMs = 0, date = true, life = 3600 } = options;
  const clock = wallClock();
  let number = 0;
  const server = fakeServer({
    token: () => {
      const iat = Math.floor((clock.ms + aheadMs) / 1000);
      return {
        access_token: jwt({ iat, exp: iat + life, jti: ++number }),
        refresh_token: secret(`RT${number}`),
        token_type: "Bearer",
        expires_in: life,
      };
    },
    ...options.server,
  });
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const answer = await server.fetch(input, init);
    if (date) answer.headers.set("date", new Date(clock.ms + aheadMs).toUTCString());
    return answer;
  };
  const storage = new MemoryStorage();
  await storage.save(TOKEN_KEY, {
    access_token: secret("old"),
    refresh_token: secret("RT0"),
    _iat: 1,
    _exp: 2,
  });
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId: "app",
    environment: server.environment,
    storageProvider: storage,
    clock,
    fetch,
  });
  return { auth, clock, server, storage, refreshes: () => server.to("/token").length };
}

/** Asks `calls` times, `everyMs` apart. */
async function ask(auth: Auth, clock: { ms: number }, calls: number, everyMs: number) {
  for (let count = 0; count < calls; count++) {
    await auth.accessToken();
    // A renewal in the background has its turn.
    for (let turns = 0; turns < 8; turns++) await new Promise<void>((done) => setImmediate(done));
    clock.ms += everyMs;
  }
}

for (const aheadMs of [-1_500_000, -600_000, 0, 600_000, 1_500_000]) {
  for (const life of [300, 3600]) {
    test(`Keeper: a server ${aheadMs / 60_000} minutes ahead, tokens of ${life} s: one refresh in a life`, async () => {
      const { auth, clock, refreshes } = await world({ aheadMs, life });
      // Twenty calls in a life, over five lives; each is renewed at 3/4.
      await ask(auth, clock, 100, life * 50);
      const least = 5, most = 8;
      assert(refreshes() >= least && refreshes() <= most, `${refreshes()} refreshes`);
    });
  }
}

test("Keeper: what is stored are the server's times, whatever this clock says", async () => {
  const { auth, storage } = await world({ aheadMs: -600_000 });
  await auth.accessToken();
  const { _iat, _exp } = (await storage.load(TOKEN_KEY))!;
  assertEquals([_iat, _exp], [(START - 600_000) / 1000, (START - 600_000) / 1000 + 3600]);
});

test("Keeper: the clock is set back by a day: a 401 is mended by one refresh", async () => {
  const spent = new Set<string | null>();
  const { auth, clock, refreshes } = await world({
    server: {
      api: ({ headers }) =>
        spent.has(headers.get("authorization"))
          ? new Error("unused")
          : { _links: {}, searches: [] },
    },
  });
  await ask(auth, clock, 3, 1000);
  clock.ms -= DAY;
  // An hour later, the token has long ended at the server; here it seems to live.
  clock.ms += 3_600_000;
  await ask(auth, clock, 3, 1000);
  assertEquals(refreshes(), 1);
  await auth.accessToken({ forceRefresh: true });
  await ask(auth, clock, 3, 1000);
  assertEquals(refreshes(), 2);
});

for (const step of [-DAY, DAY]) {
  const name = `set ${step < 0 ? "back" : "on"} by a day`;

  test(`pollDeviceLogin(): the clock is ${name} during a wait: the login ends as the server says`, async () => {
    const { auth, clock, server } = await world({
      server: {
        token: ["authorization_pending", "authorization_pending", {
          access_token: secret("A"),
          token_type: "Bearer",
        }],
      },
    });
    const info = await auth.deviceUserLoginInitiate();
    clock.onSleep = () => {
      clock.ms += step;
      clock.onSleep = undefined;
    };
    await auth.deviceUserLoginComplete(info);
    assertEquals([await auth.accessToken(), server.to("/token").length], [secret("A"), 3]);
  });

  test(`Session: the clock is ${name} during a back-off and between requests: no wait grows`, async () => {
    const { auth, clock, server } = await world();
    await auth.accessToken();
    let failures = 2;
    server.options.api = () => failures-- > 0 ? new TypeError("cut") : { searches: [] };
    const session = new Session(auth, { clock });
    clock.onSleep = () => {
      clock.ms += step;
      clock.onSleep = undefined;
    };
    await session.request("GET", "/data/v1/searches");
    for (let count = 0; count < 5; count++) {
      clock.ms += count % 2 === 0 ? step : -step;
      await session.request("GET", "/data/v1/searches");
    }
    assert(clock.slept < 15_000, `${clock.slept} ms were slept`);
  });

  test(`Keeper: the clock is ${name} during a throttled pause: the session is not locked out`, async () => {
    const { auth, clock, server, refreshes } = await world();
    const good = server.options.token!;
    const { FakeResponse } = await import("../_support/fake_server.ts");
    server.options.token = () => new FakeResponse(429, "", { "retry-after": "60" });
    const error = await auth.accessToken().catch((error) => error);
    assertInstanceOf(error, AuthError);
    assertEquals([error.code, refreshes()], ["throttled", 1]);
    server.options.token = good;
    clock.ms += step;
    await auth.accessToken();
    assertEquals(refreshes(), 2);
  });
}

test("Keeper: a token that ends in flight is renewed once, and the request repeated", async () => {
  const { auth, clock, server, refreshes } = await world({ life: 60 });
  const { FakeResponse } = await import("../_support/fake_server.ts");
  server.options.api = ({ headers }, index) => {
    if (index === 0) clock.ms += 120_000;
    const token = headers.get("authorization")!.slice("Bearer ".length);
    const { exp } = JSON.parse(atob(token.split(".")[1]!));
    return exp * 1000 > clock.ms ? { ok: true } : new FakeResponse(401, "ended");
  };
  const answer = await auth.fetch(`${server.environment.apiBaseUrl}/data/v1/x`);
  assertEquals([answer.status, refreshes(), server.to("/data/v1/x").length], [200, 2, 2]);
});

test("Keeper: after a suspension of a week the first call renews once, for all who ask", async () => {
  const { auth, clock, refreshes } = await world();
  await ask(auth, clock, 2, 1000);
  clock.ms += 7 * DAY;
  await Promise.all(Array.from({ length: 50 }, () => auth.accessToken()));
  assertEquals(refreshes(), 2);
});

for (const [life, calls, most] of [[1, 40, 45], [10 * 365 * 86_400, 40, 1]] as const) {
  test(`Keeper: expires_in of ${life} s: no more than a refresh a life`, async () => {
    const { auth, clock, refreshes } = await world({
      server: {
        token: () => ({
          access_token: crypto.randomUUID(),
          token_type: "Bearer",
          expires_in: life,
        }),
      },
    });
    await ask(auth, clock, calls, 1000);
    assert(refreshes() >= 1 && refreshes() <= most, `${refreshes()} refreshes`);
    // Twenty calls within a second cost nothing more.
    const before = refreshes();
    await auth.accessToken();
    await ask(auth, clock, 20, 1);
    assert(refreshes() - before <= 1);
  });
}

test("retryAfterMs(): a date counts from the server's own Date (RFC 9110 §10.2.3)", () => {
  const at = (ms: number) => new Date(ms).toUTCString();
  const server = START + 600_000;
  const headers = new Headers({ "retry-after": at(server + 5000), date: at(server) });
  assertEquals(retryAfterMs(headers, START), 5000);
  headers.delete("date");
  assertEquals(retryAfterMs(headers, START), 605_000);
});
