/**
 * Many objects and many calls, and what they leave behind.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Auth, MemoryStorage, Session } from "../../mod.ts";
import { heapMiB, openHandles, tally } from "./_counters.ts";
import { secret } from "../_support/canaries.ts";

const URL_ = "https://api.planet.com/data/v1/searches";

/** An `Auth` whose session is good for an hour, and whose `fetch` costs nothing. */
async function signedIn(name: string, storageProvider = new MemoryStorage()): Promise<Auth> {
  const now = Math.floor(Date.now() / 1000);
  const token = {
    access_token: secret("A"),
    refresh_token: secret("R"),
    _iat: now,
    _exp: now + 36_000,
  };
  await storageProvider.save(`.planet/${name}/token.json`, token);
  return Auth.fromOAuthUserDeviceCode({
    clientId: name,
    storageProvider,
    fetch: () => Promise.resolve(new Response("{}")),
  });
}

/** Nothing more is open than before; a runtime may close what it had open itself since its start. */
function assertNoMore(now: number | undefined, before: number | undefined): void {
  assert(now === undefined || now <= before!, `${before} and then ${now} handles`);
}

/** Makes `count` objects, uses and drops them; then makes as many again. */
export async function manyObjects(count: number): Promise<void> {
  const counted = tally();
  const handles = openHandles();
  try {
    const round = async () => {
      const all: Auth[] = [];
      for (let number = 0; number < count; number++) all.push(await signedIn(`app-${number}`));
      await Promise.all(all.map((auth) => auth.accessToken()));
      await Promise.all(all.map((auth) => auth.fetch(URL_)));
      assertEquals(new Set(all.map((auth) => auth.profileName)).size, count);
    };
    await round();
    const first = await heapMiB();
    await round();
    const growth = await heapMiB() - first;
    console.log(`${count} Auth objects, twice: the heap grew by ${growth.toFixed(1)} MiB`);
    assert(growth < 8, `the heap grew by ${growth} MiB`);
    assertEquals([counted.timers, counted.listeners], [0, 0]);
    assertNoMore(openHandles(), handles);
  } finally {
    counted.stop();
  }
}

/** Makes `count` calls of each kind with one `Auth` and one signal. */
export async function manyCalls(count: number): Promise<void> {
  const auth = await signedIn("app");
  const session = new Session(auth, { requestsPerSecond: 0 });
  const { signal } = new AbortController();
  const kinds: [string, number, () => Promise<unknown>][] = [
    ["accessToken()", count, () => auth.accessToken()],
    ["accessToken({ signal })", count, () => auth.accessToken({ signal })],
    ["fetch()", count, () => auth.fetch(URL_, { signal })],
    ["Session.request()", count / 10, () => session.request("GET", URL_, { signal })],
  ];
  const counted = tally();
  const handles = openHandles();
  try {
    for (const [name, times, call] of kinds) {
      const run = async (share: number) => {
        for (let left = times * share; left > 0; left--) await call();
      };
      await run(0.1);
      const before = await heapMiB();
      const started = performance.now();
      await run(0.9);
      const took = performance.now() - started;
      const growth = await heapMiB() - before;
      console.log(
        `${times} × ${name}: ${(took / times / 0.9 * 1000).toFixed(1)} µs each, ` +
          `the heap grew by ${growth.toFixed(1)} MiB`,
      );
      assert(growth < 4, `${name}: the heap grew by ${growth} MiB`);
      assertEquals([counted.timers, counted.listeners], [0, 0], name);
      assertNoMore(openHandles(), handles);
    }
  } finally {
    counted.stop();
  }
}
