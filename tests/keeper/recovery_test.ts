import { assert, assertEquals, assertMatch } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { Keeper } from "../../lib/keeper/keeper.ts";
import { StoredSession } from "../../lib/keeper/stored_session.ts";
import type { SessionReport } from "../../lib/report.ts";
import { FileStorage } from "../../lib/storage/file.ts";
import { SopsStorage } from "../../lib/storage/sops.ts";
import type { JsonObject, ObjectStorageProvider } from "../../lib/storage/objects.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeAnswer, FakeResponse } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import {
  allMethods,
  callsOf,
  codeOf,
  fiveMethods,
  type Flow,
  FLOWS,
  flowsOf,
  inWorld,
  keyOf,
  outcome,
  sentText,
  STORES,
  tokens,
  WITH_PERSON,
  type World,
} from "./_world.ts";

/** Runs `body` once in every kind of store. */
function inEveryStore(rule: string, body: (world: World) => Promise<void>): void {
  for (const store of Object.keys(STORES)) {
    test(`Recovery: ${rule}, in ${store}`, () => inWorld(store, body));
  }
}

const count = ({ events }: World, type: string) => events.filter((one) => one.type === type).length;

/** What signs a service account in. */
const USES = ["accessToken()", "accessToken({ forceRefresh: true })", "fetch()", "userLogin()"];

/** What a person is told if the session cannot be read; a client's own file may be the reason. */
const TOLD = [
  "accessToken()",
  "accessToken({ forceRefresh: true })",
  "fetch()",
  "ensureInitialized()",
  "introspect()",
  "validateIdToken()",
];

for (const [turn, [flowName, flow]] of Object.entries(FLOWS).entries()) {
  inEveryStore(`what cannot be read is set aside for ${flowName}`, async (world) => {
    const { seed, server, spoil, storage, stored } = world;
    for (const [object, spoilt] of (["token", "auth_client"] as const).entries()) {
      for (const [number, [name, call]] of callsOf(flowName).entries()) {
        // A file that is no JSON may be half written: each look takes a tenth of a second. So each
        // call meets each object with one of the flows.
        if (storage instanceof FileStorage && (number + object + turn) % 5 !== 0) continue;
        const where = `${name} with an unreadable ${spoilt}`;
        const profile = crypto.randomUUID();
        const auth = await flow.make(world, profile);
        await seed(profile, { auth_client: flow.client(world), token: tokens("ours") });
        await spoil(keyOf(profile, spoilt));
        const before = await stored(profile);
        world.events.length = server.requests.length = 0;
        const came = await outcome(call.run(auth, world));
        const code = came instanceof AuthError ? came.code : "fine";
        if (flow.isService && USES.includes(name)) assertEquals(code, "fine", where);
        else if (TOLD.includes(name) && !(flow.isService && name === "ensureInitialized()")) {
          assertEquals(code, "storage_corrupt", where);
        } else assertEquals(code, "fine", where);
        if (name === "isInitialized()") assertEquals(came, flow.isService, where);
        if (name === "explain()") assertEquals((came as SessionReport).state, "corrupt", where);
        assert(!/[AR]T-ours/.test(sentText(server)), where);

        const after = await stored(profile);
        const setsAside = name === "logout()" ||
          (flow.isService ? USES.includes(name) : call.signsIn === true);
        if (!setsAside) assertEquals(after, before, where);
        else {
          assert(after[`${spoilt}.corrupt`] !== undefined, where);
          assertEquals(count(world, "session_set_aside"), 1, where);
        }
        if (name === "logout()") assertEquals(after.token, undefined, where);
        else if (setsAside) {
          assertEquals(after.token?.access_token, await auth.accessToken(), where);
          assertEquals(after.auth_client?.client_id, "our-client", where);
        }
      }
    }
  });
}

