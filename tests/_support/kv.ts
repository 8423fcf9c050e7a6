/**
 * Deno KV databases for tests, on every runtime: Deno's own, or `npm:@deno/kv` under Bun and Node.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { KvLike } from "../../lib/storage/engines.ts";
import { loadExtra, missingExtra } from "../_tools/extra.ts";
import { missingServer, serverProgram } from "../_tools/servers.ts";
import { freePort } from "./free_port.ts";
import { noteServers } from "./watch.ts";

/** An opened database. */
export type OpenedKv = KvLike & { close(): void };

interface DenoKv {
  openKv?(path: string): Promise<OpenedKv>;
}
interface NpmKv {
  openKv(path: string, options: Record<string, unknown>): Promise<OpenedKv>;
}

const deno = (globalThis as { Deno?: DenoKv }).Deno;

/** Variable from which Deno's own client takes the access token. */
const TOKEN_VARIABLE = "DENO_KV_ACCESS_TOKEN";

/** Why there is no Deno KV here; `undefined` where there is one. */
export const missingKv: string | undefined = deno === undefined
  ? missingExtra("@deno/kv")
  : deno.openKv === undefined
  ? "no Deno.openKv here (Deno with --unstable-kv)"
  : undefined;

/** Opens `:memory:`, a file, or the URL of a server that {@linkcode startKvServer} started. */
export async function openKv(place: string, accessToken?: string): Promise<OpenedKv> {
  if (deno !== undefined) {
    if (accessToken !== undefined) process.env[TOKEN_VARIABLE] = accessToken;
    return await deno.openKv!(place);
  }
  // Bun cannot encode values as V8 does; bytes, which are all that is stored, need none of that.
  const refuse = () => {
    throw new Error("only bytes are stored");
  };
  const codec = process.versions.bun ? { encodeV8: refuse, decodeV8: refuse } : {};
  return await loadExtra<NpmKv>("@deno/kv").openKv(place, { accessToken, ...codec });
}

/** A database over HTTP. */
export interface KvServer {
  /** Where it is. */
  readonly url: string;
  /** What its clients must show. */
  readonly accessToken: string;
  /** Sends it a signal: SIGSTOP hangs it, SIGCONT lets it go on. */
  signal(name: "SIGCONT" | "SIGSTOP"): void;
  /** Ends it at once; what it has written stays. */
  stop(): Promise<void>;
  /** Starts it again at the same address, with what it has written. */
  start(): Promise<void>;
  /** Ends it, and takes away what it has written; it ends with this program, too. */
  close(): Promise<void>;
}

/** Why there can be no database over HTTP; `undefined` where there can. */
export const missingKvServer: string | undefined = missingKv ?? missingExtra("@deno/kv") ??
  missingServer("denokv");

/**
 * Starts the program, says its process ID, and ends it with the standard input, that is with whoever
 * started it. "exec" would leave nobody to read that.
 */
const GUARD = '"$@" & echo $!; cat >/dev/null; kill -9 $!; wait $! 2>/dev/null';

/** Starts denokv, Deno's own server for its databases, on the loopback interface. */
export async function startKvServer(): Promise<KvServer> {
  const accessToken = crypto.randomUUID();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const folder = await mkdtemp(join(tmpdir(), "planet-denokv-"));
  const serve = ["--sqlite-path", join(folder, "kv.db"), "serve", "--addr", `127.0.0.1:${port}`];
  let child: ChildProcess;
  let ended: Promise<unknown>;
  let pid: number;
  async function start(): Promise<void> {
    child = spawn("sh", ["-c", GUARD, "sh", serverProgram("denokv"), ...serve], {
      // Arguments are for all to see.
      env: { ...process.env, [TOKEN_VARIABLE]: accessToken, RUST_LOG: "off" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    ended = new Promise((resolve) => child.once("close", resolve));
    pid = Number(await firstLine(child));
    await untilAnswers(url, child);
    // It does not keep this program alive.
    child.unref();
    child.stdout!.destroy();
    (child.stdin as { unref?(): void }).unref?.();
  }
  async function stop(): Promise<void> {
    child.ref();
    child.stdin!.end();
    await ended;
  }
  await start();
  noteServers({ authorization: [], api: [], stores: [url] });
  return {
    url,
    accessToken,
    signal: (name) => void process.kill(pid, name),
    start,
    stop,
    async close() {
      await stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** Waits until something answers at `url`. */
async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response !== undefined) return;
    if (child.exitCode !== null) throw new Error(`denokv ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("close", (code) => reject(new Error(`The server ended with ${code}: ${text}`)));
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) resolve(text.split("\n")[0]!);
    });
  });
}
