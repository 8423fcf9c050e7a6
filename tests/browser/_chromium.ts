/**
 * A real browser: headless Chromium of this machine, driven by playwright-core.
 *
 * @module
 */

import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadExtra, missingExtra } from "../_tools/extra.ts";

/** Where the pictures are kept. */
export const PICTURES: string = fileURLToPath(
  new URL("../../.cache/screenshots/", import.meta.url),
);

const PROGRAM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .find((path) => existsSync(path));

/** Why there is no browser; `undefined` where there is one. */
export const missingChromium: string | undefined = PROGRAM === undefined
  ? 'Chromium is not installed; "apt-get install chromium" brings it along'
  : missingExtra("playwright-core");

/** What is used of a page. */
export interface Page {
  goto(url: string): Promise<{ status(): number } | null>;
  goBack(): Promise<unknown>;
  url(): string;
  title(): Promise<string>;
  fill(selector: string, value: string): Promise<void>;
  click(selector: string): Promise<void>;
  waitForURL(url: RegExp): Promise<void>;
  innerText(selector: string): Promise<string>;
  evaluate<T>(script: string): Promise<T>;
  emulateMedia(options: { colorScheme: "light" | "dark" }): Promise<void>;
  setViewportSize(size: { width: number; height: number }): Promise<void>;
  screenshot(options: { path: string }): Promise<unknown>;
  on(event: "console", listener: (message: { type(): string; text(): string }) => void): void;
  on(event: "request", listener: (request: { url(): string }) => void): void;
  locator(selector: string): { ariaSnapshot(): Promise<string> };
  close(): Promise<void>;
}

/** What is used of a browser. */
export interface Context {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

interface Browser {
  newContext(): Promise<Context>;
  close(): Promise<void>;
}

interface Playwright {
  chromium: {
    launch(
      options: { executablePath: string; headless: boolean; args: string[] },
    ): Promise<Browser>;
  };
}

/** Runs `body` with a fresh browser of one person or two, and ends it. */
export async function withBrowser<T>(
  body: (context: Context, other: Context) => Promise<T>,
): Promise<T> {
  mkdirSync(PICTURES, { recursive: true });
  const { chromium } = loadExtra<Playwright>("playwright-core");
  const browser = await chromium.launch({
    executablePath: PROGRAM!,
    headless: true,
    // Root, as in a container, has no sandbox of Chromium's own.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  try {
    return await body(await browser.newContext(), await browser.newContext());
  } finally {
    await browser.close();
  }
}
