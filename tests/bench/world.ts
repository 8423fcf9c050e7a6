/**
 * The server side of the benchmarks, in a process of its own: an authorization
 * server that is quick, counts, rotates refresh tokens and ends a session whose
 * used refresh token comes again (RFC 9700 §4.14.2), and an API.
 *
 * `POST /reset` with `{ latencyMs, expiresIn }` starts afresh and answers with a
 * token file; `GET /counts` tells what came. Ends when its input ends.
 *
 * @module
 */

/** What came since the last reset. */
export interface Counts {
  /** Requests of the discovery document. */
  discovery: number;
  /** Requests of the token endpoint. */
  token: number;
  /** Used refresh tokens that came again. */
  reused: number;
  /** Calls of the API with a token that it takes, and others. */
  accepted: number;
  /** Calls of the API that were refused. */
  refused: number;
  /** Most requests of the token endpoint at the same time. */
  tokenAtOnce: number;
  /** Connections that requests came over, by the origin that they came to. */
  connections: number;
  /** Those to the API's own origin. */
  apiConnections: number;
  /** Whether the session of the newest refresh token is alive. */
  alive: boolean;
}

/** A token file. */
export interface TokenFile {
  /** Access token, a JWT without a signature that holds. */
  access_token: string;
  /** One-time refresh token. */
  refresh_token: string;
  /** Start and end of its life, in epoch seconds. */
  _iat: number;
  /** End. */
  _exp: number;
  /** Life in seconds. */
  expires_in: number;
  /** Kind. */
  token_type: "Bearer";
}

function serve(): void {
  let latencyMs = 0;
  let expiresIn = 3600;
  let number = 0;
  let current = "";
  let alive = true;
  let counts = { discovery: 0, token: 0, reused: 0, accepted: 0, refused: 0, tokenAtOnce: 0 };
  let open = 0;
  let clients: [main: Set<number>, api: Set<number>] = [new Set(), new Set()];
  let valid = new Set<string>();
  const base64url = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const issue = (refreshable: boolean): TokenFile => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "bench",
      sub: "somebody",
      aud: "https://api.bench.test/",
      iat: now,
      exp: now + expiresIn,
      jti: ++number,
    };
    const access = `${base64url({ alg: "RS256", kid: "bench" })}.${base64url(claims)}.${
      "s".repeat(342)
    }`;
    valid.add(`Bearer ${access}`);
    if (refreshable) current = `refresh-${number}`;
    return {
      access_token: access,
      refresh_token: current,
      _iat: now,
      _exp: now + expiresIn,
      expires_in: expiresIn,
      token_type: "Bearer",
    };
  };
  const token = async (request: Request): Promise<Response> => {
    const form = new URLSearchParams(await request.text());
    counts.token++;
    counts.tokenAtOnce = Math.max(counts.tokenAtOnce, ++open);
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
    open--;
    const refresh = form.get("refresh_token");
    if (form.get("grant_type") === "refresh_token" && (!alive || refresh !== current)) {
      counts.reused++;
      alive = false;
      return Response.json({ error: "invalid_grant" }, { status: 400 });
    }
    const { access_token, refresh_token } = issue(refresh !== null);
    const kept = refresh === null ? {} : { refresh_token };
    return Response.json({ access_token, token_type: "Bearer", expires_in: expiresIn, ...kept });
  };
  const answer = async (request: Request, port: number, own: 0 | 1): Promise<Response> => {
    const { origin, pathname } = new URL(request.url);
    if (!["/counts", "/reset"].includes(pathname)) clients[own].add(port);
    switch (pathname) {
      case "/api": {
        const known = valid.has(request.headers.get("authorization") ?? "");
        counts[known ? "accepted" : "refused"]++;
        return new Response('{"searches":[]}', {
          status: known ? 200 : 401,
          headers: { "content-type": "application/json" },
        });
      }
      case "/token":
        return await token(request);
      case "/.well-known/openid-configuration":
        counts.discovery++;
        return Response.json({
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          device_authorization_endpoint: `${origin}/device`,
          response_types_supported: ["code"],
        });
      case "/counts":
        return Response.json({
          ...counts,
          connections: clients[0].size,
          apiConnections: clients[1].size,
          alive,
        });
      case "/reset": {
        ({ latencyMs = 0, expiresIn = 3600 } = await request.json());
        counts = { discovery: 0, token: 0, reused: 0, accepted: 0, refused: 0, tokenAtOnce: 0 };
        clients = [new Set(), new Set()];
        valid = new Set();
        alive = true;
        return Response.json(issue(true));
      }
      default:
        return new Response(null, { status: 404 });
    }
  };
  const listen = (own: 0 | 1) => {
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request, { remoteAddr }) => answer(request, remoteAddr.port, own),
    );
    return `http://127.0.0.1:${server.addr.port}`;
  };
  console.log(`${listen(0)} ${listen(1)}`);
  (async () => {
    for await (const _ of Deno.stdin.readable) { /* Its end is the sign. */ }
    Deno.exit(0);
  })();
}

/** The world as the benchmarks see it. */
export interface World {
  /** Origin of all of it. */
  readonly origin: string;
  /** Another origin of the same, for an API that lies elsewhere than the authorization server. */
  readonly apiOrigin: string;
  /** Starts afresh; returns a token file. */
  reset(options?: { latencyMs?: number; expiresIn?: number }): Promise<TokenFile>;
  /** What came since. */
  counts(): Promise<Counts>;
  /** Ends it. */
  close(): Promise<void>;
}

/** Starts the world in a process of its own. */
export async function startWorld(): Promise<World> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--no-config",
      "--no-lock",
      "--allow-net=127.0.0.1",
      import.meta.url,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  const [origin = "", apiOrigin = ""] = value!.trim().split(" ");
  return {
    origin,
    apiOrigin,
    async reset(options = {}) {
      const answer = await fetch(`${origin}/reset`, {
        method: "POST",
        body: JSON.stringify(options),
      });
      return await answer.json();
    },
    async counts() {
      return await (await fetch(`${origin}/counts`)).json();
    },
    async close() {
      await reader.cancel();
      await child.stdin.close();
      await child.status;
    },
  };
}

if (import.meta.main) serve();
