import { assert, assertEquals, assertRejects } from "@std/assert";
import { Auth } from "../../lib/auth.ts";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient, type OAuthClientOptions } from "../../lib/oauth/client.ts";
import type { MetadataStore } from "../../lib/oauth/server_metadata.ts";
import { MemoryStorage } from "../../lib/storage/memory.ts";
import type { JsonObject } from "../../lib/storage/types.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { FakeResponse, fakeServer, type FakeServerOptions } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

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
  /** One process of a service account; the answer counts the requests of its sign-in. */
  const signIn = async (more: Partial<OAuthClientOptions> = {}): Promise<string> => {
    const before = server.requests.length;
    const client = new OAuthClient({
      issuer: server.issuer,
      clientId: "app",
      clientSecret: "SECRET",
      scopes: [],
      fetch: server.fetch,
      clock,
      metadata,
      ...more,
    });
    await client.clientCredentials();
    return server.requests.slice(before)
      .map(({ path }) => path.startsWith("/.well-known/") ? "discovery" : path).join(" ");
  };
  return { clock, kept, metadata, server, signIn };
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

test("OAuthClient asks the server again after an endpoint that was kept failed", async () => {
  let moved = false;
  const { metadata, server, signIn, clock } = world({
    token: () => {
      return moved ? new FakeResponse(404, "gone") : { access_token: "AT", token_type: "Bearer" };
    },
  });
  await signIn();
  moved = true;
  const client = new OAuthClient({
    issuer: server.issuer,
    clientId: "app",
    clientSecret: "SECRET",
    scopes: [],
    fetch: server.fetch,
    clock,
    metadata,
  });
  const count = () => server.requests.filter(({ path }) => path.startsWith("/.well")).length;
  assertEquals(count(), 1);
  await assertRejects(() => client.clientCredentials(), AuthError);
  assertEquals(count(), 1, "the first attempt trusts what is kept");
  moved = false;
  await client.clientCredentials();
  assertEquals(count(), 2);
  await client.clientCredentials();
  assertEquals(count(), 2, "and then no more");
});

test("OAuthClient asks nothing again where the server refuses as the standard has it (RFC 6749 §5.2)", async () => {
  const { server, signIn } = world({ token: ["invalid_client", { access_token: "AT" }] });
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
  const expired = { access_token: "AT0", refresh_token: "RT0", _iat: 1, _exp: 2 };
  await storageProvider.save(".planet/shared/token.json", expired);
  assertEquals((await inNewProcess()).length, 2);
  assertEquals(await inNewProcess(), []);
  clock.advance(3_600_000);
  assertEquals(await inNewProcess(), ["/token"]);
  const keys: string[] = [];
  for await (const key of storageProvider.list(".planet/shared/")) keys.push(key);
  assertEquals(keys.sort(), [".planet/shared/discovery.json", ".planet/shared/token.json"]);
});
