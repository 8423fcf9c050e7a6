/**
 * A JSR registry on loopback. Takes what the real `deno publish` sends, and hands it out as JSR
 * does: to Deno below `/@scope/name/`, to npm clients below `/npm/`, there as JavaScript with
 * declarations and with npm names in the place of `jsr:` and `npm:` specifiers.
 *
 * Stands on `node:` modules; the npm side needs the `deno` that runs it. Bounded by its caller.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, posix, sep } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { runCommand } from "./command.ts";
import { readTar, writeTar } from "./tar.ts";

/** A registry that is running. */
export interface JsrServer {
  /** Where it is, for `JSR_URL`; ends with a slash. */
  readonly url: string;
  /** Where npm clients find the scope `@jsr`. */
  readonly npmUrl: string;
  /** Method and path of every request so far. */
  readonly requests: string[];
  /** Stops it; what was published stays in its folder. */
  close(): Promise<void>;
}

/** What lies in the registry beside a version's files. */
interface VersionMeta {
  manifest: Record<string, { size: number; checksum: string }>;
  exports: Record<string, string>;
}

/** All versions of a package. */
interface PackageMeta {
  scope: string;
  name: string;
  latest: string;
  versions: Record<string, { createdAt: string }>;
}

/** One version for npm clients. */
interface NpmVersion {
  manifest: Record<string, unknown>;
  tarball: Uint8Array;
}

/** Deno refuses versions that are younger than a day. */
const CREATED = "2024-01-01T00:00:00.000Z";

const TYPES: Record<string, string> = {
  ".json": "application/json",
  ".md": "text/markdown",
  ".ts": "text/typescript",
};

const VERSION_CALL = /^\/api\/scopes\/([^/]+)\/packages\/([^/]+)\/versions\/([^/]+)$/;
const NPM_CALL = /^\/npm\/@jsr\/([\w-]+)__([\w-]+)(?:\/-\/(.+)\.tgz)?$/;

const isSource = (path: string) => /\.ts$/.test(path) && !/\.d\.ts$/.test(path);

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, "utf8"));
}

