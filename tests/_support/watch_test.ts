/**
 * The watch over every test bites: a secret that is planted in each place is found.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { spawn } from "node:child_process";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  ApiError,
  Auth,
  AuthError,
  EncryptedStorage,
  FileStorage,
  KvStorage,
  MemoryStorage,
  type ObjectStorageProvider,
  Planet,
  Session,
  type SessionOptions,
  SharedStorage,
} from "../../mod.ts";
import { TokenSet } from "../../lib/token.ts";
import { Canaries, secret } from "./canaries.ts";
import { execFileSync, spawnSync } from "./child_process.ts";
import { fakeClock } from "./fake_clock.ts";
import { type FakeServer, fakeServer, startFakeServer } from "./fake_server.ts";
import { test } from "./harness.ts";
import { tempFolder } from "./temp_folder.ts";
import { type Break, noteSecret, watched } from "./watch.ts";

/** A new secret, which only the watch that runs knows of. */
function plant(kind = "access token"): string {
  const value = new Canaries().make(kind);
  noteSecret(kind, value);
  return value;
}

/** What the watch finds in a test; empty: nothing. */
async function found(
  body: () => unknown,
  breaks: readonly Break[] = [],
): Promise<string> {
  try {
    await watched(async () => void await body(), breaks);
    return "";
  } catch (error) {
    const { message } = error as Error;
    assert(!message.includes("cAnAry~"), "The message shows the secret.");
    return message;
  }
}

/** Registers a test that something planted is found, and named by this. */
function bites(what: string, named: string, body: () => unknown, skip?: string): void {
  test(`watched() finds a secret ${what}`, async () => {
    const message = await found(body);
    assert(message.includes(named), message || "It was overlooked.");
  }, skip === undefined ? {} : { skip });
}

const isBun = "Bun" in globalThis;
const isDeno = "Deno" in globalThis;
const onWindows = process.platform === "win32" ? "files have no such modes" : undefined;

test("watched() finds a secret that is printed, by whatever printer and however deep", async () => {
  for (const name of ["debug", "error", "info", "log", "trace", "warn"] as const) {
    for (const make of [(one: string) => `x ${one} y`, (one: string) => ({ deep: [one] })]) {
      const print = console[name];
      console[name] = () => {};
      try {
        assert(
          (await found(() => console[name](make(plant())))).includes(`console: console.${name}`),
        );
      } finally {
        console[name] = print;
      }
    }
  }
});

test("watched() finds a secret that is written past the console", async () => {
  const { Deno } = globalThis as unknown as {
    Deno?: { stderr: { writeSync(bytes: Uint8Array): number } };
  };
  const stream = Deno?.stderr ?? process.stderr;
  const name = Deno === undefined ? "write" : "writeSync";
  const before = Object.getOwnPropertyDescriptor(stream, name);
  // Stopped below the watch, so that nothing comes on the terminal.
  Object.defineProperty(stream, name, { configurable: true, writable: true, value: () => 1 });
  try {
    const message = await found(() => {
      const text = `${plant()}\n`;
      if (Deno === undefined) process.stderr.write(text);
      else Deno.stderr.writeSync(new TextEncoder().encode(text));
    });
    assert(message.includes("console: what is written"), message);
  } finally {
    if (before === undefined) delete (stream as unknown as Record<string, unknown>)[name];
    else Object.defineProperty(stream, name, before);
  }
});

bites("in an error that the test catches", "error: ", () => {
  void new AuthError("network", `No ${plant()}.`);
});
bites("in the cause of an error", "error: ", () => {
  void new AuthError("network", "No.", { cause: new Error("b", { cause: { deep: plant() } }) });
});
bites("in an error's own member, set later", "error: ", () => {
  const error = new ApiError("No.", 400, "");
  Object.defineProperty(error, "hidden", { value: plant() });
});
// Bun does not look TypeError up where it is thrown.
if (!isBun) {
  bites("in a TypeError of the library", "error: TypeError", () => {
    const source = "try { throw new TypeError(text) } catch {}\n//# sourceURL=file:///x/lib/y.js";
    new Function("text", source)(plant());
  });
}

test("watched() replaces an error that holds a secret, in its cause too", async () => {
  const message = await found(() => {
    throw new Error("failed", { cause: new Error(plant()) });
  });
  assert(message.includes("not shown"), message);
});

test("watched() leaves every other failure as it is", async () => {
  const failure = new Error("planet-scope");
  const error = await assertRejects(() =>
    watched(() => {
      plant();
      return Promise.reject(failure);
    })
  );
  assertEquals(error, failure);
});

const clock = fakeClock({ now: Date.now() });

