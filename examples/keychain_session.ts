// Signs in as a service account and lists the saved searches. State is in files of the application's
// own, encrypted; the key is in the keychain of the system.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com --allow-run=secret-tool --allow-env --allow-read=$HOME/.planet-encrypted --allow-write=$HOME/.planet-encrypted examples/keychain_session.ts
import process from "node:process";
import { Auth, EncryptedStorage, FileStorage, Planet, Session } from "../mod.ts";
import { environment, sayAndEnd, serviceAccount } from "./_environment.ts";
import { keychainKey } from "./_keychain_key.ts";

const files = new FileStorage({
  root: `${process.env.HOME ?? process.env.USERPROFILE}/.planet-encrypted`,
});
const key = await keychainKey(files, { service: "planet-example", account: "storage-key" })
  .catch(sayAndEnd);
const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  profileName: "example-keychain",
  saveStateToStorage: true,
  storageProvider: new EncryptedStorage(files, key),
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
