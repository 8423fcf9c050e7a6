/**
 * What a request to the callback means, and what the browser is answered: pure, without a server
 * (RFC 8252, RFC 9207). The pages have no script and no outside resource.
 *
 * @module
 */

import type { Loopback } from "../setup.ts";
import { AuthError } from "../errors.ts";
import { sameText } from "../exchange.ts";

/**
 * Which page of the callback the browser shows; `callbackPage` may write some and leave others.
 *
 * @category Sign in
 */
export type CallbackPageKind =
  | "success"
  | "denied"
  | "failed"
  | "received"
  | "wrong"
  | "not_found";

/**
 * What `callbackPage` is given: a page that the browser shows, in words.
 *
 * @category Sign in
 */
export interface CallbackPage {
  /**
   * Which page: signed in (`success`), refused by the person (`denied`), not
   * finished (`failed`), answer taken while the rest still goes on (`received`),
   * an answer of another or an expired sign-in (`wrong`), another address (`not_found`).
   */
  kind: CallbackPageKind;
  /** Name of the application, as text: escape it before it goes into HTML. */
  applicationName: string;
  /** Heading of the built-in page, as text. */
  title: string;
  /** Sentences below the heading of the built-in page, as text. */
  message: string;
}

/**
 * Writes the HTML of a page; `undefined` leaves it to the built-in one. Scripts and outside
 * resources are blocked in any case, and what it throws brings the built-in page back.
 *
 * @category Sign in
 */
export type RenderCallbackPage = (page: CallbackPage) => string | undefined;

/** How pages are written. */
export interface PageOptions {
  /** Name of the application. */
  applicationName?: string | undefined;
  /** Replaces the built-in pages. */
  callbackPage?: RenderCallbackPage | undefined;
}

/** What the listener waits for. */
export interface CallbackExpectation extends PageOptions {
  /**
   * Registered redirect URI: `http`, host `localhost`, `127.0.0.1` or `[::1]`.
   * Port 0 means any free port (RFC 8252 §7.3).
   */
  callbackUrl: string;
  /** `state` of the request; compared in constant time (RFC 6749 §10.12). */
  state: string;
  /** Issuer that the answer must name, if it names one (RFC 9207 §2.4). */
  issuer: string;
  /** Whether an answer without `iss` is refused (RFC 9207 §2.4). */
  issuerRequired: boolean;
  /** Whether the answer comes as a form by POST (`response_mode=form_post`); default: by GET. */
  formPost?: boolean;
}

/** A listener that is bound and accepts the authorization response. */
export interface CallbackListener {
  /** The redirect URI to send, with the port that was bound. */
  readonly redirectUri: string;
  /**
   * Resolves with the query of the one right answer, `state` and `iss` checked.
   * It holds either `code` or `error`.
   *
   * @throws {AuthError} `issuer_mismatch`; after an abort, the reason of `signal`.
   */
  wait(signal: AbortSignal): Promise<URLSearchParams>;
  /**
   * Stops listening, at once and for good. A browser that waits for its last
   * page still gets it: how the sign-in ended, by default well.
   */
  close(outcome?: "success" | "failed"): Promise<void>;
}

/** What the handler reads of a request. */
export interface CallbackRequest {
  /** HTTP method. */
  method: string;
  /** Path and query as they were sent. */
  target: string;
  /** Host and port of a target that was sent as a whole URL. */
  authority?: string;
  /** Reads a header field. */
  header(name: string): string | null;
  /** Form of a POST, at most {@linkcode MAX_BYTES} long; absent otherwise. */
  form?: string;
}

/** What to answer, and whether the wait ends. */
export interface CallbackAnswer extends PageAnswer {
  /** The right answer of the server: the wait ends. */
  result?: URLSearchParams;
  /** The wait ends with this error. */
  failure?: AuthError;
  /** Whether this is the last page, after which nothing is left to show. */
  last?: boolean;
  /** Whether the page says that all went well, which is known only when the code is redeemed. */
  hopeful?: boolean;
}

/** Answers one request. */
export type Handle = (request: CallbackRequest) => Promise<CallbackAnswer>;

/** A server on one loopback address. */
export interface BoundServer {
  /** The port that was bound. */
  port: number;
  /** Stops listening; answers already given are delivered. */
  stop(): Promise<void>;
}

