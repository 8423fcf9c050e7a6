import { assert, assertEquals, assertRejects } from "@std/assert";
import { Auth } from "../../lib/auth.ts";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient, type OAuthClientOptions } from "../../lib/oauth/client.ts";
import type { MetadataStore } from "../../lib/oauth/server.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import {
  type FakeAnswer,
  FakeResponse,
  fakeServer,
  type FakeServerOptions,
  RESET,
  startFakeServer,
} from "../_support/fake_server.ts";
import { freePort } from "../_support/free_port.ts";
import { test } from "../_support/harness.ts";
import { noteServers } from "../_support/watch.ts";

const DAY_MS = 86_400_000;

/** Two processes with one server and one store between them. */
function world(options: FakeServerOptions = {}) {
  const server = fakeServer(options);
  const clock = fakeClock({ now: 1_700_000_000_000 });
  const kept: { value?: JsonObject } = {};
  const metadata: MetadataStore = {
    load: () => Promise.resolve(kept.value),
    save: (value) => {
      kept.value = JSON.parse(JSON.stringify(value));
      return Promise.resolve();
    },
  };
  /** One process of a service account. */
  const start = (more: Partial<OAuthClientOptions> = {}): OAuthClient =>
    new OAuthClient({
      issuer: server.issuer,
      clientId: "app",
      clientSecret: secret("SECRET"),
      scopes: [],
      fetch: server.fetch,
      clock,
      metadata,
      ...more,
    });
  /** Starts one and signs it in; the answer counts the requests of that. */
  const signIn = async (more: Partial<OAuthClientOptions> = {}): Promise<string> => {
    const before = server.requests.length;
    await start(more).clientCredentials();
    return server.requests.slice(before)
      .map(({ path }) => path.startsWith("/.well-known/") ? "discovery" : path).join(" ");
  };
  return { clock, kept, metadata, server, signIn, start };
}

test("OAuthClient keeps the discovery document: a second process makes one request", async () => {
  const { kept, server, signIn } = world();
  assertEquals(await signIn(), "discovery /token");
  assertEquals(kept.value?.read_at, 1_700_000_000);
  assertEquals(kept.value?.read_from, server.issuer);
  assertEquals(await signIn(), "/token");
});

test("OAuthClient reads the discovery document again after a day, and where the clock was set back", async () => {
  const { clock, signIn } = world();
  await signIn();
  clock.advance(DAY_MS - 1);
  assertEquals(await signIn(), "/token");
  clock.advance(1);
  assertEquals(await signIn(), "discovery /token");
  clock.advance(-DAY_MS);
  assertEquals(await signIn(), "discovery /token");
});

test("OAuthClient uses no document that was kept of another issuer (RFC 8414 §3.3)", async () => {
  const { kept, server, signIn } = world();
  await signIn();
  const { document, read_at } = kept.value!;
  const stolen = { ...document as JsonObject, token_endpoint: "https://evil.test/token" };
  for (
    const value of [
      { read_at, read_from: "https://other.test", document: stolen },
      { read_at, read_from: server.issuer, document: { ...stolen, issuer: "https://other.test" } },
      {
        read_at,
        read_from: server.issuer,
        document: { token_endpoint: "https://evil.test/token" },
      },
      { read_at, read_from: server.issuer, document: [] },
      { read_at, read_from: server.issuer, document: null },
      { read_at: "x", read_from: server.issuer, document: stolen },
      { read_from: server.issuer, document: stolen },
      {},
    ] as JsonObject[]
  ) {
    kept.value = value;
    assertEquals(await signIn(), "discovery /token", JSON.stringify(value));
    assertEquals(kept.value?.document, document);
  }
  assertEquals(server.requests.filter(({ url }) => url.host.includes("evil")), []);
});

/** A second process whose kept document holds an address that gives `old` by now. */
async function afterTheMove(old: FakeAnswer, next: Record<string, unknown> | undefined) {
  const moving = world({
    token: [{ access_token: secret("AT0") }, old],
    api: [{ access_token: secret("AT1"), token_type: "Bearer" }],
  });
  await moving.signIn();
  moving.server.options.metadata = next;
  return moving;
}

const NEW_ADDRESS = { token_endpoint: "https://auth.fake.test/v2/token" };

