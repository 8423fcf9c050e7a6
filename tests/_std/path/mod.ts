/**
 * Stands in for `@std/path` where JSR does not answer: the same names, over `node:path`.
 *
 * Asks for `node:path` and `node:url` and imports neither, so that a bundle for the edge, where there
 * are none, starts as with the real package. Holds only what this repository uses.
 *
 * @module
 */
import type nodePath from "node:path";
import type nodeUrl from "node:url";

type Asking = { process?: { getBuiltinModule?(name: string): unknown } };
const ask = (name: string) => (globalThis as Asking).process?.getBuiltinModule?.(name);
const path = ask("node:path") as typeof nodePath;
const { fileURLToPath, pathToFileURL } = (ask("node:url") ?? {}) as typeof nodeUrl;

/** The parts of a path. */
export interface ParsedPath {
  /** Root, such as `/`. */
  root: string;
  /** Folder. */
  dir: string;
  /** Last part, with its extension. */
  base: string;
  /** Extension, with its dot. */
  ext: string;
  /** Last part, without its extension. */
  name: string;
}

/** What divides the parts of a path here. */
export const SEPARATOR: "/" | "\\" = path?.sep ?? "/";
/** One or more separators. */
export const SEPARATOR_PATTERN: RegExp = SEPARATOR === "/" ? /\/+/ : /[\\/]+/;
/** What divides the paths of a list here. */
export const DELIMITER: ":" | ";" = path?.delimiter ?? ":";

/** A path from a path or a `file:` URL. */
function text(value: string | URL): string {
  return value instanceof URL ? fromFileUrl(value) : value;
}

/** Last part of a path, without `suffix`. */
export function basename(value: string | URL, suffix = ""): string {
  return path.basename(text(value), suffix);
}

/** The folder of a path. */
export function dirname(value: string | URL): string {
  return path.dirname(text(value));
}

/** Extension of a path, with its dot. */
export function extname(value: string | URL): string {
  return path.extname(text(value));
}

/** Whether a path starts at the root. */
export function isAbsolute(value: string): boolean {
  return path.isAbsolute(value);
}

/** Joins parts to one normal path. */
export function join(first?: string | URL, ...rest: string[]): string {
  return first === undefined ? "." : path.join(text(first), ...rest);
}

/** A path without `.`, `..` and doubled separators. */
export function normalize(value: string | URL): string {
  return path.normalize(text(value));
}

/** The way from one path to another. */
export function relative(from: string, to: string): string {
  return path.relative(from, to);
}

/** An absolute path from parts, the last absolute one first. */
export function resolve(...parts: string[]): string {
  return path.resolve(...parts);
}

/** The parts of a path. */
export function parse(value: string): ParsedPath {
  return path.parse(value);
}

/** A path from its parts. */
export function format(value: Partial<ParsedPath>): string {
  return path.format(value);
}

/** A path from a `file:` URL. */
export function fromFileUrl(url: string | URL): string {
  const parsed = url instanceof URL ? url : new URL(url);
  if (parsed.protocol !== "file:") {
    throw new TypeError(`URL must be a file URL: received "${parsed.protocol}"`);
  }
  return fileURLToPath(parsed);
}

/** A `file:` URL from an absolute path. */
export function toFileUrl(value: string): URL {
  if (!path.isAbsolute(value)) {
    throw new TypeError(`Path must be absolute: received "${value}"`);
  }
  return pathToFileURL(value);
}
