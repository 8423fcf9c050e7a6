/**
 * A person signs in by authorization code: what is shown, opened, heard, pasted and redeemed.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { AuthError } from "../../lib/errors.ts";
import type { LoginOptions } from "../../lib/sign_in/person.ts";
import { SignIn } from "../../lib/sign_in/sign_in.ts";
import type { LoginUI } from "../../lib/terminal/ui.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { freePort } from "../_support/free_port.ts";
import { impatiently } from "../_support/fake_clock.ts";
import { test } from "../_support/harness.ts";
import {
  comeBack,
  fakeCodeServer,
  type FakeScreen,
  fakeScreen,
  fakeSession,
  TOKENS,
} from "./_session.ts";

const BROWSER = { allowOpenBrowser: true };

/** Signs in on a screen. */
function world(
  screen: FakeScreen,
  server = fakeCodeServer(),
  options: Parameters<typeof fakeSession>[1] = {},
) {
  const session = fakeSession(server, options);
  const login = new SignIn(session).userLogin(screen.options);
  login.catch(() => {});
  return { ...screen, login, redeemed: server.redeemed, session };
}

test("userLogin() shows the page, opens it, redeems what is heard, and says who signed in where", async () => {
  const { login, opened, page, redeemed, session, shown } = world(fakeScreen(BROWSER));
  const url = await page;
  assertEquals(await comeBack(url, { code: "c" }), 303);
  await login;
  const redirectUri = url.searchParams.get("redirect_uri")!;
  assertMatch(redirectUri, /^http:\/\/127\.0\.0\.1:\d+\/cb$/);
  assertEquals(redeemed, [{ code: "c", state: "the-state", redirectUri }]);
  assertEquals([opened, session.stored], [[url.href], [TOKENS]]);
  assertEquals(shown, [
    `Sign in to Planet, for my-app: open this page in a browser.\n\n  ${url}\n`,
    "A browser was opened: go on there.",
    "Signed in: profile my-app, kept in /home/me.",
  ]);
  assertEquals(session.told, [
    "login_started",
    "page_shown",
    "browser_opened",
    "answer_received",
  ]);
});

test("userLogin() names who signed in, as the ID token has it, and says that nothing is kept", async () => {
  const claims = new TextEncoder().encode(JSON.stringify({ name: "Zoë", email: "z@x.test" }));
  const base64 = btoa(String.fromCharCode(...claims)).replace(/=+$/, "");
  const id_token = `e30.${base64.replaceAll("+", "-").replaceAll("/", "_")}.x`;
  const server = fakeCodeServer();
  server.redeem = () =>
    Promise.resolve(TokenSet.fromResponse({ access_token: secret("b"), id_token }, 0));
  const kept = { durable: false, words: "run with --allow-write to keep it" };
  const { login, page, shown } = world(fakeScreen(BROWSER), server, { kept });
  await comeBack(await page, { code: "c" });
  await login;
  assertEquals(
    shown.at(-1),
    "Signed in as Zoë, z@x.test: profile my-app, not kept for the next run " +
      "(run with --allow-write to keep it).",
  );
});

test("userLogin() opens nothing without leave, and says why where it could not", async () => {
  const silent = world(fakeScreen());
  await comeBack(await silent.page, { code: "c" });
  await silent.login;
  assertEquals([silent.opened.length, silent.shown.length], [0, 2]);
  const ui: LoginUI = { openBrowser: () => Promise.resolve(false) };
  const headless = world(fakeScreen({ ...BROWSER, ui }));
  await comeBack(await headless.page, { code: "c" });
  await headless.login;
  assertEquals(
    headless.shown[1],
    "No browser could be opened from here: open the page yourself, on this computer.",
  );
  const ssh: LoginUI = { whyNoBrowser: () => "this is an SSH session" };
  const remote = world(fakeScreen({ ...BROWSER, ui: ssh }, "the-code"));
  await remote.login;
  assertEquals(remote.opened, []);
  assertMatch(remote.shown[1]!, /^No browser .* \(this is an SSH session\): .*copy that address/);
  assert(remote.session.told.includes("browser_not_opened"));
});

