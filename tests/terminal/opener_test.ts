import { assert, assertEquals } from "@std/assert";
import { chmod, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import {
  defaultUI,
  hasOpened,
  type LoginUI,
  openCommands,
  splitWords,
  type Surroundings,
  whyNoBrowser,
} from "../../lib/terminal/ui.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";

const PAGE = new URL("https://login.test/a?b=c&d=%22$(touch%20x)%22;'`");

function around(
  os: string,
  env: Record<string, string> = {},
  mayRead = true,
): Surroundings {
  return { os, env: (name) => env[name], mayRead: () => mayRead };
}

const SSH = { SSH_CONNECTION: "10.0.0.1 1 10.0.0.2 22" };
const HANDLER = "url.dll,FileProtocolHandler";

/** Where, what is tried, or why nothing can be. */
const PLACES: [string, Surroundings, string[][] | string][] = [
  ["Linux with X", around("linux", { DISPLAY: ":0" }), [["xdg-open"]]],
  ["Linux with Wayland", around("linux", { WAYLAND_DISPLAY: "wayland-0" }), [["xdg-open"]]],
  ["Linux without a display", around("linux"), "there is no display"],
  ["a container", around("linux", { container: "podman" }), "this is a container"],
  ["SSH", around("linux", SSH), "this is an SSH session"],
  ["SSH that forwards a display", around("linux", { ...SSH, DISPLAY: "localhost:10.0" }), [
    ["xdg-open"],
  ]],
  ["Linux where the variables may not be read", around("linux", {}, false), [["xdg-open"]]],
  ["macOS", around("darwin"), [["open"]]],
  ["macOS by SSH", around("darwin", SSH), "this is an SSH session"],
  ["Windows", around("windows"), [["rundll32", HANDLER]]],
  ["Windows by SSH", around("windows", SSH), "this is an SSH session"],
  ["WSL", around("linux", { WSL_DISTRO_NAME: "Debian" }), [["wslview"], ["rundll32.exe", HANDLER]]],
  ["WSL with a display", around("linux", { WSL_INTEROP: "/run/x", DISPLAY: ":0" }), [
    ["wslview"],
    ["rundll32.exe", HANDLER],
    ["xdg-open"],
  ]],
  ["$BROWSER", around("linux", { BROWSER: "firefox", DISPLAY: ":0" }), [["firefox"]]],
  ["$BROWSER by SSH, an editor's", around("linux", { ...SSH, BROWSER: "/opt/open.sh" }), [
    ["/opt/open.sh"],
  ]],
  ["several in $BROWSER", around("linux", { BROWSER: "'my browser' --new:w3m &" }), [
    ["my browser", "--new"],
    ["w3m"],
  ]],
  ["$BROWSER on Windows", around("windows", { BROWSER: '"C:\\My Apps\\b.exe";other' }), [
    ["C:\\My Apps\\b.exe"],
    ["other"],
  ]],
];

for (const [where, place, expected] of PLACES) {
  test(`openCommands() at ${where}, never through a shell`, () => {
    if (typeof expected === "string") {
      assertEquals([whyNoBrowser(place), openCommands(PAGE, place)], [expected, []]);
      return;
    }
    assertEquals(whyNoBrowser(place), undefined);
    assertEquals(openCommands(PAGE, place), expected.map((one) => [...one, PAGE.href]) as never);
  });
}

test("openCommands() puts the URL in the place of %s, as one argument", () => {
  const place = around("linux", { BROWSER: "b --url=%s --x" });
  assertEquals(openCommands(PAGE, place), [["b", `--url=${PAGE.href}`, "--x"]]);
});

test("openCommands() opens pages only", () => {
  for (const url of ["file:///etc/passwd", "javascript:alert(1)", "vscode://x"]) {
    assertEquals(openCommands(new URL(url), around("darwin")), []);
  }
});

test("splitWords() keeps what quotes hold together", () => {
  assertEquals(splitWords(`a "b c" d'e f'g  `), ["a", "b c", "de fg"]);
});

test("hasOpened() believes an end with 0, no other, and an opener that stays", async () => {
  const { signal } = new AbortController();
  assert(await hasOpened(Promise.resolve(0), signal));
  assertEquals(await hasOpened(Promise.resolve(3), signal), false);
  const over = new AbortController();
  const staying = hasOpened(new Promise(() => {}), over.signal);
  over.abort();
  assert(await staying, "The end of the login is no failure of the opener.");
});

/** Runs `body` with another `$BROWSER`. */
async function withBrowser<T>(value: string, body: (ui: LoginUI) => Promise<T>): Promise<T> {
  const before = process.env.BROWSER;
  process.env.BROWSER = value;
  try {
    return await body(await defaultUI());
  } finally {
    if (before === undefined) delete process.env.BROWSER;
    else process.env.BROWSER = before;
  }
}

const unix = process.platform === "win32" ? "needs a script of Unix" : undefined;
const onUnix = { ...(unix === undefined ? {} : { skip: unix }) };

test("openBrowser() hands the URL over as it is, to the first program that works", async () => {
  const { path: folder, remove } = await tempFolder();
  try {
    const script = `${folder}/my browser`;
    await writeFile(script, `#!/bin/sh\nprintf '%s|' "$@" >"${folder}/said"\n`);
    await chmod(script, 0o700);
    const { signal } = new AbortController();
    const list = `/does/not/exist:false:"${script}" --new-tab`;
    assert(await withBrowser(list, (ui) => ui.openBrowser!(PAGE, { signal })));
    assertEquals(await readFile(`${folder}/said`, "utf8"), `--new-tab|${PAGE.href}|`);
  } finally {
    await remove();
  }
}, onUnix);

test("openBrowser() says false where every program fails or is missing", async () => {
  const { signal } = new AbortController();
  for (const list of ["false", "/does/not/exist", "false:/does/not/exist"]) {
    assertEquals(await withBrowser(list, (ui) => ui.openBrowser!(PAGE, { signal })), false, list);
  }
}, onUnix);
