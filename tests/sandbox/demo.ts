/**
 * Everything once, without a human (`deno task demo`): signs in by all three
 * flows against a local sandbox, lists the saved searches with each session,
 * shows a refresh, a second run that needs no login, and where the state lies;
 * then searches for an image and downloads it, over a connection that breaks.
 *
 * Ends with exit code 1 where any step fails. Prints no secret.
 *
 * @module
 */

import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import {
  type Asset,
  Auth,
  type AuthEvent,
  dataFilter,
  type DownloadProgress,
  FileStorage,
  type Item,
  Planet,
  PlanetOAuthScopes,
  Session,
  type SessionOptions,
} from "../../mod.ts";
import { approveDevice, signIn } from "./person.ts";
import { startSandbox } from "./sandbox.ts";

/** Longest time for all of it, in milliseconds. */
const LONGEST = 120_000;

/** Life of the token that the demo lets run out, in seconds. */
const SHORT_LIFE = 2;

let failures = 0;
let steps = 0;

function say(text: string): void {
  console.log(`      ${text}`);
}

/** Shows that something is being waited for, a dot every half second. */
async function waiting<T>(what: string, work: Promise<T>): Promise<T> {
  process.stdout.write(`      ${what} `);
  const timer = setInterval(() => process.stdout.write("."), 500);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    process.stdout.write("\n");
  }
}

async function step(title: string, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  console.log(`\n[${++steps}] ${title}`);
  try {
    await work();
    console.log(`    ok, ${((performance.now() - start) / 1000).toFixed(1)} s`);
  } catch (error) {
    failures++;
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    console.log(`    FAILED  ${reason}`);
  }
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}

async function listSearches(auth: Auth): Promise<void> {
  const names: string[] = [];
  for await (const search of new Planet(new Session(auth)).data.listSearches({ limit: 0 })) {
    names.push(String(search.name));
  }
  expect(names.length === 12, `Of 12 saved searches ${names.length} came.`);
  say(`${names.length} saved searches: ${names.slice(0, 4).join(", ")}, …`);
}

async function files(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    found.push(path);
    if (entry.isDirectory()) found.push(...await files(path));
  }
  return found.sort();
}

