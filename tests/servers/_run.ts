/**
 * Behind `deno task test:servers`: starts the servers, runs the suite on every runtime, and prints the
 * table server × check.
 *
 * @module
 */

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { missingServer, type ServerName, SERVERS } from "../_tools/servers.ts";
import { runSuite, type Runtime, type SuiteResult, testFiles } from "../_tools/suites.ts";
import {
  AUTH_SERVERS,
  type AuthServerName,
  RUN_VARIABLE,
  type StartedServer,
  startServer,
} from "./_servers.ts";
import type { Outcome } from "./_suite.ts";

/** What the table says of a check. */
function verdict(outcomes: readonly Outcome[]): string {
  if (outcomes.length === 0) return "–";
  if (outcomes.some(({ held }) => held === false)) return "FAULT";
  return outcomes.some(({ held }) => held) ? "OK" : "not offered";
}

/** The outcomes as one table in Markdown, checks down, servers across. */
export function table(outcomes: readonly Outcome[]): string[] {
  const servers = [...new Set(outcomes.map(({ server }) => server))];
  const checks = [...new Set(outcomes.map(({ check }) => check))];
  const rows = checks.map((check) => [
    check,
    ...servers.map((server) =>
      verdict(outcomes.filter((one) => one.server === server && one.check === check))
    ),
  ]);
  const all = [["check", ...servers], ...rows];
  const widths = all[0]!.map((_, at) => Math.max(...all.map((row) => row[at]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((text, at) => text.padEnd(widths[at]!)).join(" | ")} |`;
  const [head, ...others] = all.map(line);
  return [head!, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...others];
}

/** Starts the named servers, all by default, runs the suite, and prints the table. */
export async function testServers(
  names: readonly string[],
  runtimes: readonly Runtime[],
): Promise<SuiteResult[]> {
  const asked = names.filter((name): name is ServerName => name in SERVERS);
  const files = testFiles("real", names.filter((name) => !(name in SERVERS)));
  const wanted = AUTH_SERVERS.filter((name) => asked.length === 0 || asked.includes(name));
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "planet-servers-")) + "/";
  const started: StartedServer[] = [];
  const faults: Outcome[] = [];
  const start = async (name: AuthServerName) => {
    const { title, version } = SERVERS[name];
    const missing = missingServer(name);
    if (missing !== undefined) return console.log(`SKIPPED ${title}: ${missing}`);
    const since = performance.now();
    try {
      started.push(await startServer(name, `${root}${name}/`));
      console.log(
        `${title} ${version} answers after ${Math.round((performance.now() - since) / 1000)} s`,
      );
    } catch (error) {
      console.log(`${title} ${version} does not start: ${error}`);
      faults.push({ server: `${title} ${version}`, check: "it starts", held: false });
    }
  };
  try {
    await Promise.all(wanted.map(start));
    started.sort((a, b) =>
      AUTH_SERVERS.indexOf(a.server.name) - AUTH_SERVERS.indexOf(b.server.name)
    );
    fs.writeFileSync(`${root}servers.json`, JSON.stringify(started.map(({ server }) => server)));
    Deno.env.set(RUN_VARIABLE, root);
    const results: SuiteResult[] = [];
    for (const runtime of runtimes) results.push(await runSuite(runtime, [files]));
    const lines = fs.existsSync(`${root}outcomes`)
      ? fs.readFileSync(`${root}outcomes`, "utf8").trim().split("\n")
      : [];
    const outcomes = [...faults, ...lines.map((line): Outcome => JSON.parse(line))];
    console.log(`\n${table(outcomes).join("\n")}\n`);
    const reasons = outcomes.filter(({ lacks }) => lacks !== undefined)
      .map(({ check, lacks, server }) => `${server}, ${check}: not offered, ${lacks}`);
    for (const reason of new Set(reasons)) console.log(reason);
    if (faults.length > 0 && results[0] !== undefined) results[0].failed += faults.length;
    return results;
  } finally {
    await Promise.all(started.map(({ stop }) => stop()));
    if (Deno.env.get("KEEP_LOGS") === undefined) fs.rmSync(root, { recursive: true, force: true });
    else console.log(`The logs are in ${root}`);
  }
}
