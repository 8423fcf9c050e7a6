/**
 * A program that only has to compile: what users write against the types, and what they must not.
 * Checked as it is here, and against the published package under the types of Deno, Bun and Node.
 *
 * @module
 */
import {
  ApiError,
  type ApiErrorOptions,
  Auth,
  AuthError,
  type AuthEvent,
  type Authorizer,
  type CallOptions,
  DataClient,
  type FetchLike,
  type FileStorageOptions,
  type Item,
  type JsonValue,
  type KvStorageOptions,
  type ListOptions,
  type ListSearchesOptions,
  type LockOptions,
  type LoginOptions,
  type OpenOptions,
  Planet,
  type PlanetEnvironment,
  type QuickSearchRequest,
  type RequestOptions,
  type RunSearchOptions,
  Session,
  type SessionEvent,
  type SessionHttpOptions,
  type SessionOptions,
} from "../../mod.ts";

/** Every member of an options type that may be left out. */
type Optional<T> = { [K in keyof T as undefined extends T[K] ? K : never]-?: undefined };

/** Compiles only if each of them also takes `undefined` (`exactOptionalPropertyTypes`). */
type TakesUndefined<T> = [Partial<Optional<T>>] extends [Pick<T, never>] ? T : never;
const undefinedEverywhere: [
  TakesUndefined<SessionHttpOptions>,
  TakesUndefined<CallOptions>,
  TakesUndefined<OpenOptions>,
] = [
  {
    allowedOrigins: undefined,
    clock: undefined,
    environment: undefined,
    fetch: undefined,
    maxConcurrent: undefined,
    maxRetries: undefined,
    onEvent: undefined,
    requestsPerSecond: undefined,
    timeoutMs: undefined,
  },
  { maxRetries: undefined, signal: undefined },
  { headers: undefined, maxRetries: undefined, signal: undefined },
];
const request: RequestOptions = {
  body: undefined,
  headers: undefined,
  idempotent: undefined,
  json: undefined,
  maxRetries: undefined,
  params: undefined,
  signal: undefined,
};
const list: ListOptions = { ...request, limit: undefined, member: "items" };
const searches: ListSearchesOptions = {
  limit: undefined,
  pageSize: undefined,
  searchType: undefined,
  sort: undefined,
};
const run: RunSearchOptions = { limit: undefined, maxRetries: undefined, sort: undefined };
const quick: QuickSearchRequest = {
  geometry: undefined,
  itemTypes: ["PSScene"],
  name: undefined,
  searchFilter: undefined,
};
const sessionOptions: SessionOptions = {
  allowedOrigins: undefined,
  clock: undefined,
  environment: undefined,
  fetch: undefined,
  onEvent: undefined,
  profileName: undefined,
  saveClientSecret: undefined,
  saveStateToStorage: undefined,
  storageProvider: undefined,
  waitUntil: undefined,
};
const login: LoginOptions = {
  allowOpenBrowser: undefined,
  allowTtyPrompt: undefined,
  signal: undefined,
  timeoutMs: undefined,
  ui: undefined,
};
const stores: [FileStorageOptions, KvStorageOptions, LockOptions, ApiErrorOptions] = [
  { root: undefined },
  { prefix: undefined },
  { signal: undefined, timeoutMs: undefined },
  { headers: undefined, retryAt: undefined, url: undefined },
];
const environment: PlanetEnvironment = {
  userAuthServer: "https://auth.test",
  m2mAuthServer: "https://auth.test",
  audiences: [],
  apiBaseUrl: "https://api.test",
  allowedOrigins: undefined,
};

/** A `fetch` of one's own, and the runtime's, go in. */
const plain: FetchLike = (input, init) => fetch(input, init);
const whole: FetchLike = fetch;
const auth = Auth.fromKey("key", { ...sessionOptions, environment, fetch: plain });
const m2m = Auth.fromOAuthM2M({ clientId: "a", clientSecret: "b", fetch: whole });

/** What comes out goes wherever a library asks for the runtime's. */
const session = new Session(auth, { onEvent: (event) => seen(event) });
const taken: (typeof fetch)[] = [auth.fetch, session.fetch, m2m.fetch];
const likewise: FetchLike[] = [auth.fetch, session.fetch];
const narrow: ((url: string, init?: RequestInit) => Promise<Response>)[] = [auth.fetch];

function seen(event: SessionEvent | AuthEvent): string {
  switch (event.type) {
    case "answer":
      return `${event.method} ${event.url} ${event.status.toFixed()} ${event.ms.toFixed()}`;
    case "failure":
      return event.code.toUpperCase();
    case "pause":
      return new Date(event.retryAt).toISOString();
    case "limit":
      return event.limit.toFixed();
    case "logged_out":
      return event.profileName;
    default:
      return event.type;
  }
}

/** A token of another library. */
class Tokens {
  authorization(): Promise<string> {
    return Promise.resolve("Bearer token");
  }
}
const authorizer: Authorizer = new Tokens();
const planets: Planet[] = [
  new Planet(),
  new Planet(auth),
  new Planet(session),
  new Planet(new Tokens()),
  new Planet(new Session(authorizer, { environment, fetch: plain })),
];
const client: DataClient = new DataClient(session, { baseUrl: undefined });

/** Calls. */
export async function main(): Promise<void> {
  const response: Response = await auth.fetch("/data/v1/searches", {
    method: "POST",
    body: JSON.stringify({}),
    headers: { "content-type": "application/json" },
  });
  await response.text();
  await session.request("GET", "/x", { params: { status: ["a", "b"], page: 1, none: undefined } });
  await session.request("PUT", "/x", { body: new Blob(["a"]).stream(), headers: new Headers() });
  await session.request("POST", "/x", { json: { a: [1, null] }, idempotent: true, maxRetries: 0 });
  const opened = await session.open("https://storage.test/file", {
    headers: { range: "bytes=1-" },
  });
  for await (const part of opened.body ?? []) part satisfies Uint8Array;
  for await (const one of session.list("GET", "/x", list)) one.id satisfies JsonValue | undefined;
  for (const planet of planets) {
    for await (const item of planet.data.search({ ...quick, limit: 10, pageSize: 5 })) {
      item satisfies Item;
      item.id satisfies string;
    }
    for await (const search of planet.data.listSearches(searches)) search.name satisfies string;
    for await (const item of planet.data.runSearch("a", run)) item.id satisfies string;
  }
  await client.deleteSearch("a", { maxRetries: 1, signal: AbortSignal.timeout(1) });
  try {
    await auth.ensureInitialized(login);
  } catch (error) {
    if (error instanceof AuthError) error.code satisfies string;
    if (error instanceof ApiError) {
      error.detail satisfies JsonValue | undefined;
      error.headers.get("x-request-id") satisfies string | null;
      [error.url satisfies string, error.retryAt satisfies number | undefined];
    }
  }
  console.log(taken, likewise, narrow, stores, undefinedEverywhere);
}

/** What does not compile. */
export function wrong(): void {
  // @ts-expect-error: it has no authorization()
  new Session({ token: "x" });
  // @ts-expect-error: a number of repetitions is a number
  session.request("GET", "/x", { maxRetries: "3" });
  // @ts-expect-error: a list needs the name of its array
  session.list("GET", "/x", { limit: 1 });
  // @ts-expect-error: there is no such order
  client.listSearches({ sort: "name asc" });
  // @ts-expect-error: a profile's name is text
  const name: number = auth.profileName;
  console.log(name);
}
