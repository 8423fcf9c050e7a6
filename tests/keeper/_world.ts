/**
 * The classes of situations that a session meets: every flow, every kind of store, every call.
 *
 * @module
 */

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Auth } from "../../lib/auth.ts";
import { AuthError } from "../../lib/errors.ts";
import type { AuthEvent } from "../../lib/events.ts";
import type { LoginOptions } from "../../lib/sign_in/person.ts";
import type { SessionOptions } from "../../lib/setup.ts";
import { FileStorage } from "../../lib/storage/file.ts";
import { corrupt, type JsonObject, type ObjectStorageProvider } from "../../lib/storage/objects.ts";
import { EncryptedStorage, KvStorage, MemoryStorage } from "../../lib/storage/select.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeClock, fakeClock } from "../_support/fake_clock.ts";
import { type FakeServer, fakeServer, type FakeServerOptions } from "../_support/fake_server.ts";
import { test } from "../_support/harness.ts";
import { missingKv, openKv } from "../_support/kv.ts";
import { tempFolder } from "../_support/temp_folder.ts";

/** When tests begin, in epoch milliseconds. */
export const START = 1_700_000_000_000;

/** An object of a profile that a test puts down. */
export type Part = "auth_client" | "refresh_state" | "token";

/** Key of an object of a profile. */
export const keyOf = (profile: string, part: string): string => `.planet/${profile}/${part}.json`;

/** A store, and a way to make what lies in it unreadable. */
export interface Store {
  readonly storage: ObjectStorageProvider;
  spoil(key: string): Promise<void>;
  close?(): Promise<void> | void;
}

/** A store with the five methods of Python only, over another one; `over` replaces some, or adds. */
export function fiveMethods(
  storage: ObjectStorageProvider,
  over: Partial<ObjectStorageProvider> = {},
): ObjectStorageProvider {
  return {
    load: (key) => storage.load(key),
    save: (key, value) => storage.save(key, value),
    exists: (key) => storage.exists(key),
    mtime: (key) => storage.mtime(key),
    rename: (from, to) => storage.rename(from, to),
    ...over,
  };
}

/** All that a store can do, over `storage`; `over` replaces some. */
export function allMethods(
  storage: ObjectStorageProvider,
  over: Partial<ObjectStorageProvider> = {},
): ObjectStorageProvider {
  return fiveMethods(storage, {
    delete: (key) => storage.delete!(key),
    list: (prefix) => storage.list!(prefix),
    withLock: (key, body, options) => storage.withLock!(key, body, options),
    ...over,
  });
}

const newKey = () =>
  crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);

async function encrypted(spoilWith: "a lost key" | "clear text"): Promise<Store> {
  const inner = new MemoryStorage();
  const other = new EncryptedStorage(inner, await newKey());
  return {
    storage: new EncryptedStorage(inner, await newKey()),
    spoil: (key) => (spoilWith === "a lost key" ? other : inner).save(key, { spoilt: true }),
  };
}

/** Every kind of store. */
export const STORES: Readonly<Record<string, () => Promise<Store>>> = {
  "memory": () => {
    const storage = new MemoryStorage();
    return Promise.resolve({ storage, spoil: (key) => storage.save(key, { rubbish: 1 }) });
  },
  "files": async () => {
    const { path, remove } = await tempFolder();
    return {
      storage: new FileStorage({ root: path }),
      async spoil(key) {
        await mkdir(dirname(join(path, key)), { recursive: true, mode: 0o700 });
        await writeFile(join(path, key), "{ no JSON", { mode: 0o600 });
      },
      close: remove,
    };
  },
  ...(missingKv === undefined
    ? {
      "KV": async () => {
        const kv = await openKv(":memory:");
        return {
          storage: new KvStorage(kv),
          async spoil(key) {
            const path = ["planet", key];
            await kv.atomic().set(path, new Uint8Array(12)).commit();
          },
          close: () => kv.close(),
        };
      },
    }
    : {}),
  "encrypted": () => encrypted("a lost key"),
  "encrypted, in clear before": () => encrypted("clear text"),
  "five methods": () => {
    const memory = new MemoryStorage();
    const load = async (key: string) => {
      const value = await memory.load(key);
      if (value?.spoilt === true) throw corrupt(`"${key}"`, "no JSON");
      return value;
    };
    return Promise.resolve({
      storage: fiveMethods(memory, { load }),
      spoil: (key) => memory.save(key, { spoilt: true }),
    });
  },
};
if (missingKv !== undefined) {
  test("Keeper: every class over Deno KV", () => {}, { skip: missingKv });
}

