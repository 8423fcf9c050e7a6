/**
 * A real pseudo-terminal, by tmux: starts a program in a window of a given size, types, looks.
 *
 * @module
 */

import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { execFileSync } from "../_support/child_process.ts";
import { findRuntime, onPath } from "../sandbox/run_example.ts";

/** Where what the windows showed is kept. */
export const RECORDS: string = fileURLToPath(new URL("../../.cache/terminal/", import.meta.url));

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Why there is no pseudo-terminal; `undefined` where there is one. */
export const missingTmux: string | undefined = process.platform === "win32"
  ? "tmux needs Unix"
  : onPath("tmux") === undefined
  ? 'tmux is not installed; "apt-get install tmux" brings it along'
  : undefined;

/** A window. */
export interface Window {
  /** What it shows, wrapped lines joined; with colours if asked. */
  look(options?: { colours?: boolean }): string;
  /** The same, as it is seen: one line for each row. */
  rows(): string[];
  /** Waits until it shows something. */
  until(shown: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Types text as it is. */
  type(text: string): void;
  /** Presses a key: `Enter`, `C-c`. */
  press(key: string): void;
  /** Changes the width. */
  resize(columns: number): void;
  /** Keeps what it shows under `name`, and closes it. */
  close(name: string): void;
}

let windows = 0;

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The command line that runs a script of this repository on `runtime`. */
export function commandLine(runtime: "deno" | "bun" | "node", script: string): string {
  const found = findRuntime(runtime);
  if ("missing" in found) throw new Error(found.missing);
  const flags = {
    deno: ["run", "--quiet", "--no-prompt", "--config", `${ROOT}.deno.links.json`, "-A"],
    bun: ["run"],
    node: ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"],
  }[runtime];
  return [found.path, ...flags, script].map(quoted).join(" ");
}

/** Opens a window in which a shell runs `line`, says how it ended, and how the terminal is set. */
export function openWindow(
  line: string,
  options: { columns?: number; rows?: number; env?: Record<string, string> } = {},
): Window {
  const { columns = 100, env = {}, rows = 50 } = options;
  const socket = `planet-${process.pid}-${++windows}`;
  const tmux = (...args: string[]) =>
    execFileSync("tmux", ["-L", socket, "-f", "/dev/null", ...args], { encoding: "utf8" });
  const settings = Object.entries({ TERM: "screen-256color", ...env })
    .map(([name, value]) => `${name}=${quoted(value)}`).join(" ");
  const end = `echo "EXIT $?"; stty -a | grep -oE -- '-?(icanon|echo|isig)\\b' | tr '\\n' ' '; ` +
    `echo MODE; read -r line; echo "NEXT $line"; sleep 20`;
  const remove = ["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "DISPLAY", "BROWSER", "NO_COLOR"]
    .map((name) => `-u ${name}`).join(" ");
  // The shell outlives a Ctrl-C that the program does not take as a key.
  const script = `trap : INT; env ${remove} ${settings} sh -c ${quoted(line)}; ${end}`;
  tmux("new-session", "-d", "-x", String(columns), "-y", String(rows), `sh -c ${quoted(script)}`);
  const look = ({ colours = false } = {}) =>
    tmux("capture-pane", "-p", "-J", "-S", "-200", ...(colours ? ["-e"] : []));
  return {
    look,
    rows: () => tmux("capture-pane", "-p").split("\n"),
    async until(shown, timeoutMs = 20_000) {
      const limit = Date.now() + timeoutMs;
      for (;;) {
        const text = look();
        const found = shown.exec(text);
        if (found !== null) return found;
        if (Date.now() > limit) throw new Error(`The window never showed ${shown}:\n${text}`);
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
    },
    type: (text) => void tmux("send-keys", "-l", text),
    press: (key) => void tmux("send-keys", key),
    resize: (width) => void tmux("resize-window", "-x", String(width)),
    close(name) {
      mkdirSync(RECORDS, { recursive: true });
      writeFileSync(`${RECORDS}${name}.txt`, look().trimEnd() + "\n");
      tmux("kill-server");
    },
  };
}
