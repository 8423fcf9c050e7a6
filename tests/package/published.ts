/**
 * Publishes this package with the real `deno publish` to a registry on loopback, once for all
 * tests of a process, and makes the folders of those who use it.
 *
 * Needs Deno.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { copyRepository } from "./clone.ts";
import { type CommandResult, runCommand } from "./command.ts";
import { type JsrServer, startJsrServer } from "./jsr_server.ts";

/** A file that lies about and must not be published. */
const STRAY = ".env";

/** What was published. */
export interface Published {
  /** Name and version. */
  readonly name: string;
  readonly version: string;
  /** Files with their sizes in bytes, as the registry has them. */
  readonly files: Readonly<Record<string, number>>;
  /** Folder of the registry. */
  readonly registry: string;
  /** Folder for those who use the package. */
  readonly scratch: string;
}

/** The packages of `@std` that the package brings along. */
export const STD: readonly string[] = ["fs", "path"];

let published: Promise<Published> | undefined;

async function publish(): Promise<Published> {
  const scratch = await realpath(await mkdtemp(join(tmpdir(), "planet-package-")));
  globalThis.addEventListener("unload", () => rmSync(scratch, { recursive: true, force: true }));
  const clone = join(scratch, "clone");
  await copyRepository(clone);
  await writeFile(join(clone, STRAY), "SECRET=stray\n");
  const registry = join(scratch, "registry");
  const server = await startJsrServer(registry);
  try {
    const options = ["--token", "local", "--no-provenance", "--allow-dirty", "--no-lock"];
    const publishFrom = async (cwd: string, ...more: string[]) => {
      const { code, output } = await runCommand(
        [Deno.execPath(), "publish", "--quiet", ...options, ...more],
        { cwd, env: { JSR_URL: server.url } },
      );
      if (code !== 0) throw new Error(`deno publish failed in ${cwd}: ${output}`);
    };
    // What the package stands on is there too, as its stand-in.
    for (const name of STD) {
      const folder = join(clone, "tests/_std", name);
      await cp(join(clone, "LICENSE"), join(folder, "LICENSE"));
      await publishFrom(folder, "--allow-slow-types", "--no-check");
    }
    await publishFrom(clone);
  } finally {
    await server.close();
  }
  const { name, version } = JSON.parse(await readFile(join(clone, "deno.json"), "utf8"));
  const { manifest } = JSON.parse(
    await readFile(join(registry, name, `${version}_meta.json`), "utf8"),
  ) as { manifest: Record<string, { size: number }> };
  const files = Object.fromEntries(
    Object.entries(manifest).map(([path, { size }]) => [path, size]),
  );
  return { name, version, files, registry, scratch };
}

/** What {@linkcode withPackage} hands out. */
export interface Consumer {
  /** The package. */
  readonly published: Published;
  /** The registry. */
  readonly server: JsrServer;
  /** An empty folder. */
  readonly folder: string;
  /** Runs a program there, the registry known to it and its caches empty. */
  run(...command: string[]): Promise<CommandResult>;
  /** Writes a file there. */
  write(name: string, text: string): Promise<void>;
  /** Reads a file there. */
  read(name: string): Promise<string>;
}

/**
 * Runs `body` in an empty folder, with empty caches, and with the package in a registry. What it
 * starts finds `programs`, given by name and path, before those of PATH.
 */
export async function withPackage(
  name: string,
  body: (consumer: Consumer) => Promise<void>,
  programs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ready = await (published ??= publish());
  const server = await startJsrServer(ready.registry);
  try {
    const folder = join(ready.scratch, name);
    await mkdir(folder);
    const bin = join(ready.scratch, `${name}-bin`);
    await mkdir(bin);
    for (const [called, path] of Object.entries(programs)) await symlink(path, join(bin, called));
    const caches = join(ready.scratch, `${name}-caches`);
    const env = {
      JSR_URL: server.url,
      PATH: [bin, process.env.PATH].join(delimiter),
      DENO_DIR: join(caches, "deno"),
      BUN_INSTALL_CACHE_DIR: join(caches, "bun"),
      npm_config_cache: join(caches, "npm"),
      NODE_OPTIONS: undefined,
    };
    await body({
      published: ready,
      server,
      folder,
      run: (...command) => runCommand(command, { cwd: folder, env }),
      write: (file, text) => writeFile(join(folder, file), text),
      read: (file) => readFile(join(folder, file), "utf8"),
    });
  } finally {
    await server.close();
  }
}

/** Why npm cannot be reached from here; `undefined` where it can. */
export async function npmSilent(): Promise<string | undefined> {
  const cache = await mkdtemp(join(tmpdir(), "planet-npm-"));
  try {
    const { code } = await runCommand(
      [Deno.execPath(), "cache", "--no-config", "--no-lock", "npm:oauth4webapi@^3.8.8"],
      { env: { DENO_DIR: cache }, timeoutMs: 20_000 },
    );
    return code === 0
      ? undefined
      : "npm does not answer, and the package needs packages from there";
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}
