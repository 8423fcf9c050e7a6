import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import type { AuthEvent } from "../../lib/events.ts";
import type { ClientSettings } from "../../lib/setup.ts";
import { Keeper, type KeeperOptions } from "../../lib/keeper/keeper.ts";
import type { TokenServer } from "../../lib/keeper/renewal.ts";
import { type SessionParts, StoredSession } from "../../lib/keeper/stored_session.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import type { JsonObject, ObjectStorageProvider } from "../../lib/storage/objects.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeClock, fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";
import { seeEvent } from "../_support/watch_library.ts";

const KEY = ".planet/p/token.json";
const START = 1_700_000_000_000;

/** A server that rotates its refresh tokens and tells a spent one from a good one. */
class Server {
  refreshes: string[] = [];
  logins = 0;
  #number = 0;
  good = secret("r0");
  rotate = true;
  fail: unknown;
  /** Runs while the server thinks. */
  during: () => Promise<void> | void = () => {};
  constructor(readonly clock: FakeClock, readonly life = 100) {}

  tokens(previous?: TokenSet, refreshToken?: string): TokenSet {
    const response: JsonObject = {
      access_token: secret(`a${++this.#number}`),
      expires_in: this.life,
    };
    if (refreshToken !== undefined) response.refresh_token = refreshToken;
    return TokenSet.fromResponse(response, this.clock.now(), previous);
  }

  /** Tokens that were revoked. */
  revoked: string[] = [];
  canRevoke = (): Promise<boolean> => Promise.resolve(true);
  revoke = (token: string): Promise<void> => {
    this.revoked.push(token);
    return this.fail === undefined ? Promise.resolve() : Promise.reject(this.fail);
  };

  refresh = async (current: TokenSet): Promise<TokenSet> => {
    this.refreshes.push(current.refreshToken!);
    await this.during();
    if (this.fail !== undefined) throw this.fail;
    if (current.refreshToken !== this.good) {
      throw new AuthError("session_expired", "dead", { oauthError: "invalid_grant" });
    }
    if (!this.rotate) return this.tokens(current);
    this.good = secret(`r${this.refreshes.length}`);
    return this.tokens(current, this.good);
  };

  clientCredentials = async (): Promise<TokenSet> => {
    this.logins++;
    await this.during();
    if (this.fail !== undefined) throw this.fail;
    return this.tokens();
  };
}

/** Counts the calls of a store. */
class CountingStorage extends MemoryStorage {
  calls: string[] = [];
  failing: unknown;
  override load(key: string): Promise<JsonObject | undefined> {
    this.calls.push(`load ${key.split("/").at(-1)}`);
    return super.load(key);
  }
  override save(key: string, value: JsonObject): Promise<void> {
    this.calls.push(`save ${key.split("/").at(-1)}`);
    return this.failing === undefined ? super.save(key, value) : Promise.reject(this.failing);
  }
}

/** A store with the five methods of Python only, or with more, over another one. */
function fiveMethods(
  storage: ObjectStorageProvider,
  more: Partial<ObjectStorageProvider> = {},
): ObjectStorageProvider {
  return {
    load: (key) => storage.load(key),
    save: (key, value) => storage.save(key, value),
    exists: (key) => storage.exists(key),
    mtime: (key) => storage.mtime(key),
    rename: (from, to) => storage.rename(from, to),
    ...more,
  };
}

/** A store whose first holder of the lock can lose it. */
function losableLock(storage: ObjectStorageProvider): [ObjectStorageProvider, () => void] {
  const lost = new AbortController();
  let holders = 0;
  const provider = fiveMethods(storage, {
    withLock: (_key, body) =>
      body({ signal: holders++ === 0 ? lost.signal : new AbortController().signal }),
  });
  return [provider, () => lost.abort()];
}

interface World {
  clock: FakeClock;
  server: Server;
  storage: CountingStorage;
  events: AuthEvent[];
  /** The next event. */
  event(): Promise<AuthEvent>;
  make(
    more?: Partial<KeeperOptions<TokenServer> & SessionParts> & { storage?: ObjectStorageProvider },
  ): Keeper;
}

