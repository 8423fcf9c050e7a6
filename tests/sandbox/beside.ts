/**
 * What some examples need beside the sandbox: a keychain, a database.
 *
 * @module
 */
import { type EngineName, missingEngine, startEngine } from "../_support/engines.ts";
import { missingKeychain, startKeychain } from "../_support/keychain.ts";
import { AWS_VARIABLES, startMoto } from "../_support/moto.ts";
import { missingExtra } from "../_tools/extra.ts";
import { missingMoto } from "../_tools/python.ts";

/** What runs beside an example. */
export interface Running {
  /** The variables by which the example finds it. */
  readonly variables: Readonly<Record<string, string>>;
  /** Hosts that stand in for those of the example's header. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Ends it. */
  close(): Promise<void>;
}

/** What an example needs. */
export interface Beside {
  /** Why it cannot be had here; `undefined` where it can. */
  readonly missing: string | undefined;
  /** Starts it. */
  start(): Promise<Running>;
}

function engine(name: EngineName, of: (port: number) => Omit<Running, "close">): Beside {
  return {
    missing: missingEngine(name),
    async start() {
      const { close, port } = await startEngine(name);
      return { ...of(port), close };
    },
  };
}

function moto(header: string, variables: (url: string) => Record<string, string>): Beside {
  return {
    missing: missingMoto() ?? missingExtra("aws4fetch"),
    async start() {
      const { close, host } = await startMoto();
      return {
        variables: { ...AWS_VARIABLES, ...variables(`http://${host}`) },
        hosts: { [header]: host },
        close,
      };
    },
  };
}

/** By the name of the example. */
export const BESIDE: Readonly<Record<string, Beside>> = {
  keychain_session: { missing: missingKeychain, start: startKeychain },
  shared_dynamodb: moto("dynamodb.eu-central-1.amazonaws.com", (url) => ({
    SESSIONS_REGION: url,
    SESSIONS_TABLE: "sessions",
  })),
  shared_postgres: engine("Postgres", (port) => ({
    variables: { DATABASE_URL: `postgres://planet@127.0.0.1:${port}/postgres` },
    hosts: { "localhost:5432": `127.0.0.1:${port}` },
  })),
  shared_redis_bun: engine("Redis", (port) => ({
    variables: { REDIS_URL: `redis://127.0.0.1:${port}`, PORT: "0" },
  })),
  shared_s3: moto("my-bucket.s3.eu-central-1.amazonaws.com", (url) => ({
    SESSIONS_BUCKET: `${url}/sessions`,
  })),
};
