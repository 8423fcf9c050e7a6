/**
 * A program that shows how far its downloads are, for the tests that look at it: three files, one with a
 * long and wide name, and a line of its own between; then it waits for a line, and ends all.
 *
 * @module
 */

import process from "node:process";
import { terminalProgress } from "../../mod.ts";

const show = terminalProgress();
const NAMES = ["20260101_psscene.tif", `${"北京市朝阳区影像".repeat(6)}_analytic.tif`, "c.xml"];
const tell = (part: number) =>
  NAMES.forEach((name) => show({ name, received: part * 1e6, total: 1e8, resumed: false }));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (let part = 0; part < 50; part += 5) {
  tell(part);
  await pause(120);
  if (part === 25) show("c.xml is active");
}
tell(50);
console.log("HALF");
await new Promise<void>((resolve) => process.stdin.once("data", () => resolve()));
tell(100);
console.log("RESULT done");
process.exit(0);
