/**
 * The authorization servers of others: how each is started on a free port of loopback, the clients that
 * it has, and how the tests ask it what happened.
 *
 * The task `test:servers` starts them ({@linkcode startServer}) and hands the tests, which run in
 * processes of their own, plain data ({@linkcode Server}). Needs what `tests/_tools/servers.ts` brings.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { freePort } from "../_support/free_port.ts";
import { type ServerName, serverProgram, SERVERS } from "../_tools/servers.ts";

/** Names of the authorization servers. */
export type AuthServerName = Exclude<ServerName, "denokv">;

/** What a client is for. */
export type Role =
  | "app"
  | "basic"
  | "consent"
  | "device"
  | "disabled"
  | "hard"
  | "key"
  | "post"
  | "web"
  | "webDevice"
  | "webKey"
  | "webPost";

/** A client as the server has it. */
export interface Client {
  /** `client_type` of `auth_client.json`. */
  readonly type: string;
  /** Its ID. */
  readonly id: string;
  /** Its secret. */
  readonly secret?: string;
  /** Whether it proves itself with the key of the tests. */
  readonly hasKey?: boolean;
  /** Scopes to ask for; default: those of the server. */
  readonly scopes?: readonly string[];
  /** Endpoints that its metadata does not name, by their member of `auth_client.json`, below the issuer. */
  readonly endpoints?: Readonly<Record<string, string>>;
  /** Redirect URI; default: any port of 127.0.0.1. */
  readonly redirectUri?: string;
}

/** What some servers cannot do. */
export type Feature =
  | "denied at the browser"
  | "device denied"
  | "disabled person"
  | "introspection"
  | "JWT access tokens"
  | "key rotation"
  | "page for a wrong redirect"
  | "realms"
  | "reuse detection"
  | "revocation"
  | "userinfo"
  | "userinfo refusal";

/** A server that runs, as plain data. */
export interface Server {
  /** Which one it is. */
  readonly name: AuthServerName;
  /** The same with its version, for people. */
  readonly title: string;
  /** Its issuer. */
  readonly issuer: string;
  /** Where it is administered; Hydra and Keycloak have such a place. */
  readonly admin?: string;
  /** File with all that it prints. */
  readonly log: string;
  /** File with the private key of the clients that have one, as PKCS#8. */
  readonly keyFile: string;
  /** `audience` to ask for. */
  readonly audiences: readonly string[];
  /** Scopes of a person's session. */
  readonly scopes: readonly string[];
  /** Name and password of the person. */
  readonly person: readonly [username: string, password: string];
  /** Its clients. */
  readonly clients: Readonly<Partial<Record<Role, Client>>>;
  /** What it does not offer, and why. */
  readonly lacks: Readonly<Partial<Record<Feature | Role, string>>>;
}

/** A server with its process. */
export interface StartedServer {
  /** What the tests get. */
  readonly server: Server;
  /** Ends the process. */
  stop(): Promise<void>;
}

/** Variable with the folder of a run, in which the servers are described and the outcomes collected. */
export const RUN_VARIABLE = "SERVERS_RUN";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const AUDIENCE = "https://api.planet.com/";
const CALLBACK = "http://127.0.0.1/callback";
const SCOPES = ["openid", "planet", "offline_access"];
/** A secret in which every way to encode a header or a form shows. */
const HARD_SECRET = "p%40ss+w:ord/é=1";

/** Life of access tokens, in seconds, where it can be set. */
const LIFE = 5;

/** How long a server may take to start, in milliseconds. */
const START_MS = 600_000;

/** Where and with what a server starts. */
interface Place {
  readonly port: number;
  readonly folder: string;
  readonly log: string;
  readonly keyFile: string;
  /** The public key of the clients that have one. */
  readonly jwk: Record<string, unknown>;
}

const service = "oidc_client_credentials_secret";
const secret = "svc-s3cret-s3cret";
const webSecret = "web-s3cret-s3cret";

