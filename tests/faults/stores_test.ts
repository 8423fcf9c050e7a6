import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Auth, AuthError, type JsonObject, MemoryStorage } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { FakeResponse, fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const never = () => new Promise<never>(() => {});

function deviceAuth(storageProvider: MemoryStorage, fetch?: typeof globalThis.fetch): Auth {
  const server = fakeServer();
  return Auth.fromOAuthUserDeviceCode({
    clientId: "app",
    environment: server.environment,
    storageProvider,
    fetch: fetch ?? server.fetch,
  });
}

/** A store whose `load()` is another one. */
function loading(load: () => unknown): MemoryStorage {
  return Object.assign(new MemoryStorage(), { load });
}

const GIVEN: readonly [string, () => unknown, string][] = [
  ["null", () => Promise.resolve(null), "login_required"],
  ["a number", () => Promise.resolve(5), "storage_corrupt"],
  ["a text", () => Promise.resolve("x"), "storage_corrupt"],
  ["a list", () => Promise.resolve([]), "storage_corrupt"],
  ["a token that is a number", () => Promise.resolve({ access_token: 5 }), "storage_corrupt"],
  ["an error of its own", () => Promise.reject(new Error("the table is locked")), "storage_failed"],
  ["a text as error", () => Promise.reject("locked"), "storage_failed"],
  ["an error at once", () => {
    throw new RangeError("at once");
  }, "storage_failed"],
];

for (const [what, load, code] of GIVEN) {
  test(`Auth: a store that gives ${what}: ${code}`, async () => {
    const error = await deviceAuth(loading(load)).accessToken().catch((error) => error);
    assertInstanceOf(error, AuthError);
    assertEquals(error.code, code);
    if (code === "storage_failed") assert(error.cause !== undefined, "the cause is kept");
  });
}

test(
  "Auth: a store that cannot save: storage_failed with the cause, and the sign-in is not lost",
  async () => {
    const cause = new Error("read-only replica");
    const storage = new MemoryStorage();
    const save = (_key: string, _value: JsonObject) => Promise.reject(cause);
    const auth = deviceAuth(Object.assign(storage, { save }));
    const ui = { show: () => {} };
    const error = await auth.userLogin({ ui }).catch((error) => error);
    assertEquals([error.code, error.cause], ["storage_failed", cause]);
    Object.assign(storage, { save: MemoryStorage.prototype.save });
    assertEquals(await auth.accessToken(), secret("AT1"));
  },
  { timeoutMs: 20_000 },
);

test("Auth: a store or a screen that never answers does not hold a login, a call or a logout up", async () => {
  const stop = new AbortController();
  const { signal } = stop;
  const timer = setTimeout(() => stop.abort(new AuthError("timeout", "enough")), 50);
  const stuck = deviceAuth(loading(never));
  const ui = { show: () => {}, openBrowser: never, readLine: never };
  const outcomes = await Promise.all([
    stuck.userLogin({ ui, timeoutMs: 50 }),
    stuck.accessToken({ signal }),
    stuck.ensureInitialized({ signal }),
    stuck.logout({ signal }),
    deviceAuth(new MemoryStorage()).userLogin({ ui, allowOpenBrowser: true, timeoutMs: 50 }),
    Auth.fromOAuthUserAuthCode({
      clientId: "app",
      callbackUrl: "http://127.0.0.1:0/cb",
      storageProvider: new MemoryStorage(),
      environment: fakeServer().environment,
      fetch: fakeServer().fetch,
    }).userLogin({ ui, allowOpenBrowser: true, allowTtyPrompt: true, timeoutMs: 50 }),
  ].map((work) => work.then(() => "done", (error) => error.code ?? error.name)));
  clearTimeout(timer);
  assertEquals(outcomes, [
    "login_timeout",
    "timeout",
    "timeout",
    "timeout",
    "login_timeout",
    "login_timeout",
  ]);
});

for (
  const [what, give] of [
    ["nothing", () => Promise.resolve(undefined)],
    ["a number", () => Promise.resolve(5)],
    ["half an answer", () => Promise.resolve({ status: 200 })],
    ["an error at once", () => {
      throw new Error("at once");
    }],
    ["nothing as error", () => Promise.reject(undefined)],
  ] as const
) {
  test(`Auth: a fetch that gives ${what}: network`, async () => {
    const server = fakeServer();
    const auth = Auth.fromOAuthM2M({
      clientId: "app",
      clientSecret: secret("s"),
      environment: server.environment,
      storageProvider: new MemoryStorage(),
      clock: { now: Date.now, sleep: () => Promise.resolve() },
      fetch: give as unknown as typeof globalThis.fetch,
    });
    const error = await auth.accessToken().catch((error) => error);
    assertInstanceOf(error, AuthError);
    assertEquals(error.code, "network");
  });
}

test("Auth.fetch: an API that refuses every token costs one renewal a minute, not one a call", async () => {
  let now = 1_700_000_000_000;
  const server = fakeServer({ rotate: true, api: () => new FakeResponse(401, "no") });
  const storage = new MemoryStorage();
  await storage.save(".planet/app/token.json", {
    access_token: secret("AT0"),
    refresh_token: secret("RT0"),
    _iat: now / 1000,
    _exp: now / 1000 + 36_000,
  });
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId: "app",
    environment: server.environment,
    storageProvider: storage,
    fetch: server.fetch,
    clock: { now: () => now, sleep: () => Promise.resolve() },
  });
  const call = async () =>
    (await auth.fetch(`${server.environment.apiBaseUrl}/data/v1/searches`)).status;
  for (let count = 0; count < 20; count++) {
    assertEquals(await call(), 401);
    now += 1000;
  }
  assertEquals(server.to("/token").length, 1);
  now += 60_000;
  assertEquals(await call(), 401);
  assertEquals(server.to("/token").length, 2);
  // Once one is taken, a later refusal is mended at once.
  server.options.api = undefined;
  assertEquals(await call(), 200);
  let refusals = 1;
  server.options.api = () => refusals-- > 0 ? new FakeResponse(401, "no") : { searches: [] };
  now += 60_000;
  assertEquals([await call(), server.to("/token").length], [200, 3]);
});