/** A client at a server. */
export function clientOf(unattended = false, more: Partial<ClientSettings> = {}): ClientSettings {
  return {
    clientType: unattended ? "oidc_client_credentials_secret" : "oidc_device_code",
    clientId: "c",
    authServer: "https://auth.example.test",
    audiences: [],
    scopes: unattended ? [] : ["planet", "offline_access"],
    ...(unattended ? { clientSecret: secret("c-secret") } : {}),
    ...more,
  };
}

function world(options: { unattended?: boolean; life?: number } = {}): World {
  const clock = fakeClock({ now: START });
  const server = new Server(clock, options.life);
  const storage = new CountingStorage();
  const events: AuthEvent[] = [];
  let heard = Promise.withResolvers<AuthEvent>();
  return {
    clock,
    server,
    storage,
    events,
    event: () => heard.promise,
    make: ({ storage: other = storage, ...more } = {}) => {
      const session = new StoredSession({
        profileName: "p",
        client: clientOf(options.unattended),
        writesClient: "never",
        open: () =>
          Promise.resolve({ storage: other, kind: "custom", reason: "test", durable: true }),
        clock,
        onEvent: (event) => {
          seeEvent(event);
          events.push(event);
          heard.resolve(event);
          heard = Promise.withResolvers();
        },
        ...more,
      });
      return new Keeper<TokenServer>(session, { server: () => Promise.resolve(server), ...more });
    },
  };
}

/** A stored session whose access token began `age` seconds ago and lives `life`. */
function stored(
  age: number,
  more: JsonObject = { refresh_token: secret("r0") },
  life = 100,
): JsonObject {
  const issued = START / 1000 - age;
  return { access_token: secret("a0"), _iat: issued, _exp: issued + life, ...more };
}

/** A stored session that is due for 200 s more, so that it can have been in use for 30. */
const due = (): JsonObject => stored(800, { refresh_token: secret("r0") }, 1_000);

async function codeOf(work: Promise<unknown> | string): Promise<string> {
  return (await assertRejects(() => Promise.resolve(work), AuthError)).code;
}

test("Keeper hands out a fresh stored token after one read, then without any", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(10));
  storage.calls = [];
  const keeper = make();
  assertEquals(await keeper.authorization(), `Bearer ${secret("a0")}`);
  assertEquals(storage.calls, ["load auth_client.json", "load token.json"]);
  assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
  assertEquals(keeper.accessToken(), secret("a0"));
  assertEquals([storage.calls.length, server.refreshes.length], [2, 0]);
});

test("Keeper hands out the old token from 3/4 of its life on, and renews once behind it", async () => {
  const { clock, event, events, make, server, storage } = world();
  await storage.save(KEY, stored(0));
  const keeper = make();
  await keeper.authorization();
  clock.advance(74_999);
  assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
  assertEquals(server.refreshes, []);
  clock.advance(1);
  const started = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  server.during = () => (started.resolve(), answered.promise);
  for (let call = 0; call < 100; call++) {
    assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
  }
  await started.promise;
  assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
  const renewed = event();
  answered.resolve();
  await renewed;
  assertEquals(keeper.authorization(), `Bearer ${secret("a1")}`);
  assertEquals(server.refreshes, [secret("r0")]);
  assertEquals(events, [{
    type: "token_refreshed",
    profileName: "p",
    background: true,
    expiresAt: START + 175_000,
  }]);
});

test("Keeper renews an expired token once for 1,000 callers, and stores it before use", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  const keeper = make();
  const seen = await Promise.all(Array.from({ length: 1000 }, async () => {
    const header = await keeper.authorization();
    const saved = await MemoryStorage.prototype.load.call(storage, KEY);
    return `${header} ${saved?.access_token} ${saved?.refresh_token}`;
  }));
  assertEquals(
    new Set(seen),
    new Set([[`Bearer ${secret("a1")}`, secret("a1"), secret("r1")].join(" ")]),
  );
  assertEquals(server.refreshes, [secret("r0")]);
});

