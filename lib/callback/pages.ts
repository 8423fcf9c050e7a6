/**
 * The pages that the browser shows at the end of signing in: no script, no outside resource.
 *
 * @module
 */

import type { CallbackPageKind, RenderCallbackPage } from "./types.ts";

/** What the callback answers. */
export interface PageAnswer {
  /** HTTP status. */
  status: number;
  /** Header fields. */
  headers: Record<string, string>;
  /** HTML, or nothing. */
  body: string;
}

/** How pages are written. */
export interface PageOptions {
  /** Name of the application. */
  applicationName?: string;
  /** Replaces the built-in pages. */
  callbackPage?: RenderCallbackPage;
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