inEveryStore("tokens that hold rubbish are no session, in every flow", async (world) => {
  const RUBBISH: readonly JsonObject[] = [
    { rubbish: 1 },
    { access_token: 5, refresh_token: null },
    { access_token: "" },
    { access_token: "two\nlines, which no header can hold" },
  ];
  for (const [name, flow] of Object.entries(FLOWS)) {
    for (const [index, token] of RUBBISH.entries()) {
      const profile = crypto.randomUUID();
      const auth = await flow.make(world, profile);
      await world.seed(profile, { auth_client: flow.client(world), token });
      const code = await codeOf(auth.accessToken());
      assertEquals(code, flow.isService ? "fine" : "storage_corrupt", `${name}, ${index}`);
      if (!flow.isService) await auth.ensureInitialized(WITH_PERSON);
      assertEquals(await codeOf(auth.accessToken()), "fine");
      assert((await world.stored(profile))["token.corrupt"] !== undefined);
    }
  }
});

inEveryStore("memories of failures that cannot be read count as nothing", async (world) => {
  for (const [name, flow] of Object.entries(FLOWS)) {
    const profile = crypto.randomUUID();
    const auth = await flow.make(world, profile);
    await world.seed(profile, { auth_client: flow.client(world), token: tokens("ours", 7_200) });
    await world.spoil(keyOf(profile, "refresh_state"));
    await world.spoil(keyOf(profile, "discovery"));
    assertEquals(await codeOf(auth.accessToken()), "fine", name);
  }
});

/** Answers of the token endpoint to a refresh token. */
const REFUSALS: Readonly<Record<string, FakeAnswer>> = {
  invalid_client: new FakeResponse(401, { error: "invalid_client" }),
  unauthorized_client: "unauthorized_client",
  unsupported_grant_type: "unsupported_grant_type",
  invalid_request: "invalid_request",
  invalid_scope: "invalid_scope",
  invalid_token: "invalid_token",
  access_denied: new FakeResponse(403, { error: "access_denied" }),
  login_required: "login_required",
  "an error of its own": "no_such_thing",
  "an unreadable error": new FakeResponse(400, { error: { a: 1 } }),
  "500": new FakeResponse(500, "oops"),
  "503 without Retry-After": new FakeResponse(503),
  "404": new FakeResponse(404, "not here"),
  "403 of a firewall": new FakeResponse(403, "<html>no</html>"),
  "garbage": new FakeResponse(200, "<html>"),
  "no token": {},
};

inEveryStore("a service account signs in whatever its refresh is refused with", async (world) => {
  const { seed, server, stored } = world;
  for (const [name, flow] of flowsOf(true)) {
    for (const [refusal, answer] of Object.entries(REFUSALS)) {
      const profile = crypto.randomUUID();
      const auth = await flow.make(world, profile);
      await seed(profile, { auth_client: flow.client(world), token: tokens("ours", 7_200) });
      server.options.token = ({ form }) =>
        form.get("grant_type") === "refresh_token"
          ? answer
          : { access_token: secret("AT-new"), token_type: "Bearer", expires_in: 3600 };
      server.requests.length = 0;
      assertEquals(await codeOf(auth.accessToken()), "fine", `${name}, ${refusal}`);
      const grants = server.to("/token").map(({ form }) => form.get("grant_type"));
      assertEquals(grants, ["refresh_token", "client_credentials"], refusal);
      assertEquals((await stored(profile)).token?.refresh_token, undefined, refusal);
    }
  }
});

inEveryStore("a service account leaves a server alone that asked for a pause", async (world) => {
  const { seed, server } = world;
  const flow = FLOWS["service account"]!;
  await seed("p", { auth_client: flow.client(world), token: tokens("ours", 7_200) });
  server.options.token = [new FakeResponse(503, "", { "retry-after": "60" })];
  const auth = await flow.make(world, "p");
  const error = await outcome(auth.accessToken()) as AuthError;
  assertEquals(error.retryAt, world.clock.now() + 60_000);
  assertEquals(server.to("/token").length, 1);
});

