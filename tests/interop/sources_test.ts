/**
 * Which session a program means that names none: what we choose beside what Python chooses.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Auth, AuthError, FileStorage, type JsonObject } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { withVariables } from "../_support/variables.ts";
import { PythonSession, pythonVariables, SKIP_BUT_DENO } from "./python.ts";

const options = SKIP_BUT_DENO === undefined ? {} : { skip: SKIP_BUT_DENO };

/** Where a session may be named. */
interface Place {
  env?: Record<string, string>;
  /** `~/.planet.json`; a text is written as it is. */
  file?: JsonObject | string;
  /** `auth_client.json` of profiles, by folder. */
  profiles?: Record<string, JsonObject>;
}

/** Another choice than Python's, on purpose, or an error where Python goes on. */
interface Difference {
  /** Line of `examples/README.md` that tells it. */
  readme: string;
  /** Profile that we choose. */
  chooses?: string;
  /** Code and text of our error. */
  refuses?: readonly [code: string, text: string];
}

const DEVICE = {
  client_type: "oidc_device_code",
  client_id: "Mine",
  auth_server: "https://login.planet.com/",
  scopes: ["planet"],
};
const SERVICE = {
  client_type: "oidc_client_credentials_secret",
  client_id: "Svc",
  client_secret: secret("s"),
  auth_server: "https://services.sentinel-hub.com/auth/realms/main",
  scopes: [],
};
const KEY = {
  client_type: "static_apikey",
  api_key: secret("kept"),
  bearer_token_prefix: "api-key",
};
const profiles = { mine: DEVICE, svc: SERVICE, keyed: KEY, open: { client_type: "none" } };
const M2M = { PL_AUTH_CLIENT_ID: "EnvId", PL_AUTH_CLIENT_SECRET: secret("secret") };
const FILE_M2M = { PL_AUTH_CLIENT_ID: "FileId", PL_AUTH_CLIENT_SECRET: secret("secret") };

const BAD_PROFILE = "A profile that the environment or `~/.planet.json` names and that is bad";
const BROKEN_FILE = "A broken `~/.planet.json`";
const AUTH_API_KEY = "`PL_AUTH_API_KEY`";

const CASES: readonly [what: string, place: Place, difference?: Difference][] = [
  ["nothing", {}],
  ["an empty file", { file: {} }],
  ["a profile by variable", { env: { PL_AUTH_PROFILE: "mine" }, profiles }],
  ["a profile in capitals", { env: { PL_AUTH_PROFILE: "MiNe" }, profiles }],
  ["a profile by file", { file: { PL_AUTH_PROFILE: "mine" }, profiles }],
  ["a service account's profile", { env: { PL_AUTH_PROFILE: "svc" }, profiles }],
  ["an API key's profile", { env: { PL_AUTH_PROFILE: "keyed" }, profiles }],
  ["a profile of nothing", { env: { PL_AUTH_PROFILE: "open" }, profiles }],
  ["the variable before the file", {
    env: { PL_AUTH_PROFILE: "svc" },
    file: { PL_AUTH_PROFILE: "mine" },
    profiles,
  }],
  ["an empty variable", {
    env: { PL_AUTH_PROFILE: "" },
    file: { PL_AUTH_PROFILE: "mine" },
    profiles,
  }],
  ["the built-in profile by name", { env: { PL_AUTH_PROFILE: "planet-user" } }],
  ["the built-in profile in capitals", { env: { PL_AUTH_PROFILE: "Planet-User" } }],
  ["the built-in profile beside a file of its name", {
    env: { PL_AUTH_PROFILE: "planet-user" },
    profiles: { "planet-user": KEY },
  }],
  ["the built-in legacy profile", { env: { PL_AUTH_PROFILE: "legacy" } }],
  ["a service account by variables", { env: M2M }],
  ["a service account by file", { file: FILE_M2M }],
  ["a service account by variables before one by file", { env: M2M, file: FILE_M2M }],
  ["an ID by variable with a secret by file", {
    env: { PL_AUTH_CLIENT_ID: "EnvId" },
    file: { PL_AUTH_CLIENT_SECRET: secret("secret") },
  }],
  ["an ID without a secret", { env: { PL_AUTH_CLIENT_ID: "EnvId" } }],
  ["a secret without an ID, and a key", {
    env: { PL_AUTH_CLIENT_SECRET: secret("s"), PL_API_KEY: secret("env") },
  }],
  ["a profile before a service account", { env: { PL_AUTH_PROFILE: "mine", ...M2M }, profiles }],
  ["a profile by file before a service account by variables", {
    env: M2M,
    file: { PL_AUTH_PROFILE: "mine" },
    profiles,
  }],
  ["a service account before a key", { env: { ...M2M, PL_API_KEY: secret("env") } }],
  ["a service account by file before a key by variable", {
    env: { PL_API_KEY: secret("env") },
    file: FILE_M2M,
  }],
  ["a key by variable", { env: { PL_API_KEY: secret("env") } }],
  ["a key by file", { file: { PL_API_KEY: secret("file") } }],
  ["a key by variable before one by file", {
    env: { PL_API_KEY: secret("env") },
    file: { PL_API_KEY: secret("file"), key: secret("old") },
  }],
  ["a key of old versions", { file: { key: secret("old") } }],
  ["a key by file before one of old versions", {
    file: { PL_API_KEY: secret("file"), key: secret("old") },
  }],
  ["a key by variable before one of old versions", {
    env: { PL_API_KEY: secret("env") },
    file: { key: secret("old") },
  }],
  ["nulls and empty texts", {
    file: { PL_AUTH_PROFILE: null, PL_API_KEY: "", key: secret("old") },
  }],
  // Where we differ.
  ["PL_AUTH_API_KEY by variable", { env: { PL_AUTH_API_KEY: secret("env") } }, {
    readme: AUTH_API_KEY,
    chooses: "_pl_api_key",
  }],
  ["PL_AUTH_API_KEY by file", { file: { PL_AUTH_API_KEY: secret("file") } }, {
    readme: AUTH_API_KEY,
    chooses: "_pl_api_key",
  }],
  ["a profile by variable that is not there", { env: { PL_AUTH_PROFILE: "nobody" } }, {
    readme: BAD_PROFILE,
    refuses: ["storage_not_found", "the variable PL_AUTH_PROFILE"],
  }],
  ["a profile by file that is not there, and a key", {
    env: { PL_API_KEY: secret("env") },
    file: { PL_AUTH_PROFILE: "nobody" },
  }, { readme: BAD_PROFILE, refuses: ["storage_not_found", '"PL_AUTH_PROFILE" in '] }],
  ["a profile that leaves its folder", { env: { PL_AUTH_PROFILE: "../x" } }, {
    readme: BAD_PROFILE,
    refuses: ["invalid_argument", "the variable PL_AUTH_PROFILE"],
  }],
  ["a profile of an unknown type", {
    env: { PL_AUTH_PROFILE: "odd" },
    profiles: { odd: { client_type: "oidc_magic" } },
  }, { readme: BAD_PROFILE, refuses: ["invalid_argument", "client_type"] }],
  ["the built-in pattern for service accounts", { env: { PL_AUTH_PROFILE: "planet-m2m" } }, {
    readme: BAD_PROFILE,
    refuses: ["invalid_argument", "PL_AUTH_CLIENT_ID"],
  }],
  ["a broken file", { file: "{ broken" }, {
    readme: BROKEN_FILE,
    refuses: ["storage_corrupt", ".planet.json"],
  }],
  ["a broken file, and a key by variable", { env: { PL_API_KEY: secret("env") }, file: "[]" }, {
    readme: BROKEN_FILE,
    refuses: ["storage_corrupt", ".planet.json"],
  }],
];

