/**
 * What holds whatever comes in: files, names, requests, headers, environments.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { posix, win32 } from "node:path";
import { inspect } from "node:util";
import { asGeometry } from "../../lib/clients/data_filter.ts";
import { createHandler } from "../../lib/callback/handler.ts";
import { AuthError, PlanetError } from "../../lib/errors.ts";
import { OAuthClient } from "../../lib/oauth/client.ts";
import { readClient } from "../../lib/profiles/client_file.ts";
import { normalizeProfileName, parseCallbackUrl, profileKey } from "../../lib/setup.ts";
import { chooseSession } from "../../lib/profiles/sources.ts";
import { Session } from "../../lib/session.ts";
import { retryAfterMs } from "../../lib/exchange.ts";
import { toPythonJson } from "../../lib/storage/files.ts";
import { checkKey, checkObject, type JsonObject, parseObject } from "../../lib/storage/objects.ts";
import { EncryptedStorage, MemoryStorage } from "../../lib/storage/select.ts";
import { readJwtClaims, TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { fakeClock } from "../_support/fake_clock.ts";
import { type Arbitrary, fc, type Property } from "./_fast_check.ts";
import { keeperProperty } from "./_keeper.ts";

/** Something that holds. */
export interface Claim {
  /** What, with the rule behind it. */
  readonly name: string;
  /** The property. */
  property(): Property;
  /** Share of the cases that it gets, in relation to the others. */
  readonly weight: number;
}

const NOW = 1_700_000_000_000;
const SECRET = secret("of-properties");

/** Runs `work`; what it throws must be a typed error with one of `codes`. */
function typed<T>(codes: readonly string[], work: () => T): T | AuthError {
  try {
    return work();
  } catch (error) {
    assert(error instanceof AuthError, `untyped: ${inspect(error)}`);
    assert(codes.includes(error.code), `${error.code}: ${error.message}`);
    return error;
  }
}

/** Strings that programs stumble over, and any others. */
function anyText(): Arbitrary<string> {
  const odd = [
    "",
    " ",
    ".",
    "..",
    "a/../b",
    "/etc/passwd",
    "C:\\x",
    "c:x",
    "con",
    "NUL.json",
    "a\0b",
    "a\nb",
    "a\x1b[2J",
    "\u202e",
    "\ud800",
    "ä".repeat(100),
    "x".repeat(2000),
    "token.json.lock",
    "İ",
    "a.",
    "a ",
    "__proto__",
    "constructor",
    "😀",
  ];
  return fc.oneof(
    fc.constantFrom(...odd),
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.tuple(fc.constantFrom(...odd), fc.string({ unit: "binary" })).map((both) => both.join("/")),
    fc.tuple(fc.constantFrom(...odd), fc.constantFrom(...odd)).map((both) => both.join("")),
  );
}

/**
 * A value whose names hold no backslash. V8 15.0 (Deno 2.9.6) takes a name of a later object for
 * such a one in its place: `JSON.parse` reads `{"a":1,"\\n":1}` as `{"a":1,"\\\\":1}` after that.
 */
function withoutBackslash<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutBackslash) as T;
  const members = Object.entries(value).map(([name, member]): [string, unknown] => [
    name.replaceAll("\\", "|"),
    withoutBackslash(member),
  ]);
  return Object.fromEntries(members) as T;
}

function anyJson(): Arbitrary<unknown> {
  return fc.oneof(
    fc.jsonValue({ maxDepth: 4 }).map(withoutBackslash),
    anyText(),
    fc.double(),
    fc.constantFrom<unknown>(null, 0, -1, 1e18, 1e300, Infinity, NaN, "3600", "soon", true, [], {}),
  );
}

/** Objects with members of these names, of any value, a secret too, and others. */
function objectWith(...names: string[]): Arbitrary<JsonObject> {
  // No name is a secret: errors say names.
  const value = fc.oneof(anyJson(), fc.constant(SECRET));
  const shape = Object.fromEntries(names.map((name) => [name, value]));
  return fc.tuple(fc.record(shape, { requiredKeys: [] }), fc.dictionary(anyText(), anyJson()))
    .map(([known, others]) => ({ ...withoutBackslash(others), ...known }) as JsonObject);
}

function jwt(claims: unknown): string {
  const encode = (value: unknown) =>
    btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value) ?? "")))
      .replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
  return `${encode({ alg: "none" })}.${encode(claims)}.c2ln`;
}

