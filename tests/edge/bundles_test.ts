/**
 * The examples as they are shipped: one file, made by the tools of those who deploy it, which starts,
 * signs in and answers. Workers do so in workerd, without the compatibility layer for Node.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { EXTRA, EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import {
  exampleCommand,
  exampleEnvironment,
  type ExampleWorld,
  exampleWorld,
  findRuntime,
  runExample,
  startExample,
} from "../sandbox/run_example.ts";
import { type IsolateOptions, noWorkerd, ROOT, startIsolate } from "./workerd.ts";

const WORKER = "examples/edge_worker.ts";

/** What makes one file of something. */
interface Row {
  /** The tool. */
  readonly name: string;
  /** What of the repository becomes one file. */
  readonly of: string;
  /** Packages that make a worker of it, on Node. */
  readonly packages?: readonly (keyof typeof EXTRA)[];
  /** What is run in a folder, and where the file lies afterwards. */
  make(folder: string): { readonly command: string[]; readonly file: string };
  /** Configuration, by its name in the folder. */
  readonly files?: (folder: string) => Record<string, string>;
  /** Why it cannot be made here. */
  readonly missing?: string | undefined;
  /** Starts the file, and looks at its answer. */
  readonly start: (file: string, world: ExampleWorld) => Promise<void>;
}

