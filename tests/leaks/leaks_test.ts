import { assert, assertEquals } from "@std/assert";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  ApiError,
  Auth,
  deriveStorageKey,
  EncryptedStorage,
  FileStorage,
  MemoryStorage,
  type ObjectStorageProvider,
  Planet,
  Session,
} from "../../mod.ts";
import { defaultUI } from "../../lib/terminal/ui.ts";
import { Canaries, views } from "../_support/canaries.ts";
import {
  type FakeRequest,
  FakeResponse,
  type FakeScript,
  startFakeServer,
} from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";

/** Everything that was seen, to be searched when all secrets are known. */
class Seen {
  readonly #texts: [where: string, text: string, allowed: readonly string[]][] = [];
  text(where: string, text: string, ...allowed: string[]): void {
    this.#texts.push([where, text, allowed]);
  }
  value(where: string, value: unknown, ...allowed: string[]): void {
    for (const [way, text] of views(value)) this.text(`${where} by ${way}`, text, ...allowed);
  }
  search(canaries: Canaries): void {
    for (const [where, text, allowed] of this.#texts) canaries.search(where, text, allowed);
  }
  get size(): number {
    return this.#texts.length;
  }
}

/** Collects what is printed while `work` runs. */
async function listening(seen: Seen, work: () => Promise<void>): Promise<void> {
  const out = { ...console };
  const writes = [process.stdout, process.stderr].map((stream) => [stream, stream.write] as const);
  const { Deno } = globalThis as unknown as {
    Deno?: Record<"stderr" | "stdout", { writeSync: (bytes: Uint8Array) => number }>;
  };
  const direct = Deno === undefined ? [] : [Deno.stdout, Deno.stderr].map((stream) => {
    const { writeSync } = stream;
    stream.writeSync = (bytes) => {
      seen.text("what is written", new TextDecoder().decode(bytes), "state");
      return bytes.length;
    };
    return () => void (stream.writeSync = writeSync);
  });
  for (const name of ["debug", "error", "info", "log", "trace", "warn"] as const) {
    console[name] = (...args: unknown[]) => seen.value(`console.${name}()`, args);
  }
  for (const [stream] of writes) {
    // The address to open is meant to be seen; it holds the state and no other secret.
    stream.write = ((chunk: unknown) => {
      seen.text("what is written", String(chunk), "state");
      return true;
    }) as typeof stream.write;
  }
  try {
    await work();
  } finally {
    Object.assign(console, out);
    for (const [stream, write] of writes) stream.write = write;
    for (const restore of direct) restore();
  }
}

/** What may be in a request, by its path. */
const SENT: Readonly<Record<string, string[]>> = {
  "/token": ["refresh token", "client secret", "device code", "code", "verifier"],
  "/revoke": ["refresh token", "access token", "client secret"],
};

/** A server that hands out canaries, and says back what it hears when it is told to. */
async function world(canaries: Canaries, seen: Seen) {
  const secrets = {
    access: canaries.make("access token"),
    refresh: canaries.make("refresh token"),
    device: canaries.make("device code"),
    code: canaries.make("code"),
    client: canaries.make("client secret"),
    key: canaries.make("API key"),
  };
  const note = (server: string) => ({ form, headers, path, url }: FakeRequest) => {
    const verifier = form.get("code_verifier");
    if (verifier !== null) canaries.add("verifier", verifier);
    seen.text(`an address asked of ${server}`, url.href);
    seen.text(`the body for ${path}`, String(form), ...(SENT[path] ?? []));
    const isApi = path.startsWith("/data/") || path.startsWith("/echo");
    const all = [...headers].join("\n");
    // RFC 6749 §2.3.1: a client's password may go in this header, to these endpoints.
    const allowed = server !== "the server"
      ? []
      : isApi
      ? ["access token", "API key"]
      : SENT[path]?.filter((name) => name === "client secret") ?? [];
    seen.text(`the headers for ${path} of ${server}`, all, ...allowed);
  };
  const everything = ({ form, headers, url }: FakeRequest) =>
    `${url} ${form} ${[...form.values()].join(" ")} ${[...headers].join(" ")}`;
  const echo = (request: FakeRequest, index: number) => {
    note("the server")(request);
    const said = everything(request);
    const [first = ""] = [...request.form.values()].filter((value) => value.includes("cAnAry"));
    return [
      new FakeResponse(400, { error: first, error_description: said }, { "x-said": first }),
      new FakeResponse(401, { error: "invalid_client", error_description: said }, {
        "www-authenticate": `Bearer error="${first}"`,
      }),
      new FakeResponse(200, `<html>${said}`),
      new FakeResponse(500, said),
      new FakeResponse(200, { access_token: `${said}\n`, token_type: said }),
      new FakeResponse(302, said, { location: `https://evil.test/?${first}` }),
    ][index % 6]!;
  };
  const echoApi: FakeScript = (request, index) => {
    note("the server")(request);
    const status = [400, 401, 403, 404, 409, 418, 500, 503][index % 8]!;
    return new FakeResponse(status, everything(request), { "x-said": "x" });
  };
  const elsewhere = await startFakeServer({
    api: (request) => {
      note("another origin")(request);
      return { searches: [] };
    },
  });
  const server = await startFakeServer({
    token: (request) => {
      note("the server")(request);
      const isUser = request.form.get("grant_type") !== "client_credentials";
      return {
        access_token: secrets.access,
        token_type: "Bearer",
        expires_in: 3600,
        ...(isUser ? { refresh_token: secrets.refresh } : {}),
      };
    },
    device: (request) => {
      note("the server")(request);
      return {
        device_code: secrets.device,
        user_code: "ABCD-EFGH",
        verification_uri: `${server.issuer}/activate`,
        expires_in: 600,
        interval: 1,
      };
    },
    revoke: (request) => {
      note("the server")(request);
      return new FakeResponse(200);
    },
    api: (request) => {
      note("the server")(request);
      if (request.path === "/data/away") {
        return new FakeResponse(302, "", { location: `${elsewhere.issuer}/data/there` });
      }
      return { _links: {}, searches: [] };
    },
  });
  return {
    secrets,
    server,
    environment: { ...server.environment, allowedOrigins: [server.issuer] },
    echo: (on: boolean) =>
      Object.assign(server.options, {
        token: on ? echo : server.options.token,
        device: on ? echo : server.options.device,
        revoke: on ? echo : server.options.revoke,
        api: on ? echoApi : server.options.api,
      }),
    async close() {
      await Promise.all([server.close(), elsewhere.close()]);
    },
  };
}

let aheadMs = 0;
const clock = {
  now: () => Date.now() + aheadMs,
  sleep: () => new Promise<void>((r) => setTimeout(r, 1)),
};

/** Tries `work`, and looks at what it fails with. */
async function failing(seen: Seen, what: string, work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    seen.value(`the error of ${what}`, error);
    return error;
  }
}

