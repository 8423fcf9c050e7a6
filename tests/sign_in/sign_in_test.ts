/**
 * Several who sign in at once: callers of one program, and programs that share a store.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { SignIn } from "../../lib/sign_in/sign_in.ts";
import { test } from "../_support/harness.ts";
import {
  comeBack,
  fakeCodeServer,
  fakeScreen,
  fakeSession,
  type Shared,
  TOKENS,
} from "./_session.ts";

/** How a login ended. */
const end = (login: Promise<void>): Promise<unknown> =>
  login.then(() => "signed in", (error) => error instanceof AuthError ? error.code : error);

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
};

test("userLogin() is one attempt for all callers, who all get its session", async () => {
  const session = fakeSession(fakeCodeServer());
  const signIn = new SignIn(session);
  const first = fakeScreen();
  const second = fakeScreen();
  const logins = [signIn.userLogin(first.options), signIn.userLogin(second.options)];
  await comeBack(await first.page, { code: "c" });
  await Promise.all(logins);
  assertEquals([second.shown, session.stored.length], [[], 1]);
});

for (const [one, other] of [[300, 60_000], [60_000, 300]] as const) {
  test(`userLogin() with ${one} and ${other} ms: each caller has its own limit, and the other goes on`, async () => {
    const session = fakeSession(fakeCodeServer());
    const signIn = new SignIn(session);
    const screen = fakeScreen({ timeoutMs: one });
    const logins = [
      signIn.userLogin(screen.options),
      signIn.userLogin(fakeScreen({ timeoutMs: other }).options),
    ];
    const page = await screen.page;
    assertEquals(await Promise.race(logins.map(end)), "login_timeout");
    await comeBack(page, { code: "c" });
    assertEquals(
      (await Promise.all(logins.map(end))).sort(),
      ["login_timeout", "signed in"],
    );
  });
}

test("userLogin() goes on for whom another caller's abort does not concern, and ends with the last", async () => {
  const session = fakeSession(fakeCodeServer());
  const signIn = new SignIn(session);
  const screen = fakeScreen();
  const stops = [new AbortController(), new AbortController()];
  const logins = stops.map(({ signal }) => signIn.userLogin({ ...screen.options, signal }));
  const page = await screen.page;
  const reasons = [new Error("first"), new Error("last")];
  stops[0]!.abort(reasons[0]);
  assertEquals(await end(logins[0]!), reasons[0]);
  assertEquals(await comeBack(page, { code: "x", state: "wrong" }), 400, "It still listens.");
  stops[1]!.abort(reasons[1]);
  assertEquals(await end(logins[1]!), reasons[1]);
  await assertRejects(() => comeBack(page, { code: "c" }), "It listens no more.");
  // The next one begins anew.
  const again = fakeScreen();
  const login = signIn.userLogin(again.options);
  await comeBack(await again.page, { code: "c" });
  await login;
  assertEquals(session.stored.length, 1);
});

