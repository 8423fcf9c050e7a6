/**
 * Shows the watch what goes through the library's own classes, from outside: tokens that are made,
 * credentials that a session is made of, events, errors, stored objects, and the public objects.
 *
 * The library knows nothing of it. Methods are wrapped, not replaced: what they get, return and
 * throw stays the same, in the same turn.
 *
 * @module
 */

import { Auth } from "../../lib/auth.ts";
import { type PlanetEnvironment, PRODUCTION } from "../../lib/setup.ts";
import { PlanetError } from "../../lib/errors.ts";
import type { AuthEvent } from "../../lib/events.ts";
import { Planet, Session } from "../../lib/session.ts";
import {
  EncryptedStorage,
  KvStorage,
  MemoryStorage,
  SharedStorage,
} from "../../lib/storage/select.ts";
import { FileStorage } from "../../lib/storage/file.ts";
import { TokenSet } from "../../lib/token.ts";
import {
  noteMembers,
  noteSecret,
  noteServers,
  remember,
  rememberLater,
  see,
  startWatching,
  watchedFetch,
} from "./watch.ts";

type Method = (...args: unknown[]) => unknown;

/** Puts a method in the place of another one; it looks like the other one. */
function wrap(
  object: object,
  name: PropertyKey,
  around: (method: Method, self: object, args: unknown[]) => unknown,
): void {
  const descriptor = Object.getOwnPropertyDescriptor(object, name)!;
  const value = new Proxy(descriptor.value as Method, {
    apply: (method, self, args) => around(method, self, args),
  });
  Object.defineProperty(object, name, { ...descriptor, value });
}

/** Looks at a result, now or when it comes; leaves it, and its failure, to the caller. */
function look<T>(result: T, at: (value: Awaited<T>) => void): T {
  if (result instanceof Promise) result.then(at, () => {});
  else at(result as Awaited<T>);
  return result;
}

/** Looks at an event. */
export function seeEvent(event: AuthEvent): void {
  remember("event", event.type, event);
}

const changed = new WeakSet<object>();

/** Options of a session with everything told that goes through them. */
function withEars(options: unknown): unknown {
  if (typeof options !== "object" || options === null || changed.has(options)) return options;
  const { fetch, onEvent } = options as { fetch?: unknown; onEvent?: unknown };
  const copy: Record<string, unknown> = { ...options };
  if (typeof fetch === "function") copy.fetch = watchedFetch(fetch as typeof globalThis.fetch);
  if (onEvent === undefined || typeof onEvent === "function") {
    copy.onEvent = (event: AuthEvent) => {
      seeEvent(event);
      return (onEvent as ((event: AuthEvent) => void) | undefined)?.(event);
    };
  }
  changed.add(copy);
  return copy;
}

/** Notes which servers a session is for, and its credentials. */
function noteSession(options: unknown): void {
  if (typeof options !== "object" || options === null) return;
  const { allowedOrigins, apiKey, clientSecret, environment = PRODUCTION } = options as {
    allowedOrigins?: readonly string[];
    apiKey?: string;
    clientSecret?: string;
    environment?: PlanetEnvironment;
  };
  noteSecret("client secret", clientSecret);
  noteSecret("API key", apiKey);
  noteServers({
    authorization: [environment.userAuthServer, environment.m2mAuthServer],
    api: allowedOrigins ?? environment.allowedOrigins ?? [environment.apiBaseUrl],
  }, true);
}

/** Where each way to make a session has its options. */
const OPTIONS_AT = {
  fromEnv: 1,
  fromKey: 1,
  fromOAuthM2M: 0,
  fromOAuthUserAuthCode: 0,
  fromOAuthUserDeviceCode: 0,
  fromProfile: 1,
  fromUserDefaultSession: 0,
} as const;

