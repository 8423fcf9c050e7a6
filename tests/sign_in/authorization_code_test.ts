import { assert, assertEquals, assertRejects } from "@std/assert";
import type { CallbackListener } from "../../lib/callback/handler.ts";
import { AuthError } from "../../lib/errors.ts";
import type { OAuthClient, PendingAuthorization } from "../../lib/oauth/client.ts";
import {
  type AuthorizationCodeLogin,
  loginWithAuthorizationCode,
} from "../../lib/sign_in/person.ts";
import type { LoginUI } from "../../lib/terminal/ui.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";

const TOKENS = TokenSet.fromResponse({ access_token: secret("a") }, 0);

interface World {
  login: AuthorizationCodeLogin;
  redeemed: Record<string, string>[];
  shown: string[];
  opened: string[];
  /** Lets the listener hear an answer. */
  hear(query: string): void;
  closed(): number;
  stop: AbortController;
}

function world(ui: LoginUI = {}, more: Partial<AuthorizationCodeLogin> = {}): World {
  const redeemed: Record<string, string>[] = [];
  const shown: string[] = [];
  const opened: string[] = [];
  const stop = new AbortController();
  const heard = Promise.withResolvers<URLSearchParams>();
  let closed = 0;
  const pending: PendingAuthorization = {
    state: "the-state",
    nonce: "the-nonce",
    code_verifier: "the-verifier",
    issuer: "https://login.test/",
    issuerRequired: false,
    formPost: false,
  };
  const client: Pick<OAuthClient, "authorizationUrl" | "authorize" | "redeem"> = {
    authorize: () => Promise.resolve(pending),
    authorizationUrl: (given, redirectUri) => {
      assertEquals(given, pending);
      const url = new URL("https://login.test/authorize");
      url.searchParams.set("redirect_uri", redirectUri);
      return Promise.resolve(url);
    },
    redeem: (given, response, redirectUri) => {
      assertEquals(given, pending);
      redeemed.push({ ...Object.fromEntries(response), redirectUri });
      return Promise.resolve(TOKENS);
    },
  };
  const listener: CallbackListener = {
    redirectUri: "http://127.0.0.1:4711/cb",
    wait: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        heard.promise.then(resolve);
      }),
    close: () => (closed++, Promise.resolve()),
  };
  return {
    redeemed,
    shown,
    opened,
    stop,
    hear: (query) => heard.resolve(new URLSearchParams(query)),
    closed: () => closed,
    login: {
      client: client as OAuthClient,
      clock: fakeClock(),
      ui: {
        show: (message) => shown.push(message),
        openBrowser: (url) => (opened.push(url.href), Promise.resolve(true)),
        ...ui,
      },
      allowOpenBrowser: true,
      allowTtyPrompt: false,
      applicationName: "my-app",
      signal: stop.signal,
      leftMs: 60_000,
      callbackUrl: "http://127.0.0.1:0/cb",
      listen: () => Promise.resolve(listener),
      ...more,
    },
  };
}

/** A keyboard on which the lines are typed in turn; then nothing until the wait is over. */
function keyboard(...lines: (string | null)[]): LoginUI {
  return {
    readLine: (_prompt, { signal }) => {
      const line = lines.shift();
      if (line !== undefined) return Promise.resolve(line);
      assert(!signal.aborted);
      return new Promise(() => {}); // Does not even heed the signal.
    },
  };
}

const noServer = () => Promise.reject(new AuthError("unsupported_runtime", "no server here"));

test("loginWithAuthorizationCode() shows the URL, opens it, and redeems what the listener hears", async () => {
  const { login, hear, redeemed, shown, opened, closed } = world();
  const work = loginWithAuthorizationCode(login);
  hear("code=c&state=the-state");
  assertEquals(await work, TOKENS);
  assert(shown[0]!.includes("https://login.test/authorize?redirect_uri="));
  assert(shown[0]!.includes("my-app"));
  assertEquals(opened.length, 1);
  assertEquals(redeemed, [
    { code: "c", state: "the-state", redirectUri: "http://127.0.0.1:4711/cb" },
  ]);
  assertEquals(closed(), 1);
});

test("loginWithAuthorizationCode() opens nothing without leave, and says where it could not", async () => {
  const silent = world({}, { allowOpenBrowser: false });
  silent.hear("code=c&state=the-state");
  await loginWithAuthorizationCode(silent.login);
  assertEquals([silent.opened.length, silent.shown.length], [0, 1]);
  const headless = world({ openBrowser: () => Promise.resolve(false) });
  headless.hear("code=c&state=the-state");
  await loginWithAuthorizationCode(headless.login);
  assertEquals(headless.shown.length, 2);
});