test("userLogin() right after the last caller went waits until that attempt has tidied up", async () => {
  const session = fakeSession(fakeCodeServer());
  const { alone } = session;
  const tidied = Promise.withResolvers<void>();
  let inside = 0;
  session.alone = async (body, options) => {
    assertEquals(inside++, 0, "One at a time.");
    try {
      return await alone(body, options);
    } finally {
      await tidied.promise;
      inside--;
    }
  };
  const signIn = new SignIn(session);
  const stop = new AbortController();
  const first = fakeScreen({ signal: stop.signal });
  const gone = end(signIn.userLogin(first.options));
  await first.page;
  stop.abort(new Error("gone"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const second = fakeScreen();
  setTimeout(tidied.resolve, 50);
  const login = signIn.userLogin(second.options);
  await comeBack(await second.page, { code: "c" });
  await login;
  assert(await gone instanceof Error);
});

test("userLogin() ends in time although nothing that it waits for heeds its end", async () => {
  const session = fakeSession({ authorize: () => new Promise(() => {}) });
  const signIn = new SignIn(session);
  const before = Date.now();
  assertEquals(
    await end(signIn.userLogin(fakeScreen({ timeoutMs: 200 }).options)),
    "login_timeout",
  );
  assert(Date.now() - before < 2_500);
  assertEquals(
    await end(signIn.userLogin(fakeScreen({ timeoutMs: 200 }).options)),
    "login_timeout",
  );
});

test("userLogin() counts down to the last caller's limit", async () => {
  const signIn = new SignIn(fakeSession(fakeCodeServer()));
  const left: number[] = [];
  const screen = fakeScreen({
    timeoutMs: 10_000,
    ui: { showWaiting: ({ leftMs }) => void left.push(leftMs) },
  });
  const logins = [signIn.userLogin(screen.options)];
  const page = await screen.page;
  await until(() => left.length > 0);
  logins.push(signIn.userLogin(fakeScreen({ timeoutMs: 60_000 }).options));
  await comeBack(page, { code: "c" });
  await Promise.all(logins);
  assertEquals(left.map((ms) => Math.ceil(ms / 10_000)), [1, 6]);
});

test("userLogin() refuses what is no login, before anything is asked", async () => {
  const session = fakeSession(fakeCodeServer());
  const signIn = new SignIn(session);
  assertEquals(await end(signIn.userLogin()), "invalid_argument");
  await assertRejects(() => signIn.userLogin({ ui: { show() {} }, timeoutMs: -1 }), TypeError);
  const reason = new Error("before");
  const signal = AbortSignal.abort(reason);
  assertEquals(await end(signIn.userLogin({ ui: { show() {} }, signal })), reason);
  assertEquals(session.told, []);
});

/** Two programs that share a store; the first one's person is at the page. */
async function twoPrograms(options: Parameters<typeof fakeScreen>[0], ...lines: string[]) {
  const shared: Shared = { signIns: 0, renewals: 0 };
  const [one, other] = [1, 2].map(() => fakeSession(fakeCodeServer(), { shared }));
  const stop = new AbortController();
  const first = fakeScreen({ signal: stop.signal });
  const begun = end(new SignIn(one!).userLogin(first.options));
  const page = await first.page;
  const second = fakeScreen(options, ...lines);
  const login = new SignIn(other!).userLogin(second.options);
  login.catch(() => {});
  return { begun, login, other: other!, page, second, shared, stop };
}

test("userLogin() says that another program signs in, and takes over the session that comes of it", async () => {
  const { begun, login, other, page, second } = await twoPrograms({ timeoutMs: 60_000 });
  await until(() => second.shown.length > 0);
  assertMatch(
    second.shown[0]!,
    /^Another program is signing in to profile my-app\. .* asks by itself in (29|30) s\.$/,
  );
  await comeBack(page, { code: "c" });
  await login;
  assertEquals(await begun, "signed in");
  assertEquals([other.stored, other.told], [[], ["waiting_for_other_process", "session_adopted"]]);
  assertEquals(
    second.shown.at(-1),
    "Signed in by another program: profile my-app, kept in /home/me.",
  );
});

test("userLogin() asks when the other program gives up, whatever it has renewed meanwhile", async () => {
  const { begun, login, other, second, shared, stop } = await twoPrograms({});
  await until(() => second.shown.length > 0);
  shared.renewals++;
  stop.abort(new Error("given up"));
  await begun;
  await comeBack(await second.page, { code: "c" });
  await login;
  assertEquals(other.stored, [TOKENS]);
  assert(!other.told.includes("session_adopted") && !other.told.includes("taken_over"));
});

test("userLogin() takes over from another program by Enter, and both may finish", async () => {
  const { begun, login, other, page, second } = await twoPrograms({}, "");
  const mine = await second.page;
  assertEquals(second.prompts[0], "Press Enter to sign in here instead: ");
  await comeBack(mine, { code: "c" });
  await login;
  assertEquals(other.told.slice(0, 4), [
    "waiting_for_other_process",
    "taken_over",
    "login_started",
    "page_shown",
  ]);
  await comeBack(page, { code: "c" });
  assertEquals(await begun, "signed in");
});

test("userLogin() takes over by itself at half of its time", async () => {
  const { begun, login, other, second, stop } = await twoPrograms({ timeoutMs: 2_000 });
  await comeBack(await second.page, { code: "c" });
  await login;
  assert(other.told.includes("taken_over"));
  stop.abort(new Error("late"));
  await begun;
});

test("userLogin() ends while it waits for another program: by its limit, which says so, and by Ctrl-C", async () => {
  for (const code of ["login_timeout", "login_cancelled"] as const) {
    const { begun, login, second, stop, other } = await twoPrograms(
      code === "login_timeout" ? { timeoutMs: 300 } : {
        allowTtyPrompt: true,
        ui: { readLine: () => Promise.reject(new AuthError("login_cancelled", "Ctrl-C")) },
      },
    );
    // No screen is left to take over.
    if (code === "login_timeout") other.oauth = () => new Promise(() => {});
    const error = await assertRejects(() => login, AuthError);
    assertEquals(error.code, code);
    assert(second.shown.length > 0);
    stop.abort(new Error("enough"));
    await begun;
  }
});

test("userLogin() fails as the store does if it cannot be locked", async () => {
  const session = fakeSession(fakeCodeServer());
  const broken = new AuthError("storage_denied", "read-only");
  session.alone = () => Promise.reject(broken);
  assertEquals(await new SignIn(session).userLogin(fakeScreen().options).catch((e) => e), broken);
  const busy = fakeSession(fakeCodeServer());
  busy.alone = () => Promise.reject(new AuthError("lock_timeout", "held"));
  const screen = fakeScreen();
  const login = new SignIn(busy).userLogin(screen.options);
  await comeBack(await screen.page, { code: "c" });
  await login;
  assert(busy.told.includes("taken_over"));
});
