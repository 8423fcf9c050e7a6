/**
 * Watches over every test: no secret may be where a program, a server or another user could see it.
 *
 * Secrets become known by passing through: what the servers of the tests receive and hand out, what
 * requests carry, tokens, credentials and stored objects (`watch_library.ts`), and what a test makes
 * up by `secret()`. While a test runs, everything observable is collected: errors, events, what is
 * printed, public objects, files in temporary folders, requests, arguments of programs, pages of the
 * callback. At its end all of it is searched; of very many alike, the first and the last.
 *
 * A secret that is too short to be searched for fails the test. What a test does on purpose that no
 * other may, it says itself: `test(name, fn, { breaks: [{ rule, where, why }] })`.
 *
 * Needs no library, so that the servers of the tests can run by themselves; nothing is collected
 * outside tests.
 *
 * @module
 */

import * as fs from "node:fs";
import { ChildProcess } from "node:child_process";
import * as path from "node:path";
import process from "node:process";
import { inspect } from "node:util";
import { Canaries, isMadeUp, onSecret, type Sighting, views } from "./canaries.ts";

/** What is watched. */
export type Rule =
  | "arguments"
  | "console"
  | "error"
  | "event"
  | "file"
  | "file mode"
  | "object"
  | "page"
  | "request"
  | "short secret";

/** What a test breaks on purpose; where short secrets are, none is noted but those made up for it. */
export interface Break {
  /** The rule. */
  readonly rule: Rule;
  /** A part of the place, as the watch names it. */
  readonly where: string;
  /** Why this is the point of the test. */
  readonly why: string;
}

/** Servers that belong together: what one of them hands out may be sent to the others. */
export interface ServerGroup {
  /** Addresses of authorization servers. */
  readonly authorization: readonly string[];
  /** Addresses at which access tokens are used. */
  readonly api: readonly string[];
  /** Addresses of databases that keep sessions, which they may be sent to. */
  readonly stores?: readonly string[];
}

/** A request that was sent or has come. */
export interface WatchedRequest {
  /** Method, in capitals. */
  readonly method: string;
  /** Whole URL. */
  readonly url: string;
  /** Headers. */
  readonly headers: Headers;
  /** Body as text; absent where it cannot be read without taking it away. */
  readonly body?: string;
}

/** The kinds of secret, by the member of a form or of a JSON object that holds them. */
const KINDS: ReadonlyMap<string, string> = new Map(Object.entries({
  access_token: "access token",
  api_key: "API key",
  client_assertion: "assertion",
  client_privkey: "private key",
  client_privkey_password: "private key",
  client_secret: "client secret",
  code: "code",
  code_verifier: "verifier",
  device_code: "device code",
  id_token: "ID token",
  refresh_token: "refresh token",
}));

/** What a form may hold (RFC 6749, RFC 7523, RFC 7636, RFC 8628), sent to its server by POST. */
const POSTED = ["assertion", "client secret", "code", "device code", "refresh token", "verifier"];

/** What may lie in a file of this name, its neighbours while it is written included. */
const IN_FILES: Readonly<Record<string, readonly string[]>> = {
  ".planet.json": ["API key", "client secret"],
  "auth_client.json": ["API key", "client secret", "private key"],
  "token.json": ["API key", "ID token", "access token", "refresh token"],
};

/** Shorter ones could be part of any word. */
const SHORTEST = 12;

const LARGEST_FILE = 1 << 20;
const LARGEST_TEXT = 1 << 20;
const PRINTERS = ["debug", "dir", "error", "info", "log", "table", "trace", "warn"] as const;

/** Keeps the first and the last of many. */
class Kept<T> {
  readonly #first: T[] = [];
  readonly #last: T[] = [];
  #count = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(item: T): void {
    if (this.#first.length < this.#most) this.#first.push(item);
    else this.#last[this.#count++ % this.#most] = item;
  }

  *[Symbol.iterator](): Iterator<T> {
    yield* this.#first;
    yield* this.#last;
  }
}

interface SeenText {
  readonly rule: Rule;
  readonly where: string;
  readonly text: string;
  readonly allowed: readonly string[];
}

interface SeenValue {
  readonly rule: Rule;
  readonly where: string;
  readonly make: () => unknown;
  readonly allowed: (way: string) => readonly string[];
}

/** Files that the rules do not hold for, by name. */
type Unwatched = RegExp | undefined;

