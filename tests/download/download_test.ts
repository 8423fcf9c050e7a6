/**
 * Downloads by stream and by file: what is asked for after a break, how each answer is taken, what lies
 * in the folder.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  ApiError,
  AuthError,
  ClientError,
  DownloadError,
  type DownloadErrorCode,
} from "../../lib/errors.ts";
import {
  downloadFile,
  downloadMany,
  type DownloadOptions,
  type DownloadProgress,
  type DownloadSource,
  openDownload,
} from "../../lib/download/download.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import {
  type Behaviour,
  bytesFrom,
  digestOf,
  LONG_AGO,
  QUICK,
  sessionFor,
  startStorage,
  type Storage,
} from "./_server.ts";

const SIZE = 300_000;
const BODY = bytesFrom(1, SIZE);
const MD5 = digestOf("md5", BODY);

/** What a test of one storage has. */
interface Given {
  readonly storage: Storage;
  readonly folder: string;
  readonly source: DownloadSource;
  readonly save: (
    options?: DownloadOptions,
    more?: Partial<DownloadSource>,
  ) => ReturnType<typeof downloadFile>;
  readonly read: (more?: Partial<DownloadSource>) => Promise<Uint8Array>;
}

async function withStorage(
  behaviour: Partial<Behaviour>,
  body: (given: Given) => Promise<void>,
): Promise<void> {
  const storage = await startStorage({ body: BODY, etag: '"one"', ...behaviour });
  const folder = await tempFolder();
  try {
    const session = sessionFor(storage.origin, { timeoutMs: 400 });
    const source: DownloadSource = {
      link: () => Promise.resolve(`${storage.origin}/scene.tif?token=x`),
    };
    await body({
      storage,
      folder: folder.path,
      source,
      save: (options = {}, more = {}) =>
        downloadFile(session, { ...source, ...more }, {
          directory: folder.path,
          clock: QUICK,
          ...options,
        }),
      async read(more = {}) {
        const { stream } = await openDownload(session, { ...source, ...more }, { clock: QUICK });
        return new Uint8Array(await new Response(stream).arrayBuffer());
      },
    });
  } finally {
    await storage.close();
    await folder.remove();
  }
}

/** Expects a typed error. */
async function fails(code: DownloadErrorCode, work: Promise<unknown>): Promise<DownloadError> {
  const error = await assertRejects(() => work, DownloadError);
  assertEquals(error.code, code, error.message);
  return error;
}

const asked = (storage: Storage) =>
  storage.seen.map(({ headers, status }) => [status, headers.range, headers["if-range"]]);

test("openDownload() and downloadFile() give the bytes, name, size, digest", () =>
  withStorage({
    headers: {
      "content-disposition": 'attachment; filename="a b.tif"',
      "content-type": "image/tiff",
    },
  }, async ({ folder, read, save, source, storage }) => {
    assertEquals(digestOf("md5", await read()), MD5);
    const { name, size, stream, type } = await openDownload(sessionFor(storage.origin), source);
    await stream.cancel();
    assertEquals([name, size, type], ["a b.tif", SIZE, "image/tiff"]);
    const file = await save({}, { digest: { algorithm: "MD5", value: MD5.toUpperCase() } });
    const path = join(folder, "a b.tif");
    assertEquals(file, { path, bytes: SIZE, md5: MD5, resumed: false, kept: false });
    assertEquals(digestOf("md5", await readFile(path)), MD5);
    assertEquals(await readdir(folder), ["a b.tif"]);
    const sha256 = digestOf("sha256", BODY);
    const other = await save({ filename: "b", ifExists: "replace" }, {
      digest: { algorithm: "SHA256", value: sha256 },
    });
    assertEquals(other.sha256, sha256);
    for (const { headers } of storage.seen) assertEquals(headers["accept-encoding"], "identity");
    // The breaks of other tests wait for this count.
    assertEquals([0, 2].map((index) => storage.seen[index]!.read), [SIZE, SIZE]);
  }));

