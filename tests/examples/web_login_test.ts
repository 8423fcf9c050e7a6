/**
 * `examples/web_login.ts` under Deno and `examples/web_login_bun.ts` under Bun, as they stand, against
 * the sandbox: two users at once, by requests and in real Chromium; and what others may try.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "../_support/harness.ts";
import { type Page, withBrowser } from "../browser/_chromium.ts";
import { noBrowser, picture } from "../browser/_program.ts";
import { signIn } from "../sandbox/person.ts";
import {
  exampleCommand,
  exampleEnvironment,
  type ExampleWorld,
  exampleWorld,
} from "../sandbox/run_example.ts";

const runtime = "Deno" in globalThis ? "deno" : process.versions.bun ? "bun" : "node";
const OPTIONS = {
  ...(runtime === "node" ? { skip: "Deno.serve and Bun.serve are Deno's and Bun's" } : {}),
  timeoutMs: 90_000,
};

/** Runs `body` with the example at `origin`. */
async function withServer(body: (origin: string, world: ExampleWorld) => Promise<void>) {
  const world = await exampleWorld();
  const folder = join(world.home, ".planet-web");
  await mkdir(folder, { mode: 0o700 });
  const name = runtime === "bun" ? "web_login_bun" : "web_login";
  const [program, ...flags] = await exampleCommand(name, runtime, world);
  const place = runtime === "bun" ? folder : join(folder, "kv.sqlite");
  // Quiet, Deno does not tell that it listens.
  const args = [...flags.filter((flag) => flag !== "--quiet"), place];
  const child: ChildProcess = spawn(program!, args, {
    cwd: world.home,
    env: exampleEnvironment(world),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const read = (text: string) => {
        output += text;
        if (/Listening on/.test(output)) resolve();
      };
      child.stdout!.setEncoding("utf8").on("data", read);
      child.stderr!.setEncoding("utf8").on("data", read);
      ended.then(() => reject(new Error(`It did not listen: ${output}`)));
    });
    await body(world.callbackUrl, world);
    assert(!/error/i.test(output), output);
  } finally {
    child.kill("SIGKILL");
    await ended;
    await world.close();
  }
}

/** A user's browser, as far as this server sees it. */
class Visitor {
  readonly #origin: string;
  readonly cookies = new Map<string, string>();
  /** What each cookie was set with. */
  readonly lines: string[] = [];

  constructor(origin: string) {
    this.#origin = origin;
  }

  async load(
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; text: string; location: string }> {
    // 127.0.0.1 is where the example listens; the browser knows it by its name.
    const url = new URL(path, this.#origin.replace("localhost", "127.0.0.1"));
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      redirect: "manual",
      ...init,
      headers: { cookie, ...init.headers },
    });
    for (const line of response.headers.getSetCookie()) {
      this.lines.push(line);
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === "") this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    const { headers, status } = response;
    return { status, text: await response.text(), location: headers.get("location") ?? "" };
  }

  /** Signs in at Planet, and has the address that the browser is sent back to. */
  async begin(login: string): Promise<string> {
    const { location, status } = await this.load("/sign-in");
    assertEquals(status, 303);
    const { callback } = await signIn(location, { login, deliver: false });
    return callback!.pathname + callback!.search;
  }

  /** Signs in. */
  async signIn(login: string): Promise<void> {
    const { location, status } = await this.load(await this.begin(login));
    assertEquals([status, location], [303, "/"]);
  }

  signOut(headers: Record<string, string>): Promise<{ status: number }> {
    return this.load("/sign-out", { method: "POST", headers });
  }
}

test(
  `examples/web_login: two users at once on ${runtime}, each with their own session`,
  async () => {
    await withServer(async (origin, { sandbox }) => {
      const [alice, bob] = [new Visitor(origin), new Visitor(origin)];
      assertMatch((await alice.load("/")).text, /Sign in with Planet/);
      await Promise.all([alice.signIn("alice"), bob.signIn("bob")]);
      for (const [visitor, name] of [[alice, "alice"], [bob, "bob"]] as const) {
        const { status, text } = await visitor.load("/");
        assertEquals(status, 200);
        assertMatch(text, new RegExp(`Signed in as ${name}\\.`));
        for (const search of sandbox.api.searchNames.slice(-5)) assert(text.includes(search), text);
      }
      for (const line of [...alice.lines, ...bob.lines]) {
        assertMatch(
          line,
          /^__Host-\w+=([0-9a-f]{64})?; .*Path=\/; Secure; HttpOnly; SameSite=Lax$/,
        );
      }
      const values = [...alice.cookies.values(), ...bob.cookies.values()];
      assertEquals([values.length, new Set(values).size], [2, 2]);
      // The session of the cookie that began a sign-in is none: nobody can be given one beforehand.
      const fixed = new Visitor(origin);
      const login = /^__Host-login=([0-9a-f]{64})/.exec(alice.lines[0]!)![1]!;
      fixed.cookies.set("__Host-session", login);
      assertMatch((await fixed.load("/")).text, /Sign in with Planet/);

      const before = alice.cookies.get("__Host-session")!;
      assertEquals((await alice.signOut({ origin })).status, 303);
      assertEquals(sandbox.log.count("revoke"), 1);
      alice.cookies.set("__Host-session", before);
      assertMatch((await alice.load("/")).text, /Sign in with Planet/);
      assertMatch((await bob.load("/")).text, /Signed in as bob/);
    });
  },
  OPTIONS,
);

