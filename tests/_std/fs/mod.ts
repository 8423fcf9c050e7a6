/**
 * Stands in for `@std/fs` where JSR does not answer: the same names, over `node:fs/promises`.
 *
 * Asks for Node's modules and imports none, so that a bundle for the edge, where there are none, starts
 * as with the real package. Holds only what this repository uses. What fails, fails as the runtime reports it; under
 * Deno a missing file is a `Deno.errors.NotFound`, as with the real package.
 *
 * @module
 */
import type nodeFs from "node:fs/promises";
import type nodePath from "node:path";
import type nodeUrl from "node:url";

type Asking = { process?: { getBuiltinModule?(name: string): unknown } };
const ask = (name: string) => (globalThis as Asking).process?.getBuiltinModule?.(name);
const fs = ask("node:fs/promises") as typeof nodeFs;
const path = ask("node:path") as typeof nodePath;
const { fileURLToPath } = (ask("node:url") ?? {}) as typeof nodeUrl;

/** What {@linkcode exists} asks for beside existence. */
export interface ExistsOptions {
  /** It must be readable. */
  isReadable?: boolean | undefined;
  /** It must be a folder. */
  isDirectory?: boolean | undefined;
  /** It must be a file. */
  isFile?: boolean | undefined;
}

/** What {@linkcode walk} visits. */
export interface WalkOptions {
  /** How many folders deep; default: no limit. */
  maxDepth?: number | undefined;
  /** Whether files are reported; default true. */
  includeFiles?: boolean | undefined;
  /** Whether folders are reported; default true. */
  includeDirs?: boolean | undefined;
  /** Whether links are reported; default true. */
  includeSymlinks?: boolean | undefined;
  /** Whether links are followed; default false. */
  followSymlinks?: boolean | undefined;
  /** Only names with one of these endings. */
  exts?: string[] | undefined;
  /** Only paths that match one of these. */
  match?: RegExp[] | undefined;
  /** No paths that match one of these. */
  skip?: RegExp[] | undefined;
}

/** A path that {@linkcode walk} found. */
export interface WalkEntry {
  /** Its path. */
  path: string;
  /** Its last part. */
  name: string;
  /** Whether it is a file. */
  isFile: boolean;
  /** Whether it is a folder. */
  isDirectory: boolean;
  /** Whether it is a link. */
  isSymlink: boolean;
}

function text(value: string | URL): string {
  return value instanceof URL ? fileURLToPath(value) : value;
}

/** The code of a failed call, `ENOENT` for one. */
function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

/** The error as the real package would throw it. */
function asRuntime(error: unknown): unknown {
  const { Deno } = globalThis as {
    Deno?: { errors: Record<string, new (message: string, o?: ErrorOptions) => Error> };
  };
  const code = codeOf(error);
  const name = code === "ENOENT" ? "NotFound" : code === "EEXIST" ? "AlreadyExists" : undefined;
  const Class = name === undefined ? undefined : Deno?.errors[name];
  return Class ? new Class((error as Error).message, { cause: error }) : error;
}

function alreadyExists(message: string): unknown {
  return asRuntime(Object.assign(new Error(message), { code: "EEXIST" }));
}

/** Makes a folder, and those above it, unless it is there. */
export async function ensureDir(dir: string | URL): Promise<void> {
  const name = text(dir);
  try {
    await fs.mkdir(name, { recursive: true });
  } catch (error) {
    if (codeOf(error) === "EEXIST") {
      throw alreadyExists(`Failed to ensure directory exists: "${name}" is not a directory`);
    }
    throw asRuntime(error);
  }
}

/** Makes an empty file, and the folders above it, unless it is there. */
export async function ensureFile(file: string | URL): Promise<void> {
  const name = text(file);
  await ensureDir(path.dirname(name));
  const handle = await fs.open(name, "a");
  await handle.close();
}