/** Binds one address; `"taken"` and `"unavailable"` say why it could not. */
export type Bind = (
  hostname: "127.0.0.1" | "::1",
  port: number,
  handle: Handle,
  optional?: boolean,
) => Promise<BoundServer | "taken" | "unavailable">;

/** How long answers that were given may take to be delivered, in milliseconds. */
export const DRAIN_MS = 100;

/** Longest target and form that are looked at. */
export const MAX_BYTES = 16_384;

/** Reads a web `Request`: its form only if it is one, and never more than is looked at. */
export async function readRequest(request: Request): Promise<CallbackRequest> {
  const [, authority, target] = /^[a-z]+:\/\/([^/?#]*)(.*)$/is.exec(request.url) ?? [];
  const read: CallbackRequest = {
    method: request.method,
    target: target === undefined ? request.url : target === "" ? "/" : target,
    header: (name) => request.headers.get(name),
  };
  if (authority !== undefined) read.authority = authority;
  if (isForm(read)) read.form = await request.text();
  return read;
}

/** Whether a request brings a form that is looked at. */
export function isForm({ header, method }: CallbackRequest): boolean {
  return method === "POST" && Number(header("content-length") ?? NaN) <= MAX_BYTES &&
    (header("content-type") ?? "").startsWith("application/x-www-form-urlencoded");
}

/** Creates the handler of one attempt, listening on `port`. */
export function createHandler(
  expectation: CallbackExpectation,
  loopback: Loopback,
  port: number,
): (request: CallbackRequest) => CallbackAnswer {
  const { formPost, issuer, issuerRequired, state } = expectation;
  const hosts = [`${loopback.host}:${port}`, ...(port === 80 ? [loopback.host] : [])];
  const isHere = (host: string) => hosts.includes(host.toLowerCase());
  const show = (kind: CallbackPageKind, status?: number): CallbackAnswer => {
    const answer = page(kind, expectation);
    return status === undefined ? answer : { ...answer, status };
  };
  let outcome: CallbackPageKind | undefined;

  return (request) => {
    if (request.target.length > MAX_BYTES) return show("not_found", 414);
    const mark = request.target.indexOf("?");
    const path = mark < 0 ? request.target : request.target.slice(0, mark);
    const host = request.header("host") ?? "";
    if (!isHere(host) || !isHere(request.authority ?? host)) return show("not_found");
    if (path !== loopback.pathname) return show("not_found");
    if (request.header("sec-purpose") !== null || request.header("purpose") !== null) {
      return show("not_found", 503);
    }
    const form = formPost === true ? request.form : undefined;
    if (request.method !== "GET" && form === undefined) return show("not_found", 405);
    const text = form ?? (mark < 0 ? "" : request.target.slice(mark + 1));
    if (text === "" && outcome !== undefined) {
      return { ...show(outcome), last: true, hopeful: outcome === "success" };
    }
    const query = new URLSearchParams(text);
    const once = ["state", "code", "error", "iss"].every((name) => query.getAll(name).length < 2);
    if (outcome !== undefined || !once || !sameText(query.get("state") ?? "", state)) {
      return show("wrong");
    }
    const iss = query.get("iss");
    if (iss === null ? issuerRequired : iss !== issuer) {
      outcome = "wrong";
      const failure = new AuthError(
        "issuer_mismatch",
        "Sign in again, and report this if it stays: the answer in the browser came from " +
          "another authorization server than the one that was asked, or did not name it.",
      );
      return { ...show("wrong"), failure, last: true };
    }
    if (query.has("code") === query.has("error")) return show("wrong");
    outcome = query.has("code")
      ? "success"
      : query.get("error") === "access_denied"
      ? "denied"
      : "failed";
    // A clean URL takes the code out of the address bar and the history.
    const { headers } = page(outcome, expectation);
    return {
      status: 303,
      headers: { ...headers, location: loopback.pathname },
      body: "",
      result: query,
    };
  };
}

/** What the callback answers. */
export interface PageAnswer {
  /** HTTP status. */
  status: number;
  /** Header fields. */
  headers: Record<string, string>;
  /** HTML, or nothing. */
  body: string;
}

/** The one style sheet; its hash is {@linkcode STYLE_HASH}. */
export const STYLE = `
:root{color-scheme:light dark;--page:#f2f5f7;--card:#fff;--edge:#d5dde3;--text:#16212b;--soft:#4a5966;--good:#00734c;--bad:#b3261e;--odd:#7a5200}
@media (prefers-color-scheme:dark){:root{--page:#0e1419;--card:#18212a;--edge:#31404c;--text:#eef3f6;--soft:#b3c0ca;--good:#4fd6a1;--bad:#ff9c92;--odd:#f0c15c}}
*{box-sizing:border-box}
html{background:var(--page)}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;color:var(--text);font:1.0625rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:30rem;padding:2.5rem 2rem;background:linear-gradient(var(--mark),var(--mark)) 0 0/100% .35rem no-repeat var(--card);border:1px solid var(--edge);border-radius:.75rem;text-align:center;overflow-wrap:anywhere}
svg{width:4rem;height:4rem;fill:none;stroke:var(--mark);stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
h1{margin:1rem 0 .75rem;font-size:1.625rem;line-height:1.25;text-wrap:balance}
p{margin:0;color:var(--soft);text-wrap:balance}
strong{color:var(--text)}
.success{--mark:var(--good)}.denied,.failed{--mark:var(--bad)}.received,.wrong,.not_found{--mark:var(--odd)}
@media (max-width:30rem){body{padding:1rem}main{padding:2rem 1.25rem}}
`;

/** SHA-256 of {@linkcode STYLE}, in base64, so that the policy allows it and no other. */
export const STYLE_HASH = "t4h3HDmo7FBR6Hj1JfSHbn1k2TdE6j+Jyr+oTywl1mY=";

const TICK = '<path d="m7.5 12.5 3 3 6-6.5"/>';
const CROSS = '<path d="m8.5 8.5 7 7m0-7-7 7"/>';
const MARK = '<path d="M12 7v6m0 3.5v.01"/>';

/** Status, picture, title and message; `{}` stands for the name of the application. */
const PAGES: Record<CallbackPageKind, [number, string, string, string]> = {
  success: [200, TICK, "You are signed in", "You can close this tab and go back to {}."],
  denied: [
    200,
    CROSS,
    "Sign-in was cancelled",
    "{} was not given access. To try again, start signing in from there once more.",
  ],
  failed: [
    200,
    CROSS,
    "Sign-in did not succeed",
    "Go back to {}: it says what went wrong and what to do next.",
  ],
  received: [
    200,
    MARK,
    "Your answer has arrived",
    "Go back to {} to see that sign-in is complete.",
  ],
  wrong: [
    400,
    MARK,
    "This sign-in has expired",
    "The page belongs to an earlier or another sign-in, so nothing was changed. " +
    "Start signing in again from {}.",
  ],
  not_found: [
    404,
    MARK,
    "Nothing to see here",
    "This address only takes the answer of a sign-in. Go back to {}.",
  ],
};

function policy(style: string): string {
  return `default-src 'none'; style-src ${style}; base-uri 'none'; form-action 'none'; ` +
    "frame-ancestors 'none'";
}

/** Header fields of every answer: nothing is kept, framed, run or passed on. */
export const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "connection": "close",
  "content-security-policy": policy(`'sha256-${STYLE_HASH}'`),
  "content-type": "text/html; charset=utf-8",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** What an application's own page may have besides: styles and pictures within itself. */
const OWN_POLICY = `${policy("'unsafe-inline'")}; img-src data:`;

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

function builtIn(kind: CallbackPageKind, name: string): string {
  const [, picture, title, text] = PAGES[kind];
  const message = text.replace("{}", () => `<strong>${escapeHtml(name)}</strong>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} – ${escapeHtml(name)}</title>
<style>${STYLE}</style>
</head>
<body>
<main class="${kind}">
<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10.5"/>${picture}</svg>
<h1>${title}</h1>
<p>${message}</p>
</main>
</body>
</html>
`;
}

/** The page of `kind`. */
export function page(kind: CallbackPageKind, options: PageOptions = {}): PageAnswer {
  const applicationName = options.applicationName ?? "the application";
  const [status, , title, text] = PAGES[kind];
  const headers = { ...HEADERS };
  try {
    const message = text.replace("{}", () => applicationName);
    const body = options.callbackPage?.({ kind, applicationName, title, message });
    if (typeof body === "string") {
      headers["content-security-policy"] = OWN_POLICY;
      return { status, headers, body };
    }
  } catch {
    // A page that cannot be written must not cost the sign-in.
  }
  return { status, headers, body: builtIn(kind, applicationName) };
}