/** What a server is, and how it starts. */
interface Kind extends Pick<Server, "audiences" | "clients" | "lacks" | "person" | "scopes"> {
  issuer(port: number): string;
  /** Port of its administration. */
  readonly adminPort?: (port: number) => number;
  /** What must answer before it is ready. */
  ready(port: number): string;
  /** Makes the files that it needs; returns how it is started. */
  command(place: Place): { args: string[]; env?: Record<string, string> };
  /** Makes clients and people, once it answers. */
  setUp?(server: Server, place: Place): Promise<void>;
}

const REALM = "w";

const KINDS: Readonly<Record<AuthServerName, Kind>> = {
  keycloak: {
    audiences: [AUDIENCE],
    scopes: SCOPES,
    person: ["person", "person-pw"],
    clients: {
      app: { type: "oidc_auth_code", id: "app" },
      // It demands PKCE of this one, at the device endpoint too.
      device: { type: "oidc_device_code", id: "app" },
      consent: { type: "oidc_auth_code", id: "app-consent" },
      disabled: { type: "oidc_device_code", id: "app-disabled" },
      basic: { type: service, id: "svc", secret, scopes: ["planet"] },
      post: { type: service, id: "svc", secret, scopes: ["planet"] },
      hard: { type: service, id: "svc-hard", secret: HARD_SECRET, scopes: ["planet"] },
      key: {
        type: "oidc_client_credentials_pubkey",
        id: "svc-key",
        hasKey: true,
        scopes: ["planet"],
      },
      web: { type: "oidc_auth_code_secret", id: "web-secret", secret: webSecret },
      webPost: { type: "oidc_auth_code_secret", id: "web-secret", secret: webSecret },
      webKey: { type: "oidc_auth_code_pubkey", id: "web-key", hasKey: true },
      webDevice: { type: "oidc_device_code_pubkey", id: "web-key", hasKey: true },
    },
    lacks: {},
    issuer: (port) => `http://127.0.0.1:${port}/realms/${REALM}`,
    adminPort: (port) => port,
    ready: (port) => `http://127.0.0.1:${port}/realms/master`,
    command: ({ port }) => ({
      // In memory: what an earlier run left is not there.
      args: ["start-dev", "--db=dev-mem", "--http-host=127.0.0.1", `--http-port=${port}`],
      env: { KC_BOOTSTRAP_ADMIN_USERNAME: "admin", KC_BOOTSTRAP_ADMIN_PASSWORD: "adminpw" },
    }),
    setUp: setUpKeycloak,
  },
  hydra: {
    audiences: [AUDIENCE],
    scopes: SCOPES,
    person: ["person", ""],
    clients: {
      app: { type: "oidc_auth_code", id: "app" },
      basic: { type: service, id: "svc-basic", secret, scopes: ["planet"] },
      post: { type: service, id: "svc-post", secret, scopes: ["planet"] },
      hard: { type: service, id: "svc-hard", secret: HARD_SECRET, scopes: ["planet"] },
      key: {
        type: "oidc_client_credentials_pubkey",
        id: "svc-key",
        hasKey: true,
        scopes: ["planet"],
      },
      web: { type: "oidc_auth_code_secret", id: "web-basic", secret: webSecret },
      webPost: { type: "oidc_auth_code_secret", id: "web-post", secret: webSecret },
      webKey: { type: "oidc_auth_code_pubkey", id: "web-key", hasKey: true },
      consent: { type: "oidc_auth_code", id: "app" },
    },
    lacks: {
      device: "no device endpoint before 25.4",
      webDevice: "no device endpoint before 25.4",
      disabled: "no client can be disabled",
      "disabled person": "people are the login application's",
      introspection: "at the administration only",
      realms: "one issuer",
      "device denied": "no device endpoint before 25.4",
      "userinfo refusal": "it answers a service account too",
      "key rotation": "it goes on signing with the key that it has loaded, though that is deleted",
    },
    issuer: (port) => `http://127.0.0.1:${port}`,
    adminPort: (port) => port + 1,
    ready: (port) => `http://127.0.0.1:${port}/health/ready`,
    command({ folder, port }) {
      const admin = `http://127.0.0.1:${port + 1}`;
      const config = {
        dsn: "memory",
        serve: {
          public: { host: "127.0.0.1", port },
          admin: { host: "127.0.0.1", port: port + 1 },
          cookies: { same_site_mode: "Lax" },
        },
        // Nobody listens there: the script at the browser answers at the administration.
        urls: {
          self: { issuer: `http://127.0.0.1:${port}` },
          login: `${admin}/login`,
          consent: `${admin}/consent`,
          logout: `${admin}/logout`,
        },
        strategies: { access_token: "jwt" },
        ttl: { access_token: `${LIFE}s`, id_token: "1h", refresh_token: "1h", auth_code: "60s" },
        secrets: { system: [crypto.randomUUID()] },
        oauth2: {
          pkce: { enforced_for_public_clients: true },
          grant: { refresh_token: { grace_period: "0s" } },
        },
        log: { level: "info", format: "text" },
      };
      // JSON is YAML.
      writeFileSync(`${folder}hydra.yml`, JSON.stringify(config));
      return { args: ["serve", "all", "--dev", "--sqa-opt-out", "-c", `${folder}hydra.yml`] };
    },
    setUp: setUpHydra,
  },
  zitadel: {
    audiences: [],
    scopes: ["openid", "offline_access"],
    person: ["test-user@127.0.0.1", "verysecure"],
    clients: {
      app: { type: "oidc_auth_code", id: "app" },
      basic: { type: service, id: "sid1", secret: "service-s3cret", scopes: [] },
      web: {
        type: "oidc_auth_code_secret",
        id: "web",
        secret: webSecret,
        redirectUri: "http://127.0.0.1:8977/callback",
      },
      webPost: {
        type: "oidc_auth_code_secret",
        id: "web",
        secret: webSecret,
        redirectUri: "http://127.0.0.1:8977/callback",
      },
      // It gives no ID token to a device, so "openid" cannot be asked for.
      webDevice: {
        type: "oidc_device_code_secret",
        id: "device",
        secret: "device-s3cret",
        scopes: ["offline_access"],
      },
    },
    lacks: {
      device: "its device clients have a secret",
      post: "its one service user takes either place",
      hard: "its secrets are in its source",
      key: "its service key is for the JWT bearer grant",
      webKey: "its example has no such client",
      consent: "it asks for none",
      disabled: "no client can be disabled",
      "denied at the browser": "its page has no way to say no",
      "disabled person": "nobody can be disabled",
      "JWT access tokens": "its access tokens are opaque",
      "key rotation": "it has one key for its life",
      realms: "one issuer",
      "userinfo refusal": "its refusals are empty",
      "reuse detection": "a spent token is refused, and ends nothing",
    },
    issuer: (port) => `http://127.0.0.1:${port}`,
    ready: (port) => `http://127.0.0.1:${port}/healthz`,
    command: ({ port }) => ({ args: [String(port)] }),
  },
  django: {
    audiences: [],
    scopes: SCOPES,
    person: ["person", "person-pw"],
    clients: {
      app: { type: "oidc_auth_code", id: "app" },
      device: {
        type: "oidc_device_code",
        id: "app-device",
        scopes: ["planet", "offline_access"],
        endpoints: { device_authorization_endpoint: "/device-authorization/" },
      },
      basic: { type: service, id: "svc", secret, scopes: ["planet", "introspection"] },
      post: { type: service, id: "svc", secret, scopes: ["planet", "introspection"] },
      hard: { type: service, id: "svc-hard", secret: HARD_SECRET, scopes: ["planet"] },
      web: { type: "oidc_auth_code_secret", id: "web", secret: webSecret },
      webPost: { type: "oidc_auth_code_secret", id: "web", secret: webSecret },
      consent: { type: "oidc_auth_code", id: "app" },
    },
    lacks: {
      key: "no private_key_jwt",
      webKey: "no private_key_jwt",
      webDevice: "its device endpoint does not ask for a secret",
      disabled: "no client can be disabled",
      "disabled person": "its tokens outlive that",
      "JWT access tokens": "its access tokens are opaque",
      "key rotation": "its key is in its settings",
      realms: "one issuer",
    },
    issuer: (port) => `http://127.0.0.1:${port}/o`,
    ready: (port) => `http://127.0.0.1:${port}/o/.well-known/openid-configuration`,
    command: ({ folder, port }) => ({
      args: [`${HERE}django_server.py`, "serve"],
      env: { FOLDER: folder, PORT: String(port) },
    }),
  },
};

