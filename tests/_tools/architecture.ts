/**
 * Reads the source of `lib/` and says where it breaks the rules of its rooms.
 *
 * Pure: takes paths and texts, so that a test can hand it made-up bad sources too.
 *
 * @module
 */

/** How a module is imported. */
export type ImportKind = "value" | "type" | "dynamic";

/** An import statement, or a call of `import()`. */
export interface Import {
  /** What is imported. */
  specifier: string;
  /** How. */
  kind: ImportKind;
}

/** Source split by what it is: strings and comments would else look like code. */
export interface Masked {
  /** The source without comments. */
  uncommented: string;
  /** The source without comments and without the text of strings. */
  code: string;
}

const SKIPPABLE =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`/g;
// A regular expression may hold quotes; it comes after one of these.
const REGEXP = /([=(,:!&|?]\s*|\breturn\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;

/** Takes comments, and the text of strings, out of a source. */
export function mask(source: string): Masked {
  const uncommented = source.replace(
    new RegExp(`${SKIPPABLE.source}|${REGEXP.source}`, "g"),
    (text: string, before?: string) =>
      text.startsWith("/*") || text.startsWith("//")
        ? " "
        : before === undefined
        ? text
        : `${before}0`,
  );
  const code = uncommented.replace(SKIPPABLE, (text) => {
    // What stands in `${…}` is code.
    if (!text.startsWith("`")) return '""';
    return [...text.matchAll(/\$\{([^}]*)\}/g)].map((part) => `(${part[1]})`).join("") || '""';
  });
  return { uncommented, code };
}

