import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Auth } from "../lib/auth.ts";
import { PRODUCTION, type SessionOptions } from "../lib/setup.ts";
import { AuthError } from "../lib/errors.ts";
import type { AuthEvent } from "../lib/events.ts";
import { MemoryStorage } from "../lib/storage/select.ts";
import type { JsonObject } from "../lib/storage/objects.ts";
import { secret } from "./_support/canaries.ts";
import { type FakeClock, fakeClock } from "./_support/fake_clock.ts";
import {
  FakeResponse,
  type FakeServer,
  fakeServer,
  type FakeServerOptions,
} from "./_support/fake_server.ts";
import { test } from "./_support/harness.ts";

const START = 1_700_000_000_000;
const SECRET = secret("SECRET-of-the-client");

interface World {
  server: FakeServer;
  clock: FakeClock;
  storage: MemoryStorage;
  events: AuthEvent[];
  options: SessionOptions;
  m2m(more?: SessionOptions): Auth;
  device(more?: SessionOptions): Auth;
  api(auth: Auth): Promise<Response>;
}

function world(fake: FakeServerOptions = {}): World {
  const server = fakeServer(fake);
  const clock = fakeClock({ now: START });
  const storage = new MemoryStorage();
  const events: AuthEvent[] = [];
  const options: SessionOptions = {
    environment: server.environment,
    fetch: server.fetch,
    storageProvider: storage,
    clock,
    onEvent: (event) => events.push(event),
  };
  return {
    server,
    clock,
    storage,
    events,
    options,
    m2m: (more) =>
      Auth.fromOAuthM2M({ clientId: "Service", clientSecret: SECRET, ...options, ...more }),
    device: (more) => Auth.fromOAuthUserDeviceCode({ clientId: "App", ...options, ...more }),
    api: (auth) => auth.fetch(`${server.environment.apiBaseUrl}/data/v1/searches`),
  };
}

/** Stores a person's session that began `age` seconds ago and lives 100. */
async function store(storage: MemoryStorage, age: number, more: JsonObject = {}): Promise<void> {
  const issued = START / 1000 - age;
  await storage.save(".planet/app/token.json", {
    access_token: secret("AT0"),
    refresh_token: secret("RT0"),
    _iat: issued,
    _exp: issued + 100,
    ...more,
  });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => work, AuthError)).code;
}

const user = (more: Record<string, unknown>) => () =>
  Auth.fromOAuthUserAuthCode({
    clientId: "app",
    callbackUrl: "http://localhost:8080",
    ...more,
  } as never);

const BAD_ARGUMENTS: readonly [string, () => unknown, string][] = [
  ["no client ID", user({ clientId: undefined }), "clientId"],
  ["an empty client ID", user({ clientId: " " }), "clientId"],
  ["a client ID with a line break", user({ clientId: "a\nb" }), "clientId"],
  ["a client ID with a space around it", user({ clientId: "app " }), "clientId"],
  ["no callback URL", user({ callbackUrl: undefined }), "callbackUrl"],
  ["a callback URL elsewhere", user({ callbackUrl: "http://example.com/cb" }), "callbackUrl"],
  ["a callback URL on the network", user({ callbackUrl: "http://app.test/cb" }), "callbackUrl"],
  ["a callback URL that is none", user({ callbackUrl: "localhost:8080" }), "callbackUrl"],
  ["a port out of range", user({ callbackUrl: "http://localhost:99999/" }), "callbackUrl"],
  ["scopes as one text", user({ requestedScopes: "planet" }), "requestedScopes"],
  ["two scopes in one", user({ requestedScopes: ["planet openid"] }), "requestedScopes"],
  ["a scope that is no text", user({ requestedScopes: [7] }), "requestedScopes"],
  ["a profile name with a slash", user({ profileName: "a/b" }), "profileName"],
  ["a profile name with a backslash", user({ profileName: "a\\b" }), "profileName"],
  ["the profile name ..", user({ profileName: ".." }), "profileName"],
  ["an empty profile name", user({ profileName: "" }), "profileName"],
  ["a profile name with NUL", user({ profileName: "a\0b" }), "profileName"],
  ["a client ID that is no profile name", user({ clientId: "../x" }), "profileName"],
  ["a store that is none", user({ storageProvider: {} }), "storageProvider"],
  ["an observer that is none", user({ onEvent: 1 }), "onEvent"],
  ["an origin in plain http", user({ allowedOrigins: ["http://api.test"] }), "allowedOrigins"],
  [
    "a server in plain http",
    user({ environment: { ...PRODUCTION, userAuthServer: "http://login.test" } }),
    "environment.userAuthServer",
  ],
  [
    "a server with a password",
    user({ environment: { ...PRODUCTION, apiBaseUrl: "https://u:p@x.test" } }),
    "environment.apiBaseUrl",
  ],
  [
    "no client secret",
    () => Auth.fromOAuthM2M({ clientId: "a", clientSecret: "" }),
    "clientSecret",
  ],
  ["an empty key", () => Auth.fromKey(""), "key"],
  ["a key with a line break", () => Auth.fromKey("a\r\nX: y"), "key"],
];

