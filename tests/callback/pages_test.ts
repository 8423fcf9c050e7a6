import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type CallbackPage,
  type CallbackPageKind,
  HEADERS,
  page,
  STYLE,
  STYLE_HASH,
} from "../../lib/callback/handler.ts";
import { test } from "../_support/harness.ts";

const KINDS: readonly CallbackPageKind[] = [
  "success",
  "denied",
  "failed",
  "received",
  "wrong",
  "not_found",
];

test("page() has a policy that allows its one style sheet and nothing else", async () => {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(STYLE));
  assertEquals(btoa(String.fromCharCode(...new Uint8Array(hash))), STYLE_HASH);
  const policy = HEADERS["content-security-policy"]!;
  assert(policy.includes("default-src 'none'") && policy.includes(STYLE_HASH));
  assert(!policy.includes("unsafe"));
  assertEquals(HEADERS["cache-control"], "no-store");
  assertEquals(HEADERS["referrer-policy"], "no-referrer");
});

for (const kind of KINDS) {
  test(`page() of ${kind} is whole, reads well and loads nothing`, () => {
    const { body, status } = page(kind, { applicationName: "<My & App>" });
    assertEquals(status, { wrong: 400, not_found: 404 }[kind as string] ?? 200);
    for (const part of ['<html lang="en">', "<h1>", "<main", 'name="viewport"', "<title>"]) {
      assert(body.includes(part), part);
    }
    assertEquals(body.match(/<h1>/g)?.length, 1);
    assert(body.includes("&#60;My &#38; App&#62;") && !body.includes("<My"), "The name is text.");
    assert(!/<script|\son\w+=|javascript:|https?:|\bsrc=|<link|style="/i.test(body));
    assertMatch(body, /<\/html>\s*$/);
  });
}

/** Relative luminance of `#rrggbb` or `#rgb` (WCAG 2.2). */
function luminance(colour: string): number {
  const hex = colour.length === 4 ? colour.replace(/[^#]/g, "$&$&") : colour;
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

test("page() has enough contrast, light and dark (WCAG 2.2, 1.4.3 and 1.4.11)", () => {
  const themes = [...STYLE.matchAll(/:root\{([^}]*)\}/g)].map(([, text]) =>
    Object.fromEntries(
      [...text!.matchAll(/--(\w+):(#\w+)/g)].map(([, name, value]) => [name, value]),
    )
  );
  assertEquals(themes.length, 2);
  for (const theme of themes) {
    const contrast = (one: string, other: string) => {
      const [low, high] = [luminance(theme[one]!), luminance(theme[other]!)].sort((a, b) => a - b);
      return (high! + 0.05) / (low! + 0.05);
    };
    for (const text of ["text", "soft"]) assert(contrast(text, "card") >= 7, `${text}`);
    for (const mark of ["good", "bad", "odd"]) assert(contrast(mark, "card") >= 4.5, mark);
  }
});

test("page() is the application's where it has one, without scripts all the same", () => {
  const given: CallbackPage[] = [];
  const callbackPage = (one: CallbackPage) => (given.push(one), `<p>${one.title}</p>`);
  const answer = page("denied", { applicationName: "my-app", callbackPage });
  assertEquals(answer.body, "<p>Sign-in was cancelled</p>");
  assertEquals([given[0]!.kind, given[0]!.applicationName], ["denied", "my-app"]);
  assert(given[0]!.message.startsWith("my-app was not given access."));
  assert(answer.headers["content-security-policy"]!.startsWith("default-src 'none'"));
});

test("page() is the built-in one where the application's cannot be written, or leaves it", () => {
  const broken = [
    () => {
      throw new Error("no");
    },
    () => 5 as unknown as string,
    () => undefined,
  ];
  for (const callbackPage of broken) {
    assert(page("success", { callbackPage }).body.includes("You are signed in"));
  }
});
