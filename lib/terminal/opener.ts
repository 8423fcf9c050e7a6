/**
 * Which commands can open a browser; pure, and never through a shell.
 *
 * @module
 */

import { operatingSystem, readEnv } from "../runtime.ts";

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]];

/** Splits `text` into words at blanks; quotes keep blanks together, backslash stays as it is. */
export function splitWords(text: string): string[] {
  const words = text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}

/** The commands to try for `url`, best first; none where a browser cannot open. */
export function openCommands(url: URL): Command[] {
  if (url.protocol !== "https:" && url.protocol !== "http:") return [];
  const os = operatingSystem();
  const own = (readEnv("BROWSER") ?? "").split(os === "windows" ? ";" : ":").flatMap((entry) => {
    const words = splitWords(entry);
    if (words.length === 0) return [];
    const filled = words.map((word) => word.replaceAll("%s", () => url.href));
    return [(entry.includes("%s") ? filled : [...words, url.href]) as Command];
  });
  if (own.length > 0) return own;
  if (os === "darwin") return [["open", url.href]];
  if (os === "windows") return [["rundll32", "url.dll,FileProtocolHandler", url.href]];
  if (readEnv("WSL_DISTRO_NAME")) return [["wslview", url.href]];
  const display = readEnv("DISPLAY") || readEnv("WAYLAND_DISPLAY");
  return display ? [["xdg-open", url.href]] : [];
}
