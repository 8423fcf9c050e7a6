/**
 * Profiles of the rarer kinds, used by us and by the Planet SDK for Python in turn.
 *
 * @module
 */
import { assertEquals, assertNotEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Auth, type JsonObject } from "../../mod.ts";
import { test, type TestOptions } from "../_support/harness.ts";
import { testKey } from "../_support/keys.ts";
import { withVariables } from "../_support/variables.ts";
import { approveDevice } from "../sandbox/person.ts";
import { LOOSE, PERSON, SKIP_BUT_DENO, withPython } from "./python.ts";

const options: TestOptions = {
  breaks: [LOOSE],
  ...(SKIP_BUT_DENO === undefined ? {} : { skip: SKIP_BUT_DENO }),
  timeoutMs: 90_000,
};
const DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code";
const PASSWORD = "opens the key";

function client(client_id: string, grants: string[], proof: Record<string, unknown>) {
  return {
    client_id,
    application_type: "native",
    grant_types: grants,
    response_types: [],
    redirect_uris: [],
    ...proof,
  };
}

const byKey = () => ({
  token_endpoint_auth_method: "private_key_jwt",
  jwks: { keys: [{ ...testKey("rsa").jwk, use: "sig", alg: "RS256" }] },
});
const bySecret = {
  token_endpoint_auth_method: "client_secret_basic",
  client_secret: "a secret/with=marks",
};

test("a service account with an encrypted private key: one profile for both", async () => {
  await withPython(async ({ home, profile, python, read, sandbox, storage }) => {
    await writeFile(join(home, "key.pem"), testKey("rsa").encrypted(PASSWORD));
    await profile("robot", {
      client_type: "oidc_client_credentials_pubkey",
      client_id: "robot",
      client_privkey_file: join(home, "key.pem"),
      client_privkey_password: PASSWORD,
      auth_server: sandbox.environment.userAuthServer,
      audiences: [...sandbox.environment.audiences],
      scopes: ["planet"],
    });
    const before = await read(".planet/robot/auth_client.json");
    const url = `${sandbox.url}/data/v1/searches`;
    const theirs = await python({ call: "call", profile: "robot", url });
    assertEquals(theirs.status, 200);
    const auth = await Auth.fromProfile("robot", {
      environment: sandbox.environment,
      storageProvider: storage,
    });
    assertEquals(`Bearer ${await auth.accessToken()}`, theirs.authorization);
    const ours = await auth.accessToken({ forceRefresh: true });
    assertNotEquals(`Bearer ${ours}`, theirs.authorization);
    const again = await python({ call: "call", profile: "robot", url });
    assertEquals(again, { status: 200, authorization: `Bearer ${ours}` });
    assertEquals(await read(".planet/robot/auth_client.json"), before);
    assertEquals(sandbox.log.count("token"), 2);
  }, { clients: [client("robot", ["client_credentials"], byKey())] });
}, options);

for (const first of ["we", "Python"]) {
  test(`a device with a client secret: ${first} sign in, both renew`, async () => {
    await withPython(async ({ profile, python, sandbox, storage }) => {
      await profile("screen", {
        client_type: "oidc_device_code_secret",
        client_id: "screen",
        client_secret: bySecret.client_secret,
        auth_server: sandbox.environment.userAuthServer,
        audiences: [...sandbox.environment.audiences],
        scopes: ["planet", "offline_access"],
      });
      const auth = await Auth.fromProfile("screen", {
        environment: sandbox.environment,
        storageProvider: storage,
      });
      if (first === "we") await auth.userLogin({ allowOpenBrowser: true, ui: PERSON });
      else {
        const info: JsonObject = await python({
          call: "device_initiate",
          keep: "one",
          profile: "screen",
        });
        await approveDevice(String(info.verification_uri_complete));
        await python({ call: "device_complete", keep: "one", info });
      }
      const url = `${sandbox.url}/data/v1/searches`;
      const theirs = await python({ call: "call", profile: "screen", url });
      assertEquals(theirs, { status: 200, authorization: `Bearer ${await auth.accessToken()}` });
      const ours = await auth.accessToken({ forceRefresh: true });
      const again = await python({ call: "call", profile: "screen", url });
      assertEquals(again, { status: 200, authorization: `Bearer ${ours}` });
    }, { clients: [client("screen", [DEVICE_CODE, "refresh_token"], bySecret)] });
  }, options);
}

test(
  'an API key: what "planet auth login --auth-api-key" stores, the default session sends',
  async () => {
    await withPython(async ({ planet, python, sandbox, storage }) => {
      await planet("auth", "login", "--auth-api-key", sandbox.apiKey, "-y");
      await withVariables({}, async () => {
        const auth = await Auth.fromUserDefaultSession({
          environment: sandbox.environment,
          storageProvider: storage,
        });
        assertEquals(auth.profileName, "_pl_api_key");
        const url = `${sandbox.url}/data/v1/searches`;
        const response = await auth.fetch(url);
        await response.body?.cancel();
        assertEquals(response.status, 200);
        const theirs = await python({ call: "call", profile: "_PL_API_KEY", url });
        assertEquals(theirs, { status: 200, authorization: `api-key ${sandbox.apiKey}` });
      });
    });
  },
  {
    ...options,
    breaks: [LOOSE, {
      rule: "arguments",
      where: "planet",
      why: "The planet command line takes the key as an argument, and no other way.",
    }],
  },
);
