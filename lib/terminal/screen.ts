/**
 * What a person reads on a terminal: messages, and below them one line that changes.
 *
 * Writes through a port, so that it names no runtime. Where the output is no
 * terminal it writes plain lines and nothing that changes.
 *
 * @module
 */

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

/** How often the time that is left is written again, in milliseconds. */
const TICK_MS = 1_000;

function minutes(ms: number): string {
  const seconds = Math.max(Math.ceil(ms / 1000), 0);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Takes control characters out of what others wrote: on a terminal they are commands. */
function printable(text: string): string {
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
    const { qrLines } = await import("./qr_code.ts");
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