function watchSessions(): void {
  wrap(
    Auth,
    "listProfiles",
    (method, self, args) =>
      look(
        Reflect.apply(method, self, args),
        (profiles) => remember("object", "listProfiles()", profiles as object),
      ),
  );
  for (const [name, at] of Object.entries(OPTIONS_AT)) {
    wrap(Auth, name, (method, self, args) => {
      const options = args[at];
      const given = [...args];
      const mayBeLeftOut = !name.startsWith("fromOAuth");
      given[at] = withEars(options === undefined && mayBeLeftOut ? {} : options);
      // What is refused is no credential of anybody.
      return look(Reflect.apply(method, self, given), (auth) => {
        remember("object", "Auth", auth as object);
        noteSession(options ?? {});
        if (name === "fromKey") noteSecret("API key", args[0]);
      });
    });
  }
}

/** The classes whose objects are looked at. */
const CLASSES: readonly { readonly name: string; readonly prototype: object }[] = [
  Auth,
  EncryptedStorage,
  FileStorage,
  KvStorage,
  MemoryStorage,
  Session,
  SharedStorage,
];

/** Remembers every object of a class that is used, but not those of its subclasses in tests. */
function watchObjects(Class: { readonly name: string; readonly prototype: object }): void {
  for (const name of Reflect.ownKeys(Class.prototype)) {
    const { value } = Object.getOwnPropertyDescriptor(Class.prototype, name)!;
    if (name === "constructor" || typeof value !== "function") continue;
    wrap(Class.prototype, name, (method, self, args) => {
      // A class of ours may have the method from another one.
      const own = CLASSES.find(({ prototype }) => prototype === Object.getPrototypeOf(self));
      if (own !== undefined) remember("object", own.name, self);
      const result = Reflect.apply(method, self, args);
      if (name === "save") noteMembers(args[1]);
      if (name === "load") look(result, (value) => noteMembers(value));
      if (name === "explain") {
        look(result, (report) => remember("object", "explain()", report as object));
      }
      if (name === "deviceUserLoginInitiate") look(result, rememberDevice);
      if (name === "client") {
        // A Planet holds its clients and nothing else.
        rememberLater("object", "Planet", () => new Planet(self as Session));
        remember("object", "a client", result as object);
      }
      return result;
    });
  }
}

/** Its JSON is meant to be handed to another process, and holds the device code and the verifier. */
function rememberDevice(info: unknown): void {
  noteMembers(info);
  const isMeant = (way: string) => way === "JSON.stringify()" || way === "its members";
  remember(
    "object",
    "DeviceAuthorization",
    info as object,
    (way) => isMeant(way) ? ["device code", "verifier"] : [],
  );
}

function watchTokens(): void {
  const note = (tokens: unknown) => {
    const { accessToken, idToken, refreshToken } = tokens as TokenSet;
    noteSecret("access token", accessToken);
    noteSecret("refresh token", refreshToken);
    noteSecret("ID token", idToken);
    remember("object", "TokenSet", tokens as TokenSet);
  };
  for (const name of ["fromResponse", "fromStored"] as const) {
    wrap(TokenSet, name, (method, self, args) => look(Reflect.apply(method, self, args), note));
  }
  wrap(
    TokenSet.prototype,
    "byClockAhead",
    (method, self, args) => look(Reflect.apply(method, self, args), note),
  );
}

/** Puts a step into the making of every error of the library: it is between them and `Error`. */
function watchErrors(): void {
  const Watched = function (this: unknown, ...args: unknown[]): Error {
    const error = Reflect.construct(Error, args, new.target as unknown as ErrorConstructor);
    remember("error", "an error of the library", error);
    // As it was made, whatever becomes of it.
    see("error", "an error's message", String(args[0]));
    return error;
  };
  Watched.prototype = Error.prototype;
  Object.setPrototypeOf(Watched, Error);
  Object.setPrototypeOf(PlanetError, Watched);
}

startWatching();
watchTokens();
watchErrors();
watchSessions();
for (const Class of CLASSES) watchObjects(Class);
