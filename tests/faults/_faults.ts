/**
 * Everything that may go wrong with a request, and what must come of it.
 *
 * What is expected follows from the rules written here, not from what the library does: a cell of
 * the matrix in which the two differ is a fault of the library, or of a rule.
 *
 * @module
 */

import { gzipSync } from "node:zlib";
import type { Misdeed } from "./_server.ts";

/** What a program does, and so which request of it goes wrong. */
export type Flow =
  | "discovery"
  | "device"
  | "poll"
  | "code"
  | "refresh"
  | "m2m"
  | "revoke"
  | "api"
  | "api stream";

/** All flows. */
export const FLOWS: readonly Flow[] = [
  "discovery",
  "device",
  "poll",
  "code",
  "refresh",
  "m2m",
  "revoke",
  "api",
  "api stream",
];

/** Flows that speak to the authorization server. */
const OAUTH: readonly Flow[] = FLOWS.slice(0, 7);
/** Flows whose answer is tokens. */
const TOKENS: readonly Flow[] = ["poll", "code", "refresh", "m2m"];
/** Flows through `Session`. */
const API: readonly Flow[] = ["api", "api stream"];

/** Repetitions that the API flows allow themselves. */
export const API_RETRIES = 2;
/** Most tries of a request that may be repeated, and where the server says when (429, 503). */
const TRIES = 3;

/** What must come of a cell. */
export interface Expected {
  /** `ok`, the code of an `AuthError`, or the name of another typed error. */
  readonly outcome: string;
  /** Requests of the kind that goes wrong. */
  readonly requests: number;
  /** Requests at another origin. */
  readonly elsewhere: number;
  /** The refresh token that is stored afterwards. */
  readonly stored: "none" | "old" | "new";
  /** Whether the end comes by a time limit. */
  readonly late: boolean;
}

/** One way to go wrong. */
export interface Fault {
  /** Name, for the table. */
  readonly name: string;
  /** What the server does. */
  readonly misdeed: Misdeed;
  /** What must come of it; `undefined` where it makes no sense for the flow. */
  readonly expect: (flow: Flow) => Expected | undefined;
  /** Whether it is in the quick share. */
  readonly quick?: boolean;
  /** Whether thousands of parts are to be read: beside other cells, each would wait for its turn. */
  readonly long?: boolean;
}

/** What is stored after a flow that went well, or not. */
function storedAfter(flow: Flow, ok: boolean): Expected["stored"] {
  if (flow === "device" || flow === "revoke") return "none";
  if (API.includes(flow)) return "old";
  if (flow === "m2m") return "none";
  if (flow === "refresh" || flow === "discovery") return ok ? "new" : "old";
  return ok ? "new" : "none";
}

function ok(flow: Flow, more: Partial<Expected> = {}): Expected {
  const stored = storedAfter(flow, true);
  return { outcome: "ok", requests: 1, elsewhere: 0, stored, late: false, ...more };
}

/** Failures after which a device login polls on (RFC 8628 §3.5). */
const PASSING = ["network", "server_error", "throttled", "timeout"];

/** The failure `outcome`, with the repetitions that it allows. */
function failed(flow: Flow, outcome: string, more: Partial<Expected> = {}): Expected {
  const late = outcome === "timeout";
  if (flow === "poll" && PASSING.includes(outcome)) return ok(flow, { requests: 2, late, ...more });
  // Looking the endpoints up may be repeated: it changes nothing.
  const again = flow === "discovery" && ["network", "server_error"].includes(outcome);
  const api = API.includes(flow) && ["network", "timeout"].includes(outcome);
  const requests = again ? TRIES : api ? API_RETRIES + 1 : 1;
  return { outcome, requests, elsewhere: 0, stored: storedAfter(flow, false), late, ...more };
}

const BY_STATUS: Readonly<Record<number, string>> = {
  400: "BadQuery",
  401: "InvalidAPIKey",
  403: "NoPermission",
  404: "MissingResource",
  409: "Conflict",
  429: "TooManyRequests",
  500: "ServerError",
  502: "BadGateway",
};