test("Keeper survives 20 expiries, with rotating refresh tokens and without", async () => {
  for (const rotate of [true, false]) {
    const { clock, make, server, storage } = world();
    server.rotate = rotate;
    await storage.save(KEY, stored(0));
    const keeper = make();
    for (let round = 1; round <= 20; round++) {
      clock.advance(100_000);
      assertEquals(await keeper.authorization(), `Bearer ${secret(`a${round}`)}`);
    }
    assertEquals(server.refreshes.length, 20);
    assertEquals((await storage.load(KEY))?.refresh_token, rotate ? secret("r20") : secret("r0"));
  }
});

test("Keeper adopts what a sibling stored instead of asking the server", async () => {
  const { clock, events, make, server, storage } = world();
  await storage.save(KEY, stored(0));
  const one = make();
  const other = make();
  await Promise.all([one.authorization(), other.authorization()]);
  clock.advance(100_000);
  assertEquals(await one.authorization(), `Bearer ${secret("a1")}`);
  assertEquals(await other.authorization(), `Bearer ${secret("a1")}`);
  assertEquals(server.refreshes, [secret("r0")]);
  assertEquals(events.map(({ type }) => type), ["token_refreshed", "token_adopted"]);
});

test("Keepers that share a store without a lock share one renewal, and read it once per expiry", async () => {
  const { clock, make, server, storage } = world();
  const five = fiveMethods(storage);
  await storage.save(KEY, stored(0));
  const options = { storage: five };
  const keepers = Array.from({ length: 5 }, () => make(options));
  await Promise.all(keepers.map((keeper) => keeper.authorization()));
  clock.advance(100_000);
  const headers = await Promise.all(keepers.map((keeper) => keeper.authorization()));
  assertEquals(new Set(headers), new Set([`Bearer ${secret("a1")}`]));
  assertEquals(server.refreshes, [secret("r0")]);
  clock.advance(100_000);
  storage.calls = [];
  await keepers[0]!.authorization();
  assertEquals(storage.calls.filter((call) => call === "load token.json").length, 1);
});

test("Keeper adopts a sibling's token after invalid_grant (Python takes no lock)", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  server.good = secret("r-sibling");
  server.during = async () => {
    await storage.save(
      KEY,
      stored(0, { access_token: secret("a-sibling"), refresh_token: secret("r-sibling") }),
    );
  };
  assertEquals(await make().authorization(), `Bearer ${secret("a-sibling")}`);
  assertEquals(server.refreshes, [secret("r0")]);
});

test("Keeper waits a moment after invalid_grant for what a sibling without a lock is about to store", async () => {
  const { clock, make, server, storage } = world();
  await storage.save(KEY, stored(100));
  server.good = secret("r-sibling");
  const sleep = clock.sleep.bind(clock);
  let waited = 0;
  clock.sleep = async (ms, signal) => {
    waited += ms;
    if (waited >= 1_000) {
      await storage.save(
        KEY,
        stored(0, { access_token: secret("a-sibling"), refresh_token: secret("r-sibling") }),
      );
    }
    return await sleep(ms, signal);
  };
  assertEquals(await make().authorization(), `Bearer ${secret("a-sibling")}`);
  assertEquals([server.refreshes, waited], [[secret("r0")], 1_500]);
});

test("Keeper spends a sibling's refresh token after invalid_grant where the access token is expired too", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  server.good = secret("r-sibling");
  server.during = async () => {
    if (server.refreshes.length > 1) return;
    await storage.save(
      KEY,
      stored(200, { access_token: secret("a-old"), refresh_token: secret("r-sibling") }),
    );
  };
  assertEquals(await make().authorization(), `Bearer ${secret("a1")}`);
  assertEquals(server.refreshes, [secret("r0"), secret("r-sibling")]);
});

