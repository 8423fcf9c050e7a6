// Signs in as a service account and lists the saved searches. All machines share one session, and one
// renewal, in Postgres, at DATABASE_URL. Keep synchronous_commit on.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com,localhost:5432 --allow-env examples/shared_postgres.ts
// deno-lint-ignore no-import-prefix
import postgres from "npm:postgres@3.4.9";
import process from "node:process";
import { Auth, Planet, Session, SharedStorage, sqlStore } from "../mod.ts";
import { environment, serviceAccount } from "./_environment.ts";

const sql = postgres(process.env.DATABASE_URL ?? "postgres://localhost:5432", { onnotice() {} });
await sql.unsafe(
  "CREATE TABLE IF NOT EXISTS planet_sessions " +
    "(key text PRIMARY KEY, value text NOT NULL, version text NOT NULL)",
);
const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  profileName: "example-shared",
  storageProvider: new SharedStorage(sqlStore(sql)),
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
await auth.settled();
await sql.end();
