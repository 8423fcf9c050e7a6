/**
 * One session with the Planet SDK for Python and its command line, in both directions.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { Auth, type JsonObject, type SessionOptions } from "../../mod.ts";
import { freePort } from "../_support/free_port.ts";
import { test, type TestOptions } from "../_support/harness.ts";
import { withVariables } from "../_support/variables.ts";
import { writeBrowser } from "../sandbox/browser.ts";
import { approveDevice } from "../sandbox/person.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import {
  type InteropWorld,
  LOOSE,
  PERSON,
  PythonError,
  pythonVariables,
  SKIP_BUT_DENO,
  startProgram,
  withPython,
} from "./python.ts";

const skip = SKIP_BUT_DENO;
const options: TestOptions = {
  ...(skip === undefined ? {} : { skip }),
  breaks: [LOOSE],
  timeoutMs: 90_000,
};

type Flow = "auth_code" | "device_code" | "m2m";
const FLOWS: readonly Flow[] = ["auth_code", "device_code", "m2m"];

/** Our session for a flow, made by its constructor. */
function ourSession(flow: Flow, world: InteropWorld, profileName: string): Auth {
  const { clientId, environment, m2m } = world.sandbox;
  const common: SessionOptions = { environment, profileName, storageProvider: world.storage };
  if (flow === "m2m") return Auth.fromOAuthM2M({ ...m2m, ...common });
  if (flow === "device_code") return Auth.fromOAuthUserDeviceCode({ clientId, ...common });
  const callbackUrl = "http://127.0.0.1:0/cb";
  return Auth.fromOAuthUserAuthCode({ clientId, callbackUrl, ...common });
}

/** What Python's constructors would make of it, for the servers of the sandbox. */
function pythonConfig(flow: Flow, { clientId, environment, m2m }: Sandbox, port = 0): JsonObject {
  const common = {
    _comment: "OIDC/OAuth server used by Planet Public API endpoints",
    audiences: [...environment.audiences],
  };
  const user = {
    ...common,
    auth_server: environment.userAuthServer,
    client_id: clientId,
    scopes: ["planet", "offline_access"],
  };
  if (flow === "device_code") return { ...user, client_type: "oidc_device_code" };
  if (flow === "auth_code") {
    return {
      ...user,
      client_type: "oidc_auth_code",
      redirect_uri: `http://localhost:${port}/cb`,
    };
  }
  return {
    ...common,
    _hidden: true,
    auth_server: environment.m2mAuthServer,
    client_id: m2m.clientId,
    client_secret: m2m.clientSecret,
    client_type: "oidc_client_credentials_secret",
    scopes: [],
  };
}

/** A value of `$BROWSER` that Python does not wait for. */
async function background(home: string): Promise<string> {
  return `${await writeBrowser(home)} %s &`;
}

const searches = ({ sandbox }: InteropWorld) => `${sandbox.url}/data/v1/searches`;

/** Calls the API with one of our sessions. */
async function status(auth: Auth, url: string): Promise<number> {
  const response = await auth.fetch(url);
  await response.body?.cancel();
  return response.status;
}

