/**
 * The person's terminal under Node and Bun, by `process`; its keyboard serves Deno too.
 *
 * @module
 */

import type { Keyboard, Machine } from "./screen.ts";

/** The members of an emitter of events that are used here. */
interface Emitter {
  on(event: string, listener: (argument: never) => void): void;
  removeListener(event: string, listener: (argument: never) => void): void;
}

/** The members of `process` that are used here. */
interface ProcessLike extends Emitter {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly stderr: { columns?: number; rows?: number; write(text: string): void };
  readonly stdin: Emitter & {
    readonly isRaw?: boolean;
    setRawMode(mode: boolean): void;
    resume(): void;
    pause(): void;
  };
  kill(pid: number, signal: string): void;
  listenerCount(event: string): number;
  getBuiltinModule(name: "node:tty"): { isatty(file: number): boolean };
  getBuiltinModule(name: "node:child_process"): {
    spawn(program: string, args: string[], options: { detached: boolean; stdio: "ignore" }): {
      once(event: "error" | "exit", listener: (code: unknown) => void): void;
      unref(): void;
    };
  };
}

const { process } = globalThis as unknown as { process: ProcessLike };

/** Signals that end a program, which must not leave the terminal raw. */
const SIGNALS = ["SIGHUP", "SIGTERM"];

/** The person's keyboard. */
export const keyboard: Keyboard = {
  start({ end, keys }) {
    const { stdin } = process;
    const wasRaw = stdin.isRaw === true;
    const decoder = new TextDecoder();
    const onData = (chunk: Uint8Array | string) =>
      keys(typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }));
    const restore = () => {
      if (!wasRaw) stdin.setRawMode(false);
      for (const name of SIGNALS) process.removeListener(name, onSignal);
    };
    const onSignal = (signal: string) => {
      restore();
      // It still ends the program, unless the application has other plans for it.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    stdin.setRawMode(true);
    stdin.on("data", onData);
    stdin.on("end", end);
    process.on("exit", restore);
    for (const name of SIGNALS) process.on(name, onSignal);
    stdin.resume();
    return () => {
      stdin.removeListener("data", onData);
      stdin.removeListener("end", end);
      process.removeListener("exit", restore);
      stdin.pause();
      restore();
    };
  },
};

/** Terminal and programs by `process` and `node:child_process`. */
export const machine: Machine = {
  write: (text) => void process.stderr.write(text),
  get isTerminal() {
    return machine.hasScreen && process.env.TERM !== "dumb";
  },
  get hasColour() {
    return (process.env.NO_COLOR ?? "") === "";
  },
  size: () => ({ columns: process.stderr.columns || 80, rows: process.stderr.rows || 24 }),
  get hasScreen() {
    return process.getBuiltinModule("node:tty").isatty(2);
  },
  get hasKeyboard() {
    return process.getBuiltinModule("node:tty").isatty(0);
  },
  keyboard: () => Promise.resolve(keyboard),
  start([program, ...args]) {
    const { spawn } = process.getBuiltinModule("node:child_process");
    return new Promise((resolve) => {
      const child = spawn(program, args, { detached: true, stdio: "ignore" });
      child.once("error", () => resolve(127));
      child.once("exit", (code) => resolve(typeof code === "number" ? code : 1));
      child.unref();
    });
  },
  mayRun: () => true,
};
