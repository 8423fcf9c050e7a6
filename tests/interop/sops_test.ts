/**
 * Profiles whose files the program `sops` encrypts: the real program, on every runtime.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Auth, AuthError, FileStorage } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { withVariables } from "../_support/variables.ts";
import { PYTHON_BIN } from "../_tools/python.ts";
import { withSandbox } from "../sandbox/sandbox.ts";
import { ageKey } from "./age.ts";
import { PythonSession, pythonVariables, SKIP, startProgram } from "./python.ts";

const options = { ...(SKIP === undefined ? {} : { skip: SKIP }), timeoutMs: 90_000 };
const PATH = process.env.PATH ?? "";

/** A `sops` that first looks for clear text in the home folder, and writes down what it found. */
async function watchfulSops(folder: string, home: string, text: string): Promise<string> {
  const bin = join(folder, "bin");
  await mkdir(bin);
  const script = `#!/bin/sh
echo "run" >> '${folder}/runs'
grep -rl '${text}' '${home}' >> '${folder}/found'
exec '${PYTHON_BIN}/sops' "$@"
`;
  await writeFile(join(bin, "sops"), script);
  await chmod(join(bin, "sops"), 0o700);
  return bin;
}

test(
  "Auth reads and renews a session that Python has encrypted with sops, and never puts clear text on the disk",
  async () => {
    const folder = await tempFolder();
    const home = join(folder.path, "home");
    await mkdir(home);
    const { identity, recipient } = await ageKey();
    const keys = { SOPS_AGE_KEY: identity };
    const forPython = { ...keys, SOPS_AGE_RECIPIENTS: recipient };
    const python = new PythonSession(pythonVariables(home, forPython));
    try {
      await withSandbox(async ({ environment, log, m2m, url }) => {
        const config = {
          _hidden: true,
          audiences: [...environment.audiences],
          auth_server: environment.m2mAuthServer,
          client_id: m2m.clientId,
          client_secret: m2m.clientSecret,
          client_type: "oidc_client_credentials_secret",
          scopes: [],
          unknown: { kept: [1.5, null, "ä"] },
        };
        const token = {
          access_token: secret("old"),
          token_type: "Bearer",
          _iat: 1,
          _exp: 2,
        };
        for (const [name, value] of Object.entries({ auth_client: config, token })) {
          const path = `.planet/safe/${name}.sops.json`;
          await python.ask({ call: "write", home, path, json: JSON.stringify(value) });
        }
        const bin = await watchfulSops(folder.path, home, 'access_token": "ey');
        // No .sops.yaml and no recipients here: the file says whom it is for.
        const variables = { ...keys, PATH: `${bin}:${PATH}` };
        await withVariables(variables, async () => {
          const storageProvider = new FileStorage({ root: home });
          const auth = await Auth.fromProfile("safe", { environment, storageProvider });
          const token = await auth.accessToken();
          assertEquals(log.count("token"), 1);
          assert((await auth.explain()).storageReason.includes("sops"));
          // Another program, later: no request.
          const again = await Auth.fromProfile("safe", { environment, storageProvider });
          assertEquals([await again.accessToken(), log.count("token")], [token, 1]);
          const text = await readFile(join(home, ".planet/safe/token.sops.json"), "utf8");
          assert(!text.includes(token) && text.includes("ENC["), text);
          assertEquals((await readdir(join(home, ".planet/safe"))).sort(), [
            "auth_client.sops.json",
            "discovery.json",
            "token.sops.json",
          ]);
          const answer = await python.ask({
            call: "call",
            home,
            profile: "safe",
            url: `${url}/data/v1/searches`,
          });
          assertEquals(answer, { status: 200, authorization: `Bearer ${token}` });
          const path = join(home, ".planet/safe/token.sops.json");
          const { stdout } = await startProgram("sops", ["-d", path], pythonVariables(home, keys))
            .done;
          const { _exp, access_token } = JSON.parse(stdout);
          assertEquals([access_token, Number.isInteger(_exp) && _exp > 1_795_000_000], [
            token,
            true,
          ]);
          await auth.logout();
          assertEquals((await readdir(join(home, ".planet/safe"))).sort(), [
            "auth_client.sops.json",
            "discovery.json",
          ]);
        });
        const runs = (await readFile(join(folder.path, "runs"), "utf8")).split("\n").length - 1;
        assert(runs >= 4, `${runs} runs of sops`);
        assertEquals(await readFile(join(folder.path, "found"), "utf8"), "");
      });
    } finally {
      await python.close();
      await folder.remove();
    }
  },
  options,
);

test("Auth says what is wrong where sops is missing, or has no key", async () => {
  const folder = await tempFolder();
  const root = folder.path;
  try {
    const { recipient } = await ageKey();
    const python = new PythonSession(pythonVariables(root, { SOPS_AGE_RECIPIENTS: recipient }));
    const members = JSON.stringify({ client_type: "none" });
    const path = ".planet/safe/auth_client.sops.json";
    await python.ask({ call: "write", home: root, path, json: members });
    await python.close();
    const open = () => Auth.fromProfile("safe", { storageProvider: new FileStorage({ root }) });
    for (
      const [path, said] of [[join(root, "empty"), "Install sops"], [
        `${PYTHON_BIN}:${PATH}`,
        "sops -d",
      ]]
    ) {
      // An identity that opens nothing of this file.
      const { identity } = await ageKey();
      await withVariables({ PATH: path!, SOPS_AGE_KEY: identity }, async () => {
        const error = await assertRejects(open, AuthError);
        assertEquals(error.code, "storage_failed");
        assert(error.message.includes(said!), error.message);
      });
    }
  } finally {
    await folder.remove();
  }
}, options);
