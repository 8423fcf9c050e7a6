// The key that encrypts stored sessions, in the keychain of the system: 44 characters there, and the
// sessions in files, since tokens are longer than keychains take, and only files have a lock and
// change as a whole. It protects copies and backups; a program of the same user can ask the keychain
// as well. The planet command line and the SDK for Python cannot read such files.
//
// Bun asks by Bun.secrets (Linux, macOS, Windows); Deno and Node by secret-tool on Linux (Debian's
// libsecret-tools) and by security on macOS. All find the same key. Tried on Linux; macOS and Windows
// are as their documentation says.
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { AuthError, type ObjectStorageProvider } from "../mod.ts";

/** A store with a lock, such as FileStorage. */
type LockedStorage = ObjectStorageProvider & Required<Pick<ObjectStorageProvider, "withLock">>;

/** Where the key lies in the keychain. */
export interface KeychainItem {
  /** Your program; letters, digits, `.`, `_` and `-`. */
  service: string;
  /** What the key is for; the same characters. */
  account: string;
}

/** A keychain as it is used here: `undefined` means not found, or locked. */
interface Keychain {
  get(): Promise<string | undefined>;
  set(value: string): Promise<void>;
}

/** The calls of Bun that are used. */
interface BunLike {
  secrets: {
    get(item: { service: string; name: string }): Promise<string | null>;
    set(item: { service: string; name: string; value: string }): Promise<void>;
  };
}

/** Longest wait for a keychain, which may ask a person to unlock it, in milliseconds. */
const LONGEST_MS = 60_000;
/** Both parts of an item, safe in the words that `security` reads. */
const NAME = /^[\w.-]{1,64}$/;
const INSTEAD = "or pass EncryptedStorage a key of deriveStorageKey()";

/** The error of a keychain that cannot be used; it never holds the key. */
function failed(what: string, cause?: unknown): AuthError {
  return new AuthError("storage_failed", `Unlock the keychain, ${INSTEAD}: ${what}.`, { cause });
}

/** Runs a program with a secret on its standard input, where no other program sees it. */
async function run(program: string, args: string[], input = ""): Promise<[number, string, string]> {
  const texts = { stdout: "", stderr: "" };
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let child: ChildProcess;
  try {
    child = spawn(program, args, { stdio: "pipe", timeout: LONGEST_MS });
  } catch (cause) {
    throw failed(`${program} could not be started`, cause);
  }
  child.once("error", reject);
  child.once("close", (code) => resolve(code ?? -1));
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.setEncoding("utf8").on("data", (text: string) => texts[name] += text);
  }
  // Who ends without reading says why on stderr.
  child.stdin!.once("error", () => {}).end(input);
  try {
    return [await promise, texts.stdout, texts.stderr.trim()];
  } catch (cause) {
    throw failed(`${program} could not be started; is it installed?`, cause);
  }
}

/** Linux: the Secret Service, by secret-tool, under the name that Bun gives the item. */
function secretTool({ service, account }: KeychainItem): Keychain {
  const item = ["xdg:schema", "com.oven-sh.bun.Secret", "service", service, "account", account];
  return {
    async get() {
      const [code, value, said] = await run("secret-tool", ["lookup", ...item]);
      // It says nothing if there is none, or if it is locked.
      if (code !== 0 && said.includes("secret-tool:")) throw failed(said);
      return code === 0 ? value : undefined;
    },
    async set(value) {
      const args = ["store", `--label=${service}`, ...item];
      const [code, , said] = await run("secret-tool", args, value);
      // Too long a secret is cut, told on stderr, and ends with 0.
      if (code !== 0 || said.includes("secret-tool:") || said.includes("too long")) {
        throw failed(said || `secret-tool ended with ${code}`);
      }
    },
  };
}

