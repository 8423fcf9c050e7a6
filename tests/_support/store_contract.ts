/**
 * What every store must do, as one suite that each store's test file runs.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError, type AuthErrorCode } from "../../lib/errors.ts";
import type { JsonObject, ObjectStorageProvider } from "../../lib/storage/objects.ts";
import { test } from "./harness.ts";

/** A store for one test, and how to end it. */
export interface MadeStore {
  /** The store, empty. */
  readonly storage: ObjectStorageProvider;
  /** A second view of the same content, as another process would have; optional. */
  readonly sibling?: ObjectStorageProvider;
  /** Puts something under a key that the store cannot read; optional. */
  spoil?(key: string): Promise<void>;
  /** Ends it; nothing stays behind. */
  close(): Promise<void> | void;
}

/** Options of the suite. */
export interface ContractOptions {
  /** Why the store cannot run here. */
  readonly skip?: string | undefined;
  /** Clients of others are at work: see `TestOptions`. */
  readonly foreign?: boolean;
  /** The store leaves out the top-level members that are `null`, as Python's files do. */
  readonly dropsNulls?: boolean;
  /** The store has the five methods of the Python SDK only, and leaves keys and values unchecked. */
  readonly fiveMethods?: boolean;
}

const KEY = ".planet/my-app/token.json";
const OTHER = ".planet/my-app/auth_client.json";
const SECRET = "s3cr3t-value";
/** What may lie under any key. */
const PLAIN: JsonObject = {
  expires_in: 3600,
  nested: { list: [1, "two", null, { deep: true }], ratio: 0.5, empty: {}, none: [] },
  text: 'é\u{1f30d} "quoted" \\ \n\u0007',
  truth: false,
};
const VALUE: JsonObject = { access_token: SECRET, ...PLAIN };

/** Keys that no store accepts. */
export const BAD_KEYS: readonly string[] = [
  "",
  "/etc/passwd",
  "../token.json",
  "a/../b",
  "a/./b",
  "a//b",
  "a/",
  "a\\b",
  "C:/x",
  "a\0b",
  "a\nb",
  "a/con",
  "a/NUL.json",
  "a/b.",
  "a/b ",
  "a/token.json.lock",
  "\ud800",
  "x".repeat(201),
  "a/".repeat(600) + "b",
];

/** Asserts that `work` fails with an `AuthError` of `code` that shows no secret. */
export async function assertAuthError(
  work: () => Promise<unknown>,
  code: AuthErrorCode,
): Promise<AuthError> {
  const error = await assertRejects(work, AuthError);
  assertEquals(error.code, code);
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    assert(!`${e.message}${e.stack}`.includes(SECRET), "an error shows a secret");
  }
  return error;
}

async function keys(storage: ObjectStorageProvider, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const key of storage.list!(prefix)) found.push(key);
  return found.sort();
}