/** What a refusal by `status` comes to; `isOAuthError`: with an `error` that can be read. */
function refused(flow: Flow, status: number, isOAuthError: boolean): Expected {
  if (API.includes(flow)) {
    const passing = [429, 500, 502, 503, 504].includes(status);
    const requests = passing ? API_RETRIES + 1 : status === 401 ? 2 : 1;
    // Session.fetch() hands the answer on.
    const outcome = flow === "api" ? BY_STATUS[status] ?? "ApiError" : `status ${status}`;
    // A 401 costs one renewal.
    return failed(flow, outcome, { requests, stored: status === 401 ? "new" : "old" });
  }
  if (status === 429) return failed(flow, "throttled");
  if (status >= 500) return failed(flow, "server_error");
  // A document that does not exist is none of an endpoint's, whatever stands in its place.
  const isAbsent = flow === "discovery" && [404, 405, 410].includes(status);
  return failed(flow, isOAuthError && !isAbsent ? "client_rejected" : "malformed_response");
}

const HTML = "<!doctype html><title>Oh</title><p>Something else entirely";
const OAUTH_ERROR = '{"error":"invalid_request","error_description":"no"}';

/** Bodies of refusals: name, body, content type, whether the OAuth error can be read. */
const REFUSALS: readonly [string, string, string, boolean][] = [
  ["JSON", OAUTH_ERROR, "application/json", true],
  ["HTML", HTML, "text/html", false],
  ["empty", "", "application/json", false],
  ["wrong type", OAUTH_ERROR, "image/png", true],
  ["truncated", OAUTH_ERROR.slice(0, -9), "application/json", false],
];

const STATUSES = [
  400,
  401,
  403,
  404,
  405,
  408,
  409,
  410,
  418,
  422,
  429,
  431,
  451,
  500,
  501,
  502,
  503,
  504,
  507,
  599,
];

/** One fault of the connection. */
function connection(name: string, misdeed: Misdeed, outcome: string): Fault {
  return {
    name,
    misdeed,
    quick: true,
    expect: (flow) => {
      // Where nobody listens the request surely did not arrive, and none is counted.
      if (outcome === "refused") {
        return flow === "poll"
          ? failed(flow, "device_code_expired", { requests: 0, stored: "none" })
          : failed(flow, "network", { requests: 0 });
      }
      if (outcome === "ok") return ok(flow);
      // Two bytes are soon there.
      if (misdeed.does === "trickle" && flow === "revoke") return ok(flow);
      // Parts that keep coming are no silence: a stream goes on for as long as its reader likes.
      if (misdeed.does === "trickle" && flow === "api") return ok(flow);
      if (misdeed.does === "trickle" && flow === "api stream") return undefined;
      // What breaks off while it is read is the reader's, who has the answer's head already.
      const half = "when" in misdeed && misdeed.when === "amid";
      if (half && flow === "api stream") return failed(flow, outcome, { requests: 1 });
      return failed(flow, outcome);
    },
  };
}

const CONNECTIONS: readonly Fault[] = [
  connection("refuse", { does: "refuse" }, "refused"),
  connection("reset before", { does: "reset", when: "before" }, "network"),
  connection("reset amid", { does: "reset", when: "amid" }, "network"),
  connection("reset after", { does: "reset", when: "after" }, "ok"),
  connection("hang before", { does: "hang", when: "before" }, "timeout"),
  connection("hang amid", { does: "hang", when: "amid" }, "timeout"),
  connection("trickle", { does: "trickle" }, "timeout"),
];

const REFUSED: readonly Fault[] = STATUSES.flatMap((status) =>
  REFUSALS.map(([name, body, type, readable]): Fault => ({
    name: `${status} ${name}`,
    misdeed: { does: "answer", status, body, headers: { "content-type": type } },
    quick: [400, 401, 503].includes(status) && name === "JSON" || status === 404 && name === "HTML",
    expect: (flow) => refused(flow, status, readable),
  }))
);

const PAUSES: readonly Fault[] = [
  [429, "2", true],
  [503, "2", true],
  [429, "86400", false],
  [503, "soon", undefined],
  [503, "99999999999999999999", false],
].map(([status, wait, short]): Fault => ({
  name: `${status} Retry-After: ${wait}`,
  misdeed: {
    does: "answer",
    status: Number(status),
    headers: { "retry-after": String(wait) },
    body: "",
  },
  quick: short === true,
  expect: (flow) => {
    const code = status === 429 ? "throttled" : "server_error";
    if (API.includes(flow)) {
      const outcome = flow === "api"
        ? status === 429 ? "TooManyRequests" : "ApiError"
        : `status ${status}`;
      return failed(flow, outcome, { requests: short === false ? 1 : API_RETRIES + 1 });
    }
    // A pause that is longer than the life of the codes ends a device login.
    if (flow === "poll") {
      return short === false
        ? failed(flow, "device_code_expired", { stored: "none" })
        : failed(flow, code);
    }
    // Nobody waits longer than a few seconds inside a call.
    if (short === undefined) return failed(flow, code);
    return failed(flow, code, { requests: short ? TRIES : 1 });
  },
}));

