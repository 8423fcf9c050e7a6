/**
 * What every HTTP exchange of this library shares: answers that are waited for and read within
 * bounds, `Retry-After`, and a comparison that tells nothing by its time.
 *
 * Does not rely on `fetch` to heed its signal: one of the application's own may
 * not, and Deno's loses the signal of an answer whose head has come once the
 * garbage collector has run.
 *
 * @module
 */

import { abandonable, runtime } from "./runtime.ts";

/**
 * A `fetch`: the runtime's, or one of the application's own, for proxies and tests.
 *
 * @category Call APIs
 */
export type FetchLike = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Waits for the head of an answer; one that comes too late is let go. */
export async function answered(sent: Promise<Response>, signal: AbortSignal): Promise<Response> {
  try {
    return await abandonable(sent, signal);
  } catch (error) {
    sent.then((response) => response.body?.cancel()).catch(() => {});
    throw error;
  }
}

/**
 * Reads a body, at most `most` bytes of it; then it is let go. `moved` is called at every part.
 *
 * @throws The reason of `signal`; what reading fails with.
 */
export async function readBody(
  response: Response,
  most: number,
  signal: AbortSignal,
  moved?: () => void,
): Promise<{ bytes: Uint8Array; isWhole: boolean }> {
  if (response.body === null) return { bytes: new Uint8Array(), isWhole: true };
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  let isWhole = false;
  try {
    while (size <= most) {
      const { done, value } = await abandonable(reader.read(), signal);
      moved?.();
      isWhole = done;
      if (done) break;
      parts.push(value);
      size += value.byteLength;
    }
  } finally {
    if (!isWhole) reader.cancel().catch(() => {});
  }
  const bytes = new Uint8Array(Math.min(size, most));
  let at = 0;
  for (const part of parts) {
    const fitting = part.subarray(0, bytes.length - at);
    bytes.set(fitting, at);
    at += fitting.byteLength;
  }
  return { bytes, isWhole };
}

/** Longest wait that is believed, in milliseconds: a day. */
const LONGEST_WAIT_MS = 86_400_000;

/** How long the server wants us to wait, in milliseconds; `undefined` where it does not say. */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const header = headers.get("retry-after");
  if (header === null) return undefined;
  // A date counts from the server's own, so that clocks which differ do no harm.
  const dated = Date.parse(headers.get("date") ?? "");
  const from = Number.isNaN(dated) ? nowMs : dated;
  const wait = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - from;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), LONGEST_WAIT_MS);
}

/** Compares `given` with `expected` without telling, by its time, where they differ. */
export function sameText(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= (given.charCodeAt(index) || 0) ^ expected.charCodeAt(index);
  }
  return difference === 0;
}

/**
 * Failures of the name look-up, of the connection or of the TLS handshake, as the runtimes word
 * them. A connection that is reset may be any time, so it is not among them.
 */
const NO_CONNECTION =
  /ECONNREFUSED|ConnectionRefused|Unable to connect|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|tcp connect error|dns error|client error \(Connect\)|TLS handshake failed|before secure TLS|CERT_HAS_|CERT_NOT_|SELF_SIGNED_CERT|ERR_TLS_CERT|UNABLE_TO_(?:GET|VERIFY)|ERR_SSL_(?:WRONG_VERSION|UNSUPPORTED_PROTOCOL|\w*PROTOCOL_VERSION|\w*HANDSHAKE_FAILURE)/;

/** An established connection fails by the same codes. */
const WHILE_CONNECTED = /\b(?:read|write) E[A-Z]/;

/** Failures of TLS, as the runtimes word them. */
const NO_TLS =
  /certificate|CERT_|_CERT|ERR_TLS|ERR_SSL|EPROTO|UNABLE_TO_|secure TLS|handshake eof|received (?:corrupt message|fatal alert)/;

/** What a `fetch` failed with. */
export interface FetchFailure {
  /** What to do. */
  readonly what: string;
  /** What was found. */
  readonly found: string;
  /** Whether the request surely did not arrive. */
  readonly isUnsent: boolean;
  /** Whether it is a matter of TLS, which another try seldom mends. */
  readonly isTls: boolean;
  /** The words and codes of all causes. */
  readonly cause: Error | undefined;
}

/**
 * Reads what a `fetch` failed with. Its cause has the words and codes of all causes as `clean` leaves
 * them, without what else they carry: a socket, an answer, or what an application's own `fetch` puts there.
 */
export function fetchFailure(
  cause: unknown,
  origin: string,
  clean: (text: string) => string,
): FetchFailure {
  const words: string[] = [];
  let last: string | undefined;
  for (let at = cause, depth = 0; typeof at === "object" && at !== null && depth < 5; depth++) {
    const { cause, code, message } = at as Record<string, unknown>;
    const said = [message, code].filter((word) => typeof word === "string" && word !== "");
    words.push(...said.map((word) => last = clean(String(word))));
    at = cause;
  }
  const text = words.join(": ");
  const isUnsent = NO_CONNECTION.test(text) && !WHILE_CONNECTED.test(text);
  const isTls = NO_TLS.test(text);
  const [what, found] = isTls
    ? [
      adviceOnTls(),
      `no secure connection (TLS) to ${origin} (${last?.replace(/^.*\(Connect\): /, "")})`,
    ]
    : isUnsent
    ? ["Check the network, or try again later", `no connection to ${origin}`]
    : ["Try again", `the connection to ${origin} broke off before the answer was complete`];
  return { what, found, isUnsent, isTls, cause: text === "" ? undefined : new Error(text) };
}

function adviceOnTls(): string {
  if (runtime === "other") return "Check the address and the certificate of the server";
  const variable = runtime === "deno" ? "DENO_CERT" : "NODE_EXTRA_CA_CERTS";
  return "Check the address; if the server or your network has a certificate authority of its own, " +
    `set ${variable} to the file with its certificate`;
}