/** macOS: the login keychain, by security; its command line would show the secret to all. */
function security({ service, account }: KeychainItem): Keychain {
  return {
    async get() {
      const words = ["find-generic-password", "-s", service, "-a", account, "-w"];
      const [code, value, said] = await run("security", words);
      if (code === 44) return undefined;
      if (code !== 0) throw failed(said || `security ended with ${code}`);
      return value.trim();
    },
    async set(value) {
      const words = ["add-generic-password", "-U", "-s", service, "-a", account, "-w", value];
      const [code, , said] = await run("security", ["-i"], `${words.join(" ")}\n`);
      if (code !== 0 || said !== "") throw failed("security did not store the key");
    },
  };
}

/** All systems: what Bun brings along. */
function ofBun({ secrets }: BunLike, { service, account }: KeychainItem): Keychain {
  const bounded = async <T>(work: Promise<T>): Promise<T> => {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("It did not answer.")), LONGEST_MS);
    try {
      return await Promise.race([work, promise]);
    } catch (cause) {
      throw failed(cause instanceof Error ? cause.message : "it failed", cause);
    } finally {
      clearTimeout(timer);
    }
  };
  const item = { service, name: account };
  return {
    get: async () => await bounded(secrets.get(item)) ?? undefined,
    set: (value) => bounded(secrets.set({ ...item, value })),
  };
}

function keychainOf(item: KeychainItem): Keychain {
  const { Bun: bun } = globalThis as { Bun?: BunLike };
  if (bun !== undefined) return ofBun(bun, item);
  if (process.platform === "linux") return secretTool(item);
  if (process.platform === "darwin") return security(item);
  throw new AuthError(
    "unsupported_runtime",
    `Run with Bun, ${INSTEAD}: on ${process.platform} only Bun reaches the keychain.`,
  );
}

/**
 * The key of `item`, made and kept in the keychain at the first call; one key whatever comes at once.
 *
 * Beside the files a note holds 8 bytes of the key's hash: a locked keychain looks like an empty one,
 * and a new key would leave every file behind that the old one wrote. Each folder has an item of its
 * own.
 *
 * @param files The files that will be encrypted; their lock is used, and they hold the note.
 * @param item Where the key lies.
 * @throws {AuthError} `storage_failed` if the keychain is locked, not there, or holds another key;
 *   `unsupported_runtime` on Windows but for Bun.
 */
export async function keychainKey(files: LockedStorage, item: KeychainItem): Promise<CryptoKey> {
  const { service, account } = item;
  if (!NAME.test(service) || !NAME.test(account)) {
    throw new TypeError("service and account must be of letters, digits, '.', '_' and '-'.");
  }
  const keychain = keychainOf(item);
  const note = `.planet/keychain-${service}-${account}.json`;
  const noted = (await files.load(note))?.key_hash;
  if (noted !== undefined) return await take(await keychain.get(), noted, note);
  return await files.withLock(note, async () => {
    // Another program may have been first.
    const noted = (await files.load(note))?.key_hash;
    let found = await keychain.get();
    if (found === undefined && noted === undefined) {
      const bytes = crypto.getRandomValues(new Uint8Array(32));
      await keychain.set(btoa(String.fromCharCode(...bytes)));
      found = await keychain.get();
      if (found !== btoa(String.fromCharCode(...bytes))) throw failed("it did not keep the key");
    }
    const key = await take(found, noted, note);
    if (noted === undefined) await files.save(note, { key_hash: await hash(found!) });
    return key;
  });
}

/** Eight bytes of a key's hash, in hexadecimal digits. */
async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest, 0, 8)].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** Makes a key of what the keychain holds, if it is the one that was noted. */
async function take(found: string | undefined, noted: unknown, note: string): Promise<CryptoKey> {
  if (found === undefined) {
    throw failed(`it is locked, or the key is gone (then delete ${note} and sign in again)`);
  }
  if (noted !== undefined && await hash(found) !== noted) {
    throw failed("it holds another key than the one that wrote the files");
  }
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.from(atob(found), (unit) => unit.charCodeAt(0));
  } catch {
    bytes = new Uint8Array();
  }
  if (bytes.length !== 32) throw failed("what it holds under this name is no key");
  return await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}
