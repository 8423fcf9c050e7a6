/**
 * A keychain for tests: gnome-keyring on a bus of its own, which no other program finds.
 *
 * @module
 */

import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { onPath } from "../sandbox/run_example.ts";
import { tempFolder } from "./temp_folder.ts";

/** Debian's packages, by the programs that are used. */
const PROGRAMS = {
  "dbus-daemon": "dbus-daemon",
  "dbus-send": "dbus-bin",
  "gnome-keyring-daemon": "gnome-keyring",
  "secret-tool": "libsecret-tools",
};

/** Why there is no keychain here; `undefined` where there is one. */
export const missingKeychain: string | undefined = process.platform !== "linux"
  ? "the keychain of the tests is gnome-keyring, on Linux"
  : Object.entries(PROGRAMS).filter(([program]) => onPath(program) === undefined)
    .map(([program, name]) => `${program} is not on PATH (Debian's ${name})`)[0];

/** A running keychain. */
export interface TestKeychain {
  /** The variables by which programs find it. */
  readonly variables: Readonly<Record<string, string>>;
  /** Locks it; nobody is there who could unlock it. */
  lock(): Promise<void>;
  /** Runs secret-tool; the answer is what it printed. */
  secretTool(...args: string[]): Promise<string>;
  /** Puts a secret under attributes, as Bun and the examples do. */
  store(secret: string, ...attributes: string[]): Promise<void>;
  /** Ends it, with all that it held. */
  close(): Promise<void>;
}

/** Starts an empty keychain, unlocked. */
export async function startKeychain(): Promise<TestKeychain> {
  const folder = await tempFolder({ unwatched: /\/keyrings\// });
  const address = `unix:path=${join(folder.path, "bus")}`;
  const variables = { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: folder.path };
  const env = { PATH: process.env.PATH ?? "", HOME: folder.path, ...variables };
  const bus = spawn("dbus-daemon", [
    "--session",
    "--nofork",
    "--nopidfile",
    "--print-address=1",
    `--address=${address}`,
  ], { env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise<void>((resolve) => bus.once("close", () => resolve()));
  const close = async () => {
    // The daemon of the keychain ends with its bus.
    bus.kill();
    await ended;
    await folder.remove();
  };
  const run = async (program: string, args: string[], input?: string) => {
    const work = promisify(execFile)(program, args, { env, timeout: 30_000 });
    work.child.stdin!.end(input);
    return (await work).stdout;
  };
  const service = "org.freedesktop.secrets";
  try {
    await new Promise<void>((resolve, reject) => {
      bus.stdout!.once("data", () => resolve());
      bus.once("error", reject);
      void ended.then(() => reject(new Error("The bus of the keychain ended.")));
    });
    // It goes on in the background once it answers on the bus.
    await run("gnome-keyring-daemon", ["--unlock", "--components=secrets"], "a password");
    return {
      variables,
      async lock() {
        await run("dbus-send", [
          "--session",
          "--print-reply",
          `--dest=${service}`,
          "/org/freedesktop/secrets",
          "org.freedesktop.Secret.Service.Lock",
          "array:objpath:/org/freedesktop/secrets/collection/login",
        ]);
      },
      secretTool: (...args) => run("secret-tool", args),
      async store(secret, ...attributes) {
        const item = ["xdg:schema", "com.oven-sh.bun.Secret", ...attributes];
        await run("secret-tool", ["store", "--label=test", ...item], secret);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
