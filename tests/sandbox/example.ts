/**
 * Runs an example to its end, on the runtime that it is for (`deno task example NAME ARGS…`).
 *
 * Starts the sandbox too, sits a script at the browser, and calls once what is a server.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BESIDE } from "./beside.ts";
import {
  BROUGHT,
  exampleCommand,
  exampleEnvironment,
  exampleNames,
  type ExampleRuntime,
  type ExampleWorld,
  exampleWorld,
  findRuntime,
  runExample,
  startExample,
} from "./run_example.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const RUNTIMES: readonly ExampleRuntime[] = ["deno", "bun", "node"];

/** What an example is, if it is no script for Deno that takes no arguments. */
interface Kind {
  /** Runtimes that it is for, the best first. */
  readonly runtimes?: readonly ExampleRuntime[];
  /** What it is run with, once for each, if nobody gives it arguments. */
  readonly runs?: readonly (readonly string[])[];
  /** It serves: what it is started with if nobody gives it arguments. */
  readonly serves?: (world: ExampleWorld) => Promise<string[]>;
  /** It is a worker: the path at which it is called. */
  readonly worker?: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  bun_cli: {
    runtimes: ["bun", "node"],
    runs: [["login"], ["whoami"], ["searches"], ["logout"]],
  },
  edge_m2m_kv: {
    serves: async ({ home }) => {
      await mkdir(join(home, ".planet-edge"), { recursive: true, mode: 0o700 });
      return [join(home, ".planet-edge", "kv.sqlite"), "0"];
    },
  },
  edge_stream_asset: { worker: "PSScene/20260101_100000_psscene/ortho_analytic_4b" },
  edge_worker: { worker: "" },
  shared_redis_bun: { runtimes: ["bun"], serves: () => Promise.resolve([]) },
  web_login: {
    serves: async ({ home }) => {
      await mkdir(join(home, ".planet-web"), { recursive: true, mode: 0o700 });
      return [join(home, ".planet-web", "kv.sqlite")];
    },
  },
  web_login_bun: {
    runtimes: ["bun"],
    serves: ({ home }) => Promise.resolve([join(home, ".planet-web")]),
  },
};

/** What `deno task example` was asked for. */
export interface Asked {
  /** Name of the example. */
  readonly name: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** The runtime that was asked for. */
  readonly runtime?: ExampleRuntime;
}

/** Reads a command line; a text is what to say about one that cannot be followed. */
export async function readArguments(words: readonly string[]): Promise<Asked | string> {
  const at = words.findIndex((word) => !word.startsWith("-"));
  const options = at < 0 ? words : words.slice(0, at);
  const name = words[at]?.replace(/^.*[/\\]/, "").replace(/\.ts$/, "");
  const names = await exampleNames();
  const unknown = options.find((option) => !RUNTIMES.some((one) => option === `--${one}`));
  if (unknown !== undefined || name === undefined || !names.includes(name)) {
    const problem = unknown !== undefined
      ? `There is no option ${unknown}.\n`
      : name !== undefined
      ? `There is no example ${name}.\n`
      : "";
    return `${problem}Usage: deno task example [--deno|--bun|--node] NAME ARGS…, where NAME is one of\n` +
      names.map((one) => `  ${one}`).join("\n");
  }
  const runtime = RUNTIMES.find((one) => options.includes(`--${one}`));
  return { name, args: words.slice(at + 1), ...runtime === undefined ? {} : { runtime } };
}

/** Calls a server or a worker until it is ready; 202 says "ask again". */
export async function ask(url: string): Promise<Response> {
  for (let asked = 1;; asked++) {
    const response = await fetch(url);
    // An asset of the sandbox is active after a moment.
    if (response.status !== 202 || asked === 20) return response;
    console.log(`It answers 202: ${await response.text()}`);
    await sleep(500);
  }
}

/** Shows what was answered; the answer is the exit code. */
async function show(who: string, response: Response): Promise<number> {
  const isImage = response.headers.get("content-type")?.startsWith("image/");
  const body = isImage
    ? `an image of ${(await response.arrayBuffer()).byteLength} bytes`
    : await response.text();
  console.log(`${who} answers ${response.status}: ${body}`);
  return response.ok ? 0 : 1;
}

