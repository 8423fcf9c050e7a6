/**
 * The page at the end of a whole sign-in: what the browser shows is how it really ended.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { listen } from "../../lib/callback/listener.ts";
import { Auth, type LoginOptions, MemoryStorage } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { fakeServer, type FakeServerOptions, HANG } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

/** A browser that comes back with `answer`; returns how the login ended and the last page. */
async function signIn(
  answer: Record<string, string>,
  server: FakeServerOptions = {},
  options: LoginOptions = {},
): Promise<{ end: string; page: string; url: string }> {
  const { environment, fetch } = fakeServer(server);
  const auth = Auth.fromOAuthUserAuthCode({
    clientId: "app",
    callbackUrl: "http://localhost:0/cb",
    profileName: "field-mapper",
    environment,
    fetch,
    storageProvider: new MemoryStorage(),
  });
  let visit: Promise<{ page: string; url: string }> | undefined;
  const end = await auth.userLogin({
    allowOpenBrowser: true,
    ui: {
      openBrowser(url) {
        const back = new URL(url.searchParams.get("redirect_uri")!);
        const state = url.searchParams.get("state")!;
        back.search = new URLSearchParams({ state, iss: url.origin, ...answer }).toString();
        visit = globalThis.fetch(back)
          .then(async (response) => ({ page: await response.text(), url: response.url }));
        return Promise.resolve(true);
      },
    },
    ...options,
  }).then(() => "signed in", (error) => String(error.code ?? error.message));
  return { end, ...await visit! };
}

test("userLogin() shows success when there are tokens, at a clean address", async () => {
  const { end, page, url } = await signIn({ code: secret("c") });
  assertEquals(end, "signed in");
  assertMatch(page, /You are signed in[\s\S]*field-mapper[\s\S]*<\/html>/);
  assertEquals(new URL(url).search, "");
});

test("userLogin() shows no success where the code could not be redeemed", async () => {
  const { end, page } = await signIn({ code: secret("c") }, { token: ["invalid_client"] });
  assertEquals(end, "client_rejected");
  assertMatch(page, /Sign-in did not succeed[\s\S]*<\/html>/);
});

test("userLogin() shows that it was cancelled, and that it failed, apart", async () => {
  const denied = await signIn({ error: "access_denied" });
  assertEquals(denied.end, "access_denied");
  assertMatch(denied.page, /Sign-in was cancelled/);
  const failed = await signIn({ error: "server_error" });
  assertEquals(failed.end, "server_error");
  assertMatch(failed.page, /did not succeed/);
});

test("userLogin() shows no success after its time is over", async () => {
  const { end, page } = await signIn({ code: secret("c") }, { token: [HANG] }, { timeoutMs: 500 });
  assertEquals(end, "login_timeout");
  assertMatch(page, /did not succeed/);
});

test("userLogin() shows the application's own page and name, escaped by itself", async () => {
  const { page } = await signIn({ code: secret("c") }, {}, {
    applicationName: "Field Mapper",
    callbackPage: ({ applicationName, kind, message }) =>
      `<main data-kind="${kind}">${applicationName}: ${message}</main>`,
  });
  assertEquals(
    page,
    '<main data-kind="success">Field Mapper: You can close this tab and go back to Field Mapper.</main>',
  );
});

test("listen() lets the browser wait no longer than 4 s for the outcome", async () => {
  const listener = await listen({
    callbackUrl: "http://127.0.0.1:0/cb",
    state: "s",
    issuer: "https://as.example",
    issuerRequired: false,
  });
  const { setTimeout } = globalThis;
  const fast = (run: () => void, ms?: number) => setTimeout(run, ms === 4_000 ? 20 : ms);
  globalThis.setTimeout = fast as unknown as typeof setTimeout;
  try {
    const response = await fetch(`${listener.redirectUri}?code=${secret("c")}&state=s`);
    assertEquals(response.status, 200);
    const page = await response.text();
    assert(page.includes("Your answer has arrived"), page);
  } finally {
    globalThis.setTimeout = setTimeout;
    await listener.close();
  }
});

test("userLogin() leaves no timer behind when the caller aborts it", async () => {
  // The leak checks of Deno watch this: a timer left would keep a program alive for 5 minutes.
  const { environment, fetch } = fakeServer();
  const auth = Auth.fromOAuthUserAuthCode({
    clientId: "app",
    callbackUrl: "http://localhost:0/cb",
    environment,
    fetch,
    storageProvider: new MemoryStorage(),
  });
  const reason = new Error("enough");
  const stop = new AbortController();
  const shown = Promise.withResolvers<void>();
  const login = auth.userLogin({ ui: { show: () => shown.resolve() }, signal: stop.signal });
  const ended = login.catch((error) => error);
  await shown.promise;
  stop.abort(reason);
  assertEquals(await ended, reason);
});
