/**
 * 1 GB through `examples/edge_stream_asset.ts` in workerd, to a client and into a bucket. The worker's
 * isolate stays within the 128 MiB that Cloudflare gives it, garbage included, and to a client the whole
 * process grows by no more. Miniflare's bucket lives in the same process, whose memory grows with all
 * that is put into it, by `fetch()` alone as well (400 MB: 204 MiB); the asset as a whole is not among it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { test } from "../_support/harness.ts";
import { digestOf } from "../sandbox/storage.ts";
import { inWorkerd, OPTIONS, PATH } from "./_stream_asset.ts";
import type { Isolate } from "./workerd.ts";

/** What Cloudflare gives an isolate, and what may come on top for the process. */
const MARGIN = 128 << 20;
const BUCKET_MARGIN = 500_000_000;

async function toClient(isolate: Isolate): Promise<string> {
  const sent = await fetch(isolate.url + PATH);
  assertEquals(sent.status, 200);
  const hash = createHash("sha256");
  for await (const part of sent.body!) hash.update(part);
  return hash.digest("hex");
}

async function toBucket(isolate: Isolate): Promise<string> {
  const put = await fetch(isolate.url + PATH, { method: "PUT" });
  const { name } = await put.json();
  assertEquals(put.status, 201);
  return (await isolate.inBucket("IMAGES", name))!.sha256;
}

for (const [where, send] of [["a client", toClient], ["a bucket", toBucket]] as const) {
  test(
    `workerd: openAsset() of 1 GB to ${where}: its digest, over a cut, in flat memory`,
    () =>
      inWorkerd(async (isolate, { api, storage }) => {
        const sha256 = () => digestOf(api.file(PATH)!, "sha256");
        api.assetBytes = 5_000_000;
        await (await fetch(isolate.url + PATH)).body?.cancel();
        await isolate.peakMemory();
        assertEquals(await send(isolate), sha256());
        const before = await isolate.peakMemory();
        api.assetBytes = 1_000_000_000;
        storage.settings.breaks = [{ after: 600_000_000, how: "cut" }];
        assertEquals(await send(isolate), sha256());
        assertEquals(storage.counters.bodies, 3);
        const after = await isolate.peakMemory();
        const more = after.process - before.process;
        console.log(
          `1 GB to ${where}: at most ${after.worker >> 20} MiB in the worker; ` +
            `workerd had ${before.process >> 20} MiB, and ${more >> 20} MiB more.`,
        );
        assert(after.worker > 0 && after.worker <= MARGIN, `${after.worker >> 20} MiB`);
        assert(more <= (send === toClient ? MARGIN : BUCKET_MARGIN), `${more >> 20} MiB more`);
      }),
    { ...OPTIONS, timeoutMs: 600_000 },
  );
}
