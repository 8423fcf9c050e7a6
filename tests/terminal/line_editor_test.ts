import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { type Keyboard, LineEditor, readHidden, Screen } from "../../lib/terminal/screen.ts";
import { test } from "../_support/harness.ts";

/** A keyboard for tests, and a screen that keeps all that was written. */
function desk(options: { isTerminal?: boolean; columns?: number; rows?: number } = {}) {
  const { columns = 100, isTerminal = true, rows = 50 } = options;
  let written = "";
  let on: Parameters<Keyboard["start"]>[0] | undefined;
  let stops = 0;
  const keyboard: Keyboard = {
    start(listener) {
      on = listener;
      return () => {
        on = undefined;
        stops++;
      };
    },
  };
  const screen = new Screen({
    write: (text) => written += text,
    isTerminal,
    hasColour: false,
    size: () => ({ columns, rows }),
  });
  return {
    keyboard,
    screen,
    written: () => written,
    type: (text: string) => on?.keys(text),
    end: () => on?.end(),
    listens: () => on !== undefined,
    stops: () => stops,
  };
}

const LINES: [string, string[], string, string][] = [
  ["a line", ["abc\r"], "line", "abc"],
  ["a line in parts", ["a", "b", "c\n"], "line", "abc"],
  ["a paste between its marks", ["\x1b[200~http://x/?a=b\x1b[201~", "\r"], "line", "http://x/?a=b"],
  ["a mark in two parts", ["\x1b[2", "00~x\x1b", "[201~\r"], "line", "x"],
  ["arrows and other keys", ["a\x1b[D\x1b[1;5C\x1bOA\tb\r"], "line", "ab"],
  ["backspace", ["abx\x7f\bc\r"], "line", "ac"],
  ["Ctrl-U and Ctrl-W", ["abc\x15d\x17e\r"], "line", "e"],
  ["what follows the line, dropped", ["abc\rrm -rf\r"], "line", "abc"],
  ["Ctrl-C amid a line", ["abc\x03"], "cancel", "abc"],
  ["Ctrl-D at the start", ["\x04"], "end", ""],
  ["Ctrl-D amid a line, no end", ["a\x04b\r"], "line", "ab"],
];

for (const [what, keys, result, text] of LINES) {
  test(`LineEditor takes ${what}`, () => {
    const editor = new LineEditor();
    assertEquals(keys.map((one) => editor.feed(one)).at(-1) as string, result);
    assertEquals(editor.text, text);
  });
}

test("LineEditor keeps no more than 16 KiB", () => {
  const editor = new LineEditor();
  for (let round = 0; round < 100; round++) editor.feed("x".repeat(1_000));
  assertEquals(editor.text.length, 16_384);
});

test("readHidden() shows how much was typed, and nothing of it", async () => {
  const { keyboard, screen, stops, type, written } = desk();
  const line = readHidden(keyboard, screen, "Paste: ", new AbortController().signal);
  type("SECRET-code");
  type("\r");
  assertEquals(await line, "SECRET-code");
  assert(written().includes("Paste: (11 characters)") && !written().includes("SECRET"));
  assertEquals(stops(), 1);
});

test("readHidden() ends by Ctrl-C with login_cancelled, by Ctrl-D and hang-up with null", async () => {
  const { end, keyboard, screen, stops, type } = desk();
  const ask = () => readHidden(keyboard, screen, "? ", new AbortController().signal);
  const cancelled = assertRejects(ask, AuthError, "Ctrl-C");
  type("x\x03");
  assertEquals((await cancelled).code, "login_cancelled");
  const ended = ask();
  type("\x04");
  assertEquals(await ended, null);
  const gone = ask();
  end();
  assertEquals(await gone, null);
  assertEquals(stops(), 3, "The terminal was given back each time.");
});

test("readHidden() ends with the reason of an abort, and lets the keyboard go", async () => {
  const { keyboard, listens, screen, stops } = desk();
  const reason = new Error("enough");
  const stop = new AbortController();
  const line = readHidden(keyboard, screen, "? ", stop.signal).catch((error) => error);
  assert(listens());
  stop.abort(reason);
  assertEquals([await line, listens(), stops()], [reason, false, 1]);
  assertEquals(await readHidden(keyboard, screen, "? ", stop.signal).catch((e) => e), reason);
});

test("readHidden() asks nobody at a terminal that cannot be set", async () => {
  const { signal } = new AbortController();
  const broken: Keyboard = {
    start() {
      throw new Error("not a terminal after all");
    },
  };
  assertEquals(await readHidden(broken, desk().screen, "? ", signal), null);
});

test("Screen takes control characters out of what it shows", () => {
  const { screen, written } = desk();
  screen.show("a\x1b[2Jb\x07c\u009bd");
  assertEquals(written(), "a [2Jb c d\r\n");
});

test("Screen breaks lines between words, but never an address", () => {
  const { screen, written } = desk({ columns: 20 });
  screen.show("one two three four five six\n\n  https://login.test/a-long-address\n");
  assertEquals(
    written(),
    "one two three four\r\nfive six\r\n\r\n  https://login.test/a-long-address\r\n\r\n",
  );
});

test("Screen changes no line where it is no terminal", async () => {
  const { screen, written } = desk({ isTerminal: false });
  const stop = new AbortController();
  screen.show("one\n\n  two");
  screen.showWaiting({ leftMs: 60_000, signal: stop.signal });
  assertEquals(await screen.showQrCode("https://login.test/"), false);
  stop.abort();
  assertEquals(written(), "one\n\n  two\n");
});

test("Screen counts down below its messages until the signal, and leaves nothing", () => {
  const { screen, written } = desk();
  const stop = new AbortController();
  screen.showWaiting({ leftMs: 299_500, signal: stop.signal });
  screen.show("message");
  assertEquals(
    written(),
    "\r\x1b[KWaiting, 5:00 left; Ctrl-C ends it.\r\x1b[Kmessage\r\n" +
      "\r\x1b[KWaiting, 5:00 left; Ctrl-C ends it.",
  );
  stop.abort();
  assert(written().endsWith("\r\x1b[K"));
});

test("Screen shows a QR code only if its columns fit, and its rows with what is shown below", async () => {
  const text = "https://login.test/device?user_code=WDJB-MJHT";
  const wide = desk();
  assert(await wide.screen.showQrCode(text));
  const lines = wide.written().split("\r\n").filter((line) => line.trim() !== "");
  assertEquals(new Set(lines.map((line) => line.length)).size, 1, "All lines are of one width.");
  const narrow = desk({ columns: lines[0]!.length + 1 });
  assertEquals([await narrow.screen.showQrCode(text), narrow.written()], [false, ""]);
  const low = desk({ rows: lines.length + 11 });
  assertEquals([await low.screen.showQrCode(text), low.written()], [false, ""]);
  assert(await desk({ rows: lines.length + 12 }).screen.showQrCode(text));
});