/** Follows the address as a browser does, and looks at the pages. */
async function browse(seen: Seen, canaries: Canaries, url: URL, issuer: string, code: string) {
  canaries.add("state", url.searchParams.get("state")!);
  canaries.add("nonce", url.searchParams.get("nonce")!);
  seen.text("the address to open", url.href, "state", "nonce");
  const target = new URL(url.searchParams.get("redirect_uri")!);
  for (const state of ["wrong", url.searchParams.get("state")!]) {
    target.search = String(new URLSearchParams({ code, state, iss: issuer }));
    const page = await fetch(target);
    seen.text("a page of the callback", await page.text());
    seen.text("the headers of a page", [...page.headers].join("\n"));
    if (state !== "wrong") seen.text("the address bar at the end", page.url);
  }
}

/** All that a program may see of a session, well and in trouble. */
async function run(
  seen: Seen,
  canaries: Canaries,
  storageProvider: ObjectStorageProvider,
  here: Awaited<ReturnType<typeof world>>,
): Promise<void> {
  const { environment, secrets, server } = here;
  const onEvent = (event: unknown) => seen.value("an event", event);
  const common = { environment, storageProvider, clock, onEvent };
  const people = [
    Auth.fromOAuthUserAuthCode({
      clientId: "code-app",
      callbackUrl: "http://127.0.0.1:0/cb",
      ...common,
    }),
    Auth.fromOAuthUserDeviceCode({ clientId: "device-app", ...common }),
  ];
  const service = Auth.fromOAuthM2M({
    clientId: "service",
    clientSecret: secrets.client,
    ...common,
  });
  const all = [...people, service, Auth.fromKey(secrets.key, { environment })];
  let browser: Promise<void> | undefined;
  const ui = {
    show: (message: string) => seen.text("what is shown", message, "state", "nonce"),
    openBrowser: (url: URL) => {
      if (url.searchParams.has("state")) {
        browser = browse(seen, canaries, url, server.issuer, secrets.code);
      }
      return Promise.resolve(true);
    },
  };
  const login = { allowOpenBrowser: true, ui };
  for (const auth of people) await auth.userLogin(login);
  await browser;
  await service.userLogin();
  const info = await people[1]!.deviceUserLoginInitiate();
  // Its JSON is meant to be handed to another process.
  for (const [way, text] of views(info)) {
    const isJson = way === "JSON.stringify()" || way === "its members";
    seen.text(
      `a device authorization by ${way}`,
      text,
      ...(isJson ? ["device code", "verifier"] : []),
    );
  }
  const redirectUri = "http://127.0.0.1:4711/cb";
  const begun = await people[0]!.authCodeUserLoginInitiate({ redirectUri });
  for (const [name, secret] of [["state", begun.state], ["nonce", begun.nonce!]] as const) {
    canaries.add(name, secret);
  }
  canaries.add("verifier", begun.code_verifier);
  // So is this one's; the address to open holds state and nonce.
  for (const [way, text] of views(begun)) {
    const isJson = way === "JSON.stringify()" || way === "its members";
    const secrets = isJson ? ["verifier", "state", "nonce"] : ["state", "nonce"];
    seen.text(`an authorization request by ${way}`, text, ...secrets);
  }
  const lookAround = async (when: string) => {
    for (const auth of all) {
      const session = new Session(auth, { requestsPerSecond: 0, clock, maxRetries: 1 });
      const planet = new Planet(session);
      const report = await auth.explain();
      seen.value(when, { auth, session, planet, report, data: planet.data, fetch: auth.fetch });
      console.log(auth, session, planet);
      for (let times = 0; times < 8; times++) {
        await failing(seen, "an API call", () => session.request("GET", "/data/v1/searches"));
      }
      await failing(seen, "a redirect", () => session.request("GET", "/data/away"));
      await failing(seen, "fetch", () => auth.fetch("https://evil.test/"));
    }
    seen.value(`${when}: the store`, storageProvider);
  };
  await lookAround("a session that is well");

  here.echo(true);
  for (let times = 0; times < 6; times++) {
    // What failed pauses, and would not be sent again.
    aheadMs += 61_000;
    for (const auth of [...people, service]) {
      await failing(seen, "forceRefresh", () => auth.accessToken({ forceRefresh: true }));
    }
    const device = people[1]!;
    await failing(seen, "deviceUserLoginInitiate", () => device.deviceUserLoginInitiate());
    await failing(seen, "deviceUserLoginComplete", () => device.deviceUserLoginComplete(info));
    await failing(seen, "userLogin", () => people[0]!.userLogin(login));
    await failing(seen, "authCodeUserLoginInitiate", () => people[0]!.authCodeUserLoginInitiate());
    const { issuer: iss, state } = begun;
    const answer = String(new URLSearchParams({ code: secrets.code, state, iss }));
    for (const wrong of [answer, answer.replace("state", "nostate"), `${answer}&error=x`]) {
      await failing(
        seen,
        "authCodeUserLoginComplete",
        () => people[0]!.authCodeUserLoginComplete(begun, wrong),
      );
    }
    await browser;
  }
  await lookAround("a session in trouble");
  for (const auth of [...people, service]) await failing(seen, "logout", () => auth.logout());
}

