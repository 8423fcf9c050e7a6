/**
 * A script at the browser: signs in on the sandbox's real login, consent and
 * device pages, with `fetch` and a cookie jar.
 *
 * @module
 */

/** How the person behaves. */
export interface PersonOptions {
  /** Name to sign in with; default `alice`. */
  login?: string;
  /** Whether the person cancels at the first page that asks something; default false. */
  deny?: boolean;
  /** Whether the answer is taken to the application; default true. */
  deliver?: boolean;
  /** Longest time for all of it, in milliseconds; default 20 seconds. */
  timeoutMs?: number;
}

/** Where the person ended. */
export interface Visit {
  /** The redirect URI with the answer, where the server sent the browser to one. */
  readonly callback: URL | undefined;
  /** Address of the last page. */
  readonly url: URL;
  /** Status of the last page. */
  readonly status: number;
  /** Text of the last page. */
  readonly text: string;
}

/** More pages than this are a loop. */
const MOST_PAGES = 30;

/** One browser with its own cookies. */
export class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly #signal: AbortSignal;

  /** Begins without cookies; `signal` ends every request. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Asks for a page, or posts `form`; a redirect is an answer like any other. */
  async load(url: URL, form?: URLSearchParams): Promise<Response> {
    const jar = this.#cookies.get(url.origin) ?? new Map<string, string>();
    this.#cookies.set(url.origin, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      headers: { accept: "text/html", ...(cookie === "" ? {} : { cookie }) },
      ...(form === undefined ? {} : { body: form }),
      redirect: "manual",
      signal: this.#signal,
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = "", ...attributes] = line.split(";");
      const at = pair.indexOf("=");
      const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
      const gone = value === "" || attributes.some((one) => /expires=thu, 01 jan 1970/i.test(one));
      if (gone) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  }
}

function unescape(text: string): string {
  return text.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function attribute(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\s${name}="([^"]*)"`, "i").exec(tag)?.[1];
  return found === undefined ? undefined : unescape(found);
}

/** The first form of a page that is posted: where to (empty: the page itself), and what it holds. */
export function readForm(
  html: string,
): { action: string; fields: Map<string, string> } | undefined {
  const form = /<form\b[^>]*>[\s\S]*?<\/form>/i.exec(html)?.[0];
  if (form === undefined) return undefined;
  const action = attribute(form, "action") ?? "";
  const fields = new Map<string, string>();
  for (const [tag] of form.matchAll(/<input\b[^>]*>/gi)) {
    const name = attribute(tag, "name");
    if (name !== undefined) fields.set(name, attribute(tag, "value") ?? "");
  }
  return { action, fields };
}

async function visit(start: URL, options: PersonOptions, userCode?: string): Promise<Visit> {
  const { deliver = true, deny = false, login = "alice", timeoutMs = 20_000 } = options;
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new Error(`The pages at ${start.origin} took longer than a person.`)),
    timeoutMs,
  );
  try {
    const browser = new Browser(controller.signal);
    let url = start;
    let form: URLSearchParams | undefined;
    let callback: URL | undefined;
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const response = await browser.load(url, form);
      form = undefined;
      const location = response.headers.get("location");
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel();
        url = new URL(location, url);
        if (url.origin !== start.origin && callback === undefined) {
          callback = url;
          if (!deliver) return { callback, url, status: response.status, text: "" };
        }
        continue;
      }
      const text = await response.text();
      const filled = callback === undefined ? readForm(text) : undefined;
      if (filled === undefined || response.status >= 500) {
        return { callback, url, status: response.status, text };
      }
      const { action, fields } = filled;
      const asks = fields.has("login") || fields.get("prompt") === "consent" ||
        fields.has("confirm");
      const cancel = /<a href="([^"]*\/abort)"/i.exec(text)?.[1];
      if (deny && asks && cancel !== undefined) {
        url = new URL(unescape(cancel), url);
        continue;
      }
      if (deny && fields.has("confirm")) {
        fields.delete("confirm");
        fields.set("abort", "yes");
      }
      if (fields.has("login")) fields.set("login", login).set("password", "any");
      if (fields.has("user_code") && fields.get("user_code") === "") {
        // Asked once more for a code that was given: it is not accepted.
        if (userCode === undefined) return { callback, url, status: response.status, text };
        fields.set("user_code", userCode);
        userCode = undefined;
      }
      url = new URL(action, url);
      form = new URLSearchParams([...fields]);
      if (deny && fields.has("abort")) {
        const last = await browser.load(url, form);
        return { callback, url, status: last.status, text: await last.text() };
      }
    }
    throw new Error(`The pages at ${start.origin} lead in a circle.`);
  } finally {
    clearTimeout(timer);
  }
}

/** Signs in at an authorization URL and takes the answer to the application. */
export async function signIn(url: string | URL, options: PersonOptions = {}): Promise<Visit> {
  return await visit(new URL(url), options);
}

/** Cancels at an authorization URL, or a device page, and takes the answer to the application. */
export async function deny(url: string | URL, options: PersonOptions = {}): Promise<Visit> {
  return await visit(new URL(url), { ...options, deny: true });
}

/**
 * Confirms a device: opens the page (the one with the code in it, or types
 * `userCode` into the plain one), signs in and agrees.
 */
export async function approveDevice(
  url: string | URL,
  userCode?: string,
  options: PersonOptions = {},
): Promise<Visit> {
  const last = await visit(new URL(url), options, userCode);
  if (options.deny !== true && (last.status !== 200 || readForm(last.text) !== undefined)) {
    throw new Error(`The device was not confirmed: ${last.url.pathname} answered ${last.status}.`);
  }
  return last;
}

/** Does what the page behind any URL of the sandbox asks for: sign-in or device. */
export async function open(url: string | URL, options: PersonOptions = {}): Promise<Visit> {
  return await visit(new URL(url), options);
}
