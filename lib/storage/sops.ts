/**
 * Files that the program `sops` encrypts, `*.sops.json`, beside those in clear.
 *
 * Which of the two a profile has is seen on the disk, as in the Planet SDK for
 * Python. Clear text goes to `sops` and comes from it through pipes alone: it
 * never touches the disk. Writing and locking are those of `FileStorage`.
 *
 * @module
 */

import { join } from "@std/path/join";
import { AuthError } from "../errors.ts";
import { isGranted } from "../runtime.ts";
import { type FileStorage, openFiles } from "./file.ts";
import { type Files, type ProgramResult, toPythonJson } from "./files.ts";
import {
  type JsonObject,
  type JsonValue,
  type Lease,
  type LockOptions,
  type ObjectStorageProvider,
  parseObject,
} from "./objects.ts";

/** Longest time for one run, in milliseconds: it may ask a key service, or a person. */
const TIMEOUT_MS = 60_000;

const JSON_TYPES = ["--input-type", "json", "--output-type", "json"];

/** Options that name a file's keys, by the member of its metadata, and the member of each key. */
const KEY_OPTIONS = { age: "recipient", pgp: "fp", kms: "arn", gcp_kms: "resource_id" } as const;

/** Members that say which values are encrypted. */
const SCOPE = /^(un)?encrypted_(suffix|regex)$/;

/** Name of the encrypted file that goes before the one in clear. */
export function sopsKey(key: string): string {
  return key.replace(/\.json$/, ".sops.json");
}

function option(member: string): string {
  return `--${member.replaceAll("_", "-")}`;
}

/**
 * Options that encrypt for the keys that a file is encrypted for already, so that
 * no `.sops.yaml` is needed again; none where its keys are of a kind that takes one.
 */
function optionsLike(stored: JsonObject | undefined): string[] {
  const metadata = stored?.sops;
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) return [];
  const isFilled = (member: string) => {
    const value = metadata[member];
    return Array.isArray(value) && value.length > 0;
  };
  const members = Object.keys(metadata).filter(isFilled);
  if (members.some((member) => !Object.hasOwn(KEY_OPTIONS, member))) return [];
  const options: string[] = [];
  for (const [member, name] of Object.entries(KEY_OPTIONS)) {
    if (!isFilled(member)) continue;
    const keys: string[] = [];
    for (const one of metadata[member] as JsonValue[]) {
      if (typeof one !== "object" || one === null || Array.isArray(one)) return [];
      const { role, context, aws_profile, [name]: key } = one;
      if (role || context || aws_profile || typeof key !== "string") return [];
      keys.push(key);
    }
    options.push(option(member), keys.join(","));
  }
  for (const [member, value] of Object.entries(metadata)) {
    if (SCOPE.test(member) && typeof value === "string") options.push(option(member), value);
  }
  return options;
}

/** Keeps objects in files, encrypted where an encrypted file is there. */
export class SopsStorage implements ObjectStorageProvider {
  readonly #files: FileStorage;
  readonly #run: Files["run"] | undefined;

  /** Uses `files`; `run` replaces the program in tests. Nothing is read yet. */
  constructor(files: FileStorage, run?: Files["run"]) {
    this.#files = files;
    this.#run = run;
  }

  /** The folder that keys start from. */
  get root(): string {
    return this.#files.root;
  }

  /** Reads an object, decrypted. */
  async load(key: string): Promise<JsonObject | undefined> {
    const real = await this.#real(key);
    if (real === key) return await this.#files.load(key);
    const path = join(this.root, real);
    const { code, output } = await this.#sops(["-d", ...JSON_TYPES, path], "");
    if (code !== 0 && !await this.#files.exists(real)) return undefined;
    try {
      if (code === 0) return parseObject(path, output);
    } catch { /* Told below, with what to do. */ }
    throw new AuthError(
      code === 0 ? "storage_corrupt" : "storage_failed",
      `Run "sops -d ${path}" to see what is wrong: it could not be decrypted (exit code ${code}).`,
    );
  }

  /** Encrypts an object, then writes it whole, or not at all. */
  async save(key: string, value: JsonObject): Promise<void> {
    const real = await this.#real(key);
    if (real === key) return await this.#files.save(key, value);
    const path = join(this.root, real);
    const like = optionsLike(await this.#files.load(real).catch(() => undefined));
    // Without a file to read, it reads its pipe; Node's pipes are sockets, which have no /dev/stdin.
    const args = ["encrypt", ...JSON_TYPES, ...like, "--filename-override", path];
    const { code, output } = await this.#sops(args, toPythonJson(value));
    let encrypted: JsonObject | undefined;
    try {
      if (code === 0) encrypted = parseObject(path, output);
    } catch { /* Told below. */ }
    if (encrypted?.sops === undefined) {
      throw new AuthError(
        "storage_failed",
        `Check the keys and the .sops.yaml for ${path}: sops (3.10 or newer) could not encrypt it (exit code ${code}).`,
      );
    }
    await this.#files.save(real, encrypted);
  }

  /** Tells whether there is an object. */
  async exists(key: string): Promise<boolean> {
    return await this.#files.exists(await this.#real(key));
  }

  /** Time of the last write, in epoch milliseconds. */
  async mtime(key: string): Promise<number> {
    return await this.#files.mtime(await this.#real(key));
  }

  /** Gives an object another key; it stays encrypted. */
  async rename(from: string, to: string): Promise<void> {
    const real = await this.#real(from);
    await this.#files.rename(real, real === from ? to : to.replace(/\.json(?=\.|$)/, ".sops.json"));
  }

  /** Removes an object, if there is one. */
  async delete(key: string): Promise<void> {
    await this.#files.delete(await this.#real(key));
  }

  /** Lists the keys that begin with `prefix`, as the files are named. */
  list(prefix: string): AsyncIterable<string> {
    return this.#files.list(prefix);
  }

  /** Runs `body` while no other holder is in it for the same file. */
  async withLock<T>(
    key: string,
    body: (lease: Lease) => Promise<T>,
    options?: LockOptions,
  ): Promise<T> {
    return await this.#files.withLock(await this.#real(key), body, options);
  }

  /** What `JSON.stringify()` shows: where the files are. */
  toJSON(): JsonObject {
    return this.#files.toJSON();
  }

  /** The key of the file that is there: the encrypted one first, as in Python. */
  async #real(key: string): Promise<string> {
    const encrypted = sopsKey(key);
    return encrypted !== key && await this.#files.exists(encrypted) ? encrypted : key;
  }

  async #sops(args: readonly string[], input: string): Promise<ProgramResult> {
    if (this.#run === undefined && !isGranted({ name: "run", command: "sops" })) {
      throw new AuthError(
        "storage_denied",
        "Run with --allow-run=sops: the profile's files are encrypted with it.",
      );
    }
    const run = this.#run ?? (await openFiles()).run;
    const result = await run("sops", args, input, TIMEOUT_MS);
    if (result !== undefined) return result;
    throw new AuthError(
      "storage_failed",
      "Install sops and put it on the path: the profile's files are encrypted with it.",
    );
  }
}