/** What is common to the sessions of one test. */
export interface World extends Store {
  readonly server: FakeServer;
  readonly clock: FakeClock;
  readonly events: AuthEvent[];
  readonly options: SessionOptions;
  /** Puts objects under a profile. */
  seed(profile: string, objects: Partial<Record<Part, JsonObject>>): Promise<void>;
  /** What lies under a profile, by its name; absent: nothing. */
  stored(profile: string): Promise<Record<string, JsonObject>>;
}

/** Names that a profile's objects can have. */
const NAMES = ["auth_client", "discovery", "refresh_state", "token"].flatMap((name) =>
  ["", ".corrupt", ".replaced"].map((end) => [name + end, `${name}.json${end}`] as const)
);

/** Runs `body` in a world with a store of this kind. */
export async function inWorld(
  store: string | Store,
  body: (world: World) => Promise<void>,
  fake: FakeServerOptions = {},
): Promise<void> {
  const made = typeof store === "string" ? await STORES[store]!() : store;
  const { storage } = made;
  const server = fakeServer(fake);
  const clock = fakeClock({ now: START });
  const events: AuthEvent[] = [];
  try {
    await body({
      ...made,
      server,
      clock,
      events,
      options: {
        environment: server.environment,
        fetch: server.fetch,
        storageProvider: storage,
        clock,
        onEvent: (event) => void events.push(event),
      },
      async seed(profile, objects) {
        for (const [part, value] of Object.entries(objects)) {
          await storage.save(keyOf(profile, part), value);
        }
      },
      async stored(profile) {
        const found: Record<string, JsonObject> = {};
        for (const [name, file] of NAMES) {
          const value = await storage.load(`.planet/${profile}/${file}`).catch(() => ({ bad: 1 }));
          if (value !== undefined) found[name] = value;
        }
        return found;
      },
    });
  } finally {
    await made.close?.();
  }
}

/** A flow, and the client that signs in by it. */
export interface Flow {
  readonly isService: boolean;
  /** Its `auth_client.json`. */
  client(world: World): JsonObject;
  make(world: World, profileName: string, more?: Partial<SessionOptions>): Promise<Auth>;
}

const CLIENT_ID = "our-client";
const OUR_SECRET = secret("our-client-secret");

const client = (type: string, more: JsonObject = {}) => ({ server }: World): JsonObject => ({
  client_type: type,
  client_id: CLIENT_ID,
  auth_server: server.issuer,
  audiences: [...server.environment.audiences],
  scopes: type === "oidc_client_credentials_secret" ? [] : ["planet", "offline_access"],
  ...more,
});

const DEVICE = client("oidc_device_code", { mine: 1 });
const SERVICE = client("oidc_client_credentials_secret", { client_secret: OUR_SECRET });

/** A flow by `Auth.fromProfile()`: its client lies in the store when it is made. */
const ofProfile = (isService: boolean, client: Flow["client"]): Flow => ({
  isService,
  client,
  async make(world, profile, more) {
    await world.seed(profile, { auth_client: client(world) });
    return await Auth.fromProfile(profile, { ...world.options, ...more });
  },
});

