import { assertEquals } from "@std/assert";
import { OAuthClient } from "../../lib/oauth/client.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";

const current = TokenSet.fromStored({ refresh_token: secret("RT") }, 0, "token.json");

/** Starts `work` until its request has left; then, of each of its timers, whether that keeps the program alive. */
async function timersOf(work: () => void): Promise<boolean[]> {
  const { setTimeout } = globalThis;
  const deno = (globalThis as { Deno?: { unrefTimer(id: number): void } }).Deno;
  const unrefTimer = deno?.unrefTimer;
  const released = new Set<unknown>();
  if (deno) deno.unrefTimer = (id) => void (released.add(id), unrefTimer!(id));
  const timers: unknown[] = [];
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    timers.push(setTimeout(...args));
    return timers.at(-1);
  }) as typeof setTimeout;
  try {
    work();
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    return timers.map((one) => deno ? !released.has(one) : (one as { hasRef(): boolean }).hasRef());
  } finally {
    globalThis.setTimeout = setTimeout;
    if (deno) deno.unrefTimer = unrefTimer!;
  }
}

for (const background of [true, false]) {
  test(`OAuthClient bounds a request by a timer that ${background ? "keeps no program alive, in the background" : "keeps the program alive, if somebody waits"}`, async () => {
    const token_endpoint = "https://auth.fake.test/token";
    for (const endpoints of [{ token_endpoint }, {}]) {
      const client = new OAuthClient({
        issuer: "https://auth.fake.test",
        endpoints,
        clientId: "app",
        scopes: [],
        clock: fakeClock(),
        fetch: () => new Promise(() => {}),
      });
      for (const method of ["refresh", "clientCredentials"] as const) {
        const stop = new AbortController();
        const options = { background, signal: stop.signal };
        let end: Promise<unknown> | undefined;
        const keeps = await timersOf(() => {
          const work = method === "refresh"
            ? client.refresh(current, options)
            : client.clientCredentials(options);
          end = work.catch((reason) => reason);
        });
        stop.abort("over");
        assertEquals([keeps, await end], [[!background], "over"]);
      }
    }
  });
}