for (const hasRefreshToken of [false, true]) {
  const what = hasRefreshToken ? "with a refresh token" : "without one";
  test(`Recovery: a rotated secret is in the file after the next renewal, ${what}`, () =>
    inWorld("files", async (world) => {
      const { clock, server, stored } = world;
      const flow = FLOWS["service account"]!;
      let number = 0;
      server.options.token = () => ({
        access_token: secret(`AT-${++number}`),
        token_type: "Bearer",
        expires_in: 3600,
        ...(hasRefreshToken ? { refresh_token: secret("RT") } : {}),
      });
      await (await flow.make(world, "p")).accessToken();
      clock.advance(3_600_000);
      const clientSecret = secret("rotated");
      await (await flow.make(world, "p", { clientSecret } as never)).accessToken();
      const grant = server.to("/token").at(-1)!.form.get("grant_type");
      assertEquals(grant, hasRefreshToken ? "refresh_token" : "client_credentials");
      assertEquals((await stored("p")).auth_client?.client_secret, clientSecret);
    }));
}

/** Ways in which a store fails, over one that works. */
const FAILING: Readonly<
  Record<string, (fail: () => Promise<never>) => Partial<ObjectStorageProvider>>
> = {
  "save()": (fail) => ({ save: fail }),
  "the lock": (fail) => ({ withLock: fail }),
  "save() and rename()": (fail) => ({ save: fail, rename: fail }),
  "all but load()": (fail) => ({ save: fail, rename: fail, delete: fail, withLock: fail }),
  "everything": (fail) => ({
    load: fail,
    save: fail,
    exists: fail,
    rename: fail,
    delete: fail,
    withLock: fail,
  }),
};

/** Errors of stores: of this library's own, and of others. */
const FAULTS: Readonly<Record<string, () => Error>> = {
  "an error of its own": () => new Error("read-only"),
  storage_denied: () => new AuthError("storage_denied", "Let this user write: EROFS."),
};

/** Stores that fail from the beginning, with what lies in them. */
async function failing(
  methods: "all methods" | "five methods",
  how: string,
  fault: () => Error,
  body: (world: World, inner: MemoryStorage) => Promise<void>,
): Promise<void> {
  const inner = new MemoryStorage();
  const make = methods === "all methods" ? allMethods : fiveMethods;
  const broken = FAILING[how]!(() => Promise.reject(fault()));
  if (methods === "five methods") {
    delete broken.delete;
    delete broken.withLock;
  }
  const storage = make(inner, broken);
  await inWorld({ storage, spoil: () => Promise.resolve() }, (world) => body(world, inner));
}

/** What may lie in a store that cannot be written. */
const LYING: Readonly<Record<string, (world: World, flow: Flow) => Record<string, JsonObject>>> = {
  "nothing": () => ({}),
  "an expired session": (world, flow) => ({
    auth_client: flow.client(world),
    token: tokens("ours", 7_200),
  }),
  "another's session": () => ({
    auth_client: { client_id: "theirs", auth_server: "https://auth.other.test" },
    token: tokens("theirs"),
  }),
  "rubbish": () => ({ token: { rubbish: 1 } }),
};

