/**
 * Real databases for tests, each on the loopback interface and in a folder of its own, the clients of
 * npm and Bun for them, and a proxy in front of them that loses answers.
 *
 * @module
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import {
  type CompareAndSetStore,
  type RedisLike,
  redisStore,
  type SqlLike,
  sqlStore,
} from "../../mod.ts";
import { loadExtra, missingExtra } from "../_tools/extra.ts";
import { freePort } from "./free_port.ts";
import { tempFolder } from "./temp_folder.ts";

/** The engines. */
export type EngineName = "Redis" | "Postgres";

/** A client of one engine, by its package; those of Bun are there in Bun only. */
export type ClientName = "Bun.redis" | "redis" | "ioredis" | "Bun.sql" | "postgres" | "pg";

const isBun = process.versions.bun !== undefined;

/** The clients that this runtime has for an engine. */
export const CLIENTS: Readonly<Record<EngineName, readonly ClientName[]>> = {
  Redis: [...(isBun ? ["Bun.redis"] as const : []), "redis", "ioredis"],
  Postgres: [...(isBun ? ["Bun.sql"] as const : []), "postgres", "pg"],
};

function onPath(program: string): string | undefined {
  return (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, program))
    .find((file) => existsSync(file));
}

/** The folder of Postgres' programs; Debian has them off the path. */
function postgresFolder(): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort() : [];
  return versions.map((version) => join(root, version, "bin"))
    .findLast((folder) => existsSync(join(folder, "initdb")));
}

/** Why an engine cannot be had here; `undefined` where it can. */
export function missingEngine(name: EngineName): string | undefined {
  const there = name === "Redis" ? onPath("redis-server") : postgresFolder();
  if (there === undefined) return `${name} is not installed`;
  return CLIENTS[name].map((client) => client.startsWith("Bun.") ? undefined : missingExtra(client))
    .find((reason) => reason !== undefined);
}

/** A database that runs. */
export interface RunningEngine {
  /** Its port on 127.0.0.1. */
  readonly port: number;
  /** Kills it at once, all its processes, and starts it again on the same files and port. */
  restart(): Promise<void>;
  /** Ends it, and removes its files; it ends with this program, too. */
  close(): Promise<void>;
}

/** Ends the program when nobody holds the input any more: also where the test was killed. */
const KEEPER = 'end=$1; shift; "$@" >/dev/null 2>&1 & echo $!; cat >/dev/null; kill -$end $!; wait';

/** What ends each at once; a shell has its background ignore some signals, and Redis leaves it at that. */
const END: Readonly<Record<EngineName, string>> = { Redis: "TERM", Postgres: "QUIT" };

/** Postgres refuses to run as root. */
const AS_POSTGRES = process.getuid?.() === 0
  ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
  : [];