test("Keeper never sends a dead refresh token again, in this process or the next", async () => {
  const { clock, events, make, server, storage } = world();
  await storage.save(KEY, stored(100, { refresh_token: secret("r-dead") }));
  const keeper = make();
  for (let call = 0; call < 3; call++) {
    assertEquals(await codeOf(keeper.authorization()), "session_expired");
    clock.advance(3_600_000);
  }
  assertEquals(await codeOf(make().authorization()), "session_expired");
  assertEquals(server.refreshes, [secret("r-dead")]);
  assertEquals((await make().known()).state, "dead");
  const state = JSON.stringify(await storage.load(".planet/p/refresh_state.json"));
  assert(!state.includes(secret("r-dead")), "a fingerprint only");
  assertEquals(events.every((event) => event.type === "refresh_failed"), true);
  await keeper.signIn(server.tokens(undefined, server.good));
  assertEquals(keeper.authorization(), `Bearer ${secret("a1")}`);
  const left = await storage.load(".planet/p/refresh_state.json");
  assertEquals(Object.keys(left!).sort(), ["issuer", "signed_in"]);
});

test("Keeper leaves a throttling server alone until it lets us ask, in every process", async () => {
  const { clock, make, server, storage } = world({ unattended: true });
  server.fail = new AuthError("throttled", "wait", { retryAt: START + 20_000 });
  assertEquals(await codeOf(make().authorization()), "throttled");
  server.fail = undefined;
  assertEquals(await codeOf(make().authorization()), "throttled");
  clock.advance(19_999);
  assertEquals(await codeOf(make().authorization()), "throttled");
  assertEquals(server.logins, 1);
  clock.advance(1);
  assertEquals(await make().authorization(), `Bearer ${secret("a1")}`);
  assertEquals(await storage.exists(".planet/p/refresh_state.json"), false);
});

test("Keeper backs off in the background, and asks at once when somebody waits", async () => {
  const { clock, event, make, server, storage } = world();
  await storage.save(KEY, due());
  const keeper = make();
  await keeper.authorization();
  clock.advance(30_000);
  server.fail = new AuthError("network", "down");
  for (const pause of [1_000, 2_000]) {
    const failed = event();
    assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
    assertEquals(await failed, {
      type: "refresh_failed",
      profileName: "p",
      code: "network",
      background: true,
      retryAt: clock.now() + pause,
    });
    clock.advance(pause - 1);
    storage.calls = [];
    assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    assertEquals(storage.calls, [], "not even the store is asked");
    clock.advance(1);
  }
  clock.advance(200_000);
  assertEquals(await codeOf(keeper.authorization()), "network");
  server.fail = undefined;
  assertEquals(await keeper.authorization(), `Bearer ${secret("a1")}`);
});

test("Keeper that cannot store a new token keeps it, and stores it later without a new request", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  storage.failing = new AuthError("storage_failed", "disk full");
  const keeper = make();
  assertEquals(await codeOf(keeper.authorization()), "storage_failed");
  assertEquals(await codeOf(keeper.authorization()), "storage_failed");
  storage.failing = undefined;
  assertEquals(await keeper.authorization(), `Bearer ${secret("a1")}`);
  assertEquals(server.refreshes, [secret("r0")]);
  assertEquals((await storage.load(KEY))?.refresh_token, secret("r1"));
});

test("Keeper that lost its lock does not overwrite what a sibling stored meanwhile", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  const [provider, lose] = losableLock(storage);
  server.during = async () => {
    lose();
    await MemoryStorage.prototype.save.call(
      storage,
      KEY,
      stored(0, { access_token: secret("a-sibling"), refresh_token: secret("r-sibling") }),
    );
  };
  const keeper = make({ storage: provider });
  assertEquals(await keeper.authorization(), `Bearer ${secret("a-sibling")}`);
  assertEquals((await storage.load(KEY))?.refresh_token, secret("r-sibling"));
});