/** Members of a token file or answer. */
function tokenMembers(): Arbitrary<JsonObject> {
  const token = fc.oneof(
    anyJson(),
    fc.constant(SECRET),
    objectWith("iat", "exp").map((claims) => jwt(claims)),
  );
  return fc.tuple(
    objectWith("_iat", "_exp", "expires_in", "token_type", "scope", "id_token", "refresh_token"),
    fc.option(token, { nil: undefined }),
    fc.boolean(),
  ).map(([members, access_token, hasRefresh]) =>
    ({
      ...members,
      ...(access_token === undefined ? {} : { access_token }),
      ...(hasRefresh ? { refresh_token: `${SECRET}-refresh` } : {}),
    }) as JsonObject
  );
}

function checkTokens(tokens: TokenSet): void {
  assert(!Number.isNaN(tokens.refreshAtMs) && !Number.isNaN(tokens.expiresAtMs), "no number");
  assert(tokens.refreshAtMs <= tokens.expiresAtMs, "due after its end");
  const stored = tokens.toStored();
  checkObject("k", stored);
  const again = TokenSet.fromStored(JSON.parse(JSON.stringify(stored)), NOW, "k");
  // JSON has no -0, which means the same.
  const times = ({ expiresAtMs, refreshAtMs }: TokenSet) => [expiresAtMs + 0, refreshAtMs + 0];
  assertEquals(times(again), times(tokens));
  for (
    const shown of [JSON.stringify(tokens), inspect(tokens, { showHidden: true }), String(tokens)]
  ) {
    assert(!shown.includes(SECRET), shown);
  }
}

const CALLBACK = { state: "right-State_0123456789", issuer: "https://as.example/" };

function callbackProperty(): Property {
  const parsed = parseCallbackUrl("http://127.0.0.1:4711/cb");
  const value = fc.oneof(
    anyText(),
    fc.constantFrom(CALLBACK.state, CALLBACK.issuer, SECRET, "access_denied"),
  );
  const name = fc.oneof(
    fc.constantFrom("state", "code", "iss", "error", "state", "code", "iss", "STATE", "code[]"),
    anyText(),
  );
  const query = fc.array(fc.tuple(name, value), { maxLength: 6 })
    .map((pairs) =>
      String(new URLSearchParams(pairs.map(([n, v]) => [n.toWellFormed(), v.toWellFormed()])))
    );
  const target = fc.oneof(
    query.map((text) => `/cb?${text}`),
    anyText(),
    fc.tuple(anyText(), query).map(([path, text]) => `${path}?${text}`),
    fc.constantFrom("/cb", "/cb?", "/favicon.ico", "/CB?x", "//cb", "/cb/", "/%63b", "*"),
  );
  const request = fc.record<{
    method: string;
    target: string;
    host: string;
    purpose: string | undefined;
    form: string | undefined;
  }>({
    method: fc.oneof(fc.constantFrom("GET", "GET", "GET", "POST", "HEAD", "get"), anyText()),
    target,
    host: fc.oneof(
      fc.constantFrom("127.0.0.1:4711", "127.0.0.1:4711", "localhost:4711", "evil.test"),
      anyText(),
    ),
    purpose: fc.option(anyText(), { nil: undefined }),
    form: fc.option(query, { nil: undefined }),
  });
  return fc.property(
    fc.array(request, { minLength: 1, maxLength: 5 }),
    fc.boolean(),
    (requests, issuerRequired) => {
      const expectation = { callbackUrl: parsed.callbackUrl, ...CALLBACK, issuerRequired };
      const handle = createHandler(expectation, parsed.loopback!, 4711);
      let ends = 0;
      for (const { form, host, method, purpose, target } of requests) {
        const headers: Record<string, string | undefined> = { host, purpose };
        const answer = handle({
          method,
          target,
          header: (name) => headers[name] ?? null,
          ...(form === undefined ? {} : { form }),
        });
        assert(answer.status >= 200 && answer.status <= 503);
        const shown = answer.body + JSON.stringify(answer.headers);
        assert(!shown.includes(SECRET) && !shown.includes(CALLBACK.state), "a page shows a secret");
        assertEquals(answer.headers["cache-control"], "no-store");
        if (answer.result === undefined && answer.failure === undefined) continue;
        ends++;
        // Only what carries the state, once, on the exact path of this host, ends the wait.
        const text = method === "GET" ? target.slice("/cb?".length) : form ?? "";
        const sent = new URLSearchParams(text);
        assertEquals(sent.getAll("state"), [CALLBACK.state]);
        assertEquals([host.toLowerCase(), purpose], ["127.0.0.1:4711", undefined]);
        assert(target === "/cb" || target.startsWith("/cb?"), target);
        const isIssuer = sent.get("iss") === null
          ? !issuerRequired
          : sent.get("iss") === CALLBACK.issuer;
        assertEquals(answer.failure === undefined, isIssuer);
        if (answer.result) assert(answer.result.has("code") !== answer.result.has("error"));
      }
      assert(ends <= 1, "the wait ends once");
    },
  );
}