test("OAuthClient goes at once to where an endpoint of the kept document has moved", async () => {
  const refused = Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
  });
  const unknownName = new TypeError("fetch failed: dns error: failed to lookup address");
  for (
    const old of [
      new FakeResponse(404, "gone"),
      new FakeResponse(404, { error: "not_found" }),
      new FakeResponse(405),
      new FakeResponse(410, {}),
      refused,
      unknownName,
    ]
  ) {
    const { clock, kept, signIn } = await afterTheMove(old, NEW_ADDRESS);
    assertEquals(await signIn(), "/token discovery /v2/token");
    assertEquals((kept.value?.document as JsonObject).token_endpoint, NEW_ADDRESS.token_endpoint);
    assertEquals(await signIn(), "/v2/token");
    assertEquals(clock.waits, []);
  }
});

test("OAuthClient sends nothing again to an address that the server keeps to", async () => {
  const { server, signIn } = await afterTheMove(new FakeResponse(404, "gone"), undefined);
  const { code, message } = await assertRejects(() => signIn(), AuthError);
  assertEquals(code, "malformed_response");
  assert(message.includes("404"), message);
  // Discovery comes after the answer, and finds the same.
  assertEquals(server.requests.slice(2).map(({ path }) => path.slice(0, 12)), [
    "/token",
    "/.well-known",
  ]);
});

test("OAuthClient keeps to the first error where the server cannot say where an endpoint went", async () => {
  const { server, signIn } = await afterTheMove(new FakeResponse(410, "gone"), NEW_ADDRESS);
  server.options.discovery = [new FakeResponse(500)];
  const { message } = await assertRejects(() => signIn(), AuthError);
  assert(message.includes("410"), message);
  assertEquals(server.requests.length, 4);
});

test("OAuthClient sends nothing to another address where the first may have acted on it", async () => {
  const answers: FakeAnswer[] = [
    new FakeResponse(500),
    new FakeResponse(503, ""),
    new FakeResponse(403, "no"),
    new FakeResponse(404, { error: "invalid_client" }),
    new FakeResponse(404, { error: "invalid_grant" }),
    new FakeResponse(308, "", { location: NEW_ADDRESS.token_endpoint }),
    RESET,
  ];
  for (const old of answers) {
    const { server, signIn } = await afterTheMove(old, NEW_ADDRESS);
    await assertRejects(() => signIn(), AuthError);
    assertEquals(server.requests.slice(2).map(({ path }) => path), ["/token"]);
  }
});

test("OAuthClient asks the server again, at the next call, after a kept endpoint failed otherwise", async () => {
  const { server, start } = await afterTheMove(new FakeResponse(500), NEW_ADDRESS);
  const client = start();
  await assertRejects(() => client.clientCredentials(), AuthError);
  assertEquals(server.requests.length, 3);
  await client.clientCredentials();
  await client.clientCredentials();
  const paths = server.requests.slice(3).map(({ path }) => path.split("/").at(-1));
  assertEquals(paths, ["openid-configuration", "token", "token"]);
});

test("OAuthClient goes on where nothing listens any more at a kept address", async () => {
  const server = await startFakeServer();
  try {
    const nowhere = `http://127.0.0.1:${await freePort()}/token`;
    noteServers({ authorization: [server.issuer, nowhere], api: [] });
    const { clock } = world();
    let kept: JsonObject = {
      read_at: clock.now() / 1000,
      read_from: server.issuer,
      document: { issuer: server.issuer, token_endpoint: nowhere },
    };
    const client = new OAuthClient({
      issuer: server.issuer,
      clientId: "app",
      clientSecret: secret("SECRET"),
      scopes: [],
      clock,
      metadata: {
        load: () => Promise.resolve(kept),
        save: (value) => Promise.resolve(void (kept = value)),
      },
    });
    await client.clientCredentials();
    assertEquals(server.requests.map(({ path }) => path.split("/").at(-1)), [
      "openid-configuration",
      "token",
    ]);
    assertEquals((kept.document as JsonObject).token_endpoint, `${server.issuer}/token`);
    assertEquals(clock.waits, []);
  } finally {
    await server.close();
  }
});