function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split(/[.+-]/).map(Number));
  for (let index = 0; index < 3; index++) {
    const difference = (x![index] ?? 0) - (y![index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The files of a registry, in one folder. */
class Registry {
  readonly #root: string;
  readonly #forNpm = new Map<string, Promise<NpmVersion>>();

  constructor(root: string) {
    this.#root = root;
  }

  #folder(scope: string, name: string): string {
    return join(this.#root, `@${scope}`, name);
  }

  has(scope: string, name: string, version: string): boolean {
    return existsSync(join(this.#folder(scope, name), `${version}_meta.json`));
  }

  async meta(scope: string, name: string): Promise<PackageMeta | undefined> {
    const file = join(this.#folder(scope, name), "meta.json");
    return existsSync(file) ? await readJson(file) : undefined;
  }

  async file(path: string): Promise<Uint8Array | undefined> {
    const file = join(this.#root, path);
    if (!file.startsWith(this.#root + sep)) return undefined;
    return await readFile(file).catch(() => undefined);
  }

  /** Keeps what `deno publish` sent. */
  async store(
    [scope, name, version]: [string, string, string],
    files: ReadonlyMap<string, Uint8Array>,
    configPath: string,
  ): Promise<void> {
    const folder = this.#folder(scope, name);
    const config = JSON.parse(new TextDecoder().decode(files.get(configPath)));
    const meta: VersionMeta = {
      manifest: {},
      exports: typeof config.exports === "string" ? { ".": config.exports } : config.exports,
    };
    for (const [path, bytes] of files) {
      const file = join(folder, version, path);
      if (!file.startsWith(join(folder, version) + sep)) throw new Error(`${path} leads outside.`);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, bytes);
      const checksum = `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
      meta.manifest[path] = { size: bytes.length, checksum };
    }
    await writeFile(join(folder, `${version}_meta.json`), JSON.stringify(meta));
    const known = await this.meta(scope, name) ?? { scope, name, latest: version, versions: {} };
    known.versions[version] = { createdAt: CREATED };
    known.latest = Object.keys(known.versions).sort(compareVersions).at(-1)!;
    await writeFile(join(folder, "meta.json"), JSON.stringify(known));
  }

  /** A version as npm clients get it; made once. */
  forNpm(scope: string, name: string, version: string): Promise<NpmVersion> {
    const id = `${scope}/${name}@${version}`;
    const known = this.#forNpm.get(id) ?? this.#makeForNpm(scope, name, version);
    this.#forNpm.set(id, known);
    return known;
  }

  async #makeForNpm(scope: string, name: string, version: string): Promise<NpmVersion> {
    const folder = this.#folder(scope, name);
    const { exports, manifest } = await readJson<VersionMeta>(
      join(folder, `${version}_meta.json`),
    );
    const sources = await reachable(join(folder, version), exports, manifest);
    const made = await mkdtemp(join(tmpdir(), "planet-jsr-"));
    try {
      const here = ["--quiet", "--no-config", "--no-lock"];
      const names = sources.map((path) => `.${path}`);
      // A deno.json counts in spite of --no-config, and Deno's own types do not bear all strictness.
      const bare = join(made, ".source");
      await cp(join(folder, version), bare, { recursive: true });
      const config = await readJson<{ compilerOptions?: object }>(join(bare, "deno.json"));
      delete config.compilerOptions;
      await writeFile(join(bare, "deno.json"), JSON.stringify(config));
      const transpile = (...more: string[]) =>
        runCommand(
          [Deno.execPath(), "transpile", ...here, ...more, "--outdir", made, ...names],
          { cwd: bare },
        );
      // Deno writes no declarations if what is exported leads into another package.
      const isTyped = (await transpile("--declaration")).code === 0;
      const { code, output } = isTyped ? { code: 0, output: "" } : await transpile();
      if (code !== 0) throw new Error(`Cannot make JavaScript of ${name}: ${output}`);
      const dependencies: Record<string, string> = {};
      const files: [string, Uint8Array][] = [];
      const add = (path: string, text: string) =>
        files.push([
          `package${path}`,
          new TextEncoder().encode(npmSpecifiers(text, dependencies)),
        ]);
      for (const path of Object.keys(manifest)) {
        if (!isSource(path)) {
          if (path === "/package.json") continue;
          files.push([`package${path}`, await readFile(join(folder, version, path))]);
        } else if (sources.includes(path)) {
          const stem = path.slice(0, -".ts".length);
          add(`${stem}.js`, await readFile(join(made, `${stem}.js`), "utf8"));
          if (!isTyped) continue;
          const types = await readFile(join(made, `${stem}.d.ts`), "utf8");
          add(`/_dist${stem}.d.ts`, types.replace(/^\/\/\/ <amd-module.*\n/m, ""));
        }
      }
      const npmManifest = {
        name: `@jsr/${scope}__${name}`,
        version,
        type: "module",
        dependencies,
        exports: Object.fromEntries(
          Object.entries(exports).map(([key, path]) => {
            const stem = path.replace(/\.ts$/, "");
            return [key, {
              ...(isTyped ? { types: stem.replace(/^\./, "./_dist") + ".d.ts" } : {}),
              default: `${stem}.js`,
            }];
          }),
        ),
      };
      const text = new TextEncoder().encode(JSON.stringify(npmManifest, null, 2));
      const tarball = gzipSync(writeTar([["package/package.json", text], ...files]));
      return { manifest: npmManifest, tarball };
    } finally {
      await rm(made, { recursive: true, force: true });
    }
  }
}

/** The sources that the exports lead to: only these count for npm clients, as at JSR. */
async function reachable(
  folder: string,
  exports: VersionMeta["exports"],
  manifest: VersionMeta["manifest"],
): Promise<string[]> {
  const found = new Set<string>();
  const todo = Object.values(exports).map((path) => posix.join("/", path));
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    if (found.has(path) || !(path in manifest) || !isSource(path)) continue;
    found.add(path);
    const text = await readFile(join(folder, path), "utf8");
    for (const [, to] of text.matchAll(/(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g)) {
      todo.push(posix.join(posix.dirname(path), to!));
    }
  }
  return [...found].sort();
}

/** Puts npm names and endings into JavaScript or declarations; notes the dependencies. */
function npmSpecifiers(text: string, dependencies: Record<string, string>): string {
  const npmName = (specifier: string): string => {
    const jsr = /^jsr:\/?@([\w-]+)\/([\w-]+)(?:@([^/]+))?(\/.*)?$/.exec(specifier);
    const npm = /^npm:\/?((?:@[\w.-]+\/)?[\w.-]+)(?:@([^/]+))?(\/.*)?$/.exec(specifier);
    const [name, version, rest] = jsr
      ? [`@jsr/${jsr[1]}__${jsr[2]}`, jsr[3], jsr[4]]
      : [npm?.[1], npm?.[2], npm?.[3]];
    if (name === undefined) return specifier.replace(/^(\.{1,2}\/.*)\.ts$/, "$1.js");
    dependencies[name] = version ?? "*";
    return name + (rest ?? "");
  };
  // Examples in comments stay as they are.
  return text.split("\n").map((line) =>
    /^\s*(\*(?!\/)|\/\/)/.test(line) ? line : line.replace(
      /((?:from|import)\s*\(?\s*)(["'])([^"'\n]+)\2/g,
      (_, before, quote, specifier) => before + quote + npmName(specifier) + quote,
    )
  ).join("\n");
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of request) parts.push(part);
  const body = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  return body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body;
}

/** Answers one request. */
async function answer(
  registry: Registry,
  request: IncomingMessage,
  origin: string,
): Promise<{ status: number; body: unknown; type?: string }> {
  const url = new URL(request.url ?? "/", origin);
  const path = decodeURIComponent(url.pathname);
  const call = VERSION_CALL.exec(path);
  if (call !== null) {
    const id = call.slice(1) as [string, string, string];
    const there = registry.has(...id);
    if (request.method !== "POST") {
      const [scope, name, version] = id;
      return there
        ? { status: 200, body: { scope, package: name, version } }
        : { status: 404, body: { code: "packageVersionNotFound", message: "not found" } };
    }
    if (there) return { status: 409, body: { code: "duplicateVersionPublish", message: "exists" } };
    const files = readTar(await bodyOf(request));
    await registry.store(id, files, url.searchParams.get("config") ?? "/deno.json");
    return { status: 200, body: { id: id.join("-"), status: "success", error: null } };
  }
  const known = /^\/api\/scopes\/([^/]+)\/packages\/([^/]+)$/.exec(path);
  if (known !== null) return { status: 200, body: { scope: known[1], name: known[2] } };
  const npm = NPM_CALL.exec(path);
  if (npm !== null) {
    const [, scope = "", name = "", version] = npm;
    if (version !== undefined) {
      const { tarball } = await registry.forNpm(scope, name, version);
      return { status: 200, body: tarball, type: "application/octet-stream" };
    }
    const meta = await registry.meta(scope, name);
    return meta === undefined
      ? { status: 404, body: { error: "not found" } }
      : { status: 200, body: await packument(registry, meta, origin) };
  }
  const file = path.startsWith("/@") ? await registry.file(path) : undefined;
  if (file === undefined) return { status: 404, body: { code: "notFound", message: path } };
  const type = TYPES[posix.extname(path)] ?? "application/octet-stream";
  return { status: 200, body: file, type };
}

/** What npm clients ask for first. */
async function packument(registry: Registry, meta: PackageMeta, origin: string): Promise<unknown> {
  const { scope, name, latest } = meta;
  const versions: Record<string, unknown> = {};
  for (const version of Object.keys(meta.versions)) {
    const { manifest, tarball } = await registry.forNpm(scope, name, version);
    const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
    const url = `${origin}/npm/@jsr/${scope}__${name}/-/${version}.tgz`;
    versions[version] = { ...manifest, dist: { tarball: url, integrity } };
  }
  const time = Object.fromEntries(Object.keys(versions).map((version) => [version, CREATED]));
  return { name: `@jsr/${scope}__${name}`, "dist-tags": { latest }, versions, time };
}

function send(response: ServerResponse, status: number, body: unknown, type?: string): void {
  response.writeHead(status, { "content-type": type ?? "application/json" });
  response.end(body instanceof Uint8Array ? body : JSON.stringify(body));
}

/** Starts a registry on a free port of 127.0.0.1; what is published lies in the folder `root`. */
export async function startJsrServer(root: string): Promise<JsrServer> {
  await mkdir(root, { recursive: true });
  const registry = new Registry(root);
  const requests: string[] = [];
  let origin = "";
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url?.split("?")[0]}`);
    answer(registry, request, origin).then(
      ({ status, body, type }) => send(response, status, body, type),
      (error) => send(response, 500, { code: "internal", message: String(error) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  return {
    url: `${origin}/`,
    npmUrl: `${origin}/npm/`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