test(`examples/web_login: what others send to it on ${runtime} changes nothing`, async () => {
  await withServer(async (origin) => {
    const [alice, mallory] = [new Visitor(origin), new Visitor(origin)];
    const [hers, his] = [await alice.begin("alice"), await mallory.begin("mallory")];
    // Login CSRF: an answer that somebody else began, in this browser or in one that began nothing.
    assertEquals((await alice.load(his)).status, 400);
    assertEquals((await new Visitor(origin).load(his)).status, 400);
    assertEquals(alice.cookies.has("__Host-session"), false);
    const wrong = new URL(hers, origin);
    wrong.searchParams.set("iss", "https://evil.example");
    assertEquals((await alice.load(wrong.pathname + wrong.search)).status, 400);
    // The right one is taken all the same; once.
    const stale = new Map(alice.cookies);
    assertEquals((await alice.load(`${hers}&to=https://evil.example`)).location, "/");
    const replay = new Visitor(origin);
    for (const [name, value] of stale) replay.cookies.set(name, value);
    assertEquals((await replay.load(hers)).status, 400);
    // A sign-in or sign-out that another site sends the browser to.
    const foreign = { headers: { "sec-fetch-site": "cross-site" } };
    assertEquals((await alice.load("/sign-in", foreign)).status, 404);
    for (const headers of [{}, { origin: "https://evil.example" }, { origin: "null" }]) {
      assertEquals((await alice.signOut(headers as Record<string, string>)).status, 403);
    }
    assertEquals((await alice.load("/sign-out")).status, 404);
    assertMatch((await alice.load("/")).text, /Signed in as alice/);
    // Cookies that are none.
    for (const value of ["", "x", "../../etc/passwd", "0".repeat(64)]) {
      const guess = new Visitor(origin);
      guess.cookies.set("__Host-session", value).set("__Host-login", value);
      assertMatch((await guess.load("/")).text, /Sign in with Planet/);
      assertEquals((await guess.load(his)).status, 400);
    }
  });
}, OPTIONS);

/** Signs in at the sandbox's pages. */
async function signInAs(page: Page, origin: string, login: string): Promise<void> {
  await page.goto(origin);
  await page.click('a[href="/sign-in"]');
  await page.fill('input[name="login"]', login);
  await page.fill('input[name="password"]', "any");
  await page.click('button[type="submit"]');
  await page.waitForURL(/interaction/);
  await page.click('button[type="submit"]');
  await page.waitForURL(new RegExp(`^${origin}/$`));
}

/** Takes pictures of a page, which then stands on a phone's width. */
async function look(page: Page, name: string): Promise<void> {
  await picture(page, name);
  await page.setViewportSize({ width: 360, height: 640 });
  assertEquals(await page.evaluate("document.documentElement.scrollWidth"), 360);
  await page.emulateMedia({ colorScheme: "dark" });
  // The text of a page that knows the dark.
  assertEquals(await page.evaluate("getComputedStyle(document.body).color"), "rgb(255, 255, 255)");
}

test(
  "examples/web_login: two people in Chromium at once; neither sees the other's, signing out ends one",
  async () => {
    await withServer((origin) =>
      withBrowser(async (one, other) => {
        const [alice, bob] = [await one.newPage(), await other.newPage()];
        await Promise.all([signInAs(alice, origin, "alice"), signInAs(bob, origin, "bob")]);
        for (const [page, name] of [[alice, "alice"], [bob, "bob"]] as const) {
          assertMatch(await page.innerText("body"), new RegExp(`Signed in as ${name}\\.`));
          assertEquals(await page.evaluate("document.cookie"), "", "No script reads the cookie.");
          assert(!/code=|state=/.test(page.url()));
        }
        await look(bob, "web-signed-in");
        await alice.click("button");
        await alice.waitForURL(new RegExp(`^${origin}/$`));
        assertMatch(await alice.innerText("body"), /Sign in with Planet/);
        await look(alice, "web-sign-in");
        assertEquals((await alice.goto(`${origin}/callback?code=none&state=none`))!.status(), 400);
        await look(alice, "web-expired");
        await bob.goto(origin);
        assertMatch(await bob.innerText("body"), /Signed in as bob\./);
      })
    );
  },
  { ...OPTIONS, ...(noBrowser === undefined ? {} : { skip: noBrowser }) },
);
