/**
 * One line from the keyboard, key by key, without an echo.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import type { Screen } from "./screen.ts";

/** Longest line that is kept; an address with a code has a few hundred characters. */
const LONGEST_LINE = 16_384;

/** A keyboard whose keys arrive at once and are not echoed. */
export interface Keyboard {
  /** Whether there is a person at it. */
  readonly isTerminal: boolean;
  /** Begins to listen; the answer ends that and gives the terminal back as it was. */
  start(on: { keys(text: string): void; end(): void }): () => void;
}

/** What a key did. */
export type KeyResult = "typing" | "line" | "cancel" | "end";

/** Collects keys into a line. */
export class LineEditor {
  #text = "";
  #pending = "";

  /** What was typed. */
  get text(): string {
    return this.#text;
  }

  /** Takes keys, or a paste; what comes after the end of the line is dropped. */
  feed(keys: string): KeyResult {
    const all = this.#pending + keys;
    this.#pending = "";
    for (let at = 0; at < all.length; at++) {
      const key = all[at]!;
      if (key === "\x1b") {
        // Arrows and the marks around a paste; one may come in two parts.
        // deno-lint-ignore no-control-regex
        const sequence = /^\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[@-~])/.exec(all.slice(at));
        if (sequence !== null) at += sequence[0].length - 1;
        // deno-lint-ignore no-control-regex
        else if (/^\x1b(?:\[[0-9;?]*|O)?$/.test(all.slice(at))) {
          this.#pending = all.slice(at);
          break;
        }
      } else if (key === "\r" || key === "\n") {
        return "line";
      } else if (key === "\x03") {
        return "cancel";
      } else if (key === "\x04") {
        if (this.#text === "") return "end";
      } else if (key === "\x7f" || key === "\b") {
        this.#text = this.#text.slice(0, -1);
      } else if (key === "\x15" || key === "\x17") {
        this.#text = "";
      } else if (key >= " " && this.#text.length < LONGEST_LINE) {
        this.#text += key;
      }
    }
    return "typing";
  }
}

/**
 * Asks for a line on `screen` and takes it from `keyboard`, without echo.
 *
 * @throws {AuthError} `login_cancelled` after Ctrl-C; the reason of `signal` after an abort.
 */
export function readHidden(
  keyboard: Keyboard,
  screen: Screen,
  prompt: string,
  signal: AbortSignal,
): Promise<string | null> {
  if (signal.aborted) return Promise.reject(signal.reason);
  if (!keyboard.isTerminal) return Promise.resolve(null);
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  const editor = new LineEditor();
  let stop: (() => void) | undefined;
  const finish = (answered: boolean, settle: () => void) => {
    signal.removeEventListener("abort", onAbort);
    stop?.();
    stop = undefined;
    screen.endPrompt(answered);
    settle();
  };
  const onAbort = () => finish(false, () => reject(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  screen.startPrompt(prompt);
  try {
    stop = keyboard.start({
      keys(text) {
        if (stop === undefined) return;
        const result = editor.feed(text);
        screen.setTyped(editor.text.length);
        if (result === "line") finish(true, () => resolve(editor.text));
        if (result === "end") finish(false, () => resolve(null));
        if (result === "cancel") {
          const message = "Start signing in again when you are ready: Ctrl-C cancelled it.";
          finish(false, () => reject(new AuthError("login_cancelled", message)));
        }
      },
      end: () => stop && finish(false, () => resolve(null)),
    });
  } catch {
    finish(false, () => resolve(null)); // A terminal that cannot be set must not end the login.
  }
  return promise;
}