/** What lies in a folder: each file's path, text and mode, and the modes of the folders. */
async function filesIn(folder: string): Promise<{ path: string; text: string; mode: number }[]> {
  const found = [];
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    const { mode } = await stat(path);
    const isFile = (await stat(path)).isFile();
    found.push({
      path: name,
      mode: mode & 0o777,
      text: isFile ? await readFile(path, "utf8") : "",
    });
  }
  return found;
}

test("no secret in anything observable: errors, events, console, inspect, JSON, pages, other origins", async () => {
  const [canaries, seen] = [new Canaries(), new Seen()];
  const here = await world(canaries, seen);
  const folder = await tempFolder();
  try {
    const storage = new FileStorage({ root: folder.path });
    await listening(seen, () => run(seen, canaries, storage, here));
    seen.search(canaries);
    assertEquals(canaries.sightings, []);
    // All of them were there to be found: the state, the nonce and the verifier too.
    assertEquals(canaries.names.size, 9);
    assert(seen.size > 1000, `only ${seen.size} things were looked at`);
  } finally {
    await here.close();
    await folder.remove();
  }
});

test("no secret in a file but token.json and a service's auth_client.json, both 0600, folders 0700", async () => {
  const canaries = new Canaries();
  const here = await world(canaries, new Seen());
  const folder = await tempFolder();
  try {
    const common = {
      environment: here.environment,
      storageProvider: new FileStorage({ root: folder.path }),
      clock,
    };
    const person = Auth.fromOAuthUserDeviceCode({ clientId: "app", ...common });
    await person.userLogin({ ui: { show: () => {} } });
    const clientSecret = here.secrets.client;
    await Auth.fromOAuthM2M({ clientId: "service", clientSecret, ...common }).accessToken();
    const files = await filesIn(folder.path);
    const holding = files.filter(({ text }) => text.includes("cAnAry"));
    assertEquals(holding.map(({ path }) => path.replaceAll("\\", "/")).sort(), [
      ".planet/app/token.json",
      ".planet/service/auth_client.json",
      ".planet/service/token.json",
    ]);
    if (process.platform === "win32") return;
    assertEquals(files.filter(({ mode, text }) => mode !== (text === "" ? 0o700 : 0o600)), []);
  } finally {
    await here.close();
    await folder.remove();
  }
});