const PASTES: readonly [string, string, Record<string, string> | undefined][] = [
  ["the bare code", " abc-123 ", {
    code: "abc-123",
    state: "the-state",
    iss: "https://login.test/",
  }],
  ["a code that looks like a query", "aGk=", {
    code: "aGk=",
    state: "the-state",
    iss: "https://login.test/",
  }],
  [
    "the whole redirect URL",
    "http://127.0.0.1:4711/cb?code=c&state=the-state&iss=https%3A%2F%2Flogin.test%2F",
    { code: "c", state: "the-state", iss: "https://login.test/" },
  ],
  ["the URL of a private scheme", "com.example.app:/cb?code=c&state=the-state", {
    code: "c",
    state: "the-state",
  }],
  ["the URL with a fragment", "http://x/cb?code=c&state=the-state#_=_", {
    code: "c",
    state: "the-state",
  }],
  ["a URL in quotes", '"http://x/cb?code=c&state=the-state" ', { code: "c", state: "the-state" }],
  ["a URL in angle brackets", "<http://x/cb?code=c&state=the-state>", {
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
  ["a URL with two states", "http://x/cb?code=c&state=other&state=the-state", undefined],
  [
    "a URL of another server",
    "http://x/cb?code=c&state=the-state&iss=https://evil.test",
    undefined,
  ],
  ["the sign-in page itself", "https://login.test/authorize?state=the-state", undefined],
  ["two words", "two words", undefined],
  ["nothing", "", undefined],
];

for (const [what, line, expected] of PASTES) {
  test(`userLogin() ${expected ? "takes" : "asks again after"} ${what} when pasted`, async () => {
    const { login, prompts, redeemed, session, shown } = world(
      fakeScreen({}, line, "the-right-one"),
    );
    await login;
    const { redirectUri: _, ...response } = redeemed[0]!;
    const right = { code: "the-right-one", state: "the-state", iss: "https://login.test/" };
    assertEquals(response, expected ?? right);
    assertEquals(prompts.length, expected === undefined ? 2 : 1);
    assertEquals(session.told.includes("answer_refused"), expected === undefined);
    assertEquals(shown.some((text) => /please/.test(text)), expected === undefined);
  });
}

test("userLogin() asks again after any number of wrong lines, until its time is over", async () => {
  const ui: LoginUI = { readLine: () => Promise.resolve("no code") };
  const { login, session } = world(fakeScreen({ allowTtyPrompt: true, timeoutMs: 900, ui }));
  const error = await assertRejects(() => login, AuthError);
  assertEquals(error.code, "login_timeout");
  assert(session.told.filter((step) => step === "answer_refused").length > 5);
});

test("userLogin() asks again after a pasted code that the server does not know", async () => {
  const server = fakeCodeServer({ codes: ["right"] });
  const pasted = world(fakeScreen({}, "typo", "right"), server);
  await pasted.login;
  assertEquals(server.redeemed.map(({ code }) => code), ["typo", "right"]);
  assertMatch(pasted.shown.join("\n"), /The server does not take that code/);
  // What the browser brought is no typing error: there is nothing to ask again.
  const heard = world(fakeScreen(BROWSER), fakeCodeServer({ codes: [] }));
  await comeBack(await heard.page, { code: "c" });
  assertEquals((await assertRejects(() => heard.login, AuthError)).oauthError, "invalid_grant");
});

test("userLogin() hears the browser although a wrong line was pasted before", async () => {
  const { login, page, redeemed, session } = world(fakeScreen({}, "two words"));
  const url = await page;
  while (!session.told.includes("answer_refused")) await new Promise((go) => setTimeout(go, 1));
  await comeBack(url, { code: "heard" });
  await login;
  assertEquals(redeemed.map(({ code }) => code), ["heard"]);
});

test("userLogin() asks for a paste only if the browser does not do, or after 30 s", async () => {
  const quick = world(fakeScreen(BROWSER, "not asked for"));
  await comeBack(await quick.page, { code: "c" });
  await quick.login;
  assertEquals([quick.prompts, quick.redeemed[0]!.code as string], [[], "c"]);
  await impatiently(async () => {
    const slow = world(fakeScreen(BROWSER, "pasted"));
    await slow.login;
    assertEquals([slow.prompts.length, slow.redeemed[0]!.code], [1, "pasted"]);
    assertMatch(
      slow.shown[2]!,
      /^If the browser shows an error, mend that first: .* client ID app and the redirect URI http:\/\/127\.0\.0\.1:\d+\/cb must be registered/,
    );
  });
});

test("userLogin() tells at its end that an error in the browser has to be mended first", async () => {
  await impatiently(async () => {
    const { login } = world(fakeScreen({ ...BROWSER, timeoutMs: 300 }));
    const error = await assertRejects(() => login, AuthError);
    assertEquals(error.code, "login_timeout");
    assertMatch(error.message, /nobody finished it within 0 s\. If the browser shows an error/);
  });
});

test("userLogin() needs no listener if the person can paste, whatever keeps it from listening", async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  const { port } = holder.address() as AddressInfo;
  const callbackUrl = `http://127.0.0.1:${port}/cb`;
  try {
    for (const options of [{}, BROWSER]) {
      const pasted = world(fakeScreen(options, "abc"), fakeCodeServer(), {
        client: { callbackUrl },
      });
      await pasted.login;
      assertEquals(pasted.redeemed[0], {
        code: "abc",
        state: "the-state",
        iss: "https://login.test/",
        redirectUri: callbackUrl,
      });
      assertMatch(
        pasted.shown[1]!,
        /has to be pasted here\. Stop the program that listens on port/,
      );
    }
    // The input ends, or there was none: nothing can come any more.
    for (const screen of [fakeScreen(BROWSER), fakeScreen(BROWSER, null)]) {
      const cannot = world(screen, fakeCodeServer(), { client: { callbackUrl } });
      const error = await assertRejects(() => cannot.login, AuthError);
      assertEquals(error.code, "port_in_use");
    }
  } finally {
    await new Promise((resolve) => holder.close(resolve));
  }
});

for (const callbackUrl of ["https://app.example/callback", "com.example.app:/callback"]) {
  test(`userLogin() for ${callbackUrl} says before anything opens that it cannot listen, unless a paste will do`, async () => {
    const cannot = world(fakeScreen(BROWSER), fakeCodeServer(), { client: { callbackUrl } });
    const error = await assertRejects(() => cannot.login, AuthError);
    assertEquals(error.code, "invalid_argument");
    assertMatch(error.message, /authCodeUserLoginInitiate\(\)/);
    assertEquals([cannot.opened, cannot.shown, cannot.session.told], [[], [], []]);
    const pasted = world(
      fakeScreen({}, `${callbackUrl}?code=c&state=the-state`),
      fakeCodeServer(),
      { client: { callbackUrl } },
    );
    await pasted.login;
    assertEquals(pasted.redeemed[0]!.redirectUri, callbackUrl);
  });
}

test("userLogin() pastes with the redirect URI for a browser elsewhere if it may open none", async () => {
  const client = { callbackUrl: "http://127.0.0.1:0/cb", remoteCallbackUrl: "https://x.test/cb" };
  const { login, redeemed } = world(fakeScreen({}, "abc"), fakeCodeServer(), { client });
  await login;
  assertEquals(redeemed[0]!.redirectUri, "https://x.test/cb");
});

test("userLogin() without a line to paste goes on listening", async () => {
  const { login, page, redeemed } = world(fakeScreen({}, null));
  await comeBack(await page, { code: "c" });
  await login;
  assertEquals(redeemed[0]!.code, "c");
});

/** Who cannot be reached: nothing is sent, and the error comes at once. */
const NOBODY: [string, LoginOptions][] = [
  ["no terminal and no browser allowed", {
    allowTtyPrompt: true,
    ui: { whyNoTerminal: () => "no terminal" },
  }],
  ["no terminal, and no browser that could open", {
    ...BROWSER,
    allowTtyPrompt: true,
    ui: { whyNoTerminal: () => "no terminal", whyNoBrowser: () => "there is no display" },
  }],
  ["no screen at all, as on the edge", {
    ...BROWSER,
    ui: { show: undefined, openBrowser: undefined },
  }],
];

for (const [what, options] of NOBODY) {
  test(`userLogin() fails at once where nobody can be asked: ${what}`, async () => {
    const { login, prompts, session, shown } = world(fakeScreen(options));
    const error = await assertRejects(() => login, AuthError);
    assertEquals(error.code, "unsupported_runtime");
    assertMatch(error.message, /^Run this in a terminal, .*service account/);
    assertEquals([session.told, shown, prompts], [[], [], []]);
  });
}

test("userLogin() fails where a browser was the only way, and did not open", async () => {
  const ui: LoginUI = {
    whyNoTerminal: () => "no terminal",
    openBrowser: () => Promise.resolve(false),
  };
  const { login, session } = world(fakeScreen({ ...BROWSER, ui }));
  assertEquals((await assertRejects(() => login, AuthError)).code, "unsupported_runtime");
  assertEquals(session.told.at(-1), "browser_not_opened");
});

test("userLogin() ends with Ctrl-C, with an abort, and with a refusal", async () => {
  const cancelled = new AuthError("login_cancelled", "Ctrl-C");
  assertEquals(await world(fakeScreen({}, cancelled)).login.catch((e) => e), cancelled);

  const reason = new Error("enough");
  const stop = new AbortController();
  const port = await freePort();
  const callbackUrl = `http://127.0.0.1:${port}/cb`;
  const screen = fakeScreen({ signal: stop.signal }, "two words");
  const aborted = world(screen, fakeCodeServer(), { client: { callbackUrl } });
  await aborted.page;
  stop.abort(reason);
  assertEquals(await aborted.login.catch((error) => error), reason);

  // The port is free again.
  const fail = new AuthError("access_denied", "no", { oauthError: "access_denied" });
  const denied = world(fakeScreen(), fakeCodeServer({ fail }), { client: { callbackUrl } });
  await comeBack(await denied.page, { error: "access_denied" });
  assertEquals((await assertRejects(() => denied.login, AuthError)).code, "access_denied");
});

test("userLogin() is over only when the session is stored", async () => {
  const { login, page, session } = world(fakeScreen());
  const fail = new AuthError("storage_failed", "full");
  session.signIn = () => Promise.reject(fail);
  await comeBack(await page, { code: "c" });
  assertEquals(await login.catch((error) => error), fail);
});
