/**
 * Many processes of a peer that share a token file, released together.
 *
 * @module
 */

import * as fs from "node:fs";
import * as path from "node:path";
import { type Engine, launch, program, STAGE } from "./stage.ts";
import type { TokenFile, World } from "./world.ts";

/** Which processes, and what they share. */
export interface Crowd {
  /** The peer's adapter, or `planet_auth` for the library in Python. */
  readonly name: string;
  /** How many processes. */
  readonly count: number;
  /** Runtimes that take turns; for `planet_auth`, Python. */
  readonly engines: readonly Engine[];
  /** A service account with nothing stored, or a person whose access token has expired. */
  readonly kind: "service" | "user";
}

/** What came of it. */
export interface Outcome {
  /** Requests that reached the authorization server. */
  readonly discovery: number;
  readonly token: number;
  /** Processes whose call did not succeed. */
  readonly failed: number;
  /** Whether the refresh token in the file can be used. */
  readonly signedIn: boolean;
}

/** How many processes load at the same time. */
const AT_ONCE = 4;

/** Runs them against the benchmark's own server. */
export async function runCrowd(world: World, crowd: Crowd): Promise<Outcome> {
  const { count, engines, kind, name } = crowd;
  const file = path.join(STAGE, "home/crowd/token.json");
  fs.rmSync(path.dirname(file), { recursive: true, force: true });
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const token = await world.reset({ latencyMs: 20 });
  if (kind === "user") fs.writeFileSync(file, JSON.stringify(expired(token)), { mode: 0o600 });
  const processes = [];
  for (let index = 0; index < count; index += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - index);
    const some = await Promise.all(Array.from({ length }, (_, number) => {
      const engine = engines[(index + number) % engines.length]!;
      const what = name === "planet_auth"
        ? [program(engine, "crowd_planet_auth.py")]
        : [program(engine, "crowd_peer.mjs"), name];
      return launch(engine, [...what, world.origin, file, kind]);
    }));
    processes.push(...some);
    for (const started of some) {
      const line = await started.line();
      if (line !== "ready") throw new Error(`${name} did not start: ${line}`);
    }
  }
  const outcomes = await Promise.all(processes.map((started) => started.release()));
  const { discovery, token: tokens } = await world.counts();
  return {
    discovery,
    token: tokens,
    failed: outcomes.filter((line) => line !== "200").length,
    signedIn: kind === "user" && await canRefresh(world, file),
  };
}

/** A token file with a life of long ago, in the token's claims too: nobody checks its signature. */
export function expired(file: TokenFile): TokenFile {
  const [head, claims = "", signature] = file.access_token.split(".");
  const life = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
  const old = btoa(JSON.stringify({ ...life, iat: 1, exp: 2 })).replaceAll("=", "");
  return { ...file, access_token: [head, old, signature].join("."), _iat: 1, _exp: 2 };
}

async function canRefresh(world: World, file: string): Promise<boolean> {
  try {
    const { refresh_token } = JSON.parse(fs.readFileSync(file, "utf8"));
    const answer = await fetch(`${world.origin}/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "refresh_token", refresh_token }),
    });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false; // Torn, or without a refresh token.
  }
}
