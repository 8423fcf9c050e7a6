/**
 * `examples/edge_worker.ts`, unchanged, in an isolate that is watched: which timers wait, what is
 * there besides web standards; and whose time can be moved on.
 *
 * @module
 */
import { durableObjectStore, r2Store } from "../../examples/_cloudflare_stores.ts";
import { edgeHandler } from "../../examples/_edge_handler.ts";
import { WorkersKvStorage } from "../../examples/_workers_kv_storage.ts";
import worker from "../../examples/edge_worker.ts";
import {
  Auth,
  AuthError,
  type AuthorizationRequest,
  Planet,
  Session,
  SharedStorage,
} from "../../mod.ts";

export { PlanetSessions } from "../../examples/edge_worker.ts";

const waiting = new Set<unknown>();
const { setTimeout, clearTimeout, setInterval } = globalThis;
const { now } = Date;
let ahead = 0;
let intervals = 0;

Object.assign(globalThis, {
  setTimeout(run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) {
    const timer = setTimeout(() => {
      waiting.delete(timer);
      run(...args);
    }, ms);
    waiting.add(timer);
    return timer;
  },
  clearTimeout(timer: ReturnType<typeof setTimeout>) {
    waiting.delete(timer);
    clearTimeout(timer);
  },
  setInterval(...args: Parameters<typeof setInterval>) {
    intervals++;
    return setInterval(...args);
  },
});
Date.now = () => now.call(Date) + ahead;

/** A handler that nobody gave a `waitUntil`. */
let plain: (() => Promise<Response>) | undefined;

/** A person's sign-in in two steps, each of which may meet another isolate. */
async function twoSteps(
  request: Request,
  { ENVIRONMENT, PL_CLIENT_ID, SESSIONS }: Parameters<typeof worker.fetch>[1],
): Promise<Response> {
  const url = new URL(request.url);
  const store = new WorkersKvStorage(SESSIONS!);
  const auth = Auth.fromOAuthUserAuthCode({
    clientId: PL_CLIENT_ID,
    callbackUrl: "http://localhost:4711/callback",
    profileName: url.searchParams.get("user") ?? "",
    storageProvider: store,
    environment: ENVIRONMENT,
  });
  const key = `.planet/${auth.profileName}/login_request.json`;
  try {
    if (url.pathname === "/begin") {
      const begun = await auth.authCodeUserLoginInitiate();
      await store.save(key, begun);
      return new Response(begun.authorization_url);
    }
    const kept = await store.load(key) as AuthorizationRequest;
    const issued_at = kept.issued_at - Number(url.searchParams.get("age") ?? 0);
    await auth.authCodeUserLoginComplete({ ...kept, issued_at }, await request.text());
    const names: string[] = [];
    for await (const { name } of new Planet(new Session(auth)).data.listSearches({ limit: 2 })) {
      names.push(name);
    }
    return Response.json(names);
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    return new Response(error.code, { status: 400 });
  }
}

/** Eight programs that share nothing but the store, at once. */
async function eight(bindings: Parameters<typeof worker.fetch>[1]): Promise<Response> {
  const { ENVIRONMENT, PL_CLIENT_ID, PL_CLIENT_SECRET, SESSIONS_BUCKET, SESSIONS_OBJECT } =
    bindings;
  const answers = await Promise.all(Array.from({ length: 8 }, () =>
    edgeHandler({
      clientId: PL_CLIENT_ID,
      clientSecret: PL_CLIENT_SECRET,
      profileName: "eight",
      storageProvider: new SharedStorage(
        SESSIONS_OBJECT ? durableObjectStore(SESSIONS_OBJECT) : r2Store(SESSIONS_BUCKET!),
      ),
      environment: ENVIRONMENT,
    })()));
  const texts = new Set(await Promise.all(answers.map((answer) => answer.text())));
  return new Response([...texts].join());
}

/** Globals of runtimes, which are no web standards. */
const FOREIGN = ["Buffer", "Bun", "Deno", "process", "require"];

export default {
  async fetch(request: Request, bindings: Parameters<typeof worker.fetch>[1]): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/plain") {
      plain ??= edgeHandler({
        clientId: bindings.PL_CLIENT_ID,
        clientSecret: bindings.PL_CLIENT_SECRET,
        saveStateToStorage: false,
        environment: bindings.ENVIRONMENT,
      });
      return await plain();
    }
    if (pathname === "/eight") return await eight(bindings);
    if (pathname === "/begin" || pathname === "/complete") return await twoSteps(request, bindings);
    if (pathname === "/ahead") ahead = Number(searchParams.get("ms"));
    if (pathname !== "/" && pathname !== "/ahead" && pathname !== "/watch") {
      return new Response(null, { status: 404 });
    }
    if (pathname !== "/") {
      const foreign = FOREIGN.filter((name) => name in globalThis);
      return Response.json({ waiting: waiting.size, intervals, foreign });
    }
    return await worker.fetch(request, bindings);
  },
};
