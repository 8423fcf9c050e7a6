/**
 * One process that downloads into a file; `_processes.ts` starts it. Prints `ready` when it is loaded,
 * begins when a line comes, and prints what became of it as JSON.
 *
 * @module
 */
import process from "node:process";
import { Session } from "../../mod.ts";
import { downloadFile, type DownloadOptions } from "../../lib/download/download.ts";
import type { ExpectedDigest } from "../../lib/download/transfer.ts";

/** What a worker needs to know. */
export interface WorkerSetup {
  /** Where the file is. */
  readonly link: string;
  /** Digest that it must have. */
  readonly digest?: ExpectedDigest;
  /** Where it goes. */
  readonly options: DownloadOptions;
}

const { digest, link, options }: WorkerSetup = JSON.parse(process.env.WORKER_SETUP ?? "{}");
const session = new Session({ authorization: () => "" }, {
  allowedOrigins: [new URL(link).origin],
  requestsPerSecond: 0,
  timeoutMs: 5_000,
});
console.log("ready");
await new Promise((resolve) => process.stdin.once("data", resolve));
process.stdin.destroy();
const source = { link: () => Promise.resolve(link), digest };
await downloadFile(session, source, options).then(
  (file) => console.log(JSON.stringify(file)),
  (error) => console.log(JSON.stringify({ error: String(error), code: error.code })),
);
