/**
 * Which session a program means that names none: arguments, environment,
 * `~/.planet.json`, the built-in default, in the order of the Planet SDK for Python.
 *
 * Reads nothing itself: the caller hands in how a variable and the file are read.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";

/** The profile of last resort: a person's session, shared with the command line. */
export const DEFAULT_PROFILE = "planet-user";

/** Key of the user's preferences, `~/.planet.json` where the store is the home directory. */
export const USER_CONFIG_KEY = ".planet.json";

/** What the arguments may name. */
export interface SourceArguments {
  /** A profile. */
  readonly profileName?: string;
  /** A service account; both are needed. */
  readonly clientId?: string;
  /** Its secret. */
  readonly clientSecret?: string;
  /** An API key. */
  readonly apiKey?: string;
}

/** What the sources are read with. */
export interface Sources {
  /** What the program says itself. */
  readonly given: SourceArguments;
  /** Reads a variable; `undefined` where it is not set or must not be read. */
  env(name: string): string | undefined;
  /** Why a variable must not be read; `undefined`: it may. */
  envDenied(name: string): string | undefined;
  /** Reads `~/.planet.json`; `undefined`: there is none. */
  file(): Promise<JsonObject | undefined>;
  /** What a message calls that file. */
  readonly fileName: string;
  /** Why that file must not be read; absent: it may. */
  readonly fileDenied?: string | undefined;
}

/** What was chosen. */
export type Choice =
  | { readonly kind: "profile"; readonly profileName: string }
  | { readonly kind: "service"; readonly clientId: string; readonly clientSecret: string }
  | { readonly kind: "key"; readonly apiKey: string };

/** A choice, why it was made, and what it overrode. */
export interface Chosen {
  /** What was chosen. */
  readonly choice: Choice;
  /** What named it: an argument, a variable, a member of the file, or the default. */
  readonly chosenBy: string;
  /** What named something else and lost, the strongest first. */
  readonly overrode: readonly string[];
  /** What could not be looked at, or did not count, and why. */
  readonly notes: readonly string[];
}

/** A source that names something, strongest first. */
interface Candidate {
  readonly choice: Choice;
  readonly by: string;
}

/** Members of the file that name an API key; the last one is that of old versions. */
const KEY_NAMES = ["PL_API_KEY", "PL_AUTH_API_KEY"] as const;

const NAMES = ["PL_AUTH_PROFILE", "PL_AUTH_CLIENT_ID", "PL_AUTH_CLIENT_SECRET", ...KEY_NAMES];

/** A value, and what holds it. */
interface Found {
  readonly value: string;
  readonly by: string;
}

/** Looks a name up in the environment, then in the file. */
function lookUp(name: string, sources: Sources, file: JsonObject): Found[] {
  const found: Found[] = [];
  const variable = sources.env(name);
  if (variable) found.push({ value: variable, by: `the variable ${name}` });
  const member = memberOf(file, name, sources);
  if (member !== undefined) found.push(member);
  return found;
}

/** A member of the file; the empty text and null are as good as none. */
function memberOf(file: JsonObject, name: string, { fileName }: Sources): Found | undefined {
  const value = file[name];
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") {
    throw new AuthError("storage_corrupt", `Correct "${name}" in ${fileName}: it is no text.`);
  }
  return { value, by: `"${name}" in ${fileName}` };
}

function fromArguments({ given }: Sources): Candidate[] {
  const found: Candidate[] = [];
  const { apiKey, clientId, clientSecret, profileName } = given;
  if (profileName !== undefined) {
    found.push({ choice: { kind: "profile", profileName }, by: "the argument profileName" });
  }
  if (clientId !== undefined && clientSecret !== undefined) {
    const choice: Choice = { kind: "service", clientId, clientSecret };
    found.push({ choice, by: "the arguments clientId and clientSecret" });
  }
  if (apiKey !== undefined) {
    found.push({ choice: { kind: "key", apiKey }, by: "the argument apiKey" });
  }
  return found;
}

function fromUser(sources: Sources, file: JsonObject, notes: string[]): Candidate[] {
  const found: Candidate[] = [];
  for (const { value, by } of lookUp("PL_AUTH_PROFILE", sources, file)) {
    found.push({ choice: { kind: "profile", profileName: value }, by });
  }
  const [id] = lookUp("PL_AUTH_CLIENT_ID", sources, file);
  const [secret] = lookUp("PL_AUTH_CLIENT_SECRET", sources, file);
  if (id !== undefined && secret !== undefined) {
    const choice: Choice = { kind: "service", clientId: id.value, clientSecret: secret.value };
    found.push({ choice, by: id.by === secret.by ? id.by : `${id.by} and ${secret.by}` });
  } else if (id !== undefined || secret !== undefined) {
    const other = id === undefined ? "PL_AUTH_CLIENT_ID" : "PL_AUTH_CLIENT_SECRET";
    notes.push(`${(id ?? secret)!.by} does not count: ${other} is missing`);
  }
  for (const name of KEY_NAMES) {
    for (const { value, by } of lookUp(name, sources, file)) {
      found.push({ choice: { kind: "key", apiKey: value }, by });
    }
  }
  const old = memberOf(file, "key", sources);
  if (old !== undefined) found.push({ choice: { kind: "key", apiKey: old.value }, by: old.by });
  return found;
}

/**
 * Chooses the session.
 *
 * @throws {AuthError} `storage_corrupt` where `~/.planet.json` would be asked and cannot be read.
 */
export async function chooseSession(sources: Sources): Promise<Chosen> {
  const notes: string[] = [];
  for (const name of NAMES) {
    const why = sources.envDenied(name);
    if (why !== undefined) notes.push(`the variable ${name} was not looked at: ${why}`);
  }
  if (sources.fileDenied !== undefined) {
    notes.push(`${sources.fileName} was not looked at: ${sources.fileDenied}`);
  }
  const found = fromArguments(sources);
  let file: JsonObject = {};
  try {
    file = await sources.file() ?? {};
    found.push(...fromUser(sources, file, notes));
  } catch (error) {
    // What is stronger than the file may still decide; else its fault is not passed over.
    if (!(error instanceof AuthError)) throw error;
    const stronger = found.length > 0 ||
      sources.env("PL_AUTH_PROFILE") !== undefined && sources.env("PL_AUTH_PROFILE") !== "";
    if (!stronger) throw error;
    notes.push(`${sources.fileName} was not looked at: ${error.message}`);
    if (found.length === 0) found.push(...fromUser(sources, {}, notes));
  }
  const standard: Candidate = {
    choice: { kind: "profile", profileName: DEFAULT_PROFILE },
    by: "the built-in default",
  };
  const [first = standard, ...others] = found;
  return {
    choice: first.choice,
    chosenBy: first.by,
    overrode: others.map(({ by }) => by),
    notes,
  };
}