/** Names of the authorization servers, in the order of the table. */
export const AUTH_SERVERS: readonly AuthServerName[] = Object.keys(KINDS) as AuthServerName[];

/** A port with a free neighbour, which Hydra needs for its administration. */
async function twoPorts(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const probe = await fetch(`http://127.0.0.1:${port + 1}`).catch(() => undefined);
    await probe?.body?.cancel();
    if (probe === undefined) return port;
  }
}

/** Runs a program to its end. */
function runOnce(program: string, args: string[], env: Record<string, string>): Promise<void> {
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => code ? reject(new Error(`${program}: ${code}`)) : resolve());
  });
}

async function untilReady(address: string, child: ChildProcess, log: string): Promise<void> {
  const until = performance.now() + START_MS;
  while (performance.now() < until) {
    const response = await fetch(address).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.status === 200) return;
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`It does not answer at ${address}: ${readFileSync(log, "utf8").slice(-2_000)}`);
}

/** Starts a server in `folder`, which is its own, and makes its clients. */
export async function startServer(name: AuthServerName, folder: string): Promise<StartedServer> {
  const kind = KINDS[name];
  const port = await twoPorts();
  mkdirSync(folder, { recursive: true });
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  const [log, keyFile] = [`${folder}log`, `${folder}key.pem`];
  writeFileSync(keyFile, pem, { mode: 0o600 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k1", use: "sig", alg: "RS256" };
  const place: Place = { port, folder, log, keyFile, jwk };
  const { title, version } = SERVERS[name];
  const { audiences, clients, lacks, person, scopes } = kind;
  const adminPort = kind.adminPort?.(port);
  const server: Server = {
    name,
    title: `${title} ${version}`,
    issuer: kind.issuer(port),
    ...(adminPort === undefined ? {} : { admin: `http://127.0.0.1:${adminPort}` }),
    log,
    keyFile,
    audiences,
    scopes,
    person,
    clients,
    lacks,
  };
  const { args, env = {} } = kind.command(place);
  const program = serverProgram(name);
  if (name === "django") await runOnce(program, [args[0]!, "seed"], env);
  const output = openSync(log, "a");
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", output, output],
    // A group of its own: Keycloak is a shell that starts Java.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
    return ended;
  };
  try {
    await untilReady(kind.ready(port), child, log);
    await kind.setUp?.(server, place);
  } catch (error) {
    await stop();
    throw error;
  }
  return { server, stop };
}

/** Calls an administration; the answer is its JSON. */
async function call(
  address: string,
  method: string,
  body?: unknown,
  headers: Record<string, string> = {},
  // deno-lint-ignore no-explicit-any
): Promise<any> {
  const response = await fetch(address, {
    method,
    headers: { ...headers, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${address}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** Calls Hydra's administration. */
export function callHydra({ admin }: Server, method: string, path: string, body?: unknown) {
  return call(`${admin}/admin${path}`, method, body);
}

async function setUpHydra(server: Server, { jwk }: Place): Promise<void> {
  const known = new Set<string>();
  for (const [role, { hasKey, id, secret, type }] of Object.entries(server.clients)) {
    if (known.has(id)) continue;
    known.add(id);
    const isService = type === service || type === "oidc_client_credentials_pubkey";
    const method = hasKey
      ? "private_key_jwt"
      : secret === undefined
      ? "none"
      : /post$/i.test(role)
      ? "client_secret_post"
      : "client_secret_basic";
    await callHydra(server, "POST", "/clients", {
      client_id: id,
      ...(secret === undefined ? {} : { client_secret: secret }),
      token_endpoint_auth_method: method,
      ...(hasKey ? { jwks: { keys: [jwk] }, token_endpoint_auth_signing_alg: "RS256" } : {}),
      grant_types: isService ? ["client_credentials"] : ["authorization_code", "refresh_token"],
      response_types: isService ? [] : ["code"],
      redirect_uris: isService ? [] : [CALLBACK],
      scope: SCOPES.join(" "),
      audience: [AUDIENCE],
    });
  }
  // It makes its keys when they are first needed, which takes a while.
  const basic = server.clients.basic!;
  const responses = [
    await fetch(`${server.issuer}/.well-known/jwks.json`),
    await fetch(`${server.issuer}/oauth2/token`, {
      method: "POST",
      headers: { authorization: `Basic ${btoa(`${basic.id}:${basic.secret}`)}` },
      body: new URLSearchParams({ grant_type: "client_credentials" }),
    }),
  ];
  for (const response of responses) {
    await response.body?.cancel();
    if (!response.ok) throw new Error(`Hydra has no keys: ${response.status}`);
  }
}

/** Calls Keycloak's administration. */
export async function callKeycloak(
  { admin }: Pick<Server, "admin">,
  method: string,
  path: string,
  body?: unknown,
) {
  const form = { grant_type: "password", client_id: "admin-cli" };
  const response = await fetch(`${admin}/realms/master/protocol/openid-connect/token`, {
    method: "POST",
    body: new URLSearchParams({ ...form, username: "admin", password: "adminpw" }),
  });
  const { access_token } = await response.json();
  return await call(`${admin}/admin/realms${path}`, method, body, {
    authorization: `Bearer ${access_token}`,
  });
}

/** What Keycloak writes down. */
const EVENTS = [
  "CLIENT_LOGIN",
  "CODE_TO_TOKEN",
  "INTROSPECT_TOKEN",
  "LOGIN",
  "OAUTH2_DEVICE_AUTH",
  "OAUTH2_DEVICE_CODE_TO_TOKEN",
  "REFRESH_TOKEN",
  "REVOKE_GRANT",
  "USER_INFO_REQUEST",
].flatMap((name) => [name, `${name}_ERROR`]);

async function setUpKeycloak(server: Server, { jwk }: Place): Promise<void> {
  const at = (method: string, path: string, body?: unknown) =>
    callKeycloak(server, method, path, body);
  const user = {
    username: "person",
    enabled: true,
    email: "person@example.test",
    emailVerified: true,
    firstName: "Test",
    lastName: "Person",
    credentials: [{ type: "password", value: "person-pw", temporary: false }],
    realmRoles: ["offline_access", `default-roles-${REALM}`],
  };
  await at("POST", "", {
    realm: REALM,
    enabled: true,
    sslRequired: "none",
    accessTokenLifespan: LIFE,
    revokeRefreshToken: true,
    refreshTokenMaxReuse: 0,
    eventsEnabled: true,
    eventsExpiration: 3600,
    enabledEventTypes: EVENTS,
    oauth2DevicePollingInterval: 1,
    oauth2DeviceCodeLifespan: 60,
    users: [user, { ...user, username: "other", email: "other@example.test" }],
  });
  // Planet's own server has it; Keycloak refuses scopes that it does not know.
  const audience = {
    name: "aud",
    protocol: "openid-connect",
    protocolMapper: "oidc-audience-mapper",
    config: { "included.custom.audience": AUDIENCE, "access.token.claim": "true" },
  };
  await at("POST", `/${REALM}/client-scopes`, {
    name: "planet",
    protocol: "openid-connect",
    attributes: { "include.in.token.scope": "true", "display.on.consent.screen": "true" },
    protocolMappers: [audience],
  });
  const scopes: { id: string; name: string }[] = await at("GET", `/${REALM}/client-scopes`);
  const planet = scopes.find(({ name }) => name === "planet")!.id;
  const known = new Set<string>();
  for (const [role, { hasKey, id, secret, type }] of Object.entries(server.clients)) {
    if (known.has(id)) continue;
    known.add(id);
    const isService = type.startsWith("oidc_client_credentials");
    const isPublic = secret === undefined && !hasKey;
    const key = { "use.jwks.string": "true", "jwks.string": JSON.stringify({ keys: [jwk] }) };
    await at("POST", `/${REALM}/clients`, {
      clientId: id,
      enabled: role !== "disabled",
      publicClient: isPublic,
      consentRequired: role === "consent",
      standardFlowEnabled: !isService,
      serviceAccountsEnabled: isService,
      directAccessGrantsEnabled: false,
      redirectUris: isService ? [] : ["http://127.0.0.1/*"],
      ...(secret === undefined ? {} : { secret }),
      ...(hasKey ? { clientAuthenticatorType: "client-jwt" } : {}),
      attributes: {
        ...(isPublic ? { "pkce.code.challenge.method": "S256" } : {}),
        ...(hasKey ? key : {}),
        "oauth2.device.authorization.grant.enabled": String(!isService),
      },
    });
    const [made] = await at("GET", `/${REALM}/clients?clientId=${id}`);
    await at("PUT", `/${REALM}/clients/${made.id}/optional-client-scopes/${planet}`);
  }
}

/** A request that a log is asked for. */
export type LoggedRequest = "revocation" | "token";

/** What is in a log for each, and in Keycloak's events. */
const LOGGED: Readonly<
  Record<AuthServerName, Readonly<Record<LoggedRequest, RegExp | readonly string[]>>>
> = {
  keycloak: {
    token: ["CLIENT_LOGIN", "CODE_TO_TOKEN", "OAUTH2_DEVICE_CODE_TO_TOKEN", "REFRESH_TOKEN"],
    revocation: ["REVOKE_GRANT"],
  },
  hydra: {
    token: /completed handling request.*path:\/oauth2\/token\b/g,
    revocation: /completed handling request.*path:\/oauth2\/revoke\b/g,
  },
  zitadel: {
    token: /msg="request served" request\.method=POST request\.url=\/oauth\/token\b/g,
    revocation: /msg="request served" request\.method=POST request\.url=\/revoke\b/g,
  },
  django: {
    token: /"POST \/o\/token\/ HTTP/g,
    revocation: /"POST \/o\/revoke_token\/ HTTP/g,
  },
};

/** How many requests of a kind the server itself wrote down, refused ones too. */
export async function count(server: Server, what: LoggedRequest): Promise<number> {
  const logged = LOGGED[server.name][what];
  if (logged instanceof RegExp) {
    return [...readFileSync(server.log, "utf8").matchAll(logged)].length;
  }
  const types = logged.flatMap((name) => [`type=${name}`, `type=${name}_ERROR`]).join("&");
  const events: unknown[] = await callKeycloak(
    server,
    "GET",
    `/${REALM}/events?max=100000&${types}`,
  );
  return events.length;
}

/** Makes Keycloak sign with a new key from now on. */
export async function rotateKeys(server: Server): Promise<void> {
  const realm = await callKeycloak(server, "GET", `/${REALM}`);
  await callKeycloak(server, "POST", `/${REALM}/components`, {
    name: crypto.randomUUID(),
    providerId: "rsa-generated",
    providerType: "org.keycloak.keys.KeyProvider",
    parentId: realm.id,
    // The highest priority signs.
    config: { priority: [String(Date.now())], algorithm: ["RS256"], keySize: ["2048"] },
  });
}

/** Lets a person in, or does not any more. */
export async function enablePerson(
  server: Server,
  username: string,
  enabled: boolean,
): Promise<void> {
  const [user] = await callKeycloak(
    server,
    "GET",
    `/${REALM}/users?username=${username}&exact=true`,
  );
  await callKeycloak(server, "PUT", `/${REALM}/users/${user.id}`, { enabled });
}
