/**
 * One process of many that share a session; `workers.ts` starts it and talks to it by lines.
 *
 * Prints `ready` when it is loaded. Then, for each line that it reads: `token` asks for the
 * access token, `refresh` for another one, `login` signs in where that is needed and tells on the
 * standard error output which URL it would open; it answers with one line of JSON that holds the
 * outcome and a fingerprint of the token. The end of the input ends it.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { Auth, AuthError, FileStorage, type ObjectStorageProvider } from "../../mod.ts";
import type { WorkerSetup } from "./workers.ts";

const setup: WorkerSetup = JSON.parse(process.env.WORKER_SETUP ?? "{}");

async function openStorage(): Promise<ObjectStorageProvider> {
  if (setup.demo) {
    const { DemoStorage } = await import("../../examples/_demo_storage.ts");
    process.env.HOME = setup.root!;
    return new DemoStorage();
  }
  if (setup.engine !== undefined) {
    const { openShared } = await import("./shared.ts");
    return await openShared(setup.engine);
  }
  if (setup.kv === undefined) return new FileStorage({ root: setup.root! });
  const { KvStorage } = await import("../../mod.ts");
  const { openKv } = await import("../_support/kv.ts");
  for (let attempt = 0;; attempt++) {
    try {
      return new KvStorage(await openKv(setup.kv, setup.kvToken));
    } catch (error) {
      // Opening is the application's part; many at once find the file locked.
      if (attempt === 100 || !String(error).includes("locked")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 30));
    }
  }
}

const common = {
  profileName: setup.profileName,
  environment: setup.environment,
  storageProvider: await openStorage(),
};
const auth = setup.clientSecret === undefined
  ? Auth.fromOAuthUserDeviceCode({
    clientId: setup.clientId,
    requestedScopes: setup.requestedScopes,
    ...common,
  })
  : Auth.fromOAuthM2M({ clientId: setup.clientId, clientSecret: setup.clientSecret, ...common });

async function fingerprint(token: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return Array.from(new Uint8Array(digest, 0, 8), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

const ui = {
  show: () => {},
  openBrowser: (url: URL) => {
    console.error(`OPEN ${url}`);
    return Promise.resolve(true);
  },
};

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  try {
    if (line === "login") await auth.ensureInitialized({ allowOpenBrowser: true, ui });
    const token = await auth.accessToken({ forceRefresh: line === "refresh" });
    console.log(JSON.stringify({ token: await fingerprint(token) }));
  } catch (error) {
    const { code, message, cause } = error instanceof AuthError
      ? error
      : { code: "unexpected", message: String(error), cause: undefined };
    const shown = cause === undefined ? message : `${message} (${cause})`;
    console.log(JSON.stringify({ code, message: shown }));
  }
}
process.exit(0);
