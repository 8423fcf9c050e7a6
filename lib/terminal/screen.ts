/**
 * What a person reads on a terminal, and one line from the keyboard; names no runtime.
 *
 * Messages, and below them one line that changes. Where the output is no terminal it writes
 * plain lines and nothing that changes. Keys come one by one and are not echoed. The package that
 * computes a QR code is loaded when one is shown.
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
  /** Width of the terminal in characters, read each time: windows change. */
  columns(): number;
}

/** What a person's screen, keyboard and browser stand on; each runtime has its own. */
export interface Machine extends ScreenPort {
  /** Starts a program, without waiting for it; resolves with its exit code when it ends. */
  start(command: Command): Promise<number>;
  /** Whether the program may be started at all, without asking anybody. */
  mayRun(program: string): boolean;
  /** The keyboard, loaded when somebody is asked; `undefined` where nobody sits at one. */
  keyboard(): Promise<Keyboard | undefined>;
}

/** How often the time that is left is written again, in milliseconds. */
const TICK_MS = 1_000;

function minutes(ms: number): string {
  const seconds = Math.max(Math.ceil(ms / 1000), 0);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Takes control characters out of what others wrote: on a terminal they are commands. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, " ");
}

/** Breaks a line between words; an indented one stays whole, so that an address can be copied. */
function wrapped(line: string, width: number): string[] {
  if (line.length < width || /^\s/.test(line)) return [line];
  const lines = [""];
  for (const word of line.split(" ")) {
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
    this.#erase();
    const { hasColour, isTerminal } = this.#port;
    const width = isTerminal ? this.#port.columns() : Infinity;
    const lines = printable(message).split("\n").flatMap((line) => wrapped(line, width)).map((
      line,
    ) => hasColour && isTerminal && /^ {2,}\S/.test(line) ? `\x1b[1m${line}\x1b[0m` : line);
    this.#line(lines.join(this.#newline));
    this.#draw();
  }

  /** Counts down until `signal` aborts. */
  showWaiting({ leftMs, signal }: { leftMs: number; signal: AbortSignal }): void {
    if (!this.#port.isTerminal || signal.aborted) return;
    this.#end = Date.now() + leftMs;
    clearInterval(this.#timer);
    const timer = setInterval(() => this.#draw(), TICK_MS);
    this.#timer = timer;
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      if (this.#timer !== timer) return;
      this.#erase();
      this.#end = undefined;
      this.#draw();
    }, { once: true });
    this.#draw();
  }

  /** Shows a QR code of `text` where it fits: black on white, or else by filled light parts. */
  async showQrCode(text: string): Promise<boolean> {
    const { hasColour, isTerminal } = this.#port;
    if (!isTerminal) return false;
    const lines = await qrLines(text, { inverted: !hasColour }).catch(() => []);
    const indent = "  ";
    const width = lines[0]?.length ?? Infinity;
    if (width + 2 * indent.length > this.#port.columns()) return false;
    const [before, after] = hasColour ? ["\x1b[30;107m", "\x1b[0m"] : ["", ""];
    this.#erase();
    this.#line("");
    for (const line of lines) this.#line(`${indent}${before}${line}${after}`);
    this.#line("");
    this.#draw();
    return true;
  }

  /** Begins to ask. */
  startPrompt(prompt: string): void {
    const text = printable(prompt);
    if (!this.#port.isTerminal) return this.#line(text);
    this.#erase();
    this.#typed = 0;
    this.#prompt = text;
    // In a narrow window the question is a paragraph, and what is below it stays one line.
    if (text.length + 24 > this.#port.columns()) {
      for (const line of wrapped(text.trimEnd(), this.#port.columns())) this.#line(line);
      this.#prompt = "> ";
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
    if (this.#prompt === undefined) return;
    this.#erase();
    if (answered) this.#line(`${this.#prompt}(${this.#typed} characters)`);
    this.#prompt = undefined;
    this.#draw();
  }

  /** In raw mode a line feed does not go back to the left edge. */
  get #newline(): string {
    return this.#port.isTerminal ? "\r\n" : "\n";
  }

  #line(text: string): void {
    this.#port.write(`${text}${this.#newline}`);
  }

  #erase(): void {
    if (!this.#drawn) return;
    this.#port.write("\r\x1b[K");
    this.#drawn = false;
  }

  #draw(): void {
    if (!this.#port.isTerminal) return;
    if (this.#prompt === undefined && this.#end === undefined) return;
    const left = this.#end === undefined ? "" : `${minutes(this.#end - Date.now())} left`;
    const typed = this.#typed > 0 ? `(${this.#typed} characters) ` : "";
    const text = this.#prompt === undefined
      ? `Waiting, ${left}; Ctrl-C ends it.`
      : `${this.#prompt}${typed}${left === "" ? "" : `[${left}] `}`;
    this.#port.write(`\r\x1b[K${text.slice(0, Math.max(this.#port.columns() - 1, 1))}`);
    this.#drawn = true;
  }
}

/** Width of the quiet edge, in squares. */
const EDGE = 2;

/** Lines of equal width that show `text`; `inverted` fills the light squares instead of the dark. */
export async function qrLines(
  text: string,
  options: { inverted: boolean },
): Promise<string[]> {
  const { encode } = await import("uqr");
  const { data, size } = encode(text, { ecc: "L", border: EDGE });
  const filled = (row: number, column: number) =>
    row < size && (data[row]![column] === true) !== options.inverted;
  const lines: string[] = [];
  for (let row = 0; row < size; row += 2) {
    let line = "";
    for (let column = 0; column < size; column++) {
      const [upper, lower] = [filled(row, column), filled(row + 1, column)];
      line += upper ? lower ? "█" : "▀" : lower ? "▄" : " ";
    }
    lines.push(line);
  }
  return lines;
}

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