const PASTES: readonly [string, string, Record<string, string> | undefined][] = [
  ["the bare code", " abc-123 ", {
    code: "abc-123",
    state: "the-state",
    iss: "https://login.test/",
  }],
  [
    "the whole redirect URL",
    "http://127.0.0.1:4711/cb?code=c&state=the-state&iss=https%3A%2F%2Flogin.test%2F",
    { code: "c", state: "the-state", iss: "https://login.test/" },
  ],
  ["the URL with a fragment", "http://x/cb?code=c&state=the-state#_=_", {
    code: "c",
    state: "the-state",
  }],
  ["the query alone", "?code=c&state=the-state", { code: "c", state: "the-state" }],
  ["a refusal", "http://x/cb?error=access_denied&state=the-state", {
    error: "access_denied",
    state: "the-state",
  }],
  ["a URL of another sign-in", "http://x/cb?code=c&state=other", undefined],
  ["a URL without state", "http://x/cb?code=c", undefined],
  ["the sign-in page itself", "https://login.test/authorize?state=the-state", undefined],
  ["two words", "two words", undefined],
  ["nothing", "", undefined],
];

for (const [what, line, expected] of PASTES) {
  test(`loginWithAuthorizationCode() ${expected ? "takes" : "refuses"} ${what} when pasted`, async () => {
    const { login, redeemed, hear, shown } = world(keyboard(line), { allowTtyPrompt: true });
    const work = loginWithAuthorizationCode(login);
    if (expected === undefined) {
      while (shown.length < 2) await new Promise((resolve) => setTimeout(resolve, 0));
      hear("code=heard&state=the-state");
    }
    await work;
    const { redirectUri, ...response } = redeemed[0]!;
    assertEquals(redirectUri, "http://127.0.0.1:4711/cb");
    assertEquals(response, expected ?? { code: "heard", state: "the-state" });
  });
}

test("loginWithAuthorizationCode() needs no listener where the person can paste", async () => {
  const { login, redeemed } = world(keyboard("abc"), { allowTtyPrompt: true, listen: noServer });
  assertEquals(await loginWithAuthorizationCode(login), TOKENS);
  assertEquals(redeemed[0]!.redirectUri, "http://127.0.0.1/cb");
  const cannot = world({}, { listen: noServer });
  const error = await assertRejects(() => loginWithAuthorizationCode(cannot.login), AuthError);
  assertEquals(error.code, "unsupported_runtime");
});

test("loginWithAuthorizationCode() without terminal goes on listening, and gives up without both", async () => {
  const { login, hear, redeemed } = world(keyboard(null), { allowTtyPrompt: true });
  const work = loginWithAuthorizationCode(login);
  hear("code=c&state=the-state");
  await work;
  assertEquals(redeemed[0]!.code, "c");
  const neither = world(keyboard(null), { allowTtyPrompt: true, listen: noServer });
  const error = await assertRejects(() => loginWithAuthorizationCode(neither.login), AuthError);
  assertEquals(error.code, "login_cancelled");
  assert(error.message.includes("no server here"), "It does not tell what is in the way.");
});

test("loginWithAuthorizationCode() ends with Ctrl-C, with an abort, and with a port in use", async () => {
  const cancelled = new AuthError("login_cancelled", "Ctrl-C");
  const typed = world({ readLine: () => Promise.reject(cancelled) }, { allowTtyPrompt: true });
  assertEquals(await loginWithAuthorizationCode(typed.login).catch((e) => e), cancelled);
  assertEquals(typed.closed(), 1);

  const reason = new Error("enough");
  const asked = Promise.withResolvers<void>();
  const readLine = () => (asked.resolve(), new Promise<string>(() => {}));
  const aborted = world({ readLine }, { allowTtyPrompt: true });
  const work = loginWithAuthorizationCode(aborted.login);
  await asked.promise;
  aborted.stop.abort(reason);
  assertEquals(await work.catch((error) => error), reason);
  assertEquals(aborted.closed(), 1);

  const taken = new AuthError("port_in_use", "taken");
  const { login } = world(keyboard("abc"), {
    allowTtyPrompt: true,
    listen: () => Promise.reject(taken),
  });
  assertEquals(await loginWithAuthorizationCode(login).catch((error) => error), taken);
});
