/**
 * What a session does at servers that we did not choose: signs in by each flow and each proof, renews,
 * ends, asks.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import type { Auth, AuthError, LoginUI } from "../../mod.ts";
import { FileStorage, MemoryStorage } from "../../mod.ts";
import { assertAuthError } from "../_support/store_contract.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { onceIsEnough, startWorkers } from "../processes/workers.ts";
import { visit } from "./_person.ts";
import { count, enablePerson, type Role, rotateKeys, type Server } from "./_servers.ts";
import {
  check,
  checkAtOnce,
  environmentOf,
  PROFILE,
  servers,
  sessionFor,
  signIn,
  TOKEN_KEY,
} from "./_suite.ts";

if (servers.length === 0) {
  console.log('SKIPPED the servers of others: "deno task test:servers" starts them');
}

/** Requests that the server itself wrote down while `body` ran. */
async function counted(
  server: Server,
  what: "revocation" | "token",
  body: () => Promise<unknown>,
): Promise<number> {
  const before = await count(server, what);
  await body();
  return await count(server, what) - before;
}

/** Renews twice; each token is another one, and one request. */
async function renews(server: Server, auth: Auth): Promise<void> {
  const tokens = [await auth.accessToken()];
  const requests = await counted(server, "token", async () => {
    for (let round = 0; round < 2; round++) {
      tokens.push(await auth.accessToken({ forceRefresh: true }));
    }
  });
  assertEquals(new Set(tokens).size, 3);
  assertEquals(requests, 2);
}

const LOGINS: readonly [string, Role][] = [
  ["browser login, public client", "app"],
  ["browser login, secret (basic)", "web"],
  ["browser login, secret (post)", "webPost"],
  ["browser login, private key", "webKey"],
  ["device login, public client", "device"],
  ["device login, secret or key", "webDevice"],
];

for (const [name, role] of LOGINS) {
  check(name, [role], async (server) => {
    const auth = await sessionFor(server, role);
    if (server.clients[role]!.redirectUri !== undefined) {
      // Its redirect URI has a port of its own, which nobody needs to listen on.
      const request = await auth.authCodeUserLoginInitiate();
      const { callback } = await visit(server, request.authorization_url, { deliver: false });
      await auth.authCodeUserLoginComplete(request, callback!);
    } else await signIn(server, auth);
    const { canRefresh } = await auth.explain();
    if (!canRefresh) {
      assertEquals([server.name, role], ["zitadel", "webDevice"], "only there is none given");
      return;
    }
    await renews(server, auth);
    await auth.logout();
    assertEquals(await auth.isInitialized(), false);
  });
}

const SERVICES: readonly [string, Role][] = [
  ["service account, secret (basic)", "basic"],
  ["service account, secret (post)", "post"],
  ["service account, secret with %, +, : and é", "hard"],
  ["service account, private key", "key"],
];

for (const [name, role] of SERVICES) {
  check(name, [role], async (server) => {
    const auth = await sessionFor(server, role);
    // The first place for the secret may be the wrong one: then it is one request more, once.
    const first = await counted(server, "token", () => auth.accessToken());
    assert(first <= 2, `${first} token requests`);
    assertEquals(await counted(server, "token", () => auth.accessToken({ forceRefresh: true })), 1);
    // At zitadel's revocation endpoint its service users are no clients, and that is told.
    if (server.name === "zitadel") await assertAuthError(() => auth.logout(), "client_rejected");
    else await auth.logout();
  });
}

check("a wrong secret: one more try at most", ["basic"], async (server) => {
  const members = { client_secret: "not-the-s3cret-at-all" };
  const auth = await sessionFor(server, "basic", { members });
  const requests = await counted(
    server,
    "token",
    () => assertAuthError(() => auth.accessToken(), "client_rejected"),
  );
  assert(requests <= 2, `${requests} token requests`);
});

check("rotation: 5 refreshes in a row", ["app"], async (server) => {
  const auth = await sessionFor(server, "app");
  await signIn(server, auth);
  const tokens = new Set<string>();
  const requests = await counted(server, "token", async () => {
    for (let round = 0; round < 5; round++) {
      tokens.add(await auth.accessToken({ forceRefresh: true }));
    }
  });
  assertEquals([tokens.size, requests], [5, 5]);
});

