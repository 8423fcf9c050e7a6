/**
 * What new users get wrong, one by one: the message is the one that `examples/README.md` has, word
 * for word (`…` stands for a name, an address or a number).
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Auth, MemoryStorage, Session } from "../mod.ts";
import { secret } from "./_support/canaries.ts";
import { test } from "./_support/harness.ts";
import { tempFolder } from "./_support/temp_folder.ts";
import { runCommand } from "./package/command.ts";
import { approveDevice } from "./sandbox/person.ts";
import { type Sandbox, withSandbox } from "./sandbox/sandbox.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** The mistakes and messages of the document. */
const DOCUMENTED = new Map(
  readFileSync(`${ROOT}examples/README.md`, "utf8")
    .split("\n## Mistakes, and what they are told\n")[1]!.split("\n## ")[0]!
    .split("\n").filter((line) => line.startsWith("| ")).slice(2)
    .map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()) as [string, string]),
);

// What types would refuse, as programs in JavaScript write it.
// deno-lint-ignore no-explicit-any
const Untyped: any = Auth;
// deno-lint-ignore no-explicit-any
const UntypedSession: any = Session;

/** A session over a store of its own. */
function at(sandbox: Sandbox) {
  return { environment: sandbox.environment, storageProvider: new MemoryStorage() };
}

/** Mistakes that nothing is sent for. */
const ALONE: Record<string, () => unknown> = {
  "`client_id`": () => Untyped.fromOAuthUserDeviceCode({ client_id: "my-client-id" }),
  "`callback_url`": () =>
    Untyped.fromOAuthUserAuthCode({ clientId: "a", callback_url: "http://localhost:8080" }),
  "`save_state_to_storage`": () =>
    Untyped.fromOAuthUserDeviceCode({ clientId: "a", save_state_to_storage: false }),
  "`storage_provider`": () => Untyped.fromProfile("my-app", { storage_provider: {} }),
  "`scopes`": () => Untyped.fromOAuthUserDeviceCode({ clientId: "a", scopes: ["planet"] }),
  "`profilName`": () => Untyped.fromOAuthUserDeviceCode({ clientId: "a", profilName: "my-app" }),
  "`allowOpenBrowser` in a constructor": () =>
    Untyped.fromOAuthUserDeviceCode({ clientId: "a", allowOpenBrowser: true }),
  "an option that does not exist": () =>
    Untyped.fromOAuthUserDeviceCode({ clientId: "a", colour: 1 }),
  "arguments one by one": () => Untyped.fromOAuthUserDeviceCode("my-client-id", "my-app"),
  "`new Auth()`": () => new Untyped({ clientId: "my-client-id" }),
  "no `clientId`": () => Untyped.fromOAuthUserDeviceCode({}),
  "a variable that is not set, as secret": () =>
    Auth.fromOAuthM2M({ clientId: "a", clientSecret: "" }),
  "a variable that is not set, as API key": () => Auth.fromEnv("PLANET_MISTAKE"),
  "a `callbackUrl` without `http://`": () =>
    Auth.fromOAuthUserAuthCode({ clientId: "a", callbackUrl: "localhost:8080" }),
  "`requestedScopes` as a text": () =>
    Untyped.fromOAuthUserDeviceCode({ clientId: "a", requestedScopes: "planet" }),
  "the name of a built-in profile": () =>
    Auth.fromOAuthUserDeviceCode({ clientId: "a", profileName: "planet-user" }),
  "a store without methods": () =>
    Untyped.fromOAuthUserDeviceCode({ clientId: "a", storageProvider: {} }),
  "an `environment` by name": () =>
    Untyped.fromOAuthUserDeviceCode({ clientId: "a", environment: "staging" }),
  "a forgotten `await`": () => {
    const auth = Auth.fromProfile("my-app", { storageProvider: new MemoryStorage() });
    auth.catch(() => {});
    return new UntypedSession(auth);
  },
  "a profile that is not there": () =>
    Auth.fromProfile("my-ap", { storageProvider: new MemoryStorage() }),
};

