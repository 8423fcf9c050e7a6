/**
 * Measures this library against the physical floor and against its peers, in one run.
 *
 * ```sh
 * deno task bench [--quick] [--write] [ROW…]
 * ```
 *
 * `--quick` takes fewer rounds. `--write` puts the tables into `README.md` beside this file, each in the
 * place of the one of before.
 * ROW narrows the run to the rows whose names begin so. See `README.md` for the method.
 *
 * @module
 */

import * as fs from "node:fs";
import * as os from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Result, ROWS } from "./rows.ts";
import { engines, PEERS, setStage } from "./stage.ts";
import { startWorld } from "./world.ts";

const README = fileURLToPath(new URL("README.md", import.meta.url));
const [BEGIN, END] = ["<!-- table: begin -->", "<!-- table: end -->"];

/** A heading and a table for each thing that was measured; below it the others of the same run. */
function sections(results: readonly Result[], run: string): string[] {
  return [...new Set(results.map(({ what }) => what))].map((what) => {
    const rows = results.filter((result) => result.what === what);
    const lines = [`### ${what[0]!.toUpperCase()}${what.slice(1)}`, ""];
    lines.push("| where | measured | target | holds |", "| --- | --- | --- | --- |");
    for (const { found, holds, target, where } of rows) {
      const mark = holds === undefined ? "" : holds ? "yes" : "**no**";
      lines.push(`| ${where} | ${found} | ${target} | ${mark} |`);
    }
    lines.push("");
    for (const { others, where } of rows) if (others !== "") lines.push(`- ${where}: ${others}`);
    lines.push(`- run of ${run}`);
    return lines.join("\n");
  });
}

/** The tables of before, each replaced by the one of the same heading; new ones at the end. */
function merged(before: string, found: readonly string[]): string {
  const heading = (section: string) => section.split("\n", 1)[0]!;
  const old = before.split(/^(?=### )/m).slice(1).map((section) => section.trim());
  const kept = old.map((section) =>
    found.find((one) => heading(one) === heading(section)) ?? section
  );
  return [...kept, ...found.filter((one) => !kept.includes(one))].join("\n\n");
}

async function main(args: readonly string[]): Promise<number> {
  const quick = args.includes("--quick");
  const wanted = args.filter((arg) => !arg.startsWith("--"));
  const unknown = args.find((arg) => arg.startsWith("--") && !["--quick", "--write"].includes(arg));
  if (unknown) throw new TypeError(`Use --quick or --write: there is no option ${unknown}.`);
  const since = performance.now();
  await setStage();
  const { found, missing } = await engines();
  for (const reason of missing) console.log(`SKIPPED ${reason}`);
  const results: Result[] = [];
  for (const [name, row] of Object.entries(ROWS)) {
    if (wanted.length > 0 && !wanted.some((prefix) => name.startsWith(prefix))) continue;
    const began = performance.now();
    const world = await startWorld();
    try {
      results.push(...await row({ engines: found, quick, world }));
    } finally {
      await world.close();
    }
    console.error(`${name}: ${Math.round((performance.now() - began) / 1000)} s`);
  }
  const versions = found.map(({ name, version }) => `${name} ${version}`).join(", ");
  const peers = Object.entries(PEERS).map(([name, version]) => `${name} ${version}`).join(", ");
  const cpu = `${os.cpus().length} × ${os.cpus()[0]?.model.trim() ?? "?"}`;
  const about = `${os.type()} ${os.machine()}, ${cpu}, ${
    Math.round(os.totalmem() / 2 ** 30)
  } GiB. ${versions}. Peers: ${peers}.`;
  const run = `${new Date().toISOString().slice(0, 10)}${quick ? " (--quick)" : ""}, load ${
    os.loadavg()[0]!.toFixed(1)
  } at its end`;
  const tables = sections(results, run);
  const took = Math.round((performance.now() - since) / 1000);
  console.log(`\n${about}\n\n${tables.join("\n\n")}\n\n${took} s`);
  if (args.includes("--write")) {
    const [head = "", rest = ""] = fs.readFileSync(README, "utf8").split(BEGIN);
    const [before = "", tail = ""] = rest.split(END);
    const text = `${about}\n\n${merged(before, tables)}`;
    fs.writeFileSync(README, `${head}${BEGIN}\n\n${text}\n\n${END}${tail}`);
  }
  return 0;
}

if (import.meta.main) {
  process.exit(await main(process.argv.slice(2)));
}
