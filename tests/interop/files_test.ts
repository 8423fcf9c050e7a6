/**
 * The files that we and the Planet SDK for Python write: byte for byte the same.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Auth, type JsonObject } from "../../mod.ts";
import { toPythonJson } from "../../lib/storage/files.ts";
import { secret } from "../_support/canaries.ts";
import { freePort } from "../_support/free_port.ts";
import { test, type TestOptions } from "../_support/harness.ts";
import { LOOSE, PERSON, SKIP_BUT_DENO, withPython } from "./python.ts";

const options: TestOptions = {
  ...(SKIP_BUT_DENO === undefined ? {} : { skip: SKIP_BUT_DENO }),
  breaks: [LOOSE],
};

const TOKEN = {
  access_token: secret("AT1"),
  _iat: 1795447698,
  expires_in: 100,
  _exp: 1795447798,
  refresh_token: secret("RT1"),
  scope: "planet",
  token_type: "Bearer",
};

/** What a file may hold, one oddity each. */
const OBJECTS: Readonly<Record<string, JsonObject>> = {
  token: TOKEN,
  "unknown members": {
    ...TOKEN,
    session_state: "x",
    "not-before-policy": 0,
    id_token: secret("a.b.c"),
  },
  "nulls, inside and outside": { gone: null, kept: { inside: null }, list: [null] },
  "empty things": { object: {}, list: [], text: "", zero: 0, no: false, deep: { a: [{}, []] } },
  "letters of all kinds": {
    "é": "ä\u007f\u2028",
    "😀": "\ud83d\ude00",
    "\ufffd": "last by UTF-16, first by code point",
    quote: '"\\/\b\f\n\r\t\u0001',
  },
  "keys in an odd order": { b: 1, a: 2, B: 3, _: 4, "10": 5, "9": 6, "": 7, "a b": 8 },
  numbers: {
    big: 9007199254740991,
    negative: -1,
    fraction: 1.5,
    small: 0.0001,
    smaller: 0.00001,
    tiny: 1e-7,
    less: 5e-324,
    huge: 1.7976931348623157e308,
    third: 1 / 3,
    exponent: 1.5e300,
  },
  profile: {
    _comment: "OIDC/OAuth server used by Planet Public API endpoints",
    audiences: ["https://api.planet.com/"],
    auth_server: "https://login.planet.com/",
    client_id: "AbCd",
    client_type: "oidc_auth_code",
    custom: { kept: ["as", "it", "is"] },
    local_redirect_uri: "http://localhost:8080/cb",
    redirect_uri: "http://localhost:8080/cb",
    scopes: ["planet", "offline_access"],
  },
};

test(
  "FileStorage writes what Python writes, and neither changes what the other wrote",
  async () => {
    await withPython(async ({ home, python, read, storage }) => {
      for (const [what, value] of Object.entries(OBJECTS)) {
        await python({ call: "write", path: "theirs.json", json: JSON.stringify(value) });
        await storage.save("ours.json", value);
        const theirs = await read("theirs.json");
        assertEquals(await read("ours.json"), theirs, what);
        await storage.save("theirs.json", (await storage.load("theirs.json"))!);
        await python({ call: "resave", paths: ["ours.json"] });
        assertEquals([await read("theirs.json"), await read("ours.json")], [theirs, theirs], what);
      }
      const modes = await Promise.all(
        ["ours.json", "theirs.json"].map(async (name) =>
          (await stat(join(home, name))).mode & 0o777
        ),
      );
      assertEquals(modes, [0o600, 0o600]);
    });
  },
  {
    ...options,
    breaks: [{
      rule: "file",
      where: "s.json",
      why: "Objects of every kind are written under one name by us and one by Python.",
    }],
  },
);

