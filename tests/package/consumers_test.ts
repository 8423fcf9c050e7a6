/**
 * The package as its users get it: published by the real `deno publish` to a registry of our own,
 * then installed into fresh folders by the README's own lines for Deno, Bun and Node, type-checked,
 * and signed in with.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "../_support/harness.ts";
import { EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { onPath } from "../sandbox/run_example.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import type { CommandResult } from "./command.ts";
import { type Consumer, npmSilent, STD, withPackage } from "./published.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NAME = "@planet-community/planet";
/** All that the package brings along from npm: the protocol, and QR codes, loaded when drawn. */
const BROUGHT = ["oauth4webapi", "uqr"];
/** What npm clients install: that, and what JSR calls the packages of `@std`. */
const INSTALLED = [...STD.map((name) => `@jsr/std__${name}`), NAME, ...BROUGHT];
const TIMEOUT = { timeoutMs: 240_000 };

const isDeno = "Deno" in globalThis;
const noDeno = isDeno ? undefined : "Deno publishes, and starts the users on all runtimes";
const noNpm = noDeno ?? await npmSilent();

/** The program behind a runtime, brought along where it is missing; or why there is none. */
async function program(runtime: "bun" | "node"): Promise<{ path?: string; missing?: string }> {
  if (noNpm !== undefined) return { missing: noNpm };
  const { locate, run } = await import("../_tools/suites.ts");
  const start = await locate(runtime);
  if (typeof start === "string") return { missing: `${runtime} cannot be had (${start})` };
  const { output } = await run([...start, "-p", '"AT:" + process.execPath'], { quiet: true });
  const path = /^AT:(.+?)\r?$/m.exec(output)?.[1];
  return path === undefined ? { missing: `${runtime} does not say where it is` } : { path };
}

const bun = await program("bun");
const node = await program("node");
const npm = onPath("npm");
/** What the README's lines for Bun and Node start, directly or not. */
const programs = {
  ...(bun.path === undefined ? {} : { bun: bun.path }),
  ...(node.path === undefined ? {} : { node: node.path }),
};
const noNode = node.missing ?? (npm === undefined ? "npm is not on PATH" : undefined);

/** How the README's first words are started here. */
const STARTS: Record<string, string[]> = {
  deno: isDeno ? [Deno.execPath()] : [],
  bunx: [bun.path ?? "bun", "x"],
  npx: [npm?.replace(/npm$/, "npx") ?? "npx"],
};

/** The README's line that installs the package for a runtime. */
function installLine(runtime: "Deno" | "Bun" | "Node"): string[] {
  const text = readFileSync(`${ROOT}README.md`, "utf8").split("\n## Install")[1] ?? "";
  const [, line = ""] = new RegExp(`^(\\w.*?) +# ${runtime}\\b`, "m").exec(text) ?? [];
  const [first = "", ...rest] = line.split(" ");
  return [...STARTS[first] ?? [], ...rest];
}

/** A program that signs in as a service account and calls an API. */
const userProgram = (from: string, sandbox: Sandbox) => `
import { Auth, AuthError, Planet, type PlanetEnvironment, Session, VERSION } from "${from}";

const environment: PlanetEnvironment = ${JSON.stringify(sandbox.environment)};
const options = ${JSON.stringify(sandbox.m2m)};
const auth: Auth = Auth.fromOAuthM2M({ ...options, environment, saveStateToStorage: false });
const names: string[] = [];
for await (const search of new Planet(new Session(auth)).data.listSearches({ limit: 3 })) {
  names.push(String(search.name));
}
let code = "";
try {
  Auth.fromKey("");
} catch (error) {
  if (error instanceof AuthError) code = error.code;
}
const { state, storage } = await auth.explain();
console.log(JSON.stringify({ version: VERSION, names, code, state, storage }));
`;

/** A program that is wrong, which shows that the types arrived. */
const wrongProgram = (from: string) => `
import { Auth } from "${from}";
const name: number = Auth.fromKey("key").profileName;
console.log(name);
`;

function succeeded({ code, output }: CommandResult): void {
  assertEquals(code, 0, output);
}

function refusedByTypes({ code, output }: CommandResult): void {
  assert(code !== 0, "The wrong program passed.");
  assertMatch(output, /Type 'string' is not assignable to type 'number'/);
}