const REDIRECTS: readonly Fault[] = [301, 302, 303, 307, 308].flatMap((status) =>
  [["same origin", "{same}/moved"], ["other origin", "{other}/moved"], ["no URL", "https://"], [
    "script",
    "javascript:alert(1)",
  ]].map(([name, location]): Fault => ({
    name: `${status} to ${name}`,
    misdeed: { does: "answer", status, headers: { location: location! }, body: "" },
    quick: status === 302 || (status === 307 && name === "other origin"),
    expect: (flow) => {
      // The authorization server has no business to send secrets elsewhere.
      if (!API.includes(flow)) return failed(flow, "malformed_response");
      if (name === "same origin") return ok(flow, { requests: 2 });
      if (name === "other origin") return ok(flow, { elsewhere: 1 });
      return failed(flow, "malformed_response", { requests: 1 });
    },
  }))
);

/** The good answer with other members, as JSON. */
function withMembers(members: Record<string, unknown>): Misdeed {
  return { does: "answer", body: (good) => JSON.stringify({ ...good, ...members }) };
}

/** The good answer with `text` in place of its last bracket. */
function endingIn(text: string): Misdeed {
  return { does: "answer", body: (good) => JSON.stringify(good).slice(0, -1) + text };
}

function concat(...parts: (string | Uint8Array)[]): Uint8Array {
  const all = parts.map((part) => typeof part === "string" ? new TextEncoder().encode(part) : part);
  const whole = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** 72 MiB of blanks in 64 KiB. */
const BOMB_BYTES = new Uint8Array(gzipSync(new Uint8Array(72 << 20).fill(32), { level: 1 }));

/** One body that is no answer to anybody. */
function rubbish(name: string, misdeed: Misdeed, outcome = "malformed_response"): Fault {
  return {
    name,
    misdeed,
    quick: true,
    expect: (flow) => {
      // Whether a revocation's answer has a body, and which, tells nothing (RFC 7009 §2.2).
      if (flow === "revoke" && outcome !== "network") return ok(flow);
      if (flow === "api") return failed(flow, outcome === "network" ? outcome : "ApiError");
      // Session.fetch() hands the answer on; what breaks off while it is read is the reader's.
      if (flow === "api stream") {
        return outcome === "network" ? failed(flow, outcome, { requests: 1 }) : ok(flow);
      }
      return failed(flow, outcome);
    },
  };
}

const RUBBISH: readonly Fault[] = [
  rubbish("HTML", { does: "answer", headers: { "content-type": "text/html" }, body: HTML }),
  rubbish("empty", { does: "answer", body: "" }),
  rubbish("truncated JSON", { does: "answer", body: (good) => JSON.stringify(good).slice(0, -4) }),
  rubbish("JSON array", { does: "answer", body: "[1,2]" }),
  rubbish("JSON null", { does: "answer", body: "null" }),
  rubbish("JSON text", { does: "answer", body: '"access_token"' }),
  rubbish("10 MiB", { does: "answer", body: () => "x".repeat(10 << 20) }),
  rubbish("UTF-16", {
    does: "answer",
    body: (good) =>
      new Uint8Array(Uint16Array.from(JSON.stringify(good), (c) => c.charCodeAt(0)).buffer),
  }),
  rubbish("100,000 brackets", { does: "answer", body: "[".repeat(100_000) }),
  rubbish("broken gzip", {
    does: "answer",
    headers: { "content-encoding": "gzip" },
    body: "this is not compressed at all, whatever the header says",
  }, "network"),
];

/** A compressed bomb costs no memory to speak of. */
const BOMB: Fault = {
  name: "gzip bomb, 72 MiB",
  long: true,
  misdeed: { does: "answer", headers: { "content-encoding": "gzip" }, body: BOMB_BYTES },
  expect: (flow) =>
    flow === "revoke" || flow === "api stream" ? ok(flow) : failed(
      flow,
      flow === "api" ? "ApiError" : "malformed_response",
    ),
};

/** Good answers in an unusual form. */
const UNUSUAL: readonly Fault[] = ([
  ["wrong content type", { does: "answer", headers: { "content-type": "text/html" } }],
  ["gzip", {
    does: "answer",
    headers: { "content-encoding": "gzip" },
    body: (good) => new Uint8Array(gzipSync(JSON.stringify(good))),
  }],
  ["byte order mark", { does: "answer", body: (good) => `\ufeff${JSON.stringify(good)}` }],
  ["non-UTF-8 in another member", {
    does: "answer",
    body: (good) =>
      concat(JSON.stringify(good).slice(0, -1), ',"x":"', new Uint8Array([0xe9, 0xff]), '"}'),
  }],
  ["duplicate keys, last wins", {
    does: "answer",
    body: (good) => {
      const [first] = Object.keys(good);
      return `{${JSON.stringify(first ?? "x")}:"other",${JSON.stringify(good).slice(1)}`;
    },
  }],
  ["a member 1,000 levels deep", endingIn(`,"x":${"[".repeat(1000)}${"]".repeat(1000)}}`)],
  ["a member of 1e999", endingIn(',"x":1e999}')],
  ["a member __proto__", endingIn(',"__proto__":{"access_token":"other","searches":1}}')],
] as [string, Misdeed][]).map(([name, misdeed]): Fault => ({
  name,
  misdeed,
  quick: true,
  // An empty object has no last member.
  expect: (flow) => flow === "revoke" ? undefined : ok(flow),
}));

/** Members of a token answer, and what comes of them. */
const MEMBERS: readonly [string, Misdeed, "ok" | "old" | "malformed"][] = [
  ["no access_token", withMembers({ access_token: undefined }), "malformed"],
  ["access_token a number", withMembers({ access_token: 1 }), "malformed"],
  ["access_token empty", withMembers({ access_token: "" }), "malformed"],
  ["access_token null", withMembers({ access_token: null }), "malformed"],
  ["access_token with CR LF", withMembers({ access_token: "a\r\nX-Evil: 1" }), "malformed"],
  ["access_token with NUL", withMembers({ access_token: "a\0b" }), "malformed"],
  ["access_token non-ASCII", withMembers({ access_token: "tökén" }), "malformed"],
  ["access_token non-UTF-8", {
    does: "answer",
    body: () =>
      concat('{"token_type":"Bearer","access_token":"a', new Uint8Array([0xff, 0xfe]), '"}'),
  }, "malformed"],
  [
    "only __proto__",
    { does: "answer", body: '{"__proto__":{"access_token":"other"}}' },
    "malformed",
  ],
  ["error in a 200", { does: "answer", body: OAUTH_ERROR }, "malformed"],
  ["no token_type", withMembers({ token_type: undefined }), "ok"],
  ["token_type null", withMembers({ token_type: null }), "ok"],
  ["token_type a number", withMembers({ token_type: 5 }), "ok"],
  ["token_type empty", withMembers({ token_type: "" }), "ok"],
  ["token_type BEARER", withMembers({ token_type: "BEARER" }), "ok"],
  ["token_type bearer", withMembers({ token_type: "bearer" }), "ok"],
  ["token_type mac", withMembers({ token_type: "mac" }), "malformed"],
  ["no expires_in", withMembers({ expires_in: undefined }), "ok"],
  ["expires_in as text", withMembers({ expires_in: "3600" }), "ok"],
  ["expires_in soon", withMembers({ expires_in: "soon" }), "ok"],
  ["expires_in empty", withMembers({ expires_in: "" }), "ok"],
  ["expires_in negative", withMembers({ expires_in: -3600 }), "ok"],
  ["expires_in 0", withMembers({ expires_in: 0 }), "ok"],
  ["expires_in 0.5", withMembers({ expires_in: 0.5 }), "ok"],
  ["expires_in 1e18", withMembers({ expires_in: 1e18 }), "ok"],
  ["expires_in 1e999", endingIn(',"expires_in":1e999}'), "ok"],
  ["expires_in null", withMembers({ expires_in: null }), "ok"],
  ["expires_in true", withMembers({ expires_in: true }), "ok"],
  ["expires_in []", withMembers({ expires_in: [] }), "ok"],
  ["scope narrowed", withMembers({ scope: "planet" }), "ok"],
  ["scope a list", withMembers({ scope: ["planet"] }), "ok"],
  ["refresh_token null", withMembers({ refresh_token: null }), "old"],
  ["refresh_token a number", withMembers({ refresh_token: 5 }), "old"],
  ["refresh_token empty", withMembers({ refresh_token: "" }), "old"],
  ["refresh_token with CR LF", withMembers({ refresh_token: "a\r\nb" }), "old"],
  ["refresh_token with ESC", withMembers({ refresh_token: "a\x1b[2Jb" }), "old"],
  ["refresh_token non-UTF-8", {
    does: "answer",
    body: (good) =>
      concat(
        JSON.stringify({ ...good, refresh_token: undefined }).slice(0, -1),
        ',"refresh_token":"a',
        new Uint8Array([0xff]),
        '"}',
      ),
  }, "old"],
  ["id_token null", withMembers({ id_token: null }), "ok"],
  ["_exp in the answer", withMembers({ _exp: 1, _iat: "x" }), "ok"],
];

const TOKEN_MEMBERS: readonly Fault[] = MEMBERS.map(([name, misdeed, effect]): Fault => ({
  name,
  misdeed,
  quick: /1e999|null|ESC|CR LF/.test(name),
  expect: (flow) => {
    if (!TOKENS.includes(flow)) return undefined;
    if (effect === "malformed") return failed(flow, "malformed_response");
    // A session without a refresh token is better than none.
    if (effect === "old") return ok(flow, { stored: flow === "refresh" ? "old" : "none" });
    return ok(flow);
  },
}));

/** Faults of one endpoint's own members: flow, name, misdeed, outcome. */
const OWN: readonly [Flow, string, Misdeed, string][] = [
  [
    "discovery",
    "issuer of another",
    withMembers({ issuer: "https://evil.test" }),
    "issuer_mismatch",
  ],
  ["discovery", "issuer with a slash more", {
    does: "answer",
    body: (good) => JSON.stringify({ ...good, issuer: `${good.issuer}/` }),
  }, "ok"],
  ["discovery", "no issuer", withMembers({ issuer: undefined }), "malformed_response"],
  ["discovery", "issuer a number", withMembers({ issuer: 1 }), "malformed_response"],
  [
    "discovery",
    "no token_endpoint",
    withMembers({ token_endpoint: undefined }),
    "malformed_response",
  ],
  [
    "discovery",
    "token_endpoint a number",
    withMembers({ token_endpoint: 1 }),
    "malformed_response",
  ],
  [
    "discovery",
    "token_endpoint no URL",
    withMembers({ token_endpoint: "x" }),
    "malformed_response",
  ],
  [
    "discovery",
    "token_endpoint a file",
    withMembers({ token_endpoint: "file:///etc/passwd" }),
    "malformed_response",
  ],
  [
    "discovery",
    "token_endpoint a script",
    withMembers({ token_endpoint: "javascript:1" }),
    "malformed_response",
  ],
  [
    "discovery",
    "token_endpoint with a password",
    withMembers({ token_endpoint: "https://a:b@evil.test/" }),
    "malformed_response",
  ],
  ["device", "no device_code", withMembers({ device_code: undefined }), "malformed_response"],
  ["device", "device_code a number", withMembers({ device_code: 1 }), "malformed_response"],
  ["device", "user_code with ESC", withMembers({ user_code: "\x1b[2J" }), "malformed_response"],
  [
    "device",
    "user_code too long",
    withMembers({ user_code: "A".repeat(1000) }),
    "malformed_response",
  ],
  [
    "device",
    "verification_uri a script",
    withMembers({ verification_uri: "javascript:1" }),
    "malformed_response",
  ],
  [
    "device",
    "verification_uri with ESC",
    withMembers({ verification_uri: "http://127.0.0.1/\x1b[2J" }),
    "malformed_response",
  ],
  [
    "device",
    "verification_uri with a line",
    withMembers({ verification_uri: "http://127.0.0.1/\nok" }),
    "malformed_response",
  ],
  [
    "device",
    "verification_uri turned round",
    withMembers({ verification_uri: "http://127.0.0.1/\u202egnp" }),
    "malformed_response",
  ],
  [
    "device",
    "verification_uri_complete a file",
    withMembers({ verification_uri_complete: "file:///x" }),
    "malformed_response",
  ],
  [
    "device",
    "verification_uri_complete null",
    withMembers({ verification_uri_complete: null }),
    "malformed_response",
  ],
  ["device", "expires_in as text", withMembers({ expires_in: "30" }), "ok"],
  ["device", "expires_in negative", withMembers({ expires_in: -1 }), "malformed_response"],
  ["device", "expires_in null", withMembers({ expires_in: null }), "malformed_response"],
  ["device", "expires_in 1e18", withMembers({ expires_in: 1e18 }), "ok"],
  ["device", "expires_in 1e999", endingIn(',"expires_in":1e999}'), "malformed_response"],
  ["device", "interval as text", withMembers({ interval: "5" }), "malformed_response"],
  ["device", "interval negative", withMembers({ interval: -5 }), "malformed_response"],
  ["device", "interval 1e18", withMembers({ interval: 1e18 }), "ok"],
  ["device", "no interval", withMembers({ interval: undefined }), "ok"],
  [
    "poll",
    "access_denied",
    { does: "answer", status: 400, body: '{"error":"access_denied"}' },
    "access_denied",
  ],
  [
    "poll",
    "expired_token",
    { does: "answer", status: 400, body: '{"error":"expired_token"}' },
    "device_code_expired",
  ],
  [
    "poll",
    "invalid_grant",
    { does: "answer", status: 400, body: '{"error":"invalid_grant"}' },
    "device_code_expired",
  ],
  [
    "poll",
    "error with ESC",
    { does: "answer", status: 400, body: '{"error":"\\u001b[2J"}' },
    "client_rejected",
  ],
  [
    "poll",
    "error an object",
    { does: "answer", status: 400, body: '{"error":{}}' },
    "client_rejected",
  ],
  [
    "code",
    "invalid_grant",
    { does: "answer", status: 400, body: '{"error":"invalid_grant"}' },
    "login_required",
  ],
  ["code", "id_token rubbish", withMembers({ id_token: "x.y.z" }), "malformed_response"],
  [
    "refresh",
    "invalid_grant",
    { does: "answer", status: 400, body: '{"error":"invalid_grant"}' },
    "session_expired",
  ],
  ["refresh", "invalid_client, challenge", {
    does: "answer",
    status: 401,
    headers: { "www-authenticate": 'Basic realm="\\"' },
    body: '{"error":"invalid_client"}',
  }, "client_rejected"],
  ["refresh", "id_token rubbish", withMembers({ id_token: "x.y.z" }), "ok"],
  [
    "m2m",
    "invalid_client",
    { does: "answer", status: 401, body: '{"error":"invalid_client"}' },
    "client_rejected",
  ],
  [
    "m2m",
    "invalid_scope",
    { does: "answer", status: 400, body: '{"error":"invalid_scope"}' },
    "client_rejected",
  ],
  ["revoke", "unsupported_token_type", {
    does: "answer",
    status: 400,
    body: '{"error":"unsupported_token_type"}',
  }, "client_rejected"],
  ["api", "no list", { does: "answer", body: "{}" }, "PagingError"],
  ["api", "list of numbers", { does: "answer", body: '{"searches":[1]}' }, "PagingError"],
  ["api", "list an object", { does: "answer", body: '{"searches":{}}' }, "PagingError"],
  [
    "api",
    "next page a number",
    { does: "answer", body: '{"searches":[],"_links":{"_next":1}}' },
    "PagingError",
  ],
  ["api", "next page elsewhere", {
    does: "answer",
    body: '{"searches":[],"_links":{"_next":"https://evil.test/"}}',
  }, "untrusted_origin"],
  [
    "api",
    "next page no URL",
    { does: "answer", body: '{"searches":[],"_links":{"_next":"http://"}}' },
    "PagingError",
  ],
];

const OWN_FAULTS: readonly Fault[] = OWN.map(([of, name, misdeed, outcome]): Fault => ({
  name: `${of}: ${name}`,
  misdeed,
  quick: /ESC|text|issuer of|grant/.test(name),
  expect: (flow) => flow !== of ? undefined : outcome === "ok" ? ok(flow) : failed(flow, outcome),
}));

/** All of them. */
export const FAULTS: readonly Fault[] = [
  ...CONNECTIONS,
  ...REFUSED,
  ...PAUSES,
  ...REDIRECTS,
  ...RUBBISH,
  BOMB,
  ...UNUSUAL,
  ...TOKEN_MEMBERS,
  ...OWN_FAULTS,
];

/** Whether `flow` speaks to the authorization server only. */
export function isOAuth(flow: Flow): boolean {
  return OAUTH.includes(flow);
}
