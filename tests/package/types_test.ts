/**
 * The program `_program.ts` compiles against the published package, as its users have it: by Deno, by
 * tsc with Bun's types, and by tsc with Node's, resolved as Node does; in the strictest settings.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "../_support/harness.ts";
import { EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { onPath } from "../sandbox/run_example.ts";
import type { CommandResult } from "./command.ts";
import { npmSilent, withPackage } from "./published.ts";

const NAME = "@planet-community/planet";
const PROGRAM = readFileSync(new URL("./_program.ts", import.meta.url), "utf8");
const TSC = `${EXTRA_FOLDER}node_modules/typescript/bin/tsc`;
const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: false,
};
/** What the types of each runtime are in, and how its programs are compiled. */
const USERS: Readonly<Record<string, { types: Record<string, string>; options: object }>> = {
  "Bun's types": {
    types: { "@types/bun": "1.4.5" },
    options: { lib: ["esnext"], module: "preserve", moduleResolution: "bundler", types: ["bun"] },
  },
  "Node's types and its resolution": {
    types: { "@types/node": "22.20.5" },
    options: { lib: ["es2024"], module: "nodenext", types: ["node"], verbatimModuleSyntax: true },
  },
};

const missing = "Deno" in globalThis
  ? await npmSilent()
  : "Deno publishes, and starts the compilers of all";
const TIMEOUT = { timeoutMs: 240_000 };

const programFor = (specifier: string) => PROGRAM.replace('"../../mod.ts"', `"${specifier}"`);

function succeeded({ code, output }: CommandResult): void {
  assertEquals(code, 0, output);
}

test(
  "the published package fits the types of a strict Deno project",
  () =>
    withPackage("types-deno", async ({ run, write }) => {
      await write("deno.json", JSON.stringify({ compilerOptions: STRICT }));
      await write("main.ts", programFor(`jsr:${NAME}`));
      succeeded(await run(Deno.execPath(), "check", "--no-lock", "main.ts"));
    }),
  { ...TIMEOUT, skip: missing },
);

for (const [user, { types, options }] of Object.entries(USERS)) {
  test(
    `the published package fits ${user}`,
    () =>
      withPackage(`types-${Object.keys(types)[0]!.slice(7)}`, async (consumer) => {
        const { published, run, server, write } = consumer;
        await write(".npmrc", `@jsr:registry=${server.npmUrl}\n`);
        const dependencies = {
          [NAME]: `npm:@jsr/planet-community__planet@^${published.version}`,
          ...types,
        };
        await write(
          "package.json",
          JSON.stringify({ private: true, type: "module", dependencies }),
        );
        const compilerOptions = { ...STRICT, target: "es2024", noEmit: true, ...options };
        await write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["main.ts"] }));
        await write("main.ts", programFor(NAME));
        succeeded(await run(onPath("npm")!, "install", "--no-audit", "--no-fund"));
        succeeded(await run(Deno.execPath(), "run", "-A", TSC, "-p", "."));
      }),
    {
      ...TIMEOUT,
      skip: missing ?? missingExtra("typescript") ??
        (onPath("npm") === undefined ? "npm is not on PATH" : undefined),
    },
  );
}
