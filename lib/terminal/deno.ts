/**
 * The person's screen under Deno.
 *
 * @module
 */

import { isGranted, readEnv } from "../runtime.ts";
import { hasOpened, openCommands, whyNoBrowser } from "./opener.ts";
import { Screen } from "./screen.ts";
import type { LoginUI } from "./types.ts";

function columns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
}

/** Screen, keyboard and browser under Deno; asks for no permission. */
export function createUI(): LoginUI {
  const screen = new Screen({
    write,
    isTerminal: Deno.stderr.isTerminal() && readEnv("TERM") !== "dumb",
    hasColour: !Deno.noColor,
    columns,
  });
  return {
    async openBrowser(url, { signal }) {
      for (const [command, ...args] of openCommands(url)) {
        if (!isGranted({ name: "run", command })) continue;
        try {
          const child = new Deno.Command(command, {
            args,
            stdin: "null",
            stdout: "null",
            stderr: "null",
          }).spawn();
          child.unref();
          if (await hasOpened(child.status.then(({ code }) => code), signal)) return true;
        } catch {
          // The next command may be there.
        }
      }
      return false;
    },
    whyNoBrowser() {
      const why = whyNoBrowser();
      if (why !== undefined) return why;
      const commands = openCommands(new URL("https://browser.invalid")).map(([command]) => command);
      if (commands.some((command) => isGranted({ name: "run", command }))) return undefined;
      return `the program was not run with --allow-run=${commands[0]}`;
    },
    show: (message) => screen.show(message),
    showQrCode: (text) => screen.showQrCode(text),
    showWaiting: (options) => screen.showWaiting(options),
    async readLine(prompt, { signal }) {
      if (!Deno.stdin.isTerminal()) return null;
      const { keyboard } = await import("./keyboard_node.ts");
      const { readHidden } = await import("./line_editor.ts");
      return await readHidden(keyboard, screen, prompt, signal);
    },
  };
}
