// A service on Bun: answers with the latest saved searches, as a service account. All instances share
// one session, and one renewal, in Redis, at $REDIS_URL. Give it a Redis of its own with
// `appendonly yes` and `maxmemory-policy noeviction`: what it forgets is a session. $PORT: 8000.
// bun run examples/shared_redis_bun.ts
import process from "node:process";
import { redisStore, SharedStorage } from "../mod.ts";
import { edgeHandler } from "./_edge_handler.ts";
import { environment, serviceAccount } from "./_environment.ts";

declare const Bun: {
  redis: { send(command: string, words: string[]): Promise<unknown> };
  serve(options: { hostname: string; port: number; fetch(): Promise<Response> }): { url: URL };
};

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 8000),
  fetch: edgeHandler({
    ...serviceAccount(),
    profileName: "service",
    storageProvider: new SharedStorage(redisStore(Bun.redis)),
    environment,
  }),
});
console.log(`Listening on ${server.url}`);