test("no secret in a custom store's client object, and none at all through EncryptedStorage", async () => {
  const canaries = new Canaries();
  const here = await world(canaries, new Seen());
  try {
    const inner = new MemoryStorage();
    const key = await deriveStorageKey(canaries.make("passphrase"), new Uint8Array(16));
    for (const storageProvider of [inner, new EncryptedStorage(inner, key)]) {
      const auth = Auth.fromOAuthM2M({
        clientId: "service",
        clientSecret: here.secrets.client,
        environment: here.environment,
        storageProvider,
      });
      await auth.accessToken();
      const isPlain = storageProvider === inner;
      for await (const name of inner.list("")) {
        const allowed = isPlain && name.endsWith("token.json") ? ["access token"] : [];
        canaries.search(name, JSON.stringify(await inner.load(name)), allowed);
      }
      canaries.look("the store", storageProvider);
      await inner.delete(".planet/service/token.json");
      await inner.delete(".planet/service/auth_client.json");
    }
    assertEquals(canaries.sightings, []);
  } finally {
    await here.close();
  }
});

test("an API that says the token back does not get it into ApiError", async () => {
  const canaries = new Canaries();
  const key = canaries.make("API key");
  const auth = Auth.fromKey(key, {
    fetch: (_input, init) => {
      const said = new Headers(init?.headers).get("authorization");
      return Promise.resolve(new Response(`{"message":"bad ${said}"}`, { status: 403 }));
    },
  });
  const error = await new Session(auth).request("GET", "/x").catch((error) => error);
  canaries.look("the error", error);
  assertEquals(canaries.sightings, []);
  assert(error instanceof ApiError);
  assertEquals(error.body, '{"message":"bad api-key (secret)"}');
});

