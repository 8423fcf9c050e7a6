import { assertEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Auth, type LoginUI, MemoryStorage } from "../../mod.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { test } from "../_support/harness.ts";
import { testKey } from "../_support/keys.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { approveDevice, open } from "../sandbox/person.ts";
import { withSandbox } from "../sandbox/sandbox.ts";

const SECRET = "a secret+with%41 odd/characters";
const PASSWORD = "opens the key";
const GRANTS = [
  "authorization_code",
  "refresh_token",
  "urn:ietf:params:oauth:grant-type:device_code",
];

/** A client of the sandbox's server for people, proving itself by `method`. */
function registered(
  client_id: string,
  method: string,
  grants: readonly string[],
): Record<string, unknown> {
  const proof = method === "private_key_jwt"
    ? { jwks: { keys: [{ ...testKey("rsa").jwk, use: "sig", alg: "RS256" }] } }
    : { client_secret: SECRET };
  return {
    client_id,
    application_type: "native",
    token_endpoint_auth_method: method,
    grant_types: grants,
    response_types: grants.includes("authorization_code") ? ["code"] : [],
    redirect_uris: grants.includes("authorization_code") ? ["http://127.0.0.1/cb"] : [],
    ...proof,
  };
}

const CLIENTS = [
  registered("secret", "client_secret_basic", GRANTS),
  registered("pubkey", "private_key_jwt", GRANTS),
  registered("service-secret", "client_secret_post", ["client_credentials"]),
  registered("service-pubkey", "private_key_jwt", ["client_credentials"]),
];

/** A person at the browser who does what the page asks. */
const ui: LoginUI = {
  show: () => {},
  openBrowser: async (url) => {
    await (url.pathname.includes("device") ? approveDevice(url) : open(url));
    return true;
  },
};

const TYPES: readonly [string, string, (folder: string) => Promise<JsonObject>][] = [
  ["oidc_auth_code_secret", "secret", () => Promise.resolve({ client_secret: SECRET })],
  [
    "oidc_auth_code_pubkey",
    "pubkey",
    () => Promise.resolve({ client_privkey: testKey("rsa").pem }),
  ],
  ["oidc_device_code_secret", "secret", () => Promise.resolve({ client_secret: SECRET })],
  [
    "oidc_device_code_pubkey",
    "pubkey",
    () =>
      Promise.resolve({
        client_privkey: testKey("rsa").encrypted(PASSWORD),
        client_privkey_password: PASSWORD,
      }),
  ],
  [
    "oidc_client_credentials_secret",
    "service-secret",
    () => Promise.resolve({ client_secret: SECRET }),
  ],
  ["oidc_client_credentials_pubkey", "service-pubkey", async (folder) => {
    const file = join(folder, "key.pem");
    await writeFile(file, testKey("rsa").encrypted(PASSWORD));
    return { client_privkey_file: file, client_privkey_password: PASSWORD };
  }],
];
for (const [client_type, client_id, proof] of TYPES) {
  test(`Auth.fromProfile() signs in, renews and signs out as ${client_type}, one token request each`, async () => {
    const folder = await tempFolder();
    await withSandbox(async ({ environment, log, url }) => {
      const storage = new MemoryStorage();
      await storage.save(".planet/p/auth_client.json", {
        client_type,
        client_id,
        auth_server: environment.userAuthServer,
        audiences: [...environment.audiences],
        scopes: client_id.startsWith("service")
          ? ["planet"]
          : ["openid", "planet", "offline_access"],
        redirect_uri: "http://127.0.0.1:0/cb",
        ...await proof(folder.path),
      });
      const auth = await Auth.fromProfile("p", { environment, storageProvider: storage });
      const isService = client_id.startsWith("service");
      const requests = () =>
        log.entries.filter(({ kind, status }) => kind === "token" && status === 200).length;
      if (!isService) await auth.userLogin({ allowOpenBrowser: true, ui, timeoutMs: 20_000 });
      const answer = await auth.fetch(`${url}/data/v1/searches`);
      await answer.body?.cancel();
      assertEquals(answer.status, 200);
      assertEquals(requests(), 1);
      await auth.accessToken({ forceRefresh: true });
      assertEquals(requests(), 2);
      const claims = await auth.validateAccessToken();
      assertEquals([claims.aud, claims.client_id], [environment.audiences[0], client_id]);
      if (!isService) {
        assertEquals((await auth.validateIdToken()).sub, "alice");
        assertEquals((await auth.introspect({ token: "refresh_token" })).active, true);
      }
      await auth.logout();
      assertEquals(await storage.exists(".planet/p/token.json"), false);
      const refused = log.entries.filter(({ status }) => status !== undefined && status >= 400);
      // A device is polled until the person is done; a JWT cannot be revoked at this server.
      const expected = refused.filter(({ grantType, kind }) =>
        grantType === "device_code" || (isService && kind === "revoke")
      );
      assertEquals(refused.length, expected.length, JSON.stringify(refused));
    }, { clients: CLIENTS, deviceInterval: 1 });
    await folder.remove();
  });
}

test("Auth.userinfo() tells who is signed in, for a profile without an audience", async () => {
  await withSandbox(async ({ clientId, environment }) => {
    const storage = new MemoryStorage();
    await storage.save(".planet/p/auth_client.json", {
      client_type: "oidc_auth_code",
      client_id: clientId,
      auth_server: environment.userAuthServer,
      scopes: ["openid", "email", "offline_access"],
      redirect_uri: "http://127.0.0.1:0/cb",
    });
    const auth = await Auth.fromProfile("p", { environment, storageProvider: storage });
    await auth.userLogin({ allowOpenBrowser: true, ui, timeoutMs: 20_000 });
    const { email, sub } = await auth.userinfo();
    assertEquals([sub, email], ["alice", "alice@example.test"]);
    assertEquals((await auth.introspect()).active, true);
    assertEquals((await auth.validateIdToken()).aud, clientId);
  });
});
