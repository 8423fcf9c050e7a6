import { assert, assertEquals, assertMatch } from "@std/assert";
import type { AuthError } from "../../lib/errors.ts";
import type { JsonObject, ObjectStorageProvider } from "../../lib/storage/objects.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeAnswer, FakeResponse, type FakeServerOptions } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import {
  allMethods,
  codeOf,
  fiveMethods,
  FLOWS,
  inWorld,
  keyOf,
  outcome,
  STORES,
  tokens,
  WITH_PERSON,
  type World,
} from "./_world.ts";

/** Methods of a store that fail; of some of them logout() has no need. */
const FAILING: Readonly<Record<string, readonly (keyof ObjectStorageProvider)[]>> = {
  "nothing": [],
  "load()": ["load"],
  "save()": ["save"],
  "exists()": ["exists"],
  "delete()": ["delete"],
  "rename()": ["rename"],
  "the lock": ["withLock"],
  "everything": ["load", "save", "exists", "delete", "rename", "withLock"],
};

/** Whether logout() needs what fails. */
const matters = (how: string, hasAll: boolean) =>
  hasAll
    ? !["nothing", "save()", "rename()"].includes(how)
    : ["load()", "save()", "exists()", "everything"].includes(how);

/** How the server takes a revocation: the code of the error, and what it answers. */
const REVOCATIONS: Readonly<Record<string, [code: string, FakeServerOptions]>> = {
  "is done": ["fine", {}],
  "is not offered": ["fine", { metadata: { revocation_endpoint: undefined } }],
  "does not arrive": ["network", { revoke: [new TypeError("gone") as FakeAnswer] }],
  "fails": ["server_error", { revoke: [new FakeResponse(500)] }],
  "is refused": ["client_rejected", { revoke: ["invalid_client"] }],
};

/** A store whose methods can be made to fail. */
function breakable(hasAll: boolean): {
  inner: MemoryStorage;
  storage: ObjectStorageProvider;
  broken: Set<keyof ObjectStorageProvider>;
} {
  const inner = new MemoryStorage();
  const broken = new Set<keyof ObjectStorageProvider>();
  const over: Record<string, unknown> = {};
  const names = ["load", "save", "exists", "rename", ...(hasAll ? ["delete", "withLock"] : [])];
  for (const name of names as (keyof ObjectStorageProvider)[]) {
    const method = inner[name] as (...args: unknown[]) => Promise<unknown>;
    over[name] = (...args: unknown[]) =>
      broken.has(name) ? Promise.reject(new Error("broken")) : method.apply(inner, args);
  }
  return { inner, storage: (hasAll ? allMethods : fiveMethods)(inner, over), broken };
}

for (const methods of ["all methods", "five methods"]) {
  const hasAll = methods === "all methods";
  for (const [how, failing] of Object.entries(FAILING)) {
    if (!hasAll && ["delete()", "the lock"].includes(how)) continue;
    for (const [revocation, [refusal, fake]] of Object.entries(REVOCATIONS)) {
      const where = `in a store of ${methods} if ${how} fails and the revocation ${revocation}`;
      test(`logout() forgets and revokes, then reports, ${where}`, async () => {
        for (const [name, flow] of Object.entries(FLOWS)) {
          if (name.endsWith("profile") && revocation !== "is done") continue;
          for (const isUsed of [true, false]) {
            const { broken, inner, storage } = breakable(hasAll);
            await inWorld({ storage, spoil: () => Promise.resolve() }, async (world) => {
              const { events, seed, server, stored } = world;
              const auth = await flow.make(world, "p");
              await seed("p", { auth_client: flow.client(world), token: tokens("ours") });
              if (isUsed) await auth.accessToken();
              for (const method of failing) broken.add(method);
              const which = `${name}, ${isUsed ? "used" : "unused"}`;
              const error = await outcome(auth.logout()) as AuthError | undefined;

              // What was never read, and cannot be, cannot be revoked.
              const isKnown = isUsed || !failing.includes("load");
              const isFailing = matters(how, hasAll);
              const code = isFailing ? "storage_failed" : isKnown ? refusal : "fine";
              assertEquals(error?.code ?? "fine", code, which);
              const isAsked = isKnown && revocation !== "is not offered";
              const revoked = server.to("/revoke").map(({ form }) => form.get("token"));
              assertEquals(new Set(revoked), new Set(isAsked ? [secret("RT-ours")] : []), which);
              const revokes = isAsked && refusal === "fine";
              if (isFailing) {
                assertMatch(
                  error!.message,
                  revokes ? /was revoked at the server/ : /this program has forgotten/,
                );
              }
              const told = events.filter(({ type }) => type === "logged_out");
              assertEquals(told, [{ type: "logged_out", profileName: "p", revoked: revokes }]);
              for (const isMended of [false, true]) {
                if (isMended) broken.clear();
                const token = await outcome(auth.accessToken());
                assert(token !== secret("AT-ours"), `${which}: handed out, mended: ${isMended}`);
                if (isMended && !flow.isService) {
                  assertEquals((token as AuthError).code, "login_required", which);
                  assertEquals(await auth.isInitialized(), false);
                }
              }
              assert(!server.to("/token").some(({ form }) => form.has("refresh_token")));
              const left = await inner.load(keyOf("p", "token"));
              const isGone = left?.access_token !== secret("AT-ours");
              if (!isFailing) assert(isGone, which);
              // A new sign-in counts, over whatever was left.
              await auth.userLogin(WITH_PERSON);
              const { token } = await stored("p");
              assert(token?.access_token === await auth.accessToken(), which);
              await auth.settled();
            }, fake);
          }
        }
      });
    }
  }
}

test("logout() of another's session touches nothing, whatever fails", async () => {
  const theirs = {
    auth_client: { client_id: "theirs", auth_server: "https://auth.other.test" },
    token: tokens("theirs"),
  };
  for (const hasAll of [true, false]) {
    for (const [how, failing] of Object.entries(FAILING)) {
      for (const flow of Object.values(FLOWS)) {
        const { broken, inner, storage } = breakable(hasAll);
        await inWorld({ storage, spoil: () => Promise.resolve() }, async (world: World) => {
          const auth = await flow.make(world, "p");
          for (const [part, value] of Object.entries(theirs)) {
            await inner.save(keyOf("p", part), value as JsonObject);
          }
          for (const method of failing) broken.add(method);
          await outcome(auth.logout());
          broken.clear();
          assertEquals(await world.stored("p"), theirs, how);
          assertEquals(world.server.requests, []);
          if (!flow.isService) assertEquals(await codeOf(auth.accessToken()), "login_required");
        });
      }
    }
  }
});

for (const store of Object.keys(STORES)) {
  test(`logout() leaves a session that another program signs in to afterwards: ${store}`, () =>
    inWorld(store, async (world) => {
      const flow = FLOWS["device code"]!;
      const [auth, other] = [await flow.make(world, "p"), await flow.make(world, "p")];
      for (const hasSession of [false, true]) {
        if (hasSession) await world.seed("p", { token: tokens("ours") });
        await auth.logout();
        assertEquals(await codeOf(auth.accessToken()), "login_required");
        await other.userLogin(WITH_PERSON);
        assertEquals(await auth.accessToken(), await other.accessToken());
      }
    }));
}
