/**
 * The pages that the browser shows at the end of signing in: no script, no outside resource.
 *
 * @module
 */

/** What the callback answers. */
export interface PageAnswer {
  /** HTTP status. */
  status: number;
  /** Header fields. */
  headers: Record<string, string>;
  /** HTML, or nothing. */
  body: string;
}

/** Which page is meant. */
export type PageName = "success" | "denied" | "wrong" | "not_found";

const STYLE = ":root{color-scheme:light dark}body{font:1.125rem/1.5 system-ui,sans-serif;" +
  "max-width:32rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.6rem}";

const TEXTS: Record<PageName, [number, string, string]> = {
  success: [200, "You are signed in", "You may close this window and return to"],
  denied: [200, "Sign-in did not succeed", "Close this window; to try again, return to"],
  wrong: [400, "This sign-in attempt is wrong or expired", "Start signing in again from"],
  not_found: [404, "Nothing here", "Close this window and return to"],
};

/** Header fields of every answer: nothing is kept, framed, run or passed on. */
export const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "connection": "close",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  "content-type": "text/html; charset=utf-8",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** The page `name`, for the application `applicationName`. */
export function page(name: PageName, applicationName = "the application"): PageAnswer {
  const [status, title, text] = TEXTS[name];
  const body = `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width"><title>${title}</title>` +
    `<style>${STYLE}</style></head><body><main><h1>${title}</h1>` +
    `<p>${text} ${escapeHtml(applicationName)}.</p></main></body></html>`;
  return { status, headers: { ...HEADERS }, body };
}
