/**
 * What people mistype: refused before anything is opened, sent or stored, by a message that names
 * the field.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Auth, AuthError, type LoginOptions, MemoryStorage } from "../../mod.ts";
import { fakeServer } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";

const server = fakeServer();
let touched = 0;
const touch = () => {
  touched++;
  throw new Error("It was opened.");
};

/** Options that are right. */
const RIGHT = {
  clientId: "app-1",
  callbackUrl: "http://localhost:8080/callback",
  environment: server.environment,
  storageProvider: new MemoryStorage(),
  fetch: touch as unknown as typeof fetch,
};

function code(more: Record<string, unknown>): () => unknown {
  return () => Auth.fromOAuthUserAuthCode({ ...RIGHT, ...more });
}

function environment(more: Record<string, unknown>): () => unknown {
  return code({ environment: { ...server.environment, ...more } });
}

function login(more: Record<string, unknown>): () => Promise<void> {
  const ui = { show: touch, openBrowser: touch, readLine: touch };
  const options = { allowOpenBrowser: true, ui, ...more } as unknown as LoginOptions;
  return () => Auth.fromOAuthUserAuthCode(RIGHT).userLogin(options);
}

/** What was typed, what it does, the field, and what the message must say. */
const TYPOS: [string, () => unknown, string, RegExp?][] = [
  [
    "a password behind https",
    code({ callbackUrl: "https://me:pw@app.example/" }),
    "callbackUrl",
    /user name/,
  ],
  ["no host", code({ callbackUrl: "https:///cb" }), "callbackUrl", /begins with none of/],
  ["a fragment behind https", code({ callbackUrl: "https://a.b/#x" }), "callbackUrl", /fragment/],
  ["a scheme without a domain", code({ callbackUrl: "myapp:/cb" }), "callbackUrl", /com\.example/],
  ["a script", code({ callbackUrl: "javascript:alert(1)" }), "callbackUrl", /private scheme/],
  ["no scheme in the callback", code({ callbackUrl: "localhost:8080" }), "callbackUrl", /http:/],
  [
    "one slash",
    code({ callbackUrl: "http:/localhost:8080" }),
    "callbackUrl",
    /begins with none of http:/,
  ],
  [
    "htpp",
    code({ callbackUrl: "htpp://localhost:8080" }),
    "callbackUrl",
    /begins with none of http:/,
  ],
  ["a host on the network", code({ callbackUrl: "http://myhost:8080" }), "callbackUrl", /host/],
  ["all interfaces", code({ callbackUrl: "http://0.0.0.0:8080" }), "callbackUrl", /host/],
  ["locahost", code({ callbackUrl: "http://locahost:8080" }), "callbackUrl", /host/],
  ["a port too high", code({ callbackUrl: "http://localhost:80800" }), "callbackUrl", /port/],
  ["a port with a letter", code({ callbackUrl: "http://localhost:808o" }), "callbackUrl", /port/],
  ["a port left empty", code({ callbackUrl: "http://localhost:/cb" }), "callbackUrl", /port/],
  ["a query", code({ callbackUrl: "http://localhost:8080/?a=b" }), "callbackUrl", /query/],
  ["a fragment", code({ callbackUrl: "http://localhost:8080/#x" }), "callbackUrl", /fragment/],
  ["a password", code({ callbackUrl: "http://me:pw@localhost:80" }), "callbackUrl", /user name/],
  ["a space at the end", code({ callbackUrl: "http://localhost:8080 " }), "callbackUrl", /space/],
  ["a space in it", code({ callbackUrl: "http://localhost:8080/a b" }), "callbackUrl", /space/],
  ["no callback", code({ callbackUrl: undefined }), "callbackUrl"],
  ["no client ID", code({ clientId: "" }), "clientId", /empty/],
  ["a client ID from an unset variable", code({ clientId: undefined }), "clientId"],
  ["a client ID with a line end", code({ clientId: "app-1\n" }), "clientId", /space|control/],
  ["a client ID with quotes", code({ clientId: '"app-1"' }), "clientId", /quote/],
  ["a placeholder", code({ clientId: "<client-id>" }), "clientId", /angle bracket/],
  ["the dots of the guide", code({ clientId: "…" }), "clientId", /special/],
  ["scopes as one text", code({ requestedScopes: "planet" }), "requestedScopes", /array/],
  ["scopes in one entry", code({ requestedScopes: ["planet openid"] }), "requestedScopes"],
  ["scopes with a comma", code({ requestedScopes: ["planet,openid"] }), "requestedScopes"],
  ["an unset scope", code({ requestedScopes: [undefined] }), "requestedScopes"],
  ["a scope in capitals", code({ requestedScopes: ["PLANET"] }), "requestedScopes", /planet/],
  ["a scope with a hyphen", code({ requestedScopes: ["offline-access"] }), "requestedScopes", /_/],
  ["a server without a scheme", environment({ userAuthServer: "login.x" }), "userAuthServer"],
  ["a server without TLS", environment({ userAuthServer: "http://login.x/" }), "userAuthServer"],
  ["an API as a path", environment({ apiBaseUrl: "/data" }), "apiBaseUrl"],
  ["an origin without a scheme", code({ allowedOrigins: ["api.x"] }), "allowedOrigins"],
  ["a profile that is a path", code({ profileName: "../me" }), "profile"],
  ["seconds with a unit", login({ timeoutMs: "300s" }), "timeoutMs"],
  ["no time at all", login({ timeoutMs: 0 }), "timeoutMs"],
  ["a page as text", login({ callbackPage: "<h1>Done</h1>" }), "callbackPage"],
  ["a name that is empty", login({ applicationName: " " }), "applicationName"],
  ["progress as a flag", login({ onPending: true }), "onPending"],
];

for (const [what, make, field, says] of TYPOS) {
  test(`Auth refuses ${what} before anything opens, and names ${field}`, async () => {
    touched = 0;
    const error = await Promise.resolve().then(make).catch((error: unknown) => error);
    assert(
      error instanceof TypeError ||
        (error instanceof AuthError && error.code === "invalid_argument"),
      String(error),
    );
    assertMatch(error.message, new RegExp(field));
    if (says !== undefined) assertMatch(error.message, says);
    assertEquals([touched, server.requests.length], [0, 0]);
    assert(!error.message.includes("pw"), "A password does not go into a message.");
  });
}

for (
  const callbackUrl of [
    "https://app.example/callback?from=planet",
    "https://localhost:8443/cb",
    "com.example.app:/callback",
    "com.example.app://callback",
    "http://LOCALHOST/cb",
  ]
) {
  test(`Auth takes ${callbackUrl} as a redirect URI (RFC 8252 §7)`, () => {
    assertEquals(Auth.fromOAuthUserAuthCode({ ...RIGHT, callbackUrl }).profileName, "app-1");
  });
}