/** Mistakes that a server has a part in. */
const WITH_SERVERS: Record<string, (sandbox: Sandbox) => Promise<unknown>> = {
  "a relative URL without a slash": (sandbox) =>
    new Session(Auth.fromOAuthM2M({ ...sandbox.m2m, ...at(sandbox) }))
      .request("GET", "data/v1/searches"),
  "the URL of another site": (sandbox) =>
    Auth.fromOAuthM2M({ ...sandbox.m2m, ...at(sandbox) }).fetch("https://example.com/"),
  "the wrong secret of a service account": (sandbox) => {
    const { clientId } = sandbox.m2m;
    return Auth.fromOAuthM2M({ clientId, clientSecret: secret("WRONG"), ...at(sandbox) })
      .accessToken();
  },
  "a call before anybody signed in": (sandbox) =>
    Auth.fromOAuthUserDeviceCode({ clientId: sandbox.clientId, ...at(sandbox) }).accessToken(),
  "`userinfo()` without the scope `openid`": async (sandbox) => {
    const auth = Auth.fromOAuthUserDeviceCode({ clientId: sandbox.clientId, ...at(sandbox) });
    const info = await auth.deviceUserLoginInitiate();
    await approveDevice(info.verification_uri_complete!);
    await auth.deviceUserLoginComplete(info);
    return await auth.userinfo();
  },
};

/** The mistake that only Deno's permissions make possible. */
const FOLDER = "a folder that Deno may not use";

/** Compares a message with the document's. */
function assertTold(mistake: string, message: string): void {
  const parts = DOCUMENTED.get(mistake)!.split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  assertMatch(message, new RegExp(`^${parts.join(".+?")}$`), mistake);
}

/** The error of what somebody did. */
async function errorOf(body: () => unknown): Promise<Error> {
  try {
    await body();
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
  throw new Error("It was no mistake.");
}

test("examples/README.md has the mistakes that are tried here, and no others", () => {
  const tried = [...Object.keys(ALONE), ...Object.keys(WITH_SERVERS), FOLDER];
  assertEquals([...DOCUMENTED.keys()].sort(), tried.sort());
  assert(tried.length >= 20);
  assertEquals([...DOCUMENTED].filter(([mistake, told]) => mistake.length + told.length > 153), []);
});

for (const [mistake, body] of Object.entries(ALONE)) {
  test(`mistake: ${mistake}`, async () => assertTold(mistake, (await errorOf(body)).message));
}

for (const [mistake, body] of Object.entries(WITH_SERVERS)) {
  test(`mistake: ${mistake}`, () =>
    withSandbox(async (sandbox) => {
      const { message } = await errorOf(() => body(sandbox));
      assertTold(mistake, message);
      assert(!message.includes("callback"), message);
      if (!mistake.includes("secret")) return;
      assert(message.includes(new URL(sandbox.environment.m2mAuthServer).host), message);
    }));
}

test(`permissions: ${FOLDER}, as a mistake`, async () => {
  const { path, remove } = await tempFolder();
  try {
    const program = `const { Auth, FileStorage } = await import("${new URL(
      "../mod.ts",
      import.meta.url,
    )}");
const storageProvider = new FileStorage({ root: ${JSON.stringify(path)} });
const auth = Auth.fromOAuthUserDeviceCode({ clientId: "a", storageProvider });
await auth.accessToken().catch((error) => console.log(error.code + " " + error.message));`;
    const config = existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json";
    // node:child_process gives a Deno without any permission all of them.
    const flags = [
      "--allow-env=HOME",
      "--quiet",
      "--no-prompt",
      "--no-check",
      "--config",
      `${ROOT}${config}`,
    ];
    const file = join(path, "program.ts");
    await writeFile(file, program);
    const { output, stdout } = await runCommand([Deno.execPath(), "run", ...flags, file]);
    const [code, ...words] = stdout.trim().split(" ");
    assertEquals(code, "storage_denied", output);
    assertTold(FOLDER, words.join(" "));
    assert(words.includes(`--allow-read=${path}`), stdout);
    assert(words.includes(`--allow-write=${path}:`), stdout);
  } finally {
    await remove();
  }
}, "Deno" in globalThis ? {} : { skip: "only Deno has permissions" });
