// Changes one encrypted file under the lock, again and again, with the key from the keychain.
import process from "node:process";
import { keychainKey } from "../../examples/_keychain_key.ts";
import { EncryptedStorage, FileStorage } from "../../mod.ts";

const [root, rounds] = process.argv.slice(2) as [string, string];
const KEY = ".planet/p/token.json";
const files = new FileStorage({ root });
const key = await keychainKey(files, { service: "planet-test", account: "storage-key" });
const storage = new EncryptedStorage(files, key);
for (let i = 0; i < Number(rounds); i++) {
  await storage.withLock!(KEY, async () => {
    const n = Number((await storage.load(KEY))?.n ?? 0);
    await storage.save(KEY, { n: n + 1, pad: "x".repeat(8_000) });
  }, { timeoutMs: 60_000 });
}
