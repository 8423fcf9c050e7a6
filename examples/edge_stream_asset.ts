// An edge function for Cloudflare Workers that streams an asset: GET /PSScene/ITEM_ID/ASSET_TYPE sends
// it to the client, PUT puts it into the bucket bound as IMAGES. The bytes pass through; a connection
// that breaks on the way is gone on with. An asset that is not there yet is activated: 202, ask again.
// Variables and secrets: PL_CLIENT_ID, PL_CLIENT_SECRET.
// npx wrangler dev examples/edge_stream_asset.ts --compatibility-date 2025-09-01
import { ApiError, Auth, ClientError, Planet, type PlanetEnvironment } from "../mod.ts";

/** What is used of a bucket of Cloudflare R2. */
interface Bucket {
  put(key: string, body: ReadableStream, options?: { httpMetadata?: unknown }): Promise<unknown>;
}

/** A stream whose length is known, which a bucket needs. */
declare class FixedLengthStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(length: number);
}

interface Bindings {
  PL_CLIENT_ID: string;
  PL_CLIENT_SECRET: string;
  IMAGES?: Bucket;
  /** Servers other than Planet's, for tests. */
  ENVIRONMENT?: PlanetEnvironment;
}

let auth: Auth | undefined;

/** Answers a request for an asset. */
async function answer(request: Request, bindings: Bindings): Promise<Response> {
  auth ??= Auth.fromOAuthM2M({
    clientId: bindings.PL_CLIENT_ID,
    clientSecret: bindings.PL_CLIENT_SECRET,
    saveStateToStorage: false,
    environment: bindings.ENVIRONMENT,
  });
  const { data } = new Planet(auth);
  const [, itemType = "", itemId = "", assetType = ""] = new URL(request.url).pathname.split("/");
  const asset = await data.getAsset(itemType, itemId, assetType);
  await data.activateAsset(asset);
  if (asset.status !== "active") {
    return Response.json({ status: "activating" }, {
      status: 202,
      headers: { "retry-after": "30" },
    });
  }
  const { name, size, stream, type = "application/octet-stream" } = await data.openAsset(asset, {
    signal: request.signal,
  });
  // A stream of known length tells the client, or the bucket, how much will come.
  const body = size === undefined ? stream : stream.pipeThrough(new FixedLengthStream(size));
  if (request.method === "PUT") {
    if (bindings.IMAGES === undefined) {
      return new Response("Bind a bucket as IMAGES.", { status: 501 });
    }
    await bindings.IMAGES.put(name, body, { httpMetadata: { contentType: type } });
    return Response.json({ name, size }, { status: 201 });
  }
  return new Response(body, {
    headers: {
      "content-type": type,
      "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name)}`,
    },
  });
}

export default {
  async fetch(request: Request, bindings: Bindings): Promise<Response> {
    try {
      return await answer(request, bindings);
    } catch (error) {
      if (error instanceof ApiError) return new Response(error.message, { status: error.status });
      if (error instanceof ClientError) return new Response(error.message, { status: 400 });
      throw error;
    }
  },
};
