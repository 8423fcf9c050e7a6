/**
 * Deno KV databases for tests, on every runtime: Deno's own, or `npm:@deno/kv` under Bun and Node.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { KvLike } from "../../lib/storage/engines.ts";
import { loadExtra, missingExtra } from "../_tools/extra.ts";
import { findRuntime } from "../sandbox/run_example.ts";
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
  /** Ends it; it ends with this program, too. */
  close(): Promise<void>;
}

/** Why there can be no database over HTTP; `undefined` where there can. */
export const missingKvServer: string | undefined = missingKv ?? missingExtra("@deno/kv") ??
  ("missing" in findRuntime("deno") ? "deno, which runs the server, is not on PATH" : undefined);

/** Starts a database over HTTP on the loopback interface. */
export async function startKvServer(): Promise<KvServer> {
  const found = findRuntime("deno");
  if ("missing" in found) throw new Error(found.missing);
  const accessToken = crypto.randomUUID();
  const script = fileURLToPath(new URL("./kv_connect_server.ts", import.meta.url));
  const flags = ["run", "--quiet", "--no-check", "--no-config", "--no-lock", "-A"];
  const child = spawn(found.path, [...flags, script], {
    // Arguments are for all to see.
    env: { ...process.env, [TOKEN_VARIABLE]: accessToken },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const url = await firstLine(child);
  noteServers({ authorization: [], api: [], stores: [url] });
  // It does not keep this program alive.
  child.unref();
  child.stdout!.destroy();
  (child.stdin as { unref?(): void }).unref?.();
  return {
    url,
    accessToken,
    close() {
      child.ref();
      child.stdin!.end();
      return ended;
    },
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("close", (code) => reject(new Error(`The server ended with ${code}: ${text}`)));
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) resolve(text.trim());
    });
  });
}