/** A service account's session with a server in the process. */
function session(more: SessionOptions = {}): Auth {
  const server = fakeServer();
  return Auth.fromOAuthM2M({
    clientId: "app",
    clientSecret: secret("client"),
    environment: server.environment,
    fetch: server.fetch,
    storageProvider: new MemoryStorage(),
    clock,
    ...more,
  });
}

test("watched() finds nothing in a session that is as it should be", async () => {
  const message = await found(async () => {
    const folder = await tempFolder();
    const server = fakeServer({ rotate: true });
    const storageProvider = new FileStorage({ root: folder.path });
    const common = { environment: server.environment, fetch: server.fetch, storageProvider, clock };
    const person = Auth.fromOAuthUserDeviceCode({ clientId: "person", ...common });
    await person.deviceUserLoginComplete(await person.deviceUserLoginInitiate());
    const service = Auth.fromOAuthM2M({
      clientId: "app",
      clientSecret: secret("client"),
      ...common,
    });
    for (const auth of [person, service]) {
      await auth.accessToken({ forceRefresh: true });
      const planet = new Planet(new Session(auth, { requestsPerSecond: 0, clock }));
      for await (const _ of planet.data.listSearches());
      await auth.explain();
      await auth.logout();
    }
    await folder.remove();
  });
  assertEquals(message, "");
});

bites("in an event", "event: login_started", async () => {
  // The name is shown, so that a secret that is taken for one is shown too.
  const name = "not-for-all-eyes-0123456789";
  noteSecret("access token", name);
  await session({ profileName: name }).accessToken();
});

const STORES: Record<string, () => ObjectStorageProvider | Promise<ObjectStorageProvider>> = {
  MemoryStorage: () => new MemoryStorage(),
  FileStorage: () => new FileStorage({ root: "/nowhere" }),
  KvStorage: () => {
    const none = () => Promise.reject(new Error("There is no database."));
    return new KvStorage({ atomic: none, delete: none, get: none, list: none, set: none } as never);
  },
  SharedStorage: () => {
    const none = () => Promise.reject(new Error("There is no store."));
    return new SharedStorage({ get: none, set: none });
  },
  EncryptedStorage: async () =>
    new EncryptedStorage(
      new MemoryStorage(),
      await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, [
        "encrypt",
        "decrypt",
      ]),
    ),
};
for (const [name, make] of Object.entries(STORES)) {
  bites(`on a ${name}`, `object: ${name}`, async () => {
    const store = Object.assign(await make(), { note: plant() });
    await store.load(".planet/a/token.json").catch(() => {});
  });
}
bites("on an Auth", "object: Auth", () => {
  Object.assign(session(), { [Symbol("note")]: plant() });
});
bites("on the Auth of a profile", "object: Auth", async () => {
  const storageProvider = new MemoryStorage();
  await storageProvider.save(".planet/a/auth_client.json", { client_type: "none" });
  Object.assign(await Auth.fromProfile("a", { storageProvider }), { note: plant() });
});
bites("on a Session", "object: Session", () => {
  const one = new Session(session());
  one.client("data");
  Object.defineProperty(one, "hidden", { value: { deep: plant() } });
});
bites("on the DataClient of a Planet", "object: a client", () => {
  Object.assign(new Planet(new Session(session())).data, { note: plant() });
});
bites("on a TokenSet", "object: TokenSet", () => {
  const tokens = TokenSet.fromResponse({ access_token: secret("AT") }, 0);
  Object.assign(tokens, { token: tokens.accessToken });
});
bites("in a report", "object: explain()", async () => {
  Object.assign(await session().explain(), { note: plant() });
});
bites("that inspect shows of a device authorization", "object: DeviceAuthorization", async () => {
  const server = fakeServer();
  const { environment, fetch } = server;
  const auth = Auth.fromOAuthUserDeviceCode({ clientId: "a", environment, fetch, clock });
  Object.assign(await auth.deviceUserLoginInitiate(), { user_code: plant() });
});