/** Every flow. */
export const FLOWS: Readonly<Record<string, Flow>> = {
  "authorization code": {
    isService: false,
    client: client("oidc_auth_code"),
    make: ({ options }, profileName, more) =>
      Promise.resolve(Auth.fromOAuthUserAuthCode({
        clientId: CLIENT_ID,
        callbackUrl: "http://localhost:0",
        ...options,
        profileName,
        ...more,
      })),
  },
  "device code": {
    isService: false,
    client: DEVICE,
    make: ({ options }, profileName, more) =>
      Promise.resolve(
        Auth.fromOAuthUserDeviceCode({ clientId: CLIENT_ID, ...options, profileName, ...more }),
      ),
  },
  "service account": {
    isService: true,
    client: SERVICE,
    make: ({ options }, profileName, more) =>
      Promise.resolve(Auth.fromOAuthM2M({
        clientId: CLIENT_ID,
        clientSecret: OUR_SECRET,
        ...options,
        profileName,
        ...more,
      })),
  },
  "a person's profile": ofProfile(false, DEVICE),
  "a service account's profile": ofProfile(true, SERVICE),
};

/** The flows of persons or of service accounts. */
export const flowsOf = (isService: boolean): [string, Flow][] =>
  Object.entries(FLOWS).filter(([, flow]) => flow.isService === isService);

/** Tokens that began `age` seconds ago and live an hour. */
export function tokens(name: string, age = 0, more: JsonObject = {}): JsonObject {
  const issued = START / 1000 - age;
  return {
    access_token: secret(`AT-${name}`),
    refresh_token: secret(`RT-${name}`),
    id_token: secret(`ID-${name}`),
    token_type: "Bearer",
    _iat: issued,
    _exp: issued + 3600,
    ...more,
  };
}

/** A sign-in that a person is there for, in every flow. */
export const WITH_PERSON: LoginOptions = {
  allowTtyPrompt: true,
  ui: { show: () => {}, readLine: () => Promise.resolve(secret("CODE")) },
};

/** A call that a program may make first. */
export interface Call {
  /** Whether it signs a person in. */
  readonly signsIn?: boolean;
  run(auth: Auth, world: World): Promise<unknown>;
}

/** Every call, by what it is written like. */
export const CALLS: Readonly<Record<string, Call>> = {
  "accessToken()": { run: (auth) => auth.accessToken() },
  "accessToken({ forceRefresh: true })": {
    run: (auth) => auth.accessToken({ forceRefresh: true }),
  },
  "fetch()": {
    run: async (auth, { server }) =>
      (await auth.fetch(`${server.environment.apiBaseUrl}/data/v1/searches`)).status,
  },
  "isInitialized()": { run: (auth) => auth.isInitialized() },
  "ensureInitialized()": { run: (auth) => auth.ensureInitialized() },
  "explain()": { run: (auth) => auth.explain() },
  "introspect()": { run: (auth) => auth.introspect({ token: "refresh_token" }) },
  "validateIdToken()": { run: (auth) => auth.validateIdToken() },
  "logout()": { run: (auth) => auth.logout() },
  "ensureInitialized() with a person": {
    signsIn: true,
    run: (auth) => auth.ensureInitialized(WITH_PERSON),
  },
  "userLogin()": { signsIn: true, run: (auth) => auth.userLogin(WITH_PERSON) },
  "deviceUserLoginComplete()": {
    signsIn: true,
    run: async (auth) => auth.deviceUserLoginComplete(await auth.deviceUserLoginInitiate()),
  },
};

/** The calls that a flow has. */
export const callsOf = (name: string): [string, Call][] =>
  Object.entries(CALLS).filter(([call]) =>
    call !== "deviceUserLoginComplete()" || /device|person's/.test(name)
  );

/** The error of a call, or what it gave. */
export async function outcome(work: Promise<unknown>): Promise<AuthError | unknown> {
  return await work.catch((error) => {
    if (error instanceof AuthError) return error;
    throw error;
  });
}

/** The code of a call's error; without one, `fine`. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  const came = await outcome(work);
  return came instanceof AuthError ? came.code : "fine";
}

/** Everything that was sent, as text. */
export function sentText({ requests }: FakeServer): string {
  return requests.map(({ form, headers, url }) =>
    `${url} ${[...headers].join(" ")} ${[...form].join(" ")}`
  ).join("\n");
}
