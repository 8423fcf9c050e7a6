/**
 * What a person can meet while signing in, one by one: the message is the one that the
 * documentation of `AuthErrorCode` has for the code, word for word (`…` stands for a name, an address or a number).
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { Auth, AuthError, type LoginOptions, MemoryStorage } from "../../mod.ts";
import { openListener } from "../../lib/callback/listener.ts";
import { OAuthClient } from "../../lib/oauth/client.ts";
import { readHidden, Screen } from "../../lib/terminal/screen.ts";
import { systemClock } from "../../lib/runtime.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock, impatiently } from "../_support/fake_clock.ts";
import {
  FakeResponse,
  type FakeServer,
  fakeServer,
  type FakeServerOptions,
  HANG,
} from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const ERRORS = readFileSync(new URL("../../lib/errors.ts", import.meta.url), "utf8");

/** What the documentation of `AuthErrorCode` has for each code: its meaning, and perhaps a message. */
const DOCUMENTED = [
  ...ERRORS.split("export type AuthErrorCode")[0]!.replace(/\s+\* {2,}/g, " ")
    .matchAll(/^ \* - `(\w+)`: (.+)$/gm),
].map(([, code, text]) => [code!, text!] as const);

/** The catalogue: code and message of each that has one. */
const CATALOGUE = DOCUMENTED.flatMap(([code, text]) => {
  const message = /^[^"]+ "(.+)" Next: /.exec(text)?.[1];
  return message === undefined ? [] : [[code, message] as const];
});

interface World {
  readonly server: FakeServer;
  readonly auth: Auth;
}

function world(kind: "code" | "device", options: FakeServerOptions = {}): World {
  const server = fakeServer(options);
  const common = {
    clientId: "app",
    environment: server.environment,
    storageProvider: new MemoryStorage(),
    fetch: server.fetch,
    clock: fakeClock({ now: 1_700_000_000_000 }),
  };
  const auth = kind === "device"
    ? Auth.fromOAuthUserDeviceCode(common)
    : Auth.fromOAuthUserAuthCode({ ...common, callbackUrl: "http://127.0.0.1:0/cb" });
  return { server, auth };
}

/** A person whose browser comes back with these parameters. */
function browser(answer: Record<string, string>): LoginOptions {
  return {
    allowOpenBrowser: true,
    ui: {
      async openBrowser(url) {
        const back = new URL(url.searchParams.get("redirect_uri")!);
        const state = url.searchParams.get("state")!;
        back.search = new URLSearchParams({ state, iss: url.origin, ...answer }).toString();
        const response = await fetch(back);
        await response.body?.cancel();
        return true;
      },
    },
  };
}

const showOnly: LoginOptions = { ui: { show: () => {} } };

/** Signs in by device code where the token endpoint says this. */
const device = (token: FakeServerOptions["token"] & object, more: FakeServerOptions = {}) => () =>
  world("device", { token, ...more }).auth.userLogin(showOnly);

/** How a person meets each code. */
const SCENES: Record<string, () => Promise<unknown>> = {
  access_denied: () => world("code").auth.userLogin(browser({ error: "access_denied" })),
  client_rejected: device(["unauthorized_client"]),
  device_code_expired: device(["expired_token"]),
  invalid_argument: () =>
    Promise.resolve().then(() =>
      Auth.fromOAuthUserAuthCode({ clientId: "app", callbackUrl: "http://myhost:8080" })
    ),
  issuer_mismatch: () =>
    world("code").auth.userLogin(browser({ code: "c", iss: "https://evil.example" })),
  login_cancelled: () =>
    readHidden(
      { start: ({ keys }) => (queueMicrotask(() => keys("\x03")), () => {}) },
      new Screen({
        write: () => {},
        isTerminal: false,
        hasColour: false,
        size: () => ({ columns: 80, rows: 24 }),
      }),
      "",
      new AbortController().signal,
    ),
  login_required: () => world("code").auth.accessToken(),
  login_timeout: () => world("code").auth.userLogin({ ...showOnly, timeoutMs: 1_000 }),
  malformed_response: device([new FakeResponse(200, "<html>")]),
  network: device([], { device: [new TypeError("connect ECONNREFUSED")] }),
  port_in_use: async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    const { port } = holder.address() as AddressInfo;
    try {
      const { environment, fetch } = fakeServer();
      await Auth.fromOAuthUserAuthCode({
        clientId: "app",
        callbackUrl: `http://127.0.0.1:${port}/cb`,
        environment,
        fetch,
        storageProvider: new MemoryStorage(),
      }).userLogin(showOnly);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  },
  server_error: device([], { device: [new FakeResponse(500)] }),
  session_expired: async () => {
    const { auth } = world("device", {
      token: ({ form }) =>
        form.get("grant_type") === "refresh_token" ? "invalid_grant" : {
          access_token: secret("AT1"),
          token_type: "Bearer",
          expires_in: 3600,
          refresh_token: secret("RT1"),
        },
    });
    await auth.userLogin(showOnly);
    await auth.accessToken({ forceRefresh: true });
  },
  state_mismatch: async () => {
    const { fetch, issuer } = fakeServer();
    const client = new OAuthClient({
      issuer,
      clientId: "app",
      scopes: [],
      clock: systemClock,
      fetch,
    });
    const pending = await client.authorize();
    const other = new URLSearchParams({ code: "c", state: "of another sign-in" });
    await client.redeem(pending, other, "http://127.0.0.1:1/cb");
  },
  throttled: device([], { device: [new FakeResponse(429)] }),
  timeout: () => impatiently(device([], { device: [HANG] })),
  unsupported_runtime: () =>
    openListener(
      {
        callbackUrl: "http://127.0.0.1:80/cb",
        state: "s",
        issuer: "https://as.example",
        issuerRequired: false,
      },
      () => Promise.resolve("unavailable"),
    ),
};

test("AuthErrorCode: the documentation has every code, in its order", () => {
  const type = ERRORS.split("export type AuthErrorCode")[1]!.split(";")[0]!;
  assertEquals(
    DOCUMENTED.map(([code]) => code),
    [...type.matchAll(/\| "(\w+)"/g)].map(([, code]) => code!),
  );
});

test("the catalogue of AuthErrorCode has each code that signing in can end with", () => {
  assertEquals(CATALOGUE.map(([code]) => code).sort(), Object.keys(SCENES).sort());
});

for (const [code, scene] of Object.entries(SCENES)) {
  test(`the message of ${code} is that of the catalogue: what happened, and what to do`, async () => {
    const error = await scene().then(() => undefined, (error: unknown) => error);
    assert(error instanceof AuthError, `No such error, but ${String(error)}`);
    assertEquals(error.code as string, code);
    const written = CATALOGUE.find(([one]) => one === code)?.[1] ?? "";
    const pattern = written.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    assert(
      new RegExp(`^${pattern.join(".+?")}$`).test(error.message),
      `The message is "${error.message}", the catalogue has "${written}".`,
    );
  });
}
