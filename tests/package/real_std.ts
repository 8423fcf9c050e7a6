/**
 * Runs a task with the real `@std` packages instead of the stand-ins: publishes them from a
 * checkout of denoland/std to a registry on loopback, and starts the task in a copy of this
 * repository, whose lock file thus never meets that registry.
 *
 * ```sh
 * deno task run tests/package/real_std.ts FOLDER test --deno
 * ```
 *
 * Fetches nothing itself.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { copyRepository, ROOT } from "./clone.ts";
import { type CommandResult, runCommand } from "./command.ts";
import { startJsrServer } from "./jsr_server.ts";

/** The packages that are used, those that others need first. */
const PACKAGES = ["internal", "path", "fs", "assert"];

/** Publishes the packages of the checkout to the registry at `JSR_URL`. */
async function publishStd(checkout: string, folder: string, JSR_URL: string): Promise<void> {
  for (const name of PACKAGES) {
    await cp(join(checkout, name), join(folder, name), {
      recursive: true,
      filter: (path) => !/(_test\.ts|[\\/]testdata)$/.test(path),
    });
    await cp(join(checkout, "LICENSE"), join(folder, name, "LICENSE"));
  }
  const workspace = PACKAGES.map((name) => `./${name}`);
  await writeFile(join(folder, "deno.json"), JSON.stringify({ workspace }));
  const options = ["--token", "local", "--no-provenance", "--allow-dirty", "--no-lock"];
  for (const name of PACKAGES) {
    const { code, output } = await runCommand(
      [Deno.execPath(), "publish", "--quiet", "--allow-slow-types", "--no-check", ...options],
      { cwd: join(folder, name), env: { JSR_URL } },
    );
    if (code !== 0) throw new Error(`Cannot publish @std/${name}: ${output}`);
  }
}

/** Runs a task of `deno.json` with the real `@std` packages of a checkout. */
export async function runWithRealStd(
  checkout: string,
  task: readonly string[],
  timeoutMs = 900_000,
): Promise<CommandResult & { requests: readonly string[] }> {
  const scratch = await realpath(await mkdtemp(join(tmpdir(), "planet-std-")));
  const server = await startJsrServer(join(scratch, "registry"));
  try {
    const std = join(scratch, "std");
    await mkdir(std);
    await publishStd(checkout, std, server.url);
    const clone = join(scratch, "clone");
    await copyRepository(clone);
    const extra = join(ROOT, ".cache", "extra");
    if (existsSync(extra)) {
      await mkdir(join(clone, ".cache"));
      await symlink(await realpath(extra), join(clone, ".cache", "extra"));
    }
    const command = ["run", "--no-config", "--no-lock", "-A", "tests/_tools/tasks.ts", ...task];
    const result = await runCommand(
      [Deno.execPath(), ...command],
      { cwd: clone, env: { JSR_URL: server.url }, timeoutMs },
    );
    return { ...result, requests: server.requests };
  } finally {
    await server.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Why a folder is no checkout; `undefined` where it is one. */
export async function noCheckout(folder: string | undefined): Promise<string | undefined> {
  if (!folder) return "PLANET_STD names no checkout of denoland/std";
  const names = await readdir(folder).catch(() => [] as string[]);
  const missing = PACKAGES.filter((name) => !names.includes(name));
  return missing.length === 0 ? undefined : `${folder} has no ${missing.join(", ")}`;
}

if (import.meta.main) {
  const [folder, ...task] = process.argv.slice(2);
  const reason = await noCheckout(folder);
  if (reason !== undefined) throw new TypeError(`Name a checkout of denoland/std: ${reason}.`);
  const { code, output } = await runWithRealStd(folder!, task.length > 0 ? task : ["test"]);
  console.log(output);
  process.exit(code ?? 1);
}