test("Keeper that lost its lock still stores its token where nobody else stored one", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  const [provider, lose] = losableLock(storage);
  server.during = lose;
  const keeper = make({ storage: provider });
  assertEquals(await keeper.authorization(), `Bearer ${secret("a1")}`);
  assertEquals([server.refreshes, (await storage.load(KEY))?.refresh_token], [
    [secret("r0")],
    secret("r1"),
  ]);
});

test("Keeper saves by itself what it could not, though the store was gone before it was asked to save", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  const [provider, lose] = losableLock(storage);
  const withLock = provider.withLock!;
  // As a store's server does that dies between the answer and the save: the lock is lost, and no other is given.
  server.during = () => {
    lose();
    provider.withLock = () => Promise.reject(new AuthError("storage_failed", "gone"));
    return Promise.resolve();
  };
  const keeper = make({ storage: provider });
  assertEquals(await codeOf(keeper.authorization()), "storage_failed");
  const saved = Promise.withResolvers<JsonObject>();
  storage.save = (key, value) => {
    if (key === KEY) saved.resolve(value);
    return MemoryStorage.prototype.save.call(storage, key, value);
  };
  provider.withLock = withLock;
  assertEquals((await saved.promise).refresh_token, secret("r1"));
  await keeper.settled();
  assertEquals(server.refreshes, [secret("r0")]);
});

test("Keeper.replace() gives everybody refused with one token the same other one", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(0));
  const keeper = make();
  const rejected = await keeper.authorization();
  const others = await Promise.all(
    Array.from({ length: 50 }, () => keeper.replace(rejected)),
  );
  assertEquals(new Set(others), new Set([`Bearer ${secret("a1")}`]));
  assertEquals(await keeper.replace(rejected), `Bearer ${secret("a1")}`);
  assertEquals(server.refreshes, [secret("r0")]);
});

test("Keeper.replace() returns nothing where renewing fails for now, and throws where the session is over", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(0));
  const keeper = make();
  const rejected = await keeper.authorization();
  server.fail = new AuthError("network", "down");
  assertEquals(await keeper.replace(rejected), undefined);
  server.fail = undefined;
  server.good = secret("another");
  assertEquals(await codeOf(keeper.replace(rejected) as Promise<string>), "session_expired");
});

test("Keeper asks for a sign-in where there is no session, or nothing to renew it with", async () => {
  const { make, storage } = world();
  assertEquals(await codeOf(make().authorization()), "login_required");
  await storage.save(KEY, stored(100, {}));
  const error = await assertRejects(async () => await make().authorization(), AuthError);
  assertEquals(error.code, "login_required");
  assert(error.message.includes("offline_access"), error.message);
});

test("Keeper notices at the next renewal that a sibling ended the session", async () => {
  const { clock, make, server, storage } = world();
  await storage.save(KEY, stored(0));
  const keeper = make();
  await keeper.authorization();
  await make().logout();
  clock.advance(100_000);
  assertEquals(await codeOf(keeper.authorization()), "login_required");
  assertEquals(server.refreshes, []);
});

test("Keeper.logout() leaves no token in a store that cannot delete", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(0));
  const options = { storage: fiveMethods(storage) };
  await make(options).logout();
  assertEquals(server.revoked, [secret("r0")]);
  assertEquals(await storage.load(KEY), { _logged_out: true });
  assertEquals((await make(options).known()).state, "none");
});

test("Keeper signs a service account in, stores its token, and signs in again at expiry", async () => {
  const { clock, events, make, server, storage } = world({ unattended: true });
  const keeper = make();
  const headers = await Promise.all(Array.from({ length: 1000 }, () => keeper.authorization()));
  assertEquals(new Set(headers), new Set([`Bearer ${secret("a1")}`]));
  clock.advance(100_000);
  assertEquals(await make().authorization(), `Bearer ${secret("a2")}`);
  assertEquals(await keeper.authorization(), `Bearer ${secret("a2")}`);
  assertEquals(server.logins, 2);
  assertEquals(events.map(({ type }) => type), [
    "login_started",
    "login_succeeded",
    "login_started",
    "token_refreshed",
    "token_adopted",
  ]);
  assertEquals((await storage.load(KEY))?.access_token, secret("a2"));
});