/** All imports of a source; re-exports count as imports. */
export function importsOf(source: string): Import[] {
  const { uncommented } = mask(source);
  const found: Import[] = [];
  const statement =
    /^[ \t]*(?:import|export)\s+(type\s+(?!from\b))?([\w*\s{},$]*?)\s*from\s*["']([^"']+)["']|^[ \t]*import\s*["']([^"']+)["']/gm;
  for (const [, type, names = "", from, bare] of uncommented.matchAll(statement)) {
    const listed = names.match(/^\{([\s\S]*)\}$/)?.[1]?.split(",").map((name) => name.trim())
      .filter(Boolean);
    const allTypes = listed !== undefined && listed.length > 0 &&
      listed.every((name) => name.startsWith("type "));
    found.push({ specifier: from ?? bare ?? "", kind: type || allTypes ? "type" : "value" });
  }
  // `typeof import("…")` and `import("…").Name` in a type load nothing, but are rare: refused.
  for (const [, specifier] of uncommented.matchAll(/\bimport\s*\(\s*["'`]([^"'`]+)["'`]/g)) {
    found.push({ specifier: specifier ?? "", kind: "dynamic" });
  }
  return found;
}

/** Facades: the only files that join the rooms. */
const FACADES = /^lib\/(auth|login|planet|report|session)\.ts$/;
/** Files that may name a runtime. */
const OF_A_RUNTIME = /^lib\/(runtime|(.*\/)?(select|([a-z0-9_]+_)?(deno|bun|node)))\.ts$/;
/** Rooms whose values a room may import; its own and the plain files of lib/ come with it. */
const ARROWS: Record<string, readonly string[]> = {
  sign_in: ["oauth", "callback", "terminal"],
  profiles: ["keeper", "storage"],
  keeper: ["oauth", "storage"],
  clients: ["http", "download"],
  download: ["http", "storage"],
  storage: [],
  callback: [],
  terminal: [],
  http: [],
  oauth: [],
};
/** Packages, and the rooms that may import them. */
const PACKAGES: Record<string, RegExp> = {
  oauth4webapi: /^lib\/oauth\//,
  "@std/path": /^lib\/(storage|profiles|download)\//,
  "@std/fs": /^lib\/storage\/files_deno\.ts$/,
};

/** The room of a file of `lib/`; "" for a file outside the rooms. */
function room(file: string): string {
  return file.match(/^lib\/([^/]+)\//)?.[1] ?? "";
}

/** The path that a relative specifier means. */
function target(file: string, specifier: string): string {
  return new URL(specifier, `file:///${file}`).pathname.slice(1);
}

function importFaults(file: string, { specifier, kind }: Import): string | undefined {
  if (!/^\.\.?\//.test(specifier)) {
    if (specifier.startsWith("node:")) {
      return `${file} has ${specifier}: bundlers for Workers lift it to the top; use process.getBuiltinModule()`;
    }
    const name = Object.keys(PACKAGES)
      .find((name) => specifier === name || specifier.startsWith(`${name}/`));
    // A further small package is welcome where it is loaded only when it is used.
    if (name === undefined) {
      return kind === "value" ? `${file} loads ${specifier} at once; use import()` : undefined;
    }
    return PACKAGES[name]?.test(file) ? undefined : `${file} must not import ${specifier}`;
  }
  const to = target(file, specifier);
  if (!to.startsWith("lib/")) return `${file} imports ${specifier}, outside lib/`;
  if (file === "lib/errors.ts") return `${file} imports nothing, but has ${specifier}`;
  if (kind === "type" || FACADES.test(file)) return undefined;
  const [from, into] = [room(file), room(to)];
  if (FACADES.test(to)) return `${file} must not import the facade ${to}`;
  if (into === from || into === "") return undefined;
  if (from === "") return `${file} lies below the rooms, but imports ${to}`;
  return ARROWS[from]?.includes(into) ? undefined : `${file} must not import values of ${to}`;
}

/** Where one file of `lib/` breaks a rule; none: it breaks none. */
export function faults(file: string, source: string): string[] {
  const found: string[] = [];
  const { code } = mask(source);
  const name = file.split("/").at(-1) ?? "";
  if (!/^_?[a-z0-9]+(_[a-z0-9]+)*\.ts$/.test(name)) found.push(`${file} is not snake_case`);
  if (!/^\s*\/\*\*(?:(?!\*\/)[\s\S])*@module\b(?:(?!\*\/)[\s\S])*\*\//.test(source)) {
    found.push(`${file} has no module header`);
  }
  if (room(file) && !(room(file) in ARROWS)) found.push(`${file} is in a room without arrows`);
  for (const one of importsOf(source)) {
    const fault = importFaults(file, one);
    if (fault) found.push(fault);
    const to = /^\.\.?\//.test(one.specifier) ? target(file, one.specifier) : "";
    if (/(^|\/)_[^/]+$/.test(to) && room(to) !== room(file)) {
      found.push(`${file} imports ${to}, which is private to its room`);
    }
  }
  if (/\bconsole\s*[.[]/.test(code)) found.push(`${file} uses console`);
  if (/\bexport\s+default\b|\bas\s+default\b/.test(code)) {
    found.push(`${file} has a default export`);
  }
  // `Deno.Kv` and the like in types name a runtime as well.
  const brand = code.match(/(?<![\w$.#])(Deno|Bun|process)(?=\s*[.[?])/)?.[1];
  if (brand && !OF_A_RUNTIME.test(file)) found.push(`${file} names a runtime: ${brand}`);
  return found;
}

/** The circles of imports among `sources`, by path; types and `import()` count. */
export function circles(sources: ReadonlyMap<string, string>): string[][] {
  const edges = new Map([...sources].map(([file, source]) => [
    file,
    importsOf(source).filter(({ specifier }) => /^\.\.?\//.test(specifier))
      .map(({ specifier }) => target(file, specifier)).filter((to) => sources.has(to)),
  ]));
  /** All that can be reached from a file, itself only by a way back. */
  const reached = (from: string): Set<string> => {
    const seen = new Set<string>();
    const pending = [...edges.get(from) ?? []];
    for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
      if (seen.has(file)) continue;
      seen.add(file);
      pending.push(...edges.get(file) ?? []);
    }
    return seen;
  };
  const ways = new Map([...edges.keys()].map((file) => [file, reached(file)]));
  const found = new Set<string>();
  for (const [file, way] of ways) {
    if (!way.has(file)) continue;
    found.add([...way].filter((other) => ways.get(other)!.has(file)).sort().join(" "));
  }
  return [...found].sort().map((circle) => circle.split(" "));
}