/** A header value as it can come over the wire. */
function headerText(): Arbitrary<string> {
  const odd = [
    'Bearer error="invalid_token"',
    'Basic realm="',
    "Bearer",
    ",",
    "=",
    'a="\\',
    "DPoP algs=ES256, Bearer",
    `${"x, ".repeat(500)}`,
    `Bearer ${SECRET}`,
  ];
  const visible = fc.array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 60 })
    .map((codes) => String.fromCharCode(...codes.filter((code) => code !== 0x7f)));
  return fc.oneof(fc.constantFrom(...odd), visible).map((text) => text.trim());
}

function challengeProperty(): Property {
  return fc.asyncProperty(
    headerText(),
    headerText(),
    fc.constantFrom(400, 401, 401, 403, 429, 503),
    anyJson(),
    async (challenge, retryAfter, status, body) => {
      const headers = { "www-authenticate": challenge, "retry-after": retryAfter };
      const issuer = "https://as.example";
      const client = new OAuthClient({
        issuer,
        clientId: "app",
        scopes: [],
        clock: fakeClock({ now: NOW }),
        fetch: (input) =>
          Promise.resolve(
            String(input).includes(".well-known")
              ? Response.json({ issuer, token_endpoint: `${issuer}/token` })
              : new Response(JSON.stringify(body), { status, headers }),
          ),
      });
      const old = TokenSet.fromResponse({ access_token: secret("A"), refresh_token: SECRET }, NOW);
      const error = await client.refresh(old).catch((error) => error);
      assert(error instanceof AuthError, inspect(error));
      const { code, message, oauthError, retryAt } = error;
      assert(!`${message} ${oauthError} ${JSON.stringify(error)}`.includes(SECRET), message);
      assert(/^[\x20-\x7e§…]*$/.test(message), message);
      assert(retryAt === undefined || retryAt - NOW <= 86_400_000, `${retryAt}`);
      assert(!["network", "timeout"].includes(code), code);
    },
  );
}

function sourcesProperty(): Property {
  const names = [
    "PL_AUTH_PROFILE",
    "PL_AUTH_CLIENT_ID",
    "PL_AUTH_CLIENT_SECRET",
    "PL_API_KEY",
    "PL_AUTH_API_KEY",
    "key",
  ];
  const env = fc.dictionary(
    fc.constantFrom(...names),
    fc.oneof(fc.constant(""), fc.constant(SECRET), anyText()),
  );
  const given = fc.record<Record<string, string>>({
    profileName: anyText(),
    clientId: anyText(),
    clientSecret: fc.constant(SECRET),
    apiKey: fc.constant(SECRET),
  }, { requiredKeys: [] });
  const file = fc.option(objectWith(...names), { nil: undefined });
  return fc.asyncProperty(env, given, file, fc.boolean(), async (env, given, file, isCorrupt) => {
    const corrupt = new AuthError("storage_corrupt", "Delete the file.");
    const chosen = await chooseSession({
      given,
      env: (name) => Object.hasOwn(env, name) ? env[name] : undefined,
      envDenied: () => undefined,
      file: () => isCorrupt ? Promise.reject(corrupt) : Promise.resolve(file),
      fileName: "~/.planet.json",
    }).catch((error) => error);
    if (chosen instanceof AuthError) {
      assertEquals(chosen.code, "storage_corrupt");
      assert(!chosen.message.includes(SECRET));
      return;
    }
    assert(!(chosen instanceof Error), inspect(chosen));
    const { choice, ...told } = chosen;
    assert(!JSON.stringify(told).includes(SECRET), "the reasons show a secret");
    // What the program says itself wins.
    if (given.profileName !== undefined) assertEquals(choice.profileName, given.profileName);
    else if (given.apiKey !== undefined && given.clientId === undefined) {
      assertEquals(choice, { kind: "key", apiKey: SECRET });
    }
  });
}

