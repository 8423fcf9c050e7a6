import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { OAuthClient, type OAuthClientOptions } from "../../lib/oauth/client.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import {
  type FakeAnswer,
  type FakeRequest,
  FakeResponse,
  fakeServer,
} from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const ISSUER = "https://auth.fake.test/realms/one";
const ABSENT = new FakeResponse(404, { error: "invalid_request" });
const OPENID = "/realms/one/.well-known/openid-configuration";
const OAUTH = "/.well-known/oauth-authorization-server/realms/one";

/** A server whose two documents answer like this, and a client of it. */
function world(openid: FakeAnswer, oauth: FakeAnswer, more: Partial<OAuthClientOptions> = {}) {
  const discovery = ({ path }: FakeRequest) => path === OAUTH ? oauth : openid;
  const server = fakeServer({
    discovery,
    api: (request) => request.path === OPENID ? discovery(request) : {},
  });
  const kept: { value?: JsonObject } = {};
  const start = (): OAuthClient =>
    new OAuthClient({
      issuer: ISSUER,
      clientId: "app",
      scopes: [],
      fetch: server.fetch,
      clock: fakeClock({ now: 1_700_000_000_000 }),
      metadata: {
        load: () => Promise.resolve(kept.value),
        save: (value) => Promise.resolve(void (kept.value = JSON.parse(JSON.stringify(value)))),
      },
      ...more,
    });
  const paths = () => server.requests.splice(0).map(({ path }) => path);
  return { kept, paths, server, start };
}

const document = (more: Record<string, unknown> = {}) => ({
  issuer: ISSUER,
  token_endpoint: "https://auth.fake.test/token",
  ...more,
});
const revocation_endpoint = "https://auth.fake.test/revoke";

test("OAuthClient reads the RFC 8414 document if there is no OpenID document, and keeps it", async () => {
  const { paths, start } = world(ABSENT, document({ revocation_endpoint }));
  const client = start();
  await client.clientCredentials();
  assertEquals(paths(), [OPENID, OAUTH, "/token"]);
  assertEquals(await client.canRevoke(), true);
  assertEquals(await start().canRevoke(), true);
  assertEquals(paths(), []);
});

test("OAuthClient looks into the RFC 8414 document for what the OpenID document lacks, once", async () => {
  const { kept, paths, start } = world(
    document({ scopes_supported: ["a"] }),
    document({ token_endpoint: "https://auth.fake.test/other", revocation_endpoint }),
  );
  const client = start();
  await client.clientCredentials();
  assertEquals(paths(), [OPENID, "/token"]);
  await Promise.all([1, 2, 3].map(() => client.revoke(secret("RT"), "refresh_token")));
  assertEquals(paths(), [OAUTH, "/revoke", "/revoke", "/revoke"]);
  const found = { ...document({ scopes_supported: ["a"] }), revocation_endpoint };
  assertEquals(kept.value?.document, found);
  await start().revoke(secret("RT"), "refresh_token");
  assertEquals(paths(), ["/revoke"]);
});

test("OAuthClient asks for the RFC 8414 document once a day, whatever comes of it", async () => {
  const evil = document({ issuer: "https://evil.test", revocation_endpoint });
  for (
    const oauth of [
      ABSENT,
      new FakeResponse(500),
      new FakeResponse(200, "<html>"),
      evil,
      document(),
    ]
  ) {
    const { kept, paths, start } = world(document(), oauth);
    const client = start();
    for (let i = 0; i < 3; i++) assertEquals(await client.canRevoke(), false);
    assertEquals(paths(), [OPENID, OAUTH]);
    assertEquals(kept.value?.document, document());
  }
});

test("OAuthClient believes no RFC 8414 document of another issuer (RFC 8414 §3.3)", async () => {
  const { start } = world(ABSENT, document({ issuer: "https://evil.test" }));
  const error = await assertRejects(() => start().clientCredentials(), AuthError);
  assertEquals(error.code, "issuer_mismatch");
});

test("OAuthClient ends a look-up when the last caller gives up, though fetch ignores signals", async () => {
  const asked: (AbortSignal | null | undefined)[] = [];
  const fetch = (_input: unknown, init?: RequestInit) => {
    asked.push(init?.signal);
    return new Promise<Response>(() => {});
  };
  const client = new OAuthClient({
    issuer: ISSUER,
    clientId: "app",
    scopes: [],
    fetch: fetch as typeof globalThis.fetch,
    clock: fakeClock(),
  });
  const [one, other] = [new AbortController(), new AbortController()];
  const first = client.clientCredentials({ signal: one.signal });
  const second = client.canRevoke(other.signal);
  one.abort("one");
  assertEquals(await first.catch((reason) => reason), "one");
  assertEquals(asked.map((signal) => signal?.aborted), [false]);
  other.abort("other");
  assertEquals(await second.catch((reason) => reason), "other");
  assert(asked[0]?.aborted);
  // What was given up is begun anew, and leaves no timer behind.
  const again = client.canRevoke(AbortSignal.abort("again"));
  assertEquals(await again.catch((reason) => reason), "again");
  assertEquals(asked.length, 2);
});
