/**
 * `examples/edge_stream_asset.ts`, unchanged, in workerd: an asset goes through it to a client and into
 * a bucket, over connections that break.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { test } from "../_support/harness.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { digestOf } from "../sandbox/storage.ts";
import { type Isolate, noWorkerd, startIsolate } from "./workerd.ts";

const OPTIONS = {
  skip: "Deno" in globalThis ? noWorkerd() : "all happens in workerd, which Deno's turn starts",
};

async function inWorkerd(body: (isolate: Isolate, sandbox: Sandbox) => Promise<void>) {
  await withSandbox(async (sandbox) => {
    const { clientId, clientSecret } = sandbox.m2m;
    const isolate = await startIsolate({
      worker: "examples/edge_stream_asset.ts",
      r2Buckets: ["IMAGES"],
      bindings: {
        PL_CLIENT_ID: clientId,
        PL_CLIENT_SECRET: clientSecret,
        ENVIRONMENT: sandbox.environment,
      },
    });
    try {
      await body(isolate, sandbox);
      assertEquals(sandbox.storage.counters.authorizations, 0);
    } finally {
      await isolate.dispose();
    }
  });
}

test(
  "workerd: edge_stream_asset.ts activates, then streams to a client and into a bucket",
  () =>
    inWorkerd(async (isolate, { api, storage }) => {
      api.assetBytes = 5_000_001;
      const path = "PSScene/20260101_100000_psscene/ortho_analytic_4b";
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
