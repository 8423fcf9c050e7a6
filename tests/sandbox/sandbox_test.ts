/**
 * The sandbox is what most tests stand on, so it is tested itself.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { approveDevice, deny, signIn } from "./person.ts";
import { type Sandbox, type SandboxOptions, startSandbox, withSandbox } from "./sandbox.ts";

interface Json {
  [member: string]: string | undefined;
}

/** Members that are numbers. */
function numbers(json: Json, ...names: string[]): unknown[] {
  return names.map((name) => json[name]);
}

const VERIFIER = "sandbox-test-verifier-0123456789-abcdefghijklmnopqrstuvwxyz";

function sandboxTest(
  body: (sandbox: Sandbox) => Promise<void>,
  options?: SandboxOptions,
): () => Promise<void> {
  return () => withSandbox(body, options);
}

async function challenge(): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(VERIFIER));
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function post(url: string, form: Record<string, string>): Promise<[number, Json]> {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(form) });
  const text = await response.text();
  return [response.status, text === "" ? {} : JSON.parse(text)];
}

async function get(
  url: string,
  authorization?: string,
): Promise<[number, Record<string, unknown>]> {
  const response = await fetch(url, authorization ? { headers: { authorization } } : {});
  return [response.status, await response.json()];
}

async function authorizationUrl(sandbox: Sandbox, redirectUri: string): Promise<URL> {
  const url = new URL("auth", sandbox.environment.userAuthServer);
  url.search = new URLSearchParams({
    client_id: sandbox.clientId,
    response_type: "code",
    redirect_uri: redirectUri,
    state: "the-state",
    nonce: "the-nonce",
    code_challenge: await challenge(),
    code_challenge_method: "S256",
    scope: "planet offline_access",
    audience: sandbox.environment.audiences[0]!,
  }).toString();
  return url;
}

async function codeLogin(sandbox: Sandbox, redirectUri = "http://localhost:8080"): Promise<Json> {
  const { callback } = await signIn(await authorizationUrl(sandbox, redirectUri), {
    deliver: false,
  });
  assertEquals(callback?.searchParams.get("iss"), sandbox.environment.userAuthServer);
  assertEquals(callback?.searchParams.get("state"), "the-state");
  const [status, tokens] = await post(`${sandbox.environment.userAuthServer}token`, {
    grant_type: "authorization_code",
    client_id: sandbox.clientId,
    code: callback!.searchParams.get("code")!,
    redirect_uri: redirectUri,
    code_verifier: VERIFIER,
  });
  assertEquals(status, 200, JSON.stringify(tokens.error_description));
  return tokens;
}

function refresh(sandbox: Sandbox, refreshToken: string): Promise<[number, Json]> {
  return post(`${sandbox.environment.userAuthServer}token`, {
    grant_type: "refresh_token",
    client_id: sandbox.clientId,
    refresh_token: refreshToken,
  });
}

test(
  "sandbox: a person signs in by authorization code on any loopback redirect",
  sandboxTest(async (sandbox) => {
    for (
      const redirectUri of ["http://localhost:8080", "http://127.0.0.1:9/cb", "http://[::1]:9/"]
    ) {
      const tokens = await codeLogin(sandbox, redirectUri);
      assert(tokens.refresh_token, "offline_access gives a refresh token without prompt=consent");
      const [status] = await get(
        `${sandbox.url}/data/v1/searches`,
        `Bearer ${tokens.access_token}`,
      );
      assertEquals(status, 200);
    }
    assertEquals(sandbox.log.count("token", "authorization_code"), 3);
    assertEquals(sandbox.log.count("api"), 3);
  }),
);

test(
  "sandbox: a person who cancels sends access_denied with state and iss",
  sandboxTest(async (sandbox) => {
    const url = await authorizationUrl(sandbox, "http://localhost:8080");
    const { callback } = await deny(url, { deliver: false });
    assertEquals(callback?.searchParams.get("error"), "access_denied");
    assertEquals(callback?.searchParams.get("state"), "the-state");
  }),
);

