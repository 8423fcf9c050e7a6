/**
 * The README's table of permissions, row by row under Deno: each use with exactly its flags, and
 * without each of them in turn. Nobody is ever asked.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../_support/free_port.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { see } from "../_support/watch.ts";
import {
  exampleEnvironment,
  type ExampleWorld,
  exampleWorld,
  onPath,
} from "../sandbox/run_example.ts";
import { approveDevice, open } from "../sandbox/person.ts";
import { type Fallback, type Use, USES } from "./uses.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CONFIG = `${ROOT}${existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json"}`;
const MODULE = new URL("../../mod.ts", import.meta.url).href;

const skip = "Deno" in globalThis ? undefined : "only Deno has permissions";

/** The rows of the table: the use and its flags, each with its values. */
function table(): Map<string, [flag: string, values: string[]][]> {
  const readme = readFileSync(`${ROOT}README.md`, "utf8");
  const section = /\n## Permissions[^\n]*\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? "";
  const rows = section.split("\n").filter((line) => /^\| (?!use|-)/.test(line));
  return new Map(rows.map((row) => {
    const [, use = "", flags = ""] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const written = flags === "none" ? [] : flags.replaceAll("`", "").split(/\s+/);
    return [
      use,
      written.map((flag) => {
        const [name = "", values] = flag.split("=");
        return [name, values?.replaceAll('"', "").split(",") ?? []];
      }),
    ];
  }));
}

interface Outcome {
  readonly code: number;
  readonly output: string;
  /** The flag that was left out, as the program would have got it. */
  readonly left: string;
}

/**
 * Runs a use; `left` is the flag, or the value of a flag, that it does not get. On a terminal
 * (of `script`) Deno may ask the person.
 */
async function run(
  { fallbacks = {}, program, variables }: Use,
  flags: [string, string[]][],
  world: ExampleWorld,
  left?: [flag: string, value?: string | undefined],
  terminal: boolean | "without prompts" = false,
): Promise<Outcome> {
  // The program has the sandbox's credentials in its text.
  const { path: home, remove } = await tempFolder({ unwatched: /^(program\.ts$|deno\/)/ });
  try {
    const port = await freePort();
    const { apiKey, clientId, environment, m2m, url } = world.sandbox;
    const hosts: Record<string, string> = {
      "login.planet.com": new URL(environment.userAuthServer).host,
      "services.sentinel-hub.com": new URL(environment.m2mAuthServer).host,
      "api.planet.com": new URL(url).host,
      "127.0.0.1:8080": `127.0.0.1:${port}`,
      "[::1]:8080": `[::1]:${port}`,
      "xdg-open": world.browser,
    };
    const real = (value: string) =>
      hosts[value] ??
        value.replace(/^\$HOME(?=\/|$)/, home).replace(/^\/srv\/planet/, `${home}/state`);
    const given = flags.flatMap(([flag, values]) => {
      if (flag !== left?.[0]) return [values.length ? `${flag}=${values.map(real)}` : flag];
      const rest = values.filter((value) => value !== left[1]);
      return rest.length ? [`${flag}=${rest.map(real)}`] : [];
    });
    const file = join(home, "program.ts");
    const callbackUrl = `http://localhost:${port}`;
    const sandbox = { ...environment, apiKey, clientId, m2m, callbackUrl };
    await writeFile(
      file,
      `const { Auth, AuthError, FileStorage, Planet, Session } = await import("${MODULE}");
const sandbox = ${JSON.stringify(sandbox)}, home = ${JSON.stringify(home)};
try {
${program}
} catch (error) {
  console.log(error instanceof AuthError ? "AuthError " + error.code + " " + error.message : error);
  Deno.exitCode = 1;
}
`,
    );
    // By Deno's own means: node:child_process gives a Deno without flags all permissions.
    const over = new AbortController();
    const silent = terminal === true ? [] : ["--no-prompt"];
    const args = ["run", ...silent, "--no-check", "--config", CONFIG, ...given, file];
    const quoted = [Deno.execPath(), ...args].map((word) => `'${word}'`).join(" ");
    const child = new Deno.Command(terminal ? "script" : Deno.execPath(), {
      args: terminal ? ["-qefc", quoted, "/dev/null"] : args,
      cwd: home,
      clearEnv: true,
      env: {
        ...exampleEnvironment(world),
        HOME: home,
        ...(variables === "api key" ? { PL_API_KEY: apiKey } : {}),
        ...(variables === "service account"
          ? { PL_AUTH_CLIENT_ID: m2m.clientId, PL_AUTH_CLIENT_SECRET: m2m.clientSecret }
          : {}),
        // A database of its own, which goes with the folder.
        ...(flags.some(([flag]) => flag === "--unstable-kv")
          ? { DENO_DIR: join(home, "deno") }
          : {}),
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: over.signal,
    }).spawn();
    const timer = setTimeout(() => over.abort(), 30_000);
    const isAlone = left !== undefined && fallbacks[left[1] ?? left[0]] === "shown";
    let output = "";
    let person: Promise<unknown> | undefined;
    const read = async (stream: ReadableStream<Uint8Array>) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) {
        output += text;
        // Nobody is there to answer a question.
        if (/Deno requests[^]*Allow\?/.test(output)) over.abort();
        const device = /http:\/\/\S+\/device(?=\s)[\s\S]*?\b([A-Z]{4}-[A-Z]{4})\b/.exec(output);
        const page = /http:\/\/\S+\/auth\?\S+(?=\s)/.exec(output)?.[0];
        if (device !== null) {
          person ??= approveDevice(`${device[0].split(/\s/)[0]}?user_code=${device[1]}`);
        } else if (isAlone && page !== undefined) {
          // Without a browser that opens by itself, the person follows what is shown.
          person ??= open(page);
        }
        person?.catch(() => {});
      }
    };
    const [{ code }] = await Promise.all([child.status, read(child.stdout), read(child.stderr)]);
    clearTimeout(timer);
    await person;
    see("console", "what the program printed", output);
    // On a terminal, a line that changes is taken away before others.
    // deno-lint-ignore no-control-regex
    output = output.replace(/\r\x1b\[K/g, "\n").replaceAll("\r", "");
    return { code, output, left: left === undefined ? "" : real(left[1] ?? left[0]) };
  } finally {
    await remove();
  }
}

