// A small command line tool: login [--device], logout, whoami, token, searches.
// State is in ~/.planet, as the planet command line has it.
// bun run examples/bun_cli.ts login
// As one file: bun build --compile --outfile my-planet examples/bun_cli.ts
import process from "node:process";
import { ApiError, Auth, AuthError, Planet, Session } from "../mod.ts";
import { callbackUrl, clientId, environment } from "./_environment.ts";

const USAGE = "Usage: my-planet login [--device] | logout | whoami | token | searches";

const [command, ...flags] = process.argv.slice(2);
const who = { clientId: clientId(), profileName: "example-bun-cli", environment };
const auth = flags.includes("--device")
  ? Auth.fromOAuthUserDeviceCode(who)
  : Auth.fromOAuthUserAuthCode({ ...who, callbackUrl });

/** Does what the command says; the answer is the exit code. */
async function main(): Promise<number> {
  switch (command) {
    case "login":
      await auth.userLogin({ allowOpenBrowser: true, allowTtyPrompt: true });
      return 0;
    case "logout":
      await auth.logout();
      console.error("Signed out.");
      return 0;
    case "whoami":
      console.log(JSON.stringify(await auth.explain(), null, 2));
      return await auth.isInitialized() ? 0 : 1;
    case "token":
      console.log(await auth.accessToken());
      return 0;
    case "searches":
      for await (const search of new Planet(new Session(auth)).data.listSearches({ limit: 0 })) {
        console.log(`${search.id}  ${search.name}`);
      }
      return 0;
    default:
      console.error(USAGE);
      return 2;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  // What these errors say is meant for the person, and holds no secret.
  if (!(error instanceof AuthError || error instanceof ApiError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
