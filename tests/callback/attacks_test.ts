/**
 * What another program on this computer, another site in the browser, or chance may send to the
 * listener while it waits; and that the right answer still ends the wait, or the stated code.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import process from "node:process";
import { listen } from "../../lib/callback/listener.ts";
import type { CallbackExpectation, CallbackListener } from "../../lib/callback/handler.ts";
import { AuthError } from "../../lib/errors.ts";
import { SignIn } from "../../lib/sign_in/sign_in.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { fakeCodeServer, fakeScreen, fakeSession } from "../sign_in/_session.ts";
import { isRefused, open, say } from "./_raw.ts";

const EXPECTATION: CallbackExpectation = {
  callbackUrl: "http://127.0.0.1:0/cb",
  state: "right-state",
  issuer: "https://as.example",
  issuerRequired: true,
};
const RIGHT = `code=${secret("c")}&state=right-state&iss=https%3A%2F%2Fas.example`;

/** A listener that waits. */
interface Target {
  readonly listener: CallbackListener;
  readonly url: string;
  readonly port: number;
  /** What ends the wait. */
  readonly waiting: Promise<URLSearchParams>;
}

async function status(url: string, init: RequestInit = {}): Promise<number> {
  const response = await fetch(url, { redirect: "manual", ...init });
  await response.body?.cancel();
  return response.status;
}

/** Says a request line and headers of its own. */
function request(line: string, host: string, more = ""): string {
  return `${line} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`;
}

const megabytes = () => process.memoryUsage().rss / 1_048_576;

/** An attack; what it leaves open is closed after the right answer was given. */
type Attack = (target: Pick<Target, "port" | "url">) => Promise<void | (() => Promise<unknown>)>;