interface SeenFile {
  readonly name: string;
  readonly text: string;
  readonly mode: number;
  readonly folderMode: number;
}

interface Group {
  readonly authorization: Set<string>;
  readonly api: Set<string>;
  readonly stores: Set<string>;
  /** Whether a session of this process is for it. */
  used: boolean;
}

/** Where the code is that called, for a message. */
function caller(): string {
  const frames = (new Error().stack ?? "").split("\n").slice(1);
  const frame = frames.find((line) => /tests\//.test(line) && !line.includes("/_support/"));
  return frame?.match(/(tests\/[\w./-]+:\d+)/)?.[1] ?? "unknown place";
}

/** What was seen during one test. */
class Watch {
  readonly canaries = new Canaries();
  /** The servers that handed a secret out. */
  readonly homes = new Map<string, Set<Group>>();
  readonly groups: Group[] = [];
  readonly short = new Set<string>();
  readonly texts = new Kept<SeenText>(2_000);
  readonly values = new Map<Rule, Kept<SeenValue>>();
  readonly known = new WeakSet<object>();
  readonly requests = new Kept<WatchedRequest>(500);
  readonly files: SeenFile[] = [];
  readonly folders = new Map<string, Unwatched>();

  /** Whether tokens of any text are the point of the test; those made up for it are looked for. */
  readonly #anyText: boolean;

  constructor(anyText = false) {
    this.#anyText = anyText;
  }

  note(kind: string, value: unknown, home?: Group): void {
    if (typeof value !== "string" || value === "") return;
    if (this.#anyText && !isMadeUp(value)) return;
    if (value.length < SHORTEST) {
      this.short.add(`${kind} of ${value.length} characters, ${caller()}`);
      return;
    }
    this.canaries.add(kind, value);
    if (home === undefined) return;
    const homes = this.homes.get(value);
    if (homes === undefined) this.homes.set(value, new Set([home]));
    else homes.add(home);
  }

  group({ api, authorization, stores = [] }: ServerGroup, used: boolean): Group {
    const origins = (addresses: readonly string[]) => addresses.map((one) => new URL(one).origin);
    const known = this.groups.find((group) =>
      origins(authorization).some((origin) => group.authorization.has(origin))
    );
    const group = known ??
      { authorization: new Set(), api: new Set(), stores: new Set(), used };
    if (known === undefined) this.groups.push(group);
    for (const origin of origins(authorization)) group.authorization.add(origin);
    for (const origin of origins(api)) group.api.add(origin);
    for (const origin of origins(stores)) group.stores.add(origin);
    group.used ||= used;
    return group;
  }

  value(seen: SeenValue): void {
    let kept = this.values.get(seen.rule);
    if (kept === undefined) this.values.set(seen.rule, kept = new Kept(60));
    kept.add(seen);
  }

  inherit(base: Watch): void {
    this.canaries.addAll(base.canaries);
    // What this test learns of them, the next one need not know.
    const copies = new Map(base.groups.map((group) => [group, {
      authorization: new Set(group.authorization),
      api: new Set(group.api),
      stores: new Set(group.stores),
      used: group.used,
    }]));
    this.groups.push(...copies.values());
    for (const [secret, homes] of base.homes) {
      this.homes.set(secret, new Set([...homes].map((home) => copies.get(home)!)));
    }
    // Told once.
    for (const one of base.short) this.short.add(one);
    base.short.clear();
  }

  /** Where secrets were, that may not be there. */
  findings(): Sighting[] {
    const found: Sighting[] = [...this.short].map((where) => ({
      secret: "",
      where: `short secret: ${where}`,
      form: "use secret() of tests/_support/canaries.ts, which can be searched for",
    }));
    for (const [folder, unwatched] of this.folders) this.look(folder, unwatched);
    // First of all, files tell of more secrets.
    for (const { name, text } of this.files) this.#noteFile(name, text);
    if (this.canaries.size === 0) return found;
    const texts: SeenText[] = [...this.texts];
    for (const kept of this.values.values()) {
      for (const { allowed, make, rule, where } of kept) {
        for (const [way, text] of views(make())) {
          texts.push({ rule, where: `${where} by ${way}`, text, allowed: allowed(way) });
        }
      }
    }
    for (const request of this.requests) texts.push(...this.#partsOf(request, found));
    for (const { folderMode, mode, name, text } of this.files) {
      const allowed = name.endsWith(".pem") ? ["private key"] : IN_FILES[baseName(name)] ?? [];
      texts.push({ rule: "file", where: name, text, allowed });
      if (process.platform === "win32" || !this.canaries.isIn(text)) continue;
      for (const [what, bits] of [["it", mode], ["its folder", folderMode]] as const) {
        if ((bits & 0o077) === 0) continue;
        const shown = (bits & 0o777).toString(8);
        found.push({
          secret: "a secret",
          where: `file mode: ${name}`,
          form: `${what} has mode ${shown}`,
        });
      }
    }
    this.#search(texts);
    return [...found, ...this.canaries.sightings];
  }

  /** Searches texts of one kind together, which is quick where there is nothing to be found. */
  #search(texts: readonly SeenText[]): void {
    const together = new Map<string, SeenText[]>();
    const seen = new Set<string>();
    for (const one of texts) {
      const key = `${one.rule}|${one.allowed.join()}`;
      if (seen.has(key + one.text)) continue;
      seen.add(key + one.text);
      const list = together.get(key);
      if (list === undefined) together.set(key, [one]);
      else list.push(one);
    }
    for (const list of together.values()) {
      const joined = list.map(({ text }) => text).join("\n");
      if (!this.canaries.isIn(joined, list[0]!.allowed)) continue;
      for (const { allowed, rule, text, where } of list) {
        this.canaries.search(`${rule}: ${where}`, text, allowed);
      }
    }
  }

  /** The parts of a request, each with what may be in it; adds what went to the wrong server. */
  #partsOf(request: WatchedRequest, found: Sighting[]): SeenText[] {
    const { body = "", headers, method } = request;
    const url = new URL(request.url);
    const used = this.groups.filter((group) => group.used);
    const groups = used.length > 0
      ? this.groups.filter((group) => group.used || group.stores.size > 0)
      : this.groups;
    const isAt = (side: "api" | "authorization" | "stores") =>
      this.groups.some((group) => group[side].has(url.origin));
    const [isServer, isApi, isStore] = [isAt("authorization"), isAt("api"), isAt("stores")];
    const isPost = method === "POST";
    // A port may have been that of a server before.
    const isCallback = url.protocol === "http:" &&
      ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname) &&
      [url.searchParams, new URLSearchParams(body)].some((answer) =>
        answer.has("code") && answer.has("state")
      );
    for (const [kind, value] of credentials(request)) {
      const homes = this.homes.get(value) ?? groups;
      if (isCallback && kind === "code") continue;
      const isFor = ({ api, authorization, stores }: Group) =>
        [api, authorization, stores].some((origins) => origins.has(url.origin));
      if ([...homes].some(isFor)) continue;
      found.push({
        secret: kind,
        where: `request: ${method} ${url.origin}`,
        form: "the server is none that it is for",
      });
    }
    const part = (name: string, text: string, allowed: readonly string[]): SeenText => ({
      rule: "request",
      where: `${name} of ${method} ${url.origin}`,
      text,
      allowed,
    });
    const authorization = headers.get("authorization") ?? "";
    const others = [...headers].filter(([name]) => name !== "authorization");
    const token = new URLSearchParams(body).has("token");
    const inBody = isStore
      ? IN_FILES["token.json"]!
      : isCallback
      ? ["code"]
      : isServer && isPost
      ? [...POSTED, ...(token ? ["access token"] : [])]
      : [];
    return [
      part("the address", `${url.href}\n${unescaped(url.href)}`, [
        "link",
        ...(isCallback ? ["code"] : []),
      ]),
      part("the headers", others.join("\n"), []),
      part("Authorization", `${authorization}\n${basicOf(authorization) ?? ""}`, [
        ...(isApi ? ["API key"] : []),
        // Who is signed in, the authorization server tells (OpenID Connect Core §5.3).
        ...(isApi || isServer || isStore ? ["access token"] : []),
        ...(isServer && isPost ? ["client secret"] : []),
      ]),
      part("the body", `${body}\n${[...new URLSearchParams(body).values()].join("\n")}`, inBody),
    ];
  }

  /** Looks at all files in a folder. */
  look(folder: string, unwatched: Unwatched): void {
    const lookAt = (file: string, folderMode: number) => {
      const name = path.relative(folder, file).replaceAll("\\", "/");
      const { mode, size } = fs.lstatSync(file);
      if (size > LARGEST_FILE || unwatched?.test(name)) return;
      this.files.push({ name, text: fs.readFileSync(file, "utf8"), mode, folderMode });
    };
    const visit = (place: string) => {
      const { mode } = fs.lstatSync(place);
      for (const entry of fs.readdirSync(place, { withFileTypes: true })) {
        const here = path.join(place, entry.name);
        try {
          if (entry.isDirectory() && entry.name !== "node_modules") visit(here);
          if (entry.isFile()) lookAt(here, mode);
        } catch {
          // What a test made unreadable, or another program takes away right now.
        }
      }
    };
    try {
      visit(folder);
    } catch {
      // The test itself took it away.
    }
  }

  #noteFile(name: string, text: string): void {
    if (!(baseName(name) in IN_FILES)) return;
    try {
      noteMembers(JSON.parse(text), undefined, this);
    } catch {
      // Rubbish is no secret.
    }
  }
}