test("a cut body is gone on with by Range and If-Range: a strong ETag, else Last-Modified (RFC 9110 §13.1.5)", async () => {
  const breaks = () =>
    [{ after: 100_000, how: "end" }, { after: 50_000, how: "end" }] as Behaviour["breaks"];
  for (
    const [more, validator] of [
      [{}, '"one"'],
      [{ etag: undefined, lastModified: LONG_AGO }, LONG_AGO],
      [{ etag: 'W/"weak"', lastModified: LONG_AGO, ifRange: false }, LONG_AGO],
    ] as const
  ) {
    await withStorage({ ...more, breaks: breaks() }, async ({ read, storage }) => {
      assertEquals(digestOf("md5", await read()), MD5);
      assertEquals(asked(storage), [
        [200, undefined, undefined],
        [206, "bytes=100000-", validator],
        [206, "bytes=150000-", validator],
      ]);
      assertEquals(storage.sent, SIZE);
    });
  }
});

test("a stalled body is gone on with after the session's time limit; a reset one too", () =>
  withStorage(
    { breaks: [{ after: 90_000, how: "stall" }, { after: 90_000, how: "reset" }] },
    async ({ save, storage }) => {
      const { bytes, resumed } = await save();
      assertEquals([bytes, resumed, storage.seen.length], [SIZE, true, 3]);
    },
  ));

test("a body without a length, in chunks, is gone on with, and its end is seen", () =>
  withStorage(
    { framing: "chunked", breaks: [{ after: 100_000, how: "end" }] },
    async ({ read, storage }) => {
      assertEquals(digestOf("md5", await read()), MD5);
      assertEquals(storage.seen.map(({ status }) => status), [200, 206]);
    },
  ));

test("a body that only the connection ends is confirmed by 416, or refused", async () => {
  // Longer ones meet nodejs/undici#5360.
  const body = BODY.subarray(0, 30_000);
  const behaviour = { framing: "close", body } as const;
  const breaks: Behaviour["breaks"] = [{ after: 9_999, how: "end" }];
  await withStorage(behaviour, async ({ read, storage }) => {
    assertEquals(digestOf("md5", await read()), digestOf("md5", body));
    assertEquals(storage.seen.map(({ status }) => status), [200, 416]);
  });
  await withStorage({ ...behaviour, breaks }, async ({ save, storage }) => {
    assertEquals((await save()).bytes, body.length);
    assertEquals(storage.seen.map(({ status }) => status), [200, 206]);
  });
  for (const ranges of [true, false]) {
    const etag = ranges ? undefined : '"one"';
    await withStorage({ ...behaviour, ranges, etag, breaks }, async ({ folder, save }) => {
      await fails("malformed_response", save());
      assert(!(await readdir(folder)).includes("scene.tif"));
    });
  }
});

test("a server without Range: a file is begun anew, a stream that was read fails", () =>
  withStorage(
    { ranges: false, breaks: [{ after: 100_000, how: "end" }] },
    async ({ read, save, storage }) => {
      const { bytes, resumed } = await save({}, { digest: { algorithm: "MD5", value: MD5 } });
      assertEquals([bytes, resumed], [SIZE, true]);
      storage.breaks = [{ after: 100_000, how: "end" }];
      await fails("changed", read());
      // Nothing was read yet.
      storage.breaks = [{ after: 0, how: "end" }];
      assertEquals(digestOf("md5", await read()), MD5);
    },
  ));

