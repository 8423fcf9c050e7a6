/**
 * What a person reads on a terminal, and one line from the keyboard; names no runtime.
 *
 * Messages, and below them one line that changes: a question, or how much time is left. If the
 * output is no terminal, plain lines and nothing that changes. Keys come one by one and are not
 * echoed. The package that computes a QR code is loaded when one is shown.
 *
 * @module
 */

import { AuthError } from "../errors.ts";

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]];

/** Where a screen writes. */
export interface ScreenPort {
  /** Writes text as it is, to stderr. */
  write(text: string): void;
  /** Whether a line can be written over. */
  readonly isTerminal: boolean;
  /** Whether colours and weights are welcome (`NO_COLOR`). */
  readonly hasColour: boolean;
  /** Size of the terminal in characters, read each time: windows change. */
  size(): { columns: number; rows: number };
}

/** What a person's screen, keyboard and browser stand on; each runtime has its own. */
export interface Machine extends ScreenPort {
  /** Whether what is written goes to a terminal, of whatever kind. */
  readonly hasScreen: boolean;
  /** Whether what is typed comes from one. */
  readonly hasKeyboard: boolean;
  /** Starts a program, without waiting for it; resolves with its exit code when it ends. */
  start(command: Command): Promise<number>;
  /** Whether the program may be started at all, without asking anybody. */
  mayRun(program: string): boolean;
  /** The keyboard, loaded when somebody is asked. */
  keyboard(): Promise<Keyboard>;
}

/** A keyboard whose keys arrive at once and are not echoed. */
export interface Keyboard {
  /** Begins to listen; the answer ends that and gives the terminal back as it was. */
  start(on: { keys(text: string): void; end(): void }): () => void;
}

/** How often the time that is left is written again, in milliseconds. */
const TICK_MS = 1_000;

/** Lines that a QR code leaves to the address and the code below it. */
const ROOM_BELOW = 12;

/** Longest line that is kept; an address with a code has a few hundred characters. */
const LONGEST_LINE = 16_384;