/** A file's name, that of the one that it is about to replace, or that it had before it was set aside. */
function baseName(name: string): string {
  return name.split("/").at(-1)!.replace(/\.([0-9a-f]{32}\.tmp|corrupt|replaced)$/, "");
}

/** A text with its escapes undone, as far as they are some. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** What a Basic header says. */
function basicOf(authorization: string): string | undefined {
  const [, encoded] = /^basic +(\S+)$/i.exec(authorization) ?? [];
  if (encoded === undefined) return undefined;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

/** The secrets of a request, as the standards have them. */
function credentials(
  { body, headers, method, url }: WatchedRequest,
): [kind: string, value: string][] {
  const found: [string, string][] = [];
  const authorization = headers.get("authorization") ?? "";
  const [scheme = "", value = ""] = authorization.split(" ");
  const basic = basicOf(authorization);
  if (basic !== undefined) {
    found.push(["client secret", basic.slice(basic.indexOf(":") + 1)]);
  } else if (value !== "") {
    found.push([scheme.toLowerCase() === "bearer" ? "access token" : "API key", value]);
  }
  // Junk that a test sends to the callback may be short.
  const code = new URL(url).searchParams.get("code") ?? "";
  if (code.length >= SHORTEST) found.push(["code", code]);
  if (method !== "POST" || !/urlencoded/.test(headers.get("content-type") ?? "")) return found;
  const form = new URLSearchParams(body ?? "");
  for (const [name, value] of form) {
    const kind = name === "token"
      ? KINDS.get(form.get("token_type_hint") ?? "") ?? "access token"
      : KINDS.get(name);
    if (kind !== undefined) found.push([kind, value]);
  }
  return found.filter(([, value]) => value !== "");
}

/** What is seen outside tests, while the modules of a test file load; every test inherits it. */
let base: Watch | undefined;
let current: Watch | undefined;

/** The watch over the test that runs. */
function now(): Watch | undefined {
  return current ?? base;
}

/** Begins to watch; called by the harness. */
export function startWatching(): void {
  if (base !== undefined) return;
  base = new Watch();
  onSecret((value) => now()!.canaries.add("made up", value));
}

/** Notes a secret, and the servers that it is of. */
export function noteSecret(kind: string, value: unknown, home?: ServerGroup): void {
  const watch = now();
  watch?.note(kind, value, home === undefined ? undefined : watch.group(home, false));
}

/** Notes the secrets among the members of an object. */
export function noteMembers(object: unknown, home?: ServerGroup, watch = now()): void {
  if (typeof object !== "object" || object === null || watch === undefined) return;
  const group = home === undefined ? undefined : watch.group(home, false);
  for (const [name, value] of Object.entries(object)) {
    const kind = KINDS.get(name) ??
      (/^(key|PL_(AUTH_)?API_KEY)$/.test(name) ? "API key" : undefined);
    if (kind !== undefined) watch.note(kind, value, group);
    if (name === "PL_AUTH_CLIENT_SECRET") watch.note("client secret", value, group);
  }
}

/** Notes servers that belong together; `used` where a session of this process is for them. */
export function noteServers(group: ServerGroup, used = false): void {
  now()?.group(group, used);
}

/** Notes a request: what is secret in it, and all of it to be searched. */
export function noteRequest(request: WatchedRequest): void {
  const watch = current;
  if (watch === undefined) return;
  for (const [kind, value] of credentials(request)) watch.note(kind, value);
  watch.requests.add({ ...request, headers: new Headers(request.headers) });
}

/** Looks at a text that anybody may see. */
export function see(
  rule: Rule,
  where: string,
  text: string,
  allowed: readonly string[] = [],
): void {
  if (text !== "") current?.texts.add({ rule, where, text: text.slice(0, LARGEST_TEXT), allowed });
}

/** Looks at an object when the test ends; `allowed` tells what may be seen of it in which way. */
export function remember(
  rule: Rule,
  where: string,
  value: object,
  allowed: (way: string) => readonly string[] = () => [],
): void {
  const watch = current;
  if (watch === undefined || watch.known.has(value)) return;
  watch.known.add(value);
  watch.value({ rule, where, make: () => value, allowed });
}

/** Looks at what `make` makes when the test ends. */
export function rememberLater(rule: Rule, where: string, make: () => unknown): void {
  current?.value({ rule, where, make, allowed: () => [] });
}

/** Looks at the files in a folder when the test ends, but for those of this name. */
export function noteFolder(folder: string, unwatched?: RegExp): void {
  current?.folders.set(folder, unwatched);
}

/** Looks at the files in a folder now, before it is taken away. */
export function lookAtFolder(folder: string): void {
  if (!current?.folders.has(folder)) return;
  current.look(folder, current.folders.get(folder));
  current.folders.delete(folder);
}

/** Looks at the arguments of a program. */
export function seeArguments(program: unknown, args: readonly unknown[] | undefined): void {
  see("arguments", path.basename(String(program)), [program, ...(args ?? [])].join("\n"));
}

const ownServers = new WeakSet<object>();

/** Marks an answer of a server of the tests, which is no page of the callback. */
export function noCallbackPage(response: object): void {
  ownServers.add(response);
}

/** A `fetch` whose requests are looked at. */
export function watchedFetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return new Proxy(fetch, {
    apply(target, self, args: Parameters<typeof globalThis.fetch>) {
      noteFetch(...args);
      return Reflect.apply(target, self, args);
    },
  });
}