/** Registers a test about a file in a temporary folder. */
function bitesFile(
  what: string,
  named: string,
  kind: string,
  file: string,
  mode: number,
  folderMode = 0o700,
): void {
  bites(what, named, async () => {
    const folder = await tempFolder();
    const path = join(folder.path, ".planet/a");
    await mkdir(path, { recursive: true, mode: 0o700 });
    await writeFile(join(path, file), `"${plant(kind)}"`, { mode });
    await chmod(join(path, file), mode);
    await chmod(path, folderMode);
    await folder.remove();
  }, named.startsWith("file mode") ? onWindows : undefined);
}
bitesFile("in a file of any name", "file: .planet/a/notes", "access token", "notes", 0o600);
bitesFile(
  "in a lock file",
  "file: .planet/a/token.json.lock",
  "access token",
  "token.json.lock",
  0o600,
);
bitesFile("in the wrong file", "file: .planet/a/token.json", "client secret", "token.json", 0o600);
bitesFile("that is no token in token.json", "file: ", "device code", "token.json", 0o600);
bitesFile("in what is kept of a server", "file: ", "refresh token", "discovery.json", 0o600);
bitesFile("that all may read", "file mode: ", "access token", "token.json", 0o644);
bitesFile("in a folder for all", "file mode: ", "access token", "token.json", 0o600, 0o755);
bitesFile(
  "in a half-written file for all",
  "file mode: ",
  "access token",
  `token.json.${"0a".repeat(16)}.tmp`,
  0o644,
);
test("watched() finds a secret in a folder that is still there at the end", async () => {
  let remove = () => Promise.resolve();
  const message = await found(async () => {
    const folder = await tempFolder();
    remove = folder.remove;
    await writeFile(join(folder.path, "left"), plant(), { mode: 0o600 });
  });
  await remove();
  assert(message.includes("file: left"), message);
});

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const body = (members: Record<string, string>) => String(new URLSearchParams(members));
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** What a request must not be like. */
const REQUESTS: readonly [what: string, named: string, send: (server: FakeServer) => unknown][] = [
  [
    "in the address of a request",
    "request: the address",
    ({ fetch, issuer }) =>
      fetch(`${issuer}/token?refresh_token=${encodeURIComponent(plant("refresh token"))}`),
  ],
  [
    "in a header of its own",
    "request: the headers",
    ({ environment, fetch }) => fetch(environment.apiBaseUrl, { headers: { "x-token": plant() } }),
  ],
  [
    "in a request's body to an API",
    "request: the body",
    ({ environment, fetch }) =>
      fetch(environment.apiBaseUrl, { method: "POST", body: `{"a":"${plant()}"}` }),
  ],
  ["that is a refresh token, as a bearer token", "request: Authorization", (
    { environment, fetch },
  ) => {
    const token = new Canaries().make("token");
    noteSecret("refresh token", token);
    return fetch(environment.apiBaseUrl, { headers: bearer(token.slice(0, -2)) });
  }],
  [
    "that goes out with PUT",
    "request: the body",
    ({ fetch, issuer }) => fetch(`${issuer}/token`, { method: "PUT", body: plant("device code") }),
  ],
  [
    "that is a client's, in a header of GET",
    "request: Authorization",
    ({ fetch, issuer }) =>
      fetch(`${issuer}/token`, {
        headers: { authorization: `Basic ${btoa(`app:${plant("client secret")}`)}` },
      }),
  ],
];
for (const [what, named, send] of REQUESTS) {
  bites(what, named, () => send(fakeServer()));
}

