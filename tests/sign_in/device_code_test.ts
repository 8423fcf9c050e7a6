import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import type { OAuthClient } from "../../lib/oauth/client.ts";
import { SignIn } from "../../lib/sign_in/sign_in.ts";
import {
  beginDevice,
  completeDevice,
  type DeviceAuthorization,
  type LoginProgress,
} from "../../lib/sign_in/steps.ts";
import { TokenSet } from "../../lib/token.ts";
import { systemClock } from "../../lib/runtime.ts";
import { Auth, FileStorage, MemoryStorage, type SessionOptions } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeClock, fakeClock } from "../_support/fake_clock.ts";
import { fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { fakeScreen, fakeSession } from "./_session.ts";

const START = 1_700_000_000_000;
const TOKENS = TokenSet.fromResponse({ access_token: secret("a") }, START);

const DEVICE_SCREEN = `Sign in to Planet, for my-app: open this page on any device.

  https://login.test/device

Enter this code, or check that the page shows it:

  WDJB-MJHT
`;

type Step = TokenSet | "authorization_pending" | "slow_down" | AuthError | (() => never);

/** A client whose polls are answered in turn; the last answer is repeated. */
function client(steps: readonly Step[], grant?: DeviceAuthorization): OAuthClient {
  let round = 0;
  return {
    authorizeDevice: () => Promise.resolve(grant),
    pollDevice: () => {
      const step = steps[Math.min(round++, steps.length - 1)]!;
      if (typeof step === "function") step();
      return step instanceof AuthError ? Promise.reject(step) : Promise.resolve(step);
    },
  } as unknown as OAuthClient;
}

function grantOf(more: Partial<DeviceAuthorization> = {}): DeviceAuthorization {
  return {
    device_code: secret("SECRET-device"),
    user_code: "WDJB-MJHT",
    verification_uri: "https://login.test/device",
    expires_in: 600,
    interval: 5,
    ...more,
  };
}

const network = new AuthError("network", "Check the network: reset.");
const server = new AuthError("server_error", "Try again later: it answered 500.");
const timeout = new AuthError("timeout", "slow");
const P = "authorization_pending";
const S = "slow_down";

const WAITS: readonly [string, readonly Step[], Partial<DeviceAuthorization>, number[]][] = [
  ["the interval before each poll", [P, P, TOKENS], {}, [5, 5, 5]],
  ["5 s where the server names no interval (§3.2)", [P, TOKENS], { interval: undefined as never }, [
    5,
    5,
  ]],
  ["the server's own interval", [P, TOKENS], { interval: 7 }, [7, 7]],
  ["5 s more for good after each slow_down (§3.5)", [S, P, S, S, P, TOKENS], {}, [
    5,
    10,
    10,
    15,
    20,
    20,
  ]],
  ["twice as long after each timeout in a row (§3.5)", [timeout, timeout, P, TOKENS], {}, [
    5,
    10,
    20,
    5,
  ]],
  ["a minute at most after trouble", [network, network, network, network, network, TOKENS], {}, [
    5,
    10,
    20,
    40,
    60,
    60,
  ]],
  ["slow_down and trouble together", [S, network, P, TOKENS], {}, [5, 10, 20, 10]],
  [
    "as long as Retry-After says",
    [new AuthError("server_error", "503", { retryAt: START + 5_000 + 42_000 }), P, TOKENS],
    {},
    [5, 42, 5],
  ],
  [
    "the doubled pause where Retry-After is shorter",
    [new AuthError("throttled", "429", { retryAt: START + 5_000 + 1_000 }), TOKENS],
    {},
    [5, 10],
  ],
];

for (const [what, steps, grant, waits] of WAITS) {
  test(`completeDevice() waits ${what} (RFC 8628)`, async () => {
    const clock = fakeClock({ now: START });
    assertEquals(await completeDevice(client(steps), grantOf(grant), { clock }), TOKENS);
    assertEquals(clock.waits, waits);
  });
}

const ENDS: readonly [string, number, readonly Step[], number[]][] = [
  ["12 s: the margin of 5 s covers one more", 12, [P], [5, 5, 5]],
  ["7 s: no poll comes sooner than the interval", 7, [P], [5, 5]],
  ["4 s: one poll within the margin", 4, [P], [5]],
  ["a pause after trouble is cut short to come in time", 60, [P, network, network, network, P], [
    5,
    5,
    10,
    20,
    15, // Not 40: this one comes 5 s before the end.
    5,
    5,
  ]],
  ["slow_down to the end, which is waited for without a poll", 40, [S], [5, 10, 15, 10]],
  ["Retry-After beyond the end", 30, [
    new AuthError("server_error", "503", { retryAt: START + 5_000 + 60_000 }),
  ], [5, 25]],
];

for (const [what, expires_in, steps, waits] of ENDS) {
  test(`completeDevice() ends with expires_in, ${what} (RFC 8628 §3.2)`, async () => {
    const clock = fakeClock({ now: START });
    const error = await assertRejects(
      () => completeDevice(client(steps), grantOf({ expires_in }), { clock }),
      AuthError,
    );
    assertEquals([error.code, clock.waits], ["device_code_expired", waits]);
  });
}

/** A clock of which one sleep takes longer, or sets the time back. */
function jumpingClock(round: number, jumpMs: number): FakeClock {
  const clock = fakeClock({ now: START });
  let rounds = 0;
  return {
    ...clock,
    async sleep(ms, signal) {
      await clock.sleep(ms, signal);
      if (++rounds === round) clock.advance(jumpMs);
    },
  };
}

test("completeDevice() asks at once after a suspended computer wakes", async () => {
  const clock = jumpingClock(2, 8 * 60_000);
  assertEquals(await completeDevice(client([P, TOKENS]), grantOf(), { clock }), TOKENS);
  assertEquals(clock.waits, [5, 5]);
});

test("completeDevice() believes the server that the code lives, after any jump of the clock", async () => {
  for (const jump of [24 * 3_600_000, -24 * 3_600_000]) {
    const clock = jumpingClock(2, jump);
    assertEquals(await completeDevice(client([P, P, P, TOKENS]), grantOf(), { clock }), TOKENS);
    assertEquals(clock.waits, [5, 5, 5, 5]);
  }
});

test("completeDevice() ends after a suspend where the server knows the code no more", async () => {
  const expired = new AuthError("device_code_expired", "expired_token");
  for (const last of [expired, network]) {
    const clock = jumpingClock(1, 3_600_000);
    const error = await assertRejects(
      () => completeDevice(client([last]), grantOf(), { clock }),
      AuthError,
    );
    assertEquals([error.code, clock.waits], ["device_code_expired", [5]]);
  }
});

test("completeDevice() counts no more than the life when the clock is set back", async () => {
  const clock = jumpingClock(1, -3_600_000);
  await assertRejects(
    () => completeDevice(client([P]), grantOf({ expires_in: 20 }), { clock }),
    AuthError,
  );
  assertEquals(clock.waits, [5, 5, 5, 5, 5]);
});

test("completeDevice() tells onPending how it stands, and outlives what that throws", async () => {
  const told: unknown[][] = [];
  const onPending = ({ leftMs, nextPollMs, polls, reason }: LoginProgress) => {
    told.push([polls, reason, nextPollMs, leftMs]);
    throw new Error("the application's own trouble");
  };
  const clock = fakeClock({ now: START });
  await completeDevice(client([P, S, network, TOKENS]), grantOf({ expires_in: 100 }), {
    clock,
    onPending,
  });
  assertEquals(told, [
    [0, "authorization_pending", 5_000, 100_000],
    [1, "authorization_pending", 5_000, 95_000],
    [2, "slow_down", 10_000, 90_000],
    [3, "network", 20_000, 80_000],
  ]);
});

test("completeDevice() ends at once where the server says so", async () => {
  for (
    const code of [
      "access_denied",
      "device_code_expired",
      "client_rejected",
      "malformed_response",
    ] as const
  ) {
    const clock = fakeClock();
    const error = await assertRejects(
      () => completeDevice(client([P, new AuthError(code, "x")]), grantOf(), { clock }),
      AuthError,
    );
    assertEquals([error.code, clock.waits.length], [code, 2]);
  }
});

test("completeDevice() rejects with the reason of an abort, before and amid a poll", async () => {
  const reason = new Error("enough");
  for (const when of [0, 1]) {
    const stop = new AbortController();
    if (when === 0) stop.abort(reason);
    const steps: Step[] = [() => {
      stop.abort(reason);
      throw stop.signal.reason;
    }];
    const work = completeDevice(client(steps), grantOf(), {
      clock: fakeClock(),
      signal: stop.signal,
    });
    assertEquals(await work.catch((error) => error), reason);
  }
});

test("completeDevice() counts expires_in from the answer, not from its own start", async () => {
  const clock = fakeClock({ now: START });
  const from = client([P], grantOf({ expires_in: 10 }));
  const grant = await beginDevice(from, { clock });
  clock.advance(8_000);
  await assertRejects(() => completeDevice(from, grant, { clock }), AuthError);
  assertEquals(clock.waits, [5], "the one poll that the margin allows");
});

test("beginDevice() keeps the names of RFC 8628 §3.2, and the secret out of the console", async () => {
  const given = { ...grantOf(), x_extra: 1 };
  const grant = await beginDevice(client([], given), { clock: fakeClock() });
  assertEquals({ ...grant } as unknown, given);
  assertEquals(JSON.parse(JSON.stringify(grant)), given, "another process can finish the login");
  const inspect = Symbol.for("nodejs.util.inspect.custom");
  const shown = (grant as unknown as Record<symbol, () => unknown>)[inspect]!();
  assert(!JSON.stringify(shown).includes("SECRET"));
});

for (const allowOpenBrowser of [true, false]) {
  test(`userLogin() by device code shows page and code${allowOpenBrowser ? ", opens the browser" : ""}, and says who signed in`, async () => {
    const complete = "https://login.test/device?user_code=WDJB-MJHT";
    const server = client([TOKENS], grantOf({ verification_uri_complete: complete }));
    const session = fakeSession(server, { client: { clientType: "oidc_device_code" } });
    const { opened, options, prompts, shown } = fakeScreen({ allowOpenBrowser }, "not asked for");
    await new SignIn(session).userLogin(options);
    assertEquals(shown[0], DEVICE_SCREEN);
    assertEquals(opened, allowOpenBrowser ? [complete] : []);
    assertEquals(shown.slice(1), [
      ...(allowOpenBrowser ? ["A browser was opened: go on there."] : []),
      "Signed in: profile my-app, kept in /home/me.",
    ]);
    assertEquals([prompts, session.stored], [[], [TOKENS]]);
    assert(!shown.join().includes("SECRET"));
    const browser = allowOpenBrowser ? ["browser_opened"] : [];
    assertEquals(session.told, ["login_started", "page_shown", ...browser]);
  });
}

for (const [what, trouble] of [["fails", server], ["cannot be reached", network]] as const) {
  test(`userLogin() by device code whose server ${what} to the end says so, and not that nobody came`, async () => {
    const session = fakeSession(client([trouble], grantOf({ expires_in: 1e6 })), {
      client: { clientType: "oidc_device_code" },
      clock: { now: Date.now, sleep: (_ms, signal) => systemClock.sleep(1, signal) },
    });
    const { options } = fakeScreen({ timeoutMs: 300 });
    const error = await assertRejects(() => new SignIn(session).userLogin(options), AuthError);
    assertEquals([error.code, error.cause], ["login_timeout", trouble]);
    assertEquals(
      error.message,
      "Start signing in again: the authorization server could not be asked to the end within 0 s. " +
        trouble.message,
    );
    const expired = await assertRejects(
      () => completeDevice(client([trouble]), grantOf({ expires_in: 9 }), { clock: fakeClock() }),
      AuthError,
    );
    assertEquals([expired.code, expired.cause], ["device_code_expired", trouble]);
    assert(expired.message.endsWith(`while the server could not be asked. ${trouble.message}`));
  });
}

test("Auth.userLogin() says at its end where the session is kept, or why it is not", async () => {
  const { environment, fetch } = fakeServer({ token: [{ access_token: secret("T") }] });
  const { path, remove } = await tempFolder();
  try {
    const cases: [SessionOptions, string][] = [
      [{ saveStateToStorage: false }, "not kept for the next run (saveStateToStorage is false)"],
      [
        { storageProvider: new MemoryStorage() },
        "not kept for the next run (storageProvider was given)",
      ],
      [{ storageProvider: new FileStorage({ root: path }) }, "kept in the application's own store"],
    ];
    for (const [place, kept] of cases) {
      const { options, shown } = fakeScreen();
      const clock = fakeClock({ now: START });
      const common = { environment, fetch, clock, ...place };
      await Auth.fromOAuthUserDeviceCode({ clientId: "app", ...common }).userLogin(options);
      assertEquals(shown.at(-1), `Signed in: profile app, ${kept}.`);
    }
  } finally {
    await remove();
  }
});