/** A session that was signed in to, and a second program with what is stored before its renewal. */
async function spentToken(server: Server): Promise<{ renewed: Auth; late: Auth }> {
  const storage = new MemoryStorage();
  const renewed = await sessionFor(server, "app", { storage });
  await signIn(server, renewed);
  const before = (await storage.load(TOKEN_KEY))!;
  await renewed.accessToken({ forceRefresh: true });
  const old = new MemoryStorage();
  await old.save(TOKEN_KEY, before);
  return { renewed, late: await sessionFor(server, "app", { storage: old }) };
}

check("a spent refresh token is refused", ["app"], async (server) => {
  const { late } = await spentToken(server);
  await assertAuthError(() => late.accessToken({ forceRefresh: true }), "session_expired");
});

check("reuse detection ends the session for all", ["app", "reuse detection"], async (server) => {
  const { late, renewed } = await spentToken(server);
  await assertAuthError(() => late.accessToken({ forceRefresh: true }), "session_expired");
  await assertAuthError(() => renewed.accessToken({ forceRefresh: true }), "session_expired");
  await signIn(server, renewed);
  await renewed.accessToken({ forceRefresh: true });
});

check("5 processes at 3 expiries: 1 request each", ["app"], async (server) => {
  const folder = await tempFolder();
  const storage = new FileStorage({ root: folder.path });
  const auth = await sessionFor(server, "app", { storage });
  await signIn(server, auth);
  const workers = await startWorkers(5, {
    environment: environmentOf(server),
    clientId: server.clients.app!.id,
    requestedScopes: server.scopes,
    profileName: PROFILE,
    root: folder.path,
  });
  try {
    const tokens = new Set<string | undefined>();
    const requests = await counted(server, "token", async () => {
      for (let expiry = 1; expiry <= 3; expiry++) {
        const stored = (await storage.load(TOKEN_KEY))!;
        const left = Number(stored._exp) * 1000 - Date.now();
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, left) + 50));
        const outcomes = await Promise.all(workers.map((worker) => worker.ask()));
        assertEquals(outcomes.filter(({ code }) => code !== undefined), []);
        for (const { token } of outcomes) tokens.add(token);
      }
    });
    // On a slow machine a token ends before all have asked; each is still one request.
    assert(tokens.size >= 3, `${tokens.size} tokens`);
    assertEquals(requests, tokens.size);
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
    await folder.remove();
  }
}, { skip: onceIsEnough });

check("logout revokes, for a public client", ["app", "revocation"], async (server) => {
  const storage = new MemoryStorage();
  const auth = await sessionFor(server, "app", { storage });
  await signIn(server, auth);
  const stored = (await storage.load(TOKEN_KEY))!;
  const revocations = await counted(server, "revocation", () => auth.logout());
  assert(revocations >= 1, "the server wrote none down");
  await storage.save(TOKEN_KEY, stored);
  const again = await sessionFor(server, "app", { storage });
  await assertAuthError(() => again.accessToken({ forceRefresh: true }), "session_expired");
});

check("logout revokes, for a client with a key", ["webKey", "revocation"], async (server) => {
  const auth = await sessionFor(server, "webKey");
  await signIn(server, auth);
  assert(await counted(server, "revocation", () => auth.logout()) >= 1);
});

check("logout revokes, for a secret in the body", ["webPost", "revocation"], async (server) => {
  const auth = await sessionFor(server, "webPost");
  const request = await auth.authCodeUserLoginInitiate({
    redirectUri: server.clients.webPost!.redirectUri ?? "http://127.0.0.1:8977/callback",
  });
  const { callback } = await visit(server, request.authorization_url, { deliver: false });
  await auth.authCodeUserLoginComplete(request, callback!);
  assert(await counted(server, "revocation", () => auth.logout()) >= 1);
});

