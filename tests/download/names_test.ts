/**
 * Names of files: what servers and orders say never leads out of the folder, nor to a device, a setting
 * or a file of our own.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DownloadError } from "../../lib/errors.ts";
import { downloadFile } from "../../lib/download/download.ts";
import { nameOf, safeName } from "../../lib/download/transfer.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { bytesFrom, sessionFor, startStorage } from "./_server.ts";

/** What a server may say, and the name that comes of it; `undefined`: one of our own. */
const HOSTILE: readonly (readonly [given: string, name: string | undefined])[] = [
  ["../../etc/passwd", "passwd"],
  ["..", undefined],
  [".", undefined],
  ["...", undefined],
  ["/etc/cron.d/x", "x"],
  ["//server/share/a.tif", "a.tif"],
  ["..\\..\\a.tif", "a.tif"],
  ["C:\\Windows\\System32\\a.dll", "a.dll"],
  ["C:a.tif", "a.tif"],
  ["c:", undefined],
  ["a.tif:stream", "a.tif_stream"],
  ["a/", undefined],
  ["a\\", undefined],
  ["a\x00b.tif", "a_b.tif"],
  ["a\r\nb.tif", "a__b.tif"],
  ["\x1b[31mred.tif", "_[31mred.tif"],
  ["a\u202egpj.exe", "a_gpj.exe"],
  ["a\u200b.tif", "a_.tif"],
  ["a\u2028b", "a_b"],
  ["CON", "_CON"],
  ["con.tif", "_con.tif"],
  ["NUL.tar.gz", "_NUL.tar.gz"],
  ["aux .tif", "_aux .tif"],
  ["COM1", "_COM1"],
  ["lpt9.txt", "_lpt9.txt"],
  ["COM¹.txt", "_COM¹.txt"],
  ["CONIN$", "_CONIN$"],
  ["a.tif.", "a.tif"],
  ["a.tif ", "a.tif"],
  [" ", undefined],
  [". .", undefined],
  [".bashrc", "_.bashrc"],
  ["~/.ssh/authorized_keys", "authorized_keys"],
  ['a?b*c<d>e|f"g', "a_b_c_d_e_f_g"],
  ["a.tif.part", "a.tif.part_"],
  ["a.tif.part.json", "a.tif.part.json_"],
  ["a.tif.PART.LOCK", "a.tif.PART.LOCK_"],
  ["\ud800.tif", "_.tif"],
  [`${"x".repeat(300)}.tif`, `${"x".repeat(176)}.tif`],
  [`${"ü".repeat(300)}.tif`, `${"ü".repeat(88)}.tif`],
  ["%2e%2e%2fa.tif", "%2e%2e%2fa.tif"],
  ["ortho analytic (4b) ü 卫星.tif", "ortho analytic (4b) ü 卫星.tif"],
];

test(`${HOSTILE.length} hostile names: one segment, safe on every system`, () => {
  assert(HOSTILE.length >= 40);
  for (const [given, name] of HOSTILE) {
    const found = safeName(given);
    assertEquals(found, name ?? "", given);
    assertEquals(safeName(found), found, given);
  }
});

test("hostile names of a server: nothing is written outside the folder", async () => {
  const storage = await startStorage({ body: bytesFrom(5, 100) });
  const folder = await tempFolder();
  const inner = resolve(folder.path, "a/b/c");
  try {
    const session = sessionFor(storage.origin);
    for (const [given] of HOSTILE) {
      for (
        const value of [
          `attachment; filename*=UTF-8''${encodeURIComponent(given.toWellFormed())}`,
          `attachment; filename="${
            given.replace(/[^ -~\xa0-\xff]/g, "").replace(/["\\]/g, "\\$&")
          }"`,
        ]
      ) {
        storage.headers = { "content-disposition": value };
        const link = () => Promise.resolve(`${storage.origin}/..%2f..%2fx`);
        const { path } = await downloadFile(session, { link }, {
          directory: inner,
          ifExists: "replace",
        });
        assertEquals(dirname(resolve(path)), inner, value);
      }
    }
    assertEquals(await readdir(folder.path), ["a"]);
    assertEquals(await readdir(resolve(inner, "../..")), ["b"]);
    assertEquals(await readdir(resolve(inner, "..")), ["c"]);
    const names = await readdir(inner);
    assert(names.every((name) => safeName(name) === name), names.join());
  } finally {
    await storage.close();
    await folder.remove();
  }
});

test("an order's results keep their folders, and a path that is not safe is refused before anything is sent", async () => {
  const storage = await startStorage({ body: bytesFrom(5, 100) });
  const folder = await tempFolder();
  try {
    const session = sessionFor(storage.origin);
    const link = () => Promise.resolve(`${storage.origin}/x`);
    const save = (subPath: string) =>
      downloadFile(session, { link }, { directory: folder.path, subPath });
    const { path } = await save("0b1e/PSScene/20250401_udm2.tif.aux.xml");
    assertEquals(path, resolve(folder.path, "0b1e/PSScene/20250401_udm2.tif.aux.xml"));
    const before = storage.seen.length;
    const paths = [
      "",
      "/a",
      "a/",
      "a//b",
      "../a",
      "a/../b",
      "a/..",
      "./a",
      "a\\b",
      "C:/a",
      "a/con/b",
      "a/b ",
      "a/.ssh/b",
      "a\0b",
    ];
    for (const [given, name] of HOSTILE) if (given !== name) paths.push(`order/${given}`);
    for (const path of paths) {
      const error = await assertRejects(() => save(path), DownloadError, undefined, path);
      assertEquals(error.code, "unsafe_name");
    }
    assertEquals(storage.seen.length, before);
    assertEquals(await readdir(folder.path), ["0b1e"]);
  } finally {
    await storage.close();
    await folder.remove();
  }
});

test("nameOf() reads Content-Disposition (RFC 6266, RFC 8187), then the address, then makes one up", () => {
  const of = (
    disposition: string | undefined,
    url = "https://x.test/f/scene%20one.tif?token=secret",
    type?: string,
  ) =>
    nameOf(
      new Headers({
        ...(disposition === undefined ? {} : { "content-disposition": disposition }),
        ...(type === undefined ? {} : { "content-type": type }),
      }),
      url,
    );
  assertEquals(of('attachment; filename="a;b=c.tif"'), "a;b=c.tif");
  assertEquals(of("attachment; filename=a.tif; size=3"), "a.tif");
  assertEquals(of('attachment; filename="a \\"b\\".tif"'), "a _b_.tif");
  assertEquals(
    of("attachment; filename=\"plain.tif\"; filename*=UTF-8''%e5%8d%ab%20x.tif"),
    "卫 x.tif",
  );
  assertEquals(of("attachment; filename*=iso-8859-1'en'%a3.tif; filename=b"), "£.tif");
  assertEquals(of("attachment; filename*=UTF-8''%ff; filename=b.tif"), "b.tif");
  assertEquals(of("attachment; filename*=koi8-r''%ff; filename=b.tif"), "b.tif");
  assertEquals(of('attachment; filename="Ã¼.tif"'), "ü.tif");
  assertEquals(of("filename=only.tif"), "only.tif");
  assertEquals(of("attachment"), "scene one.tif");
  assertEquals(of(undefined), "scene one.tif");
  assert(/^planet-[0-9a-f]{8}\.tif$/.test(of(undefined, "https://x.test/", "image/tiff; x=y")));
  assert(
    /^planet-[0-9a-f]{8}$/.test(of('attachment; filename=".."', "https://x.test/..%2f..?token=x")),
  );
});