test(
  "sandbox: a device is pending, then confirmed or denied (RFC 8628)",
  sandboxTest(async (sandbox) => {
    const { clientId, environment: { audiences, userAuthServer } } = sandbox;
    const poll = (device: Json) =>
      post(`${userAuthServer}token`, {
        grant_type: "urn:ietf:params:oauth:grant-type:device_code",
        client_id: clientId,
        device_code: device.device_code!,
      });
    for (const way of ["link", "typed", "denied"]) {
      const [, device] = await post(`${userAuthServer}device/auth`, {
        client_id: clientId,
        scope: "planet offline_access",
        audience: audiences[0]!,
      });
      assertEquals(numbers(device, "interval", "expires_in"), [2, 60]);
      assertEquals((await poll(device))[1].error, "authorization_pending");
      if (way === "link") await approveDevice(device.verification_uri_complete!);
      if (way === "typed") await approveDevice(device.verification_uri!, device.user_code!);
      if (way === "denied") await deny(device.verification_uri_complete!);
      const [status, tokens] = await poll(device);
      if (way === "denied") assertEquals(tokens.error, "access_denied");
      else assertEquals([status, typeof tokens.refresh_token], [200, "string"]);
    }
    await assertRejects(() => approveDevice(`${userAuthServer}device`, "NONE-SUCH"), Error);
  }, { deviceInterval: 2, deviceCodeSeconds: 60 }),
);

test(
  "sandbox: a refresh token that is spent twice ends the sign-in, at once too",
  sandboxTest(async (sandbox) => {
    const one = await codeLogin(sandbox);
    const [, two] = await refresh(sandbox, one.refresh_token!);
    assertEquals(sandbox.liveRefreshTokens, 1);
    const answers = await Promise.all([1, 2, 3].map(() => refresh(sandbox, two.refresh_token!)));
    assert(answers.filter(([status]) => status === 200).length <= 1);
    assert(sandbox.counters.reuseDetections >= 1);
    assertEquals(sandbox.counters.revokedGrants, 1);
    assertEquals(sandbox.liveRefreshTokens, 0);
    const winner = answers.find(([status]) => status === 200)?.[1] ?? two;
    assertEquals((await refresh(sandbox, winner.refresh_token!))[1].error, "invalid_grant");
  }),
);

test(
  "sandbox: reuse leaves the family alone where told so; without rotation nothing is spent",
  sandboxTest(async (sandbox) => {
    const one = await codeLogin(sandbox);
    const [, two] = await refresh(sandbox, one.refresh_token!);
    assertEquals((await refresh(sandbox, one.refresh_token!))[0], 400);
    const [status, three] = await refresh(sandbox, two.refresh_token!);
    assertEquals(status, 200);
    assertEquals(sandbox.counters, { reuseDetections: 1, revokedGrants: 0 });
    sandbox.settings.rotate = false;
    for (let round = 0; round < 3; round++) {
      const [status, same] = await refresh(sandbox, three.refresh_token!);
      assertEquals([status, same.refresh_token === three.refresh_token], [200, true]);
    }
  }, { killFamilyOnReuse: false }),
);

test(
  "sandbox: revoking and ending sessions make refresh tokens void (RFC 7009)",
  sandboxTest(async (sandbox) => {
    const one = await codeLogin(sandbox);
    const [revoked] = await post(`${sandbox.environment.userAuthServer}token/revocation`, {
      client_id: sandbox.clientId,
      token: one.refresh_token!,
    });
    assertEquals(revoked, 200);
    assertEquals((await refresh(sandbox, one.refresh_token!))[1].error, "invalid_grant");
    const two = await codeLogin(sandbox);
    sandbox.endSessions();
    assertEquals((await refresh(sandbox, two.refresh_token!))[1].error, "invalid_grant");
  }),
);

test(
  "sandbox: a service account's token lives as long as told; the API checks it",
  sandboxTest(async (sandbox) => {
    const { m2m, environment: { audiences, m2mAuthServer } } = sandbox;
    const login = (audience: string) =>
      post(`${m2mAuthServer}/token`, {
        grant_type: "client_credentials",
        client_id: m2m.clientId,
        client_secret: m2m.clientSecret,
        audience,
      });
    const searches = `${sandbox.url}/data/v1/searches`;
    const [, tokens] = await login(audiences[0]!);
    assertEquals(numbers(tokens, "expires_in"), [1]);
    sandbox.settings.accessTokenSeconds = 600;
    const [, longer] = await login(audiences[0]!);
    const bearer = `Bearer ${longer.access_token}`;
    assertEquals((await get(searches, bearer))[0], 200);
    sandbox.api.rejected.add(longer.access_token!);
    assertEquals((await get(searches, bearer))[0], 401);
    const [, other] = await login("https://other.example.test/");
    assertEquals((await get(searches, `Bearer ${other.access_token}`))[0], 401);
    assertEquals((await get(searches))[0], 401);
    assertEquals((await get(searches, `api-key ${sandbox.apiKey}`))[0], 200);
    assertEquals((await get(searches, `api-key ${secret("other")}`))[0], 401);
    const forged = bearer.slice(0, -4) + (bearer.endsWith("AAAA") ? "BBBB" : "AAAA");
    assertEquals((await get(searches, forged))[0], 401);
  }, { accessTokenSeconds: 1 }),
);

