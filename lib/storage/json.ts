/**
 * JSON as Python writes it, so that the files of the Python SDK stay byte-identical.
 *
 * @module
 */

import type { JsonObject, JsonValue } from "./objects.ts";

const SHORT: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function quote(text: string): string {
  const escaped = text.replace(
    /["\\]|[^ -~]/g,
    (unit) => SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}

/** Whole numbers as integers; others as Python's `repr()` of a float. */
function number(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  if (Number.isInteger(value) || Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-(\d)$/, "e-0$1");
}

/** Order of code points, as Python's; JavaScript's own order is that of UTF-16 units. */
function byCodePoint(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  // A pair is one code point, also where only its second half differs.
  if (at > 0 && /[\ud800-\udbff]/.test(a.charAt(at - 1))) at--;
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

function write(value: JsonValue, indent: string): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return number(value);
  if (value === null || typeof value === "boolean") return String(value);
  const deeper = `${indent}  `;
  const [open, close, items] = Array.isArray(value)
    ? ["[", "]", value.map((item) => write(item, deeper))]
    : ["{", "}", members(value, deeper)];
  if (items.length === 0) return open + close;
  return `${open}${deeper}${items.join(`,${deeper}`)}${indent}${close}`;
}

function members(value: JsonObject, indent: string): string[] {
  return Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .sort(byCodePoint)
    .map((name) => `${quote(name)}: ${write(value[name]!, indent)}`);
}

/**
 * Writes an object as Python's `json.dumps(value, indent=2, sort_keys=True)`
 * does, without the members of the top level that are `null`, as the Python
 * SDK leaves them out of its files.
 */
export function toPythonJson(value: JsonObject): string {
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return write(Object.fromEntries(kept), "\n");
}
