/**
 * Which runtime this is and what it lets us do; the one place that detects anything.
 *
 * Deno is asked first, because naming the `process` global there loads Node's
 * compatibility layer. Nothing here ever causes a permission prompt, except
 * where a parameter says so.
 *
 * @module
 */

import { AuthError } from "./errors.ts";

/** A runtime with a code path of its own; `other` has web standards only. */
export type RuntimeName = "deno" | "bun" | "node" | "other";

/** The members of `process` that Bun and Node share and this library uses. */
interface ProcessLike {
  readonly env: Record<string, string | undefined>;
  readonly platform: string;
  readonly versions?: Record<string, string | undefined>;
}

const globals = globalThis as unknown as {
  readonly Deno?: { readonly readTextFile?: unknown };
  readonly Bun?: { readonly serve?: unknown };
  readonly process?: ProcessLike;
  readonly navigator?: { readonly userAgent?: string };
};

function detect(): RuntimeName {
  if (typeof globals.Deno?.readTextFile === "function") return "deno";
  if (typeof globals.Bun?.serve === "function") return "bun";
  if (globals.navigator?.userAgent === "Cloudflare-Workers") return "other";
  return globals.process?.versions?.node === undefined ? "other" : "node";
}

/** The runtime that this program runs in. */
export const runtime: RuntimeName = detect();

/**
 * Tells whether Deno's permission `descriptor` is granted already, without
 * asking anybody. Other runtimes have no such permissions: `true`.
 */
export function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  return runtime !== "deno" || Deno.permissions.querySync(descriptor).state === "granted";
}

/** Tells whether `error` is Deno's refusal for want of a permission. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}

/** What to say of a request to `url` that Deno refused for want of a permission; else `undefined`. */
export function netRefusal(cause: unknown, url: string): AuthError | undefined {
  if (!isPermissionError(cause)) return undefined;
  const { host, origin } = new URL(url);
  return new AuthError(
    "unsupported_runtime",
    `Run with --allow-net=${host}: this program may not connect to ${origin}.`,
    { cause },
  );
}

/**
 * Reads an environment variable, as far as that needs no prompt: without the
 * permission, and where there is no environment, the answer is `undefined`.
 */
export function readEnv(name: string): string | undefined {
  if (runtime === "deno") {
    return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
  }
  return globals.process?.env[name];
}

/**
 * Reads an environment variable that the caller named; Deno may prompt for it.
 *
 * @throws {AuthError} `invalid_argument` where Deno refuses; it names the flag.
 */
export function requireEnvAccess(name: string): string | undefined {
  if (runtime !== "deno") return readEnv(name);
  try {
    return Deno.env.get(name);
  } catch (cause) {
    throw new AuthError(
      "invalid_argument",
      `Run with --allow-env=${name}: this program may not read the variable ${name}.`,
      { cause },
    );
  }
}

/** Operating system: `linux`, `darwin`, `windows` or another name. */
export function operatingSystem(): string {
  if (runtime === "deno") return Deno.build.os;
  const platform = globals.process?.platform ?? "unknown";
  return platform === "win32" ? "windows" : platform;
}

/** Name of the variable that holds the home directory. */
export function homeVariable(): string {
  return operatingSystem() === "windows" ? "USERPROFILE" : "HOME";
}