function noteFetch(input: RequestInfo | URL, init?: RequestInit): void {
  if (current === undefined) return;
  const request = typeof input === "object" && "method" in input ? input : undefined;
  const body = init?.body;
  try {
    const url = new URL(request?.url ?? String(input)).href;
    const headers = new Headers(init?.headers ?? request?.headers);
    if (body instanceof URLSearchParams && !headers.has("content-type")) {
      headers.set("content-type", "application/x-www-form-urlencoded");
    }
    noteRequest({
      method: (init?.method ?? request?.method ?? "GET").toUpperCase(),
      url,
      headers,
      ...(typeof body === "string" || body instanceof URLSearchParams
        ? { body: String(body) }
        : body instanceof Uint8Array
        ? { body: new TextDecoder().decode(body) }
        : {}),
    });
  } catch {
    // What is no request is refused by fetch itself.
  }
}

interface DenoLike {
  Command: new (program: string | URL, options?: { args?: string[] }) => object;
  stderr: { writeSync(bytes: Uint8Array): number };
  stdout: { writeSync(bytes: Uint8Array): number };
}

/** What Node's listener answers with; in Deno it is not needed, and takes a while to load. */
const ServerResponse = "Deno" in globalThis
  ? undefined
  : (await import("node:http")).ServerResponse;