/** Servers of one's own, and a stranger. */
function strangers() {
  const own = fakeServer();
  const stranger = fakeServer({ origin: "https://stranger.test" });
  Auth.fromOAuthUserDeviceCode({ clientId: "a", environment: own.environment });
  return { own, stranger };
}
bites("that is sent to a stranger as bearer token", "is none that it is for", async () => {
  const { stranger } = strangers();
  await stranger.fetch("https://stranger.test/data", { headers: bearer(plant()) });
});
bites("that is sent to a stranger in a form", "is none that it is for", async () => {
  const { stranger } = strangers();
  const members = body({ grant_type: "refresh_token", refresh_token: plant("refresh token") });
  await stranger.fetch("https://stranger.test/token", {
    method: "POST",
    headers: FORM,
    body: members,
  });
});
bites("of one server that is sent to another one", "is none that it is for", async () => {
  const [one, other] = [fakeServer({ origin: "https://one.test" }), fakeServer()];
  for (const { environment } of [one, other]) {
    Auth.fromOAuthUserDeviceCode({ clientId: "a", environment });
  }
  const request = { method: "POST", headers: FORM, body: body({ grant_type: "password" }) };
  const { access_token } = await (await one.fetch("https://one.test/token", request)).json();
  await other.fetch(other.environment.apiBaseUrl, { headers: bearer(access_token) });
});
bites("in a request of the global fetch", "request: the address", async () => {
  const server = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as { port: number };
  try {
    const response = await fetch(`http://127.0.0.1:${port}/?token=${plant()}`, {
      headers: { connection: "close" },
    });
    await response.text();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
bites("in a request that came from elsewhere", "request: the address", async () => {
  const server = await startFakeServer();
  try {
    // A program that the watch cannot listen to, as another process is.
    const { port } = new URL(server.issuer);
    const { request } = await import("node:http");
    await new Promise<void>((resolve, reject) =>
      request({ port, host: "127.0.0.1", path: `/?token=${plant()}`, agent: false }, (answer) => {
        answer.resume();
        answer.on("end", resolve);
      }).on("error", reject).end()
    );
  } finally {
    await server.close();
  }
});

/** Runs a program that does nothing. */
const RUN: Record<string, (secret: string) => unknown> = {
  "spawn()": (secret) =>
    new Promise((resolve) => spawn(process.execPath, ["--version", secret]).on("close", resolve)),
  "spawnSync()": (secret) => spawnSync(process.execPath, ["--version", secret]),
  "execFileSync()": (secret) => {
    try {
      execFileSync(process.execPath, ["--no-such-option", secret], { stdio: "ignore" });
    } catch {
      // It need not work.
    }
  },
  ...(isDeno
    ? {
      "Deno.Command": (secret: string) =>
        new Deno.Command(Deno.execPath(), { args: ["--version", secret], stdout: "null" })
          .output(),
    }
    : {}),
};
for (const [what, run] of Object.entries(RUN)) {
  bites(`in the arguments of a program by ${what}`, "arguments: ", () => run(plant()));
}

test("no test starts a program past the watch", async () => {
  const folder = fileURLToPath(new URL("..", import.meta.url));
  const past: string[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    if (!name.endsWith(".ts") || /^(bench|_tools)\b|child_process\.ts$/.test(name)) continue;
    const text = await readFile(join(folder, name), "utf8");
    const imports = /import \{[^}]*\b(exec\w*Sync|spawnSync)\b[^}]*\} from "node:child_process"/;
    if (imports.test(text) || /\bBun\.spawn/.test(text.replaceAll("\\b", ""))) past.push(name);
  }
  assertEquals(past, []);
});

const PAGE = { headers: { "content-type": "text/html; charset=utf-8" } };
bites("in a page of the callback", "page: ", () => {
  void new Response(`<p>${plant()}</p>`, PAGE);
});
bites("in the headers of a page", "page: ", () => {
  void new Response(null, { status: 303, headers: { location: `/cb?code=${plant("code")}` } });
});
// Under Deno and Bun the pages go out as Response.
if (!isDeno && !isBun) {
  bites("in a page by node:http", "page: ", async () => {
    const page = plant();
    const server = createServer((_request, response) => {
      response.writeHead(200, PAGE.headers).end(page);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port } = server.address() as { port: number };
    try {
      await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } })).text();
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

const SHORT: Record<string, () => unknown> = {
  "an access token in a TokenSet": () => TokenSet.fromResponse({ access_token: "AT1" }, 0),
  "a refresh token in a TokenSet": () => TokenSet.fromStored({ refresh_token: "RT1" }, 0, "k"),
  "an API key": () => Auth.fromKey("key"),
  "a client secret": () => session({ clientSecret: "secret" } as SessionOptions),
  "a token in a form": () =>
    fakeServer().fetch("https://auth.fake.test/revoke", {
      method: "POST",
      headers: FORM,
      body: body({ token: "x" }),
    }),
  "a bearer token": () => fakeServer().fetch("https://api.fake.test/", { headers: bearer("x") }),
  "what a server hands out": async () => {
    const auth = session({ fetch: fakeServer({ token: [{ access_token: "x" }] }).fetch });
    await auth.accessToken();
  },
  "what is stored": () => new MemoryStorage().save("k", { client_secret: "s" }),
};
for (const [what, use] of Object.entries(SHORT)) {
  test(`watched() fails for ${what} that is too short to be searched for`, async () => {
    const message = await found(use);
    assert(message.includes("short secret: "), message || "It was overlooked.");
  });
}

test("watched() lets a test break the rule that it names, there and nowhere else", async () => {
  const body = async () => {
    const folder = await tempFolder();
    for (const name of ["meant", "other"]) {
      await writeFile(join(folder.path, name), plant(), { mode: 0o600 });
    }
    await folder.remove();
  };
  const one = { rule: "file", where: "meant", why: "a test" } as const;
  const message = await found(body, [one]);
  assert(message.includes("file: other") && !message.includes("meant"), message);
  assertEquals(await found(body, [one, { ...one, where: "other" }]), "");
  assert((await found(body, [{ ...one, rule: "console" }])).includes("file: meant"));
});

test("watched() puts everything back", async () => {
  const before = [fetch, Response, TypeError, console.log, process.stderr.write];
  await found(() => {
    throw new Error("It ends badly.");
  });
  assertEquals(
    [fetch, Response, TypeError, console.log, process.stderr.write].map((one, index) =>
      one === before[index]
    ),
    before.map(() => true),
  );
});

test("secret() is the same for a name, and like no other one", () => {
  assertEquals(secret("a"), secret("a"));
  const all = ["", "a", "b", "AT1", "AT2", "AT11", "1AT"].map(secret);
  assertEquals(new Set(all).size, all.length);
  assert(all.every((one) => one.length >= 24), String(all));
  const canaries = new Canaries();
  canaries.add("one", secret("AT1"));
  for (const other of all.filter((one) => one !== secret("AT1"))) canaries.search("x", other);
  assertEquals(canaries.sightings, []);
});