/** Whether something is there. */
export async function exists(value: string | URL, options: ExistsOptions = {}): Promise<boolean> {
  if (options.isDirectory && options.isFile) {
    throw new TypeError("ExistsOptions.options.isDirectory and isFile must not be true together");
  }
  try {
    const stat = await fs.stat(text(value));
    if (options.isDirectory && !stat.isDirectory()) return false;
    if (options.isFile && !stat.isFile()) return false;
    if (options.isReadable) await fs.access(text(value), fs.constants.R_OK);
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return false;
    if (code === "EACCES") return !options.isReadable;
    throw asRuntime(error);
  }
}

function wanted(value: string, options: WalkOptions): boolean {
  const { exts, match, skip } = options;
  const endings = exts?.map((ext) => ext.startsWith(".") ? ext : `.${ext}`);
  if (endings && !endings.some((ext) => value.endsWith(ext))) return false;
  if (match && !match.some((pattern) => value.search(pattern) >= 0)) return false;
  return !skip?.some((pattern) => value.search(pattern) >= 0);
}

/** Visits a folder and all that is below it. */
export async function* walk(
  root: string | URL,
  options: WalkOptions = {},
): AsyncIterableIterator<WalkEntry> {
  const { maxDepth = Infinity, includeFiles = true, includeDirs = true } = options;
  const { includeSymlinks = true, followSymlinks = false, exts, match, skip } = options;
  const top = path.normalize(text(root));
  if (maxDepth < 0) return;
  if (includeDirs && wanted(top, { exts, match, skip })) {
    yield {
      path: top,
      name: path.basename(top),
      isFile: false,
      isDirectory: true,
      isSymlink: false,
    };
  }
  if (maxDepth < 1 || !wanted(top, { skip })) return;
  let entries;
  try {
    entries = await fs.readdir(top, { withFileTypes: true });
  } catch (error) {
    throw asRuntime(error);
  }
  for (const entry of entries) {
    let place = path.join(top, entry.name);
    const isSymlink = entry.isSymbolicLink();
    let kind: { isFile(): boolean; isDirectory(): boolean } = entry;
    if (isSymlink) {
      if (!followSymlinks) {
        if (includeSymlinks && wanted(place, { exts, match, skip })) {
          yield { path: place, name: entry.name, isFile: false, isDirectory: false, isSymlink };
        }
        continue;
      }
      place = await fs.realpath(place);
      kind = await fs.stat(place);
    }
    if (kind.isDirectory()) {
      yield* walk(place, { ...options, maxDepth: maxDepth - 1 });
    } else if (includeFiles && wanted(place, { exts, match, skip })) {
      yield { path: place, name: entry.name, isFile: true, isDirectory: false, isSymlink };
    }
  }
}

/** Empties a folder; makes it if it is not there. */
export async function emptyDir(dir: string | URL): Promise<void> {
  const name = text(dir);
  await ensureDir(name);
  for (const entry of await fs.readdir(name)) {
    await fs.rm(path.join(name, entry), { recursive: true, force: true });
  }
}

/** How {@linkcode copy} and {@linkcode move} treat what is there. */
export interface OverwriteOptions {
  /** Whether what is there is replaced; default false. */
  overwrite?: boolean | undefined;
}

/** Copies a file or a folder. */
export async function copy(
  from: string | URL,
  to: string | URL,
  options: OverwriteOptions & { preserveTimestamps?: boolean } = {},
): Promise<void> {
  const { overwrite = false, preserveTimestamps = false } = options;
  const target = text(to);
  if (!overwrite && await exists(target)) throw alreadyExists(`'${target}' already exists.`);
  try {
    await fs.cp(text(from), target, { recursive: true, force: overwrite, preserveTimestamps });
  } catch (error) {
    throw asRuntime(error);
  }
}

/** Moves a file or a folder. */
export async function move(
  from: string | URL,
  to: string | URL,
  options: OverwriteOptions = {},
): Promise<void> {
  const target = text(to);
  if (options.overwrite) {
    if (text(from) !== target) await fs.rm(target, { recursive: true, force: true });
  } else if (await exists(target)) {
    throw alreadyExists(`'${target}' already exists.`);
  }
  try {
    await fs.rename(text(from), target);
  } catch (error) {
    throw asRuntime(error);
  }
}
