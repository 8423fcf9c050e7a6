/**
 * `auth.fetch` and `session.fetch` handed to libraries that take a `fetch`: ky, ofetch and
 * openapi-fetch, as npm has them.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Auth, AuthError, Session } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";

type Json = Record<string, unknown>;
type Fetch = typeof globalThis.fetch;

/** What a library is asked to do; each answers with the status and the JSON. */
interface Client {
  get(path: string): Promise<Json>;
  post(path: string, body: Json): Promise<Json>;
  /** The status of an answer that says no. */
  refused(path: string): Promise<number>;
}

/** Imports a package; one in CommonJS has its exports in the default export. */
async function load<T extends object>(name: string): Promise<T> {
  const require = createRequire(`${EXTRA_FOLDER}package.json`);
  const module = await import(pathToFileURL(require.resolve(name)).href);
  return typeof module.default?.default === "function" ? module.default : module;
}

interface Ky {
  default: {
    create(options: { prefix: string; fetch: Fetch; retry: number }): {
      get(path: string): { json(): Promise<Json> };
      post(path: string, options: { json: Json }): { json(): Promise<Json> };
    };
  };
}

async function ky(fetch: Fetch, prefix: string): Promise<Client> {
  const client = (await load<Ky>("ky")).default.create({ prefix, fetch, retry: 0 });
  return {
    get: (path) => client.get(path).json(),
    post: (path, json) => client.post(path, { json }).json(),
    refused: (path) =>
      client.get(path).json().then(() => 200, (error) => error.response?.status ?? error),
  };
}

interface Ofetch {
  createFetch(globals: { fetch: Fetch; Headers: typeof Headers }): {
    create(options: { baseURL: string; retry: number }): (
      path: string,
      options?: { method?: string; body?: Json },
    ) => Promise<Json>;
  };
}

async function ofetch(fetch: Fetch, baseURL: string): Promise<Client> {
  const { createFetch } = await load<Ofetch>("ofetch");
  const client = createFetch({ fetch, Headers }).create({ baseURL, retry: 0 });
  return {
    get: (path) => client(path),
    post: (path, body) => client(path, { method: "POST", body }),
    refused: (path) => client(path).then(() => 200, (error) => error.status ?? error),
  };
}

interface OpenApiAnswer {
  data?: Json;
  response: Response;
}

interface OpenApi {
  default(options: { baseUrl: string; fetch: (request: Request) => Promise<Response> }): {
    GET(path: string): Promise<OpenApiAnswer>;
    POST(path: string, options: { body: Json }): Promise<OpenApiAnswer>;
  };
}

async function openapiFetch(fetch: Fetch, baseUrl: string): Promise<Client> {
  const client = (await load<OpenApi>("openapi-fetch")).default({ baseUrl, fetch });
  return {
    get: async (path) => (await client.GET(`/${path}`)).data!,
    post: async (path, body) => (await client.POST(`/${path}`, { body })).data!,
    refused: async (path) => (await client.GET(`/${path}`)).response.status,
  };
}

const CLIENTS = { "ky": ky, "ofetch": ofetch, "openapi-fetch": openapiFetch };

const FILTER = {
  type: "PermissionFilter",
  config: ["assets:download"],
};
const SEARCH = { name: "By a client", item_types: ["PSScene"], filter: FILTER };

function service({ environment, m2m }: Sandbox): Auth {
  return Auth.fromOAuthM2M({ ...m2m, environment, saveStateToStorage: false });
}

/** The bodies with which searches were asked to be created, and how that ended. */
function creations(sandbox: Sandbox): [status: number | undefined, body: Json][] {
  return sandbox.log.entries.filter(({ kind, method }) => kind === "api" && method === "POST")
    .map(({ status, body }) => [status, JSON.parse(body)]);
}

for (const [name, make] of Object.entries(CLIENTS)) {
  const options = { skip: missingExtra(name as keyof typeof CLIENTS) };

  test(
    `auth.fetch in ${name} sends the token, and reads and writes`,
    () =>
      withSandbox(async (sandbox) => {
        const client = await make(service(sandbox).fetch, `${sandbox.url}/data/v1`);
        const { searches } = await client.get("searches") as { searches: Json[] };
        assert(searches.length > 0);
        const made = await client.post("searches", SEARCH);
        assertEquals([made.name, typeof made.id], [SEARCH.name, "string"]);
        assertEquals((await client.get(`searches/${made.id}`)).name, SEARCH.name);
        assertEquals(await client.refused("searches/00000000000000000000000000000000"), 404);
        assertEquals(sandbox.log.count("token"), 1);
      }),
    options,
  );

  test(
    `auth.fetch in ${name} renews the token at a 401 and sends the body again`,
    () =>
      withSandbox(async (sandbox) => {
        const auth = service(sandbox);
        const client = await make(auth.fetch, `${sandbox.url}/data/v1`);
        sandbox.api.rejected.add(await auth.accessToken());
        const made = await client.post("searches", SEARCH);
        assertEquals(made.name, SEARCH.name);
        assertEquals(creations(sandbox).map(([status]) => status), [401, 200]);
        const [[, first], [, second]] = creations(sandbox) as [[number, Json], [number, Json]];
        assertEquals([first, second], [SEARCH, SEARCH]);
        assertEquals(sandbox.log.count("token"), 2);
      }),
    options,
  );

  test(
    `auth.fetch in ${name} sends nothing to an origin outside the list`,
    () =>
      withSandbox(async (sandbox) => {
        const client = await make(service(sandbox).fetch, "https://elsewhere.test");
        const error = await assertRejects(() => client.get("searches"));
        // Some wrap what fetch rejects with.
        const cause = error instanceof AuthError ? error : (error as Error).cause;
        assert(cause instanceof AuthError && cause.code === "untrusted_origin", `${error}`);
        assertEquals(sandbox.log.count("token"), 0);
      }),
    options,
  );

  test(
    `session.fetch in ${name} repeats a POST after 429, not after 502`,
    () =>
      withSandbox(async (sandbox) => {
        sandbox.failNext("api", { status: 429, body: "" });
        const session = new Session(service(sandbox), {
          clock: { now: () => Date.now(), sleep: () => Promise.resolve() },
        });
        const client = await make(session.fetch, `${sandbox.url}/data/v1`);
        const made = await client.post("searches", SEARCH);
        assertEquals(made.name, SEARCH.name);
        assertEquals(creations(sandbox).map(([status]) => status), [429, 200]);
        sandbox.failNext("api", { status: 502, body: "" });
        await client.post("searches", SEARCH).catch(() => {});
        assertEquals(creations(sandbox).map(([status]) => status), [429, 200, 502]);
      }),
    options,
  );
}
