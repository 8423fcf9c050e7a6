/**
 * Environment variables for the time of one call, on every runtime.
 *
 * @module
 */

import process from "node:process";
import { noteMembers } from "./watch.ts";

/** The variables that choose a session. */
export const SESSION_VARIABLES: readonly string[] = [
  "PL_API_KEY",
  "PL_AUTH_API_KEY",
  "PL_AUTH_CLIENT_ID",
  "PL_AUTH_CLIENT_SECRET",
  "PL_AUTH_PROFILE",
];

/** Runs `body` with these variables and no others of those that choose a session. */
export async function withVariables<T>(
  variables: Record<string, string>,
  body: () => Promise<T>,
): Promise<T> {
  noteMembers(variables);
  const names = [...SESSION_VARIABLES, ...Object.keys(variables)];
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) {
    if (name in variables) process.env[name] = variables[name];
    else delete process.env[name];
  }
  try {
    return await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
