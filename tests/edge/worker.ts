/**
 * `examples/edge_worker.ts`, unchanged, in an isolate that is watched: which timers wait, what is
 * there besides web standards; and whose time can be moved on.
 *
 * @module
 */
import { edgeHandler } from "../../examples/_edge_handler.ts";
import worker from "../../examples/edge_worker.ts";

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