/** Takes control characters out of what others wrote: on a terminal they are commands. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, " ");
}

/** Breaks a line between words; an indented one stays whole, so that an address can be copied. */
function wrapped(line: string, width: number): string[] {
  if (line.length < width || /^\s/.test(line)) return [line];
  const lines = [""];
  for (const word of line.trimEnd().split(" ")) {
    const last = lines.at(-1)!;
    if (last !== "" && last.length + 1 + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}

/** A person's screen. */
export class Screen {
  readonly #port: ScreenPort;
  #prompt: string | undefined;
  #typed = 0;
  #end: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #drawn = false;

  /** Writes nothing yet. */
  constructor(port: ScreenPort) {
    this.#port = port;
  }

  /** Writes a message; lines that are indented are what the person needs most. */
  show(message: string): void {
    const { hasColour, isTerminal } = this.#port;
    const width = isTerminal ? this.#port.size().columns : Infinity;
    const lines = printable(message).split("\n").flatMap((line) => wrapped(line, width));
    const bold = hasColour && isTerminal;
    this.#write(lines.map((line) => bold && /^ {2}\S/.test(line) ? `\x1b[1m${line}\x1b[0m` : line));
  }

  /** Counts down until `signal` aborts; another call takes the place of the one before. */
  showWaiting({ leftMs, signal }: { leftMs: number; signal: AbortSignal }): void {
    if (!this.#port.isTerminal || signal.aborted) return;
    clearInterval(this.#timer);
    this.#end = Date.now() + leftMs;
    const timer = this.#timer = setInterval(() => this.#draw(), TICK_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      if (this.#timer !== timer) return;
      this.#end = undefined;
      this.#draw();
    }, { once: true });
    this.#draw();
  }

  /** Shows a QR code of `text` if it fits; dark on light, as telephones expect it, if colours are welcome. */
  async showQrCode(text: string): Promise<boolean> {
    const { hasColour, isTerminal } = this.#port;
    if (!isTerminal) return false;
    const lines = await qrLines(text).catch(() => []);
    const { columns, rows } = this.#port.size();
    const width = lines[0]?.length ?? Infinity;
    if (width + 4 > columns || lines.length + ROOM_BELOW > rows) return false;
    const [before, after] = hasColour ? ["\x1b[97;40m", "\x1b[0m"] : ["", ""];
    this.#write(["", ...lines.map((line) => `  ${before}${line}${after}`), ""]);
    return true;
  }

  /** Begins to ask. */
  startPrompt(prompt: string): void {
    const text = printable(prompt);
    if (!this.#port.isTerminal) return this.#write([text]);
    this.#typed = 0;
    this.#prompt = text;
    const { columns } = this.#port.size();
    // In a narrow window the question is a paragraph, and what is below it stays one line.
    if (text.length + 24 > columns) {
      this.#prompt = "> ";
      return this.#write(wrapped(text, columns));
    }
    this.#draw();
  }

  /** Tells how much was typed, without a character of it. */
  setTyped(count: number): void {
    this.#typed = count;
    this.#draw();
  }

  /** Ends the question; `answered` leaves it on the screen. */
  endPrompt(answered: boolean): void {
    const prompt = this.#prompt;
    if (prompt === undefined) return;
    this.#prompt = undefined;
    if (answered && this.#typed > 0) this.#write([`${prompt}(${this.#typed} characters)`]);
    else this.#draw();
  }

  /** Writes lines in the place of the one that changes, and that one again below them. */
  #write(lines: string[]): void {
    // In raw mode a line feed does not go back to the left edge.
    const end = this.#port.isTerminal ? "\r\n" : "\n";
    const before = this.#drawn ? "\r\x1b[K" : "";
    this.#drawn = false;
    this.#port.write(before + lines.map((line) => line + end).join(""));
    this.#draw();
  }

  #draw(): void {
    if (!this.#port.isTerminal) return;
    const seconds = Math.max(Math.ceil(((this.#end ?? 0) - Date.now()) / 1000), 0);
    const minutes = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    const left = this.#end === undefined ? "" : `${minutes} left`;
    const text = this.#prompt === undefined
      ? left && `Waiting, ${left}; Ctrl-C ends it.`
      : this.#prompt + (this.#typed > 0 ? `(${this.#typed} characters) ` : "") +
        (left && `[${left}] `);
    if (text === "" && !this.#drawn) return;
    this.#port.write(`\r\x1b[K${text.slice(0, Math.max(this.#port.size().columns - 1, 1))}`);
    this.#drawn = text !== "";
  }
}

/** Lines of equal width that show `text` as a QR code, two squares in each character, light ones filled. */
export async function qrLines(text: string): Promise<string[]> {
  const { renderUnicodeCompact } = await import("uqr");
  return renderUnicodeCompact(text, { ecc: "L", border: 2 }).split("\n");
}

/** What a key did. */
export type KeyResult = "typing" | "line" | "cancel" | "end";

/** A key; arrows and the marks around a paste are whole sequences, of which the last may be cut. */
// deno-lint-ignore no-control-regex
const KEYS = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[@-~]|(?:\[[0-9;?]*|O)?$)|[\s\S]/g;

/** Collects keys into a line. */
export class LineEditor {
  #pending = "";
  /** What was typed. */
  text = "";

  /** Takes keys, or a paste; what comes after the end of the line is dropped. */
  feed(keys: string): KeyResult {
    const all = this.#pending + keys;
    this.#pending = "";
    for (const { 0: key, index } of all.matchAll(KEYS)) {
      if (key === "\r" || key === "\n") return "line";
      if (key === "\x03") return "cancel";
      if (key === "\x04" && this.text === "") return "end";
      if (key.startsWith("\x1b")) {
        // deno-lint-ignore no-control-regex
        if (/^\x1b(\[[0-9;?]*|O)?$/.test(key) && index + key.length === all.length) {
          this.#pending = key;
        }
      } else if (key === "\x7f" || key === "\b") this.text = this.text.slice(0, -1);
      else if (key === "\x15" || key === "\x17") this.text = "";
      else if (key >= " " && this.text.length < LONGEST_LINE) this.text += key;
    }
    return "typing";
  }
}

/**
 * Asks for a line on `screen` and takes it from `keyboard`, without echo; `null`: there is none.
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
  try {
    // First the keyboard: a key that is pressed as soon as the question shows must be one.
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
    screen.startPrompt(prompt);
  } catch {
    finish(false, () => resolve(null)); // A terminal that cannot be set must not end the login.
  }
  return promise;
}