for (const [what, make, field] of BAD_ARGUMENTS) {
  test(`Auth refuses ${what}, and names ${field}`, () => {
    const error = assertThrows(make, Error);
    assert(
      error instanceof TypeError ||
        (error instanceof AuthError && error.code === "invalid_argument"),
      String(error),
    );
    assert(error.message.includes(field), error.message);
  });
}

test("Auth takes the profile name in lower case, and the client ID by default", () => {
  assertEquals(world().m2m().profileName, "service");
  assertEquals(world().m2m({ profileName: "My-App" }).profileName, "my-app");
});

test("Auth signs a service account in once for 1,000 first calls, and once more at expiry", async () => {
  const { api, clock, events, m2m, server } = world();
  const auth = m2m();
  await Promise.all(Array.from({ length: 1000 }, () => api(auth)));
  assertEquals(server.requests.length, 1002);
  assertEquals(server.to("/token").length, 1);
  clock.advance(3_600_000);
  await Promise.all(Array.from({ length: 1000 }, () => auth.accessToken()));
  assertEquals([server.requests.length, server.to("/token").length], [1003, 2]);
  assertEquals(await auth.accessToken(), secret("AT2"));
  assertEquals(events.filter(({ type }) => type === "login_succeeded").length, 1);
});

test("Auth uses a stored token without a request to the authorization server", async () => {
  const { api, device, server, storage } = world();
  await store(storage, 10);
  const auth = device();
  await auth.ensureInitialized();
  assertEquals((await api(auth)).status, 200);
  assertEquals(server.requests.map(({ path }) => path), ["/data/v1/searches"]);
  assertEquals(server.requests[0]!.headers.get("authorization"), `Bearer ${secret("AT0")}`);
});

test("Auth with saveStateToStorage false touches no store, and shares no state", async () => {
  const { m2m, server, storage } = world();
  const options = { saveStateToStorage: false };
  await m2m(options).accessToken();
  await m2m(options).accessToken();
  assertEquals(server.to("/token").length, 2);
  assertEquals(await storage.exists(".planet/service/token.json"), false);
  assertEquals((await m2m(options).explain()).storage, "memory");
});

test("Auth writes auth_client.json with the first token, as Python does", async () => {
  const { device, storage } = world();
  const auth = device();
  const key = ".planet/app/auth_client.json";
  assertEquals(await storage.exists(key), false);
  await auth.userLogin({ ui: { show: () => {} } });
  assertEquals(await storage.load(key), {
    _comment: "OIDC/OAuth server used by Planet Public API endpoints",
    audiences: ["https://api.fake.test/"],
    auth_server: "https://auth.fake.test",
    client_id: "App",
    client_type: "oidc_device_code",
    scopes: ["planet", "offline_access"],
  });
});

test("Auth writes redirect URIs and service accounts into auth_client.json as Python does", async () => {
  const { m2m, options, storage } = world();
  const secret = ".planet/service/auth_client.json";
  await m2m({ saveClientSecret: true }).accessToken();
  assertEquals(await storage.load(secret), {
    _comment: "OIDC/OAuth server used by Planet Public API endpoints",
    _hidden: true,
    audiences: ["https://api.fake.test/"],
    auth_server: "https://auth.fake.test",
    client_id: "Service",
    client_secret: SECRET,
    client_type: "oidc_client_credentials_secret",
    scopes: [],
  });
  const auth = Auth.fromOAuthUserAuthCode({
    clientId: "web",
    callbackUrl: "http://127.0.0.1:0/cb",
    ...options,
  });
  await assertRejects(() => auth.ensureInitialized(), AuthError);
  assertEquals(await storage.exists(".planet/web/auth_client.json"), false);
});

