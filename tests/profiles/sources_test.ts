import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { chooseSession, type Chosen, type Sources } from "../../lib/profiles/sources.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";

interface World {
  given?: Sources["given"];
  env?: Record<string, string>;
  file?: JsonObject | Error;
  denied?: readonly string[];
}

function choose({ denied = [], env = {}, file, given = {} }: World): Promise<Chosen> {
  return chooseSession({
    given,
    env: (name) => denied.includes(name) ? undefined : env[name],
    envDenied: (name) => denied.includes(name) ? "not granted" : undefined,
    file: () => file instanceof Error ? Promise.reject(file) : Promise.resolve(file),
    fileName: "~/.planet.json",
  });
}

/** A source, alone in its line, and what it leads to; the strongest first, as in Python. */
const ORDER: readonly (readonly [by: string, world: World, choice: Chosen["choice"]])[] = [
  [
    "the argument profileName",
    { given: { profileName: "given" } },
    { kind: "profile", profileName: "given" },
  ],
  [
    "the arguments clientId and clientSecret",
    { given: { clientId: "given", clientSecret: secret("s") } },
    { kind: "service", clientId: "given", clientSecret: secret("s") },
  ],
  ["the argument apiKey", { given: { apiKey: secret("given") } }, {
    kind: "key",
    apiKey: secret("given"),
  }],
  [
    "the variable PL_AUTH_PROFILE",
    { env: { PL_AUTH_PROFILE: "env" } },
    { kind: "profile", profileName: "env" },
  ],
  [
    '"PL_AUTH_PROFILE" in ~/.planet.json',
    { file: { PL_AUTH_PROFILE: "file" } },
    { kind: "profile", profileName: "file" },
  ],
  [
    "the variable PL_AUTH_CLIENT_ID and the variable PL_AUTH_CLIENT_SECRET",
    { env: { PL_AUTH_CLIENT_ID: "id", PL_AUTH_CLIENT_SECRET: secret("secret") } },
    { kind: "service", clientId: "id", clientSecret: secret("secret") },
  ],
  ["the variable PL_API_KEY", { env: { PL_API_KEY: secret("env") } }, {
    kind: "key",
    apiKey: secret("env"),
  }],
  [
    '"PL_API_KEY" in ~/.planet.json',
    { file: { PL_API_KEY: secret("file") } },
    { kind: "key", apiKey: secret("file") },
  ],
  [
    "the variable PL_AUTH_API_KEY",
    { env: { PL_AUTH_API_KEY: secret("env2") } },
    { kind: "key", apiKey: secret("env2") },
  ],
  [
    '"PL_AUTH_API_KEY" in ~/.planet.json',
    { file: { PL_AUTH_API_KEY: secret("file2") } },
    { kind: "key", apiKey: secret("file2") },
  ],
  ['"key" in ~/.planet.json', { file: { key: secret("old") } }, {
    kind: "key",
    apiKey: secret("old"),
  }],
];

for (const [index, [by, world, choice]] of ORDER.entries()) {
  test(`chooseSession() heeds ${by}, before all that is weaker`, async () => {
    const alone = await choose(world);
    assertEquals([alone.choice, alone.chosenBy, alone.overrode], [choice, by, []]);
    const weaker = ORDER.slice(index);
    const all = await choose({
      given: Object.assign({}, ...weaker.map(([, { given }]) => given)),
      env: Object.assign({}, ...weaker.map(([, { env }]) => env)),
      file: Object.assign({}, ...weaker.map(([, { file }]) => file)),
    });
    assertEquals([all.choice, all.chosenBy], [choice, by]);
    assertEquals(all.overrode, weaker.slice(1).map(([name]) => name));
  });
}

test("chooseSession() falls back to the built-in planet-user, as Python does", async () => {
  const { choice, chosenBy } = await choose({ env: { PL_AUTH_PROFILE: "" }, file: { key: null } });
  assertEquals(choice, { kind: "profile", profileName: "planet-user" });
  assertEquals(chosenBy, "the built-in default");
});

test("chooseSession() takes the ID of the environment with the secret of the file", async () => {
  const { choice, chosenBy } = await choose({
    env: { PL_AUTH_CLIENT_ID: "id" },
    file: { PL_AUTH_CLIENT_ID: "other", PL_AUTH_CLIENT_SECRET: secret("secret") },
  });
  assertEquals(choice, { kind: "service", clientId: "id", clientSecret: secret("secret") });
  assert(chosenBy.includes("variable PL_AUTH_CLIENT_ID") && chosenBy.includes("~/.planet.json"));
});

test("chooseSession() notes an ID without a secret, which does not count", async () => {
  const { choice, notes } = await choose({
    env: { PL_AUTH_CLIENT_ID: "id", PL_API_KEY: secret("key") },
  });
  assertEquals(choice, { kind: "key", apiKey: secret("key") });
  assertEquals(notes, [
    "the variable PL_AUTH_CLIENT_ID does not count: PL_AUTH_CLIENT_SECRET is missing",
  ]);
});

test("chooseSession() notes what it may not look at, and asks nobody", async () => {
  const { notes } = await choose({ denied: ["PL_AUTH_PROFILE"], env: { PL_AUTH_PROFILE: "x" } });
  assertEquals(notes, ["the variable PL_AUTH_PROFILE was not looked at: not granted"]);
});

const BROKEN = new AuthError("storage_corrupt", "broken");

test("chooseSession() does not pass over a broken ~/.planet.json where it counts", async () => {
  for (const env of [{}, { PL_API_KEY: secret("k") }] as Record<string, string>[]) {
    const error = await assertRejects(() => choose({ env, file: BROKEN }), AuthError);
    assertEquals(error.code, "storage_corrupt");
  }
});

test("chooseSession() only notes a broken ~/.planet.json where something stronger decides", async () => {
  const profile = await choose({ env: { PL_AUTH_PROFILE: "mine" }, file: BROKEN });
  assertEquals(profile.choice, { kind: "profile", profileName: "mine" });
  assertEquals(profile.notes, ["~/.planet.json was not looked at: broken"]);
  const given = await choose({ given: { apiKey: secret("k") }, file: BROKEN });
  assertEquals(given.choice, { kind: "key", apiKey: secret("k") });
});

test("chooseSession() refuses a member of ~/.planet.json that is no text, and names it", async () => {
  const error = await assertRejects(() => choose({ file: { PL_AUTH_PROFILE: 7 } }), AuthError);
  assertEquals(error.code, "storage_corrupt");
  assert(error.message.includes('"PL_AUTH_PROFILE" in ~/.planet.json'), error.message);
});
