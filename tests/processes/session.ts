/**
 * A session in files, made by a real sign-in, for many processes to share.
 *
 * @module
 */

import { Auth, FileStorage, type ObjectStorageProvider } from "../../mod.ts";
import { approveDevice } from "../sandbox/person.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../sandbox/sandbox.ts";
import type { WorkerSetup } from "./workers.ts";
import { secret } from "../_support/canaries.ts";
import { tempFolder } from "../_support/temp_folder.ts";

/** Name of the profile. */
export const PROFILE = "shared";
/** Key of its token object. */
export const TOKEN_KEY: string = `.planet/${PROFILE}/token.json`;

/** A sandbox and a folder. */
export interface SharedSession {
  /** The servers. */
  readonly sandbox: Sandbox;
  /** The folder. */
  readonly root: string;
  /** The store over it. */
  readonly storage: ObjectStorageProvider;
  /** What a worker needs for the person's session. */
  readonly user: WorkerSetup;
  /** What a worker needs for the service account's session. */
  readonly service: WorkerSetup;
  /** Signs in, by device code. */
  signIn(storage?: ObjectStorageProvider): Promise<void>;
  /** Makes the stored access token look expired. */
  expire(storage?: ObjectStorageProvider): Promise<void>;
  /** Ends all of it. */
  close(): Promise<void>;
}

/** Makes a sandbox and an empty folder. */
export async function sharedSession(options: SandboxOptions = {}): Promise<SharedSession> {
  const sandbox = await startSandbox({ deviceInterval: 1, ...options });
  const { path: root, remove } = await tempFolder({ unwatched: /^(kv\.db|\.planet-demo\/)/ });
  const files = new FileStorage({ root });
  const { clientId, environment, m2m } = sandbox;
  return {
    sandbox,
    root,
    storage: files,
    user: { environment, clientId, profileName: PROFILE, root },
    service: { environment, ...m2m, profileName: PROFILE, root },
    async signIn(storage = files) {
      const auth = Auth.fromOAuthUserDeviceCode({
        clientId,
        environment,
        profileName: PROFILE,
        storageProvider: storage,
        clock: { now: () => Date.now(), sleep: () => Promise.resolve() },
      });
      const info = await auth.deviceUserLoginInitiate();
      await approveDevice(info.verification_uri_complete!);
      await auth.deviceUserLoginComplete(info);
      sandbox.log.reset();
    },
    async expire(storage = files) {
      const stored = await storage.load(TOKEN_KEY);
      // The claims of a JWT would win over what is saved beside it.
      await storage.save(TOKEN_KEY, {
        ...stored,
        access_token: secret("expired"),
        _iat: 1,
        _exp: 2,
      });
    },
    async close() {
      await sandbox.close();
      await remove();
    },
  };
}

/**
 * Holds the first token request back from when it has been `asked` until it may `goOn`, and answers it
 * then with tokens that come too late.
 */
export function holdFirstRenewal(
  { settings }: Sandbox,
): { asked: Promise<void>; goOn: () => void } {
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let requests = 0;
  settings.fault = async ({ kind }) => {
    if (kind !== "token" || ++requests > 1) return undefined;
    asked.resolve();
    await goOn.promise;
    const [access_token, refresh_token] = [secret("late"), secret("late")];
    return {
      status: 200,
      body: { access_token, refresh_token, token_type: "Bearer", expires_in: 3600 },
    };
  };
  return { asked: asked.promise, goOn: goOn.resolve };
}