test("Keeper signs a service account in again where its refresh token is dead", async () => {
  const { make, server, storage } = world({ unattended: true });
  await storage.save(KEY, stored(100, { refresh_token: secret("r-dead"), mine: 1 }));
  assertEquals(await make().authorization(), `Bearer ${secret("a1")}`);
  assertEquals([server.refreshes, server.logins], [[secret("r-dead")], 1]);
  const { mine, refresh_token } = (await storage.load(KEY))!;
  assertEquals([mine, refresh_token], [1, undefined], "others' members stay, dead tokens do not");
});

test("Keeper puts an unreadable token object of a service account aside", async () => {
  const { make, storage } = world({ unattended: true });
  await storage.save(KEY, { rubbish: 1 });
  assertEquals(await make().authorization(), `Bearer ${secret("a1")}`);
  assertEquals(await storage.load(`${KEY}.corrupt`), { rubbish: 1 });
});

test("Keeper leaves an unreadable token object of a person alone until they sign in", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, { rubbish: 1 });
  const keeper = make();
  assertEquals(await codeOf(keeper.authorization()), "storage_corrupt");
  assertEquals((await keeper.known()).state, "corrupt");
  assertEquals(await storage.load(KEY), { rubbish: 1 });
  await keeper.signIn(server.tokens(undefined, secret("r0")));
  assertEquals(await storage.load(`${KEY}.corrupt`), { rubbish: 1 });
  assertEquals((await keeper.known()).state, "valid");
});

test("Keeper: a caller that gives up leaves the renewal to the others", async () => {
  const { make, server, storage } = world();
  await storage.save(KEY, stored(100));
  const answered = Promise.withResolvers<void>();
  server.during = () => answered.promise;
  const keeper = make();
  const stop = new AbortController();
  const gone = keeper.authorization(stop.signal) as Promise<string>;
  const stays = keeper.authorization() as Promise<string>;
  const reason = new Error("changed my mind");
  stop.abort(reason);
  assertEquals(await gone.catch((error) => error), reason);
  answered.resolve();
  assertEquals(await stays, `Bearer ${secret("a1")}`);
});

test("Keeper hands every renewal to waitUntil, as a promise that does not reject", async () => {
  const { clock, make, server, storage } = world();
  await storage.save(KEY, stored(80));
  const works: Promise<unknown>[] = [];
  const keeper = make({ waitUntil: (work) => void works.push(work) });
  await keeper.known();
  assertEquals([keeper.authorization(), works.length], [`Bearer ${secret("a0")}`, 1]);
  await works[0];
  assertEquals([keeper.authorization(), server.refreshes.length], [`Bearer ${secret("a1")}`, 1]);
  await clock.sleep(100_000);
  server.fail = new AuthError("network", "gone");
  assertEquals(await codeOf(keeper.authorization()), "network");
  assertEquals([await works[1], works.length], [undefined, 2]);
});

test("Keeper lets the caller that begins a renewal wait where it would end with the answer", async () => {
  const { clock, make, server, storage } = world();
  await storage.save(KEY, due());
  const answered = Promise.withResolvers<void>();
  server.during = () => answered.promise;
  const keeper = make({ endsWithCaller: true });
  await keeper.known();
  clock.advance(30_000);
  const first = keeper.authorization();
  assert(typeof first !== "string", "It did not wait.");
  assertEquals(keeper.authorization(), `Bearer ${secret("a0")}`);
  answered.resolve();
  assertEquals([await first, server.refreshes], [`Bearer ${secret("a1")}`, [secret("r0")]]);
});

test("Keeper hands the old token out where that renewal fails", async () => {
  const { clock, make, server, storage } = world();
  await storage.save(KEY, due());
  server.fail = new AuthError("network", "gone");
  const keeper = make({ endsWithCaller: true });
  await keeper.known();
  clock.advance(30_000);
  assertEquals([await keeper.authorization(), keeper.authorization()], [
    `Bearer ${secret("a0")}`,
    `Bearer ${secret("a0")}`,
  ]);
});

