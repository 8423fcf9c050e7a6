import { assert, assertEquals, assertMatch } from "@std/assert";
import { Auth } from "../../lib/auth.ts";
import { AuthError } from "../../lib/errors.ts";
import type { SessionReport } from "../../lib/report.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import {
  type Call,
  callsOf,
  type Flow,
  FLOWS,
  flowsOf,
  inWorld,
  outcome,
  sentText,
  STORES,
  tokens,
  WITH_PERSON,
  type World,
} from "./_world.ts";

/** A session that somebody else stored, and how a message calls its owner. */
interface Foreign {
  readonly client: JsonObject;
  readonly token: JsonObject;
  readonly words: RegExp;
}

const OTHER_SERVER = "https://auth.other.test";
const THEIRS = {
  client_type: "oidc_client_credentials_secret",
  client_id: "their-client",
  client_secret: secret("their-client-secret"),
  audiences: [],
  scopes: ["planet", "offline_access"],
};

/** Sessions that are not ours. */
const FOREIGN: Readonly<Record<string, (world: World) => Foreign>> = {
  "another client": ({ server }) => ({
    client: { ...THEIRS, auth_server: server.issuer },
    token: tokens("theirs"),
    words: /client their-client at https:\/\/auth\.fake\.test/,
  }),
  "another client, expired": ({ server }) => ({
    client: { ...THEIRS, auth_server: server.issuer },
    token: tokens("theirs", 7_200),
    words: /their-client/,
  }),
  "another server": () => ({
    client: { ...THEIRS, client_id: "our-client", auth_server: OTHER_SERVER },
    token: tokens("theirs"),
    words: /client our-client at https:\/\/auth\.other\.test/,
  }),
  "an API key": () => ({
    client: { client_type: "static_apikey", api_key: secret("their-key") },
    token: { api_key: secret("their-key") },
    words: /API key/,
  }),
};

/** Codes of what a person's client is told; `undefined`: no error. */
const TOLD: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "accessToken()",
    "accessToken({ forceRefresh: true })",
    "fetch()",
    "ensureInitialized()",
    "introspect()",
    "validateIdToken()",
  ].map((call) => [call, "login_required"]),
);

/** What a service account is told: it never had a refresh token, nor an ID token. */
const SERVICE_TOLD: typeof TOLD = {
  "introspect()": "login_required",
  "validateIdToken()": "login_required",
};

/** What signs a service account in. */
const USES = ["accessToken()", "accessToken({ forceRefresh: true })", "fetch()", "userLogin()"];

async function checkForeign(
  world: World,
  flow: Flow,
  foreign: Foreign,
  [name, call]: [string, Call],
): Promise<void> {
  const { events, seed, server, stored } = world;
  const profile = crypto.randomUUID();
  const auth = await flow.make(world, profile);
  const seeded = {
    auth_client: foreign.client,
    token: foreign.token,
    refresh_state: { issuer: server.issuer, signed_in: "theirs" },
  };
  await seed(profile, seeded);
  events.length = server.requests.length = 0;

  const came = await outcome(call.run(auth, world));
  const told = (flow.isService ? SERVICE_TOLD : TOLD)[name];
  assertEquals(came instanceof AuthError ? came.code : undefined, told, name);
  if (came instanceof AuthError) assertMatch(came.message, foreign.words);
  if (name === "isInitialized()") assertEquals(came, flow.isService);
  if (name === "explain()") {
    const { expiresAt, notes, state } = came as SessionReport;
    assertEquals([state, expiresAt], ["none", undefined]);
    assertMatch(notes.join(), foreign.words);
  }
  const sent = sentText(server);
  for (const theirs of Object.values({ ...foreign.client, ...foreign.token })) {
    const isSecret = typeof theirs === "string" && theirs.includes("cAnAry");
    assert(!isSecret || !sent.includes(theirs), `${name} sent another's secret`);
  }
  assertEquals(server.to("/revoke"), []);

  const after = await stored(profile);
  const signsIn = flow.isService ? USES.includes(name) : call.signsIn === true;
  if (!signsIn) {
    assertEquals(after, seeded, `${name} touched another's session`);
    assert(events.every(({ type }) => type === "refresh_failed"), name);
    return;
  }
  const { auth_client, token } = after;
  assertEquals([after["auth_client.replaced"], after["token.replaced"]], [
    foreign.client,
    foreign.token,
  ]);
  assertEquals(token?.access_token, await auth.accessToken());
  const { client_id, client_secret, auth_server, client_type, mine } = flow.client(world);
  assertEquals([auth_client?.client_id, auth_client?.auth_server, auth_client?.client_type], [
    client_id,
    auth_server,
    client_type,
  ]);
  // Of a client that was read from the store, everything is put back; nothing is theirs.
  const isProfile = (await auth.explain()).settings.startsWith(".planet/");
  if (isProfile) {
    assertEquals([auth_client?.client_secret, auth_client?.mine], [client_secret, mine]);
  }
  assert(auth_client?.client_secret !== THEIRS.client_secret && auth_client?.api_key === undefined);
  assertEquals(events.find(({ type }) => type === "session_set_aside"), {
    type: "session_set_aside",
    profileName: profile,
    reason: "other_client",
  });
}