/** Starts a database. */
export async function startEngine(name: EngineName): Promise<RunningEngine> {
  // The files of a database hold what was saved there.
  const { path: folder, remove } = await tempFolder({ unwatched: /./ });
  const port = await freePort();
  let command: string[];
  if (name === "Redis") {
    // By itself it answers up to two seconds before it writes, where a disk is slow.
    const sure = ["--appendonly", "yes", "--appendfsync", "always"];
    const files = ["--dir", folder, "--save", "", ...sure];
    command = ["redis-server", "--bind", "127.0.0.1", "--port", `${port}`, ...files];
  } else {
    const bin = postgresFolder()!;
    const run = async (program: string, ...args: string[]) => {
      const [first, ...rest] = [...AS_POSTGRES, program, ...args];
      await promisify(execFile)(first!, rest, { cwd: folder });
    };
    await chmod(folder, 0o777);
    const data = join(folder, "data");
    await run(join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "planet", "-E", "UTF8", "-N");
    const settings = [`port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories="];
    // 60 processes with two connections each are more than the 100 that it allows by itself.
    settings.push("max_connections=200");
    const flags = settings.flatMap((setting) => ["-c", setting]);
    command = [...AS_POSTGRES, join(bin, "postgres"), "-D", data, ...flags];
  }
  let keeper: ChildProcess;
  let pid = 0;
  const start = async () => {
    keeper = spawn("sh", ["-c", KEEPER, "sh", END[name], ...command], {
      cwd: folder,
      stdio: ["pipe", "pipe", "ignore"],
    });
    pid = await new Promise<number>((resolve) =>
      keeper.stdout!.once("data", (text: Uint8Array) => resolve(Number(String(text))))
    );
    // It does not keep this program alive.
    keeper.unref();
    keeper.stdout!.destroy();
    (keeper.stdin as { unref?(): void }).unref?.();
    await ready(name, port);
  };
  const stop = async () => {
    keeper.ref();
    const ended = new Promise((resolve) => keeper.once("close", resolve));
    keeper.stdin!.end();
    await ended;
  };
  await start();
  if (name === "Postgres") {
    const { query, close } = await openSql("pg", port);
    await query(
      "CREATE TABLE planet_sessions " +
        "(key text PRIMARY KEY, value text NOT NULL, version text NOT NULL)",
    );
    await close();
  }
  return {
    port,
    async restart() {
      // Postgres' other processes outlive a killed first one, and keep the next one from starting:
      // its own immediate shutdown, after which it recovers as after a crash.
      process.kill(pid, name === "Redis" ? "SIGKILL" : "SIGQUIT");
      await stop();
      await start();
    },
    async close() {
      await stop();
      await remove();
    },
  };
}

/** Waits until a database answers; Postgres recovers for a while after it was killed. */
async function ready(name: EngineName, port: number): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    try {
      if (name === "Redis") return await ping(port);
      const { query, close } = await openSql("pg", port);
      return await query("SELECT 1").finally(close);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`${name} does not start.`);
}

function ping(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.once("data", (text) => {
      socket.destroy();
      if (String(text).startsWith("+PONG")) resolve();
      else reject(new Error(String(text)));
    });
    socket.once("error", reject);
  });
}

/** An open client. */
export interface OpenedClient {
  /** The store over it. */
  readonly store: CompareAndSetStore;
  /** One bare command that costs a round trip. */
  ping(): Promise<unknown>;
  /** Closes it. */
  close(): Promise<void>;
}

interface BunClients {
  RedisClient: new (url: string) => RedisLike & { close(): void };
  SQL: new (url: string, options: { max: number }) => SqlLike & { end(): Promise<void> };
}
const bun = (globalThis as unknown as { Bun: BunClients }).Bun;

// deno-lint-ignore require-await
async function openSql(
  client: ClientName,
  port: number,
): Promise<{ like: SqlLike; query(text: string): Promise<void>; close(): Promise<void> }> {
  const url = `postgres://planet@127.0.0.1:${port}/postgres`;
  if (client === "pg") {
    interface Pool {
      query(text: string, values: string[]): Promise<unknown>;
      on(event: "error", handler: () => void): void;
      end(): Promise<void>;
    }
    const { Pool } = loadExtra<{ Pool: new (options: unknown) => Pool }>("pg");
    const pool = new Pool({ connectionString: url, max: 2 });
    // An idle connection that breaks would else end the program.
    pool.on("error", () => {});
    const query = async (text: string) => void await pool.query(text, []);
    return { like: pool, query, close: () => pool.end() };
  }
  type Sql = ((...args: unknown[]) => Promise<unknown[]>) & {
    unsafe(text: string, values: string[]): Promise<unknown>;
    end(options?: { timeout: number }): Promise<void>;
  };
  type Open = (url: string, options: unknown) => Sql;
  const postgres = () => {
    const loaded = loadExtra<Open | { default: Open }>("postgres");
    // Bun gives the module, Deno and Node what it exports.
    return typeof loaded === "function" ? loaded : loaded.default;
  };
  const sql = client === "Bun.sql"
    ? new bun.SQL(url, { max: 2 }) as unknown as Sql
    // It would print what the server says of its own end.
    : postgres()(url, { max: 2, onnotice: () => {} });
  const query = async (text: string) => void await sql.unsafe(text, []);
  return {
    like: sql as unknown as SqlLike,
    query,
    close: () => sql.end({ timeout: 1 }),
  };
}

/** Opens a client, as a user of it would. */
export async function openClient(name: ClientName, port: number): Promise<OpenedClient> {
  if (["Bun.sql", "postgres", "pg"].includes(name)) {
    const { like, query, close } = await openSql(name, port);
    return { store: sqlStore(like), ping: () => query("SELECT 1"), close };
  }
  const url = `redis://127.0.0.1:${port}`;
  if (name === "Bun.redis") {
    const redis = new bun.RedisClient(url);
    return {
      store: redisStore(redis),
      ping: () => (redis as { send(c: string, w: string[]): Promise<unknown> }).send("PING", []),
      close: () => Promise.resolve(redis.close()),
    };
  }
  interface Client {
    call(...words: string[]): Promise<unknown>;
    sendCommand(words: string[]): Promise<unknown>;
    connect(): Promise<unknown>;
    on(event: "end" | "error", handler: () => void): void;
    destroy(): void;
    disconnect(): void;
  }
  if (name === "redis") {
    const { createClient } = loadExtra<{ createClient(options: unknown): Client }>("redis");
    const client = createClient({ url });
    client.on("error", () => {});
    await client.connect();
    return {
      store: redisStore(client),
      ping: () => client.sendCommand(["PING"]),
      close: () => Promise.resolve(client.destroy()),
    };
  }
  const { Redis } = loadExtra<{ Redis: new (url: string) => Client }>("ioredis");
  const client = new Redis(url);
  client.on("error", () => {});
  return {
    store: redisStore(client),
    ping: () => client.call("PING"),
    async close() {
      const ended = new Promise<void>((resolve) => client.on("end", resolve));
      client.disconnect();
      await ended;
    },
  };
}

/** A proxy in front of a database. */
export interface Proxy {
  /** Where it listens on 127.0.0.1. */
  readonly port: number;
  /** Answers that it has swallowed, each with its connection. */
  readonly lost: number;
  /** Lets nothing through any more, without closing a connection; or everything that was held up. */
  hold(isHeld: boolean): void;
  /** Ends it, and its connections. */
  close(): Promise<void>;
}

/** Starts a proxy that swallows this part of the answers, from 0 to 1, and cuts those connections. */
export async function startProxy(target: number, losing = 0): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let [lost, isHeld] = [0, false];
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    const end = () => {
      for (const socket of [near, far]) {
        socket.destroy();
        sockets.delete(socket);
      }
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", end).on("close", end);
      if (isHeld) socket.pause();
    }
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk) => {
      if (Math.random() >= losing) return void near.write(chunk);
      lost++;
      end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    get lost() {
      return lost;
    },
    hold(held) {
      isHeld = held;
      for (const socket of sockets) {
        if (held) socket.pause();
        else socket.resume();
      }
    },
    async close() {
      for (const socket of [...sockets]) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