test("a file that changes meanwhile is begun anew: by If-Range, by its ETag, by its size, by its digest", async () => {
  const other = bytesFrom(2, SIZE);
  const change = (storage: Storage, more: Partial<Behaviour>) => {
    // Whatever else was asked for, it changes before it is gone on with.
    storage.answer = ({ headers }) => {
      if (headers.range !== undefined) Object.assign(storage, { body: other, ...more });
      return undefined;
    };
  };
  const broken = { breaks: [{ after: 100_000, how: "end" }] } satisfies Partial<Behaviour>;
  for (
    const [behaviour, changed] of [
      [broken, { etag: '"two"' }],
      [{ ...broken, ifRange: false }, { etag: '"two"' }],
      [{ ...broken, etag: undefined, lastModified: LONG_AGO, ifRange: false }, {
        lastModified: "Tue, 01 Apr 2025 11:00:00 GMT",
      }],
    ] as [Partial<Behaviour>, Partial<Behaviour>][]
  ) {
    await withStorage(behaviour, async ({ read, save, storage }) => {
      change(storage, changed);
      const { path } = await save();
      assertEquals(digestOf("md5", await readFile(path)), digestOf("md5", other));
      Object.assign(storage, {
        body: BODY,
        etag: '"one"',
        ...behaviour,
        breaks: [{ after: 100_000, how: "end" }],
      });
      await fails("changed", read());
    });
  }
  // Nothing but the digest tells the two apart.
  await withStorage({ ...broken, etag: undefined }, async ({ read, save, storage }) => {
    change(storage, {});
    const value = digestOf("sha256", other);
    const { resumed, sha256 } = await save({}, { digest: { algorithm: "SHA256", value } });
    assertEquals([resumed, sha256], [true, value]);
    storage.body = BODY;
    storage.breaks = [{ after: 100_000, how: "end" }];
    await fails("wrong_digest", read({ digest: { algorithm: "SHA256", value } }));
  });
});

test("without a validator and without a digest nothing is put together: begun anew, or an error", () =>
  withStorage(
    { etag: undefined, breaks: [{ after: 100_000, how: "end" }] },
    async ({ read, save, storage }) => {
      assertEquals((await save()).bytes, SIZE);
      assertEquals(asked(storage), [[200, undefined, undefined], [200, undefined, undefined]]);
      storage.breaks = [{ after: 100_000, how: "end" }];
      await fails("changed", read());
    },
  ));

test("a wrong Content-Range is an error", async () => {
  for (
    const range of [
      "bytes 0-299999/300000",
      "bytes 100000-5/300000",
      "bytes 100000-300000/300000",
      "items 1-2/3",
      "",
    ]
  ) {
    await withStorage({ breaks: [{ after: 100_000, how: "end" }] }, async ({ save, storage }) => {
      storage.answer = (_, index) =>
        index === 0
          ? undefined
          : { status: 206, headers: range ? [`content-range: ${range}`] : [], body: "x" };
      await fails("malformed_response", save());
    });
  }
});

test("an encoded body is decoded, and not resumed", async () => {
  await withStorage({ gzip: true }, async ({ read, save }) => {
    assertEquals(digestOf("md5", await read()), MD5);
    const { bytes, md5 } = await save({}, { digest: { algorithm: "MD5", value: MD5 }, size: SIZE });
    assertEquals([bytes, md5], [SIZE, MD5]);
  });
  await withStorage(
    { gzip: true, breaks: [{ after: 100_000, how: "end" }] },
    async ({ save, storage }) => {
      assertEquals((await save()).bytes, SIZE);
      assertEquals(asked(storage), [[200, undefined, undefined], [200, undefined, undefined]]);
    },
  );
});

test("a link that ran out is renewed once, with progress again", async () => {
  for (const status of [401, 403, 404, 410]) {
    await withStorage(
      { breaks: [{ after: 100_000, how: "end" }, { after: 100_000, how: "end" }] },
      async ({ save, storage }) => {
        const links: boolean[] = [];
        const link = (renew: boolean) => {
          links.push(renew);
          return Promise.resolve(`${storage.origin}/scene.tif?token=${links.length}`);
        };
        storage.answer = ({ path }, index) =>
          index === 1 || index === 3 ? { status, body: path } : undefined;
        assertEquals((await save({}, { link })).bytes, SIZE);
        assertEquals(links, [false, true, true]);
        storage.answer = () => ({ status, body: "no" });
        const error = await assertRejects(() => save({ filename: "b" }, { link }), ApiError);
        assertEquals([error.status, links.length], [status, 5]);
      },
    );
  }
});