/** Looks at how a use went without a permission. */
function check(
  { code, output, left }: Outcome,
  flag: string,
  fallback: Fallback | undefined,
  kept: string,
): void {
  const what = `without ${flag} ${left}: ${output}`;
  assert(!/requests .* access|Allow\?/.test(output), `Somebody was asked, ${what}`);
  if (fallback === undefined) {
    assertEquals(code, 1, what);
    assertMatch(output, /^AuthError \w+ /m, what);
    assert(output.includes(`${flag}=${left}`), `The flag is not named, ${what}`);
    return;
  }
  if (fallback === "noted") {
    assert(output.includes(`${flag}=${left} is not granted`), `The flag is not named, ${what}`);
    return;
  }
  assertEquals(code, 0, what);
  assertEquals(/^storage (\w+)$/m.exec(output)?.[1], fallback === "memory" ? "memory" : kept, what);
}

/** What the library chooses by itself, and the permission that it finds missing. */
const CHOICES: [use: string, flag: string, value?: string][] = [
  ["a person by browser, in memory", "--allow-run", "xdg-open"],
  ["a person by browser, in memory", "--allow-net", "[::1]:8080"],
  ["state in `~/.planet`", "--allow-env", "HOME"],
  ["state in `~/.planet`", "--allow-write", "$HOME/.planet"],
  ["the session of the command line", "--allow-env", "PL_AUTH_PROFILE"],
];

for (const [name, flag, value] of CHOICES) {
  test(`permissions: ${name}, asks nobody on a terminal without ${flag}=${value}`, async () => {
    const use = USES.find((one) => one.name === name)!;
    const world = await exampleWorld();
    try {
      const { code, output } = await run(use, table().get(name)!, world, [flag, value], true);
      assert(!/Deno requests|Allow\?/.test(output), output);
      assertEquals(code, 0, output);
    } finally {
      await world.close();
    }
  }, { skip: skip ?? (onPath("script") ? undefined : "no script, which gives a terminal") });
}

test("permissions: Deno does ask on a terminal for what the program chose itself", async () => {
  const use = USES.find(({ name }) => name === "a service account, in memory")!;
  const flags = table().get(use.name)!;
  const world = await exampleWorld();
  try {
    const left: [string, string] = ["--allow-net", "api.planet.com"];
    assertMatch((await run(use, flags, world, left, true)).output, /Deno requests net access/);
  } finally {
    await world.close();
  }
}, { skip: skip ?? (onPath("script") ? undefined : "no script, which gives a terminal") });

test("README: there is a use for each row of the table of permissions", () => {
  assertEquals([...table().keys()], USES.map(({ name }) => name));
});

for (const use of USES) {
  test(
    `permissions: ${use.name}, with exactly the flags of the README, and without each`,
    async () => {
      const flags = table().get(use.name)!;
      const world = await exampleWorld();
      try {
        const all = await run(use, flags, world, undefined, onPath("script") !== undefined);
        assertEquals(all.code, 0, all.output);
        assert(!/Deno requests|Allow\?/.test(all.output), `Somebody was asked: ${all.output}`);
        const kept = /^storage (\w+)$/m.exec(all.output)?.[1] ?? "";
        const missing = flags.flatMap(([flag, values]): [string, string?][] =>
          values.length === 0 ? [[flag]] : values.map((value) => [flag, value])
        );
        // Two at a time.
        const next = missing.values();
        await Promise.all([1, 2].map(async () => {
          for (const left of next) {
            const fallback = use.fallbacks?.[left[1] ?? left[0]];
            // Without a browser, a person is asked on a terminal, or not at all.
            const isSeen = fallback === "shown" || /device code/.test(use.name);
            const outcome = await run(use, flags, world, left, isSeen && "without prompts");
            check(outcome, left[0], fallback, kept);
          }
        }));
      } finally {
        await world.close();
      }
    },
    { skip, timeoutMs: 120_000 },
  );
}
