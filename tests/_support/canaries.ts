/**
 * Secrets that can be recognised wherever they turn up.
 *
 * A canary looks like a real token: long, of the characters that tokens have. It is searched
 * for as it is and in the forms in which it could travel: in a URL, in JSON, in base64 at any
 * alignment, in hexadecimal, a part of it.
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

/** What is known of one secret. */
interface Secret {
  readonly names: Set<string>;
  /** Made when it is searched for first. */
  forms?: [form: string, text: string][];
}

/** Shorter forms could be part of any word. */
const SHORTEST_FORM = 9;

const MARK = "cAnAry~";

const made = new Map<string, string>();
const listeners = new Set<(value: string) => void>();

/**
 * A made-up secret of this name: the same in every process, so that a test and the programs that it
 * starts can speak of it, and like nothing else.
 */
export function secret(name: string): string {
  let value = made.get(name);
  if (value === undefined) {
    // FNV-1a, twice, from two beginnings: no more is needed to be unlike everything else.
    const halves = [0x811c9dc5, 0x01000193].map((hash) => {
      for (const char of `${name}|${name.length}|${name}`) {
        hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193) ^ (hash >>> 13);
      }
      return (hash >>> 0).toString(36).padStart(7, "z");
    });
    value = `${MARK}${name.replaceAll(/[^\w.-]/g, "")}~${halves.join("")}${
      halves.reverse().join("")
    }`;
    made.set(name, value);
  }
  for (const listener of listeners) listener(value);
  return value;
}

/** Tells whether a text was made by {@linkcode secret} or `Canaries.make()`, or holds one that was. */
export function isMadeUp(text: string): boolean {
  return text.includes(MARK);
}

/** Is told of every made-up secret that a test asks for. */
export function onSecret(listener: (value: string) => void): void {
  listeners.add(listener);
}

function base64At(text: string, offset: number): string {
  const bytes = new TextEncoder().encode("\0".repeat(offset) + text + "\0\0");
  const whole = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  // What is left when the characters that neighbours have a part in are cut off.
  const end = Math.floor((bytes.length - 2) / 3) * 4;
  return whole.slice(offset === 0 ? 0 : 4, end);
}

function hex(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** The texts by which a secret gives itself away. */
function formsOf(secret: string): [form: string, text: string][] {
  const forms: [string, string][] = [
    ["plain", secret],
    ["percent-encoded", encodeURIComponent(secret.toWellFormed())],
    ["form-encoded", new URLSearchParams({ a: secret }).toString().slice(2)],
    ["JSON", JSON.stringify(secret).slice(1, -1)],
    ["hexadecimal", hex(secret)],
    ["base64url", secret.replaceAll("+", "-").replaceAll("/", "_")],
    ["first half", secret.slice(0, Math.ceil(secret.length * 0.75))],
    ["last half", secret.slice(-Math.ceil(secret.length * 0.5))],
    ...[0, 1, 2].map((offset): [string, string] => [
      `base64 at ${offset}`,
      base64At(secret, offset),
    ]),
  ];
  const seen = new Set<string>();
  return forms.filter(([form, text]) => {
    if (text.length < SHORTEST_FORM || seen.has(text)) return false;
    // Half of a short secret is a word.
    if (form.endsWith("half") && secret.length < 24) return false;
    return seen.add(text);
  });
}

/** All secrets of one test. */
export class Canaries {
  readonly #secrets = new Map<string, Secret>();
  /** Where secrets were found. */
  readonly sightings: Sighting[] = [];

  /** Makes a secret. */
  make(name: string): string {
    const bytes = crypto.getRandomValues(new Uint8Array(18));
    const random = btoa(String.fromCharCode(...bytes)).replaceAll("+", "x").replaceAll("/", "y");
    return this.add(name, `${MARK}${name.replaceAll(/\W/g, "")}~${random}`);
  }

  /** Makes a secret of what somebody else made; a second name lets it be where either may be. */
  add(name: string, secret: string): string {
    const known = this.#secrets.get(secret);
    if (known === undefined) this.#secrets.set(secret, { names: new Set([name]) });
    else known.names.add(name);
    return secret;
  }

  /** Takes over what others know. */
  addAll(others: Canaries): void {
    for (const [secret, { names }] of others.#secrets) {
      for (const name of names) this.add(name, secret);
    }
  }

  /** How many secrets there are. */
  get size(): number {
    return this.#secrets.size;
  }

  /** Names of the secrets. */
  get names(): Set<string> {
    return new Set([...this.#secrets.values()].flatMap(({ names }) => [...names]));
  }

  /** Searches a text, leaving out the secrets that may be `where`. */
  search(where: string, text: string, allowed: readonly string[] = []): void {
    for (const [value, secret] of this.#secrets) {
      if (allowed.some((name) => secret.names.has(name))) continue;
      secret.forms ??= formsOf(value);
      const found = secret.forms.find(([, part]) => text.includes(part));
      if (found !== undefined) {
        this.sightings.push({ secret: [...secret.names].join(", "), where, form: found[0] });
      }
    }
  }

  /** Tells whether a text holds a secret, leaving out those that may be there. */
  isIn(text: string, allowed: readonly string[] = []): boolean {
    for (const [value, secret] of this.#secrets) {
      if (allowed.some((name) => secret.names.has(name))) continue;
      secret.forms ??= formsOf(value);
      if (secret.forms.some(([, part]) => text.includes(part))) return true;
    }
    return false;
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