/** Looks at what the user's program printed. */
function worked(result: CommandResult, { published }: Consumer, sandbox: Sandbox): void {
  succeeded(result);
  assertEquals(JSON.parse(result.stdout), {
    version: published.version,
    names: sandbox.api.searchNames.slice(-3).reverse(),
    code: "invalid_argument",
    state: "valid",
    storage: "memory",
  });
  assertEquals(sandbox.log.count("token", "client_credentials"), 1);
}

/** All that the registry was asked for is this package and what it stands on. */
function askedForNothingElse({ server, published }: Consumer): void {
  const rest = server.requests.filter((line) =>
    !line.startsWith(`GET /${published.name}/`) && !/^GET \/@std\/(fs|path)\//.test(line) &&
    !/^GET \/npm\/@jsr(\/|%2f)(planet-community__planet|std__(fs|path))(\/|$)/i.test(line)
  );
  assertEquals(rest, []);
}

const net = (sandbox: Sandbox) =>
  `--allow-net=${
    [sandbox.url, sandbox.environment.m2mAuthServer].map((url) => new URL(url).host).join(",")
  }`;

test(
  "deno publish hands the registry the files of the package, and no others",
  () =>
    withPackage("files", ({ published: { files, name, version } }) => {
      const sources = readdirSync(`${ROOT}lib`, { recursive: true, encoding: "utf8" })
        .map((file) => `/lib/${file.replaceAll("\\", "/")}`).filter((file) => file.endsWith(".ts"));
      const rest = ["mod.ts", "README.md", "LICENSE", "CHANGELOG.md", "deno.json", "jsr.json"];
      assertEquals(
        Object.keys(files).sort(),
        [...rest.map((file) => `/${file}`), ...sources].sort(),
      );
      const sizes = Object.entries(files);
      const sum = (of: typeof sizes) => of.reduce((total, [, size]) => total + size, 0);
      const code = sum(sizes.filter(([file]) => file.endsWith(".ts")));
      console.log(`${name}@${version}: ${sizes.length} files, ${sum(sizes)} bytes, code ${code}`);
      return Promise.resolve();
    }),
  { ...TIMEOUT, skip: noDeno },
);

test(
  "the published package works in a Deno script that imports jsr:",
  () =>
    withPackage("deno-script", (consumer) =>
      withSandbox(async (sandbox) => {
        const { run, write } = consumer;
        await write("main.ts", userProgram(`jsr:${NAME}`, sandbox));
        await write("wrong.ts", wrongProgram(`jsr:${NAME}`));
        const deno = Deno.execPath();
        worked(
          await run(deno, "run", "--quiet", "--no-prompt", "--no-lock", net(sandbox), "main.ts"),
          consumer,
          sandbox,
        );
        succeeded(await run(deno, "check", "--no-lock", "main.ts"));
        refusedByTypes(await run(deno, "check", "--no-lock", "wrong.ts"));
        const { stdout } = await run(deno, "info", "--json", "--no-lock", "main.ts");
        const { modules, npmPackages } = JSON.parse(stdout) as {
          modules: { specifier: string }[];
          npmPackages: Record<string, { name: string }>;
        };
        const homes = [NAME, ...STD.map((name) => `@std/${name}`)]
          .map((name) => `${consumer.server.url}${name}/`);
        const strange = modules.map(({ specifier }) => specifier).filter((specifier) =>
          !/^(file:|node:|npm:\/?(oauth4webapi|uqr)@)/.test(specifier) &&
          !homes.some((home) => specifier.startsWith(home))
        );
        assertEquals(strange, []);
        assertEquals(Object.values(npmPackages).map(({ name }) => name).sort(), BROUGHT);
        askedForNothingElse(consumer);
      })),
  { ...TIMEOUT, skip: noNpm },
);