test("OAuthClient does not ask again for a document that it has just read", async () => {
  const { server, signIn } = world({ token: [new FakeResponse(404, "gone")] });
  await assertRejects(() => signIn(), AuthError);
  assertEquals(server.requests.length, 2);
});

test("OAuthClient spends a one-time refresh token once, at the new address (RFC 9700 §4.14.2)", async () => {
  const { clock, metadata, server, signIn } = world({
    token: [{ access_token: secret("AT0") }, new FakeResponse(404, "gone")],
    api: [{ access_token: secret("AT1"), token_type: "Bearer", refresh_token: secret("RT1") }],
  });
  await signIn();
  server.options.metadata = NEW_ADDRESS;
  const client = new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    scopes: [],
    fetch: server.fetch,
    clock,
    metadata,
  });
  const stored = { access_token: secret("AT0"), refresh_token: secret("RT0"), _iat: 1, _exp: 2 };
  const before = TokenSet.fromStored(stored, clock.now(), "token.json");
  // Three at once read the document once.
  const renewed = await Promise.all([1, 2, 3].map(() => client.refresh(before)));
  assertEquals(renewed.map(({ refreshToken }) => refreshToken), [
    secret("RT1"),
    secret("RT1"),
    secret("RT1"),
  ]);
  const paths = server.requests.slice(2).map(({ path }) => path.split("/").at(-1));
  assertEquals(paths.filter((path) => path === "openid-configuration").length, 1);
  assertEquals(server.to("/v2/token").length, 3);
  assertEquals(server.to("/v2/token")[0]!.form.get("refresh_token"), secret("RT0"));
});

test("OAuthClient reads the discovery document again after a day in the same process", async () => {
  const { clock, metadata, server } = world();
  const client = new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    clientSecret: secret("SECRET"),
    scopes: [],
    fetch: server.fetch,
    clock,
    metadata,
  });
  const count = () => server.requests.filter(({ path }) => path.startsWith("/.well")).length;
  await client.clientCredentials();
  clock.advance(DAY_MS - 1);
  await client.clientCredentials();
  assertEquals(count(), 1);
  clock.advance(1);
  await client.clientCredentials();
  assertEquals(count(), 2);
  // What is old serves while there is nothing newer.
  server.options.discovery = [new FakeResponse(403)];
  clock.advance(DAY_MS);
  await client.clientCredentials();
  assertEquals(count(), 3);
});

test("OAuthClient asks nothing again where the server refuses as the standard has it (RFC 6749 §5.2)", async () => {
  const { server, signIn } = world({ token: ["invalid_client", { access_token: secret("AT") }] });
  await assertRejects(() => signIn(), AuthError);
  assertEquals(await signIn(), "/token");
  assertEquals(server.requests.length, 3);
});

test("OAuthClient goes on with a store that can neither be read nor written", async () => {
  const broken: MetadataStore = {
    load: () => Promise.reject(new Error("no")),
    save: () => Promise.reject(new Error("no")),
  };
  const { signIn } = world();
  assertEquals(await signIn({ metadata: broken }), "discovery /token");
  assertEquals(await signIn({ metadata: broken }), "discovery /token");
  assert(await signIn() === "discovery /token");
});

test("Auth in a second process asks nothing with a valid token, and once with an expired one", async () => {
  const { clock, server } = world({ rotate: true });
  const storageProvider = new MemoryStorage();
  const inNewProcess = async (): Promise<string[]> => {
    const before = server.requests.length;
    const auth = Auth.fromOAuthUserDeviceCode({
      clientId: "app",
      profileName: "shared",
      environment: server.environment,
      fetch: server.fetch,
      storageProvider,
      clock,
    });
    await auth.accessToken();
    return server.requests.slice(before).map(({ path }) => path);
  };
  const expired = { access_token: secret("AT0"), refresh_token: secret("RT0"), _iat: 1, _exp: 2 };
  await storageProvider.save(".planet/shared/token.json", expired);
  assertEquals((await inNewProcess()).length, 2);
  assertEquals(await inNewProcess(), []);
  clock.advance(3_600_000);
  assertEquals(await inNewProcess(), ["/token"]);
  const keys: string[] = [];
  for await (const key of storageProvider.list(".planet/shared/")) keys.push(key);
  assertEquals(keys.sort(), [".planet/shared/discovery.json", ".planet/shared/token.json"]);
});
