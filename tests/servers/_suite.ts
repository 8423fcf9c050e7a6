/**
 * The table server × check: registers a test for each pair, and writes down how it ended.
 *
 * @module
 */

import { assert } from "@std/assert";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import process from "node:process";
import {
  Auth,
  type AuthError,
  type LoginUI,
  MemoryStorage,
  type ObjectStorageProvider,
} from "../../mod.ts";
import type { PlanetEnvironment, SessionOptions } from "../../mod.ts";
import { test, type TestOptions } from "../_support/harness.ts";
import { noteSecret } from "../_support/watch.ts";
import { type Behaviour, visit } from "./_person.ts";
import { type Client, type Feature, type Role, RUN_VARIABLE, type Server } from "./_servers.ts";

const folder = process.env[RUN_VARIABLE];

/** The servers that run; none if the tests were not started by the task. */
export const servers: readonly Server[] =
  folder !== undefined && existsSync(`${folder}servers.json`)
    ? JSON.parse(readFileSync(`${folder}servers.json`, "utf8"))
    : [];

/** One cell of the table, as one runtime saw it. */
export interface Outcome {
  /** Name of the server. */
  readonly server: string;
  /** The check. */
  readonly check: string;
  /** `true`: it holds. */
  readonly held?: boolean;
  /** Why it was not tried. */
  readonly lacks?: string;
}

function tell(outcome: Outcome): void {
  if (folder !== undefined) appendFileSync(`${folder}outcomes`, `${JSON.stringify(outcome)}\n`);
}

/** Registers a check of a server, or of anything else that has a column in the table. */
export function cell(
  server: string,
  check: string,
  lacks: string | undefined,
  body: () => Promise<void>,
  options: TestOptions = {},
): void {
  const name = `${server}: ${check}`;
  // A test that only one runtime needs to run is no cell of the others.
  const skip = options.skip ?? (lacks === undefined ? undefined : `not offered: ${lacks}`);
  if (options.skip === undefined && lacks !== undefined) tell({ server, check, lacks });
  const ended = (held: boolean) => tell({ server, check, held });
  test(name, body, { timeoutMs: 180_000, ...options, skip, ended });
}

/** Registers a check for every server that runs and offers what it `needs`. */
export function check(
  name: string,
  needs: readonly (Feature | Role)[],
  body: (server: Server) => Promise<void>,
  options: TestOptions = {},
): void {
  for (const server of servers) {
    const lacking = needs.find((need) => server.lacks[need] !== undefined);
    const reason = lacking && `${server.lacks[lacking]}`;
    cell(server.title, name, reason, () => body(server), options);
  }
}

/** Registers a check that takes its time, as one test for all servers at once. */
export function checkAtOnce(
  name: string,
  body: (server: Server) => Promise<void>,
  options: TestOptions,
): void {
  if (servers.length === 0) return;
  const failed = new Set<Server>();
  test(name, async () => {
    const outcomes = await Promise.allSettled(
      servers.map((server) =>
        body(server).catch((error) => {
          failed.add(server);
          throw error;
        })
      ),
    );
    for (const one of outcomes) if (one.status === "rejected") throw one.reason;
  }, {
    timeoutMs: 180_000,
    ...options,
    // What failed for no server alone, such as a secret that showed, failed for all.
    ended(passed) {
      for (const server of servers) {
        const held = passed || (failed.size > 0 && !failed.has(server));
        tell({ server: server.title, check: name, held });
      }
    },
  });
}

/** The environment of a server. */
export function environmentOf({ audiences, issuer }: Server): PlanetEnvironment {
  return {
    userAuthServer: issuer,
    m2mAuthServer: issuer,
    audiences,
    apiBaseUrl: "http://127.0.0.1:1",
  };
}

/** A person at the browser. */
export function personAt(server: Server, behaviour: Behaviour = {}): LoginUI {
  return {
    show: () => {},
    async openBrowser(url) {
      await visit(server, url, behaviour);
      return true;
    },
  };
}

/** How a session of a test differs. */
export interface SessionChanges extends Pick<SessionOptions, "clock" | "onEvent"> {
  /** Its store; default: a new one in memory. */
  readonly storage?: ObjectStorageProvider;
  /** More members of its `auth_client.json`, or others. */
  readonly members?: Readonly<Record<string, string | readonly string[]>>;
}

/** Name of the profile of all sessions. */
export const PROFILE = "p";
/** Key of its token object. */
export const TOKEN_KEY = `.planet/${PROFILE}/token.json`;

/** A session for a client of a server, made by a profile, as the command line has it. */
export async function sessionFor(
  server: Server,
  role: Role,
  changes: SessionChanges = {},
): Promise<Auth> {
  const { members = {}, storage = new MemoryStorage(), ...options } = changes;
  const client: Client | undefined = server.clients[role];
  assert(client !== undefined, `${server.title} has no client for ${role}`);
  noteSecret("client secret", client.secret);
  await storage.save(
    `.planet/${PROFILE}/auth_client.json`,
    {
      client_type: client.type,
      client_id: client.id,
      auth_server: server.issuer,
      audiences: [...server.audiences],
      scopes: [...client.scopes ?? server.scopes],
      ...(client.type.startsWith("oidc_auth_code")
        ? { redirect_uri: client.redirectUri ?? "http://127.0.0.1:0/callback" }
        : {}),
      ...(client.secret === undefined ? {} : { client_secret: client.secret }),
      ...Object.fromEntries(
        Object.entries(client.endpoints ?? {}).map(([name, path]) => [name, server.issuer + path]),
      ),
      ...(client.hasKey ? { client_privkey_file: server.keyFile } : {}),
      ...members,
    } as Parameters<ObjectStorageProvider["save"]>[1],
  );
  return await Auth.fromProfile(PROFILE, {
    environment: environmentOf(server),
    storageProvider: storage,
    ...options,
  });
}

/** Signs in by the browser, or on the second screen. */
export async function signIn(
  server: Server,
  auth: Auth,
  behaviour: Behaviour = {},
): Promise<void> {
  const info = await auth.deviceUserLoginInitiate().catch((error: AuthError) => {
    // It is refused before anything is sent if this is no device login.
    if (error.code !== "invalid_argument") throw error;
  });
  if (info === undefined) {
    const ui = personAt(server, behaviour);
    return await auth.userLogin({ allowOpenBrowser: true, ui, timeoutMs: 150_000 });
  }
  const { user_code: userCode, verification_uri, verification_uri_complete } = info;
  const page = verification_uri_complete ?? verification_uri;
  await Promise.all([
    auth.deviceUserLoginComplete(info),
    visit(server, page, { ...behaviour, userCode }),
  ]);
}
