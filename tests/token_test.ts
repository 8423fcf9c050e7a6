import { assert, assertEquals, assertThrows } from "@std/assert";
import { AuthError } from "../lib/errors.ts";
import { readJwtClaims, TokenSet } from "../lib/token.ts";
import { secret } from "./_support/canaries.ts";
import { test } from "./_support/harness.ts";

const NOW_MS = 1_700_000_000_500;
const NOW = 1_700_000_000;

function jwt(claims: Record<string, unknown>): string {
  const encode = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${encode({ alg: "none" })}.${encode(claims)}.sig`;
}

test("TokenSet.fromResponse() counts expires_in from now", () => {
  const tokens = TokenSet.fromResponse({ access_token: secret("a"), expires_in: 100 }, NOW_MS);
  assertEquals([tokens.issuedAt, tokens.expiresAt], [NOW, NOW + 100]);
  assertEquals([tokens.refreshAtMs, tokens.expiresAtMs], [(NOW + 75) * 1000, (NOW + 100) * 1000]);
});

test("TokenSet.fromResponse() believes JWT claims before expires_in", () => {
  const response = { access_token: jwt({ iat: 10, exp: 50 }), expires_in: 100 };
  const tokens = TokenSet.fromResponse(response, NOW_MS);
  assertEquals([tokens.issuedAt, tokens.expiresAt], [10, 50]);
});

test("TokenSet.fromStored() believes JWT claims, then _iat and _exp, then expires_in", () => {
  const stored = { access_token: secret("a"), _iat: 1, _exp: 2, expires_in: 100 };
  assertEquals(TokenSet.fromStored(stored, NOW_MS, "k").expiresAt, 2);
  const withClaims = { ...stored, access_token: jwt({ exp: 9 }) };
  const tokens = TokenSet.fromStored(withClaims, NOW_MS, "k");
  assertEquals([tokens.issuedAt, tokens.expiresAt], [1, 9]);
  const bare = TokenSet.fromStored({ access_token: secret("a"), expires_in: 100 }, NOW_MS, "k");
  assertEquals([bare.issuedAt, bare.expiresAt], [NOW, NOW + 100]);
});

test("TokenSet without any lifetime never expires, as in Python", () => {
  const tokens = TokenSet.fromStored({ access_token: secret("a") }, NOW_MS, "k");
  assertEquals(tokens.expiresAt, undefined);
  assertEquals([tokens.refreshAtMs, tokens.expiresAtMs], [Infinity, Infinity]);
});

test("TokenSet takes numbers written as text, and ignores absurd ones", () => {
  const text = TokenSet.fromResponse({ access_token: secret("a"), expires_in: "60" }, NOW_MS);
  assertEquals(text.expiresAt, NOW + 60);
  for (const expires_in of ["soon", -5, null, true, {}]) {
    const tokens = TokenSet.fromResponse(
      { access_token: secret("a"), expires_in } as never,
      NOW_MS,
    );
    assertEquals(tokens.expiresAt, undefined, JSON.stringify(expires_in));
  }
  const huge = TokenSet.fromResponse({ access_token: secret("a"), expires_in: 1e18 }, NOW_MS);
  assert(new Date(huge.expiresAtMs).getTime() === huge.expiresAtMs, "is a date");
});

test("TokenSet with only a refresh token is expired at once", () => {
  const tokens = TokenSet.fromStored({ refresh_token: secret("r") }, NOW_MS, "k");
  assertEquals([tokens.accessToken, tokens.expiresAtMs, tokens.refreshAtMs], [undefined, 0, 0]);
});

test("TokenSet.fromResponse() keeps the refresh token and unknown members of before (RFC 6749 §6)", () => {
  const before = TokenSet.fromStored(
    { access_token: secret("a"), refresh_token: secret("r"), expires_in: 10, _exp: 5, x: { y: 1 } },
    NOW_MS,
    "k",
  );
  const after = TokenSet.fromResponse(
    { access_token: secret("b"), token_type: "Bearer" },
    NOW_MS,
    before,
  );
  assertEquals(after.toStored(), {
    access_token: secret("b"),
    refresh_token: secret("r"),
    token_type: "Bearer",
    x: { y: 1 },
    _iat: NOW,
  });
  const empty = TokenSet.fromResponse(
    { access_token: secret("b"), refresh_token: "" },
    NOW_MS,
    before,
  );
  assertEquals(empty.refreshToken, secret("r"));
  const rotated = TokenSet.fromResponse(
    { access_token: secret("b"), refresh_token: secret("s") },
    NOW_MS,
    before,
  );
  assertEquals(rotated.refreshToken, secret("s"));
});

test("TokenSet.fromResponse() refuses what holds no sendable token", () => {
  for (const access_token of [undefined, "", 7, "a\nb", "a b", "ä"]) {
    const error = assertThrows(
      () => TokenSet.fromResponse({ access_token } as never, NOW_MS),
      AuthError,
    );
    assertEquals(error.code, "malformed_response");
  }
});

test("TokenSet.fromStored() calls what holds no token corrupt, and quotes nothing of it", () => {
  for (
    const stored of [{}, { access_token: "" }, { key: "SECRET" }, { access_token: "SECRET\n" }]
  ) {
    const error = assertThrows(() => TokenSet.fromStored(stored, NOW_MS, "the-key"), AuthError);
    assertEquals(error.code, "storage_corrupt");
    assert(error.message.includes("the-key") && !error.message.includes("SECRET"));
  }
});

test("TokenSet shows no token in JSON or inspect output", () => {
  const tokens = TokenSet.fromResponse(
    {
      access_token: secret("SECRET-a"),
      refresh_token: secret("SECRET-r"),
      id_token: secret("SECRET-i"),
    },
    NOW_MS,
  );
  assertEquals(JSON.stringify(tokens), `{"issuedAt":${NOW}}`);
  assert(!Object.values(tokens).some((value) => String(value).includes("SECRET")));
});

test("readJwtClaims() reads claims and shrugs at everything else", () => {
  assertEquals(readJwtClaims(jwt({ sub: "x" })), { sub: "x" });
  for (const token of ["", "a", "a.b", "a.b.c", "a.bnVsbA.c", `a.${btoa("[1]")}.c`]) {
    assertEquals(readJwtClaims(token), undefined, token);
  }
});

test("TokenSet.toStored() keeps what is no part of a token response from what it replaces", () => {
  const before = TokenSet.fromStored(
    {
      access_token: secret("A0"),
      refresh_token: secret("R0"),
      scope: "old",
      _exp: 5,
      mine: { a: 1 },
    },
    0,
    "k",
  );
  const fresh = TokenSet.fromResponse({ access_token: secret("A1"), expires_in: 100 }, 1_000_000);
  assertEquals(fresh.toStored(before), {
    access_token: secret("A1"),
    expires_in: 100,
    mine: { a: 1 },
    _iat: 1000,
    _exp: 1100,
  });
});
