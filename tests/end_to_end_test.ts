/**
 * What the library promises, against real authorization servers: counts of requests, over
 * concurrency and over expiries.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Auth, MemoryStorage, Planet, Session, type SessionOptions } from "../mod.ts";
import { secret } from "./_support/canaries.ts";
import { test } from "./_support/harness.ts";
import { approveDevice } from "./sandbox/person.ts";
import { type Sandbox, withSandbox } from "./sandbox/sandbox.ts";

/** A clock that can be ahead of the system's; waits are left out. */
function aheadClock() {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    sleep: () => Promise.resolve(),
    set: (ms: number) => void (ahead = ms),
  };
}

async function person(sandbox: Sandbox, options: SessionOptions): Promise<Auth> {
  const { clientId, environment } = sandbox;
  const auth = Auth.fromOAuthUserDeviceCode({ clientId, environment, ...options });
  const info = await auth.deviceUserLoginInitiate();
  await approveDevice(info.verification_uri_complete!);
  await auth.deviceUserLoginComplete(info);
  return auth;
}

const service = ({ environment, m2m }: Sandbox, options: SessionOptions) =>
  Auth.fromOAuthM2M({ ...m2m, environment, ...options });

const many = (auth: Auth) => Promise.all(Array.from({ length: 1000 }, () => auth.accessToken()));

test("a service account: 1,000 first calls cost 1 discovery and 1 token request, 1,000 at expiry 1 more", async () => {
  await withSandbox(async (sandbox) => {
    const clock = aheadClock();
    const auth = service(sandbox, { clock, storageProvider: new MemoryStorage() });
    const { log } = sandbox;
    assertEquals(new Set(await many(auth)).size, 1);
    assertEquals([log.count("discovery"), log.count("token"), log.entries.length], [1, 1, 2]);
    clock.set(3_601_000);
    assertEquals(new Set(await many(auth)).size, 1);
    assertEquals([log.count("discovery"), log.count("token"), log.entries.length], [1, 2, 3]);
  });
});

test("a person: 1,000 calls at expiry cost 1 token request", async () => {
  await withSandbox(async (sandbox) => {
    const clock = aheadClock();
    const auth = await person(sandbox, { clock, storageProvider: new MemoryStorage() });
    sandbox.log.reset();
    clock.set(3_601_000);
    assertEquals(new Set(await many(auth)).size, 1);
    assertEquals([sandbox.log.count("token"), sandbox.log.entries.length], [1, 1]);
    assertEquals(sandbox.counters.reuseDetections, 0);
  });
});

for (const rotate of [true, false]) {
  test(`20 expiries in a row ${rotate ? "with" : "without"} rotation: 20 refreshes, still signed in`, async () => {
    await withSandbox(async (sandbox) => {
      const storageProvider = new MemoryStorage();
      const { clientId, environment, log } = sandbox;
      const options = { environment, storageProvider, profileName: "long" };
      const key = ".planet/long/token.json";
      await person(sandbox, options);
      const auth = Auth.fromOAuthUserDeviceCode({ clientId, ...options });
      log.reset();
      const seen = new Set<string>();
      const refreshTokens = new Set<unknown>();
      for (let expiry = 1; expiry <= 20; expiry++) {
        // The claims of a JWT would win over what is saved beside it.
        const stored = await storageProvider.load(key);
        await storageProvider.save(key, {
          ...stored,
          access_token: secret("expired"),
          _iat: 1,
          _exp: 2,
        });
        const next = expiry === 20 ? auth : Auth.fromOAuthUserDeviceCode({ clientId, ...options });
        seen.add(await next.accessToken());
        refreshTokens.add((await storageProvider.load(key))?.refresh_token);
        assertEquals(log.count("token", "refresh_token"), expiry);
      }
      assertEquals([seen.size, refreshTokens.size], [20, rotate ? 20 : 1]);
      assertEquals(sandbox.counters.reuseDetections, 0);
      const searches = new Planet(new Session(auth)).data.listSearches({ limit: 1 });
      assertEquals(await Array.fromAsync(searches, ({ name }) => name), ["Field 12"]);
    }, { rotate });
  });
}

test("a valid saved token: the first API call makes no request to the authorization server", async () => {
  await withSandbox(async (sandbox) => {
    const storageProvider = new MemoryStorage();
    await person(sandbox, { storageProvider });
    await service(sandbox, { storageProvider }).accessToken();
    sandbox.log.reset();
    const { clientId, environment } = sandbox;
    const next = [
      Auth.fromOAuthUserDeviceCode({ clientId, environment, storageProvider }),
      service(sandbox, { storageProvider }),
    ];
    for (const auth of next) {
      await auth.ensureInitialized();
      const searches = new Planet(new Session(auth)).data.listSearches({ limit: 1 });
      assertEquals(await Array.fromAsync(searches, ({ name }) => name), ["Field 12"]);
    }
    assertEquals(sandbox.log.toAuthorizationServers, 0);
  });
});
