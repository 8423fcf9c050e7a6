import { test } from "../_support/harness.ts";
import { download, upload } from "./_transfers.ts";

const LONG = { timeoutMs: 600_000 };
/** Minutes on one runtime; the others move a fifth of it, twelve times as long as the time limit. */
const size = "Deno" in globalThis ? 300_000_000 : 60_000_000;
const TRANSFER = { size, rate: 1_000_000, timeoutMs: 5_000 };
const WHAT = `${size / 1_000_000} MB`;

test(`uploads and a download of ${WHAT}, all at 1 MB/s, pass a time limit of 5 s`, async () => {
  await Promise.all([upload(["stream", "blob"], TRANSFER), download(TRANSFER)]);
}, LONG);

test(`uploads and a download of ${WHAT} that stop do not`, async () => {
  const stops = { ...TRANSFER, rate: 0 };
  await Promise.all([upload(["stream", "blob"], stops), download(stops)]);
}, LONG);