for (const methods of ["all methods", "five methods"] as const) {
  for (const how of Object.keys(FAILING)) {
    if (methods === "five methods" && how === "the lock") continue;
    for (const [fault, makeFault] of Object.entries(FAULTS)) {
      const where = `of ${methods} if ${how} fails with ${fault}`;
      test(`Recovery: a service account goes on in memory in a store ${where}`, async () => {
        for (const what of Object.keys(LYING)) {
          await failing(methods, how, makeFault, async (world, inner) => {
            const { server } = world;
            const flow = FLOWS["service account"]!;
            const lies = LYING[what]!(world, flow);
            for (const [part, value] of Object.entries(lies)) {
              await inner.save(keyOf("p", part), value);
            }
            const auth = await flow.make(world, "p");
            for (const call of ["explain()", "isInitialized()", "ensureInitialized()"]) {
              const [, { run }] = callsOf("service account").find(([name]) => name === call)!;
              assertEquals(await codeOf(run(auth, world)), "fine", `${what}: ${call}`);
            }
            const url = `${server.environment.apiBaseUrl}/data/v1/searches`;
            const all = await Promise.all(Array.from({ length: 20 }, () => auth.accessToken()));
            for (let round = 0; round < 20; round++) {
              all.push(await auth.accessToken());
              await auth.fetch(url);
            }
            assertEquals(new Set(all).size, 1, what);
            assertEquals(server.to("/token").length, 1, what);
            const { notes, state } = await auth.explain();
            assertEquals(state, "valid");
            assertMatch(notes.join(), /the session is not kept/);
            assertEquals(count(world, "session_not_kept"), 1, what);
            // Told once, whether by a sign-in or by a refresh.
            assertEquals(count(world, "login_succeeded") + count(world, "token_refreshed"), 1);
            // Another token, and one more at the end of that one's life.
            await auth.accessToken({ forceRefresh: true });
            await auth.userLogin();
            world.clock.advance(3_600_000);
            const last = await auth.accessToken();
            assert(!all.includes(last), what);
            assertEquals(count(world, "session_not_kept"), 1, what);
            assert(!/[AR]T-theirs/.test(sentText(server)), what);
            await auth.settled();
          });
        }
      });

      test(`Recovery: a person's refresh token is not sent in a store ${where}`, async () => {
        for (const [name, flow] of flowsOf(false)) {
          if (name === "a person's profile" && how === "everything") continue;
          const call = how === "everything" ? "the store" : "accessToken()";
          await failing(methods, how, makeFault, async (world, inner) => {
            const { clock, events, server } = world;
            for (const [part, value] of Object.entries(LYING["an expired session"]!(world, flow))) {
              await inner.save(keyOf("p", part), value);
            }
            // Its client lies there already.
            const seed = () => Promise.resolve();
            const auth = await flow.make({ ...world, seed }, "p");
            const code = fault === "storage_denied" ? "storage_denied" : "storage_failed";
            for (const forceRefresh of [false, true]) {
              assertEquals(
                await codeOf(auth.accessToken({ forceRefresh })),
                code,
                `${name} ${call}`,
              );
              assertEquals(await codeOf(auth.ensureInitialized()), code, `${name} ${call}`);
              clock.advance(60_000);
            }
            assertEquals(server.to("/token").length, 0, name);
            assert(events.every(({ type }) => type === "refresh_failed"));
          });
        }
      });
    }
  }
}

test("Recovery: a store that comes back keeps the session again, and explain() says so", async () => {
  let isBroken = true;
  const inner = new MemoryStorage();
  const save = (key: string, value: JsonObject) =>
    isBroken ? Promise.reject(new Error("full")) : inner.save(key, value);
  for (const storage of [allMethods(inner, { save }), fiveMethods(inner, { save })]) {
    isBroken = true;
    await inWorld({ storage, spoil: () => Promise.resolve() }, async (world) => {
      const { events, server } = world;
      const auth = await FLOWS["service account"]!.make(world, crypto.randomUUID());
      const token = await auth.accessToken();
      isBroken = false;
      await auth.settled();
      assertEquals((await auth.explain()).notes, []);
      assertEquals((await world.stored(auth.profileName)).token?.access_token, token);
      assertEquals(server.to("/token").length, 1);
      assertEquals(events.map(({ type }) => type), [
        "login_started",
        "session_not_kept",
        "login_succeeded",
      ]);
    });
  }
});

test("Recovery: a service account is told that the store it asked for is not there", async () => {
  await inWorld("memory", async ({ clock, server }) => {
    const denied = new AuthError("storage_denied", "There is no store that lasts.");
    const session = new StoredSession({
      profileName: "p",
      client: {
        clientType: "oidc_client_credentials_secret",
        clientId: "c",
        authServer: server.issuer,
        audiences: [],
        scopes: [],
      },
      writesClient: "always",
      open: () => Promise.reject(denied),
      clock,
    });
    const keeper = new Keeper(session, { server: () => Promise.reject(new Error("asked")) });
    for (let call = 0; call < 2; call++) {
      assertEquals(await outcome(Promise.resolve(keeper.accessToken())), denied);
    }
  });
});