test("Auth keeps the client secret out of a store that is not shared with the command line", async () => {
  const { m2m, storage } = world();
  await m2m().accessToken();
  const stored = await storage.load(".planet/service/auth_client.json");
  assertEquals([stored?.client_id, stored?.client_secret], ["Service", undefined]);
});

test("Auth keeps members of auth_client.json that it does not know, and puts an unreadable one aside", async () => {
  const { m2m, storage } = world();
  const key = ".planet/service/auth_client.json";
  await storage.save(key, {
    organization: "org",
    client_id: "Service",
    client_secret: secret("other"),
  });
  await m2m().accessToken();
  const stored = await storage.load(key);
  assertEquals([stored?.organization, stored?.client_secret], ["org", secret("other")]);
});

test("Auth refuses to renew a session that another client or server made", async () => {
  for (const other of [{ client_id: "other" }, { auth_server: "https://elsewhere.test" }]) {
    const { device, server, storage } = world();
    await store(storage, 100);
    await storage.save(".planet/app/auth_client.json", other);
    assertEquals(await codeOf(device().accessToken()), "login_required");
    assertEquals(server.to("/token").length, 0);
  }
});

const INITIALIZED: readonly [string, number | undefined, JsonObject, boolean][] = [
  ["nothing is stored", undefined, {}, false],
  ["a valid token", 10, {}, true],
  ["a token past 3/4 of its life", 80, {}, true],
  ["an expired token with a refresh token", 100, {}, true],
  ["an expired token without a refresh token", 100, { refresh_token: "" }, false],
  ["only a refresh token", 0, { access_token: "" }, true],
  ["a token without expiry", 0, { _exp: "" }, true],
  ["rubbish", 0, { access_token: "", refresh_token: "" }, false],
];

for (const [what, age, more, expected] of INITIALIZED) {
  test(`Auth.isInitialized() with ${what}: ${expected}, without any request`, async () => {
    const { device, server, storage } = world();
    if (age !== undefined) await store(storage, age, more);
    assertEquals(await device().isInitialized(), expected);
    assertEquals(server.requests.length, 0);
  });
}

test("Auth.isInitialized() is true for service accounts and keys, and false for a dead session", async () => {
  const { device, m2m, options, storage } = world({ token: ["invalid_grant"] });
  assertEquals(await m2m().isInitialized(), true);
  assertEquals(await Auth.fromKey(secret("k"), options).isInitialized(), true);
  await store(storage, 100);
  const auth = device();
  assertEquals(await codeOf(auth.accessToken()), "session_expired");
  assertEquals([await auth.isInitialized(), await device().isInitialized()], [false, false]);
});

test("Auth.ensureInitialized() renews an expired session, and asks nobody where the network fails", async () => {
  const { device, server, storage } = world();
  await store(storage, 100);
  await device().ensureInitialized();
  assertEquals(server.to("/token").length, 1);

  const offline = world({ token: [new TypeError("reset")] });
  await store(offline.storage, 100);
  const shown: string[] = [];
  const login = { allowTtyPrompt: true, ui: { show: (message: string) => shown.push(message) } };
  assertEquals(await codeOf(offline.device().ensureInitialized(login)), "network");
  assertEquals(shown, []);
});

test("Auth.ensureInitialized() ends in time although the store or the server never answers", async () => {
  const deaf = world();
  deaf.storage.load = () => new Promise(() => {});
  const silent = world();
  await store(silent.storage, 100);
  const held = Promise.withResolvers<void>();
  const fetch: SessionOptions["fetch"] = async (input, init) => {
    if (String(input).endsWith("/token")) await held.promise;
    return await silent.server.fetch(input, init);
  };
  const ui = { show: () => {} };
  const slow = silent.device({ fetch });
  for (const auth of [deaf.device(), slow]) {
    const long = new AbortController();
    const other = auth.ensureInitialized({ timeoutMs: 60_000, ui, signal: long.signal });
    other.catch(() => {});
    assertEquals(await codeOf(auth.ensureInitialized({ timeoutMs: 50, ui })), "login_timeout");
    long.abort(new AuthError("login_cancelled", "Enough."));
    assertEquals(await codeOf(other), "login_cancelled", "The other one had waited on.");
  }
  held.resolve();
  await slow.settled();
});

