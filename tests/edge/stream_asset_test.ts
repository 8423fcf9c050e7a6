/**
 * `examples/edge_stream_asset.ts`, unchanged, in workerd: an asset goes through it to a client and into
 * a bucket, over connections that break.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { test } from "../_support/harness.ts";
import { digestOf } from "../sandbox/storage.ts";
import { inWorkerd, OPTIONS, PATH as path } from "./_stream_asset.ts";

test(
  "workerd: edge_stream_asset.ts activates, then streams to a client and into a bucket",
  () =>
    inWorkerd(async (isolate, { api, storage }) => {
      api.assetBytes = 5_000_001;
      const file = api.file(path)!;
      const first = await fetch(isolate.url + path);
      assertEquals([first.status, await first.json()], [202, { status: "activating" }]);

      storage.settings.breaks = [{ after: 1_000_000, how: "cut" }, { after: 10, how: "cut" }];
      const sent = await fetch(isolate.url + path);
      assertEquals([sent.status, sent.headers.get("content-type")], [200, "image/tiff"]);
      assertEquals(sent.headers.get("content-length"), "5000001");
      assert(sent.headers.get("content-disposition")!.includes(file.name));
      const hash = createHash("sha256").update(new Uint8Array(await sent.arrayBuffer()));
      assertEquals(hash.digest("hex"), digestOf(file, "sha256"));

      storage.settings.breaks = [{ after: 2_000_000, how: "cut" }];
      const put = await fetch(isolate.url + path, { method: "PUT" });
      assertEquals([put.status, await put.json()], [201, { name: file.name, size: file.size }]);
      assertEquals(await isolate.inBucket("IMAGES", file.name), {
        size: file.size,
        sha256: digestOf(file, "sha256"),
      });
      for (const [wrong, status] of [["PSScene/none/visual", 404], [`${path}x`, 400]] as const) {
        const refused = await fetch(isolate.url + wrong);
        assertEquals(refused.status, status, await refused.text());
      }
    }),
  { ...OPTIONS, timeoutMs: 90_000 },
);