check("userinfo", ["app", "userinfo"], async (server) => {
  const auth = await sessionFor(server, "app");
  await signIn(server, auth);
  const { sub } = await auth.userinfo();
  assertEquals(sub, (await auth.validateIdToken()).sub);
});

check("userinfo without the scope for it: why", ["basic", "userinfo refusal"], async (server) => {
  const auth = await sessionFor(server, "basic");
  const error = await assertAuthError(() => auth.userinfo(), "invalid_argument");
  assertMatch(error.message, /openid/);
  assert((error.cause as AuthError).oauthError !== undefined);
});

check("introspection", ["app", "introspection"], async (server) => {
  // Who may ask differs: a client with a secret is asked for first.
  const role = server.name === "django" ? "basic" : "web";
  const auth = await sessionFor(server, role);
  if (role === "web") {
    const redirectUri = server.clients.web!.redirectUri ?? "http://127.0.0.1:8977/callback";
    const request = await auth.authCodeUserLoginInitiate({ redirectUri });
    const { callback } = await visit(server, request.authorization_url, { deliver: false });
    await auth.authCodeUserLoginComplete(request, callback!);
  }
  assertEquals((await auth.introspect()).active, true);
});

check("validation of the ID token", ["app"], async (server) => {
  const auth = await sessionFor(server, "app");
  await signIn(server, auth);
  const claims = await auth.validateIdToken();
  assertEquals(claims.iss, server.issuer);
});

check("validation of the access token", ["app", "JWT access tokens"], async (server) => {
  const auth = await sessionFor(server, "app");
  await signIn(server, auth);
  const claims = await auth.validateAccessToken({ scopesAnyOf: ["planet"] });
  assertEquals(claims.iss, server.issuer);
  const checks = { audience: "https://elsewhere.test/" };
  const error = await assertAuthError(() => auth.validateAccessToken(checks), "invalid_token");
  assertMatch(error.message, /another audience/);
});

check("a new key of the server", ["app", "JWT access tokens", "key rotation"], async (server) => {
  const auth = await sessionFor(server, "app");
  await signIn(server, auth);
  const kid = async () => JSON.parse(atob((await auth.accessToken()).split(".")[0]!)).kid as string;
  const old = await kid();
  await auth.validateAccessToken();
  await rotateKeys(server);
  // Keys are asked for at most every 5 seconds.
  await new Promise((resolve) => setTimeout(resolve, 5_200));
  await auth.accessToken({ forceRefresh: true });
  assertNotEquals(await kid(), old);
  await auth.validateAccessToken();
});

check("the person agrees at a page that asks", ["consent"], async (server) => {
  const auth = await sessionFor(server, "consent");
  await signIn(server, auth);
  await auth.accessToken();
});

check("denied at the browser", ["consent", "denied at the browser"], async (server) => {
  const auth = await sessionFor(server, "consent");
  const error = await assertAuthError(
    () => signIn(server, auth, { deny: true, ...otherPerson(server) }),
    "access_denied",
  );
  assertEquals(error.oauthError, "access_denied");
});

/** Somebody who has not agreed before, where that is remembered. */
function otherPerson(server: Server) {
  return server.name === "keycloak" ? { username: "other" } : {};
}

for (const role of ["device", "webDevice"] as const) {
  const kind = role === "device" ? "public client" : "secret or key";
  check(`denied at a device login, ${kind}`, [role, "device denied"], async (server) => {
    const auth = await sessionFor(server, role);
    await assertAuthError(
      () => signIn(server, auth, { deny: true, ...otherPerson(server) }),
      "access_denied",
    );
  });
}

check("a code typed into the device page", ["device"], async (server) => {
  const auth = await sessionFor(server, "device");
  const info = await auth.deviceUserLoginInitiate();
  const done = auth.deviceUserLoginComplete(info);
  await visit(server, info.verification_uri, { userCode: info.user_code });
  await done;
  await auth.accessToken();
});

check("a client that is disabled", ["disabled"], async (server) => {
  const auth = await sessionFor(server, "disabled");
  const error = await assertAuthError(() => signIn(server, auth), "client_rejected");
  assertMatch(error.message, /client ID/);
});

