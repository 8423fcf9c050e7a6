import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Auth,
  AuthError,
  FileStorage,
  MemoryStorage,
  Planet,
  Session,
  type SessionOptions,
} from "../../mod.ts";
import { readClient } from "../../lib/profiles/client_file.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock, impatiently } from "../_support/fake_clock.ts";
import { type FakeServer, fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { withVariables } from "../_support/variables.ts";

const START = 1_700_000_000_000;

interface World {
  server: FakeServer;
  storage: MemoryStorage;
  options: SessionOptions;
  /** Stores a profile. */
  profile(name: string, members: JsonObject, token?: JsonObject): Promise<void>;
  /** The `Authorization` header of a request with `auth`. */
  header(auth: Auth): Promise<string | null>;
}

function world(): World {
  const server = fakeServer();
  const storage = new MemoryStorage();
  return {
    server,
    storage,
    options: {
      environment: server.environment,
      fetch: server.fetch,
      storageProvider: storage,
      clock: fakeClock({ now: START }),
    },
    async profile(name, members, token) {
      await storage.save(`.planet/${name}/auth_client.json`, members);
      if (token) await storage.save(`.planet/${name}/token.json`, token);
    },
    async header(auth) {
      await auth.fetch(`${server.environment.apiBaseUrl}/data/v1/searches`);
      return server.requests.at(-1)!.headers.get("authorization");
    },
  };
}

const DEVICE = { client_type: "oidc_device_code", client_id: "Mine" };
const TOKEN = {
  access_token: secret("AT0"),
  refresh_token: secret("RT0"),
  _iat: START / 1000 - 10,
  _exp: 2e9,
};

async function rejection(work: Promise<unknown>): Promise<AuthError> {
  return await assertRejects(() => work, AuthError);
}

test("Auth.fromProfile() uses what the profile says and what it has stored, and changes neither", async () => {
  const { header, options, profile, server, storage } = world();
  const members = {
    ...DEVICE,
    auth_server: server.issuer,
    audiences: ["https://only.test/"],
    scopes: ["planet"],
    unknown: { kept: [1, "ä"] },
  };
  await profile("mine", members, { ...TOKEN, _exp: START / 1000 - 1 });
  const auth = await Auth.fromProfile("Mine", options);
  assertEquals(auth.profileName, "mine");
  assertEquals(await header(auth), `Bearer ${secret("AT1")}`);
  assertEquals(server.to("/token")[0]!.form.get("client_id"), "Mine");
  assertEquals(await storage.load(".planet/mine/auth_client.json"), members);
});

test("Auth.fromProfile() keeps nothing and reads no token with saveStateToStorage: false, as Python", async () => {
  const { options, profile, server } = world();
  await profile("mine", { ...DEVICE, auth_server: server.issuer }, TOKEN);
  const kept = await Auth.fromProfile("mine", options);
  const unkept = await Auth.fromProfile("mine", { ...options, saveStateToStorage: false });
  assertEquals([await kept.isInitialized(), await unkept.isInitialized()], [true, false]);
});

test("Auth.fromProfile() says where it looked for a profile that is not there", async () => {
  const error = await rejection(Auth.fromProfile("nobody", world().options));
  assertEquals(error.code, "storage_not_found");
  assert(error.message.includes('"nobody"'), error.message);
  assert(error.message.includes(".planet/nobody/auth_client.json"), error.message);
});

for (const name of ["", " ", ".", "..", "a/b", "a\\b", "../../evil", "c:evil", "a\0b"]) {
  test(`Auth.fromProfile() refuses the name ${JSON.stringify(name)} before it reads`, async () => {
    const { options, storage } = world();
    const read: string[] = [];
    storage.load = (key) => (read.push(key), Promise.resolve(undefined));
    assertEquals((await rejection(Auth.fromProfile(name, options))).code, "invalid_argument");
    assertEquals(read, []);
  });
}

test("Auth.fromProfile() takes the built-in client of planet-user and no file of that name, as Python", async () => {
  const { options, profile, server } = world();
  await profile("planet-user", { client_type: "none" });
  const report = await (await Auth.fromProfile("Planet-User", options)).explain();
  assertEquals(report.clientId, "49lHVBYlXCdfIYqE1B9zeXt0iFHSXees");
  assertEquals([report.settings, report.authServer], ["built-in", server.issuer]);
});

test("Auth.fromProfile() says what planet-m2m lacks", async () => {
  const error = await rejection(Auth.fromProfile("planet-m2m", world().options));
  assertEquals(error.code, "invalid_argument");
  assert(error.message.includes("PL_AUTH_CLIENT_ID"), error.message);
});

const KEYS: readonly [string, string, JsonObject, JsonObject | undefined, string | null][] = [
  [
    "static_apikey",
    "k1",
    { api_key: secret("SECRET"), bearer_token_prefix: "api-key" },
    undefined,
    `api-key ${secret("SECRET")}`,
  ],
  [
    "static_apikey without prefix",
    "k2",
    { api_key: secret("SECRET") },
    undefined,
    `Bearer ${secret("SECRET")}`,
  ],
  ["static_apikey, key stored apart", "k3", {}, {
    api_key: secret("SECRET"),
    bearer_token_prefix: "api-key",
  }, `api-key ${secret("SECRET")}`],
  [
    "planet_legacy",
    "k4",
    { legacy_auth_endpoint: "https://x.test/" },
    { key: secret("SECRET"), jwt: secret("J") },
    `api-key ${secret("SECRET")}`,
  ],
  [
    "planet_legacy with its own key",
    "k5",
    { api_key: secret("SECRET") },
    { key: secret("other") },
    `api-key ${secret("SECRET")}`,
  ],
  ["none", "k6", {}, undefined, null],
];
for (const [what, name, members, token, expected] of KEYS) {
  test(`Auth.fromProfile() sends what ${what} has`, async () => {
    const { header, options, profile, server } = world();
    await profile(name, { client_type: what.split(/[ ,]/)[0]!, ...members }, token);
    const auth = await Auth.fromProfile(name, options);
    assertEquals(await auth.isInitialized(), true);
    await auth.ensureInitialized();
    assertEquals(await header(auth), expected);
    assertEquals(server.requests.length, 1);
    assertEquals((await rejection(auth.accessToken())).code, "invalid_argument");
    const report = await auth.explain();
    assertEquals([report.state, report.clientType], ["valid", what.split(/[ ,]/)[0]!]);
    assert(!JSON.stringify([auth, report]).includes(secret("SECRET")));
  });
}

test("Auth.fromProfile() says that the key of a legacy profile is missing", async () => {
  const auth = await Auth.fromProfile("legacy", world().options);
  assertEquals(await auth.isInitialized(), false);
  assertEquals((await auth.explain()).state, "none");
  for (const work of [auth.ensureInitialized(), auth.fetch("https://api.fake.test/")]) {
    assertEquals((await rejection(work)).code, "login_required");
  }
});

test("Auth.fromProfile() names the file of a private key that cannot be read, when it is needed", async () => {
  const { options, profile, server } = world();
  const folder = await tempFolder();
  const file = join(folder.path, "gone.pem");
  await profile("robot", {
    client_type: "oidc_client_credentials_pubkey",
    client_id: "Robot",
    client_privkey_file: file,
    auth_server: server.issuer,
  });
  const auth = await Auth.fromProfile("robot", options);
  const error = await rejection(auth.accessToken());
  assertEquals(error.code, "storage_failed");
  assert(error.message.includes(file) && error.message.includes("client_privkey_file"));
  assertEquals(server.to("/token").length, 0);
  await folder.remove();
});

test("Auth.fromProfile() takes redirect_uri where the code is pasted, local_redirect_uri where a browser opens, as Python", async () => {
  const remote = "https://elsewhere.test/show-the-code";
  for (const allowOpenBrowser of [false, true]) {
    const { options, profile, server } = world();
    await profile("apart", {
      client_type: "oidc_auth_code",
      client_id: "Apart",
      auth_server: server.issuer,
      redirect_uri: remote,
      local_redirect_uri: "http://127.0.0.1:0/cb",
      organization: "org",
    });
    const auth = await Auth.fromProfile("apart", options);
    let shown: URL | undefined;
    // Where a browser opened, the prompt is shown later.
    await impatiently(() =>
      auth.userLogin({
        allowOpenBrowser,
        allowTtyPrompt: true,
        ui: {
          show: (text) => shown ??= new URL(/https:\S+/.exec(text)![0]),
          openBrowser: () => Promise.resolve(true),
          readLine: () => Promise.resolve(secret("the-code")),
        },
      })
    );
    const asked = shown!.searchParams;
    assertEquals(asked.get("organization"), "org");
    const redirect = asked.get("redirect_uri")!;
    assert(allowOpenBrowser ? redirect.startsWith("http://127.0.0.1:") : redirect === remote);
    const { code, redirect_uri } = Object.fromEntries(server.to("/token")[0]!.form);
    assertEquals([code, redirect_uri], [secret("the-code"), redirect]);
  }
});

const PAGE = "<!doctype html><title>Done</title><p>Back to the map, ☃";

test("Auth.fromProfile() shows the profile's own page after signing in, and no other instead, as Python", async () => {
  const folder = await tempFolder();
  const file = join(folder.path, "page.html");
  await writeFile(file, PAGE);
  for (
    const members of [
      { authorization_callback_acknowledgement: PAGE },
      { authorization_callback_acknowledgement_file: file },
    ]
  ) {
    for (const answer of [`code=${secret("c")}`, "error=access_denied"]) {
      const { options, profile, server } = world();
      await profile("own-page", {
        client_type: "oidc_auth_code",
        client_id: "Own",
        auth_server: server.issuer,
        redirect_uri: "http://127.0.0.1:0/cb",
        ...members,
      });
      const auth = await Auth.fromProfile("own-page", options);
      let page: Promise<Response> | undefined;
      const openBrowser = ({ searchParams }: URL) => {
        const { redirect_uri, state } = Object.fromEntries(searchParams);
        const iss = encodeURIComponent(server.issuer);
        page = fetch(`${redirect_uri}?${answer}&state=${state}&iss=${iss}`);
        return Promise.resolve(true);
      };
      const login = auth.userLogin({ allowOpenBrowser: true, ui: { openBrowser } });
      if (answer.startsWith("code=")) await login;
      else assertEquals((await rejection(login)).code, "access_denied");
      const response = await page!;
      const text = await response.text();
      assertEquals(text === PAGE, answer.startsWith("code="), text);
      const policy = response.headers.get("content-security-policy") ?? "";
      assert(policy.startsWith("default-src 'none'"), policy);
    }
  }
  await folder.remove();
});

test("Auth.fromProfile() names the file of a page that cannot be read, before a browser opens", async () => {
  const { options, profile, server } = world();
  const folder = await tempFolder();
  const file = join(folder.path, "gone.html");
  await profile("own-page", {
    client_type: "oidc_auth_code",
    client_id: "Own",
    auth_server: server.issuer,
    redirect_uri: "http://127.0.0.1:0/cb",
    authorization_callback_acknowledgement_file: file,
  });
  const auth = await Auth.fromProfile("own-page", options);
  let opened = 0;
  const openBrowser = () => (opened++, Promise.resolve(true));
  const error = await rejection(auth.userLogin({ allowOpenBrowser: true, ui: { openBrowser } }));
  assertEquals([error.code, opened], ["storage_failed", 0]);
  assert(error.message.includes(file), error.message);
  await folder.remove();
});

const GOOD = { client_type: "oidc_device_code", client_id: "c", auth_server: "https://a.test/" };
const BAD: readonly [string, JsonObject, string][] = [
  ["no type", { client_type: undefined }, "client_type"],
  ["an unknown type", { client_type: "oidc_magic" }, "client_type"],
  ["a type that is inherited by objects", { client_type: "constructor" }, "client_type"],
  ["oidc_resource_owner", { client_type: "oidc_resource_owner" }, "password"],
  ["oidc_resource_owner_secret", { client_type: "oidc_resource_owner_secret" }, "password"],
  ["oidc_resource_owner_pubkey", { client_type: "oidc_resource_owner_pubkey" }, "password"],
  ["oidc_client_validator", { client_type: "oidc_client_validator" }, "only checks tokens"],
  ["no client ID", { client_id: null }, "client_id"],
  ["a client ID that is no text", { client_id: 7 }, "client_id"],
  ["no server", { auth_server: "" }, "auth_server"],
  ["a server in plain http", { auth_server: "http://a.test/" }, "auth_server"],
  ["an endpoint in plain http", { token_endpoint: "http://a.test/t" }, "token_endpoint"],
  ["two audiences", { audiences: ["a", "b"] }, "audiences"],
  ["an audience that is no list", { audiences: "a" }, "audiences"],
  ["scopes that are no list", { scopes: "planet" }, "scopes"],
  ["no redirect URI", { client_type: "oidc_auth_code" }, "redirect_uri"],
  ["no secret", { client_type: "oidc_device_code_secret" }, "client_secret"],
  ["no key", { client_type: "oidc_client_credentials_pubkey" }, "client_privkey"],
];
for (const [what, members, named] of BAD) {
  test(`readClient() refuses ${what}, and says so`, () => {
    const error = assertThrows(() => readClient({ ...GOOD, ...members }, "x.json"), AuthError);
    assertEquals(error.code, "invalid_argument");
    assert(error.message.includes(named) && error.message.includes("x.json"), error.message);
  });
}

test("Auth.fromUserDefaultSession() uses the profile that the command line has set", async () => {
  const { header, options, profile, server, storage } = world();
  await profile("mine", { ...DEVICE, auth_server: server.issuer }, TOKEN);
  await storage.save(".planet.json", { PL_AUTH_PROFILE: "Mine", key: secret("old") });
  await withVariables({ PL_API_KEY: secret("SECRET") }, async () => {
    const auth = await Auth.fromUserDefaultSession(options);
    assertEquals(await header(auth), `Bearer ${secret("AT0")}`);
    const report = await auth.explain();
    assertEquals(report.chosenBy, '"PL_AUTH_PROFILE" in .planet.json');
    assertEquals(report.overrode, ["the variable PL_API_KEY", '"key" in .planet.json']);
    assertEquals(report.settings, ".planet/mine/auth_client.json");
    assert(!JSON.stringify(report).includes(secret("SECRET")));
  });
});

test("Auth.fromUserDefaultSession() keeps the tokens of a service account of the environment, not its secret", async () => {
  const { header, options, server, storage } = world();
  const variables = { PL_AUTH_CLIENT_ID: "Service", PL_AUTH_CLIENT_SECRET: secret("SECRET") };
  await withVariables(variables, async () => {
    const auth = await Auth.fromUserDefaultSession(options);
    assertEquals(await header(auth), `Bearer ${secret("AT1")}`);
    assertEquals(auth.profileName, "planet-m2m-service");
  });
  assertEquals(server.to("/token")[0]!.form.get("client_secret"), secret("SECRET"));
  const keys: string[] = [];
  for await (const key of storage.list("")) keys.push(key);
  assertEquals(keys, [
    ".planet/planet-m2m-service/discovery.json",
    ".planet/planet-m2m-service/token.json",
  ]);
});

test("Auth.fromUserDefaultSession() reads PL_AUTH_API_KEY, which Python only documents, after PL_API_KEY", async () => {
  const { header, options } = world();
  await withVariables({ PL_AUTH_API_KEY: secret("documented") }, async () => {
    assertEquals(
      await header(await Auth.fromUserDefaultSession(options)),
      `api-key ${secret("documented")}`,
    );
  });
  await withVariables(
    { PL_AUTH_API_KEY: secret("documented"), PL_API_KEY: secret("read") },
    async () => {
      assertEquals(
        await header(await Auth.fromUserDefaultSession(options)),
        `api-key ${secret("read")}`,
      );
    },
  );
});

for (const name of ["nobody", "../evil", "planet-m2m"]) {
  test(`Auth.fromUserDefaultSession() blames the variable or the file for the profile ${name}`, async () => {
    const { options, storage } = world();
    await withVariables({ PL_AUTH_PROFILE: name }, async () => {
      const error = await rejection(Auth.fromUserDefaultSession(options));
      assert(error.message.includes("the variable PL_AUTH_PROFILE"), error.message);
    });
    await storage.save(".planet.json", { PL_AUTH_PROFILE: name });
    await withVariables({}, async () => {
      const error = await rejection(Auth.fromUserDefaultSession(options));
      assert(error.message.includes('"PL_AUTH_PROFILE" in .planet.json'), error.message);
    });
  });
}

test("Auth.fromUserDefaultSession() puts arguments before everything", async () => {
  const { header, options, profile, server } = world();
  await profile("mine", { ...DEVICE, auth_server: server.issuer }, TOKEN);
  await withVariables({ PL_AUTH_PROFILE: "mine", PL_API_KEY: secret("key") }, async () => {
    const auth = await Auth.fromUserDefaultSession({ ...options, apiKey: secret("given") });
    assertEquals(await header(auth), `api-key ${secret("given")}`);
    assertEquals((await auth.explain()).overrode, [
      "the variable PL_AUTH_PROFILE",
      "the variable PL_API_KEY",
    ]);
  });
});

test("Auth asks a store of one's own for no file of sops, and the disk for nothing", async () => {
  const { options, profile, server, storage } = world();
  await profile("mine", { ...DEVICE, auth_server: server.issuer }, TOKEN);
  const home = await tempFolder();
  await mkdir(join(home.path, ".planet/mine"), { recursive: true });
  for (const name of ["auth_client.sops.json", "token.sops.json", "token.json"]) {
    await writeFile(join(home.path, ".planet/mine", name), "{}");
  }
  const asked: string[] = [];
  const spied: SessionOptions["storageProvider"] = {
    load: (key) => (asked.push(key), storage.load(key)),
    save: (key, value) => (asked.push(key), storage.save(key, value)),
    exists: (key) => (asked.push(key), storage.exists(key)),
    mtime: (key) => (asked.push(key), storage.mtime(key)),
    rename: (from, to) => (asked.push(from, to), storage.rename(from, to)),
  };
  await withVariables({ HOME: home.path, USERPROFILE: home.path }, async () => {
    const auth = await Auth.fromProfile("mine", { ...options, storageProvider: spied });
    assertEquals(await auth.accessToken(), secret("AT0"));
    await auth.accessToken({ forceRefresh: true });
  });
  assert(asked.length > 2);
  assertEquals(asked.filter((key) => key.includes("sops")), []);
  await home.remove();
});

test("Auth.listProfiles() tells the built-in profiles and those of the store", async () => {
  const { options, profile, storage } = world();
  await profile("zeta", { client_type: "static_apikey" });
  await profile("alpha", { client_type: "oidc_auth_code", _hidden: true });
  await profile("planet-user", { client_type: "none" });
  await storage.save(".planet/no-profile/token.json", {});
  await storage.save(".planet/encrypted/auth_client.sops.json", {});
  await storage.save(".planet/Unreachable/auth_client.json", {});
  assertEquals(await Auth.listProfiles(options), [
    { profileName: "planet-user", clientType: "oidc_device_code", builtin: true, hidden: false },
    {
      profileName: "planet-m2m",
      clientType: "oidc_client_credentials_secret",
      builtin: true,
      hidden: true,
    },
    { profileName: "legacy", clientType: "planet_legacy", builtin: true, hidden: true },
    { profileName: "alpha", clientType: "oidc_auth_code", builtin: false, hidden: true },
    { profileName: "zeta", clientType: "static_apikey", builtin: false, hidden: false },
  ]);
});

test("Auth.listProfiles() lists what sops has encrypted in files, and opens none of it", async () => {
  const folder = await tempFolder();
  const storageProvider = new FileStorage({ root: folder.path });
  await storageProvider.save(".planet/safe/auth_client.sops.json", { client_type: "ENC[…]" });
  const found = (await Auth.listProfiles({ storageProvider })).filter(({ builtin }) => !builtin);
  assertEquals(found, [{ profileName: "safe", builtin: false, hidden: false }]);
  await folder.remove();
});

test("Session and Planet take the user's default session, and read nothing before the first call", async () => {
  const session = new Session();
  const planet = new Planet();
  assertThrows(() => new Session(null as never), TypeError);
  const home = await tempFolder();
  const variables = { PL_AUTH_PROFILE: "../evil", HOME: home.path, USERPROFILE: home.path };
  await withVariables(variables, async () => {
    for (const call of [() => session.request("GET", "/"), () => planet.data.getSearch("a")]) {
      const error = await assertRejects(call, AuthError);
      assert(error.message.includes("PL_AUTH_PROFILE"), error.message);
    }
  });
  await home.remove();
});