test(
  "sandbox: the API lists searches over pages and creates, runs, changes, deletes them",
  sandboxTest(async (sandbox) => {
    const authorization = `api-key ${sandbox.apiKey}`;
    const base = `${sandbox.url}/data/v1`;
    const names: string[] = [];
    let next: string | undefined = `${base}/searches`;
    let pages = 0;
    while (next !== undefined) {
      const [, page]: [number, Record<string, unknown>] = await get(next, authorization);
      names.push(...(page.searches as { name: string }[]).map(({ name }) => name));
      next = (page._links as { _next?: string })._next;
      pages++;
    }
    assertEquals([pages, names.length, names[0]], [3, 12, "Field 12"]);
    const call = async (method: string, path: string, body?: unknown) => {
      const headers = { authorization, "content-type": "application/json" };
      const init = body === undefined ? {} : { body: JSON.stringify(body) };
      const response = await fetch(base + path, { method, headers, ...init });
      const text = await response.text();
      return [response.status, text === "" ? undefined : JSON.parse(text)] as const;
    };
    const search = {
      name: "Mine",
      item_types: ["PSScene"],
      filter: { type: "AndFilter", config: [] },
    };
    const [created, { id }] = await call("POST", "/searches", search);
    assertEquals(created, 200);
    assertEquals(
      (await call("PUT", `/searches/${id}`, { ...search, name: "Ours" }))[1].name,
      "Ours",
    );
    assertEquals((await call("GET", `/searches/${id}/results`))[1].features.length, 5);
    assertEquals((await call("DELETE", `/searches/${id}`))[0], 204);
    assertEquals((await call("GET", `/searches/${id}`))[0], 404);
    const [, quick] = await call("POST", "/quick-search", search);
    const [item] = quick.features;
    assertEquals((await call("GET", `/item-types/PSScene/items/${item.id}`))[1].id, item.id);
    assertEquals((await call("POST", "/quick-search", {}))[0], 400);
  }, { searches: 12 }),
);

test("sandbox: faults answer in a server's place, and close() ends what hangs", async () => {
  const sandbox = await startSandbox();
  const token = `${sandbox.environment.userAuthServer}token`;
  sandbox.failNext("token", { status: 503, headers: { "retry-after": "7" }, body: { error: "x" } });
  const response = await fetch(token, { method: "POST" });
  assertEquals([response.status, response.headers.get("retry-after")], [503, "7"]);
  assertEquals(await response.json(), { error: "x" });
  // Deno's fetch sends a request again by itself where a kept connection is cut.
  sandbox.settings.fault = ({ kind }) => kind === "token" ? "reset" : undefined;
  await assertRejects(() => fetch(token, { method: "POST" }));
  sandbox.settings.fault = ({ kind }) => kind === "token" ? "hang" : undefined;
  sandbox.log.reset();
  const hanging = assertRejects(() => fetch(token, { method: "POST" }));
  const arrived = async () => {
    while (sandbox.log.count("token") < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await arrived();
  await sandbox.close();
  await hanging;
});

test(
  "sandbox: /environment.json is an environment with client IDs beside it, and no secret",
  sandboxTest(async (sandbox) => {
    const [status, document] = await get(`${sandbox.url}/environment.json`);
    assertEquals(status, 200);
    assertEquals(document.clientId, sandbox.clientId);
    assertEquals(document.m2m, { clientId: sandbox.m2m.clientId });
    const text = JSON.stringify(document);
    for (const secret of [sandbox.m2m.clientSecret, sandbox.apiKey]) assert(!text.includes(secret));
    for (const [name, value] of Object.entries(sandbox.environment)) {
      assertEquals(document[name], value);
    }
  }),
);

test(
  "sandbox: /clients.json has the client IDs and what proves them",
  sandboxTest(async ({ apiKey, clientId, m2m, url }) => {
    const [status, document] = await get(`${url}/clients.json`);
    assertEquals([status, document.clientId, document.m2m, document.apiKey], [
      200,
      clientId,
      m2m,
      apiKey,
    ]);
  }),
);