for (const [flowName, flow] of Object.entries(FLOWS)) {
  for (const store of Object.keys(STORES)) {
    if (store === "encrypted, in clear before") continue;
    test(`Owner: another's session does not exist for ${flowName}, in ${store}`, () =>
      inWorld(store, async (world) => {
        const kinds = Object.keys(FOREIGN);
        for (const [number, call] of callsOf(flowName).entries()) {
          // Each call meets each kind in one store, and one after the other in the rest.
          const met = store === "memory" ? kinds : [kinds[number % kinds.length]!];
          for (const kind of met) await checkForeign(world, flow, FOREIGN[kind]!(world), call);
        }
      }));
  }
}

/** Runs `body` once in every kind of store. */
function inEveryStore(rule: string, body: (world: World) => Promise<void>): void {
  for (const store of Object.keys(STORES)) {
    test(`Owner: ${rule}, in ${store}`, () => inWorld(store, body));
  }
}

inEveryStore(
  "scopes that were not asked for are told, and a person is asked again",
  async (world) => {
    for (const [name, flow] of flowsOf(false)) {
      // What a profile asks for is what was asked for.
      if (name === "a person's profile") continue;
      const { events, seed, server, stored } = world;
      const profile = crypto.randomUUID();
      const client = { ...flow.client(world), scopes: ["planet"], mine: 1 };
      await seed(profile, { auth_client: client, token: tokens("narrow", 0, { mine: 2 }) });
      const auth = await flow.make(world, profile);
      const error = await outcome(auth.accessToken()) as AuthError;
      assertEquals(error.code, "login_required");
      assertMatch(error.message, /not asked for the scope offline_access/);
      assertEquals(await auth.isInitialized(), false);
      assertMatch((await auth.explain()).notes.join(), /offline_access/);
      events.length = server.requests.length = 0;
      await auth.ensureInitialized(WITH_PERSON);
      assert(!sentText(server).includes(secret("RT-narrow")), name);
      const { auth_client, token, ...rest } = await stored(profile);
      assertEquals([auth_client?.scopes, auth_client?.mine], [["planet", "offline_access"], 1]);
      assertEquals([token?.access_token, token?.mine], [await auth.accessToken(), 2]);
      assertEquals(Object.keys(rest).filter((name) => /replaced|corrupt/.test(name)), []);
      assert(events.every(({ type }) => type !== "session_set_aside"));
    }
  },
);

inEveryStore("logout() ends a session of our own that lacks a scope", async (world) => {
  const flow = FLOWS["device code"]!;
  const client = { ...flow.client(world), scopes: ["planet"] };
  await world.seed("p", { auth_client: client, token: tokens("narrow") });
  const auth = await flow.make(world, "p");
  await auth.logout();
  assertEquals(world.server.to("/revoke").map(({ form }) => form.get("token")), [
    secret("RT-narrow"),
  ]);
  assertEquals((await world.stored("p")).token?.access_token, undefined);
});

