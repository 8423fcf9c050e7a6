/**
 * How far downloads are, on a person's terminal: a line for each file that is under way, with a bar, speed
 * and time left, below those that are done. Where stderr is no terminal, plain lines, and few of them.
 *
 * @module
 */

import type { DownloadProgress } from "../download/transfer.ts";
import { runtime } from "../runtime.ts";
import { printable, type ScreenPort } from "./screen.ts";

/** Speed is that of so many milliseconds. */
const WINDOW_MS = 5_000;

/** Between two changes of what is shown, in milliseconds; of plain lines for one file. */
const REDRAW_MS = 100;
const PLAIN_MS = 15_000;

/** Most files that are shown at once. */
const MOST_LINES = 8;

/** Width of a bar, in characters. */
const BAR = 20;

/** A file that is under way. */
interface Line {
  last: DownloadProgress;
  /** Some of the moments at which it was told of, and how far it was. */
  samples: { at: number; received: number }[];
  writtenAt: number;
}

/** A number of bytes, in decimal units. */
function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.5 && unit < units.length - 1) [count, unit] = [count / 1000, unit + 1];
  return `${unit === 0 || count >= 99.5 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

function time(seconds: number): string {
  const all = Math.min(Math.ceil(seconds), 359_999);
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  return all < 3600
    ? `${Math.floor(all / 60)}:${two(all % 60)}`
    : `${Math.floor(all / 3600)}:${two(all % 3600 / 60)}:${two(all % 60)}`;
}

/** Characters that are two columns wide, or none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const NARROW = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns that a text takes. */
function widthOf(text: string): number {
  let width = 0;
  for (const one of text) width += NARROW.test(one) ? 0 : WIDE.test(one) ? 2 : 1;
  return width;
}

/** A text in at most so many columns. */
function shortened(text: string, most: number): string {
  if (widthOf(text) <= most) return text;
  const letters = [...text];
  while (letters.length > 0 && widthOf(letters.join("")) > most - 1) letters.pop();
  return `${letters.join("")}…`;
}

/** Shows the progress of downloads. */
export class ProgressScreen {
  readonly #port: ScreenPort;
  readonly #now: () => number;
  readonly #lines = new Map<string, Line>();
  #drawn = 0;
  #drawnAt = -Infinity;

  /** Writes nothing yet; `now` replaces the clock, in tests. */
  constructor(port: ScreenPort, now: () => number = () => performance.now()) {
    this.#port = port;
    this.#now = now;
  }

  /** Takes how far a file is, or a line of the application's own, which stays above the bars. */
  show(progress: DownloadProgress | string): void {
    if (typeof progress === "string") {
      const text = printable(progress);
      return this.#port.isTerminal ? this.#draw(text) : this.#port.write(`${text}\n`);
    }
    const { name, received, total } = progress;
    const at = this.#now();
    const line = this.#lines.get(name) ??
      { last: progress, samples: [], writtenAt: this.#port.isTerminal ? at : -Infinity };
    // It was begun anew.
    if (received < line.last.received) line.samples = [];
    line.last = progress;
    line.samples.push({ at, received });
    while (line.samples.length > 2 && at - line.samples[1]!.at > WINDOW_MS) line.samples.shift();
    this.#lines.set(name, line);
    const isDone = received === total;
    if (!this.#port.isTerminal) {
      if (isDone || at - line.writtenAt >= PLAIN_MS) {
        line.writtenAt = at;
        this.#port.write(`${[printable(name), ...this.#figures(line)].join("  ")}\n`);
      }
    } else if (isDone || at - this.#drawnAt >= REDRAW_MS) {
      this.#drawnAt = at;
      if (isDone) this.#lines.delete(name);
      this.#draw(isDone ? this.#fitting(line) : undefined);
    }
    if (isDone) this.#lines.delete(name);
  }

  /** Draws the bars anew, and above them a line that stays. */
  #draw(above?: string): void {
    const { rows } = this.#port.size();
    const shown = [...this.#lines.values()].slice(0, Math.max(Math.min(MOST_LINES, rows - 2), 1));
    const lines = shown.map((one) => this.#coloured(this.#fitting(one)));
    if (above !== undefined) lines.unshift(above);
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A\r` : "";
    this.#drawn = shown.length;
    // Line by line: a screen that is emptied as a whole goes into tmux's history.
    this.#port.write(`${back}${lines.map((one) => `\x1b[2K${one}\r\n`).join("")}\x1b[J`);
  }

  /** Bytes a second, of late; `undefined` if that cannot be told yet. */
  #speed({ samples }: Line): number | undefined {
    const [first, last] = [samples[0]!, samples.at(-1)!];
    const seconds = (last.at - first.at) / 1000;
    return seconds < 0.2 ? undefined : (last.received - first.received) / seconds;
  }

  /** What is known of a file, in figures; the last ones matter least. */
  #figures(line: Line): string[] {
    const { received, total } = line.last;
    const speed = this.#speed(line);
    const isOnTheWay = total !== undefined && received !== total;
    return [
      ...(isOnTheWay
        ? [`${Math.floor(received / total * 100)} %`, `${bytes(received)} of ${bytes(total)}`]
        : [bytes(received)]),
      ...(speed === undefined ? [] : [`${bytes(speed)}/s`]),
      ...(isOnTheWay && speed ? [`${time((total - received) / speed)} left`] : []),
    ];
  }

  /** A line that fits into the window: the last figures go first, then the bar, then the end of the name. */
  #fitting(line: Line): string {
    const { received, total } = line.last;
    const most = Math.max(this.#port.size().columns - 1, 1);
    const name = printable(line.last.name);
    const figures = this.#figures(line);
    const left = () => most - figures.reduce((sum, one) => sum + 2 + one.length, 0);
    while (figures.length > 1 && left() < 12) figures.pop();
    const bar = Math.min(left() - Math.min(widthOf(name), 24) - 2, BAR);
    if (total !== undefined && received !== total && bar >= 5) {
      const filled = Math.floor(received / total * bar);
      figures.unshift("█".repeat(filled) + "░".repeat(bar - filled));
    }
    return shortened([shortened(name, left()), ...figures].join("  "), most);
  }

  #coloured(text: string): string {
    return this.#port.hasColour ? text.replace(/█+/g, "\x1b[36m$&\x1b[39m") : text;
  }
}

/** Shows progress on this runtime's stderr; where there is none, nothing. */
export async function openProgress(): Promise<(progress: DownloadProgress | string) => void> {
  if (runtime === "other") return () => {};
  const { machine } = runtime === "deno" ? await import("./deno.ts") : await import("./node.ts");
  const screen = new ProgressScreen(machine);
  return (progress) => screen.show(progress);
}
