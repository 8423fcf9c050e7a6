import { test } from "../_support/harness.ts";
import { BODIES, download, upload } from "./_transfers.ts";

const NAMES = Object.keys(BODIES);
const MB = 1_000_000;

test("an upload that moves passes the time limit, whatever its body is", () =>
  upload(NAMES, { size: 30 * MB, rate: 10 * MB, timeoutMs: 2_000 }));

test("an upload that stops ends by the time limit, and is not sent again", () =>
  upload(NAMES, { size: 24 * MB, rate: 0, timeoutMs: 1_000 }));

test("a download that moves passes the time limit", () =>
  download({ size: 12 * MB, rate: 3 * MB, timeoutMs: 1_500 }));

test("a download that stops ends by the time limit", () =>
  download({ size: 12 * MB, rate: 0, timeoutMs: 1_000 }));
