import { test } from "../_support/harness.ts";
import { download, upload } from "./_transfers.ts";

const LONG = { timeoutMs: 600_000 };
const TRANSFER = { size: 300_000_000, rate: 1_000_000, timeoutMs: 5_000 };

test(
  "an upload of 300 MB at 1 MB/s passes a time limit of 5 s",
  () => upload(["stream", "blob"], TRANSFER),
  LONG,
);

test(
  "an upload of 300 MB that stops does not",
  () => upload(["stream", "blob"], { ...TRANSFER, rate: 0 }),
  LONG,
);

test("a download of 300 MB at 1 MB/s passes a time limit of 5 s", () => download(TRANSFER), LONG);

test("a download of 300 MB that stops does not", () => download({ ...TRANSFER, rate: 0 }), LONG);