test("Auth.ensureInitialized() without leave to ask tells why a person is needed", async () => {
  const { device, storage } = world({ token: ["invalid_grant"] });
  assertEquals(await codeOf(device().ensureInitialized()), "login_required");
  await store(storage, 100);
  assertEquals(await codeOf(device().ensureInitialized()), "session_expired");
  await store(storage, 0, { access_token: "", refresh_token: "" });
  assertEquals(await codeOf(device().ensureInitialized()), "storage_corrupt");
});

test("Auth.ensureInitialized() signs in where the session is missing, dead or unreadable", async () => {
  for (const state of ["missing", "dead", "unreadable"]) {
    const { device, events, server, storage } = world();
    if (state === "dead") await store(storage, 100);
    if (state === "unreadable") await store(storage, 0, { access_token: "", refresh_token: "" });
    server.options.token = ({ form }) =>
      form.get("grant_type") === "refresh_token"
        ? "invalid_grant"
        : { access_token: secret("NEW"), token_type: "Bearer" };
    const auth = device();
    const login = { ui: { show: () => {} } };
    await Promise.all([auth.ensureInitialized(login), auth.ensureInitialized(login)]);
    assertEquals(server.to("/device").length, 1, "one login for both");
    assertEquals(await auth.accessToken(), secret("NEW"));
    assertEquals(events.at(-1)?.type, "login_succeeded");
    assertEquals(await storage.exists(".planet/app/token.json.corrupt"), state === "unreadable");
  }
});

test("Auth.ensureInitialized() does nothing for a service account: it signs in when it is used", async () => {
  const { m2m, server } = world();
  await m2m().ensureInitialized();
  assertEquals(server.requests.length, 0);
});

test("Auth.userLogin() needs leave to reach the person", async () => {
  const { device, server } = world();
  assertEquals(await codeOf(device().userLogin()), "invalid_argument");
  assertEquals(server.requests.length, 0);
});

test("Auth.userLogin(): who gives up does not end the login of the others", async () => {
  const asked = Promise.withResolvers<void>();
  const { device, server } = world();
  let polls = 0;
  server.options.token = () => {
    if (++polls === 1) asked.resolve();
    return polls < 20
      ? "authorization_pending"
      : { access_token: secret("NEW"), token_type: "Bearer" };
  };
  const auth = device();
  const stop = new AbortController();
  const ui = { show: () => {} };
  const gone = auth.userLogin({ ui, signal: stop.signal });
  const stays = auth.userLogin({ ui });
  await asked.promise;
  stop.abort(new Error("enough"));
  assertEquals((await gone.catch((error) => error)).message, "enough");
  await stays;
  assertEquals(await auth.accessToken(), secret("NEW"));
});

test("Auth: of many programs that need a login at once, one asks and the others adopt its session", async () => {
  const { device, server } = world();
  const shown: string[] = [];
  const ui = { show: (message: string) => shown.push(message) };
  const auths = Array.from({ length: 10 }, () => device());
  await Promise.all(auths.map((auth) => auth.ensureInitialized({ ui })));
  assertEquals(server.to("/device").length, 1);
  const told = (what: RegExp) => shown.filter((text) => what.test(text)).length;
  const counts = [/open this page/, /^Signed in: /, /^Signed in by another program: /];
  assertEquals(counts.map(told), [1, 1, 9]);
  const tokens = await Promise.all(auths.map((auth) => auth.accessToken()));
  assertEquals(new Set(tokens), new Set([secret("AT1")]));
});

test("Auth.userLogin() ends when its time is over", async () => {
  const { options } = world({ token: ["authorization_pending"] });
  const auth = Auth.fromOAuthUserDeviceCode({ clientId: "app", ...options, clock: undefined });
  const work = auth.userLogin({ ui: { show: () => {} }, timeoutMs: 20 });
  assertEquals(await codeOf(work), "login_timeout");
});

test("Auth.deviceUserLoginInitiate() and …Complete() work across processes", async () => {
  const { device, server, storage } = world();
  const info = await device().deviceUserLoginInitiate();
  assertEquals([info.user_code, info.verification_uri], ["ABCD-EFGH", `${server.issuer}/activate`]);
  const other = device();
  await other.deviceUserLoginComplete(JSON.parse(JSON.stringify(info)));
  assertEquals(await other.accessToken(), secret("AT1"));
  assertEquals((await storage.load(".planet/app/token.json"))?.refresh_token, secret("RT1"));
});