/** Starts a server, calls it once and stops it; the answer is the exit code. */
async function serveOnce(
  name: string,
  world: ExampleWorld,
  runtime: ExampleRuntime,
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<number> {
  const { stop, url } = await startExample(name, world, { args, echo: true, runtime, variables });
  try {
    return await show("It", await ask(url));
  } finally {
    await stop();
  }
}

/** Calls a worker once, in workerd if it is there; the answer is the exit code. */
async function callWorker(name: string, path: string, world: ExampleWorld): Promise<number> {
  const { environment, m2m } = world.sandbox;
  const bindings = {
    PL_CLIENT_ID: m2m.clientId,
    PL_CLIENT_SECRET: m2m.clientSecret,
    ENVIRONMENT: environment,
  };
  const { noWorkerd, startIsolate } = await import("../edge/workerd.ts");
  const missing = noWorkerd();
  if (missing === undefined) {
    const isolate = await startIsolate({ bindings, worker: `examples/${name}.ts` });
    try {
      return await show("workerd", await ask(isolate.url + path));
    } finally {
      await isolate.dispose();
    }
  }
  console.error(`Deno stands in for workerd: ${missing}.\n`);
  const [deno = ""] = await exampleCommand("m2m_in_memory", "deno", world);
  const links = join(ROOT, ".deno.links.json");
  const config = JSON.parse(await readFile(links, "utf8"));
  const imports: Record<string, string> = {
    ...config.imports,
    "jsr:@planet-community/planet": pathToFileURL(join(ROOT, "mod.ts")).href,
    "cloudflare:workers":
      "data:text/javascript,export class DurableObject {}; export const waitUntil = (work) => { void work; };",
  };
  const map = join(world.home, "import_map.json");
  await writeFile(map, JSON.stringify({ imports }));
  const program = join(world.home, "call.ts");
  const worker = pathToFileURL(join(ROOT, "examples", `${name}.ts`)).href;
  await writeFile(
    program,
    `import worker from ${JSON.stringify(worker)};
const bindings = JSON.parse(Deno.env.get("BINDINGS") ?? "{}");
const response = await worker.fetch(new Request(${
      JSON.stringify(`http://worker.example/${path}`)
    }), bindings);
console.log(\`It answers \${response.status}: \${await response.text()}\`);
if (!response.ok) Deno.exit(1);
`,
  );
  const flags = ["run", "--quiet", "--no-check", "--config", links, "--import-map", map];
  const hosts = [environment.m2mAuthServer, environment.apiBaseUrl].map((one) => new URL(one).host);
  const child = spawn(
    deno,
    [...flags, `--allow-net=${hosts.join(",")}`, "--allow-env=BINDINGS", program],
    {
      cwd: world.home,
      env: { ...exampleEnvironment(world), BINDINGS: JSON.stringify(bindings) },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  return await new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}

/** Brings a runtime along from npm, as the tests do. */
async function bring(runtime: ExampleRuntime): Promise<void> {
  const { locate, run } = await import("../_tools/suites.ts");
  const start = await locate(runtime);
  if (typeof start === "string") return;
  const { output } = await run([...start, "-p", '"AT:" + process.execPath'], { quiet: true });
  const [, path] = /^AT:(.+?)\r?$/m.exec(output) ?? [];
  if (path !== undefined) BROUGHT[runtime] = path;
}

/** Runs what was asked for, to its end; the answer is the exit code. */
export async function runToEnd({ name, args, runtime }: Asked): Promise<number> {
  const kind = KINDS[name] ?? {};
  const runtimes = runtime === undefined ? kind.runtimes ?? ["deno"] : [runtime];
  if (runtimes.every((one) => "missing" in findRuntime(one))) await bring(runtimes[0]!);
  const missing: string[] = [];
  const chosen = runtimes.find((one) => {
    const found = findRuntime(one);
    if ("missing" in found) missing.push(found.missing);
    return !("missing" in found);
  });
  const needs = BESIDE[name];
  if (needs?.missing !== undefined) missing.push(needs.missing);
  for (const reason of missing) console.error(`${reason}.`);
  if (chosen === undefined || needs?.missing !== undefined) return 1;
  const beside = await needs?.start();
  const world = { ...await exampleWorld(), hosts: beside?.hosts ?? {} };
  const variables = beside?.variables ?? {};
  try {
    console.error(
      `Running ${name} under ${
        kind.worker === undefined ? chosen : "workerd"
      } against the sandbox, ` +
        "a script at the browser.\n",
    );
    if (kind.worker !== undefined) return await callWorker(name, kind.worker, world);
    if (kind.serves !== undefined) {
      const given = args.length > 0 ? args : await kind.serves(world);
      return await serveOnce(name, world, chosen, given, variables);
    }
    const runs = args.length > 0 ? [args] : kind.runs ?? [[]];
    for (const words of runs) {
      if (words.length > 0) console.error(`> ${name} ${words.join(" ")}`);
      const { code } = await runExample(name, world, {
        runtime: chosen,
        echo: true,
        args: words,
        variables,
      });
      if (code !== 0) return code ?? 1;
    }
    return 0;
  } finally {
    await beside?.close();
    await world.close();
  }
}

async function main(): Promise<number> {
  const asked = await readArguments(process.argv.slice(2));
  if (typeof asked !== "string") return await runToEnd(asked);
  console.error(asked);
  return 2;
}

if (import.meta.main) process.exit(await main());