test("maxResumes counts anew after progress; without any the error says how far it came", () =>
  withStorage({}, async ({ save, storage }) => {
    storage.breaks = Array.from({ length: 9 }, () => ({ after: 30_000, how: "end" }));
    assertEquals((await save({ maxResumes: 1 })).bytes, SIZE);
    storage.breaks = [
      { after: 30_000, how: "end" },
      ...Array.from({ length: 3 }, () => ({ after: 0, how: "end" as const })),
    ];
    const before = storage.seen.length;
    const error = await fails("incomplete", save({ filename: "b", maxResumes: 2 }));
    assert(error.message.includes('"b" broke off at 30000 of 300000 bytes'), error.message);
    assertEquals(storage.seen.length - before, 3);
  }));

test("a body of another size than expected, or longer than it said, is an error", () =>
  withStorage({}, async ({ save, storage }) => {
    await fails("wrong_size", save({}, { size: SIZE + 1 }));
    storage.framing = "chunked";
    await fails("wrong_size", save({}, { size: SIZE + 1 }));
    await fails("wrong_size", save({}, { size: SIZE - 1 }));
  }));

test("a wrong digest is an error, leaves nothing, and the next run gets the file", () =>
  withStorage({}, async ({ folder, save, storage }) => {
    const digest = { algorithm: "MD5", value: MD5 } as const;
    storage.body = bytesFrom(3, SIZE);
    const error = await fails("wrong_digest", save({}, { digest }));
    assert(error.message.includes("scene.tif"));
    assertEquals(await readdir(folder), []);
    storage.body = BODY;
    assertEquals((await save({}, { digest })).md5, MD5);
    assertEquals(await readdir(folder), ["scene.tif"]);
  }));

test("a second run goes on where the first one broke off, and asks for no byte twice", async () => {
  for (
    const [behaviour, source] of [
      [{}, {}],
      [{ etag: undefined, lastModified: LONG_AGO }, {}],
      [{ etag: undefined }, { digest: { algorithm: "MD5", value: MD5 } }],
    ] as [Partial<Behaviour>, Partial<DownloadSource>][]
  ) {
    for (const filename of ["a.tif", undefined]) {
      await withStorage(behaviour, async ({ folder, save, storage }) => {
        storage.breaks = [{ after: 120_000, how: "end" }];
        await fails("incomplete", save({ filename, maxResumes: 0 }, source));
        const name = filename ?? "scene.tif";
        assertEquals((await stat(join(folder, `${name}.part`))).size, 120_000);
        const note = await readFile(join(folder, `${name}.part.json`), "utf8");
        assert(!note.includes("token") && !note.includes("http"), note);
        const file = await save({ filename }, source);
        assertEquals([file.bytes, file.resumed], [SIZE, true]);
        assertEquals(digestOf("md5", await readFile(file.path)), MD5);
        assertEquals(await readdir(folder), [name]);
        if (filename !== undefined) assertEquals(storage.sent, SIZE);
      });
    }
  }
});

test("a part of another version, or without a note, is begun anew", () =>
  withStorage({}, async ({ folder, save, storage }) => {
    await writeFile(join(folder, "a.tif.part"), "rubbish");
    const first = await save({ filename: "a.tif" });
    assertEquals([first.bytes, first.resumed], [SIZE, false]);
    storage.breaks = [{ after: 120_000, how: "end" }];
    await fails("incomplete", save({ filename: "b.tif", maxResumes: 0 }));
    Object.assign(storage, { body: bytesFrom(4, SIZE), etag: '"four"' });
    const { path } = await save({ filename: "b.tif" });
    assertEquals(digestOf("md5", await readFile(path)), digestOf("md5", storage.body));
  }));

