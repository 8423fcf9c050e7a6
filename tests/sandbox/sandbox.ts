/**
 * The local world that tests, examples and the demo run against.
 *
 * Two real authorization servers (`npm:oidc-provider`) set up like Planet's, a
 * small Data API that checks their tokens, and a storage, all on 127.0.0.1. Run
 * as a program (`deno task sandbox`) it stays up and prints how to use it.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { PlanetEnvironment } from "../../lib/setup.ts";
import {
  type AuthorizationServer,
  authorizationServer,
  type AuthorizationServerCounters,
  type AuthorizationServerSettings,
} from "./authorization_server.ts";
import {
  noteMembers,
  noteRequest,
  noteSecret,
  noteServers,
  type ServerGroup,
} from "../_support/watch.ts";
import { DataApi, isDownload } from "./data_api.ts";
import { DestinationsApi, FeaturesApi, QuotaApi } from "./account_apis.ts";
import { BasemapsApi } from "./basemaps_api.ts";
import { OrdersApi } from "./orders_api.ts";
import { Storage } from "./storage.ts";
import { SubscriptionsApi } from "./subscriptions_api.ts";
import { listen, type Listening, readBody, sendJson } from "./http_server.ts";

/** What a request is for. */
export type RequestKind =
  | "discovery"
  | "jwks"
  | "authorize"
  | "interaction"
  | "token"
  | "device"
  | "device_page"
  | "revoke"
  | "introspect"
  | "userinfo"
  | "api"
  | "download"
  | "storage"
  | "environment"
  | "other";

/** A request that reached the sandbox. */
export interface LoggedRequest {
  /** Which of the servers. */
  readonly server: "user" | "m2m" | "api" | "storage";
  /** What it is for. */
  readonly kind: RequestKind;
  /** Method, in capitals. */
  readonly method: string;
  /** Whole URL. */
  readonly url: URL;
  /** Headers. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Body as text. */
  readonly body: string;
  /** Body as a form; empty where it is none. */
  readonly form: URLSearchParams;
  /** Short grant type of a token request: `refresh_token`, `device_code` … */
  readonly grantType: string | undefined;
  /** When it came, in epoch milliseconds. */
  readonly at: number;
  /** Status of the answer; `undefined` while there is none. */
  status: number | undefined;
}

/** What answers in a server's place: an answer, silence, or a cut connection. */
export type Fault =
  | {
    /** Status code. */
    readonly status: number;
    /** Headers. */
    readonly headers?: Record<string, string>;
    /** Body; an object is sent as JSON. */
    readonly body?: unknown;
  }
  | "hang"
  | "reset";

/** Looks at a request and may answer in the server's place. */
export type FaultHook = (
  request: LoggedRequest,
) => Fault | undefined | Promise<Fault | undefined>;

/** What may be changed while the sandbox runs. */
export interface SandboxSettings extends AuthorizationServerSettings {
  /** How long the token endpoints wait before they answer, in milliseconds. */
  tokenLatencyMs: number;
  /** May answer in the server's place. */
  fault: FaultHook | undefined;
}

/** How a sandbox starts. */
export interface SandboxOptions extends Partial<SandboxSettings> {
  /** How many saved searches there are; default 12. */
  searches?: number;
  /** How many items there are of each type; default 12. */
  items?: number;
  /** Fixed ports of the servers for people, for service accounts, of API and storage; default: any. */
  ports?: readonly [user: number, m2m: number, api: number, storage?: number];
  /** Redirect URI that the examples use; default `http://localhost:8080`. */
  callbackUrl?: string;
  /** More redirect URIs of the public client. */
  redirectUris?: readonly string[];
  /** More clients of the server for people, as in RFC 7591 §2. */
  clients?: readonly Record<string, unknown>[];
}

/** The requests that came, oldest first. */
export class RequestLog {
  /** Every request since the last reset. */
  readonly entries: LoggedRequest[] = [];

  /** How many were of `kind`, and of `grantType` where it is given. */
  count(kind: RequestKind, grantType?: string): number {
    return this.entries.filter((entry) =>
      entry.kind === kind && (grantType === undefined || entry.grantType === grantType)
    ).length;
  }

  /** How many reached an authorization server, whatever for. */
  get toAuthorizationServers(): number {
    return this.entries.filter(({ server }) => server === "user" || server === "m2m").length;
  }

  /** Forgets all. */
  reset(): void {
    this.entries.length = 0;
  }
}

/** The public client. */
export const CLIENT_ID = "sandbox-app";

/** Client and secret of the service account; worth nothing outside a sandbox. */
const M2M = { clientId: "sandbox-service", clientSecret: "sandbox-secret-worth-nothing-at-all" };

/** The API key that the Data API accepts. */
const API_KEY = "sandbox-api-key-good-for-this-world-only";

