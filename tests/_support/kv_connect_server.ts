/**
 * A Deno KV database over HTTP, in memory: as much of the KV Connect protocol, version 3, as its
 * clients use for reading, listing and atomic writes. Runs under Deno, whose server speaks the
 * HTTP/2 without TLS that Deno's own client wants; the messages are those of `npm:@deno/kv`.
 *
 * Prints its URL, takes the access token from the variable `DENO_KV_ACCESS_TOKEN`, and ends with its standard
 * input, or after a quarter of an hour.
 *
 * @module
 */

import { loadExtraFile } from "../_tools/extra.ts";

interface Codec<T> {
  encodeBinary(value: T): Uint8Array<ArrayBuffer>;
  decodeBinary(bytes: Uint8Array): T;
}
interface KvValue {
  data: Uint8Array;
  encoding: string;
}
interface SnapshotRead {
  ranges: { start: Uint8Array; end: Uint8Array; limit: number; reverse: boolean }[];
}
interface AtomicWrite {
  checks: { key: Uint8Array; versionstamp: Uint8Array }[];
  mutations: { key: Uint8Array; value?: KvValue; mutationType: string; expireAtMs: string }[];
}

const codec = <T>(name: string): Codec<T> =>
  loadExtraFile("@deno/kv", `script/proto/messages/com/deno/kv/datapath/${name}.js`);
const snapshotRead = codec<SnapshotRead>("SnapshotRead");
const snapshotReadOutput = codec<unknown>("SnapshotReadOutput");
const atomicWrite = codec<AtomicWrite>("AtomicWrite");
const atomicWriteOutput = codec<unknown>("AtomicWriteOutput");

const accessToken = Deno.env.get("DENO_KV_ACCESS_TOKEN");
const NOTHING = new Uint8Array();

/** Entries by their key in hexadecimal digits, which sort as the bytes do. */
const entries = new Map<string, { value: KvValue; version: bigint; expiresAt: number }>();
let version = 0n;

function versionstamp(of: bigint): Uint8Array {
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setBigUint64(0, of);
  return bytes;
}

function living(key: string) {
  const entry = entries.get(key);
  if (entry === undefined || entry.expiresAt > Date.now()) return entry;
  entries.delete(key);
  return undefined;
}

function readRange({ start, end, limit, reverse }: SnapshotRead["ranges"][number]) {
  const [from, to] = [start.toHex(), end.toHex()];
  const keys = [...entries.keys()].filter((key) => key >= from && key < to && living(key)).sort();
  if (reverse) keys.reverse();
  return {
    values: keys.slice(0, limit).map((key) => {
      const { value, version } = entries.get(key)!;
      const { data, encoding } = value;
      return {
        key: Uint8Array.fromHex(key),
        value: data,
        encoding,
        versionstamp: versionstamp(version),
      };
    }),
  };
}

function write({ checks, mutations }: AtomicWrite): unknown {
  const current = (key: Uint8Array) => {
    const entry = living(key.toHex());
    return entry === undefined ? "" : versionstamp(entry.version).toHex();
  };
  const failedChecks = checks.flatMap((check, index) =>
    current(check.key) === check.versionstamp.toHex() ? [] : [index]
  );
  const none = { versionstamp: NOTHING, failedChecks };
  if (failedChecks.length > 0) return { status: "AW_CHECK_FAILURE", ...none };
  if (mutations.some(({ mutationType }) => !["M_SET", "M_DELETE"].includes(mutationType))) {
    return { status: "AW_UNSUPPORTED_WRITE", ...none };
  }
  version++;
  for (const { key, value, mutationType, expireAtMs } of mutations) {
    if (mutationType === "M_DELETE") entries.delete(key.toHex());
    else {
      const expiresAt = Number(expireAtMs) || Infinity;
      entries.set(key.toHex(), { value: value!, version, expiresAt });
    }
  }
  return { status: "AW_SUCCESS", versionstamp: versionstamp(version), failedChecks };
}

function message(bytes: Uint8Array<ArrayBuffer>): Response {
  return new Response(bytes, { headers: { "content-type": "application/x-protobuf" } });
}

const server = Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`http://127.0.0.1:${port}`),
}, async (request) => {
  const { origin, pathname } = new URL(request.url);
  const body = new Uint8Array(await request.arrayBuffer());
  if (request.headers.get("authorization") !== `Bearer ${accessToken}`) {
    return new Response("unauthorized", { status: 401 });
  }
  switch (pathname) {
    case "/":
      return Response.json({
        version: 3,
        databaseId: "00000000-0000-4000-8000-000000000001",
        endpoints: [{ url: `${origin}/v3`, consistency: "strong" }],
        token: accessToken,
        expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      });
    case "/v3/snapshot_read":
      return message(snapshotReadOutput.encodeBinary({
        status: "SR_SUCCESS",
        readDisabled: false,
        readIsStronglyConsistent: true,
        ranges: snapshotRead.decodeBinary(body).ranges.map(readRange),
      }));
    case "/v3/atomic_write":
      return message(atomicWriteOutput.encodeBinary(write(atomicWrite.decodeBinary(body))));
    default:
      return new Response(null, { status: 404 });
  }
});

setTimeout(() => Deno.exit(0), 900_000);
for await (const _ of Deno.stdin.readable) { /* Whoever started it is still there. */ }
await server.shutdown().catch(() => {});
Deno.exit(0);
