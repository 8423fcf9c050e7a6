/**
 * The person's screen under Node and Bun.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { type Command, hasOpened, openCommands, whyNoBrowser } from "./opener.ts";
import { Screen } from "./screen.ts";
import type { LoginUI } from "./types.ts";

async function start([program, ...args]: Command, signal: AbortSignal): Promise<boolean> {
  const child = spawn(program, args, { detached: true, stdio: "ignore" });
  const ended = new Promise<number>((resolve) => {
    child.once("error", () => resolve(127));
    child.once("exit", (code) => resolve(code ?? 1));
  });
  child.unref();
  return await hasOpened(ended, signal);
}

/** Screen, keyboard and browser under Node and Bun. */
export function createUI(): LoginUI {
  const { env, stderr } = process;
  const screen = new Screen({
    write: (text) => void stderr.write(text),
    isTerminal: stderr.isTTY === true && env.TERM !== "dumb",
    hasColour: (env.NO_COLOR ?? "") === "",
    columns: () => stderr.columns || 80,
  });
  return {
    async openBrowser(url, { signal }) {
      for (const command of openCommands(url)) {
        if (await start(command, signal).catch(() => false)) return true;
      }
      return false;
    },
    whyNoBrowser: () => whyNoBrowser(),
    show: (message) => screen.show(message),
    showQrCode: (text) => screen.showQrCode(text),
    showWaiting: (options) => screen.showWaiting(options),
    async readLine(prompt, { signal }) {
      const { keyboard } = await import("./keyboard_node.ts");
      const { readHidden } = await import("./line_editor.ts");
      return await readHidden(keyboard, screen, prompt, signal);
    },
  };
}