test("ifExists: a whole file is kept before anything is sent if its name is known, else once it is", () =>
  withStorage({}, async ({ folder, save, storage }) => {
    const known = { digest: { algorithm: "MD5", value: MD5 } as const, size: SIZE };
    await save({ filename: "a.tif" });
    const reports: DownloadProgress[] = [];
    const onProgress = (progress: DownloadProgress) => void reports.push(progress);
    const kept = await save({ filename: "a.tif", onProgress }, known);
    assertEquals(kept, {
      path: join(folder, "a.tif"),
      bytes: SIZE,
      md5: MD5,
      resumed: false,
      kept: true,
    });
    assertEquals(reports, [{ name: "a.tif", received: SIZE, total: SIZE, resumed: false }]);
    assertEquals(storage.seen.length, 1);
    assertEquals((await save()).kept, false);
    assertEquals((await save()).kept, true);
    assertEquals((await readdir(folder)).sort(), ["a.tif", "scene.tif"]);
    const before = storage.seen.length;
    await fails("file_exists", save({ filename: "a.tif", ifExists: "fail" }));
    assertEquals(storage.seen.length, before);
    assertEquals((await save({ filename: "a.tif", ifExists: "replace" })).kept, false);
    // Not whole: too short, and of the right length.
    await writeFile(join(folder, "a.tif"), BODY.subarray(0, 10));
    assertEquals((await save({ filename: "a.tif" }, { size: SIZE })).kept, false);
    await writeFile(join(folder, "a.tif"), bytesFrom(9, SIZE));
    assertEquals((await save({ filename: "a.tif" }, known)).kept, false);
    assertEquals(digestOf("md5", await readFile(join(folder, "a.tif"))), MD5);
    await mkdir(join(folder, "folder"));
    await fails("file_exists", save({ filename: "folder" }));
  }));

test("files and folders have the modes that the umask leaves", async () => {
  if (process.platform === "win32") return;
  await withStorage({}, async ({ folder, save }) => {
    const before = process.umask(0o027);
    try {
      const { path } = await save({ directory: join(folder, "new/out"), subPath: "order/a.tif" });
      const modes = [path, join(folder, "new/out/order"), join(folder, "new")];
      assertEquals(
        await Promise.all(modes.map(async (one) => (await stat(one)).mode & 0o777)),
        [0o640, 0o750, 0o750],
      );
    } finally {
      process.umask(before);
    }
  });
});

test("a download that fails before its first byte leaves nothing; a part of an earlier run stays", () =>
  withStorage({}, async ({ folder, save, storage }) => {
    const filename = "a.tif";
    storage.answer = () => ({ status: 404 });
    await assertRejects(() => save({ filename }), ApiError);
    assertEquals(await readdir(folder), []);
    delete storage.answer;
    storage.breaks = [{ after: 100_000, how: "end" }];
    await fails("incomplete", save({ filename, maxResumes: 0 }));
    storage.answer = () => ({ status: 404 });
    await assertRejects(() => save({ filename }), ApiError);
    assertEquals((await readdir(folder)).sort(), ["a.tif.part", "a.tif.part.json"]);
    delete storage.answer;
    const { bytes, resumed } = await save({ filename });
    assertEquals([bytes, resumed, storage.sent], [SIZE, true, SIZE]);
  }));

test("an abort ends a download at once with its reason, also amid a stall; the part stays", () =>
  withStorage(
    { breaks: [{ after: 100_000, how: "stall" }] },
    async ({ folder, source, storage }) => {
      const session = sessionFor(storage.origin, { timeoutMs: 30_000 });
      const abort = new AbortController();
      const reason = new Error("enough");
      const onProgress = ({ received }: DownloadProgress) => received > 0 && abort.abort(reason);
      const error = await assertRejects(() =>
        downloadFile(session, source, {
          directory: folder,
          filename: "a",
          signal: abort.signal,
          onProgress,
        })
      );
      assertEquals(error, reason);
      assert((await readdir(folder)).every((name) => name.startsWith("a.part")));
      assertEquals(
        await assertRejects(() => openDownload(session, source, { signal: abort.signal })),
        reason,
      );
    },
  ));

