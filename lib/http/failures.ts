/**
 * Why a request failed, in words and as a typed error; whether it may be sent again, for the plan.
 *
 * A URL's query never gets into an error, nor a link of an API: they may be credentials themselves.
 *
 * @module
 */

import {
  ApiError,
  type ApiErrorOptions,
  AuthError,
  BadGateway,
  BadQuery,
  Conflict,
  InvalidAPIKey,
  type JsonValue,
  MissingResource,
  NoPermission,
  PlanetError,
  ServerError,
  TooManyRequests,
} from "../errors.ts";
import { fetchFailure } from "../exchange.ts";
import { netRefusal } from "../runtime.ts";
import { type Occasion, type Plan, RedirectError, sentFor } from "./plan.ts";

/** A request, as far as an error may tell of it. */
export interface Told {
  /** Method, in capitals. */
  readonly method: string;
  /** Origin and path; of a link the origin alone. */
  readonly url: string;
  /** Origin. */
  readonly origin: string;
  /** What may be sent again. */
  readonly plan: Plan;
}

/** What is told of a request. */
export function tell(method: string, url: string, plan: Plan, isLink: boolean): Told {
  const { origin, pathname } = new URL(url);
  return { method, url: isLink ? origin : origin + pathname, origin, plan };
}

/** A request that ended without an answer. */
export interface Failure {
  /** What the caller is told. */
  readonly error: unknown;
  /** Whether it may be sent again. */
  readonly occasion: Occasion;
}

/** Says what to do, then what was found; of what may have been done, how to look. */
function advise(what: string, found: string, { method, plan, url }: Told): string {
  if (plan.isIdempotent) return `${what}: ${found}.`;
  return `Look with GET ${url} before you send the ${method} again, as it may have been done: ${found}.`;
}

/** A request whose answer did not come, or did not go on, in time. */
export function tooLate(told: Told, timeoutMs: number): Failure {
  const found = `${told.origin} did not answer within ${timeoutMs / 1000} s`;
  const message = advise("Try again, or raise timeoutMs", found, told);
  return { error: new AuthError("timeout", message), occasion: "lost" };
}

/** How the engines word a mistake in a program, such as in a `fetch` of the application's own. */
const MISTAKE =
  /is not (?:a function|a constructor|iterable|an object|defined)|^Cannot (?:read|set|convert|destructure|access|assign|redefine|define|add|delete) |read-?only property|Assignment to constant|bad port|are blocked/;

/** Errors of the language that no network fails with. */
const MISTAKES: readonly string[] = [
  "AssertionError",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "URIError",
];

/** Names of what a `fetch` may reject with if the network fails (Web IDL §2.8.1). */
const DOM_FAILURES: readonly string[] = ["AbortError", "NetworkError", "TimeoutError"];

/** Tells whether the program made a mistake: nothing was sent, and sending again cannot help. */
function isMistake(error: unknown, url: string, init: RequestInit): boolean {
  if (!(error instanceof Error)) return true;
  const { cause, code, message, name } = error as Error & { code?: unknown };
  if (MISTAKES.includes(name) || /^ERR_INVALID_(ARG|URL|THIS)/.test(String(code))) return true;
  if (error instanceof DOMException) return !DOM_FAILURES.includes(name);
  if (!(error instanceof TypeError)) return false;
  if (MISTAKE.test(message) || MISTAKE.test((cause as Error | undefined)?.message ?? "")) {
    return true;
  }
  try {
    const isStream = init.body instanceof ReadableStream;
    new Request(url, { ...init, ...(isStream ? { body: "" } : {}) });
    return false;
  } catch {
    return true;
  }
}

/** What a request failed with, unless its time was over. */
export function failureOf(
  cause: unknown,
  url: string,
  init: RequestInit,
  told: Told,
): Failure {
  // Of the session: repeating that would send the same refresh token once more, which may be spent.
  if (cause instanceof PlanetError) return { error: cause, occasion: "final" };
  const denied = netRefusal(cause, url);
  if (denied !== undefined) return { error: denied, occasion: "final" };
  const { origin } = told;
  if (cause instanceof RedirectError) {
    const message = `Report this to the operator of ${origin}: its redirect cannot be followed.`;
    const error = new AuthError("malformed_response", message, { cause });
    return { error, occasion: "final" };
  }
  if (isMistake(cause, url, init)) return { error: cause, occasion: "final" };
  const failure = fetchFailure(cause, origin, (text) => cleaned(text, told.url === origin));
  const { found, isTls, isUnsent, what } = failure;
  const message = isUnsent ? `${what}: ${found}.` : advise(what, found, told);
  const occasion = !isUnsent ? "lost" : isTls ? "final" : "unsent";
  return { error: new AuthError("network", message, failure), occasion };
}