test("Auth.deviceUserLogin…() checks flow and argument before anything is sent", async () => {
  const { device, m2m, server } = world();
  assertEquals(await codeOf(m2m().deviceUserLoginInitiate()), "invalid_argument");
  for (const info of [undefined, {}, { device_code: "D" }, { device_code: "D", expires_in: -1 }]) {
    await assertRejects(() => device().deviceUserLoginComplete(info as never), TypeError);
  }
  assertEquals(server.requests.length, 0);
});

test("Auth.fetch renews once where the API answers 401, and repeats the request", async () => {
  const { api, m2m, server } = world();
  server.options.api = ({ headers }) =>
    new FakeResponse(headers.get("authorization") === `Bearer ${secret("AT1")}` ? 401 : 200);
  const auth = m2m();
  const answers = await Promise.all([api(auth), api(auth), api(auth)]);
  assertEquals(answers.map(({ status }) => status), [200, 200, 200]);
  assertEquals(server.to("/token").length, 2);
});

test("Auth.fetch sends no token to an origin outside the allow-list", async () => {
  const { m2m, server } = world();
  assertEquals(await codeOf(m2m().fetch("https://evil.test/")), "untrusted_origin");
  assertEquals(server.requests.length, 0);
});

test("Auth.fromKey() sends the key as Planet wants it, keeps nothing, and has no token", async () => {
  const { api, options, server } = world();
  const auth = Auth.fromKey(secret("the-key"), options);
  await api(auth);
  assertEquals(server.requests[0]!.headers.get("authorization"), `api-key ${secret("the-key")}`);
  assertEquals(await codeOf(auth.accessToken()), "invalid_argument");
  assertEquals((await auth.explain()).flow, "api_key");
});

test("Auth.logout() revokes the refresh token, forgets the session, and tells", async () => {
  const { device, events, server, storage } = world();
  await store(storage, 0);
  const auth = device();
  await auth.accessToken();
  await auth.logout();
  const { token, token_type_hint } = Object.fromEntries(server.to("/revoke")[0]!.form);
  assertEquals([token, token_type_hint], [secret("RT0"), "refresh_token"]);
  assertEquals(await storage.exists(".planet/app/token.json"), false);
  assertEquals(await codeOf(auth.accessToken()), "login_required");
  assertEquals(events.filter(({ type }) => type === "logged_out"), [
    { type: "logged_out", profileName: "app", revoked: true },
  ]);
});

test("Auth.logout() forgets the session even where the server cannot be told", async () => {
  const { device, events, storage } = world({ revoke: [new TypeError("reset")] });
  await store(storage, 0);
  assertEquals(await codeOf(device().logout()), "network");
  assertEquals(await storage.exists(".planet/app/token.json"), false);
  assertEquals(events.at(-1), { type: "logged_out", profileName: "app", revoked: false });
});

test("Auth.explain() tells how the session stands, without a secret and without network", async () => {
  const { device, server, storage } = world();
  await store(storage, 80, { scope: "planet" });
  assertEquals(await device().explain(), {
    profileName: "app",
    chosenBy: "the program",
    overrode: [],
    notes: [],
    settings: "arguments",
    flow: "device_code",
    clientType: "oidc_device_code",
    clientId: "App",
    authServer: server.issuer,
    storage: "custom",
    durable: false,
    storageReason: "storageProvider was given",
    tokenKey: ".planet/app/token.json",
    state: "refresh_due",
    issuedAt: START - 80_000,
    expiresAt: START + 20_000,
    canRefresh: true,
    scope: "planet",
  });
  assertEquals(server.requests.length, 0);
});

test("Auth shows no secret in JSON, by its members, or in events", async () => {
  const { device, events, m2m, storage } = world();
  await store(storage, 100, {
    access_token: secret("SECRET-AT"),
    refresh_token: secret("SECRET-RT"),
  });
  const auths = [m2m(), device(), Auth.fromKey(secret("SECRET-key"))];
  await Promise.all(auths.slice(0, 2).map((auth) => auth.accessToken()));
  for (const auth of auths) {
    const shown = JSON.stringify([auth, await auth.explain(), Object.entries(auth), events]);
    assert(!shown.includes("SECRET"), shown);
  }
});