/** Runs the suite for the stores that `make` makes. */
export function storeContract(
  name: string,
  make: () => Promise<MadeStore> | MadeStore,
  options: ContractOptions = {},
): void {
  const check = (
    rule: string,
    body: (
      storage: ObjectStorageProvider,
      sibling: ObjectStorageProvider,
      made: MadeStore,
    ) => Promise<void>,
    needs?: "more methods" | "checks",
  ) => {
    const lacks = needs !== undefined && options.fiveMethods
      ? needs === "checks"
        ? "the store leaves that to its callers"
        : "the store has the five methods of the Python SDK only"
      : undefined;
    test(`${name} ${rule}`, async () => {
      const made = await make();
      try {
        await body(made.storage, made.sibling ?? made.storage, made);
      } finally {
        await made.close();
      }
    }, { foreign: options.foreign, skip: options.skip ?? lacks });
  };

  check("load() of nothing is undefined", async (storage) => {
    assertEquals(await storage.load(KEY), undefined);
    assertEquals(await storage.exists(KEY), false);
  });

  check("save() then load() gives an equal copy", async (storage, sibling) => {
    const value = structuredClone(VALUE);
    await storage.save(KEY, value);
    value.access_token = "changed by its owner";
    assertEquals(await sibling.load(KEY), VALUE);
    assertEquals(await storage.exists(KEY), true);
    const loaded = await storage.load(KEY);
    loaded!.access_token = "changed by a reader";
    assertEquals(await storage.load(KEY), VALUE);
  });

  check("save() replaces whole", async (storage, sibling) => {
    await storage.save(KEY, VALUE);
    await storage.save(KEY, { other: 1 });
    assertEquals(await sibling.load(KEY), { other: 1 });
  });

  check("save() keeps nulls as the store says", async (storage) => {
    await storage.save(KEY, { a: null, b: { c: null }, absent: undefined });
    const expected = options.dropsNulls ? { b: { c: null } } : { a: null, b: { c: null } };
    assertEquals(await storage.load(KEY), expected);
  });

  check("save() refuses what JSON cannot hold, and keeps what was there", async (storage) => {
    await storage.save(KEY, VALUE);
    let deep: JsonObject = {};
    for (let i = 0; i < 100; i++) deep = { deep };
    const bad: unknown[] = [
      { n: NaN },
      { n: Infinity },
      { f: () => SECRET },
      { n: 1n },
      {
        d: new Date(0),
      },
      { l: [undefined] },
      deep,
    ];
    for (const value of bad) {
      await assertAuthError(() => storage.save(KEY, value as JsonObject), "invalid_argument");
    }
    for (const value of [null, undefined, 1, "text", []]) {
      await assertRejects(() => storage.save(KEY, value as unknown as JsonObject), TypeError);
    }
    assertEquals(await storage.load(KEY), VALUE);
  }, "checks");

  check("mtime() is the time of the last write", async (storage) => {
    await assertAuthError(() => storage.mtime(KEY), "storage_not_found");
    const before = Date.now();
    await storage.save(KEY, VALUE);
    const time = await storage.mtime(KEY);
    assert(time >= before - 1_000 && time <= Date.now() + 1_000, `${time}`);
  });

  check("rename() moves and replaces", async (storage, sibling) => {
    await assertAuthError(() => storage.rename(KEY, OTHER), "storage_not_found");
    await storage.save(KEY, PLAIN);
    await storage.save(OTHER, { old: true });
    await storage.rename(KEY, OTHER);
    assertEquals(await sibling.load(KEY), undefined);
    assertEquals(await sibling.load(OTHER), PLAIN);
    await storage.rename(OTHER, ".planet/another/place.json");
    assertEquals(await sibling.load(".planet/another/place.json"), PLAIN);
  });

  check("rename() onto itself keeps the object", async (storage) => {
    await storage.save(KEY, VALUE);
    await storage.rename(KEY, KEY);
    assertEquals(await storage.load(KEY), VALUE);
  });

  check("rename() moves what cannot be read as it is", async (storage, sibling, { spoil }) => {
    // A store whose content nobody else can reach holds nothing of the kind.
    if (spoil === undefined) return;
    await spoil(KEY);
    await assertAuthError(() => storage.load(KEY), "storage_corrupt");
    assertEquals(await storage.exists(KEY), true);
    await storage.rename(KEY, `${KEY}.corrupt`);
    assertEquals(await sibling.exists(KEY), false);
    assertEquals(await sibling.load(KEY), undefined);
    assertEquals(await sibling.exists(`${KEY}.corrupt`), true);
    await assertAuthError(() => sibling.load(`${KEY}.corrupt`), "storage_corrupt");
    await storage.save(KEY, PLAIN);
    assertEquals(await storage.load(KEY), PLAIN);
  });

  check("delete() removes; again is no error", async (storage, sibling) => {
    await storage.save(KEY, VALUE);
    await storage.delete!(KEY);
    await storage.delete!(KEY);
    assertEquals(await sibling.load(KEY), undefined);
    assertEquals(await sibling.exists(KEY), false);
  }, "more methods");

  check("list() gives the keys with the prefix and no others", async (storage, sibling) => {
    for (const key of [KEY, OTHER, ".planet/my-app2/token.json", "top.json"]) {
      await storage.save(key, PLAIN);
    }
    await storage.withLock!(KEY, async () => {
      assertEquals(await keys(sibling, ".planet/my-app/"), [OTHER, KEY]);
    });
    assertEquals(await keys(sibling, ".planet/my-app"), [
      OTHER,
      KEY,
      ".planet/my-app2/token.json",
    ]);
    assertEquals(await keys(sibling, ""), [OTHER, KEY, ".planet/my-app2/token.json", "top.json"]);
    assertEquals(await keys(sibling, "nothing/"), []);
    await assertAuthError(() => keys(sibling, "../"), "invalid_argument");
  }, "more methods");

  check("refuses keys that could leave the root, before touching anything", async (storage) => {
    await storage.save(KEY, VALUE);
    for (const bad of BAD_KEYS) {
      const calls: (() => Promise<unknown>)[] = [
        () => storage.load(bad),
        () => storage.save(bad, VALUE),
        () => storage.exists(bad),
        () => storage.mtime(bad),
        () => storage.rename(bad, KEY),
        () => storage.rename(KEY, bad),
        () => storage.delete!(bad),
        () => storage.withLock!(bad, () => Promise.resolve()),
      ];
      for (const call of calls) await assertAuthError(call, "invalid_argument");
    }
    assertEquals(await keys(storage, ""), [KEY]);
    assertEquals(await storage.load(KEY), VALUE);
    await assertRejects(() => storage.load(1 as unknown as string), TypeError);
  }, "checks");

  check("withLock() lets one body at a time change a value", async (storage, sibling) => {
    await storage.save(KEY, { n: 0 });
    let inside = 0;
    await Promise.all(
      Array.from(
        { length: 20 },
        (_, i) =>
          (i % 2 ? storage : sibling).withLock!(KEY, async ({ signal }) => {
            assertEquals(++inside, 1);
            assertEquals(signal.aborted, false);
            const { n } = (await storage.load(KEY))!;
            await storage.save(KEY, { n: Number(n) + 1 });
            inside--;
          }),
      ),
    );
    assertEquals(await storage.load(KEY), { n: 20 });
  }, "more methods");

  check("withLock() gives the answer of the body, or its error, and lets go", async (storage) => {
    assertEquals(await storage.withLock!(KEY, () => Promise.resolve(7)), 7);
    const error = new Error("from the body");
    const thrown = await assertRejects(() => storage.withLock!(KEY, () => Promise.reject(error)));
    assert(thrown === error);
    assertEquals(await storage.withLock!(KEY, () => Promise.resolve(8), { timeoutMs: 1_000 }), 8);
    assertEquals(await keys(storage, ""), []);
  }, "more methods");

  check("withLock() of different keys do not wait for each other", async (storage, sibling) => {
    await storage.withLock!(KEY, async () => {
      assertEquals(
        await sibling.withLock!(OTHER, () => Promise.resolve(1), { timeoutMs: 5_000 }),
        1,
      );
    });
  }, "more methods");

  check("withLock() ends with lock_timeout that names the key's lock", async (storage, sibling) => {
    await storage.withLock!(KEY, async () => {
      const error = await assertAuthError(
        () => sibling.withLock!(KEY, () => Promise.resolve(), { timeoutMs: 30 }),
        "lock_timeout",
      );
      assert(error.message.includes("token.json"), error.message);
      assertEquals(await sibling.load(KEY), undefined);
    });
  }, "more methods");

  check(
    "withLock() can wait without an end, and refuses a wrong wait",
    async (storage, sibling) => {
      const order: string[] = [];
      let waiting: Promise<unknown> | undefined;
      await storage.withLock!(KEY, async () => {
        waiting = sibling.withLock!(KEY, () => Promise.resolve(order.push("second")), {
          timeoutMs: Infinity,
        });
        await new Promise((resolve) => setTimeout(resolve, 30));
        order.push("first");
      });
      await waiting;
      assertEquals(order, ["first", "second"]);
      for (const timeoutMs of [-1, NaN, "1"]) {
        const options = { timeoutMs: timeoutMs as number };
        await assertRejects(
          () => storage.withLock!(KEY, () => Promise.resolve(), options),
          TypeError,
        );
      }
    },
    "more methods",
  );

  check("withLock() stops waiting when its signal aborts", async (storage, sibling) => {
    const reason = new Error("enough");
    let ran = false;
    const body = () => {
      ran = true;
      return Promise.resolve();
    };
    await storage.withLock!(KEY, async () => {
      const controller = new AbortController();
      const waiting = sibling.withLock!(KEY, body, { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 20);
      assert(await assertRejects(() => waiting) === reason);
    });
    const late = sibling.withLock!(KEY, body, { signal: AbortSignal.abort(reason) });
    assert(await assertRejects(() => late) === reason);
    assertEquals(ran, false);
  }, "more methods");

  check("shows no stored value when printed or turned into JSON", async (storage) => {
    await storage.save(KEY, VALUE);
    const show = (globalThis as { Deno?: { inspect(value: unknown): string } }).Deno?.inspect ??
      (await import("node:util")).inspect;
    assert(!show(storage).includes(SECRET));
    assert(!JSON.stringify(storage).includes(SECRET));
  });
}