inEveryStore("tokens that a store did not take are saved by themselves", async (world) => {
  for (const settles of [false, true]) {
    for (const [name, flow] of flowsOf(false)) {
      const { seed, server, storage, stored } = world;
      let failures = 0;
      const save = (key: string, value: JsonObject) =>
        failures > 0 && key.endsWith("/token.json")
          ? (failures--, Promise.reject(new Error("full")))
          : storage.save(key, value);
      const make = storage.withLock === undefined ? fiveMethods : allMethods;
      const storageProvider = make(storage, { save });
      const profile = crypto.randomUUID();
      const auth = await flow.make(world, profile, { storageProvider });
      await seed(profile, { auth_client: flow.client(world), token: tokens("ours", 7_200) });
      server.options.rotate = true;
      failures = 1;
      server.requests.length = 0;
      assertEquals(await codeOf(auth.accessToken()), "storage_failed", name);
      const isSaved = async () => {
        const { token } = await stored(profile);
        return token?.refresh_token !== secret("RT-ours");
      };
      assertEquals(await isSaved(), false);
      if (settles) await auth.settled();
      for (let waited = 0; waited < 1_500 && !await isSaved(); waited += 20) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assertEquals(await isSaved(), true, name);
      assertEquals(await auth.accessToken(), (await stored(profile)).token?.access_token);
      assertEquals(server.to("/token").length, 1, "the token is spent once");
    }
  }
});

test("Recovery: a sign-in that the store did not take is not asked for again", async () => {
  for (const broken of ["save", "withLock"] as const) {
    const inner = new MemoryStorage();
    let isBroken = false;
    const fails = (key: string) => isBroken && key.endsWith("/token.json");
    const storage = allMethods(inner, {
      save: (key, value) =>
        broken === "save" && fails(key)
          ? Promise.reject(new Error("full"))
          : inner.save(key, value),
      withLock: (key, body, options) =>
        broken === "withLock" && fails(key)
          ? Promise.reject(new Error("full"))
          : inner.withLock(key, body, options),
    });
    await inWorld({ storage, spoil: () => Promise.resolve() }, async (world) => {
      const auth = await FLOWS["device code"]!.make(world, "p");
      isBroken = true;
      assertEquals(await codeOf(auth.userLogin(WITH_PERSON)), "storage_failed");
      isBroken = false;
      assertEquals(await auth.accessToken(), secret("AT1"));
      assertEquals((await world.stored("p")).token?.refresh_token, secret("RT1"));
      assertEquals(world.events.filter(({ type }) => type === "login_succeeded").length, 1);
    });
  }
});

test("Recovery: files that sops cannot decrypt now are left alone; a service account goes on in memory", async () => {
  const { path, remove } = await tempFolder();
  const files = new FileStorage({ root: path });
  const storage = new SopsStorage(files, () => Promise.resolve({ code: 1, output: "" }));
  await inWorld({ storage, spoil: () => Promise.resolve(), close: remove }, async (world) => {
    const [service, person] = [FLOWS["service account"]!, FLOWS["device code"]!];
    for (const part of ["auth_client.sops", "token.sops"]) {
      await files.save(keyOf("p", part), { sealed: 1, sops: {} });
    }
    const auth = await service.make(world, "p");
    assertEquals(await auth.accessToken(), secret("AT1"));
    assertMatch((await auth.explain()).notes.join(), /the session is not kept/);
    assertEquals(await codeOf((await person.make(world, "p")).accessToken()), "storage_failed");
    assertEquals(await files.load(keyOf("p", "token.sops")), { sealed: 1, sops: {} });
    assertEquals(await files.exists(keyOf("p", "token")), false);
  });
});
