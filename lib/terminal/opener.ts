/**
 * Which commands can open a browser, or why none can; pure, and never through a shell.
 *
 * @module
 */

import { isGranted, operatingSystem, readEnv } from "../runtime.ts";

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]];

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

/** Why no browser can open here, as far as that shows; `undefined` where one may. */
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