/** Path of the issuer for service accounts, as Planet's has one. */
const M2M_PATH = "/auth/realms/main";

/** A running sandbox. */
export interface Sandbox {
  /** Where it is: the origin of the API, which also has `/environment.json`. */
  readonly url: string;
  /** Where the storage is. */
  readonly storageUrl: string;
  /** The servers, as the library takes them. */
  readonly environment: PlanetEnvironment;
  /** The public client: authorization code, device code, refresh. */
  readonly clientId: string;
  /** The service account. */
  readonly m2m: { readonly clientId: string; readonly clientSecret: string };
  /** The API key. */
  readonly apiKey: string;
  /** What may be changed at any time. */
  readonly settings: SandboxSettings;
  /** What came. */
  readonly log: RequestLog;
  /** What the authorization servers noticed. */
  readonly counters: AuthorizationServerCounters;
  /** The data, and tokens to refuse. */
  readonly api: DataApi;
  /** The orders. */
  readonly orders: OrdersApi;
  /** The destinations. */
  readonly destinations: DestinationsApi;
  /** The collections of features. */
  readonly features: FeaturesApi;
  /** The mosaics. */
  readonly mosaics: BasemapsApi;
  /** The quota. */
  readonly quota: QuotaApi;
  /** The subscriptions. */
  readonly subscriptions: SubscriptionsApi;
  /** The bytes of the assets, and what goes wrong with them. */
  readonly storage: Storage;
  /** Answers the next `times` requests of `kind` with `fault`; other hooks come after it. */
  failNext(kind: RequestKind, fault: Fault, times?: number): void;
  /** Makes every refresh token void, as an administrator does. */
  endSessions(): void;
  /** How many refresh tokens could still be spent. */
  readonly liveRefreshTokens: number;
  /** Stops everything at once. */
  close(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

let keys: Promise<CryptoKeyPair> | undefined;

/** One key pair for all sandboxes of a process: making one takes a while. */
function signingKeys(): Promise<CryptoKeyPair> {
  return keys ??= crypto.subtle.generateKey(
    {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    },
    true,
    ["sign", "verify"],
  ) as Promise<CryptoKeyPair>;
}

function kindOf(server: LoggedRequest["server"], path: string): RequestKind {
  if (server === "storage") return "storage";
  if (server === "api") {
    return path === "/environment.json" || path === "/clients.json"
      ? "environment"
      : isDownload(path)
      ? "download"
      : /^\/(account|basemaps|compute|data|destinations|features|subscriptions)\//.test(path)
      ? "api"
      : "other";
  }
  if (path.startsWith("/.well-known/")) return "discovery";
  const kinds: Record<string, RequestKind> = {
    "/auth": "authorize",
    "/device": "device_page",
    "/device/auth": "device",
    "/jwks": "jwks",
    "/me": "userinfo",
    "/token": "token",
    "/token/introspection": "introspect",
    "/token/revocation": "revoke",
  };
  return kinds[path] ?? (/^\/(auth|interaction|device)\//.test(path) ? "interaction" : "other");
}

/** The headers of a request, as `fetch` has them. */
function headersOf(request: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, String(value));
  }
  return headers;
}

/** Notes the secrets that an answer hands out: tokens and codes in JSON, a code in a redirect. */
function noteAnswer(response: ServerResponse, group: ServerGroup): void {
  const { end } = response;
  response.end = ((...args: unknown[]) => {
    const [body] = args;
    if (typeof body === "string" || body instanceof Uint8Array) {
      const text = typeof body === "string" ? body : new TextDecoder().decode(body);
      try {
        noteMembers(JSON.parse(text), group);
      } catch {
        // A page.
      }
    }
    const location = String(response.getHeader("location") ?? "");
    const code = /[?&]code=([^&]+)/.exec(location)?.[1];
    if (code !== undefined) noteSecret("code", decodeURIComponent(code), group);
    return (end as (...args: unknown[]) => ServerResponse).apply(response, args);
  }) as typeof end;
}

/** A request whose body was read, as a stream that can be read again. */
function replay(request: IncomingMessage, path: string, body: string): IncomingMessage {
  const again = Readable.from(body === "" ? [] : [new TextEncoder().encode(body)], {
    objectMode: false,
  });
  const headers = { ...request.headers };
  if (body !== "") headers["content-length"] = String(new TextEncoder().encode(body).length);
  return Object.assign(again, {
    method: request.method,
    url: path,
    originalUrl: request.url,
    headers,
    rawHeaders: request.rawHeaders,
    httpVersion: request.httpVersion,
    httpVersionMajor: request.httpVersionMajor,
    httpVersionMinor: request.httpVersionMinor,
    socket: request.socket,
    connection: request.socket,
    complete: true,
  }) as unknown as IncomingMessage;
}

/**
 * Makes an authorization request one that oidc-provider takes as Planet's server
 * does: it hands out a refresh token for `offline_access` without a prompt for
 * consent (OpenID Connect Core §11), and minds no `nonce` without `openid`.
 */
function asPlanetTakesIt(path: string): string {
  const url = new URL(path, "http://sandbox");
  const query = url.searchParams;
  const scopes = query.get("scope")?.split(" ") ?? [];
  if (url.pathname !== "/auth") return path;
  if (scopes.includes("offline_access") && !query.has("prompt")) query.set("prompt", "consent");
  if (!scopes.includes("openid")) query.delete("nonce");
  return url.pathname + url.search;
}

/** Takes client credentials from the header into the body, where this server expects them. */
function credentialsInBody(request: IncomingMessage, body: string): string {
  const basic = /^basic (.+)$/i.exec(request.headers.authorization ?? "");
  if (basic === null) return body;
  delete request.headers.authorization;
  const [id = "", secret = ""] = atob(basic[1]!).split(":").map(decodeURIComponent);
  const form = new URLSearchParams(body);
  form.set("client_id", id);
  form.set("client_secret", secret);
  return form.toString();
}

/** Starts a sandbox on 127.0.0.1. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const {
    callbackUrl = "http://localhost:8080",
    clients = [],
    items,
    ports = [0, 0, 0],
    redirectUris = [],
    searches,
    ...changes
  } = options;
  const settings: SandboxSettings = {
    accessTokenSeconds: 3600,
    refreshTokenSeconds: 14 * 86_400,
    deviceCodeSeconds: 600,
    deviceInterval: 1,
    rotate: true,
    killFamilyOnReuse: true,
    tokenLatencyMs: 0,
    fault: undefined,
    ...changes,
  };
  const counters = { reuseDetections: 0, revokedGrants: 0 };
  const log = new RequestLog();
  const failing: { kind: RequestKind; fault: Fault; times: number }[] = [];
  const closing = new AbortController();
  let group: ServerGroup | undefined;
  const servers: { user?: AuthorizationServer; m2m?: AuthorizationServer } = {};
  let api: DataApi | undefined;
  let storage: Storage | undefined;
  let publicInfo: Record<string, unknown> = {};
  let secretInfo: Record<string, unknown> = {};

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      if (ms <= 0 || closing.signal.aborted) return resolve();
      const timer = setTimeout(done, ms);
      function done() {
        clearTimeout(timer);
        closing.signal.removeEventListener("abort", done);
        resolve();
      }
      closing.signal.addEventListener("abort", done);
    });

  const faultFor = async (entry: LoggedRequest): Promise<Fault | undefined> => {
    const next = failing.find(({ kind, times }) => kind === entry.kind && times > 0);
    if (next !== undefined) {
      next.times--;
      return next.fault;
    }
    return await settings.fault?.(entry);
  };

  const serve =
    (server: LoggedRequest["server"], prefix: string) =>
    async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const target = request.url ?? "/";
      if (!target.startsWith(`${prefix}/`)) {
        return sendJson(response, 404, { error: "not_found" });
      }
      const path = target.slice(prefix.length);
      const url = new URL(target, `http://${request.headers.host ?? "127.0.0.1"}`);
      const headers = { ...request.headers };
      let body = await readBody(request);
      const isForm = /urlencoded/.test(request.headers["content-type"] ?? "");
      const form = new URLSearchParams(isForm ? body : "");
      const entry: LoggedRequest = {
        server,
        kind: kindOf(server, path.split("?")[0]!),
        method: request.method ?? "GET",
        url,
        headers,
        body,
        form,
        grantType: form.get("grant_type")?.split(":").at(-1),
        at: Date.now(),
        status: undefined,
      };
      log.entries.push(entry);
      noteRequest({ method: entry.method, url: url.href, headers: headersOf(request), body });
      if (group !== undefined) noteAnswer(response, group);
      response.on("finish", () => entry.status = response.statusCode);
      if (entry.kind === "token") await pause(settings.tokenLatencyMs);
      const fault = await faultFor(entry);
      if (fault === "hang") return;
      if (fault === "reset") return void request.socket.destroy();
      if (fault !== undefined) {
        const json = typeof fault.body === "object" && fault.body !== null;
        response.writeHead(fault.status, {
          ...(json ? { "content-type": "application/json" } : {}),
          ...fault.headers,
        });
        response.end(json ? JSON.stringify(fault.body) : String(fault.body ?? ""));
        return;
      }
      if (entry.kind === "environment") {
        const isPublic = url.pathname === "/environment.json";
        return sendJson(response, 200, isPublic ? publicInfo : secretInfo);
      }
      if (server === "api") {
        const authorization = request.headers.authorization;
        return await api!.handle({ method: entry.method, url, authorization, body }, response);
      }
      if (server === "storage") return await storage!.handle(request, response, url);
      if (server === "m2m") body = credentialsInBody(request, body);
      servers[server]!.handle(replay(request, asPlanetTakesIt(path), body), response);
    };

  const listening: Listening[] = [];
  const close = async () => {
    closing.abort();
    await Promise.all(listening.map((server) => server.close()));
  };
  try {
    const { privateKey, publicKey } = await signingKeys();
    const key = await crypto.subtle.exportKey("jwk", privateKey);
    listening.push(await listen(serve("user", ""), ports[0]));
    listening.push(await listen(serve("m2m", M2M_PATH), ports[1]));
    listening.push(await listen(serve("api", ""), ports[2]));
    listening.push(await listen(serve("storage", ""), ports[3]));
    const [userOrigin, m2mOrigin, url, storageOrigin] = listening.map(({ origin }) => origin) as [
      string,
      string,
      string,
      string,
    ];
    const environment: PlanetEnvironment = {
      userAuthServer: `${userOrigin}/`,
      m2mAuthServer: `${m2mOrigin}${M2M_PATH}`,
      audiences: [`${url}/`],
      apiBaseUrl: url,
      allowedOrigins: [url],
    };
    group = {
      authorization: [environment.userAuthServer, environment.m2mAuthServer],
      api: [url],
    };
    noteServers(group);
    noteSecret("client secret", M2M.clientSecret, group);
    noteSecret("API key", API_KEY, group);
    const paths = ["", "/", "/callback", "/cb"];
    const hosts = ["localhost", "127.0.0.1", "[::1]"];
    const native = {
      client_id: CLIENT_ID,
      client_name: "Sandbox application",
      application_type: "native",
      token_endpoint_auth_method: "none",
      grant_types: [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
      ],
      response_types: ["code"],
      redirect_uris: [
        ...hosts.flatMap((host) => paths.map((path) => `http://${host}${path}`)),
        ...redirectUris,
      ],
    };
    servers.user = await authorizationServer({
      issuer: environment.userAuthServer,
      clients: [native, ...clients],
      key,
      settings,
      counters,
    });
    servers.m2m = await authorizationServer({
      issuer: environment.m2mAuthServer,
      clients: [{
        client_id: M2M.clientId,
        client_secret: M2M.clientSecret,
        token_endpoint_auth_method: "client_secret_post",
        grant_types: ["client_credentials"],
        response_types: [],
        redirect_uris: [],
      }],
      key,
      settings,
      counters,
    });
    api = new DataApi(
      url,
      {
        issuers: [environment.userAuthServer, environment.m2mAuthServer],
        audience: `${url}/`,
        publicKey,
        apiKey: API_KEY,
      },
      searches,
      items,
    );
    const orders = new OrdersApi(api);
    const mosaics = new BasemapsApi(api);
    const destinations = new DestinationsApi();
    const features = new FeaturesApi();
    const quota = new QuotaApi();
    const subscriptions = new SubscriptionsApi(url);
    const rooms = { destinations, features, mosaics, orders, quota, subscriptions };
    api.rooms.push(...Object.values(rooms));
    const { file } = api;
    storage = new Storage(
      (path) => orders.file(path) ?? mosaics.file(path) ?? file(path),
      closing.signal,
    );
    Object.assign(api, { storage, storageOrigin });
    publicInfo = {
      ...environment,
      clientId: CLIENT_ID,
      callbackUrl,
      m2m: { clientId: M2M.clientId },
      storage: storageOrigin,
    };
    secretInfo = { clientId: CLIENT_ID, callbackUrl, m2m: M2M, apiKey: API_KEY };
    return {
      url,
      storageUrl: storageOrigin,
      environment,
      clientId: CLIENT_ID,
      m2m: M2M,
      apiKey: API_KEY,
      settings,
      log,
      counters,
      api,
      ...rooms,
      storage,
      failNext(kind: RequestKind, fault: Fault, times = 1): void {
        failing.push({ kind, fault, times });
      },
      endSessions: () => servers.user!.state.forgetGrants(),
      get liveRefreshTokens(): number {
        return servers.user!.state.liveRefreshTokens;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs `body` with a sandbox and closes it; Node 22 cannot read `await using`. */
export async function withSandbox<T>(
  body: (sandbox: Sandbox) => Promise<T>,
  options?: SandboxOptions,
): Promise<T> {
  const sandbox = await startSandbox(options);
  try {
    return await body(sandbox);
  } finally {
    await sandbox.close();
  }
}

// Not awaited: the other module waits for this one.
if (import.meta.main) void import("./serve.ts").then(({ serve }) => serve());