test("onProgress is told at most ten times a second and at the end, and its failure costs nothing", () =>
  withStorage({ rate: 600_000 }, async ({ save }) => {
    const reports: DownloadProgress[] = [];
    const since = performance.now();
    await save({
      onProgress(progress) {
        reports.push(progress);
        throw new Error("no");
      },
    });
    const ms = performance.now() - since;
    assert(reports.length >= 2 && reports.length <= ms / 100 + 2, `${reports.length} in ${ms} ms`);
    assertEquals(reports.filter(({ received }) => received === SIZE).length, 1);
    assertEquals(reports.at(-1), {
      name: "scene.tif",
      received: SIZE,
      total: SIZE,
      resumed: false,
    });
  }));

test("downloadMany() bounds what runs, keeps the order, and no failure ends the others", async () => {
  let [running, most] = [0, 0];
  const work = async (item: number) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    if (item === 3) throw new Error("three");
    return item * 2;
  };
  const results = await downloadMany([1, 2, 3, 4, 5, 6, 7], 3, work);
  assertEquals(most, 3);
  assertEquals(results.map((one) => one.status === "fulfilled" ? one.value : one.reason.message), [
    2,
    4,
    "three",
    8,
    10,
    12,
    14,
  ]);
  async function* items() {
    yield 1;
    yield 2;
    throw new Error("no more");
  }
  await assertRejects(() => downloadMany(items(), 2, work), Error, "no more");
  await assertRejects(() => downloadMany([1], 0, work), ClientError);
  assertEquals(await downloadMany([], 4, work), []);
});

test("options that cannot be are refused before anything is sent", () =>
  withStorage({}, async ({ save, storage }) => {
    for (const filename of ["", ".", "..", "a/b", "a\\b", "\0"]) {
      await assertRejects(() => save({ filename }), ClientError);
    }
    await assertRejects(() => save({ directory: "" }), ClientError);
    await assertRejects(() => save({ ifExists: "maybe" as "keep" }), ClientError);
    await assertRejects(() => save({ maxResumes: -1 }), TypeError);
    await assertRejects(() => save({ filename: 1 as unknown as string }), TypeError);
    assertEquals(storage.seen.length, 0);
  }));

test("a link elsewhere that is not https is refused; a session's own errors pass", () =>
  withStorage({}, async ({ folder, source, storage }) => {
    const session = sessionFor(storage.origin);
    const link = () => Promise.resolve("http://storage.example/x?token=y");
    const error = await assertRejects(() => openDownload(session, { ...source, link }), AuthError);
    assertEquals(error.code, "untrusted_origin");
    assertEquals(await readdir(folder), []);
  }));

test("links inside the folder are not followed", async () => {
  if (process.platform === "win32") return;
  await withStorage({}, async ({ folder, save, storage }) => {
    const outside = await tempFolder();
    try {
      await symlink(outside.path, join(folder, "order"));
      await fails("file_failed", save({ subPath: "order/a.tif" }));
      assertEquals(storage.seen.length, 0);
      await writeFile(join(outside.path, "victim"), "mine");
      await symlink(join(outside.path, "victim"), join(folder, "b.tif.part"));
      await fails("file_failed", save({ filename: "b.tif" }));
      await symlink(join(outside.path, "victim"), join(folder, "c.tif"));
      assertEquals((await save({ filename: "c.tif" })).kept, false);
      assertEquals(await readFile(join(outside.path, "victim"), "utf8"), "mine");
      assertEquals(await readdir(outside.path), ["victim"]);
    } finally {
      await outside.remove();
    }
  });
});