inEveryStore("a service account whose scopes grew signs in again", async (world) => {
  const flow = FLOWS["service account"]!;
  await (await flow.make(world, "p")).accessToken();
  const grown = await flow.make(world, "p", { requestedScopes: ["planet"] } as never);
  assertEquals(await grown.accessToken(), secret("AT2"));
  const same = await flow.make(world, "p", { requestedScopes: ["planet"] } as never);
  assertEquals(await same.accessToken(), secret("AT2"));
  assertEquals((await world.stored("p")).auth_client?.scopes, ["planet"]);
});

inEveryStore(
  "these are our own: fewer scopes, fewer granted, a slash, no client",
  async (world) => {
    const { seed, server } = world;
    const more = ["planet", "offline_access", "openid"];
    const OWN: Readonly<Record<string, (client: JsonObject) => JsonObject | undefined>> = {
      "more was asked for": (client) => ({ ...client, scopes: more }),
      "less was granted": (client) => client,
      "a slash at the end": (client) => ({ ...client, auth_server: `${server.issuer}/` }),
      "no scopes noted": ({ scopes: _, ...client }) => client,
      "nobody wrote a client": () => undefined,
    };
    for (const [name, flow] of flowsOf(false)) {
      for (const [what, change] of Object.entries(OWN)) {
        const [profile, own] = [crypto.randomUUID(), change(flow.client(world))];
        const auth = await flow.make(world, profile);
        await seed(profile, {
          ...(own === undefined ? {} : { auth_client: own }),
          token: tokens("ours", 0, { scope: "planet" }),
        });
        assertEquals(await auth.accessToken(), secret("AT-ours"), `${name}, ${what}`);
        assertEquals(await auth.isInitialized(), true);
      }
    }
    assertEquals(server.requests, []);
  },
);

inEveryStore("nothing of another's client gets into ours, readable or not", async (world) => {
  const flow = FLOWS["device code"]!;
  const { seed, spoil, stored } = world;
  const theirs = { ...THEIRS, auth_server: OTHER_SERVER };
  for (const token of ["unreadable", "none"]) {
    await seed(token, { auth_client: theirs });
    if (token === "unreadable") await spoil(`.planet/${token}/token.json`);
    const auth = await flow.make(world, token);
    const error = await outcome(auth.accessToken()) as AuthError;
    assertEquals(error.code, "login_required");
    await auth.userLogin(WITH_PERSON);
    const { auth_client, ...rest } = await stored(token);
    assertEquals([auth_client?.client_id, auth_client?.client_secret], ["our-client", undefined]);
    assertEquals(rest["auth_client.replaced"], theirs);
  }
  assertEquals(world.events.filter(({ type }) => type === "session_set_aside").length, 2);
});

inEveryStore("a session that another took the place of ends with its token", async (world) => {
  for (const [name, flow] of Object.entries(FLOWS)) {
    const { clock, seed, server, stored } = world;
    const profile = crypto.randomUUID();
    const auth = await flow.make(world, profile);
    const age = (clock.now() - 1_700_000_000_000) / -1000;
    await seed(profile, { auth_client: flow.client(world), token: tokens("ours", age) });
    assertEquals(await auth.accessToken(), secret("AT-ours"));
    const theirs = { ...THEIRS, auth_server: OTHER_SERVER };
    await seed(profile, { auth_client: theirs, token: tokens("theirs", age) });
    server.requests.length = 0;
    if (name === "authorization code") {
      // What is ours ends, theirs stays.
      await auth.logout();
      assertEquals(server.to("/revoke").map(({ form }) => form.get("token")), [secret("RT-ours")]);
      assertEquals((await stored(profile)).token?.access_token, secret("AT-theirs"));
    }
    clock.advance(3_600_000);
    const came = await outcome(auth.accessToken());
    if (flow.isService) assertMatch(String(came), /~AT\d+~/);
    else assertEquals((came as AuthError).code, "login_required");
    assert(!/[AR]T-theirs/.test(sentText(server)), name);
  }
});