for (const flow of FLOWS) {
  test(
    `${flow}: what we sign in to, Python and the planet command line use unchanged`,
    async () => {
      await withPython(async (world) => {
        const { planet, python, read, sandbox } = world;
        const auth = ourSession(flow, world, "ours");
        if (flow === "m2m") await auth.accessToken();
        else await auth.userLogin({ allowOpenBrowser: true, ui: PERSON });
        const token = await auth.accessToken();
        const files = [".planet/ours/auth_client.json", ".planet/ours/token.json"] as const;
        const before = await Promise.all(files.map(read));
        sandbox.log.reset();

        assertEquals(await python({ call: "is_initialized", profile: "ours" }), { value: true });
        await python({ call: "ensure", profile: "ours" });
        const answer = await python({ call: "call", profile: "ours", url: searches(world) });
        assertEquals(answer, { status: 200, authorization: `Bearer ${token}` });
        const list = await planet("auth", "profile", "list", "--long");
        assert(flow === "m2m" || list.includes("ours"), list);
        const selected = ["--auth-profile", "ours", "auth"];
        const shown = await planet(...selected, "profile", "show");
        assert(shown.includes("ours"), shown);
        assertEquals((await planet(...selected, "print-access-token")).trim(), token);
        assertEquals(sandbox.log.count("token"), 0);
        assertEquals(await Promise.all(files.map(read)), before);

        if (flow === "m2m") return;
        await planet(...selected, "refresh");
        assertEquals(sandbox.log.count("token", "refresh_token"), 1);
        const renewed = await (await Auth.fromProfile("ours", {
          environment: sandbox.environment,
          storageProvider: world.storage,
        })).accessToken();
        assertNotEquals(renewed, token);
        assertEquals(await auth.accessToken({ forceRefresh: true }), renewed);
        assertEquals(sandbox.log.count("token"), 1);
      });
    },
    options,
  );

  test(`${flow}: what Python signs in to, we use unchanged, by name and by default`, async () => {
    await withPython(async (world) => {
      const { home, python, read, sandbox, storage } = world;
      const port = await freePort();
      const BROWSER = await background(home);
      const config = pythonConfig(flow, sandbox, port);
      await python({ call: "construct", keep: "one", profile: "theirs", config });
      if (flow === "auth_code") await python({ call: "login", keep: "one", env: { BROWSER } });
      if (flow === "device_code") {
        const info = await python({ call: "device_initiate", keep: "one" });
        await approveDevice(String(info.verification_uri_complete));
        await python({ call: "device_complete", keep: "one", info });
      }
      const first = await python({ call: "call", keep: "one", url: searches(world) });
      assertEquals(first.status, 200);
      const files = [".planet/theirs/auth_client.json", ".planet/theirs/token.json"] as const;
      const before = await Promise.all(files.map(read));
      sandbox.log.reset();

      const common = { environment: sandbox.environment, storageProvider: storage };
      const named = await Auth.fromProfile("theirs", common);
      await named.ensureInitialized();
      assertEquals(`Bearer ${await named.accessToken()}`, first.authorization);
      await storage.save(".planet.json", { PL_AUTH_PROFILE: "theirs" });
      await withVariables({}, async () => {
        const standard = await Auth.fromUserDefaultSession(common);
        assertEquals(`Bearer ${await standard.accessToken()}`, first.authorization);
        assertEquals(await status(standard, searches(world)), 200);
      });
      assertEquals(sandbox.log.toAuthorizationServers, 0);
      assertEquals(await Promise.all(files.map(read)), before);

      // The constructor finds the same session, and has nothing to add to the profile.
      const again = flow === "auth_code"
        ? Auth.fromOAuthUserAuthCode({
          clientId: sandbox.clientId,
          callbackUrl: String(config.redirect_uri),
          profileName: "theirs",
          ...common,
        })
        : ourSession(flow, world, "theirs");
      const renewed = await again.accessToken({ forceRefresh: true });
      assertEquals(await read(files[0]), before[0]);
      const second = await python({ call: "call", profile: "theirs", url: searches(world) });
      assertEquals(second, { status: 200, authorization: `Bearer ${renewed}` });
    });
  }, options);

  test(`${flow}: what "planet auth login" signs in to, the default session uses`, async () => {
    await withPython(async (world) => {
      const { home, profile, sandbox, storage } = world;
      const port = await freePort();
      await profile("cli", pythonConfig(flow, sandbox, port));
      const BROWSER = await background(home);
      const browser = flow === "auth_code" ? "--open-browser" : "--no-open-browser";
      const args = ["auth", "login", "--auth-profile", "cli", browser, "-y"];
      const login = startProgram("planet", args, pythonVariables(home, { BROWSER }));
      if (flow === "device_code") {
        const [url] = await login.waitFor(/http:\/\/127\.0\.0\.1:\d+\/device\?user_code=[\w-]+/);
        await approveDevice(url);
      }
      const { code, stderr, stdout } = await login.done;
      assertEquals(code, 0, stdout + stderr);
      await withVariables({}, async () => {
        const auth = await Auth.fromUserDefaultSession({
          environment: sandbox.environment,
          storageProvider: storage,
        });
        assertEquals([auth.profileName, await auth.isInitialized()], ["cli", true]);
        sandbox.log.reset();
        assertEquals(await status(auth, searches(world)), 200);
        assertEquals(sandbox.log.toAuthorizationServers, 0);
        assert((await auth.explain()).chosenBy.includes("PL_AUTH_PROFILE"));
      });
    });
  }, options);
}

test("a service account of the environment: we and Python share its tokens", async () => {
  await withPython(async (world) => {
    const { python, sandbox, storage } = world;
    const { clientId, clientSecret } = sandbox.m2m;
    const env = { PL_AUTH_CLIENT_ID: clientId, PL_AUTH_CLIENT_SECRET: clientSecret };
    await withVariables(env, async () => {
      const auth = await Auth.fromUserDefaultSession({
        environment: sandbox.environment,
        storageProvider: storage,
      });
      await auth.accessToken();
      const { tokenPath, ...chosen } = await python({ call: "choose", env });
      assertEquals(chosen.clientId, clientId);
      assertEquals(String(chosen.profileName).toLowerCase(), auth.profileName);
      assert(await storage.exists(String(tokenPath)), String(tokenPath));
    });
  });
}, options);

test("logout() here: Python has no session any more, in a process that holds one too", async () => {
  await withPython(async (world) => {
    const { python, sandbox } = world;
    const auth = ourSession("device_code", world, "shared");
    await auth.userLogin({ allowOpenBrowser: true, ui: PERSON });
    const url = searches(world);
    await python({ call: "call", keep: "one", profile: "shared", url });
    await auth.logout();
    assertEquals(sandbox.liveRefreshTokens, 0);
    assertEquals(await python({ call: "is_initialized", profile: "shared" }), { value: false });
    const error = await assertRejects(
      () => python({ call: "ensure", profile: "shared" }),
      PythonError,
    );
    assertEquals(error.kind, "DeviceCodeAuthClientException");
  });
}, options);