/** An address in a text, which may be JSON: origin, path, query with fragment. */
const ADDRESS =
  /(https?:(?:\\?\/){2}[^\s\\/?#"'<>()]+)((?:[^\s\\?#"'<>()]|\\\/)*)([?#](?:[^\s\\"'<>()]|\\[^"\s])*)?/gi;

/** Takes what may be a credential out of the addresses in a text. */
function cleaned(text: string, isLink: boolean): string {
  return text.replace(
    ADDRESS,
    (_, origin, path, query) => isLink ? `${origin}/…` : origin + path + (query ? "?…" : ""),
  );
}

const BY_STATUS: Readonly<Record<number, typeof ApiError>> = {
  400: BadQuery,
  401: InvalidAPIKey,
  403: NoPermission,
  404: MissingResource,
  409: Conflict,
  429: TooManyRequests,
  500: ServerError,
  502: BadGateway,
};

/** What can be done about a status. */
const ADVICE: Readonly<Record<number, string>> = {
  400: "Correct the request",
  403: "Ask for the permission that the account lacks",
  404: "Check the identifier",
  409: "Look at the resource again, it has changed",
  429: "Ask less often, and check the account's quota, which may be used up",
};

/** After these a request may be repeated. */
export function occasionOf({ status }: Response): Occasion {
  if (status === 429) return "throttled";
  return status === 500 || (status >= 502 && status <= 504) ? "lost" : "final";
}

/** What to do about a 401, which often has an empty body: that depends on what was refused. */
function adviceOn401(sent: string | undefined): string {
  if (sent === undefined) return "Sign in: no credentials were sent";
  if (/^bearer /i.test(sent)) return "Sign in again: the access token was refused";
  return /^api-key /i.test(sent)
    ? "Check the API key: it was refused"
    : "Check the credentials: they were refused";
}

/** Headers that may hold credentials themselves. */
const SECRET_HEADERS = ["content-location", "link", "location", "set-cookie"];

/** Members of a request that are credentials, as those of a destination in the cloud, or may be, as webhooks. */
const SECRET_MEMBERS = /secret|password|credential|token|(account|access|api|private)_?key|^url$/i;

/** A text as it looks in JSON, in JSON that is a text in JSON, and in a URL. */
function formsOf(text: string): string[] {
  const forms = [text, encodeURIComponent(text.toWellFormed())];
  for (let depth = 1, one = text; depth <= 3; depth++) {
    forms.push(one = JSON.stringify(one).slice(1, -1));
  }
  return forms;
}

/** The credentials in the JSON that was sent, in all their forms. */
function secretsIn(value: unknown, isSecret = false): string[] {
  if (typeof value === "string") {
    if (!isSecret || value.length < 4) return [];
    // A key is a text of JSON, perhaps in base64, and has lines: an API may quote a part of it.
    const lines = value.split("\n").filter((line) => line.length >= 16);
    const parts = secretsIn(parsed(value) ?? parsed(unpacked(value)));
    return [...new Set([value, ...lines])].flatMap(formsOf).concat(parts);
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, one]) =>
    secretsIn(one, isSecret || SECRET_MEMBERS.test(name))
  );
}

function unpacked(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A copy of what is JSON, in which no credential can be read. */
export function withoutSecrets(value: unknown, isSecret = false): unknown {
  if (typeof value === "string") return isSecret ? "(secret)" : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(one, isSecret));
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      // Where a webhook is, its owner may see.
      withoutSecrets(one, isSecret || name !== "url" && SECRET_MEMBERS.test(name)),
    ]),
  );
}

/** The error for an answer from 400 on; `text` is its body, and `json` what was sent. */
export function apiError(
  told: Told,
  response: Response,
  text: string,
  retryAt: number | undefined,
  json: unknown,
): ApiError {
  const { status } = response;
  const sent = sentFor(response);
  // Some quote what they refuse.
  const secrets = [sent?.replace(/^\S+ /, "") ?? "", ...secretsIn(json)].filter(Boolean)
    .sort((one, other) => other.length - one.length);
  const hide = (given: string) =>
    secrets.reduce((text, secret) => text.replaceAll(secret, "(secret)"), given);
  const headers = new Headers();
  response.headers.forEach((value, name) => {
    if (!SECRET_HEADERS.includes(name)) headers.append(name, hide(value));
  });
  const body = cleaned(hide(text), false);
  const options: ApiErrorOptions = { headers, url: told.url, retryAt };
  const isLost = occasionOf(response) === "lost";
  const what = status === 401
    ? adviceOn401(sent)
    : ADVICE[status] ?? (isLost ? "Try again later" : "Check the request");
  const words = wordsOf(body);
  const found = `${told.method} ${told.url} was answered ${status}${words && `: "${words}"`}`;
  const message = isLost ? advise(what, found, told) : `${what}: ${found}.`;
  return new (BY_STATUS[status] ?? ApiError)(message, status, body, options);
}

/** How much of an API's own words gets into a message, in characters. */
const MOST_WORDS = 300;

/** The API's own words in the body of a refusal, fit for a line of text; empty if there are none. */
function wordsOf(body: string): string {
  let found: string[];
  try {
    found = wordsIn(JSON.parse(body), 0);
  } catch {
    // A page of HTML says nothing to a program.
    found = /^\s*</.test(body) ? [] : [body];
  }
  const text = [...new Set(found)].join("; ").replace(
    // deno-lint-ignore no-control-regex
    /[\s\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+/g,
    " ",
  );
  const line = text.trim().replaceAll('"', "'");
  return line.length > MOST_WORDS ? `${line.slice(0, MOST_WORDS)}…` : line;
}

/** Members in which APIs say what is wrong; the first that is there counts. */
const SAYING = ["message", "msg", "error_description", "detail", "description", "title", "reason"];

/** Planet's are `{ general: [{ message }], field: { name: [{ message }] } }`, `{ message }`, `{ error }`. */
function wordsIn(value: JsonValue | undefined, depth: number): string[] {
  if (typeof value === "string") return value.trim() === "" ? [] : [value];
  if (typeof value !== "object" || value === null || depth > 5) return [];
  if (Array.isArray(value)) return value.flatMap((one) => wordsIn(one, depth + 1));
  const saying = SAYING.map((name) => wordsIn(value[name], depth + 1)).find((one) =>
    one.length > 0
  );
  const fields = typeof value.field === "object" && value.field !== null
    ? Object.entries(value.field).flatMap(([name, one]) =>
      wordsIn(one as JsonValue, depth + 1).map((text) => `${name}: ${text}`)
    )
    : [];
  const rest = ["general", "errors", "error"].flatMap((name) => wordsIn(value[name], depth + 1));
  return [...saying ?? [], ...rest, ...fields];
}
