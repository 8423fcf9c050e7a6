/**
 * Watches over every test: what went over the wire as a secret must not be printed, nor be in
 * the error that a test ends with. `tests/leaks` looks everywhere else too.
 *
 * @module
 */

import { inspect } from "node:util";

/** Members of a form that are secrets (RFC 6749, RFC 7636, RFC 8628). */
const MEMBERS = [
  "access_token",
  "client_assertion",
  "client_secret",
  "code",
  "code_verifier",
  "device_code",
  "refresh_token",
  "token",
];

/** Shorter ones, which a test made up, could be part of any word. */
const SHORTEST = 12;

const PRINTERS = ["debug", "error", "info", "log", "warn"] as const;

const secrets = new Set<string>();

/** Notes the secrets of a request that a server of the tests has received. */
export function noteSecrets(form: URLSearchParams, authorization?: string | null): void {
  const found = MEMBERS.flatMap((name) => form.getAll(name));
  found.push(authorization?.split(" ").at(-1) ?? "");
  for (const secret of found) if (secret.length >= SHORTEST) secrets.add(secret);
}

/** Tells whether a text holds a secret that was noted. */
export function holdsSecret(text: string): boolean {
  for (const secret of secrets) if (text.includes(secret)) return true;
  return false;
}

/** Runs a test; it fails where it prints a secret, or ends with an error that holds one. */
export async function watched(test: () => Promise<void>): Promise<void> {
  const original = PRINTERS.map((name) => console[name]);
  let printed = "";
  PRINTERS.forEach((name, index) => {
    console[name] = (...values: unknown[]) => {
      printed += values.map((value) => typeof value === "string" ? value : inspect(value)).join(
        " ",
      );
      original[index]!(...values);
    };
  });
  try {
    await test();
  } catch (error) {
    if (!holdsSecret(inspect(error, { depth: 10 }))) throw error;
    throw new Error("The test failed, with a secret in its error, which is therefore not shown.");
  } finally {
    PRINTERS.forEach((name, index) => console[name] = original[index]!);
  }
  if (holdsSecret(printed)) throw new Error("A secret was printed.");
}