async function cryptoKey(): Promise<CryptoKey> {
  const bytes = new Uint8Array(32).fill(7);
  return await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

/** All claims. */
export const CLAIMS: readonly Claim[] = [
  {
    name: "storage keys: what is accepted stays inside the root on every system",
    weight: 3,
    property: () =>
      fc.property(anyText(), (key) => {
        const refused = typed(["invalid_argument"], () => checkKey(key));
        if (refused !== undefined) return;
        assert(posix.join("/top/x", key).startsWith("/top/x/"), key);
        assert(win32.join("C:\\root\\x", key).startsWith("C:\\root\\x\\"), key);
        assert(!posix.isAbsolute(key) && !win32.isAbsolute(key), key);
        assertEquals(posix.normalize(key), key);
      }),
  },
  {
    name: "profile names: refused at once, or one folder's name that every store takes",
    weight: 3,
    property: () =>
      fc.property(anyText(), (name) => {
        const found = typed(["invalid_argument"], () => normalizeProfileName(name));
        if (typeof found !== "string") return;
        assertEquals(normalizeProfileName(found), found);
        for (const object of ["token", "auth_client", "login"] as const) {
          const key = profileKey(found, object);
          checkKey(key);
          assertEquals(key.split("/").length, 3);
        }
      }),
  },
  {
    name: "TokenSet.fromStored(): tokens or storage_corrupt, whatever the file holds",
    weight: 3,
    property: () =>
      fc.property(tokenMembers(), (members) => {
        const found = typed(["storage_corrupt"], () => TokenSet.fromStored(members, NOW, "k"));
        if (found instanceof TokenSet) checkTokens(found);
        else assert(!found.message.includes(SECRET));
      }),
  },
  {
    name: "TokenSet.fromResponse(): tokens or malformed_response, and no refresh token is lost",
    weight: 3,
    property: () =>
      fc.property(tokenMembers(), fc.boolean(), (members, hasPrevious) => {
        const previous = hasPrevious
          ? TokenSet.fromResponse({ access_token: secret("A"), refresh_token: secret("old") }, NOW)
          : undefined;
        const found = typed(
          ["malformed_response"],
          () => TokenSet.fromResponse(members, NOW, previous),
        );
        if (!(found instanceof TokenSet)) return assert(!found.message.includes(SECRET));
        checkTokens(found);
        const sent = members.refresh_token;
        const isGood = typeof sent === "string" && /^[\x20-\x7e]+$/.test(sent);
        assertEquals(found.refreshToken, isGood ? sent : hasPrevious ? secret("old") : undefined);
      }),
  },
  {
    name: "readJwtClaims(): an object or nothing, whatever the token",
    weight: 1,
    property: () =>
      fc.property(fc.oneof(anyText(), anyJson().map(jwt)), (token) => {
        const claims = readJwtClaims(token);
        assert(claims === undefined || (typeof claims === "object" && !Array.isArray(claims)));
      }),
  },
  {
    name: "parseObject(): an object or storage_corrupt, whatever the bytes",
    weight: 2,
    property: () => {
      const text = fc.oneof(
        tokenMembers().map((members) => JSON.stringify(members)),
        fc.tuple(anyJson(), fc.integer({ min: 0, max: 30 }))
          .map(([value, cut]) => (JSON.stringify(value) ?? "").slice(0, -cut || undefined)),
        fc.constantFrom("[".repeat(50_000), '{"a":'.repeat(50_000), `{"x":"${SECRET}`, "\ufeff{}"),
      ).map((found) => new TextEncoder().encode(found));
      return fc.property(fc.oneof(text, fc.uint8Array({ maxLength: 64 })), (bytes) => {
        const found = typed(["storage_corrupt"], () => parseObject("the file", bytes));
        if (found instanceof AuthError) assert(!inspect(found).includes(SECRET));
        else assert(typeof found === "object" && !Array.isArray(found));
      });
    },
  },
  {
    name: "toPythonJson(): reads back as what was written",
    weight: 2,
    property: () =>
      fc.property(objectWith("a"), (members) => {
        const given: JsonObject = JSON.parse(JSON.stringify(members));
        const kept = Object.fromEntries(
          Object.entries(given).filter(([, value]) => value !== null),
        );
        const text = toPythonJson(given);
        assertEquals(JSON.parse(text), kept);
        assert(/^[\x20-\x7e\n]*$/.test(text), "only ASCII");
      }),
  },
  {
    name: "createHandler(): only the right answer ends the wait, no page shows a secret (RFC 8252)",
    weight: 4,
    property: callbackProperty,
  },
  {
    name:
      "OAuthClient: any WWW-Authenticate, Retry-After and body end in a typed error (RFC 6749 §5.2)",
    weight: 2,
    property: challengeProperty,
  },
  {
    name: "retryAfterMs(): nothing, or from 0 to a day (RFC 9110 §10.2.3)",
    weight: 1,
    property: () =>
      fc.property(headerText(), headerText(), (value, date) => {
        const wait = retryAfterMs(new Headers({ "retry-after": value, date }), NOW);
        assert(wait === undefined || (wait >= 0 && wait <= 86_400_000), `${wait}`);
      }),
  },
  {
    name: "chooseSession(): any environment and ~/.planet.json, and no secret in the reasons",
    weight: 2,
    property: sourcesProperty,
  },
  {
    name: "readClient(): a client or invalid_argument, whatever auth_client.json holds",
    weight: 2,
    property: () => {
      const types = [
        "none",
        "static_apikey",
        "planet_legacy",
        "oidc_auth_code",
        "oidc_device_code",
      ];
      const members = objectWith(
        "client_type",
        "auth_server",
        "client_id",
        "audiences",
        "scopes",
        "redirect_uri",
        "issuer",
        "token_endpoint",
        "api_key",
      );
      const likely = fc.tuple(members, fc.constantFrom(...types)).map(([found, client_type]) => ({
        ...found,
        client_type,
        client_secret: SECRET,
      }));
      return fc.property(fc.oneof(members, likely), (members) => {
        const found = typed(["invalid_argument"], () => readClient(members, "the file"));
        if (found instanceof AuthError) assert(!found.message.includes(SECRET), found.message);
      });
    },
  },
  {
    name: "EncryptedStorage: whatever lies in the store, the object or storage_corrupt",
    weight: 1,
    property: () =>
      fc.asyncProperty(
        fc.integer({ min: 0 }),
        fc.integer({ min: 1, max: 255 }),
        objectWith("v", "alg", "iv", "data"),
        async (at, flip, other) => {
          const inner = new MemoryStorage();
          const storage = new EncryptedStorage(inner, await cryptoKey());
          await storage.save("k", { secret: SECRET });
          const sealed = (await inner.load("k"))!;
          assert(!JSON.stringify(sealed).includes(SECRET));
          const [names, values] = [Object.keys(sealed), JSON.parse(JSON.stringify(other))];
          const name = names[at % names.length]!;
          const text = String(sealed[name]);
          const place = at % Math.max(text.length, 1);
          const code = (text.charCodeAt(place) || 0) ^ (flip % 64);
          const spoilt = text.slice(0, place) + String.fromCharCode(code) + text.slice(place + 1);
          for (const bad of [{ ...sealed, [name]: spoilt }, values, { ...sealed, ...values }]) {
            await inner.save("k", bad as JsonObject);
            const found = await storage.load("k").catch((error) => error);
            if (found instanceof Error) {
              assert(
                found instanceof AuthError && found.code === "storage_corrupt",
                inspect(found),
              );
            } else assertEquals(found, { secret: SECRET });
          }
        },
      ),
  },
  {
    name: "asGeometry(): a geometry or a typed error, whatever is given",
    weight: 1,
    property: () =>
      fc.property(
        fc.oneof(anyJson(), objectWith("type", "coordinates", "geometry", "features", "content")),
        (given) => {
          try {
            assertEquals(typeof asGeometry(given as string), "object");
          } catch (error) {
            assert(error instanceof PlanetError || error instanceof TypeError, inspect(error));
            assert(!/undefined|Cannot read|is not a function/.test(error.message), error.message);
          }
        },
      ),
  },
  {
    name: "Session.list(): items or PagingError, whatever the pages hold",
    weight: 1,
    property: () => {
      const link = fc.oneof(anyJson(), fc.constantFrom("a", "b", "/c", "?d"));
      const page = fc.oneof(
        anyJson(),
        objectWith("items", "_links", "links", "meta"),
        fc.tuple(fc.array(objectWith("id"), { maxLength: 3 }), link)
          .map(([items, _next]) => ({ items, _links: { _next } })),
        fc.tuple(fc.array(objectWith("id"), { maxLength: 3 }), link)
          .map(([items, href]) => ({ items, links: [{ rel: "next", href }] })),
      );
      return fc.asyncProperty(fc.array(page, { minLength: 1, maxLength: 6 }), async (pages) => {
        let count = 0;
        const session = new Session({ authorization: () => "" }, {
          clock: fakeClock(),
          requestsPerSecond: 0,
          // Relative links may lead on for ever.
          fetch: () => {
            const page = count++ < 50 ? pages[count % pages.length] : { items: [] };
            return Promise.resolve(Response.json(page));
          },
        });
        try {
          const list = session.list("GET", "/x", { member: "items", limit: 20 });
          for await (const item of list) assertEquals(typeof item, "object");
        } catch (error) {
          const isExpected = error instanceof PlanetError &&
            ["ApiError", "AuthError", "PagingError"].includes(error.name);
          assert(isExpected, inspect(error));
        }
        assert(count < 60);
      });
    },
  },
  {
    name: "Keeper: any interleaving of calls, siblings, failures and time (see the model)",
    weight: 3,
    property: keeperProperty,
  },
];
