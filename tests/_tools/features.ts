/**
 * Compares the README's table of runtimes with what the tests did not do there, and why.
 *
 * A reason to skip a test is a matter of the set-up (a package is not installed), of economy (once
 * is enough), or something that the runtime cannot do: then the table has to say so.
 *
 * @module
 */
import type { Runtime, SuiteResult } from "./suites.ts";

/** What tests show of a row of the table. */
export interface Feature {
  /** First cell of the row. */
  readonly name: string;
  /** Names of its tests. */
  readonly tests: RegExp;
}

/** Every row of the table. */
export const FEATURES: readonly Feature[] = [
  { name: "service account, API key", tests: /client_credentials|fromKey|m2m_|service account/i },
  { name: "device code", tests: /DeviceCode|device_code|device/ },
  { name: "browser on this machine", tests: /AuthorizationCode|auth_code|callback/i },
  { name: "state in memory", tests: /^MemoryStorage/ },
  { name: "state in files, shared with `planet`", tests: /^FileStorage/ },
  { name: "state in Deno KV", tests: /^KvStorage/ },
  { name: "encrypted state", tests: /^EncryptedStorage/ },
  { name: "edge function on `Deno.serve`", tests: /^examples\/edge_m2m_kv/ },
  { name: "one file by `bun build`", tests: /^examples\/bun_cli/ },
  {
    name: "permissions",
    tests:
      /^permissions:|without any permission|without each of its flags|names the flag, and leaves no/,
  },
];

/** Reasons that tell nothing of what a runtime can do. */
const CIRCUMSTANCES: readonly RegExp[] = [
  /is not installed|not on PATH|cannot be had|does not answer|does not say where/,
  // What an example is written for, beside those that stand for a row.
  /^examples\/(?!bun_cli|edge_m2m_kv)\w+\.ts is for |^the example is for |^Deno\.serve and Bun\.serve are/,
  /keychain by itself|Deno has flags|cannot get denort|starts all runtimes/,
  /once|Deno's turn|is enough|Deno publishes|Deno finds|Bun and Node get the stand-ins/,
  /^needs root|can be another user|needs a privilege|no modes here|not a git repository|no script, which|terminal/,
  /^the store (has the five methods|leaves that)/,
  /PLANET_STD|Chromium|chromium|Python|sops|not quick enough|yet to be written|quota|mount|disk/,
];

/** The columns of the runtimes that run the tests. */
const COLUMNS: Readonly<Record<Runtime, number>> = { deno: 1, bun: 2, node: 3 };

/** The rows of the table, by their first cells. */
export function readTable(readme: string): Map<string, string[]> {
  const section = readme.split("\n## Runtimes")[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => /^\| /.test(line)).slice(2)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  return new Map(rows.map((cells) => [cells[0] ?? "", cells]));
}

/** Where the table and the reasons differ; none: they agree. */
export function differences(
  readme: string,
  results: readonly Pick<SuiteResult, "runtime" | "reasons" | "missing">[],
): string[] {
  const table = readTable(readme);
  const found = FEATURES.filter(({ name }) => !table.has(name))
    .map(({ name }) => `the README's table of runtimes has no row "${name}"`);
  const told = new Set<string>();
  for (const { runtime, reasons, missing } of results) {
    if (missing !== undefined) continue;
    for (const text of reasons) {
      const at = text.lastIndexOf(": ");
      const [test, reason] = [text.slice(0, at), text.slice(at + 2)];
      if (CIRCUMSTANCES.some((pattern) => pattern.test(reason))) continue;
      const feature = FEATURES.findLast(({ tests }) => tests.test(test));
      const cell = feature && table.get(feature.name)?.[COLUMNS[runtime]];
      told.add(`${feature?.name} ${runtime}`);
      if (cell === "no") continue;
      found.push(
        feature === undefined
          ? `no row of the README's table of runtimes tells why ${runtime} skips "${test}": ${reason}`
          : `the README says "${cell}" of "${feature.name}" on ${runtime}, which skips "${test}": ${reason}`,
      );
    }
    for (const { name } of FEATURES) {
      if (table.get(name)?.[COLUMNS[runtime]] === "no" && !told.has(`${name} ${runtime}`)) {
        found.push(
          `the README says "no" of "${name}" on ${runtime}, which skips none of its tests`,
        );
      }
    }
  }
  return found;
}