test("toPythonJson() writes 300 random objects as Python does", async () => {
  await withPython(async ({ python, read }) => {
    let state = 7;
    const random = (limit: number) => (state = (state * 48271) % 2147483647) % limit;
    const text = () =>
      Array.from(
        { length: random(6) },
        () => String.fromCodePoint([random(128), random(0xd800), 0x1f600 + random(80)][random(3)]!),
      ).join("");
    const value = (depth: number): JsonObject[string] => {
      const kinds = [
        () => text(),
        () => random(2) === 0,
        () => null,
        () => random(2 ** 31) - 2 ** 30,
        () => (random(2 ** 31) + 0.5) * 10 ** (random(60) - 40),
        () => Array.from({ length: random(4) }, () => value(depth - 1)!),
        () => object(depth - 1),
      ];
      return kinds[random(depth > 0 ? 7 : 5)]!() as JsonObject[string];
    };
    const object = (depth: number): JsonObject =>
      Object.fromEntries(Array.from({ length: random(5) }, () => [text(), value(depth)]));
    let compared = 0;
    while (compared < 300) {
      const one = object(3);
      // A fraction that is a whole number after all is one to JavaScript and not to Python.
      const json = JSON.stringify(one);
      if (/\d{16}|\d\.?\d*e\+/.test(json)) continue;
      await python({ call: "write", path: "random.json", json });
      assertEquals(toPythonJson(JSON.parse(json)), await read("random.json"), json);
      compared++;
    }
  });
}, options);

test("Auth writes the profile that Python's constructors write", async () => {
  await withPython(async ({ python, read, sandbox, storage }) => {
    const { clientId, environment, m2m } = sandbox;
    const common = { environment, storageProvider: storage };
    const comment = { _comment: "OIDC/OAuth server used by Planet Public API endpoints" };
    const audiences = [...environment.audiences];
    const auth = Auth.fromOAuthM2M({ ...m2m, profileName: "ours", ...common });
    await auth.accessToken();
    const config = {
      ...comment,
      _hidden: true,
      audiences,
      auth_server: environment.m2mAuthServer,
      client_id: m2m.clientId,
      client_secret: m2m.clientSecret,
      client_type: "oidc_client_credentials_secret",
      scopes: [],
    };
    await python({ call: "construct", keep: "m2m", profile: "theirs", config });
    const file = (name: string) => read(`.planet/${name}/auth_client.json`);
    assertEquals(await file("ours"), await file("theirs"));

    const redirect_uri = `http://localhost:${await freePort()}/cb`;
    const user = {
      ...comment,
      audiences,
      auth_server: environment.userAuthServer,
      client_id: clientId,
      client_type: "oidc_auth_code",
      redirect_uri,
      scopes: ["planet", "offline_access"],
    };
    await python({ call: "construct", keep: "user", profile: "theirs2", config: user });
    const person = Auth.fromOAuthUserAuthCode({
      clientId,
      callbackUrl: redirect_uri,
      profileName: "ours2",
      ...common,
    });
    await person.userLogin({ allowOpenBrowser: true, ui: PERSON });
    assertEquals(await file("ours2"), await file("theirs2"));
  });
}, options);

test(
  "Python reads a profile with members that it does not know, written by us, and keeps them",
  async () => {
    await withPython(async ({ home, python, read, sandbox, storage }) => {
      const { environment, m2m } = sandbox;
      const members = {
        client_type: "oidc_client_credentials_secret",
        client_id: m2m.clientId,
        client_secret: m2m.clientSecret,
        auth_server: environment.m2mAuthServer,
        audiences: [...environment.audiences],
        zebra: { stripes: [1, 2] },
        _hidden: true,
      };
      await mkdir(join(home, ".planet", "p"), { recursive: true, mode: 0o700 });
      await writeFile(join(home, ".planet/p/auth_client.json"), JSON.stringify(members), {
        mode: 0o600,
      });
      const auth = Auth.fromOAuthM2M({
        ...m2m,
        environment,
        profileName: "p",
        storageProvider: storage,
      });
      await auth.accessToken();
      const written = JSON.parse(await read(".planet/p/auth_client.json"));
      assertEquals(written.zebra, members.zebra);
      const answer = await python({
        call: "call",
        profile: "p",
        url: `${sandbox.url}/data/v1/searches`,
      });
      assertEquals(answer, { status: 200, authorization: `Bearer ${await auth.accessToken()}` });
    });
  },
  options,
);
