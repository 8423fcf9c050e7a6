/**
 * What the Planet SDK for Python does badly, and the test of ours that shows that we do not.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import { test } from "../_support/harness.ts";

/** Tests by file below `tests/`, as their names are written there; or a text of `examples/README.md`. */
type Evidence = readonly [file: string, ...names: string[]];

const CALLBACK = "callback/attacks_test.ts";
const KEEPER = "keeper/keeper_test.ts";
const OAUTH = "oauth/client_test.ts";
const PROFILES = "profiles/profiles_test.ts";
const README = "../examples/README.md";

const WEAKNESSES: readonly [what: string, ...evidence: Evidence[]][] = [
  ["a refresh answer without a refresh token erases the stored one", [
    "token_test.ts",
    "TokenSet.fromResponse() keeps the refresh token and unknown members of before (RFC 6749 §6)",
  ], [KEEPER, "Keeper survives 20 expiries, with rotating refresh tokens and without"]],
  ["no lock between processes", [
    "processes/processes_test.ts",
    "9 processes on one expired session in files: 1 token request, 9 successes, 2 expiries",
  ]],
  ["no single flight within a process", [
    "end_to_end_test.ts",
    "a person: 1,000 calls at expiry cost 1 token request",
  ]],
  ["after invalid_grant the store is not read again, and the dead token is posted for ever", [
    KEEPER,
    "Keeper adopts a sibling's token after invalid_grant (Python takes no lock)",
    "Keeper waits a moment after invalid_grant for what a sibling without a lock is about to store",
    "Keeper never sends a dead refresh token again, in this process or the next",
  ]],
  ["a one-time token is posted 4 times when the connection is lost", [
    OAUTH,
    "OAuthClient repeats a token request only where it surely did not arrive",
  ]],
  [
    "429 is posted 4 times, with any Retry-After, and ends in a foreign error; 503 is not repeated",
    [
      KEEPER,
      "Keeper leaves a throttling server alone until it lets us ask, in every process",
    ],
    [OAUTH, "OAuthClient.refresh() answered with ${what}: ${code}, ${requests} request(s)"],
  ],
  ["no time limit on requests to the authorization server", [
    "faults/session_test.ts",
    "OAuthClient ends by its time limit where fetch does not heed its signal",
  ]],
  ["files are truncated, then written", [
    "storage/file_deep_test.ts",
    "FileStorage under ${name} reads whole files beside a busy writer",
  ], [
    "interop/processes_deep_test.ts",
    "3 Python processes read a session that 6 of ours renew 60 times: no broken file",
  ]],
  ["files are 0644 for a moment, folders 0755", [
    "storage/file_test.ts",
    "FileStorage makes files of mode 0600 in folders of mode 0700",
  ]],
  ["a corrupt token file counts as a session, and ends in a parser's error", [
    "auth_test.ts",
    "Auth.isInitialized() with ${what}: ${expected}, without any request",
    "Auth.ensureInitialized() signs in where the session is missing, dead or unreadable",
  ]],
  ["requests go out without a token, or with an expired one", [
    KEEPER,
    "Keeper asks for a sign-in where there is no session, or nothing to renew it with",
  ]],
  ["profile names lead out of the folder", [
    PROFILES,
    "Auth.fromProfile() refuses the name ${JSON.stringify(name)} before it reads",
  ]],
  ["the callback takes exactly one connection", [
    CALLBACK,
    "listen() outlives ${what} (RFC 8252 §8, RFC 9700 §4)",
  ]],
  ["the callback takes any path and any host", [
    CALLBACK,
    "listen() outlives ${what} (RFC 8252 §8, RFC 9700 §4)",
  ]],
  ["the callback believes an error without state", [
    CALLBACK,
    "listen() outlives ${what} (RFC 8252 §8, RFC 9700 §4)",
  ]],
  ["the callback ignores iss; the issuer of the discovery document is not compared", [
    CALLBACK,
    "listen() fails with issuer_mismatch on ${what} (RFC 9207 §2.4)",
  ], [
    "oauth/client_auth_test.ts",
    "OAuthClient takes a server by the name that the profile gives it, and by no other",
  ]],
  ["state has 26 bits, and is shown in an error", [
    OAUTH,
    "OAuthClient.authorize() makes an authorization request with PKCE (RFC 6749 §4.1.1, RFC 7636 §4.3)",
  ]],
  ["the time limit of the callback is fixed, and none", [
    CALLBACK,
    "listen() is gone within 1 s of ${what}, whoever is still connected",
  ], ["auth_test.ts", "Auth.userLogin() ends when its time is over"]],
  ["the callback listens on IPv4 only", [
    CALLBACK,
    "listen() for localhost hears ::1 and 127.0.0.1, and no other address",
  ]],
  ["no ephemeral port; the listener is not closed", [
    "oauth/confidential_test.ts",
    "Auth.fromProfile() signs in, renews and signs out as ${client_type}, one token request each",
  ], [CALLBACK, "listen() is gone within 1 s of ${what}, whoever is still connected"]],
  ["one page for success and failure; a pasted code without a check of state, and no URL", [
    CALLBACK,
    "listen() tells the browser how the sign-in ended, when that is known",
  ], [
    "sign_in/authorization_code_test.ts",
    'userLogin() ${expected ? "takes" : "asks again after"} ${what} when pasted',
  ]],
  ["ID token and nonce are not checked at login", [
    OAUTH,
    "OAuthClient refuses an ID token with another nonce (OpenID Connect Core §3.1.3.7)",
  ]],
  ["device polling ends with the first trouble of the network, and cannot be cancelled", [
    "sign_in/device_code_test.ts",
    "completeDevice() waits ${what} (RFC 8628)",
    "completeDevice() rejects with the reason of an abort, before and amid a poll",
  ]],
  ["errors lose their text", [
    "faults/matrix_test.ts",
    "the fault matrix, the quick share: every cell ends as the rules say, and no secret shows",
  ], ["auth_test.ts", "Auth refuses ${what}, and names ${field}"]],
  ["printing the key of a legacy profile crashes", [
    PROFILES,
    "Auth.fromProfile() sends what ${what} has",
    "Auth.fromProfile() says that the key of a legacy profile is missing",
  ]],
  ["a profile of the environment beats an explicit API key", [
    PROFILES,
    "Auth.fromUserDefaultSession() puts arguments before everything",
  ]],
  ["signing in overwrites the profile's file", [
    PROFILES,
    "Auth.fromProfile() uses what the profile says and what it has stored, and changes neither",
  ]],
  ["a store of one's own depends on the disk, and has no profiles", [
    PROFILES,
    "Auth asks a store of one's own for no file of sops, and the disk for nothing",
    "Auth.fromUserDefaultSession() uses the profile that the command line has set",
  ]],
  ["the event loop stands still during a refresh", [
    KEEPER,
    "Keeper hands out the old token from 3/4 of its life on, and renews once behind it",
  ]],
  ["tokens go to whatever URL is asked for", [
    "http/fetch_test.ts",
    "authenticatedFetch() sends nothing to ${JSON.stringify(url)}",
  ]],
  ["codes and bodies get into logs", [
    "auth_test.ts",
    "Auth shows no secret in JSON, by its members, or in events",
  ]],
  ["prompts go to standard output", [
    "terminal/session_deep_test.ts",
    "terminal of ${size}: piped output is plain lines on stderr, and stdout is the program's alone",
  ]],
  ["no logout", [
    "auth_test.ts",
    "Auth.logout() revokes the refresh token, forgets the session, and tells",
  ], [
    "interop/sessions_test.ts",
    "logout() here: Python has no session any more, in a process that holds one too",
  ]],
  ["whole seconds of mtime decide on a reload; a wrong clock makes a token look alive", [
    "auth_test.ts",
    "Auth.fetch renews once where the API answers 401, and repeats the request",
  ], [README, "Whether a stored token is newer is told by its content, never by a file's time."]],
  ["clear text of sops lies on the disk", [
    "interop/sops_test.ts",
    "Auth reads and renews a session that Python has encrypted with sops, and never puts clear text on the disk",
  ]],
];

test("each of the 35 weaknesses of the Python SDK that are known has a test of ours, or a line of examples/README.md", async () => {
  assertEquals(WEAKNESSES.length, 35);
  for (const [what, ...evidence] of WEAKNESSES) {
    assert(evidence.length > 0, what);
    for (const [file, ...names] of evidence) {
      const text = await readFile(new URL(`../${file}`, import.meta.url), "utf8");
      for (const name of names) {
        const found = file === README
          ? text.replace(/\s+/g, " ").includes(name)
          : ['"', "`", "'"].some((quote) => text.includes(quote + name + quote));
        assert(found, `${what}: ${file} has no "${name}"`);
      }
    }
  }
});
