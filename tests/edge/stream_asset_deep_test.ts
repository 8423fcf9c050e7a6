/**
 * 1 GB through `examples/edge_stream_asset.ts` in workerd, to a client and into a bucket. To a client,
 * workerd's memory stays what it is for 5 MB. The bucket of miniflare lives in the same process, and has
 * half a byte more there for each that a worker puts into it, by `fetch()` alone too: it is told.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { test } from "../_support/harness.ts";
import { digestOf } from "../sandbox/storage.ts";
import { inWorkerd, OPTIONS, PATH } from "./_stream_asset.ts";
import type { Isolate } from "./workerd.ts";

/** What may come on top: V8 frees what it no longer needs when it likes. */
const MARGIN = 128 << 20;

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
    `workerd: openAsset() of 1 GB to ${where}: its digest, over a cut${
      send === toClient ? ", in flat memory" : ""
    }`,
    () =>
      inWorkerd(async (isolate, { api, storage }) => {
        const sha256 = () => digestOf(api.file(PATH)!, "sha256");
        api.assetBytes = 5_000_000;
        await (await fetch(isolate.url + PATH)).body?.cancel();
        assertEquals(await send(isolate), sha256());
        const before = await isolate.peakMemory();
        api.assetBytes = 1_000_000_000;
        storage.settings.breaks = [{ after: 600_000_000, how: "cut" }];
        assertEquals(await send(isolate), sha256());
        assertEquals(storage.counters.bodies, 3);
        const more = await isolate.peakMemory() - before;
        console.log(
          `1 GB to ${where}: workerd had ${before >> 20} MiB, and ${more >> 20} MiB more.`,
        );
        if (send === toClient) assert(more <= MARGIN, `${more >> 20} MiB more than for 5 MB`);
      }),
    { ...OPTIONS, timeoutMs: 600_000 },
  );
}