test(
  "the published package works in a Deno project after deno add",
  () =>
    withPackage("deno-project", (consumer) =>
      withSandbox(async (sandbox) => {
        const { published, read, run, write } = consumer;
        const deno = Deno.execPath();
        await write("deno.json", "{}");
        succeeded(await run(...installLine("Deno")));
        assertEquals(JSON.parse(await read("deno.json")).imports, {
          [NAME]: `jsr:${NAME}@^${published.version}`,
        });
        await write("main.ts", userProgram(NAME, sandbox));
        await write("wrong.ts", wrongProgram(NAME));
        worked(
          await run(deno, "run", "--quiet", "--no-prompt", net(sandbox), "main.ts"),
          consumer,
          sandbox,
        );
        succeeded(await run(deno, "check", "main.ts"));
        refusedByTypes(await run(deno, "check", "wrong.ts"));
        const lock = JSON.parse(await read("deno.lock"));
        assertEquals(Object.keys(lock.jsr).map((id) => id.slice(0, id.lastIndexOf("@"))), [
          NAME,
          ...STD.map((name) => `@std/${name}`),
        ]);
        assertEquals(Object.keys(lock.npm).map((id) => id.split("@")[0]).sort(), BROUGHT);
        askedForNothingElse(consumer);
      })),
  { ...TIMEOUT, skip: noNpm },
);

/** Makes a project that has the package by the README's line; the registry is the one here. */
async function npmProject(
  { folder, published, read, run, server, write }: Consumer,
  sandbox: Sandbox,
  runtime: "Bun" | "Node",
) {
  await write(".npmrc", `@jsr:registry=${server.npmUrl}\n`);
  await write("package.json", JSON.stringify({ private: true, type: "module" }));
  // `npx jsr` and `bunx jsr` take the program that is in the project before they fetch one.
  await mkdir(`${folder}/node_modules/.bin`, { recursive: true });
  await symlink(`${EXTRA_FOLDER}node_modules/jsr/dist/bin.js`, `${folder}/node_modules/.bin/jsr`);
  succeeded(await run(...installLine(runtime)));
  assertEquals(JSON.parse(await read("package.json")).dependencies, {
    [NAME]: `npm:@jsr/planet-community__planet@^${published.version}`,
  });
  await write("main.ts", userProgram(NAME, sandbox));
  await write("wrong.ts", wrongProgram(NAME));
  const compilerOptions = {
    // `await using` is what the package asks for beyond es2024.
    lib: ["es2024", "esnext.disposable", "dom", "dom.iterable", "dom.asynciterable"],
    module: "nodenext",
    target: "es2024",
    strict: true,
    noEmit: true,
    types: [],
    skipDefaultLibCheck: true,
  };
  await write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["main.ts"] }));
}

/** The packages in `node_modules`. */
function installed(folder: string): string[] {
  const names = (path: string) => readdirSync(path).filter((name) => !name.startsWith("."));
  return names(`${folder}/node_modules`).flatMap((name) =>
    name.startsWith("@")
      ? names(`${folder}/node_modules/${name}`).map((inner) => `${name}/${inner}`)
      : [name]
  ).sort();
}

/** Runs the TypeScript compiler over the user's program, declarations of the package included. */
async function checkByTsc({ run, write, read }: Consumer): Promise<void> {
  const tsc = `${EXTRA_FOLDER}node_modules/typescript/bin/tsc`;
  succeeded(await run(node.path!, tsc, "-p", "."));
  const config = JSON.parse(await read("tsconfig.json"));
  await write("tsconfig.json", JSON.stringify({ ...config, files: ["wrong.ts"] }));
  refusedByTypes(await run(node.path!, tsc, "-p", "."));
}

test(
  "the published package works in a Bun project",
  () =>
    withPackage("bun-project", (consumer) =>
      withSandbox(async (sandbox) => {
        await npmProject(consumer, sandbox, "Bun");
        assertEquals(installed(consumer.folder), INSTALLED);
        worked(await consumer.run(bun.path!, "run", "main.ts"), consumer, sandbox);
        askedForNothingElse(consumer);
      }), programs),
  { ...TIMEOUT, skip: bun.missing ?? missingExtra("jsr") },
);

test(
  "the published package works in a Node project",
  () =>
    withPackage("node-project", (consumer) =>
      withSandbox(async (sandbox) => {
        await npmProject(consumer, sandbox, "Node");
        assertEquals(installed(consumer.folder), INSTALLED);
        worked(await consumer.run(node.path!, "main.ts"), consumer, sandbox);
        askedForNothingElse(consumer);
      }), programs),
  { ...TIMEOUT, skip: noNode ?? missingExtra("jsr") },
);

test(
  "the published package has types that tsc checks on the npm side",
  () =>
    withPackage("tsc-project", (consumer) =>
      withSandbox(async (sandbox) => {
        await npmProject(consumer, sandbox, "Node");
        await checkByTsc(consumer);
      }), programs),
  { ...TIMEOUT, skip: noNode ?? missingExtra("typescript") },
);