async function demo(): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "planet-demo-"));
  const sandbox = await startSandbox();
  const { clientId, environment, log, m2m, settings } = sandbox;
  const events: AuthEvent[] = [];
  const common = (profileName: string): SessionOptions => ({
    environment,
    profileName,
    storageProvider: new FileStorage({ root }),
    saveClientSecret: true,
    onEvent: (event) => events.push(event),
  });
  const requestedScopes = [PlanetOAuthScopes.PLANET, PlanetOAuthScopes.OFFLINE_ACCESS];
  const byCode = () =>
    Auth.fromOAuthUserAuthCode({
      clientId,
      callbackUrl: "http://localhost:0/callback",
      requestedScopes,
      ...common("demo-auth-code"),
    });
  const byDevice = () =>
    Auth.fromOAuthUserDeviceCode({ clientId, requestedScopes, ...common("demo-device-code") });
  const asService = () => Auth.fromOAuthM2M({ ...m2m, ...common("demo-m2m") });

  try {
    console.log("Planet sessions, end to end, against a sandbox on this machine.\n");
    say(`authorization server for people            ${environment.userAuthServer}`);
    say(`authorization server for service accounts  ${environment.m2mAuthServer}`);
    say(`Data API                                   ${environment.apiBaseUrl}`);

    await step("Authorization code + PKCE: a script is the person at the browser", async () => {
      const auth = byCode();
      let visit: Promise<unknown> | undefined;
      await waiting(
        "signing in",
        auth.ensureInitialized({
          allowOpenBrowser: true,
          timeoutMs: 30_000,
          ui: {
            openBrowser(url: URL): Promise<boolean> {
              visit = signIn(url).catch((error: unknown) => error);
              return Promise.resolve(true);
            },
          },
        }),
      );
      const failure = await visit;
      if (failure instanceof Error) throw failure;
      await listSearches(auth);
    });

    await step("Device code: the application shows the code itself", async () => {
      const auth = byDevice();
      const login = await auth.deviceUserLoginInitiate();
      say(`visit ${login.verification_uri} and enter ${login.user_code}`);
      await waiting(
        "waiting for the person",
        Promise.all([
          auth.deviceUserLoginComplete(login),
          approveDevice(login.verification_uri, login.user_code),
        ]),
      );
      await listSearches(auth);
    });

    await step("Client credentials: a service account, no explicit login", async () => {
      await listSearches(asService());
    });

    await step("Refresh: the token runs out, the session goes on", async () => {
      const auth = byCode();
      settings.accessTokenSeconds = SHORT_LIFE;
      await auth.accessToken({ forceRefresh: true });
      settings.accessTokenSeconds = 3600;
      log.reset();
      await waiting(
        `letting a token of ${SHORT_LIFE} s run out`,
        new Promise((resolve) => setTimeout(resolve, SHORT_LIFE * 1000 + 100)),
      );
      events.length = 0;
      await Promise.all([listSearches(auth), auth.accessToken(), auth.accessToken()]);
      const refreshes = log.count("token", "refresh_token");
      say(`token requests: ${refreshes}, for three callers at once`);
      say(`events: ${events.map(({ type }) => type).join(", ")}`);
      expect(refreshes === 1, "One expiry must cost one token request.");
      expect(sandbox.counters.reuseDetections === 0, "A refresh token was spent twice.");
    });

    await step("A second run: same storage, no login", async () => {
      log.reset();
      for (const auth of [byCode(), byDevice(), asService()]) {
        expect(await auth.isInitialized(), `${auth.profileName} is not signed in.`);
        await auth.ensureInitialized();
        await listSearches(auth);
      }
      say(`requests to the authorization servers: ${log.toAuthorizationServers}`);
      expect(log.toAuthorizationServers === 0, "A valid saved token needs no server.");
    });

    await step("Where the state lies", async () => {
      for (const path of await files(root)) {
        const { mode } = await stat(path);
        say(`${(mode & 0o777).toString(8).padStart(4, "0")}  ${relative(root, path)}`);
      }
      for (const auth of [byCode(), byDevice(), asService()]) {
        const { expiresAt = 0, flow, state, storage } = await auth.explain();
        const until = new Date(expiresAt).toISOString();
        say(`${auth.profileName}: ${flow}, ${storage}, ${state}, token good until ${until}`);
      }
      say("(in a folder of the demo; by default it is your home folder)");
    });

    const { data } = new Planet(new Session(asService()));
    const { api, storage } = sandbox;
    let item: Item | undefined;
    let asset: Asset | undefined;

    await step("Search: an image with a clear sky", async () => {
      const searchFilter = dataFilter.and([
        dataFilter.range("cloud_cover", { lt: 0.1 }),
        dataFilter.dateRange("acquired", { gte: new Date("2026-01-01T00:00:00Z") }),
        dataFilter.permission(),
      ]);
      const itemTypes = ["PSScene"];
      for await (item of data.search({ itemTypes, searchFilter, limit: 1 }));
      expect(item !== undefined, "Nothing was found.");
      say(`${item!.id}, acquired ${item!.properties.acquired}`);
      say(`its assets: ${Object.keys(await data.listItemAssets("PSScene", item!.id)).join(", ")}`);
    });

    await step("Activate and wait: the API makes the image available", async () => {
      api.activationMs = 1_200;
      api.assetBytes = 6 << 20;
      asset = await data.getAsset("PSScene", item!.id, "ortho_analytic_4b");
      const sent = await data.activateAsset(asset);
      const onState = (state: string) => say(`the asset is ${state}`);
      asset = await data.waitAsset(asset, { delayMs: 500, timeoutMs: 30_000, onState });
      expect(sent && asset.status === "active", "The asset was not activated.");
    });

    await step("Download: the connection breaks in the middle, the download goes on", async () => {
      storage.settings.breaks = [{ after: 2_500_000, how: "cut" }];
      storage.settings.pauseMs = 10;
      log.reset();
      const directory = join(root, "images");
      const onProgress = ({ received, resumed, total = 0 }: DownloadProgress) => {
        const tenth = Math.floor(received / total * 10);
        if (tenth === told) return;
        told = tenth;
        const bar = "#".repeat(tenth).padEnd(10, ".");
        say(`[${bar}] ${(received / 1e6).toFixed(1)} MB${resumed ? ", resumed" : ""}`);
      };
      let told = -1;
      const file = await data.downloadAsset(asset!, { directory, onProgress });
      storage.settings.pauseMs = 0;
      const [first, second] = log.entries.filter(({ kind }) => kind === "storage");
      say(`${file.bytes} bytes, MD5 ${file.md5}`);
      say(`asked for twice: all of it, then ${second?.headers.range}`);
      expect(first !== undefined && second?.headers.range !== undefined, "It did not go on.");
      expect(file.resumed && file.bytes === api.assetBytes, "The file is not whole.");
      expect(storage.counters.authorizations === 0, "The storage saw the token.");
      await data.validateChecksum(asset!, file.path);
      say(`read again and checked: ${relative(root, file.path)}`);
      const again = await data.downloadAsset(asset!, { directory });
      expect(again.kept, "A second run must keep a whole file.");
      say("a second run keeps it");
    });

    await step("Logout: revoked at the server, forgotten here", async () => {
      const auth = byCode();
      await auth.logout();
      expect(log.count("revoke") === 1, "The server was not told.");
      expect(!(await auth.isInitialized()), "The session is still there.");
      say("the server revoked the session; the next run asks the person again");
    });
  } finally {
    await sandbox.close();
    await rm(root, { recursive: true, force: true });
  }
}

const watchdog = setTimeout(() => {
  console.error(`\nThe demo took longer than ${LONGEST / 1000} s.`);
  process.exit(1);
}, LONGEST);
try {
  await demo();
} catch (error) {
  failures++;
  console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
} finally {
  clearTimeout(watchdog);
}
console.log(`\n${steps} steps, ${failures} failed.`);
process.exit(failures === 0 && steps > 0 ? 0 : 1);
