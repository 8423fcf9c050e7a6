/**
 * `examples/edge_stream_asset.ts`, unchanged, in workerd.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";
import { type Isolate, noWorkerd, startIsolate } from "./workerd.ts";

/** An asset that the sandbox has. */
export const PATH = "PSScene/20260101_100000_psscene/ortho_analytic_4b";

const skip = "Deno" in globalThis
  ? noWorkerd()
  : "all happens in workerd, which Deno's turn starts";

/** Where these tests run. */
export const OPTIONS: { skip?: string } = {
  ...(skip === undefined ? {} : { skip }),
};

/** Runs the example in workerd, with a bucket. */
export async function inWorkerd(
  body: (isolate: Isolate, sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  await withSandbox(async (sandbox) => {
    const { clientId, clientSecret } = sandbox.m2m;
    const isolate = await startIsolate({
      worker: "examples/edge_stream_asset.ts",
      r2Buckets: ["IMAGES"],
      inspectorPort: 0,
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
