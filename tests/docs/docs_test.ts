/**
 * The examples in docstrings and documents, run as they stand, the servers behind them replaced.
 * That they have the right types is checked by `tasks.ts check examples`.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Auth, FileStorage, PRODUCTION } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { type EXTRA, EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { LINKS_CONFIG } from "../_tools/links.ts";
import { runCommand } from "../package/command.ts";
import { approveDevice } from "../sandbox/person.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** All files with examples. */
function documents(): string[] {
  const sources = readdirSync(`${ROOT}lib`, { recursive: true, encoding: "utf8" })
    .map((name) => `lib/${name.replaceAll("\\", "/")}`).filter((name) => name.endsWith(".ts"));
  return ["README.md", "examples/README.md", "mod.ts", ...sources].filter((name) => count(name));
}

/** How many examples a file has. */
function count(name: string): number {
  const text = readFileSync(ROOT + name, "utf8");
  return [...text.matchAll(/^(?: *\* )?```(?:ts|typescript)\b(?!.*\bignore\b)/gm)].length;
}

/** Leaves the session of a person, signed in to the sandbox, as if it were one of Planet's. */
async function signIn(sandbox: Sandbox, home: string): Promise<void> {
  const { clientId, environment } = sandbox;
  const auth = Auth.fromOAuthUserDeviceCode({
    clientId,
    environment,
    profileName: "my-app",
    storageProvider: new FileStorage({ root: home }),
  });
  const info = await auth.deviceUserLoginInitiate();
  await approveDevice(info.verification_uri_complete!);
  await auth.deviceUserLoginComplete(info);
  const file = join(home, ".planet", "my-app", "auth_client.json");
  const client = JSON.parse(await readFile(file, "utf8"));
  client.client_id = "my-client-id";
  client.auth_server = PRODUCTION.userAuthServer;
  client.audiences = PRODUCTION.audiences;
  await writeFile(file, JSON.stringify(client));
}

test("every example in the documents runs", () =>
  withSandbox(async (sandbox) => {
    // What Deno caches holds the texts of the examples.
    const home = await tempFolder({ unwatched: /^deno\// });
    try {
      await signIn(sandbox, home.path);
      await mkdir(join(home.path, "deno"));
      const flags = ["--doc", "--no-check", "--no-prompt", "--unstable-kv", "-A"];
      const preload = ["--preload", join(ROOT, "tests/docs/preload.ts")];
      const config = join(ROOT, LINKS_CONFIG);
      const files = documents().map((name) => join(ROOT, name));
      const { code, output } = await runCommand(
        [Deno.execPath(), "test", "--config", config, ...flags, ...preload, ...files],
        {
          timeoutMs: 240_000,
          cwd: home.path,
          env: {
            HOME: home.path,
            DENO_DIR: join(home.path, "deno"),
            PLANET_SANDBOX: sandbox.url,
            SANDBOX_API_KEY: sandbox.apiKey,
            SANDBOX_CLIENT_SECRET: sandbox.m2m.clientSecret,
            PL_API_KEY: "my-api-key",
            PL_CLIENT_ID: "my-client-id",
            PL_CLIENT_SECRET: "my-client-secret",
          },
        },
      );
      assertEquals(code, 0, output);
      const examples = documents().reduce((sum, name) => sum + count(name), 0);
      assertMatch(output, new RegExp(`\\| ${examples} passed .*\\| 0 failed`), output);
    } finally {
      await home.remove();
    }
  }), {
  skip: "Deno" in globalThis ? undefined : "Deno finds the examples in the documents",
  timeoutMs: 300_000,
});

/** A program of the documents. */
interface Program {
  readonly name: string;
  readonly text: string;
  /** Packages of others that it imports. */
  readonly packages?: readonly (keyof typeof EXTRA)[];
  /** What it must print, if it ends in an error as it stands: the answer in it is made up. */
  readonly fails?: RegExp;
}

const PACKAGE = "@planet-community/planet";

/** What blocks that are no whole programs get from outside, by the first line of the block. */
const OUTSIDE: Record<string, { before?: string; after?: string } & Partial<Program>> = {
  'import createClient from "openapi-fetch";': {
    packages: ["ky", "ofetch", "openapi-fetch"],
    before: `import { Auth } from "${PACKAGE}";
const auth = Auth.fromEnv();
type paths = Record<string, { get: { responses: { 200: { content: { "application/json": any } } } } }>;`,
    after: `const { searches } = await api.get("searches").json();
const url = "https://api.planet.com/data/v1/searches";
const others = [await ofetch(url), (await client.GET("/data/v1/searches" as never) as any).data];
for (const other of others) if (other.searches.length !== searches.length) throw new Error("Less.");
if (!(searches.length > 0)) throw new Error("Nothing came.");`,
  },
  'import { type Span, SpanKind, trace } from "@opentelemetry/api";': {
    packages: ["@opentelemetry/api"],
    before: `import { Auth, Session } from "${PACKAGE}";
const auth = Auth.fromEnv();`,
    after: `let begun = 0;
spans.set = (id, span) => (begun++, Map.prototype.set.call(spans, id, span));
await session.request("GET", "/data/v1/searches");
if (begun !== 1 || spans.size !== 0) throw new Error(\`\${begun} begun, \${spans.size} open.\`);`,
  },
  'import { Auth } from "@planet-community/planet";': {
    // Planet's server never sent that answer.
    fails: /Open https:\/\/login\.planet\.com\/[^]*state_mismatch/,
  },
  'import { Auth, dataFilter, Planet } from "@planet-community/planet";': {
    before: `const field = { type: "Point", coordinates: [0, 0] } as const;`,
    after: `import { readdirSync } from "node:fs";
if (!readdirSync("out").some((name) => name.endsWith(".tif"))) throw new Error("Nothing came.");`,
  },
};

/** The programs of the documents that Bun and Node can run too: all but those for Deno alone. */
function programs(): Program[] {
  return ["README.md", "examples/README.md"].flatMap((document) => {
    const text = readFileSync(ROOT + document, "utf8");
    const blocks = [...text.matchAll(/^```ts( ignore)?\n([\s\S]+?)^```$/gm)];
    return blocks.flatMap(([, ignored, block = ""], index): Program[] => {
      const name = `${document} ${index + 1}`;
      // Tests have a test of their own below; what is Deno's, Deno runs.
      if (block.includes("node:test") || block.includes("Deno.")) return [];
      if (ignored === undefined) return [{ name, text: block }];
      const outside = OUTSIDE[block.split("\n")[0]!];
      assert(outside !== undefined, `${name} has names that nobody gives it.`);
      const { before = "", after = "", ...more } = outside;
      return [{ name, text: [before, block, after].join("\n"), ...more }];
    });
  });
}

/** Installs the package into a folder: under its name, with what it exports. */
async function install(home: string): Promise<void> {
  const folder = join(home, "node_modules/@planet-community/planet");
  await mkdir(folder, { recursive: true });
  await symlink(join(ROOT, "mod.ts"), join(folder, "mod.ts"));
  const manifest = { name: "@planet-community/planet", type: "module", exports: "./mod.ts" };
  await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
  await writeFile(join(home, "package.json"), JSON.stringify({ type: "module" }));
}

test("examples/README.md: the test of one's own program passes here, without network", async () => {
  const home = await tempFolder({ unwatched: /^deno\/|\.ts$/ });
  try {
    const text = readFileSync(`${ROOT}examples/README.md`, "utf8");
    const section = text.split("\n## Testing your own program\n")[1]!.split("\n## ")[0]!;
    const [, block = ""] = /^```ts ignore\n([\s\S]+?)^```$/m.exec(section) ?? [];
    const body = block.split("\n\n")[1]!.trim().split("\n");
    assert(body.length <= 10, `It takes ${body.length} lines.`);
    const file = join(home.path, "program_test.ts");
    await writeFile(file, block);
    let args = ["test", file];
    if ("Deno" in globalThis) {
      const config = join(ROOT, LINKS_CONFIG);
      const { imports } = JSON.parse(readFileSync(config, "utf8"));
      imports["@planet-community/planet"] = pathToFileURL(join(ROOT, "mod.ts")).href;
      const map = join(home.path, "import_map.json");
      await writeFile(map, JSON.stringify({ imports }));
      const flags = ["--no-check", "--allow-env=HOME", "--config", config];
      args = ["test", ...flags, "--import-map", map, file];
    } else {
      await install(home.path);
      const types = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
      if (!process.versions.bun) args = [...types, "--test", file];
    }
    const { code, output } = await runCommand([process.execPath, ...args], {
      cwd: home.path,
      env: { NODE_TEST_CONTEXT: undefined },
    });
    assertEquals(code, 0, output);
    assertMatch(output, /1 pass|pass 1/, output);
  } finally {
    await home.remove();
  }
}, { timeoutMs: 60_000 });

test(
  "every program in the documents that is not for Deno alone runs here, as it stands",
  () =>
    withSandbox(async (sandbox) => {
      const home = await tempFolder({ unwatched: /\.ts$/ });
      try {
        await signIn(sandbox, home.path);
        await install(home.path);
        const preload = join(ROOT, "tests/docs/preload.ts");
        const flags = process.versions.bun ? ["--preload", preload] : [
          "--experimental-transform-types",
          "--disable-warning=ExperimentalWarning",
          "--import",
          pathToFileURL(preload).href,
        ];
        const all = programs();
        assert(all.length >= 5);
        for (const [index, { name, text, packages = [], fails }] of all.entries()) {
          const missing = packages.map(missingExtra).find((one) => one !== undefined);
          if (missing !== undefined) {
            console.log(`SKIPPED ${name}: ${missing}`);
            continue;
          }
          for (const one of packages) {
            await mkdir(dirname(join(home.path, "node_modules", one)), { recursive: true });
            await symlink(
              join(EXTRA_FOLDER, "node_modules", one),
              join(home.path, "node_modules", one),
            );
          }
          const file = join(home.path, `program_${index}.ts`);
          await writeFile(file, text);
          const { code, output } = await runCommand([process.execPath, ...flags, file], {
            cwd: home.path,
            env: {
              HOME: home.path,
              PLANET_SANDBOX: sandbox.url,
              PL_API_KEY: "my-api-key",
              SANDBOX_API_KEY: sandbox.apiKey,
              SANDBOX_CLIENT_SECRET: sandbox.m2m.clientSecret,
            },
          });
          if (fails === undefined) assertEquals(code, 0, `${name}: ${output}`);
          else assertMatch(output, fails, name);
        }
      } finally {
        await home.remove();
      }
    }),
  {
    skip: "Deno" in globalThis
      ? "Deno finds the examples by itself, and once is enough"
      : undefined,
    timeoutMs: 300_000,
  },
);