test("no secret in the arguments of the browser's process", async () => {
  const folder = await tempFolder();
  const before = process.env.BROWSER;
  try {
    const [script, record] = [join(folder.path, "browser"), join(folder.path, "record")];
    await writeFile(
      script,
      `#!/bin/sh\nprintf '%s\\n' "$0" "$@" > ${record}.new\nmv ${record}.new ${record}\n`,
      { mode: 0o755 },
    );
    process.env.BROWSER = script;
    const [canaries, seen] = [new Canaries(), new Seen()];
    const here = await world(canaries, seen);
    try {
      const auth = Auth.fromOAuthUserAuthCode({
        clientId: "app",
        callbackUrl: "http://127.0.0.1:0/cb",
        environment: here.environment,
        storageProvider: new MemoryStorage(),
      });
      let browser: Promise<void> | undefined;
      const openBrowser = async (url: URL, options: { signal: AbortSignal }) => {
        const opened = await (await defaultUI()).openBrowser!(url, options);
        browser = browse(seen, canaries, url, here.server.issuer, here.secrets.code);
        return opened;
      };
      await auth.userLogin({ allowOpenBrowser: true, ui: { openBrowser, show: () => {} } });
      await browser;
      let recorded = "";
      for (let tries = 0; tries < 100 && recorded === ""; tries++) {
        recorded = await readFile(record, "utf8").catch(() => "");
        if (recorded === "") await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert(recorded.includes("code_challenge="), "the browser was started");
      canaries.search("the arguments", recorded, ["state", "nonce"]);
      canaries.search("our own arguments", process.argv.join("\n"));
      assertEquals(canaries.sightings, []);
    } finally {
      await here.close();
    }
  } finally {
    if (before === undefined) delete process.env.BROWSER;
    else process.env.BROWSER = before;
    await folder.remove();
  }
}, { skip: process.platform === "win32" ? "needs a script as browser" : undefined });

test("the search for secrets bites, whatever form they have", () => {
  const hiding: [string, (secret: string) => unknown][] = [
    ["a text", (secret) => `token ${secret}!`],
    ["a message", (secret) => new Error(`no ${secret}`)],
    [
      "a cause of a cause",
      (secret) => new Error("a", { cause: new Error("b", { cause: { secret } }) }),
    ],
    ["a member deep down", (secret) => ({ a: [{ b: { c: new Map([["d", secret]]) } }] })],
    ["a hidden member", (secret) => Object.defineProperty({}, "x", { value: secret })],
    ["a symbol's member", (secret) => ({ [Symbol("x")]: secret })],
    ["a member's name", (secret) => ({ [secret]: 1 })],
    ["a URL", (secret) => `https://x.test/?t=${encodeURIComponent(secret)}`],
    ["base64", (secret) => btoa(secret)],
    ["base64 in the middle", (secret) => btoa(`id:${secret}`)],
    ["base64 with one more", (secret) => btoa(`id42:${secret}`)],
    ["hexadecimal", (secret) => [...secret].map((c) => c.charCodeAt(0).toString(16)).join("")],
    ["a half", (secret) => secret.slice(0, 30)],
    ["what JSON shows", (secret) => ({ toJSON: () => secret })],
    ["a property of a function", (secret) => Object.assign(() => {}, { secret })],
  ];
  for (const [what, hide] of hiding) {
    const canaries = new Canaries();
    const secret = canaries.make("token");
    canaries.look(what, hide(secret));
    assert(canaries.sightings.length > 0, `${what} was overlooked`);
  }
  const canaries = new Canaries();
  canaries.make("token");
  canaries.look("something else", { message: "cAnAry~", other: new Canaries().make("token") });
  assertEquals(canaries.sightings, []);
});
