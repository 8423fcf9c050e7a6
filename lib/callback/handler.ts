/**
 * Decides what a request to the callback means; pure, without a server (RFC 8252, RFC 9207).
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { sameText } from "../exchange.ts";
import type { ParsedCallbackUrl } from "./callback_url.ts";
import { page, type PageAnswer } from "./pages.ts";
import type { CallbackExpectation, CallbackPageKind } from "./types.ts";

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

/** Longest target and form that are looked at. */
export const MAX_BYTES = 16_384;

/** Creates the handler of one attempt, listening on `port`. */
export function createHandler(
  expectation: CallbackExpectation,
  parsed: ParsedCallbackUrl,
  port: number,
): (request: CallbackRequest) => CallbackAnswer {
  const { formPost, issuer, issuerRequired, state } = expectation;
  const hosts = [`${parsed.host}:${port}`, ...(port === 80 ? [parsed.host] : [])];
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
    if (path !== parsed.pathname) return show("not_found");
    if (request.header("sec-purpose") !== null || request.header("purpose") !== null) {
      return show("not_found", 503);
    }
    const isForm = formPost === true && request.method === "POST" && request.form !== undefined;
    if (request.method !== "GET" && !isForm) return show("not_found", 405);
    const text = isForm ? request.form! : mark < 0 ? "" : request.target.slice(mark + 1);
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
      headers: { ...headers, location: parsed.pathname },
      body: "",
      result: query,
    };
  };
}
