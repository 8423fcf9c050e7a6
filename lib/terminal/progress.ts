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

  /** Takes how far a file is. */
  show(progress: DownloadProgress): void {
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
        this.#port.write(`${this.#text(line)}\n`);
      }
    } else if (isDone || at - this.#drawnAt >= REDRAW_MS) {
      this.#drawnAt = at;
      let out = this.#drawn > 0 ? `\x1b[${this.#drawn}A\r\x1b[J` : "";
      if (isDone) out += `${this.#fitting(this.#text(line))}\r\n`;
      if (isDone) this.#lines.delete(name);
      const shown = [...this.#lines.values()].slice(0, MOST_LINES);
      for (const one of shown) out += `${this.#fitting(this.#text(one))}\r\n`;
      this.#drawn = shown.length;
      this.#port.write(this.#coloured(out));
    }
    if (isDone) this.#lines.delete(name);
  }

  /** Bytes a second, of late; `undefined` if that cannot be told yet. */
  #speed({ samples }: Line): number | undefined {
    const [first, last] = [samples[0]!, samples.at(-1)!];
    const seconds = (last.at - first.at) / 1000;
    return seconds < 0.2 ? undefined : (last.received - first.received) / seconds;
  }

  #text(line: Line): string {
    const { name, received, total } = line.last;
    const speed = this.#speed(line);
    const parts = [printable(name)];
    if (total === undefined || received === total) parts.push(bytes(received));
    else {
      const part = received / total;
      const filled = Math.floor(part * BAR);
      if (this.#port.isTerminal) parts.push("█".repeat(filled) + "░".repeat(BAR - filled));
      parts.push(`${Math.floor(part * 100)} %`, `${bytes(received)} of ${bytes(total)}`);
    }
    if (speed !== undefined) parts.push(`${bytes(speed)}/s`);
    if (received !== total && total !== undefined && speed !== undefined && speed > 0) {
      parts.push(`${time((total - received) / speed)} left`);
    }
    return parts.join("  ");
  }

  /** A line that fits into the window: the end of a long name goes first. */
  #fitting(text: string): string {
    const most = Math.max(this.#port.size().columns - 1, 1);
    const at = text.indexOf("  ");
    const rest = text.slice(at);
    const room = Math.max(most - rest.length, 12);
    const name = at > room ? `${text.slice(0, room - 1)}…` : text.slice(0, at);
    return (name + rest).slice(0, most);
  }

  #coloured(text: string): string {
    return this.#port.hasColour ? text.replace(/█+/g, "\x1b[36m$&\x1b[39m") : text;
  }
}

/** Shows progress on this runtime's stderr; where there is none, nothing. */
export async function openProgress(): Promise<(progress: DownloadProgress) => void> {
  if (runtime === "other") return () => {};
  const { machine } = runtime === "deno" ? await import("./deno.ts") : await import("./node.ts");
  const screen = new ProgressScreen(machine);
  return (progress) => screen.show(progress);
}