const global = globalThis as unknown as {
  Deno?: DenoLike;
  Response: typeof Response;
  TypeError: TypeErrorConstructor;
  fetch: typeof fetch;
};

/** Begins to listen at everything that all programs share; returns what ends that. */
function listen(): () => void {
  const undo: (() => void)[] = [];
  /** Replaces a member of an object for the time of the test. */
  // deno-lint-ignore no-explicit-any
  const replace = (object: any, name: string, make: (original: any) => unknown) => {
    const found = Object.getOwnPropertyDescriptor(object, name);
    const original = object[name];
    Object.defineProperty(object, name, {
      configurable: true,
      enumerable: found?.enumerable ?? true,
      writable: true,
      value: make(original),
    });
    undo.push(() => {
      if (found === undefined) delete object[name];
      else Object.defineProperty(object, name, found);
    });
  };
  /** A function that is told of each call before it is made. */
  const told = (listener: (self: unknown, args: unknown[]) => void) => (original: object) =>
    new Proxy(original as (...args: unknown[]) => unknown, {
      apply(target, self, args) {
        listener(self, args);
        return Reflect.apply(target, self, args);
      },
    });
  /** A class that is told of each object after it is made. */
  const making =
    (listener: (made: object, args: unknown[]) => void) =>
    (original: new (...args: unknown[]) => object) => {
      const proxy: object = new Proxy(original, {
        construct(target, args, newTarget) {
          const made = Reflect.construct(target, args, newTarget === proxy ? target : newTarget);
          listener(made, args);
          return made;
        },
      });
      return proxy;
    };

  for (const name of PRINTERS) {
    replace(
      console,
      name,
      told((_self, values) => {
        const text = values.map((value) => typeof value === "string" ? value : inspect(value));
        see("console", `console.${name}()`, text.join(" "));
      }),
    );
  }
  const written = (chunk: unknown) =>
    see(
      "console",
      "what is written",
      typeof chunk === "string"
        ? chunk
        : chunk instanceof Uint8Array
        ? new TextDecoder().decode(chunk)
        : "",
    );
  const { Deno } = global;
  if (Deno === undefined) {
    for (const stream of [process.stdout, process.stderr]) {
      replace(stream, "write", told((_self, [chunk]) => written(chunk)));
    }
    const pages = new WeakSet<object>();
    replace(
      ServerResponse!.prototype,
      "writeHead",
      told((self, [status, ...more]) => {
        const text = JSON.stringify(more);
        if (ownServers.has(self as object)) return;
        if (text.includes("text/html")) pages.add(self as object);
        else if (!(Number(status) >= 300 && Number(status) <= 399)) return;
        see("page", "the headers of a page of the callback", text);
      }),
    );
    replace(
      ServerResponse!.prototype,
      "end",
      told((self, [body]) => {
        if (pages.has(self as object)) see("page", "a page of the callback", String(body));
      }),
    );
  } else {
    for (const stream of [Deno.stdout, Deno.stderr]) {
      replace(stream, "writeSync", told((_self, [chunk]) => written(chunk)));
    }
    replace(
      Deno,
      "Command",
      making((_made, [program, options]) =>
        seeArguments(program, (options as { args?: string[] } | undefined)?.args)
      ),
    );
  }
  replace(
    ChildProcess.prototype,
    "spawn",
    told((_self, [options]) => {
      const { args, file } = options as { args?: string[]; file?: string };
      seeArguments(file, args);
    }),
  );
  replace(
    global,
    "Response",
    making((made, [body]) => {
      const { headers, status } = made as Response;
      const isPage = /html/.test(headers.get("content-type") ?? "");
      if (!isPage && (status < 300 || status > 399)) return;
      const text = typeof body === "string" ? body : "";
      see("page", "a page of the callback", `${text}\n${[...headers].join("\n")}`);
    }),
  );
  // Those that the language itself throws are made without this.
  replace(
    global,
    "TypeError",
    making((made) => {
      // Those of other packages the library catches, and passes none on.
      const frames = ((made as Error).stack ?? "").split("\n").slice(1);
      const frame = frames.find((line) => !line.includes("/tests/_support/watch.ts"));
      if (frame?.includes("/lib/")) remember("error", "TypeError", made);
    }),
  );
  replace(TypeError.prototype, "constructor", () => global.TypeError);
  replace(global, "fetch", watchedFetch);
  return () => {
    for (const step of undo.reverse()) step();
  };
}

/** Runs a test; it fails where a secret was seen, or where it ends with an error that holds one. */
export async function watched(
  test: () => Promise<void>,
  breaks: readonly Break[] = [],
): Promise<void> {
  startWatching();
  const before = current;
  const watch = current = new Watch(breaks.some(({ rule }) => rule === "short secret"));
  watch.inherit(base!);
  const stop = listen();
  try {
    await test();
  } catch (error) {
    if (!views(error).some(([, text]) => watch.canaries.isIn(text))) throw error;
    throw new Error("The test failed, with a secret in its error, which is therefore not shown.");
  } finally {
    stop();
    current = before;
  }
  const found = watch.findings().filter(({ where }) =>
    !breaks.some((one) => where.startsWith(`${one.rule}: `) && where.includes(one.where))
  );
  if (found.length === 0) return;
  const lines = found.map(({ form, secret, where }) => `${where}: ${secret} (${form})`);
  throw new Error(
    `A secret was seen where none may be:\n${[...new Set(lines)].slice(0, 20).join("\n")}`,
  );
}