/** Attacks that the wait outlives. */
const ATTACKS: Record<string, Attack> = {
  "a wrong state": async ({ url }) => {
    assertEquals(await status(`${url}?code=x&state=wrong&iss=https%3A%2F%2Fas.example`), 400);
    assertEquals(await status(`${url}?code=x&state=right-stat`), 400);
    assertEquals(await status(`${url}?code=x&state=right-state%00`), 400);
  },
  "a missing state": async ({ url }) => {
    assertEquals(await status(`${url}?code=x`), 400);
    assertEquals(await status(url), 400);
  },
  "an error without state": async ({ url }) => {
    assertEquals(await status(`${url}?error=access_denied`), 400);
    assertEquals(await status(`${url}?error=access_denied&state=`), 400);
  },
  "a parameter given twice": async ({ url }) => {
    assertEquals(await status(`${url}?state=wrong&${RIGHT}`), 400);
    assertEquals(await status(`${url}?${RIGHT}&code=other`), 400);
  },
  "code and error at once": async ({ url }) => {
    assertEquals(await status(`${url}?${RIGHT}&error=access_denied`), 400);
  },
  "a foreign Host (DNS rebinding)": async ({ port }) => {
    for (const host of ["evil.example", `evil.example:${port}`, `localhost:${port}`, "127.0.0.1"]) {
      assertEquals(await say(port, request(`GET /cb?${RIGHT}`, host)), 404, host);
    }
  },
  "two Host headers, or none": async ({ port }) => {
    const two = request(`GET /cb?${RIGHT}`, `127.0.0.1:${port}`, "Host: evil.example\r\n");
    assert([400, 404].includes(await say(port, two)));
    const none = await say(port, `GET /cb?${RIGHT} HTTP/1.0\r\n\r\n`);
    assert([0, 400, 404].includes(none));
  },
  "a foreign path": async ({ url, port }) => {
    for (const path of ["/", "/cb/", "/CB", "/cb2", "/cb%2F", "//cb"]) {
      const there = request(`GET ${path}?${RIGHT}`, `127.0.0.1:${port}`);
      assertEquals(await say(port, there), 404, path);
    }
    assertEquals(await status(new URL("/favicon.ico", url).href), 404);
  },
  "another method": async ({ url }) => {
    for (const method of ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]) {
      assertEquals(await status(`${url}?${RIGHT}`, { method }), 405, method);
    }
    const body = new URLSearchParams(RIGHT);
    assertEquals(await status(url, { method: "POST", body }), 405, "a form that nobody asked for");
  },
  "prefetch and prerender": async ({ url }) => {
    for (const name of ["sec-purpose", "purpose"]) {
      const headers = { [name]: "prefetch;prerender" };
      assertEquals(await status(`${url}?${RIGHT}`, { headers }), 503, name);
    }
  },
  "1,000 junk requests": async ({ url, port }) => {
    const before = megabytes();
    for (let round = 0; round < 40; round++) {
      await Promise.all(
        Array.from(
          { length: 25 },
          (_, index) =>
            index % 5 === 0
              ? say(port, `\x16\x03\x01${"junk".repeat(index)}\r\n\r\n`)
              : status(`${url}?state=${"x".repeat(round * 20)}&code=${index}`),
        ),
      );
    }
    const grown = megabytes() - before;
    assert(grown < 150, `grew by ${grown} MB`);
  },
  "200 idle sockets": async ({ port }) => {
    const idle = await Promise.all(Array.from({ length: 200 }, () => open(port)));
    return () => Promise.all(idle.map((one) => one.close()));
  },
  "50 requests that never end": async ({ port }) => {
    const half = await Promise.all(Array.from({ length: 50 }, (_, index) =>
      open(
        port,
        index % 2 === 0
          ? `GET /cb?${RIGHT} HTTP/1.1\r\nHost: 127.0`
          : `POST /cb HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 999\r\n` +
            "Content-Type: application/x-www-form-urlencoded\r\n\r\ncode=x",
      )));
    for (const one of half) one.send("x");
    return () => Promise.all(half.map((one) => one.close()));
  },
  "a URL of 256 KiB": async ({ port }) => {
    const before = megabytes();
    for (let round = 0; round < 5; round++) {
      const long = `GET /cb?${RIGHT}&x=${"a".repeat(262_144)}`;
      const answer = await say(port, request(long, `127.0.0.1:${port}`));
      assert([0, 400, 414, 431].includes(answer), String(answer));
    }
    assert(megabytes() - before < 100);
  },
  "a form of 10 MB": async ({ port }) => {
    const connection = await open(
      port,
      `POST /cb HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 10000000\r\n` +
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n",
    );
    const before = megabytes();
    for (let sent = 0; sent < 100; sent++) connection.send("a".repeat(100_000));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert(megabytes() - before < 100);
    return () => connection.close();
  },
  "scheme and port confusion": async ({ port }) => {
    // A browser that speaks TLS to it, another port in Host, and a whole URL as the target.
    const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    const tls = await open(port, hello);
    const other = request(`GET /cb?${RIGHT}`, `127.0.0.1:${port + 1}`);
    assertEquals(await say(port, other), 404);
    const whole = request(`GET http://evil.example/cb?${RIGHT}`, "evil.example");
    assert([400, 404].includes(await say(port, whole)));
    return () => tls.close();
  },
};

for (const [what, attack] of Object.entries(ATTACKS)) {
  test(`listen() outlives ${what} (RFC 8252 §8, RFC 9700 §4)`, async () => {
    const listener = await listen(EXPECTATION);
    const url = listener.redirectUri;
    const port = Number(new URL(url).port);
    let ended = false;
    const waiting = listener.wait(new AbortController().signal).finally(() => ended = true);
    let leave: Awaited<ReturnType<Attack>> = undefined;
    try {
      leave = await attack({ url, port });
      assertEquals(ended, false, "The attack ended the wait.");
      assertEquals(await status(`${url}?${RIGHT}`), 303, "The right answer must get through.");
      assertEquals((await waiting).get("code"), secret("c"));
      const closed = listener.close();
      const page = await fetch(url);
      assertEquals(page.status, 200);
      assertMatch(await page.text(), /You are signed in[\s\S]*<\/html>\s*$/);
      const before = Date.now();
      await closed;
      assert(Date.now() - before < 1_000);
      assert(await isRefused(port));
    } finally {
      await leave?.();
      await listener.close();
    }
  });
}

/** A login whose browser is awaited; its server is as the table has it. */
async function waitingLogin(expected: Partial<CallbackExpectation> = {}) {
  const { state, issuer, issuerRequired } = { ...EXPECTATION, ...expected };
  const server = fakeCodeServer({ pending: { state, issuer, issuerRequired } });
  const session = fakeSession(server, { client: { callbackUrl: EXPECTATION.callbackUrl } });
  const screen = fakeScreen();
  const login = new SignIn(session).userLogin(screen.options);
  login.catch(() => {});
  const url = (await screen.page).searchParams.get("redirect_uri")!;
  return { login, server, session, url, port: Number(new URL(url).port) };
}