/** Starts a bundle in workerd, and asks it. */
async function inWorkerd(
  bundle: string,
  { sandbox }: ExampleWorld,
  more: Partial<IsolateOptions> = {},
): Promise<void> {
  const text = await readFile(bundle, "utf8");
  assert(!/(from|import)\s*\(?\s*["']node:/.test(text), "The bundle imports a module of Node.");
  const { clientId, clientSecret } = sandbox.m2m;
  const isolate = await startIsolate({
    ...more,
    bundle,
    bindings: {
      PL_CLIENT_ID: clientId,
      PL_CLIENT_SECRET: clientSecret,
      ENVIRONMENT: sandbox.environment,
    },
  });
  try {
    await answers(isolate.url, sandbox);
  } finally {
    await isolate.dispose();
  }
}

/** Asks an edge function. */
async function answers(url: string, { api, log }: ExampleWorld["sandbox"]): Promise<void> {
  const response = await fetch(url);
  const names = JSON.stringify(api.searchNames.slice(-5).reverse());
  assertEquals([response.status, await response.text()], [200, names]);
  assertEquals(log.count("token"), 1);
}

/** Runs a program that is one file. */
async function asProgram(file: string, world: ExampleWorld): Promise<void> {
  const { code, stderr, stdout } = await runExample("m2m_in_memory", world, { command: [file] });
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /Field 12/);
  assertEquals(world.sandbox.log.count("token"), 1);
}

const NODE = findRuntime("node");
const BUN = findRuntime("bun");
const node = "path" in NODE ? NODE.path : "node";
const extra = (program: string) => `${EXTRA_FOLDER}node_modules/${program}`;

/** Why `deno compile` makes nothing here: it is tried with a program that does nothing. */
async function missingDenort(): Promise<string | undefined> {
  const folder = await tempFolder();
  try {
    const file = join(folder.path, "nothing.ts");
    await writeFile(file, "");
    const args = ["compile", "--quiet", "--no-check", "--output", `${file}.out`, file];
    await promisify(execFile)(process.execPath, args, { env: { ...process.env, NO_COLOR: "1" } });
    return undefined;
  } catch (error) {
    const { stderr = "" } = error as { stderr?: string };
    if (!stderr.includes("Setting up base binary")) return undefined;
    const why = /error sending.*$/m.exec(stderr)?.[0] ?? stderr;
    return `deno compile cannot get denort, the base of what it makes (${
      why.replaceAll(": ", ", ")
    })`;
  } finally {
    await folder.remove();
  }
}

const ROWS: readonly Row[] = "Deno" in globalThis
  ? [
    {
      name: `esbuild ${EXTRA.esbuild}`,
      of: WORKER,
      packages: ["esbuild"],
      make: (folder) => ({
        command: [
          node,
          extra("esbuild/bin/esbuild"),
          WORKER,
          "--bundle",
          "--format=esm",
          "--external:cloudflare:*",
          `--outfile=${folder}/worker.js`,
        ],
        file: `${folder}/worker.js`,
      }),
      start: (file, world) => inWorkerd(file, world),
    },
    {
      name: `wrangler ${EXTRA.wrangler}`,
      of: `${WORKER} with its Durable Object`,
      packages: ["wrangler"],
      files: () => ({
        "wrangler.toml": `name = "edge"
main = ${JSON.stringify(ROOT + WORKER)}
compatibility_date = "2025-09-01"
durable_objects.bindings = [{ name = "SESSIONS_OBJECT", class_name = "PlanetSessions" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["PlanetSessions"] }]
`,
      }),
      make: (folder) => ({
        command: [
          node,
          extra("wrangler/bin/wrangler.js"),
          "deploy",
          "--dry-run",
          `--config=${folder}/wrangler.toml`,
          `--outdir=${folder}/out`,
        ],
        file: `${folder}/out/edge_worker.js`,
      }),
      start: (file, world) =>
        inWorkerd(file, world, {
          durableObjects: { SESSIONS_OBJECT: { className: "PlanetSessions", useSQLite: true } },
        }),
    },
    {
      name: `Vite ${EXTRA.vite}`,
      of: WORKER,
      packages: ["vite"],
      files: (folder) => ({
        "vite.config.js": `export default {
  build: {
    ssr: ${JSON.stringify(ROOT + WORKER)},
    outDir: ${JSON.stringify(`${folder}/out`)},
    rollupOptions: {
      external: /^cloudflare:/,
      output: { codeSplitting: false, entryFileNames: "worker.js" },
    },
  },
  ssr: { noExternal: true, target: "webworker" },
};`,
      }),
      make: (folder) => ({
        command: [
          node,
          extra("vite/bin/vite.js"),
          "build",
          "--config",
          `${folder}/vite.config.js`,
        ],
        file: `${folder}/out/worker.js`,
      }),
      start: (file, world) => inWorkerd(file, world),
    },
    {
      name: `webpack ${EXTRA.webpack}`,
      of: WORKER,
      packages: ["webpack", "ts-loader", "typescript"],
      files: (folder) => ({
        "build.cjs": `
const webpack = require(${JSON.stringify(extra("webpack"))});
webpack({
  mode: "production",
  // As the other bundlers here; it would take most of the time.
  optimization: { minimize: false },
  target: ["webworker", "es2022"],
  context: ${JSON.stringify(ROOT)},
  entry: "./${WORKER}",
  output: {
    path: ${JSON.stringify(folder)},
    filename: "worker.js",
    module: true,
    library: { type: "module" },
  },
  experiments: { outputModule: true },
  externalsType: "module",
  externals: /^cloudflare:/,
  module: {
    parser: { javascript: { dynamicImportMode: "eager" } },
    rules: [{
      test: /\\.ts$/,
      loader: ${JSON.stringify(extra("ts-loader"))},
      options: {
        transpileOnly: true,
        compiler: ${JSON.stringify(extra("typescript"))},
        configFile: ${JSON.stringify(`${folder}/tsconfig.json`)},
      },
    }],
  },
}, (error, stats) => {
  if (error) throw error;
  if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }));
});`,
        "tsconfig.json": JSON.stringify({
          compilerOptions: { target: "es2022", module: "esnext", verbatimModuleSyntax: true },
          files: [ROOT + WORKER],
        }),
      }),
      make: (folder) => ({
        command: [node, `${folder}/build.cjs`],
        file: `${folder}/worker.js`,
      }),
      start: (file, world) => inWorkerd(file, world),
    },
    {
      name: "deno bundle, as on Deno Deploy",
      of: "examples/edge_m2m_kv.ts",
      make: (folder) => ({
        command: [
          process.execPath,
          "bundle",
          "--quiet",
          "--config",
          `${ROOT}.deno.links.json`,
          "--output",
          `${folder}/edge.js`,
          "examples/edge_m2m_kv.ts",
        ],
        file: `${folder}/edge.js`,
      }),
      async start(file, world) {
        const database = join(world.home, ".planet-edge", "kv.sqlite");
        await mkdir(join(world.home, ".planet-edge"), { mode: 0o700 });
        const [program = "", ...flags] = await exampleCommand("edge_m2m_kv", "deno", world);
        const { stop, url } = await startExample("edge_m2m_kv", world, {
          // Neither the configuration of this repository nor its sources.
          command: [
            program,
            ...flags.slice(0, -1).map((flag) => flag.startsWith("--config") ? "--no-config" : flag)
              .filter((flag) => !flag.endsWith(".json")),
            file,
          ],
          args: [database, "0"],
          variables: { DENO_DEPLOYMENT_ID: "a-deployment" },
        });
        try {
          await answers(url, world.sandbox);
        } finally {
          await stop();
        }
      },
    },
    {
      name: "bun build --compile",
      of: "examples/m2m_in_memory.ts",
      missing: "missing" in BUN ? BUN.missing : undefined,
      make: (folder) => ({
        command: [
          "path" in BUN ? BUN.path : "bun",
          "build",
          "--compile",
          "--outfile",
          `${folder}/program`,
          "examples/m2m_in_memory.ts",
        ],
        file: `${folder}/program`,
      }),
      start: asProgram,
    },
    {
      name: "deno compile",
      of: "examples/m2m_in_memory.ts",
      missing: await missingDenort(),
      make: (folder) => ({
        command: [
          process.execPath,
          "compile",
          "--quiet",
          "--config",
          `${ROOT}.deno.links.json`,
          "--allow-net",
          "--allow-env",
          "--output",
          `${folder}/program`,
          "examples/m2m_in_memory.ts",
        ],
        file: `${folder}/program`,
      }),
      start: asProgram,
    },
  ]
  : [];

for (const { name, of, packages = [], make, files, missing, start } of ROWS) {
  const lacks = packages.map(missingExtra).find((reason) => reason !== undefined);
  const skip = missing ?? lacks ??
    (packages.length > 0
      ? noWorkerd() ?? ("missing" in NODE ? NODE.missing : undefined)
      : undefined);
  test(`what ${name} makes of ${of} is one file that starts, signs in and answers`, async () => {
    const folder = await tempFolder();
    const world = await exampleWorld();
    try {
      for (const [file, text] of Object.entries(files?.(folder.path) ?? {})) {
        await writeFile(join(folder.path, file), text);
      }
      const { command: [program = "", ...args], file } = make(folder.path);
      const env = {
        ...process.env,
        ...exampleEnvironment(world),
        HOME: folder.path,
        WRANGLER_SEND_METRICS: "false",
        CI: "1",
      };
      await promisify(execFile)(program, args, { cwd: ROOT, env, timeout: 100_000 });
      await start(file, world);
    } finally {
      await world.close();
      await folder.remove();
    }
  }, { timeoutMs: 180_000, skip });
}
