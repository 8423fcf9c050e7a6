/**
 * A tiny authorization server that says what a test tells it to.
 *
 * For what a real one will not do: `slow_down`, malformed bodies, 5xx,
 * Retry-After, silence, no rotation. In the process as a `fetch` without a
 * socket, or on loopback.
 *
 * @module
 */

import type { PlanetEnvironment } from "../../lib/setup.ts";
import { listen, readBody } from "../sandbox/http_server.ts";
import { secret } from "./canaries.ts";
import { noteMembers, noteRequest, noteServers, type ServerGroup } from "./watch.ts";

/**
 * One answer: the code of an OAuth error (status 400), an object (JSON, status
 * 200), a whole answer, an error to reject with as when the network fails, or
 * `HANG`. `RESET` cuts the connection on loopback.
 */
export type FakeAnswer =
  | string
  | Record<string, unknown>
  | FakeResponse
  | Error
  | typeof HANG
  | typeof RESET;

/** An answer in full. */
export class FakeResponse {
  /** Status code. */
  readonly status: number;
  /** Body. */
  readonly body: unknown;
  /** Headers. */
  readonly headers: Record<string, string>;

  /** Makes an answer; an object as body is sent as JSON. */
  constructor(status: number, body: unknown = "", headers: Record<string, string> = {}) {
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

/** Never answers; the caller's signal ends it. */
export const HANG: unique symbol = Symbol("hang");

/** Cuts the connection. */
export const RESET: unique symbol = Symbol("reset");

/** A request that came. */
export interface FakeRequest {
  /** Method, in capitals. */
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** Whole URL. */
  readonly url: URL;
  /** Headers. */
  readonly headers: Headers;
  /** Body as a form. */
  readonly form: URLSearchParams;
}

/** Answers in turn, the last one for good; or a function that decides. */
export type FakeScript =
  | readonly FakeAnswer[]
  | ((request: FakeRequest, index: number) => FakeAnswer | Promise<FakeAnswer>);

/** How a fake server behaves. */
export interface FakeServerOptions {
  /** Where it claims to be; default `https://auth.fake.test`. */
  origin?: string;
  /** Changes of the discovery document; `undefined` takes a member away. */
  metadata?: Record<string, unknown> | undefined;
  /** Answers of the discovery endpoint; default: the document. */
  discovery?: FakeScript | undefined;
  /** Answers of the token endpoint; default: tokens with numbers. */
  token?: FakeScript;
  /** Answers of the device authorization endpoint; default: a grant without an interval. */
  device?: FakeScript;
  /** Answers of the revocation endpoint; default: 200. */
  revoke?: FakeScript;
  /** Answers of everything else, the API included; default: an empty list of searches. */
  api?: FakeScript | undefined;
  /** Life of its access tokens in seconds; default 3600. */
  expiresIn?: number;
  /** Whether a refresh gives a new refresh token; default false. */
  rotate?: boolean;
}

/** A server that says what it is told to. */
export interface FakeServer {
  /** Its issuer identifier. */
  readonly issuer: string;
  /** Its environment, for both kinds of client; the API has an origin of its own. */
  readonly environment: PlanetEnvironment;
  /** Answers like `globalThis.fetch`, without a socket. */
  readonly fetch: typeof globalThis.fetch;
  /** What came, oldest first. */
  readonly requests: FakeRequest[];
  /** What came for `path`, such as `/token`. */
  to(path: string): FakeRequest[];
  /** What may be changed at any time. */
  readonly options: FakeServerOptions;
}

/** A fake server on loopback. */
export interface ListeningFakeServer extends FakeServer {
  /** Stops at once. */
  close(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** That of the runtime, whoever listens to the global one during a test. */
const { Response } = globalThis;

/** Makes a fake server in the process. */
export function fakeServer(options: FakeServerOptions = {}): FakeServer {
  const issuer = options.origin ?? "https://auth.fake.test";
  const api = options.origin ?? "https://api.fake.test";
  const group: ServerGroup = { authorization: [issuer], api: [api] };
  noteServers(group);
  const requests: FakeRequest[] = [];
  const seen = new Map<string, number>();
  const to = (path: string) => requests.filter((request) => request.path === path);

  const document = () => {
    const all: Record<string, unknown> = {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      device_authorization_endpoint: `${issuer}/device`,
      revocation_endpoint: `${issuer}/revoke`,
      response_types_supported: ["code"],
      code_challenge_methods_supported: ["S256"],
      authorization_response_iss_parameter_supported: true,
      ...options.metadata,
    };
    return all;
  };
  let issued = 0;
  const tokens = ({ form }: FakeRequest): FakeAnswer => {
    const number = ++issued;
    const user = form.get("grant_type") !== "client_credentials";
    const fresh = user && (form.get("grant_type") !== "refresh_token" || options.rotate === true);
    return {
      access_token: secret(`AT${number}`),
      token_type: "Bearer",
      expires_in: options.expiresIn ?? 3600,
      ...(fresh ? { refresh_token: secret(`RT${number}`) } : {}),
    };
  };
  const grant: FakeAnswer = {
    device_code: secret("DC1"),
    user_code: "ABCD-EFGH",
    verification_uri: `${issuer}/activate`,
    verification_uri_complete: `${issuer}/activate?user_code=ABCD-EFGH`,
    expires_in: 600,
  };
  const answer = async (request: FakeRequest): Promise<FakeAnswer> => {
    requests.push(request);
    const { path } = request;
    const scripts: Record<string, [FakeScript | undefined, (r: FakeRequest) => FakeAnswer]> = {
      "/token": [options.token, tokens],
      "/device": [options.device, () => grant],
      "/revoke": [options.revoke, () => new FakeResponse(200)],
    };
    const [script, standard] = path.startsWith("/.well-known/")
      ? [options.discovery, document]
      : scripts[path] ?? [options.api, () => ({ _links: {}, searches: [] })];
    const index = seen.get(path) ?? 0;
    seen.set(path, index + 1);
    if (script === undefined) return standard(request);
    if (typeof script === "function") return await script(request, index);
    return script[Math.min(index, script.length - 1)] ?? standard(request);
  };

  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const signal = init?.signal ?? request.signal;
    signal.throwIfAborted();
    const url = new URL(request.url);
    const { headers, method } = request;
    const text = await request.text();
    const isForm = /urlencoded/.test(headers.get("content-type") ?? "");
    const form = new URLSearchParams(isForm ? text : "");
    noteRequest({ method, url: url.href, headers, body: text });
    const said = await answer({ method, url, path: url.pathname, headers, form });
    noteMembers(said instanceof FakeResponse ? said.body : said, group);
    signal.throwIfAborted();
    if (said === HANG) {
      return await new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    }
    if (said === RESET) throw new TypeError("The connection was cut.");
    if (said instanceof Error) throw said;
    const { body, headers: more, status } = inFull(said);
    return new Response(status === 204 || status === 304 ? null : body, { status, headers: more });
  };
  return {
    issuer,
    environment: {
      userAuthServer: issuer,
      m2mAuthServer: issuer,
      audiences: [`${api}/`],
      apiBaseUrl: api,
    },
    fetch: fetch as typeof globalThis.fetch,
    requests,
    to,
    options,
  };
}

function inFull(
  said: string | Record<string, unknown> | FakeResponse,
): { status: number; body: string; headers: Record<string, string> } {
  if (typeof said === "string") said = new FakeResponse(400, { error: said });
  if (!(said instanceof FakeResponse)) said = new FakeResponse(200, said);
  const { body, headers, status } = said as FakeResponse;
  return typeof body === "string" ? { status, body, headers } : {
    status,
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  };
}

/** Starts a fake server on loopback. */
export async function startFakeServer(
  options: FakeServerOptions = {},
): Promise<ListeningFakeServer> {
  const server = await listen(async (request, response) => {
    const body = await readBody(request);
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (typeof value === "string") headers.set(name, value);
    }
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    let answer: Response;
    try {
      answer = await fake.fetch(new URL(request.url ?? "/", server.origin), {
        method: request.method ?? "GET",
        headers,
        signal: gone.signal,
        ...(body === "" ? {} : { body }),
      });
    } catch {
      return void request.socket.destroy();
    }
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(await answer.text());
  });
  const fake = fakeServer({ ...options, origin: server.origin });
  return { ...fake, close: server.close, [Symbol.asyncDispose]: server.close };
}
