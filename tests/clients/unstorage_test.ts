/**
 * The provider of `examples/unstorage_provider.ts` over the real unstorage, in memory and in files.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import {
  redisOf,
  type UnstorageLike,
  UnstorageProvider,
} from "../../examples/unstorage_provider.ts";
import { Auth, AuthError, SharedStorage } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { missingEngine, startEngine } from "../_support/engines.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { EXTRA_FOLDER, missingExtra } from "../_tools/extra.ts";
import { withSandbox } from "../sandbox/sandbox.ts";

type Driver = { readonly name?: string };
type Create = (options?: { driver: Driver }) => UnstorageLike;

const KEY = ".planet/my-app/token.json";
const OTHER = ".planet/my-app/other.json";
const require = createRequire(`${EXTRA_FOLDER}package.json`);

/** Imports an entry point of unstorage as its users do. */
async function load<T>(entry: string): Promise<T> {
  return await import(pathToFileURL(require.resolve(entry)).href);
}

/** Runs `body` with a provider over each of two drivers; `again` opens the same data anew. */
async function withProviders(
  body: (provider: UnstorageProvider, again: () => UnstorageProvider) => Promise<void>,
): Promise<void> {
  const { createStorage } = await load<{ createStorage: Create }>("unstorage");
  const memory = createStorage();
  await body(new UnstorageProvider(memory), () => new UnstorageProvider(memory));
  const folder = await tempFolder();
  try {
    const { default: fsDriver } = await load<{ default: (options: object) => Driver }>(
      "unstorage/drivers/fs-lite",
    );
    const open = () =>
      new UnstorageProvider(createStorage({ driver: fsDriver({ base: folder.path }) }));
    await body(open(), open);
  } finally {
    await folder.remove();
  }
}

const OPTIONS = { skip: missingExtra("unstorage") };

test(
  "UnstorageProvider loads what was saved, renames and deletes it",
  () =>
    withProviders(async (provider, again) => {
      const object = { access_token: secret("a"), list: [1, null, { deep: "é" }], text: "12" };
      assertEquals([await provider.load(KEY), await provider.exists(KEY)], [undefined, false]);
      const error = await assertRejects(() => provider.mtime(KEY), AuthError);
      assertEquals(error.code, "storage_not_found");
      const before = Date.now();
      await provider.save(KEY, object);
      assertEquals([await again().load(KEY), await again().exists(KEY)], [object, true]);
      const time = await again().mtime(KEY);
      assert(before <= time && time <= Date.now(), `${time} is no time of now.`);
      await provider.rename(KEY, OTHER);
      assertEquals([await provider.load(KEY), await provider.load(OTHER)], [undefined, object]);
      assertEquals(await provider.mtime(OTHER), time);
      await provider.delete(OTHER);
      assertEquals(await again().exists(OTHER), false);
    }),
  OPTIONS,
);

test(
  "UnstorageProvider keeps a session for the next program",
  () =>
    withSandbox((sandbox) =>
      withProviders(async (provider, again) => {
        const { environment, m2m } = sandbox;
        sandbox.log.reset();
        const first = Auth.fromOAuthM2M({ ...m2m, environment, storageProvider: provider });
        const tokens = await Promise.all(Array.from({ length: 20 }, () => first.accessToken()));
        const second = Auth.fromOAuthM2M({ ...m2m, environment, storageProvider: again() });
        assertEquals(new Set([...tokens, await second.accessToken()]).size, 1);
        assertEquals(sandbox.log.count("token"), 1);
      })
    ),
  {
    ...OPTIONS,
    breaks: [{
      rule: "file mode",
      where: "",
      why: "The fs driver of unstorage makes files for all to read; the example says so.",
    }],
  },
);

test(
  "redisOf() gives a SharedStorage the Redis of an unstorage, with the lock",
  async () => {
    const { createStorage } = await load<{ createStorage: Create }>("unstorage");
    const { default: redisDriver } = await load<{ default: (options: object) => Driver }>(
      "unstorage/drivers/redis",
    );
    const engine = await startEngine("Redis");
    const open = () =>
      createStorage({ driver: redisDriver({ url: `redis://127.0.0.1:${engine.port}` }) }) as
        & UnstorageLike
        & Parameters<typeof redisOf>[0]
        & { dispose(): Promise<void> };
    const storages = [open(), open()];
    try {
      const shared = storages.map((storage) => new SharedStorage(redisOf(storage)));
      await shared[0]!.save(KEY, { n: 0 });
      await Promise.all(Array.from({ length: 20 }, (_, i) => {
        const storage = shared[i % 2]!;
        return storage.withLock(KEY, async () => {
          await storage.save(KEY, { n: Number((await storage.load(KEY))!.n) + 1 });
        });
      }));
      assertEquals(await shared[1]!.load(KEY), { n: 20 });
    } finally {
      await Promise.all(storages.map((storage) => storage.dispose()));
      await engine.close();
    }
  },
  { skip: missingExtra("unstorage") ?? missingEngine("Redis") },
);
