/**
 * How the tests of this folder start a program of their own under Deno.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The configuration by which `@std/*` are found. */
export const CONFIG: string = ROOT +
  (existsSync(`${ROOT}.deno.links.json`) ? ".deno.links.json" : "deno.json");

/** Arguments of `deno` that run a program without asking anybody; its permissions follow. */
export const RUN: readonly string[] = ["run", "--no-prompt", "--no-check", "-q"]
  .concat("--config", CONFIG);
