/**
 * The edge example as it is shipped: one file, made by the bundlers of those who deploy it, which
 * starts in workerd without the compatibility layer for Node, signs in and answers.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";
import { EXTRA, EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { findRuntime } from "../sandbox/run_example.ts";
import { withSandbox } from "../sandbox/sandbox.ts";
import { noWorkerd, ROOT, startIsolate } from "./workerd.ts";

const WORKER = "examples/edge_worker.ts";

/** What makes one file of the worker: a package, its program, its arguments, the file. */
const BUNDLERS: readonly {
  readonly name: "esbuild" | "wrangler";
  readonly program: string;
  arguments(folder: string): string[];
  file(folder: string): string;
}[] = [
  {
    name: "esbuild",
    program: "esbuild/bin/esbuild",
    arguments: (folder) => [
      WORKER,
      "--bundle",
      "--format=esm",
      "--external:cloudflare:*",
      `--outfile=${folder}/worker.js`,
    ],
    file: (folder) => `${folder}/worker.js`,
  },
  {
    name: "wrangler",
    program: "wrangler/bin/wrangler.js",
    arguments: (folder) => [
      "deploy",
      WORKER,
      "--dry-run",
      "--name=edge",
      "--compatibility-date=2025-09-01",
      `--outdir=${folder}`,
    ],
    file: (folder) => `${folder}/edge_worker.js`,
  },
];

for (const bundler of BUNDLERS) {
  const { name } = bundler;
  const node = findRuntime("node");
  const skip = "Deno" in globalThis
    ? noWorkerd() ?? missingExtra(name) ?? ("missing" in node ? node.missing : undefined)
    : "all happens in workerd, which Deno's turn starts";
  test(
    `the bundle that ${name} ${
      EXTRA[name]
    } makes of ${WORKER} starts in workerd without nodejs_compat, and answers`,
    async () => {
      if ("missing" in node) throw new Error(node.missing);
      const folder = await tempFolder();
      try {
        const program = `${EXTRA_FOLDER}node_modules/${bundler.program}`;
        const env = {
          PATH: process.env.PATH,
          HOME: folder.path,
          WRANGLER_SEND_METRICS: "false",
          CI: "1",
        };
        const args = [program, ...bundler.arguments(folder.path)];
        await promisify(execFile)(node.path, args, { cwd: ROOT, env, timeout: 60_000 });
        const bundle = bundler.file(folder.path);
        const text = await readFile(bundle, "utf8");
        assert(
          !/(from|import)\s*\(?\s*["']node:/.test(text),
          "The bundle imports a module of Node.",
        );
        await withSandbox(async (sandbox) => {
          const { clientId, clientSecret } = sandbox.m2m;
          const isolate = await startIsolate({
            bundle,
            bindings: {
              PL_CLIENT_ID: clientId,
              PL_CLIENT_SECRET: clientSecret,
              ENVIRONMENT: sandbox.environment,
            },
          });
          try {
            const response = await fetch(isolate.url);
            const names = JSON.stringify(sandbox.api.searchNames.slice(-5).reverse());
            assertEquals([response.status, await response.text()], [200, names]);
          } finally {
            await isolate.dispose();
          }
        });
      } finally {
        await folder.remove();
      }
    },
    { timeoutMs: 120_000, ...(skip === undefined ? {} : { skip }) },
  );
}