test(
  `Auth.fromUserDefaultSession() chooses what Python chooses, in ${CASES.length} places, but where examples/README.md says so`,
  async () => {
    const folder = await tempFolder();
    const python = new PythonSession(pythonVariables(folder.path));
    const { readFile } = await import("node:fs/promises");
    const readme = await readFile(new URL("../../examples/README.md", import.meta.url), "utf8");
    try {
      for (
        const [index, [what, { env = {}, file, profiles = {} }, difference]] of CASES.entries()
      ) {
        const home = join(folder.path, String(index));
        await mkdir(home, { mode: 0o700 });
        for (const [name, members] of Object.entries(profiles)) {
          await mkdir(join(home, ".planet", name), { recursive: true, mode: 0o700 });
          const path = join(home, ".planet", name, "auth_client.json");
          await writeFile(path, JSON.stringify(members), { mode: 0o600 });
        }
        if (file !== undefined) {
          const text = typeof file === "string" ? file : JSON.stringify(file);
          await writeFile(join(home, ".planet.json"), text, { mode: 0o600 });
        }
        const theirs = await python.ask({ call: "choose", home, env });
        const choose = () =>
          withVariables(
            env,
            () => Auth.fromUserDefaultSession({ storageProvider: new FileStorage({ root: home }) }),
          );
        if (difference !== undefined) {
          assert(readme.includes(difference.readme), `examples/README.md does not tell: ${what}`);
        }
        if (difference?.refuses !== undefined) {
          const [code, text] = difference.refuses;
          const error = await assertRejects(choose, AuthError);
          assert(error.code === code && error.message.includes(text), `${what}: ${error.message}`);
          continue;
        }
        const auth = await choose();
        const { clientId = null, clientType } = await auth.explain();
        const ours = { profileName: auth.profileName, clientType, clientId };
        const { clientId: theirId = null, clientType: theirType, profileName } = theirs;
        const name = difference?.chooses ?? String(profileName).toLowerCase();
        assertEquals(ours.profileName, name, what);
        if (difference === undefined) {
          assertEquals([ours.clientType, ours.clientId], [theirType, theirId], what);
        } else assert(String(profileName).toLowerCase() !== name, `${what} is no difference`);
      }
    } finally {
      await python.close();
      await folder.remove();
    }
  },
  options,
);

test("Auth.fromUserDefaultSession() sends the API key that Python sends", async () => {
  const folder = await tempFolder();
  const home = folder.path;
  const python = new PythonSession(pythonVariables(home));
  try {
    for (
      const [env, file] of [
        [{ PL_API_KEY: secret("env") }, {}],
        [{}, { PL_API_KEY: secret("file"), key: secret("old") }],
        [{}, { key: secret("old") }],
      ] as const
    ) {
      await writeFile(join(home, ".planet.json"), JSON.stringify(file), { mode: 0o600 });
      const theirs = await python.ask({ call: "choose", home, env });
      let sent: string | null = null;
      const auth = await withVariables(
        env as Record<string, string>,
        () =>
          Auth.fromUserDefaultSession({
            storageProvider: new FileStorage({ root: home }),
            fetch: (_url, init) => {
              sent = new Headers(init?.headers).get("authorization");
              return Promise.resolve(new Response());
            },
          }),
      );
      await auth.fetch("https://api.planet.com/");
      assertEquals(sent, `api-key ${theirs.apiKey}`);
    }
  } finally {
    await python.close();
    await folder.remove();
  }
}, options);