check("a person who is disabled", ["app", "disabled person"], async (server) => {
  const auth = await sessionFor(server, "app");
  await signIn(server, auth, { username: "other" });
  try {
    await enablePerson(server, "other", false);
    await assertAuthError(() => auth.accessToken({ forceRefresh: true }), "session_expired");
  } finally {
    await enablePerson(server, "other", true);
  }
});

check("an unknown client", ["app"], async (server) => {
  const auth = await sessionFor(server, "app", {
    members: {
      client_id: "nobody",
      client_type: "oidc_client_credentials_secret",
      client_secret: "nobody-s3cret",
    },
  });
  const error = await assertAuthError(() => auth.accessToken(), "client_rejected");
  assertMatch(error.message, /client ID/);
});

/** What is told at the end of a browser login whose page shows an error, by the time limit. */
async function lateMessage(server: Server, members: Record<string, string>): Promise<string> {
  const auth = await sessionFor(server, "app", { members });
  const shown: string[] = [];
  const ui: LoginUI = {
    show: (text) => shown.push(text),
    async openBrowser(url) {
      const { callback, status, text } = await visit(server, url, { deliver: false });
      if (callback === undefined) assert(status >= 400 || /error/i.test(text), `${status}`);
      else assert(callback.searchParams.has("error"), "the server took it");
      return true;
    },
  };
  const login = auth.userLogin({ allowOpenBrowser: true, ui, timeoutMs: 33_000 });
  const error = await assertAuthError(() => login, "login_timeout");
  return `${shown.join("\n")}\n${error.message}`;
}

for (
  const [name, members] of [
    ["a wrong redirect URI", { redirect_uri: "http://127.0.0.1:0/nowhere/at/all" }],
    ["an unknown client at the browser", { client_id: "nobody" }],
  ] as const
) {
  checkAtOnce(`${name}: told after 30 s, and at the end`, async (server) => {
    // Keycloak takes every path of 127.0.0.1 here, and no other host.
    const isTaken = server.name === "keycloak" && "redirect_uri" in members;
    const wrong = isTaken ? { redirect_uri: "http://localhost:0/callback" } : members;
    const message = await lateMessage(server, wrong);
    assertMatch(message, /If the browser shows an error/);
    assertEquals(message.match(/must be registered/g)?.length, 2);
  }, { skip: onceIsEnough });
}

check("a realm that does not exist", ["realms"], async (server) => {
  const auth_server = `${server.issuer}-nowhere`;
  const auth = await sessionFor(server, "basic", { members: { auth_server } });
  const error = await assertAuthError(() => auth.accessToken(), "malformed_response");
  assertMatch(error.message, /^Check the address/);
});

/** What each says of a token that it does not take; zitadel answers with the status alone. */
const REFUSALS: Readonly<Record<Server["name"], string | undefined>> = {
  keycloak: "invalid_token",
  hydra: "request_unauthorized",
  zitadel: undefined,
  django: "invalid_token",
};

check("a refused token: sign in again (RFC 6750)", ["app", "userinfo"], async (server) => {
  const storage = new MemoryStorage();
  const auth = await sessionFor(server, "app", { storage });
  await signIn(server, auth);
  const stored = (await storage.load(TOKEN_KEY))!;
  const [head, body, signature] = String(stored.access_token).split(".");
  const spoilt = signature === undefined
    ? "spoilt-access-token"
    : `${head}.${body}.${signature.split("").reverse().join("")}`;
  await storage.save(TOKEN_KEY, { ...stored, access_token: spoilt });
  const late = await sessionFor(server, "app", { storage });
  const error = await assertAuthError(() => late.userinfo(), "session_expired");
  assertEquals(error.oauthError, REFUSALS[server.name]);
});

check("the log has no secret of ours", ["app"], (server) => {
  // What a server writes down is its own business; that we send nothing in an address is ours.
  const log = readFileSync(server.log, "utf8");
  assertEquals(
    /[?&](access_token|refresh_token|client_secret|code_verifier)=/.exec(log)?.[0],
    undefined,
  );
  return Promise.resolve();
});
