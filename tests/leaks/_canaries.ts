/**
 * Secrets that can be recognised wherever they turn up.
 *
 * A canary looks like a real token: random, of the characters that tokens have. It is searched
 * for as it is and in the forms in which it could travel: in a URL, in JSON, in base64 at any
 * alignment, in hexadecimal, backwards halves apart.
 *
 * @module
 */

import { inspect } from "node:util";

/** A place in which a secret was found. */
export interface Sighting {
  /** Name of the secret. */
  readonly secret: string;
  /** Where it was. */
  readonly where: string;
  /** In which form. */
  readonly form: string;
}

function base64At(text: string, offset: number): string {
  const bytes = new TextEncoder().encode("\0".repeat(offset) + text + "\0\0");
  const whole = btoa(String.fromCharCode(...bytes));
  // What is left when the characters that neighbours have a part in are cut off.
  return whole.slice(offset === 0 ? 0 : 4, Math.floor((offset + text.length) / 3) * 4);
}

function hex(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** All secrets of one test. */
export class Canaries {
  readonly #secrets = new Map<string, Map<string, string>>();
  /** Where secrets were found. */
  readonly sightings: Sighting[] = [];

  /** Makes a secret. */
  make(name: string): string {
    const bytes = crypto.getRandomValues(new Uint8Array(18));
    const random = btoa(String.fromCharCode(...bytes)).replaceAll("+", "x").replaceAll("/", "y");
    return this.add(name, `cAnAry~${name.replaceAll(/\W/g, "")}~${random}`);
  }

  /** Makes a secret of what somebody else made. */
  add(name: string, secret: string): string {
    const url = secret.replaceAll("+", "-").replaceAll("/", "_");
    const forms = new Map([
      ["plain", secret],
      ["percent-encoded", encodeURIComponent(secret)],
      ["form-encoded", new URLSearchParams({ a: secret }).toString().slice(2)],
      ["JSON", JSON.stringify(secret).slice(1, -1)],
      ["hexadecimal", hex(secret)],
      ["base64url", url],
      ["first half", secret.slice(0, Math.ceil(secret.length * 0.75))],
      ["last half", secret.slice(-Math.ceil(secret.length * 0.5))],
      ...[0, 1, 2].map((offset) => [`base64 at ${offset}`, base64At(secret, offset)] as const),
    ]);
    this.#secrets.set(name, forms);
    return secret;
  }

  /** How many secrets there are. */
  get size(): number {
    return this.#secrets.size;
  }

  /** Searches a text, leaving out the secrets that may be `where`. */
  search(where: string, text: string, allowed: readonly string[] = []): void {
    for (const [secret, forms] of this.#secrets) {
      if (allowed.includes(secret)) continue;
      for (const [form, value] of forms) {
        if (value.length > 8 && text.includes(value)) {
          this.sightings.push({ secret, where, form });
          break;
        }
      }
    }
  }

  /** Searches all that can be seen of a value. */
  look(where: string, value: unknown, allowed: readonly string[] = []): void {
    for (const [way, text] of views(value)) this.search(`${where} by ${way}`, text, allowed);
  }
}

/** A value in every way in which a program is likely to show it. */
export function views(value: unknown): [way: string, text: string][] {
  const shown: [string, string][] = [];
  const add = (way: string, make: () => unknown) => {
    let text: string;
    try {
      text = String(make());
    } catch (error) {
      text = `(throws ${String(error)})`;
    }
    shown.push([way, text]);
  };
  add("String()", () => value);
  add("JSON.stringify()", () => JSON.stringify(value));
  add(
    "util.inspect()",
    () => inspect(value, { depth: 12, showHidden: true, maxStringLength: null }),
  );
  const { Bun, Deno } = globalThis as unknown as {
    Bun?: { inspect(value: unknown, options?: unknown): string };
    Deno?: { inspect(value: unknown, options: unknown): string };
  };
  if (Deno !== undefined) {
    add(
      "Deno.inspect()",
      () => Deno.inspect(value, { depth: 12, showHidden: true, strAbbreviateSize: 1e6 }),
    );
  }
  if (Bun !== undefined) add("Bun.inspect()", () => Bun.inspect(value, { depth: 12 }));
  add("its members", () => members(value, 0, new Set()));
  return shown;
}

/** Own members of a value and of all that it leads to, hidden ones and causes too. */
function members(value: unknown, depth: number, seen: Set<object>): string {
  if (typeof value === "string") return `${value}\n`;
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return "";
  if (seen.has(value) || depth > 12) return "";
  seen.add(value);
  let text = value instanceof Error ? `${value.name} ${value.message} ${value.stack}\n` : "";
  if (value instanceof Map || value instanceof Set) {
    for (const entry of value) text += members(entry, depth + 1, seen);
  }
  for (const key of Reflect.ownKeys(value)) {
    const found = Object.getOwnPropertyDescriptor(value, key);
    text += `${String(key)}: ${members(found?.value, depth + 1, seen)}\n`;
  }
  return text;
}
