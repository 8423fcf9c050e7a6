// A small command line tool: login [--device], logout, whoami, token, searches, search, download, orders.
// State is in ~/.planet, as the planet command line has it; with --keychain, which each command then
// needs, encrypted in ~/.my-planet, by a key in the keychain of the system.
// bun run examples/bun_cli.ts login
// As one file: bun build --compile --outfile my-planet examples/bun_cli.ts
import { homedir } from "node:os";
import process from "node:process";
import {
  Auth,
  dataFilter,
  EncryptedStorage,
  FileStorage,
  Planet,
  PlanetError,
  terminalProgress,
} from "../mod.ts";
import { callbackUrl, clientId, environment, sayAndEnd } from "./_environment.ts";
import { keychainKey } from "./_keychain_key.ts";

const USAGE = `Usage: my-planet login [--device] | logout | whoami | token | searches
       my-planet search ITEM_TYPE             ten images with a clear sky
       my-planet download ITEM_TYPE ITEM_ID ASSET_TYPE [FOLDER]
       my-planet orders                       the orders, the latest first
       my-planet orders ORDER_ID [FOLDER]     waits for one and downloads its files
       --keychain, with each: encrypted, by a key in the system's keychain`;

/** Where the key lies in the keychain. */
const KEY = { service: "my-planet", account: "storage-key" };

/** Files that only this program reads. */
async function encrypted(): Promise<EncryptedStorage> {
  const files = new FileStorage({ root: `${homedir()}/.my-planet` });
  return new EncryptedStorage(files, await keychainKey(files, KEY));
}

const words = process.argv.slice(2);
const [command, ...flags] = words.filter((word) => word !== "--keychain");
const who = {
  clientId: clientId(),
  profileName: "example-bun-cli",
  storageProvider: words.includes("--keychain") ? await encrypted().catch(sayAndEnd) : undefined,
  environment,
};
const auth = flags.includes("--device")
  ? Auth.fromOAuthUserDeviceCode(who)
  : Auth.fromOAuthUserAuthCode({ ...who, callbackUrl });
const { data, orders } = new Planet(auth);

/** Lists images, the latest first. */
async function search(itemType: string): Promise<void> {
  const searchFilter = dataFilter.and([
    dataFilter.range("cloud_cover", { lt: 0.1 }),
    dataFilter.permission(),
  ]);
  const itemTypes = [itemType];
  for await (
    const { id, properties } of data.search({
      itemTypes,
      searchFilter,
      sort: "acquired desc",
      limit: 10,
    })
  ) {
    console.log(`${id}  ${properties.acquired}`);
  }
}

/** Downloads an asset, which may have to be made available before; a second run goes on. */
async function download([itemType, itemId, assetType, directory]: string[]): Promise<void> {
  const asset = await data.getAsset(itemType!, itemId!, assetType!);
  await data.activateAsset(asset);
  const ready = await data.waitAsset(asset, { onState: (state) => console.error(state) });
  const { path } = await data.downloadAsset(ready, {
    directory,
    onProgress: terminalProgress(),
  });
  console.log(path);
}

/** Waits for an order and downloads its files; a second run goes on. */
async function downloadOrder(orderId: string, directory?: string): Promise<void> {
  await orders.wait(orderId, { onState: (state) => console.error(state) });
  const onProgress = terminalProgress();
  const files = await orders.downloadOrder(orderId, { directory, onProgress });
  for (const { path } of files) console.log(path);
}

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
      for await (const search of data.listSearches({ limit: 0 })) {
        console.log(`${search.id}  ${search.name}`);
      }
      return 0;
    case "search":
      if (flags.length !== 1) break;
      await search(flags[0]!);
      return 0;
    case "download":
      if (flags.length < 3) break;
      await download(flags);
      return 0;
    case "orders":
      if (flags[0] !== undefined) await downloadOrder(flags[0], flags[1]);
      else {
        for await (const { id, name, state } of orders.listOrders({ limit: 0 })) {
          console.log(`${id}  ${state}  ${name}`);
        }
      }
      return 0;
  }
  console.error(USAGE);
  return 2;
}

try {
  process.exitCode = await main();
} catch (error) {
  // What these errors say is meant for the person, and holds no secret.
  if (!(error instanceof PlanetError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