for (const [what, attack] of Object.entries(ATTACKS)) {
  test(`userLogin() outlives ${what}, and redeems the right answer alone`, async () => {
    const { login, port, server, session, url } = await waitingLogin();
    let leave: Awaited<ReturnType<Attack>> = undefined;
    try {
      leave = await attack({ url, port });
      assertEquals(server.redeemed, [], "The attack was believed.");
      const page = await fetch(`${url}?${RIGHT}`);
      assertMatch(await page.text(), /You are signed in[\s\S]*<\/html>\s*$/);
      await login;
      assertEquals(server.redeemed.map(({ code }) => code), [secret("c")]);
      assertEquals(session.stored.length, 1);
      assert(await isRefused(port));
    } finally {
      await leave?.();
    }
  });
}

/** Answers that end the wait with an error. */
const FAILURES: Record<string, [query: string, expected: Partial<CallbackExpectation>]> = {
  "a wrong iss": [`code=${secret("c")}&state=right-state&iss=https%3A%2F%2Fevil.example`, {}],
  "an iss with a slash too many": [
    `code=${secret("c")}&state=right-state&iss=https%3A%2F%2Fas.example%2F`,
    {},
  ],
  "an error with a wrong iss": ["error=access_denied&state=right-state&iss=https%3A%2F%2Fx", {}],
  "a missing iss where announced": [`code=${secret("c")}&state=right-state`, {}],
  "a wrong iss where none is announced": [
    `code=${secret("c")}&state=right-state&iss=https%3A%2F%2Fevil.example`,
    { issuerRequired: false },
  ],
};

for (const [what, [query, expected]] of Object.entries(FAILURES)) {
  test(`listen() fails with issuer_mismatch on ${what} (RFC 9207 §2.4)`, async () => {
    const listener = await listen({ ...EXPECTATION, ...expected });
    const failed = assertRejects(() => listener.wait(new AbortController().signal), AuthError);
    assertEquals(await status(`${listener.redirectUri}?${query}`), 400);
    assertEquals((await failed).code, "issuer_mismatch");
    assertEquals(await status(`${listener.redirectUri}?${RIGHT}`), 400, "It is over.");
    await listener.close("failed");
  });
}

for (const [what, [query, expected]] of Object.entries(FAILURES)) {
  test(`userLogin() fails with issuer_mismatch on ${what}, and redeems nothing`, async () => {
    const { login, port, server, url } = await waitingLogin(expected);
    assertEquals(await status(`${url}?${query}`), 400);
    assertEquals((await assertRejects(() => login, AuthError)).code, "issuer_mismatch");
    assertEquals(server.redeemed, []);
    assert(await isRefused(port));
  });
}

test("listen() takes an answer without iss where none is announced (RFC 9207 §2.4)", async () => {
  const listener = await listen({ ...EXPECTATION, issuerRequired: false });
  assertEquals(await status(`${listener.redirectUri}?code=${secret("c")}&state=right-state`), 303);
  assertEquals((await listener.wait(new AbortController().signal)).get("code"), secret("c"));
  await listener.close();
});

test("listen() takes one of two answers that race, and a code never twice", async () => {
  const listener = await listen(EXPECTATION);
  const url = listener.redirectUri;
  const answers = await Promise.all(
    [secret("one"), secret("two")].map((code) =>
      status(`${url}?${RIGHT.replace(secret("c"), code)}`)
    ),
  );
  assertEquals(answers.sort(), [303, 400]);
  const code = (await listener.wait(new AbortController().signal)).get("code");
  assertEquals(await status(`${url}?${RIGHT.replace(secret("c"), code!)}`), 400);
  await listener.close();
});

test("listen() takes a form where the server posts it, of 16 KiB at most", async () => {
  const listener = await listen({ ...EXPECTATION, formPost: true });
  const url = listener.redirectUri;
  const post = (text: string) => status(url, { method: "POST", body: new URLSearchParams(text) });
  assertEquals(await post(RIGHT.replace("right", "wrong")), 400);
  assert([405, 413].includes(await post(`${RIGHT}&more=${"x".repeat(16_384)}`)));
  assertEquals(await post(RIGHT), 303);
  assertEquals((await listener.wait(new AbortController().signal)).get("code"), secret("c"));
  await listener.close();
});

