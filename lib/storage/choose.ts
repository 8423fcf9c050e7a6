/**
 * The choice of a store where it takes a closer look; `select.ts` has the quick one.
 *
 * Never causes a permission prompt.
 *
 * @module
 */

import { homeVariable, isGranted, readEnv, runtime } from "../runtime.ts";
import { type ChosenStorage, fileStorage, kvOpener, openFiles } from "./select.ts";

/** Why files cannot be used without asking somebody; `undefined`: they can. */
async function whyNoFiles(): Promise<string | undefined> {
  if (runtime === "other") return "this runtime has no files";
  const variable = homeVariable();
  if (!isGranted({ name: "env", variable })) return `--allow-env=${variable} is not granted`;
  const home = readEnv(variable);
  if (!home) return `the variable ${variable} is not set`;
  for (const name of ["read", "write"] as const) {
    const path = `${home}/.planet`;
    if (!isGranted({ name, path })) return `--allow-${name}=${path} is not granted`;
  }
  const files = await openFiles();
  // What is there already serves readers even where nothing can be written.
  if (await files.info(`${home}/.planet`).then(() => true, () => false)) return undefined;
  if (!isGranted({ name: "write", path: home }) || !isGranted({ name: "read", path: home })) return;
  if (await files.canAdd(home) === false) return `nothing can be written to the folder ${home}`;
}

async function openKv(reason: string): Promise<ChosenStorage | string> {
  const open = kvOpener();
  if (open === undefined) return "there is no Deno KV (Deno needs --unstable-kv)";
  try {
    const { KvStorage } = await import("./kv.ts");
    const kv = await open() as ConstructorParameters<typeof KvStorage>[0];
    return { storage: new KvStorage(kv), kind: "kv", location: "Deno KV", reason, durable: true };
  } catch (error) {
    return `Deno KV did not open (${error instanceof Error ? error.name : "unknown"})`;
  }
}

/**
 * Chooses a store by what is allowed here already: files that last, then Deno
 * KV, then memory. Deno KV comes first on Deno Deploy, where the disk does not last.
 */
export async function chooseClosely(): Promise<ChosenStorage> {
  const notes: string[] = [];
  const isDeploy = readEnv("DENO_DEPLOYMENT_ID") !== undefined;
  const noFiles = isDeploy ? "the disk of Deno Deploy does not last" : await whyNoFiles();
  if (noFiles === undefined) {
    return fileStorage();
  }
  notes.push(noFiles);
  const readers = isDeploy ? "" : "; other users of this machine may be able to read its file";
  const kv = await openKv(`Deno KV is there, and ${noFiles}${readers}`);
  if (typeof kv !== "string") return kv;
  notes.push(kv);
  const { MemoryStorage } = await import("./memory.ts");
  return {
    storage: new MemoryStorage(),
    kind: "memory",
    reason: `${notes.join("; ")}: state ends with the program`,
    durable: false,
  };
}