test("Owner: an address with a password in it is told without it", async () => {
  await inWorld("memory", async (world) => {
    const password = secret("password");
    const auth_server = `https://user:${password}@auth.other.test/`;
    await world.seed("p", { auth_client: { ...THEIRS, auth_server }, token: tokens("theirs") });
    const auth = await FLOWS["device code"]!.make(world, "p");
    const error = await outcome(auth.accessToken()) as AuthError;
    assertMatch(error.message, /at https:\/\/auth\.other\.test\/\./);
  });
});

test("Owner: a device login that has only begun leaves another's objects alone", async () => {
  await inWorld("memory", async (world) => {
    const discovery = { read_from: OTHER_SERVER, read_at: 1 };
    const theirs = {
      auth_client: { ...THEIRS, auth_server: OTHER_SERVER },
      token: tokens("theirs"),
    };
    await world.seed("p", { ...theirs, discovery } as never);
    const auth = await FLOWS["device code"]!.make(world, "p");
    await auth.deviceUserLoginInitiate();
    assertEquals(await world.stored("p"), { ...theirs, discovery });
  });
});

test("Owner: two clients of one profile in one process never get each other's token", async () => {
  await inWorld("memory", async (world) => {
    const flow = FLOWS["service account"]!;
    const auths = await Promise.all(
      ["one", "two"].map((clientId) => flow.make(world, "p", { clientId } as never)),
    );
    const got = [new Set<string>(), new Set<string>()];
    for (let round = 0; round < 5; round++) {
      const came = await Promise.all(auths.map((auth) => auth.accessToken()));
      came.forEach((token, index) => got[index]!.add(token));
      world.clock.advance(3_600_000);
    }
    assertEquals(got[0]!.intersection(got[1]!).size, 0);
    const asked = world.server.to("/token").map(({ headers }) => headers.get("authorization"));
    assertEquals(asked.length, 10);
  });
});

test("Owner: a profile and a constructor of one client share one session", async () => {
  await inWorld("memory", async (world) => {
    const made = await FLOWS["device code"]!.make(world, "p");
    await made.userLogin(WITH_PERSON);
    const profile = await FLOWS["a person's profile"]!.make(world, "p");
    assertEquals(await profile.accessToken(), await made.accessToken());
    world.clock.advance(3_600_000);
    const [one, two] = await Promise.all([profile.accessToken(), made.accessToken()]);
    assertEquals([one, world.server.to("/token").length], [two, 2]);
  });
});

for (const store of ["memory", "files"]) {
  test(`Owner: a profile of no file gets a client beside its tokens, without the secret: ${store}`, () =>
    inWorld(store, async (world) => {
      const { options, seed, server, stored } = world;
      const theirs = {
        auth_client: { ...THEIRS, auth_server: OTHER_SERVER },
        token: tokens("theirs"),
      };
      const clientSecret = secret("of-the-environment");
      const service = await Auth.fromUserDefaultSession({
        ...options,
        clientId: "our-client",
        clientSecret,
      });
      const person = await Auth.fromProfile("planet-user", options);
      for (const auth of [service, person]) {
        const { profileName } = auth;
        await seed(profileName, theirs);
        if (auth === person) await auth.ensureInitialized(WITH_PERSON);
        const token = await auth.accessToken();
        const { auth_client, ...rest } = await stored(profileName);
        assertEquals([rest["auth_client.replaced"], rest["token.replaced"]], [
          theirs.auth_client,
          theirs.token,
        ]);
        assertEquals([rest.token?.access_token, auth_client?.auth_server], [token, server.issuer]);
        assertEquals([auth_client?.client_id, auth_client?.client_secret], [
          (await auth.explain()).clientId,
          undefined,
        ]);
      }
      assert(!sentText(server).includes("T-theirs"));
    }));
}