test("listen() for localhost hears ::1 and 127.0.0.1, and no other address", async () => {
  const listener = await listen({ ...EXPECTATION, callbackUrl: "http://localhost:0/cb" });
  const url = new URL(listener.redirectUri);
  const port = Number(url.port);
  assertEquals(url.href, `http://localhost:${port}/cb`);
  const junk = request("GET /cb?state=x", `localhost:${port}`);
  assertEquals(await say(port, junk), 400);
  const hasV6 = !await isRefused(port, "::1");
  if (hasV6) assertEquals(await say(port, junk, "::1"), 400);
  // 127.0.0.2 is this computer too: a listener on all interfaces would hear it.
  if (process.platform === "linux") assert(await isRefused(port, "127.0.0.2"));
  const right = request(`GET /cb?${RIGHT}`, `localhost:${port}`);
  assertEquals(await say(port, right, hasV6 ? "::1" : "127.0.0.1"), 303);
  assertEquals((await listener.wait(new AbortController().signal)).get("code"), secret("c"));
  await listener.close();
  assert(await isRefused(port) && await isRefused(port, "::1"));
});

test("listen() for one family hears that one only", async () => {
  const listener = await listen(EXPECTATION);
  assert(await isRefused(Number(new URL(listener.redirectUri).port), "::1"));
  await listener.close();
});

test("listen() says port_in_use and which port, and closes what it had bound", async () => {
  const taken = await listen({ ...EXPECTATION, callbackUrl: "http://[::1]:0/cb" })
    .catch(() => undefined);
  const holder = taken ?? await listen(EXPECTATION);
  const { port } = new URL(holder.redirectUri);
  const host = taken === undefined ? "127.0.0.1" : "localhost";
  const error = await assertRejects(
    () => listen({ ...EXPECTATION, callbackUrl: `http://${host}:${port}/cb` }),
    AuthError,
  );
  assertEquals(error.code, "port_in_use");
  assertMatch(error.message, new RegExp(`port ${port}\\b.*callbackUrl`));
  if (taken !== undefined) assert(await isRefused(Number(port)), "127.0.0.1 must be free again.");
  await holder.close();
});

/** Ends of a wait, with a browser that stays connected. */
const ENDS: Record<string, (target: Target, stop: AbortController) => Promise<unknown>> = {
  "a success": async ({ url, waiting, listener }) => {
    await status(`${url}?${RIGHT}`);
    await waiting;
    return listener.close();
  },
  "an abort": async ({ waiting }, stop) => {
    const reason = new Error("enough");
    stop.abort(reason);
    assertEquals(await waiting.catch((error) => error), reason);
  },
};

for (const [what, end] of Object.entries(ENDS)) {
  test(`listen() is gone within 1 s of ${what}, whoever is still connected`, async () => {
    const listener = await listen({ ...EXPECTATION, callbackUrl: "http://localhost:0/cb" });
    const url = listener.redirectUri;
    const port = Number(new URL(url).port);
    const stop = new AbortController();
    const waiting = listener.wait(stop.signal);
    waiting.catch(() => {});
    const there = await Promise.all([
      open(port),
      open(port, "GET /cb HTTP/1.1\r\nHost:"),
      open(port, `GET /favicon.ico HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`),
    ]);
    const before = Date.now();
    await end({ listener, url, port, waiting }, stop);
    while (!await isRefused(port)) assert(Date.now() - before < 1_000, "It still listens.");
    assert(Date.now() - before < 1_000);
    await Promise.all(there.map((one) => one.close()));
    await listener.close();
  });
}

test("listen() tells the browser how the sign-in ended, when that is known", async () => {
  for (
    const [outcome, text] of [["failed", "did not succeed"], ["success", "signed in"]] as const
  ) {
    const listener = await listen(EXPECTATION);
    const url = listener.redirectUri;
    assertEquals(await status(`${url}?${RIGHT}`), 303);
    let known = false;
    const page = fetch(url).then((response) => response.text()).then((body) => {
      assert(known, "The page came before the outcome was known.");
      return body;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    known = true;
    await listener.close(outcome);
    assert((await page).includes(text));
  }
});
