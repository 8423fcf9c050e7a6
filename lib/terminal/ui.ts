/**
 * How a login talks to a person, and the runtime's own way to do it: its terminal, and the commands
 * that can open a browser, never through a shell.
 *
 * @module
 */

import { isGranted, operatingSystem, readEnv, runtime } from "../runtime.ts";
import { type Command, type Machine, readHidden, Screen } from "./screen.ts";

/**
 * Option `ui` of a login: how it talks to the person; replace what the application owns itself.
 *
 * @category Sign in
 */
export interface LoginUI {
  /**
   * Opens `url` in a browser; `false` if that is not possible. The URL is shown
   * in any case, and the login goes on meanwhile. `signal` aborts when it is over.
   */
  openBrowser?: ((url: URL, options: { signal: AbortSignal }) => Promise<boolean>) | undefined;
  /** Says why no browser can open here, without trying; `undefined` if one may. */
  whyNoBrowser?: (() => string | undefined) | undefined;
  /** Says why nobody reads here what is shown; `undefined` if somebody may. */
  whyNoTerminal?: (() => string | undefined) | undefined;
  /** Shows a message of one or more lines. */
  show?: ((message: string) => void) | undefined;
  /** Shows `text` as a QR code; `false` if there is no room for it, or no screen. */
  showQrCode?: ((text: string) => Promise<boolean>) | undefined;
  /**
   * Shows that the login waits and how much time is left, until `signal` aborts.
   * For screens that change; a log has no use for it.
   */
  showWaiting?: ((options: { leftMs: number; signal: AbortSignal }) => void) | undefined;
  /**
   * Asks for a line; `null` if there is no terminal or the input ended.
   * What is typed is not echoed. Rejects with the reason of `signal` when it aborts.
   */
  readLine?:
    | ((prompt: string, options: { signal: AbortSignal }) => Promise<string | null>)
    | undefined;
}

/** The screen of this runtime; where there is none, one that shows and asks nothing. */
export async function defaultUI(): Promise<LoginUI> {
  if (runtime === "other") return {};
  const { machine } = runtime === "deno" ? await import("./deno.ts") : await import("./node.ts");
  return createUI(machine);
}

function createUI(machine: Machine): LoginUI {
  const screen = new Screen(machine);
  return {
    async openBrowser(url, { signal }) {
      for (const command of openCommands(url)) {
        if (!machine.mayRun(command[0])) continue;
        const ended = Promise.resolve().then(() => machine.start(command)).catch(() => 127);
        if (await hasOpened(ended, signal)) return true;
      }
      return false;
    },
    whyNoBrowser() {
      const why = whyNoBrowser();
      if (why !== undefined) return why;
      const programs = openCommands(new URL("https://browser.invalid")).map(([program]) => program);
      if (programs.some((program) => machine.mayRun(program))) return undefined;
      return `the program was not run with --allow-run=${programs[0]}`;
    },
    whyNoTerminal: () =>
      machine.hasScreen || machine.hasKeyboard
        ? undefined
        : "neither its input nor its output is a terminal",
    show: (message) => screen.show(message),
    showQrCode: (text) => screen.showQrCode(text),
    showWaiting: (options) => screen.showWaiting(options),
    async readLine(prompt, { signal }) {
      if (!machine.hasKeyboard) return null;
      return await readHidden(await machine.keyboard(), screen, prompt, signal);
    },
  };
}

/** What is looked at; tests pass their own. */
export interface Surroundings {
  /** Operating system. */
  readonly os: string;
  /** Reads an environment variable. */
  env(name: string): string | undefined;
  /** Whether the variable may be read at all. */
  mayRead(name: string): boolean;
}

/** Longest time in which an opener shows that it failed, in milliseconds. */
export const OPENER_MS = 1_500;

const here: Surroundings = {
  get os() {
    return operatingSystem();
  },
  env: readEnv,
  mayRead: (variable) => isGranted({ name: "env", variable }),
};

/** Splits `text` into words at blanks; quotes keep blanks together, backslash stays as it is. */
export function splitWords(text: string): string[] {
  const words = text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}

/** The commands of `$BROWSER`, as Python's `webbrowser` reads it. */
function ownCommands(url: URL, { env, os }: Surroundings): Command[] {
  return (env("BROWSER") ?? "").split(os === "windows" ? ";" : ":").flatMap((entry) => {
    const words = splitWords(entry);
    if (words.at(-1) === "&") words.pop(); // It never waits for a browser anyway.
    if (words.length === 0) return [];
    const filled = words.map((word) => word.replaceAll("%s", () => url.href));
    return [(entry.includes("%s") ? filled : [...words, url.href]) as Command];
  });
}

function isRemote({ env }: Surroundings): boolean {
  return Boolean(env("SSH_CONNECTION") || env("SSH_TTY") || env("SSH_CLIENT"));
}

function isWsl({ env, os }: Surroundings): boolean {
  return os === "linux" && Boolean(env("WSL_DISTRO_NAME") || env("WSL_INTEROP"));
}

/** Whether there is a display; where that may not be known, there may be one. */
function hasDisplay({ env, mayRead }: Surroundings): boolean {
  const names = ["DISPLAY", "WAYLAND_DISPLAY"];
  return names.some((name) => env(name)) || !names.some(mayRead);
}

/** Why no browser can open here, as far as that shows; `undefined` if one may. */
export function whyNoBrowser(around: Surroundings = here): string | undefined {
  if (around.env("BROWSER")?.trim()) return undefined;
  // A browser on the other end's own screen helps nobody.
  const remote = "this is an SSH session";
  if (around.os === "darwin" || around.os === "windows") {
    return isRemote(around) ? remote : undefined;
  }
  if (isWsl(around) || hasDisplay(around)) return undefined;
  if (isRemote(around)) return remote;
  return around.env("container") ? "this is a container" : "there is no display";
}

/** The commands to try for `url`, best first; none where a browser cannot open. */
export function openCommands(url: URL, around: Surroundings = here): Command[] {
  if (url.protocol !== "https:" && url.protocol !== "http:") return [];
  if (whyNoBrowser(around) !== undefined) return [];
  const own = ownCommands(url, around);
  if (own.length > 0) return own;
  const { os } = around;
  if (os === "darwin") return [["open", url.href]];
  const handler = ["url.dll,FileProtocolHandler", url.href];
  if (os === "windows") return [["rundll32", ...handler]];
  if (!isWsl(around)) return [["xdg-open", url.href]];
  return [
    ["wslview", url.href],
    ["rundll32.exe", ...handler],
    ...(hasDisplay(around) ? [["xdg-open", url.href] as Command] : []),
  ];
}

/**
 * Whether a started opener did its work: it ended well, or still runs after a
 * while. `ended` gives its exit code.
 */
export async function hasOpened(ended: Promise<number>, signal: AbortSignal): Promise<boolean> {
  const over = Promise.withResolvers<true>();
  const onAbort = () => over.resolve(true);
  const timer = setTimeout(onAbort, OPENER_MS);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([over.promise, ended.then((code) => code === 0)]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