test("Keeper goes on where waitUntil throws", async () => {
  const { make, storage } = world();
  await storage.save(KEY, stored(100));
  const waitUntil = () => {
    throw new Error("The request is over.");
  };
  assertEquals(await make({ waitUntil }).authorization(), `Bearer ${secret("a1")}`);
});

test("Keeper survives an observer that throws", async () => {
  const { make, storage } = world();
  await storage.save(KEY, stored(100));
  const onEvent = () => {
    throw new Error("observer");
  };
  assertEquals(await make({ onEvent }).authorization(), `Bearer ${secret("a1")}`);
});

test("Keeper.ensure() does nothing for a living token and for a resting one, renews an expired one", async () => {
  for (
    const [age, more, refreshes] of [[0, {}, 0], [80, {}, 0], [
      100,
      { refresh_token: secret("r0") },
      1,
    ]] as const
  ) {
    const { make, server, storage } = world();
    await storage.save(KEY, stored(age, more));
    await make().ensure();
    assertEquals(server.refreshes.length, refreshes, `${age}`);
  }
  const { make, server, storage } = world();
  await storage.save(KEY, { refresh_token: secret("r0") });
  const keeper = make();
  await keeper.ensure();
  assertEquals(server.refreshes, []);
  assertEquals(await keeper.authorization(), `Bearer ${secret("a1")}`);
});

test("Keeper forgets a wish for a pause that was noted after now: the clock was set back", async () => {
  const { clock, make, server } = world({ unattended: true });
  server.fail = new AuthError("throttled", "wait", { retryAt: START + 20_000 });
  assertEquals(await codeOf(make().authorization()), "throttled");
  server.fail = undefined;
  clock.advance(-3_600_000);
  assertEquals(await make().authorization(), `Bearer ${secret("a1")}`);
});

test("Keeper.adoptSignIn() takes another program's sign-in, and no renewal, for one", async () => {
  const { make, server } = world();
  const [keeper, sibling] = [make(), make()];
  await sibling.signIn(server.tokens(undefined, server.good));
  await keeper.authorization();
  const mark = await keeper.signInMark();
  await sibling.forceRefresh();
  assertEquals(await keeper.adoptSignIn(mark), false);
  await sibling.signIn(server.tokens(undefined, server.good));
  assertEquals(await keeper.adoptSignIn(mark), true);
  assertEquals(keeper.authorization(), sibling.authorization());
  assertEquals(await keeper.adoptSignIn(await keeper.signInMark()), false);
});

test("Keeper waits a little after invalid_grant for the sibling that was faster to store its token", async () => {
  const { clock, make, server, storage } = world();
  const five = fiveMethods(storage);
  await storage.save(KEY, stored(100));
  server.good = secret("r-sibling");
  const slow = {
    now: clock.now,
    async sleep(ms: number) {
      await clock.sleep(ms);
      if (clock.waits.length < 3) return;
      await storage.save(
        KEY,
        stored(0, { access_token: secret("a-sibling"), refresh_token: secret("r-sibling") }),
      );
    },
  };
  const keeper = make({ clock: slow, storage: five });
  assertEquals(await keeper.authorization(), `Bearer ${secret("a-sibling")}`);
  assertEquals([server.refreshes, clock.waits.length], [[secret("r0")], 3]);
  // What found out whether the store can be written is emptied: five methods cannot delete.
  assertEquals(await storage.load(".planet/p/refresh_state.json"), {});
});

test("Keeper leaves out the marks that Python's SDK leaves in a shared store", async () => {
  const { make, storage } = world();
  await storage.save(KEY, { ...stored(100), ___SOPSAwareObjectStorageProvider__storage_type: "x" });
  assertEquals(await make().authorization(), `Bearer ${secret("a1")}`);
  const names = Object.keys((await storage.load(KEY))!);
  assertEquals(names.filter((name) => name.startsWith("___")), []);
});
